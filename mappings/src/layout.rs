//! Layouts (項目対応表): field ↔ path ↔ converters ↔ code table, the same rows in both directions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tsunagi_core::document::{Content, Document, Node};
use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::{FieldKey, FormatName, KindName, LayoutId};
use tsunagi_core::kind::Field;
use tsunagi_core::value::ValueType;

use crate::code_list::CodeList;
use crate::code_table::CodeTable;
use crate::convert::Chain;
use crate::path::{Found, Path, pointer_step};
use crate::shorthand;
use crate::shrink::ShrinkTable;
use crate::unit::UnitPlace;

/// How one kind of record looks in one participant's form.
#[derive(Debug, Clone)]
pub struct Layout {
    pub(crate) id: LayoutId,
    pub(crate) kind: KindName,
    pub(crate) format: FormatName,
    pub(crate) label: Bilingual,
    pub(crate) charset: String,
    pub(crate) crlf: bool,
    /// What may be written for characters that the charset has no place for.
    pub(crate) shrink: Option<Arc<ShrinkTable>>,
    pub(crate) resource_type: Option<String>,
    pub(crate) serves: Vec<String>,
    pub(crate) domain: Option<String>,
    pub(crate) is_line: bool,
    pub(crate) matches: Vec<Match>,
    pub(crate) constants: Vec<Constant>,
    pub(crate) rows: Vec<LayoutRow>,
    pub(crate) lost: Vec<Lost>,
    pub(crate) ignored: Vec<String>,
    pub(crate) columns: Arc<Vec<String>>,
    /// JSON pointers without positions; empty for formats in which more may stand than a layout says.
    pub(crate) members: BTreeSet<String>,
    pub(crate) shorthand: BTreeMap<String, String>,
}

/// What must stand at a path for a document to be of the layout.
#[derive(Debug, Clone)]
pub(crate) struct Match {
    pub(crate) path: Path,
    pub(crate) equals: String,
}

/// What is written in every document and never read.
#[derive(Debug, Clone)]
pub(crate) struct Constant {
    pub(crate) path: Path,
    /// The position of its column.
    pub(crate) at: usize,
    pub(crate) value: Node,
}

/// One row: one field at one place.
#[derive(Debug, Clone)]
pub(crate) struct LayoutRow {
    pub(crate) field: Field,
    /// It is part of an identifier of the subject, or of the business key.
    pub(crate) is_name: bool,
    /// The path as the sender knows it, for faults.
    pub(crate) column: String,
    pub(crate) path: Path,
    /// Other places it is read from where nothing stands at the first; never written. An identifier system has an
    /// OID form and a URL form, and both come in.
    pub(crate) also: Vec<Path>,
    /// The position of its column.
    pub(crate) at: usize,
    /// Which of the field's columns this is, from 0, where a field with many values has several.
    pub(crate) nth: usize,
    pub(crate) chain: Chain,
    pub(crate) codes: Option<Arc<CodeTable>>,
    /// The hub's list that a code without a table must be in.
    pub(crate) hub_codes: Option<Arc<CodeList>>,
    /// A code that no table covers stays as text instead of refusing the row.
    pub(crate) keeps_unmapped: bool,
    pub(crate) default: Option<String>,
    pub(crate) required: bool,
    pub(crate) json: Scalar,
    /// Where the unit of a number stands; only where the kind says which it has.
    pub(crate) unit: Option<UnitPlace>,
}

/// The JSON type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scalar {
    Bool,
    Number,
    #[serde(rename = "string")]
    Text,
}

/// A field that the layout does not carry, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The field.
    pub field: FieldKey,
    /// Why, for the loss certificate.
    pub reason: Bilingual,
}

/// The columns in which refused rows come back with their reason, in Japanese and in English: sent again with the
/// repaired rows they mean nothing.
pub const REASON_COLUMNS: [&str; 2] = ["理由", "reason"];

impl Layout {
    /// `format/name`.
    pub fn id(&self) -> &LayoutId {
        &self.id
    }

    /// The kind of its records.
    pub fn kind(&self) -> &KindName {
        &self.kind
    }

    /// The wire format, which is also the adapter's name.
    pub fn format(&self) -> &FormatName {
        &self.format
    }

    /// Its name for people.
    pub fn label(&self) -> &Bilingual {
        &self.label
    }

    /// The charset to write: `utf-8`, `utf-8-bom`, `cp932` or `iso-2022-jp`.
    pub fn charset(&self) -> &str {
        &self.charset
    }

    /// True if lines end with CR LF.
    pub fn crlf(&self) -> bool {
        self.crlf
    }

    /// The columns of a file of this layout, in order; empty for trees.
    pub fn columns(&self) -> Vec<String> {
        self.columns.as_ref().clone()
    }

    /// The FHIR resource type that a submission of this layout carries.
    pub fn resource_type(&self) -> Option<&str> {
        self.resource_type.as_deref()
    }

    /// The FHIR resource types that a search may ask for and this layout yields.
    pub fn serves(&self) -> &[String] {
        &self.serves
    }

    /// The `{domain}` of the PMH-style URL.
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// The fields it does not carry, and why.
    pub fn lost(&self) -> &[Lost] {
        &self.lost
    }

    /// The fields it carries and where, in the order of the file.
    pub fn fields(&self) -> impl Iterator<Item = (&FieldKey, &str)> {
        self.rows.iter().map(|row| (&row.field.key, row.column.as_str()))
    }

    /// True if the document is of this layout, by its shape and by what the layout says must stand in it.
    pub fn matches(&self, document: &Document) -> bool {
        let has_shape = matches!(document.content, Content::Row(_)) == self.is_line;
        has_shape && self.matches.iter().all(|condition| condition.holds(&document.content))
    }

    /// The columns of a document that no row reads and the layout does not know; always empty for trees.
    pub fn unknown_columns<'a>(&self, document: &'a Document) -> Vec<&'a str> {
        let Content::Row(row) = &document.content else { return Vec::new() };
        let is_also = |path: &Path, name: &str| matches!(path, Path::Column(column) if column.name() == name);
        let is_known = |name: &String| {
            self.columns.contains(name)
                || REASON_COLUMNS.contains(&name.as_str())
                || self.ignored.contains(name)
                || self.rows.iter().flat_map(|row| &row.also).any(|path| is_also(path, name))
        };
        row.columns.iter().filter(|name| !is_known(name)).map(String::as_str).collect()
    }

    /// The members of a JSON document that no row reads and the layout does not know, as pointers without positions in
    /// arrays, each once. Empty for tables, and for FHIR, where whoever writes a resource may add to it.
    pub fn unknown_members(&self, document: &Document) -> BTreeSet<String> {
        let mut unknown = BTreeSet::new();
        if let (Content::Tree(root), false) = (&document.content, self.members.is_empty()) {
            strange(root, "", &self.members, &mut unknown);
        }
        unknown
    }

    /// Notes the members that [`Self::unknown_members`] knows.
    pub(crate) fn with_members(mut self) -> Self {
        let paths = self.rows.iter().flat_map(|row| std::iter::once(&row.path).chain(&row.also));
        let written = self.constants.iter().map(|one| &one.path).chain(self.matches.iter().map(|one| &one.path));
        self.members = paths.chain(written).filter_map(Path::pointer).chain(self.ignored.iter().cloned()).collect();
        self
    }

    /// The columns or paths that hold 個人番号.
    pub fn my_number_paths(&self) -> impl Iterator<Item = &str> {
        self.my_number_rows().map(|row| row.column.as_str())
    }

    /// Takes 個人番号 out, so that a refused row can be kept. What takes its place is refused where a number belongs: sent
    /// again as it is, the row must not be taken in without the number it had.
    pub fn without_my_number(&self, document: &mut Document) {
        self.blank_my_number(document, "要再入力");
    }

    /// Puts a text in the places of 個人番号 in which something stands.
    pub(crate) fn blank_my_number(&self, document: &mut Document, instead: &str) {
        for row in self.my_number_rows() {
            for path in std::iter::once(&row.path).chain(&row.also) {
                path.blank(&mut document.content, instead);
            }
        }
    }

    /// A path with its shorthand written out, as faults name it.
    pub(crate) fn full_path(&self, path: &str) -> String {
        shorthand::expand(path, &self.shorthand).unwrap_or_else(|_| path.to_owned())
    }

    fn my_number_rows(&self) -> impl Iterator<Item = &LayoutRow> {
        self.rows.iter().filter(|row| row.field.value_type == ValueType::MyNumber)
    }
}

/// Goes down to where a known path ends or none leads on.
fn strange(node: &Node, at: &str, known: &BTreeSet<String>, unknown: &mut BTreeSet<String>) {
    match node {
        Node::List(items) => items.iter().for_each(|item| strange(item, at, known, unknown)),
        Node::Map(members) => {
            for (name, value) in members {
                let here = format!("{at}{}", pointer_step(name));
                if known.contains(&here) {
                    continue;
                }
                let below = format!("{here}/");
                if known.range(below.clone()..).next().is_some_and(|path| path.starts_with(&below)) {
                    strange(value, &here, known, unknown);
                } else {
                    unknown.insert(here);
                }
            }
        }
        Node::Bool(_) | Node::Null | Node::Number(_) | Node::Text(_) => {}
    }
}

impl LayoutRow {
    /// The characters that may be written otherwise here. What names a person or a record is written as it is, or held.
    pub(crate) fn shrink<'a>(&self, layout: &'a Layout) -> Option<&'a Arc<ShrinkTable>> {
        layout.shrink.as_ref().filter(|_| self.field.value_type == ValueType::Text && !self.is_name)
    }
}

impl Match {
    fn holds(&self, content: &Content) -> bool {
        let mut holds = false;
        self.path.visit(content, &mut |found| {
            holds = match found {
                Found::Cell(text) => text == self.equals,
                Found::Node(Node::Text(text) | Node::Number(text)) => *text == self.equals,
                Found::Node(Node::Bool(flag)) => self.equals == if *flag { "true" } else { "false" },
                Found::Node(Node::List(_) | Node::Map(_) | Node::Null) => false,
            };
            holds
        });
        holds
    }
}
