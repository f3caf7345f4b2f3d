//! Rejections: refused rows given back as the sender wrote them, with the reason, so that they can be repaired and sent
//! again. 個人番号 is left blank: it is not kept.

use tsunagi_adapters::{Envelope, Shape, adapter};
use tsunagi_core::document::{Content, Document, Node, Row};
use tsunagi_core::exchange::Exchange;
use tsunagi_core::fault::{Lang, RowFault};
use tsunagi_core::id::FormatName;
use tsunagi_core::refusal::Refusal;
use tsunagi_mappings::Tables;
use tsunagi_store::Rejection;

use super::lookup::content_type;

/// A file to give back.
pub struct RejectionFile {
    /// `Content-Type`
    pub content_type: String,
    /// The end of its name.
    pub extension: &'static str,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Builds the file: rows of a table in the sender's own layout and charset, anything else as JSON.
pub fn rejection_file(
    tables: &Tables,
    exchange: &Exchange,
    rejected: &[Rejection],
    lang: Lang,
) -> Result<RejectionFile, Refusal> {
    let columns = rejected.iter().find_map(|rejection| match &rejection.source.content {
        Content::Row(row) => Some(row.columns.clone()),
        Content::Tree(_) => None,
    });
    match columns {
        Some(columns) => table(tables, exchange, rejected, &columns, lang),
        None => trees(rejected, lang),
    }
}

fn table(
    tables: &Tables,
    exchange: &Exchange,
    rejected: &[Rejection],
    columns: &[String],
    lang: Lang,
) -> Result<RejectionFile, Refusal> {
    let layout = exchange.layout.as_ref().and_then(|id| tables.layout(id)).ok_or(Refusal::Internal)?;
    let reason_column = match lang {
        Lang::En => "reason",
        Lang::Ja => "理由",
    };
    // A file that was repaired only in part comes back with the column it was given: it is replaced, not doubled.
    let mut columns: Vec<String> = columns.to_vec();
    let at = columns.iter().position(|name| name == reason_column).unwrap_or_else(|| {
        columns.push(reason_column.to_owned());
        columns.len() - 1
    });
    let shared = std::sync::Arc::new(columns.clone());
    let documents: Vec<Document> = (1u64..)
        .zip(rejected)
        .map(|(number, rejection)| {
            let mut cells = match &rejection.source.content {
                Content::Row(row) => row.cells.clone(),
                // A row that could not be read at all has nothing to give back but its number and reason.
                Content::Tree(_) => Vec::new(),
            };
            cells.resize(shared.len(), String::new());
            if let Some(cell) = cells.get_mut(at) {
                *cell = reasons(rejection.row, &rejection.faults, lang);
            }
            Document { row: number, content: Content::Row(Row { columns: shared.clone(), cells }) }
        })
        .collect();
    let charset = sender_charset(exchange.charset.as_deref(), layout.charset());
    let adapter = adapter(layout.format()).map_err(|_| Refusal::Internal)?;
    let in_charset = |charset: &str| {
        let columns = columns.clone();
        let shape = Shape { columns, charset: charset.to_owned(), crlf: layout.crlf(), envelope: Envelope::Batch };
        adapter.encode(&documents, &shape)
    };
    // What was read of vendor rows and 外字 may have no place in the same charset: then it goes back in one that has all.
    let (charset, written) = match in_charset(charset) {
        Ok(bytes) => (charset, Ok(bytes)),
        Err(_) => (UTF_8, in_charset(UTF_8)),
    };
    let bytes = written.map_err(|faults| {
        tracing::error!(exchange = %exchange.id, faults = faults.len(), "rejections cannot be written");
        Refusal::Internal
    })?;
    Ok(RejectionFile { content_type: content_type(adapter.media_type(), charset), extension: "csv", bytes })
}

const UTF_8: &str = "utf-8-bom";

/// The charset the sender really used: what it declared, else what its layout says.
fn sender_charset<'a>(declared: Option<&str>, of_layout: &'a str) -> &'a str {
    match declared.map(str::to_ascii_lowercase).as_deref() {
        Some("shift_jis" | "sjis" | "windows-31j" | "cp932" | "ms932" | "x-sjis") => "cp932",
        Some("iso-2022-jp" | "csiso2022jp") => "iso-2022-jp",
        Some("utf-8" | "utf8") if matches!(of_layout, "cp932" | "iso-2022-jp") => "utf-8",
        _ => of_layout,
    }
}

/// `行3 生年月日: … / 性別: …`
fn reasons(row: u64, faults: &[RowFault], lang: Lang) -> String {
    let list: Vec<String> = faults
        .iter()
        .map(|fault| {
            let code = fault.code.as_str();
            match fault.column.as_str() {
                "" => format!("{} [{code}]", fault.reason.pick(lang)),
                column => format!("{column}: {} [{code}]", fault.reason.pick(lang)),
            }
        })
        .collect();
    match lang {
        Lang::En => format!("row {row} {}", list.join(" / ")),
        Lang::Ja => format!("{row}行目 {}", list.join(" / ")),
    }
}

fn trees(rejected: &[Rejection], lang: Lang) -> Result<RejectionFile, Refusal> {
    let format = FormatName::parse("pmh_api").map_err(|_| Refusal::Internal)?;
    let adapter = adapter(&format).map_err(|_| Refusal::Internal)?;
    let documents: Vec<Document> = rejected
        .iter()
        .map(|rejection| {
            let reason = Node::Text(reasons(rejection.row, &rejection.faults, lang));
            let source = match &rejection.source.content {
                Content::Tree(node) => node.clone(),
                Content::Row(_) => Node::Null,
            };
            let members = vec![
                ("row".to_owned(), Node::Number(rejection.row.to_string())),
                ("reason".to_owned(), reason),
                ("source".to_owned(), source),
            ];
            Document { row: rejection.row, content: Content::Tree(Node::Map(members)) }
        })
        .collect();
    let shape = Shape { columns: Vec::new(), charset: "utf-8".to_owned(), crlf: false, envelope: Envelope::Batch };
    let bytes = adapter.encode(&documents, &shape).map_err(|_| Refusal::Internal)?;
    Ok(RejectionFile { content_type: content_type(adapter.media_type(), "utf-8"), extension: "json", bytes })
}
