//! Record to document (個別化), in the receiver's form and codes.

use std::borrow::Cow;

use jiff::civil::Date;
use tsunagi_core::document::{Content, Document, Node, Row};
use tsunagi_core::fault::{Bilingual, RowCode, RowFault};
use tsunagi_core::record::Record;
use tsunagi_core::value::Value;

use crate::convert::Carried;
use crate::field_value;
use crate::json;
use crate::layout::{Constant, Layout, LayoutRow, Scalar};
use crate::path::Path;
use crate::tables::Tables;

impl Tables {
    /// Turns a record into a document of a layout. A field that is not in the record is left out: disclosure drops
    /// fields, and what was dropped leaves no trace. Faults are values and codes that the layout cannot write.
    /// 個人番号 is never written.
    pub fn localize(&self, layout: &Layout, record: &Record, row: u64, today: Date) -> Result<Document, Vec<RowFault>> {
        Ok(self.localize_noting(layout, record, row, today)?.document)
    }

    /// As [`Tables::localize`], with the places where the layout's table of characters was needed.
    pub fn localize_noting(
        &self,
        layout: &Layout,
        record: &Record,
        row: u64,
        today: Date,
    ) -> Result<Localized, Vec<RowFault>> {
        if record.kind() != &layout.kind {
            let reason = Bilingual::new("この対応表の記録種別ではありません", "the record is not of the layout's kind");
            return Err(vec![RowFault { row, column: String::new(), code: RowCode::Unmapped, reason }]);
        }
        let mut page = if layout.is_line { Page::line(layout) } else { Page::Tree(Node::Map(Vec::new())) };
        for constant in &layout.constants {
            page.put_constant(constant);
        }
        let (mut faults, mut shrunk) = (Vec::new(), Vec::new());
        for line in &layout.rows {
            if let Some(values) = record.fields().get(&line.field.key)
                && let Err(reason) = write(layout, line, values, today, (&mut page, &mut shrunk))
            {
                faults.push(RowFault { row, column: line.column.clone(), code: RowCode::Unmapped, reason });
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Localized { document: Document { row, content: page.into_content(layout) }, shrunk })
    }
}

/// A record as the receiver reads it.
#[derive(Debug, Clone)]
pub struct Localized {
    /// The document.
    pub document: Document,
    /// The columns in which characters were written otherwise (縮退), because the receiver's charset has no place for them.
    pub shrunk: Vec<String>,
}

/// A document in the making.
enum Page {
    Line(Vec<String>),
    Tree(Node),
}

impl Page {
    fn line(layout: &Layout) -> Self {
        Self::Line(vec![String::new(); layout.columns.len()])
    }

    fn put_constant(&mut self, constant: &Constant) {
        match (self, &constant.path) {
            (Self::Line(cells), _) => {
                let text = match &constant.value {
                    Node::Text(text) | Node::Number(text) => text.clone(),
                    other => json::compact(other),
                };
                if let Some(cell) = cells.get_mut(constant.at) {
                    *cell = text;
                }
            }
            (Self::Tree(root), Path::Tree(path)) => path.put(root, constant.value.clone()),
            (Self::Tree(_), Path::Column(_)) => {}
        }
    }

    fn into_content(self, layout: &Layout) -> Content {
        match self {
            Self::Line(cells) => Content::Row(Row { columns: layout.columns.clone(), cells }),
            Self::Tree(root) => Content::Tree(root),
        }
    }
}

fn write(
    layout: &Layout,
    row: &LayoutRow,
    values: &[Value],
    today: Date,
    (page, shrunk): (&mut Page, &mut Vec<String>),
) -> Result<(), Bilingual> {
    match (page, &row.path) {
        (Page::Line(cells), _) => {
            let is_last = !layout.rows.iter().any(|other| other.field.key == row.field.key && other.nth > row.nth);
            if is_last && values.len() > row.nth + 1 {
                return Err(Bilingual::new("値の数だけの列がありません", "there are fewer columns than values"));
            }
            let Some(value) = values.get(row.nth) else { return Ok(()) };
            if let (Some(text), Some(cell)) = (spelled(row, value, today)?, cells.get_mut(row.at)) {
                *cell = text.into_owned();
                if let Some(Cow::Owned(other)) = row.shrink(layout).map(|table| table.shrunk(cell)) {
                    *cell = other;
                    shrunk.push(row.column.clone());
                }
            }
        }
        (Page::Tree(root), Path::Tree(path)) => {
            let mut nodes = Vec::new();
            for value in values {
                if let Some(text) = spelled(row, value, today)? {
                    nodes.push(node(row, text)?);
                }
            }
            if row.field.many {
                if !nodes.is_empty() {
                    path.put_many(root, nodes);
                }
            } else if let Some(node) = nodes.into_iter().next() {
                path.put(root, node);
            }
        }
        (Page::Tree(_), Path::Column(_)) => {}
    }
    Ok(())
}

/// The value as the receiver spells it; `None` where nothing can be said of it.
fn spelled<'a>(row: &LayoutRow, value: &'a Value, today: Date) -> Result<Option<Cow<'a, str>>, Bilingual> {
    let Some(carried) = field_value::carried(value) else { return Ok(None) };
    let carried = match (&row.codes, carried) {
        (Some(table), Carried::Text(text)) => match table.write(&text, today) {
            Some(code) => Carried::Text(Cow::Owned(code.to_owned())),
            None if row.keeps_unmapped => Carried::Text(text),
            None => {
                return Err(Bilingual::new(
                    "相手のコードに対応するものがありません",
                    "the receiver has no counterpart of this code",
                ));
            }
        },
        (_, carried) => carried,
    };
    Ok(row.chain.write(carried))
}

fn node(row: &LayoutRow, text: Cow<'_, str>) -> Result<Node, Bilingual> {
    if row.chain.takes_subtree() {
        return json::parse(&text).map_err(|_| Bilingual::new("JSON として書けません", "cannot be written as JSON"));
    }
    match row.json {
        Scalar::Bool if text == "true" => Ok(Node::Bool(true)),
        Scalar::Bool if text == "false" => Ok(Node::Bool(false)),
        Scalar::Bool => Err(Bilingual::new("JSON の真偽値として書けません", "cannot be written as a boolean of JSON")),
        Scalar::Number if Carried::is_decimal(&text) => Ok(Node::Number(text.into_owned())),
        Scalar::Number => Err(Bilingual::new("JSON の数値として書けません", "cannot be written as a number of JSON")),
        Scalar::Text => Ok(Node::Text(text.into_owned())),
    }
}

#[cfg(test)]
mod tests;
