//! The canonical record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{FieldKey, KindName};
use crate::value::Value;

/// One unit of meaning that travels, in the hub's own form and codes (記録).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    kind: KindName,
    fields: BTreeMap<FieldKey, Vec<Value>>,
}

impl Record {
    /// States that `fields` are a record of `kind`. Only the mapping engine, which has checked them
    /// against the kind, and the store, which reads back what it was given, may say so; clippy bans
    /// the call elsewhere.
    pub fn assertion(kind: KindName, fields: BTreeMap<FieldKey, Vec<Value>>) -> Self {
        Self { kind, fields }
    }

    /// What this is a record of.
    pub fn kind(&self) -> &KindName {
        &self.kind
    }

    /// All fields that are present, each with at least one value.
    pub fn fields(&self) -> &BTreeMap<FieldKey, Vec<Value>> {
        &self.fields
    }

    /// The first value of a field.
    pub fn first(&self, key: &FieldKey) -> Option<&Value> {
        self.fields.get(key).and_then(|values| values.first())
    }

    /// The first value of a field as plain text.
    pub fn text(&self, key: &FieldKey) -> Option<String> {
        self.first(key).and_then(Value::plain)
    }

    /// Takes a field out, as identification does with 個人番号.
    pub fn take(&mut self, key: &FieldKey) -> Vec<Value> {
        self.fields.remove(key).unwrap_or_default()
    }

    /// Keeps the fields for which `keep` holds; the others leave no trace.
    pub(crate) fn retain(&mut self, keep: impl Fn(&FieldKey) -> bool) {
        self.fields.retain(|key, _| keep(key));
    }
}
