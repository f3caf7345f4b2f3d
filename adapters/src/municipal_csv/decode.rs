//! Bytes into lines. The charset is decoded before anything is split: in CP932 the second byte of 予 is 5C and that of
//! others is any ASCII letter, so bytes say nothing about commas and quotes.

use std::sync::Arc;

use tsunagi_core::document::{Content, Document, Row};
use tsunagi_core::fault::RowFault;

use super::charset::Charset;
use super::text::{DAMAGED, Text};
use crate::fault::{malformed, unread, unreadable};
use crate::plug::{PayloadFault, Rows, Source};

pub(super) fn decode<'a>(source: Box<dyn Source + 'a>, charset: Option<&str>) -> Result<Rows<'a>, PayloadFault> {
    let Some(charset) = charset.map_or(Some(Charset::Utf8), Charset::parse) else {
        return Err(unreadable(
            "宣言された文字コードには対応していません。UTF-8、CP932（Shift_JIS）、ISO-2022-JPのいずれかで送ってください",
            "the declared charset is not supported; send UTF-8, CP932 (Shift_JIS) or ISO-2022-JP",
        ));
    };
    let mut lines = Lines { text: Text::open(source, charset)? };
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
        Some(line) if line.cells.len() > MOST_COLUMNS => {
            return Err(unreadable(
                format!("見出しは{MOST_COLUMNS}列までです"),
                format!("the header has more than {MOST_COLUMNS} columns"),
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
            if defect == Defect::BreaksOff {
                let PayloadFault { reason } = unread();
                return Err(malformed(self.row, "", reason.ja, reason.en));
            }
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

/// The lines of a text.
struct Lines<'a> {
    text: Text<'a>,
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
    BreaksOff,
    Damaged,
    TooLong,
    Unclosed,
}

impl Defect {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::AfterQuote => (
                "閉じる引用符の後に文字があります。セルの中の引用符は二つ重ねます",
                "text after a closing quote; a quote inside a cell is doubled",
            ),
            Self::BreaksOff => ("本文を読み取れませんでした", "the body could not be read"),
            Self::Damaged => (
                "この行はISO-2022-JPとして読めません。漢字の後、行の終わりまでにESC ( Bで戻します",
                "this line is not ISO-2022-JP; after two-byte characters it returns to ASCII (ESC ( B) before its end",
            ),
            Self::TooLong => (
                "1行が1 MiBを超えています。引用符の閉じ忘れがないか確かめてください。以降の行は読めません",
                "the row is longer than 1 MiB, as one with a quote that is not closed; nothing after it can be read",
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
        let mut scan = Scan::default();
        let length = loop {
            let rest = self.text.rest();
            if let Some(length) = scan.line_end(rest) {
                break length;
            }
            if self.text.is_over() || rest.len() > LONGEST {
                break rest.len();
            }
            self.text.grow();
        };
        let whole = self.text.rest().get(..length).unwrap_or_default();
        if self.text.is_broken() && !scan.has_ended {
            self.text.give_up();
            return Some(Line { cells: Vec::new(), defect: Some((0, Defect::BreaksOff)), is_blank: false });
        }
        if whole.is_empty() {
            return None;
        }
        let mut line = cells(whole, width);
        if self.text.is_read_by_line() && whole.contains(DAMAGED) {
            let at = line.cells.iter().position(|cell| cell.contains(DAMAGED));
            line.defect = Some((at.unwrap_or_default(), Defect::Damaged));
        }
        if length > LONGEST {
            let at = line.defect.map_or(0, |(at, _)| at);
            line.defect = Some((at, Defect::TooLong));
            self.text.give_up();
        } else {
            self.text.take(length);
        }
        Some(line)
    }
}

/// Looks for the end of a line, and goes on where it stopped when there is more text.
#[derive(Debug, Default)]
struct Scan {
    seen: usize,
    place: Place,
    has_ended: bool,
}

/// Where in a line the scan stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// After a carriage return: a line feed would belong to it.
    AfterReturn,
    #[default]
    CellStart,
    Plain,
    Quoted,
    /// After a quote inside a quoted cell: another one would stand for itself.
    QuoteSeen,
}

impl Scan {
    /// The length of the line with its end; `None` if the end is not in `text`.
    fn line_end(&mut self, text: &str) -> Option<usize> {
        for byte in text.as_bytes().get(self.seen..).unwrap_or_default() {
            if self.place == Place::AfterReturn {
                self.has_ended = true;
                return Some(self.seen + usize::from(*byte == b'\n'));
            }
            self.seen += 1;
            self.place = match (self.place, byte) {
                (Place::Quoted, b'"') => Place::QuoteSeen,
                (Place::Quoted, _) | (Place::QuoteSeen | Place::CellStart, b'"') => Place::Quoted,
                (_, b'\n') => {
                    self.has_ended = true;
                    return Some(self.seen);
                }
                (_, b'\r') => Place::AfterReturn,
                (_, b',') => Place::CellStart,
                _ => Place::Plain,
            };
        }
        None
    }
}

/// The cells of one line.
fn cells(whole: &str, width: usize) -> Line {
    let mut line = Line { cells: Vec::with_capacity(width), defect: None, is_blank: whole.starts_with(['\r', '\n']) };
    let mut rest = whole;
    loop {
        let (cell, defect, after) = split_cell(rest);
        line.defect = line.defect.or(defect.map(|defect| (line.cells.len(), defect)));
        line.cells.push(cell);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return line,
        }
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

/// Ten times what the widest form has. Every line is filled up to the width of the header, so a header as long as a line
/// may be would have lines of one byte cost megabytes each.
const MOST_COLUMNS: usize = 1000;

/// The longest line, in bytes of UTF-8: a quote that is not closed must not draw the rest of a large file into memory.
const LONGEST: usize = 1024 * 1024;
