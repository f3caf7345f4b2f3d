//! Bytes into lines. The charset is decoded before anything is split: in CP932 the second byte of 予 is 5C and that of
//! others is any ASCII letter, so bytes say nothing about commas and quotes.

use std::borrow::Cow;
use std::sync::Arc;

use tsunagi_core::document::{Content, Document, Row};
use tsunagi_core::fault::RowFault;

use super::charset::{self, Charset};
use crate::fault::{malformed, unreadable};
use crate::plug::{Payload, PayloadFault, Rows};

pub(super) fn decode(payload: Payload<'_>) -> Result<Rows<'_>, PayloadFault> {
    let Some(charset) = payload.charset.map_or(Some(Charset::Utf8), Charset::parse) else {
        return Err(unreadable(
            "宣言された文字コードには対応していません。UTF-8またはCP932（Shift_JIS）で送ってください",
            "the declared charset is not supported; send UTF-8 or CP932 (Shift_JIS)",
        ));
    };
    let mut lines = Lines { text: charset::decode(payload.bytes, charset)?, at: 0 };
    let columns = header(lines.next_line(0))?;
    Ok(Box::new(TableRows { lines, columns: Arc::new(columns), row: 0 }))
}

/// Checks the header. A file without one would lose its first record, and a column that is named twice would be read
/// from one of two places by luck.
fn header(line: Option<Line>) -> Result<Vec<String>, PayloadFault> {
    let names = match line {
        Some(Line { defect: Some((column, defect)), .. }) => {
            let (ja, en) = defect.words();
            return Err(unreadable(
                format!("見出し行{}列目：{ja}", column + 1),
                format!("header, column {}: {en}", column + 1),
            ));
        }
        Some(line) if line.cells.iter().any(|name| !name.is_empty()) => line.cells,
        _ => return Err(unreadable("見出し行がありません", "there is no header line")),
    };
    let mut order: Vec<(&str, usize)> = names.iter().enumerate().map(|(at, name)| (name.as_str(), at + 1)).collect();
    order.sort_unstable();
    let twins = order.iter().zip(order.iter().skip(1)).find(|(one, other)| one.0 == other.0);
    match twins {
        Some(((_, first), (_, second))) => Err(unreadable(
            format!("見出し行の{first}列目と{second}列目が同じ名前です"),
            format!("columns {first} and {second} of the header have the same name"),
        )),
        None => Ok(names),
    }
}

/// The lines of one file as documents, made as they are asked for.
struct TableRows<'a> {
    lines: Lines<'a>,
    columns: Arc<Vec<String>>,
    row: u64,
}

impl Iterator for TableRows<'_> {
    type Item = Result<Document, RowFault>;

    /// Blank lines give no document but are counted, so that row N is line N below the header in a spreadsheet too.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = self.lines.next_line(self.columns.len())?;
            self.row += 1;
            if !line.is_blank {
                return Some(self.document(line));
            }
        }
    }
}

impl TableRows<'_> {
    /// A short line is filled up: systems leave trailing empty cells out. A long one is refused, because nothing says
    /// which of its cells slipped.
    fn document(&self, line: Line) -> Result<Document, RowFault> {
        if let Some((at, defect)) = line.defect {
            let (ja, en) = defect.words();
            return Err(malformed(self.row, self.columns.get(at).map_or("", String::as_str), ja, en));
        }
        let (width, found) = (self.columns.len(), line.cells.len());
        if found > width {
            return Err(malformed(
                self.row,
                "",
                format!("見出しは{width}列ですが、この行には{found}列あります"),
                format!("the header has {width} columns, this row has {found}"),
            ));
        }
        let mut cells = line.cells;
        cells.resize(width, String::new());
        Ok(Document { row: self.row, content: Content::Row(Row { columns: Arc::clone(&self.columns), cells }) })
    }
}

/// The text of a file and how far it is read.
struct Lines<'a> {
    text: Cow<'a, str>,
    at: usize,
}

/// One line of cells; it spans several lines of text where a quoted cell holds line ends.
struct Line {
    cells: Vec<String>,
    /// The first thing wrong, and in which cell, from 0.
    defect: Option<(usize, Defect)>,
    is_blank: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    AfterQuote,
    Unclosed,
}

impl Defect {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::AfterQuote => (
                "閉じる引用符の後に文字があります。セルの中の引用符は二つ重ねます",
                "text after a closing quote; a quote inside a cell is doubled",
            ),
            Self::Unclosed => (
                "ここで始まる引用符がファイルの終わりまで閉じられていません。以降の行は読めません",
                "the quote that opens here is not closed before the end of the file; nothing after it can be read",
            ),
        }
    }
}

impl Lines<'_> {
    /// The next line, with room for `width` cells; `None` at the end of the text.
    fn next_line(&mut self, width: usize) -> Option<Line> {
        let mut rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let mut line =
            Line { cells: Vec::with_capacity(width), defect: None, is_blank: rest.starts_with(['\r', '\n']) };
        loop {
            let (cell, defect, after) = split_cell(rest);
            line.defect = line.defect.or(defect.map(|defect| (line.cells.len(), defect)));
            line.cells.push(cell);
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    rest = after.strip_prefix("\r\n").or_else(|| after.strip_prefix(['\r', '\n'])).unwrap_or(after);
                    break;
                }
            }
        }
        let left = rest.len();
        self.at = self.text.len() - left;
        Some(line)
    }
}

/// The cell at the start of `text` and what follows it: a separator, a line end, or nothing. A quote inside a cell
/// that does not begin with one stands for itself.
fn split_cell(text: &str) -> (String, Option<Defect>, &str) {
    let Some(mut rest) = text.strip_prefix('"') else {
        let (cell, after) = split_at_boundary(text);
        return (cell.to_owned(), None, after);
    };
    let mut cell = String::new();
    loop {
        let Some((part, after)) = rest.split_once('"') else { return (cell, Some(Defect::Unclosed), "") };
        cell.push_str(part);
        match after.strip_prefix('"') {
            Some(next) => {
                cell.push('"');
                rest = next;
            }
            None => {
                let (stray, after) = split_at_boundary(after);
                return (cell, (!stray.is_empty()).then_some(Defect::AfterQuote), after);
            }
        }
    }
}

fn split_at_boundary(text: &str) -> (&str, &str) {
    let boundary = text.bytes().position(|b| matches!(b, b',' | b'\n' | b'\r'));
    boundary.and_then(|at| text.split_at_checked(at)).unwrap_or((text, ""))
}
