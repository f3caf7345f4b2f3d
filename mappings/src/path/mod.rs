//! Paths into documents, in the notation of each wire format: a CSV column, a JSON pointer, a FHIR element path.
//! A path both reads and writes; it is parsed once, when the layout is loaded.

mod element;
mod pointer;
mod tree;

use tsunagi_core::document::{Content, Node, Row};
use tsunagi_core::fault::Bilingual;

pub(crate) use pointer::step as pointer_step;
pub(crate) use tree::TreePath;

/// How the paths of a wire format are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notation {
    /// A column name.
    Column,
    /// A FHIR element path with discriminators.
    Element,
    /// A JSON pointer, RFC 6901.
    Pointer,
}

/// A parsed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Path {
    Column(Column),
    Tree(TreePath),
}

/// A column, with the place where the layout's own files have it: tried first, for most files are in that order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    name: String,
    usual: usize,
}

/// What stands at a path.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Found<'a> {
    Cell(&'a str),
    Node(&'a Node),
}

impl Path {
    /// Parses a path; `usual` is the position of the column in files that the layout itself writes.
    pub(crate) fn parse(notation: Notation, text: &str, usual: usize) -> Result<Self, Bilingual> {
        match notation {
            Notation::Column if text.is_empty() => Err(Bilingual::new("列名が空です", "the column name is empty")),
            Notation::Column => Ok(Self::Column(Column { name: text.to_owned(), usual })),
            Notation::Element => element::parse(text).map(Self::Tree),
            Notation::Pointer => pointer::parse(text).map(Self::Tree),
        }
    }

    /// The names on the way as a JSON pointer, without positions in arrays; `None` for a column.
    pub(crate) fn pointer(&self) -> Option<String> {
        match self {
            Self::Column(_) => None,
            Self::Tree(path) => Some(path.names().map(pointer::step).collect()),
        }
    }

    /// Calls `see` with everything at this path that is there; empty cells and JSON null are not. Stops once `see`
    /// returns true.
    pub(crate) fn visit<'a>(&self, content: &'a Content, see: &mut dyn FnMut(Found<'a>) -> bool) {
        match (self, content) {
            (Self::Column(column), Content::Row(row)) => {
                if let Some(cell) = column.cell(row).filter(|cell| !cell.is_empty()) {
                    see(Found::Cell(cell));
                }
            }
            (Self::Tree(path), Content::Tree(root)) => {
                path.visit(root, &mut |node| see(Found::Node(node)));
            }
            (Self::Column(_), Content::Tree(_)) | (Self::Tree(_), Content::Row(_)) => {}
        }
    }

    /// Puts a text, or nothing, in place of what stands here, so that the rest of a refused row can be kept.
    pub(crate) fn blank(&self, content: &mut Content, instead: &str) {
        match (self, content) {
            (Self::Column(column), Content::Row(row)) => {
                if let Some(at) = column.position(row)
                    && let Some(cell) = row.cells.get_mut(at)
                    && !cell.is_empty()
                {
                    *cell = instead.to_owned();
                }
            }
            (Self::Tree(path), Content::Tree(root)) => path.blank(root, instead),
            (Self::Column(_), Content::Tree(_)) | (Self::Tree(_), Content::Row(_)) => {}
        }
    }
}

impl Column {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn position(&self, row: &Row) -> Option<usize> {
        if row.columns.get(self.usual).is_some_and(|name| *name == self.name) {
            return Some(self.usual);
        }
        row.columns.iter().position(|name| *name == self.name)
    }

    fn cell<'a>(&self, row: &'a Row) -> Option<&'a str> {
        row.cells.get(self.position(row)?).map(String::as_str)
    }
}
