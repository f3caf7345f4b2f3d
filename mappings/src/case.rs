//! Cases (検証例): given / then, as data, for every layout and in both directions.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use tsunagi_core::document::{Content, Document, Node, Row};
use tsunagi_core::fault::{RowCode, RowFault};
use tsunagi_core::id::{FieldKey, LayoutId};
use tsunagi_core::kind::{Field, Kind};
use tsunagi_core::partial_date::PartialDate;
use tsunagi_core::record::Record;
use tsunagi_core::value::{Value, ValueType};

use crate::canonicalize::{Context, assert_record};
use crate::field_value;
use crate::layout::Layout;
use crate::tables::Tables;

/// One case of one layout.
#[derive(Debug, Clone)]
pub struct Case {
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) layout: LayoutId,
    pub(crate) direction: Direction,
    pub(crate) as_of: Date,
    pub(crate) given: Option<Given>,
    pub(crate) then: BTreeMap<FieldKey, Vec<String>>,
    pub(crate) refused: Vec<Expected>,
    pub(crate) warned: Option<Vec<Expected>>,
}

/// Which way a case goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Document to record and back.
    Both,
    /// Document to record.
    Read,
    /// Record to document.
    Write,
}

/// The document of a case.
#[derive(Debug, Clone)]
pub(crate) enum Given {
    Cells(BTreeMap<String, String>),
    Tree(Node),
}

/// A fault or warning that a case expects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    pub(crate) column: String,
    pub(crate) code: RowCode,
}

/// A case that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseFailure {
    /// The file it stands in.
    pub file: String,
    /// Its name.
    pub case: String,
    /// What is not as it should be, in English. It may show values: the people in cases are invented.
    pub reason: String,
}

impl Case {
    /// The file it stands in.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The layout it is about.
    pub fn layout(&self) -> &LayoutId {
        &self.layout
    }

    /// Which way it goes.
    pub fn direction(&self) -> Direction {
        self.direction
    }
}

impl Tables {
    /// All cases there are.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// Runs all cases and gives back those that do not hold, one entry for each direction.
    pub fn run_cases(&self) -> Vec<CaseFailure> {
        let mut failures = Vec::new();
        for case in &self.cases {
            let results = match (self.layout(&case.layout), self.kind_of_case(case)) {
                (Some(layout), Some(kind)) => {
                    let run = Run { tables: self, case, layout, kind };
                    match case.direction {
                        Direction::Both => vec![run.read(), run.write()],
                        Direction::Read => vec![run.read()],
                        Direction::Write => vec![run.write()],
                    }
                }
                _ => vec![Err("its layout is not loaded".to_owned())],
            };
            failures.extend(results.into_iter().filter_map(Result::err).map(|reason| CaseFailure {
                file: case.file.clone(),
                case: case.name.clone(),
                reason,
            }));
        }
        failures
    }

    /// The record of a kind's examples: every field once, derived ones computed. 個人番号 is among them.
    pub fn example(&self, kind: &Kind) -> Record {
        let mut fields: BTreeMap<FieldKey, Vec<Value>> = BTreeMap::new();
        for field in kind.fields.iter().filter(|field| field.derived.is_none()) {
            if let Ok(value) = field_value::from_hub_text(field, &field.example) {
                fields.insert(field.key.clone(), vec![value]);
            }
        }
        self.derive(kind, &mut fields);
        assert_record(kind, fields)
    }

    fn kind_of_case(&self, case: &Case) -> Option<&Kind> {
        self.kind(self.layout(&case.layout)?.kind())
    }
}

struct Run<'a> {
    tables: &'a Tables,
    case: &'a Case,
    layout: &'a Layout,
    kind: &'a Kind,
}

impl Run<'_> {
    fn read(&self) -> Result<(), String> {
        let Some(given) = &self.case.given else { return Err("read: nothing is given".to_owned()) };
        let document = given.document();
        let context = Context { today: self.case.as_of, check_digits_are_errors: false };
        let canonical = match self.tables.canonicalize(self.layout, &document, &context) {
            Err(faults) => return self.compare_faults("read: refused with", &faults, &self.case.refused),
            Ok(_) if !self.case.refused.is_empty() => return Err("read: accepted, not refused".to_owned()),
            Ok(canonical) => canonical,
        };
        if !self.layout.matches(&document) {
            return Err("read: the `match` of the layout does not hold for it".to_owned());
        }
        if let Some(warned) = &self.case.warned {
            self.compare_faults("read: warned of", &canonical.warnings, warned)?;
        }
        for (key, values) in canonical.record.fields() {
            let found: Vec<String> = values.iter().map(shown).collect();
            match self.case.then.get(key) {
                Some(wanted) if *wanted == found => {}
                wanted => return Err(format!("read: {key} is {found:?}, not {:?}", wanted.unwrap_or(&Vec::new()))),
            }
        }
        match self.case.then.keys().find(|key| !canonical.record.fields().contains_key(*key)) {
            Some(key) => Err(format!("read: {key} is missing")),
            None => Ok(()),
        }
    }

    fn write(&self) -> Result<(), String> {
        let record = self.record()?;
        let document = match self.tables.localize(self.layout, &record, 1, self.case.as_of) {
            Err(faults) => return self.compare_faults("write: refused with", &faults, &self.case.refused),
            Ok(_) if !self.case.refused.is_empty() => return Err("write: written, not refused".to_owned()),
            Ok(document) => document,
        };
        let Some(given) = &self.case.given else { return Err("write: nothing is given".to_owned()) };
        // 個人番号 is read and never written.
        let mut wanted = given.document();
        self.layout.blank_my_number(&mut wanted, "");
        let difference = match (&document.content, &wanted.content) {
            (Content::Row(found), Content::Row(wanted)) => line_difference(found, wanted),
            (Content::Tree(found), Content::Tree(wanted)) => tree_difference("", found, wanted),
            _ => Some("not the shape of the layout".to_owned()),
        };
        difference.map_or(Ok(()), |difference| Err(format!("write: {difference}")))
    }

    fn record(&self) -> Result<Record, String> {
        let mut fields = BTreeMap::new();
        for (key, texts) in &self.case.then {
            let Some(field) = self.kind.field(key) else { return Err(format!("there is no field {key}")) };
            let values: Result<Vec<Value>, String> = texts.iter().map(|text| value(field, text)).collect();
            fields.insert(key.clone(), values?);
        }
        Ok(assert_record(self.kind, fields))
    }

    fn compare_faults(&self, words: &str, faults: &[RowFault], expected: &[Expected]) -> Result<(), String> {
        let mut found: Vec<Expected> =
            faults.iter().map(|fault| Expected { column: fault.column.clone(), code: fault.code }).collect();
        let mut wanted: Vec<Expected> = expected
            .iter()
            .map(|one| Expected { column: self.layout.full_path(&one.column), code: one.code })
            .collect();
        found.sort();
        wanted.sort();
        let list = |faults: &[Expected]| {
            let words: Vec<String> = faults.iter().map(|one| format!("{} {}", one.column, one.code.as_str())).collect();
            words.join("; ")
        };
        if found == wanted { Ok(()) } else { Err(format!("{words} [{}], not [{}]", list(&found), list(&wanted))) }
    }
}

impl Given {
    fn document(&self) -> Document {
        let content = match self {
            Self::Cells(cells) => Content::Row(Row {
                columns: Arc::new(cells.keys().cloned().collect()),
                cells: cells.values().cloned().collect(),
            }),
            Self::Tree(root) => Content::Tree(root.clone()),
        };
        Document { row: 1, content }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::MyNumber(number) => number.expose().clone(),
        value => value.plain().unwrap_or_default(),
    }
}

/// A value of a case; a date that is no date of the hub is one of which only the text is known.
fn value(field: &Field, text: &str) -> Result<Value, String> {
    if field.value_type == ValueType::Date && !PartialDate::is_date_shaped(text) {
        return Ok(Value::Date(PartialDate::Unknown { raw: text.to_owned() }));
    }
    field_value::from_hub_text(field, text).map_err(|reason| format!("{}: {}", field.key, reason.en))
}

fn line_difference(found: &Row, wanted: &Row) -> Option<String> {
    found.columns.iter().zip(&found.cells).find_map(|(column, cell)| {
        let expected = wanted.cell(column).unwrap_or("");
        (cell != expected).then(|| format!("{column} is {cell:?}, not {expected:?}"))
    })
}

/// The order of members does not count, nor does a member with nothing in it.
fn tree_difference(path: &str, found: &Node, wanted: &Node) -> Option<String> {
    match (found, wanted) {
        (Node::Map(members), Node::Map(others)) => {
            let differing = members
                .iter()
                .find_map(|(name, node)| tree_difference(&format!("{path}/{name}"), node, wanted.member(name)?));
            let extra = |one: &[(String, Node)], other: &Node| {
                one.iter()
                    .find(|(name, node)| !is_nothing(node) && other.member(name).is_none())
                    .map(|(name, _)| name.clone())
            };
            differing
                .or_else(|| extra(members, wanted).map(|name| format!("{path}/{name} should not be there")))
                .or_else(|| extra(others, found).map(|name| format!("{path}/{name} is missing")))
        }
        (Node::List(items), Node::List(others)) if items.len() == others.len() => items
            .iter()
            .zip(others)
            .enumerate()
            .find_map(|(at, (one, other))| tree_difference(&format!("{path}/{at}"), one, other)),
        (found, wanted) if found == wanted => None,
        (Node::List(items), Node::List(others)) => {
            Some(format!("{path} has {} elements, not {}", items.len(), others.len()))
        }
        (found, wanted) => {
            Some(format!("{path} is {}, not {}", crate::json::compact(found), crate::json::compact(wanted)))
        }
    }
}

/// Null, and an object in which 個人番号 was all there was.
fn is_nothing(node: &Node) -> bool {
    match node {
        Node::Null => true,
        Node::Map(members) => members.iter().all(|(_, node)| is_nothing(node)),
        Node::Bool(_) | Node::List(_) | Node::Number(_) | Node::Text(_) => false,
    }
}

#[cfg(test)]
mod tests;
