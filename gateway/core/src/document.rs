//! What a payload says, before mapping or after it, in a participant's own form and codes (文書).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A tree of values as JSON or XML hold it. Numbers are kept as written: `3.250` is not `3.25`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Node {
    /// JSON `null`
    Null,
    /// JSON `true` or `false`
    Bool(bool),
    /// A number, as written
    Number(String),
    /// A string
    Text(String),
    /// An array
    List(Vec<Node>),
    /// An object; the order of members is kept, names are unique
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The member of an object.
    pub fn member(&self, name: &str) -> Option<&Node> {
        match self {
            Self::Map(members) => members.iter().find(|(key, _)| key == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The text of a string node.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// A line of a table: the columns are shared by all rows of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Column names, as in the header.
    pub columns: Arc<Vec<String>>,
    /// One cell for each column; a short line is filled with empty cells by the adapter.
    pub cells: Vec<String>,
}

impl Row {
    /// The cell of a column.
    pub fn cell(&self, column: &str) -> Option<&str> {
        let at = self.columns.iter().position(|name| name == column)?;
        self.cells.get(at).map(String::as_str)
    }
}

/// The content of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A table line
    Row(Row),
    /// A tree
    Tree(Node),
}

/// One record's worth of a payload, in the participant's own form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Which row of the payload this is, from 1; the header of a CSV file does not count.
    pub row: u64,
    /// What it says.
    pub content: Content,
}
