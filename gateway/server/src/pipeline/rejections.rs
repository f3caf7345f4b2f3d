//! Rejections: refused rows given back as the sender wrote them, with the reason, so that they can be repaired and sent
//! again. 個人番号 is left blank: it is not kept.

use std::sync::Arc;

use tsunagi_adapters::{Adapter, Envelope, Shape, adapter};
use tsunagi_core::document::{Content, Document, Node, Row};
use tsunagi_core::exchange::Exchange;
use tsunagi_core::fault::{Lang, RowFault};
use tsunagi_core::id::FormatName;
use tsunagi_core::refusal::Refusal;
use tsunagi_mappings::{Layout, REASON_COLUMNS, Tables};
use tsunagi_store::{Rejection, RowPage, Storage};

use super::lookup::content_type;
use super::refusal_of;

/// A file to give back.
pub struct RejectionFile {
    /// `Content-Type`
    pub content_type: String,
    /// The end of its name.
    pub extension: &'static str,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Builds the file, a page of rows at a time: rows of a table in the sender's own layout and charset, anything else as
/// JSON.
pub async fn rejection_file(
    store: &dyn Storage,
    tables: &Tables,
    exchange: &Exchange,
    lang: Lang,
) -> Result<RejectionFile, Refusal> {
    let mut pages = Pages { store, exchange, next: Some(RowPage::FIRST) };
    // A row that could not be read at all knows no columns; those of any other are the file's.
    let mut columns = None;
    while let (None, Some(rejected)) = (&columns, pages.next().await?) {
        columns = rejected.into_iter().find_map(|rejection| match rejection.source.content {
            Content::Row(row) => Some(row.columns),
            Content::Tree(_) => None,
        });
    }
    let mut pages = Pages { store, exchange, next: Some(RowPage::FIRST) };
    let Some(columns) = columns else {
        let mut all = Vec::new();
        while let Some(rejected) = pages.next().await? {
            all.extend(rejected);
        }
        return trees(&all, lang);
    };
    let layout = exchange.layout.as_ref().and_then(|id| tables.layout(id)).ok_or(Refusal::Internal)?;
    // What was read of vendor rows and 外字 may have no place in the same charset: then it goes back in one that has all.
    let charset = sender_charset(exchange.charset.as_deref(), layout.charset());
    for charset in [charset, UTF_8] {
        pages.next = Some(RowPage::FIRST);
        if let Some(table) = table(layout, charset, &columns, lang, &mut pages).await? {
            return Ok(table.finish());
        }
    }
    tracing::error!(exchange = %exchange.id, "rejections cannot be written");
    Err(Refusal::Internal)
}

/// The table in one charset; `None` where that cannot hold it.
async fn table(
    layout: &Layout,
    charset: &str,
    columns: &[String],
    lang: Lang,
    pages: &mut Pages<'_>,
) -> Result<Option<Table>, Refusal> {
    let Some(mut table) = Table::open(layout, charset, columns, lang)? else { return Ok(None) };
    while let Some(rejected) = pages.next().await? {
        if !table.add(&rejected) {
            return Ok(None);
        }
    }
    Ok(Some(table))
}

/// The refused rows of an exchange, page by page.
struct Pages<'a> {
    store: &'a dyn Storage,
    exchange: &'a Exchange,
    next: Option<RowPage>,
}

impl Pages<'_> {
    async fn next(&mut self) -> Result<Option<Vec<Rejection>>, Refusal> {
        let Some(page) = self.next else { return Ok(None) };
        let Exchange { sender, id, .. } = self.exchange;
        let rejected = self.store.rejections(sender, id, page).await.map_err(refusal_of)?;
        self.next = rejected.last().filter(|_| rejected.len() == page.limit).map(|last| page.following(last.row));
        Ok(Some(rejected))
    }
}

/// A file of rows in the making.
struct Table {
    adapter: &'static dyn Adapter,
    shape: Shape,
    columns: Arc<Vec<String>>,
    /// Where the reason stands.
    at: usize,
    lang: Lang,
    /// What an empty file begins with, and so each page too.
    header: usize,
    bytes: Vec<u8>,
}

impl Table {
    fn open(layout: &Layout, charset: &str, columns: &[String], lang: Lang) -> Result<Option<Self>, Refusal> {
        let [ja, en] = REASON_COLUMNS;
        let reason_column = match lang {
            Lang::En => en,
            Lang::Ja => ja,
        };
        // A file that was repaired only in part comes back with the column it was given: it is replaced, not doubled.
        let mut columns: Vec<String> = columns.to_vec();
        let at = columns.iter().position(|name| name == reason_column).unwrap_or_else(|| {
            columns.push(reason_column.to_owned());
            columns.len() - 1
        });
        let charset = charset.to_owned();
        let columns = Arc::new(columns);
        let shape =
            Shape { columns: columns.as_ref().clone(), charset, crlf: layout.crlf(), envelope: Envelope::Batch };
        let adapter = adapter(layout.format()).map_err(|_| Refusal::Internal)?;
        let header = adapter.encode(&[], &shape).ok();
        Ok(header.map(|bytes| Self { adapter, shape, columns, at, lang, header: bytes.len(), bytes }))
    }

    /// True if the charset could hold them.
    fn add(&mut self, rejected: &[Rejection]) -> bool {
        let documents: Vec<Document> = (1u64..)
            .zip(rejected)
            .map(|(number, rejection)| {
                let mut cells = match &rejection.source.content {
                    Content::Row(row) => row.cells.clone(),
                    // A row that could not be read at all has nothing to give back but its number and reason.
                    Content::Tree(_) => Vec::new(),
                };
                cells.resize(self.columns.len(), String::new());
                if let Some(cell) = cells.get_mut(self.at) {
                    *cell = reasons(rejection.row, &rejection.faults, self.lang);
                }
                Document { row: number, content: Content::Row(Row { columns: self.columns.clone(), cells }) }
            })
            .collect();
        let page = self.adapter.encode(&documents, &self.shape);
        let rows = page.as_ref().ok().and_then(|page| page.get(self.header..));
        self.bytes.extend_from_slice(rows.unwrap_or_default());
        page.is_ok()
    }

    fn finish(self) -> RejectionFile {
        let content_type = content_type(self.adapter.media_type(), &self.shape.charset);
        RejectionFile { content_type, extension: "csv", bytes: self.bytes }
    }
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
