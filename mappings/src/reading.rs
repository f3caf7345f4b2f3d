//! The stages one value goes through from a document to a field, each on its own, for [`crate::canonicalize`] and
//! [`crate::explain`].

use std::borrow::Cow;

use jiff::civil::Date;
use tsunagi_core::document::{Content, Node};
use tsunagi_core::fault::RowCode;

use crate::convert::{Carried, Noted};
use crate::field_value::ValueFault;
use crate::json;
use crate::layout::{LayoutRow, Scalar};
use crate::path::Found;

/// What stands at the place of one row; most often one thing.
#[derive(Debug, Default)]
pub(crate) struct Places<'a> {
    pub(crate) first: Option<Found<'a>>,
    pub(crate) more: Vec<Found<'a>>,
}

impl<'a> Places<'a> {
    /// Finds everything at the place of a row. A list of values counts as its elements where the field has many.
    pub(crate) fn of(row: &LayoutRow, content: &'a Content) -> Self {
        let mut places = Self::default();
        for path in std::iter::once(&row.path).chain(&row.also) {
            path.visit(content, &mut |found| {
                match found {
                    Found::Node(Node::List(items)) if row.field.many && !row.chain.takes_subtree() => {
                        items.iter().for_each(|item| places.add(Found::Node(item)));
                    }
                    found => places.add(found),
                }
                false
            });
            if places.first.is_some() {
                break;
            }
        }
        places
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Found<'a>> {
        self.first.into_iter().chain(self.more.iter().copied())
    }

    fn add(&mut self, found: Found<'a>) {
        let is_empty = match found {
            Found::Cell(text) => text.is_empty(),
            Found::Node(Node::Text(text)) => text.is_empty(),
            Found::Node(node) => *node == Node::Null,
        };
        if is_empty {
            return;
        }
        match self.first {
            None => self.first = Some(found),
            Some(_) => self.more.push(found),
        }
    }
}

impl LayoutRow {
    /// The text that stands there, if it has the JSON type the layout asks for.
    pub(crate) fn text<'a>(&self, found: Found<'a>) -> Result<Cow<'a, str>, ValueFault> {
        let node = match found {
            Found::Cell(text) => return Ok(Cow::Borrowed(text)),
            Found::Node(node) => node,
        };
        if self.chain.takes_subtree() {
            return Ok(Cow::Owned(json::compact(node)));
        }
        match (self.json, node) {
            (Scalar::Bool, Node::Bool(flag)) => Ok(Cow::Borrowed(if *flag { "true" } else { "false" })),
            (Scalar::Number, Node::Number(text)) | (Scalar::Text, Node::Text(text)) => Ok(Cow::Borrowed(text)),
            (wanted, _) => {
                let (ja, en) = match wanted {
                    Scalar::Bool => ("真偽値", "a boolean"),
                    Scalar::Number => ("数値", "a number"),
                    Scalar::Text => ("文字列", "a string"),
                };
                Err(ValueFault::new(
                    RowCode::InvalidValue,
                    format!("JSON の{ja}ではありません"),
                    format!("not {en} of JSON"),
                ))
            }
        }
    }

    /// After the converters; `None` if nothing is left of it.
    pub(crate) fn converted<'a>(
        &self,
        text: Cow<'a, str>,
        noted: &mut Noted,
    ) -> Result<Option<Carried<'a>>, ValueFault> {
        let carried =
            self.chain.read(text, noted).map_err(|reason| ValueFault { code: RowCode::InvalidValue, reason })?;
        Ok(match carried {
            Carried::Text(text) if text.is_empty() => None,
            carried => Some(carried),
        })
    }

    /// After the code table, or checked against the hub's own list where there is none.
    pub(crate) fn coded<'a>(&self, carried: Carried<'a>, today: Date) -> Result<Carried<'a>, ValueFault> {
        let Carried::Text(text) = carried else { return Ok(carried) };
        let mapped = match (&self.codes, &self.hub_codes) {
            (Some(table), _) => table.read(&text, today).map(str::to_owned).map(Cow::Owned),
            (None, Some(list)) => list.code(&text).is_some().then(|| text.clone()),
            (None, None) => return Ok(Carried::Text(text)),
        };
        match mapped {
            Some(mapped) => Ok(Carried::Text(mapped)),
            None if self.keeps_unmapped => Ok(Carried::Text(text)),
            None => Err(ValueFault::new(RowCode::Unmapped, "対応表にないコードです", "a code that no table covers")),
        }
    }
}
