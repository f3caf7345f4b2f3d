//! Lines into bytes: the header and the rows in the order of the shape's columns, quoted where RFC 4180 asks for it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use tsunagi_core::document::{Content, Document, Row};
use tsunagi_core::fault::{Bilingual, RowCode, RowFault};

use super::charset::{BYTE_ORDER_MARK, Charset, CharsetWriter};
use crate::fault::malformed;
use crate::plug::{Shape, Unmappable};

pub(super) fn encode(documents: &[Document], shape: &Shape) -> Result<Vec<u8>, Vec<RowFault>> {
    let Some(charset) = Charset::parse(&shape.charset) else {
        return Err(vec![malformed(
            0,
            "",
            "この文字コードでは書けません。utf-8・utf-8-bom・cp932・iso-2022-jpのいずれかです",
            "cannot write this charset; it is one of utf-8, utf-8-bom, cp932, iso-2022-jp",
        )]);
    };
    if shape.columns.is_empty() {
        return Err(vec![malformed(0, "", "列がありません", "there are no columns")]);
    }
    let mut table = Table { shape, out: CharsetWriter::new(charset), faults: Vec::new() };
    table.line(0, shape.columns.iter().map(String::as_str));
    for document in documents {
        match &document.content {
            Content::Row(row) => table.row(document.row, row),
            Content::Tree(_) => table.faults.push(malformed(
                document.row,
                "",
                "表の行ではない文書はCSVに書けません",
                "a document that is not a row cannot be written as CSV",
            )),
        }
    }
    if table.faults.is_empty() { Ok(table.out.into_bytes()) } else { Err(table.faults) }
}

/// Every character of the rows that the charset has no place for.
pub(super) fn unmappable(documents: &[Document], shape: &Shape) -> Vec<Unmappable> {
    let Some(charset) = Charset::parse(&shape.charset) else { return Vec::new() };
    let has_place = |text: &str| CharsetWriter::new(charset).push(text).is_ok();
    let mut found = BTreeSet::new();
    for document in documents {
        let Content::Row(row) = &document.content else { continue };
        for (column, cell) in row.columns.iter().zip(&row.cells).filter(|(_, cell)| !has_place(cell)) {
            let homeless = cell.chars().filter(|c| !has_place(c.encode_utf8(&mut [0; 4])));
            found.extend(homeless.map(|character| Unmappable { row: document.row, column: column.clone(), character }));
        }
    }
    found.into_iter().collect()
}

struct Table<'s> {
    shape: &'s Shape,
    out: CharsetWriter,
    faults: Vec<RowFault>,
}

impl Table<'_> {
    fn row(&mut self, number: u64, row: &Row) {
        let shape = self.shape;
        if *row.columns == shape.columns && row.cells.len() <= shape.columns.len() {
            let missing = shape.columns.len() - row.cells.len();
            self.line(number, row.cells.iter().map(String::as_str).chain(std::iter::repeat_n("", missing)));
            return;
        }
        self.refuse_homeless(number, row);
        self.line(number, shape.columns.iter().map(|column| row.cell(column).unwrap_or_default()));
    }

    /// A cell whose column the file does not have would be lost without a word.
    fn refuse_homeless(&mut self, number: u64, row: &Row) {
        for (at, cell) in row.cells.iter().enumerate() {
            let column = row.columns.get(at).map_or("", String::as_str);
            if !cell.is_empty() && !self.shape.columns.iter().any(|known| known == column) {
                let (ja, en) = ("書き出すファイルにこの列がありません", "the file to write has no such column");
                self.faults.push(malformed(number, column, ja, en));
            }
        }
    }

    /// Writes one line. A fault names the column; of the header (row 0) too, since column names are the layout's.
    fn line<'c>(&mut self, number: u64, cells: impl Iterator<Item = &'c str>) {
        let is_only = self.shape.columns.len() == 1;
        for (at, cell) in cells.enumerate() {
            if at > 0 {
                self.out.push_ascii(",");
            }
            if let Err(unmappable) = self.out.push(&quoted(cell, is_only)) {
                let column = self.shape.columns.get(at).map_or("", String::as_str);
                self.faults.push(unmappable_fault(
                    number,
                    column,
                    character_in_cell(cell, is_only, unmappable.character),
                ));
            }
        }
        self.out.push_ascii(if self.shape.crlf { "\r\n" } else { "\n" });
    }
}

/// The only cell of a line is quoted when it is empty: the line would be blank, and blank lines are passed over. So is
/// one that begins with a byte order mark: as the first of a file it would be passed over too.
fn must_quote(cell: &str, is_only: bool) -> bool {
    cell.contains(['"', ',', '\r', '\n']) || cell.starts_with(BYTE_ORDER_MARK) || (is_only && cell.is_empty())
}

fn quoted(cell: &str, is_only: bool) -> Cow<'_, str> {
    if must_quote(cell, is_only) {
        Cow::Owned(format!("\"{}\"", cell.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(cell)
    }
}

/// Turns the number of a character in the quoted text back into its number in the cell.
fn character_in_cell(cell: &str, is_only: bool, written: usize) -> usize {
    if !must_quote(cell, is_only) {
        return written;
    }
    let mut length = 1;
    for (at, character) in cell.chars().enumerate() {
        length += if character == '"' { 2 } else { 1 };
        if length >= written {
            return at + 1;
        }
    }
    written
}

fn unmappable_fault(row: u64, column: &str, character: usize) -> RowFault {
    RowFault {
        row,
        column: column.to_owned(),
        code: RowCode::Unmappable,
        reason: Bilingual::new(
            format!("{character}文字目が送り先の文字コードにありません"),
            format!("the receiver's charset has no place for character {character}"),
        ),
    }
}
