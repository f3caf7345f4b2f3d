//! What the certificate lets happen to a record, and whether that is what happened.

use std::collections::BTreeSet;

use jiff::civil::Date;
use tsunagi_core::id::FieldKey;
use tsunagi_core::kind::{Field, Kind};
use tsunagi_core::record::Record;
use tsunagi_core::value::Value;

use super::generate::{BEYOND_CP932, BEYOND_JIS};
use crate::certificate::Certificate;
use crate::layout::Layout;
use crate::loss::LossKind;

/// What must happen to one record.
pub(super) struct Expected {
    /// Fields that the layout has no words for.
    pub(super) held_in_writing: BTreeSet<FieldKey>,
    /// Fields that the charset has no characters for.
    pub(super) held_in_bytes: BTreeSet<FieldKey>,
    /// Fields that are not there when read, and must be.
    missing: BTreeSet<FieldKey>,
    names_nobody: bool,
}

impl Expected {
    pub(super) fn of(kind: &Kind, layout: &Layout, certificate: &Certificate, record: &Record) -> Self {
        let mut expected = Self {
            held_in_writing: BTreeSet::new(),
            held_in_bytes: BTreeSet::new(),
            missing: BTreeSet::new(),
            names_nobody: false,
        };
        let mut there: BTreeSet<&FieldKey> = BTreeSet::new();
        for field in &kind.fields {
            let key = &field.key;
            let is_lost = layout.lost().iter().any(|lost| lost.field == *key);
            let values = record.fields().get(key).map(Vec::as_slice).unwrap_or_default();
            let losses: Vec<&LossKind> = certificate.losses_of(field).collect();
            if !is_lost && losses.iter().any(|loss| loss.holds(values)) {
                expected.held_in_writing.insert(key.clone());
            }
            if !is_lost && values.iter().any(|value| is_beyond(&certificate.charset, &losses, value)) {
                expected.held_in_bytes.insert(key.clone());
            }
            let has_default = losses.iter().any(|loss| matches!(loss, LossKind::Absent { .. }));
            let comes_back = !is_lost && (has_default || values.iter().any(|value| fold(&losses, value).is_some()));
            if comes_back {
                there.insert(key);
            } else if field.derived.is_none()
                && (field.required || certificate.required.iter().any(|required| required.field == *key))
            {
                expected.missing.insert(key.clone());
            }
        }
        let names = |key: &FieldKey| there.contains(key);
        expected.names_nobody = !kind.subject.identifiers.iter().any(|one| one.fields.iter().all(names));
        expected
    }

    /// True if the row that is written is refused when it is read.
    pub(super) fn is_incomplete(&self) -> bool {
        self.names_nobody || !self.missing.is_empty()
    }
}

/// True if what came back of a field is what the certificate says.
pub(super) fn comes_back(
    field: &Field,
    layout: &Layout,
    certificate: &Certificate,
    before: &[Value],
    after: &[Value],
    today: Date,
) -> bool {
    if layout.lost().iter().any(|lost| lost.field == field.key) && field.derived.is_none() {
        return after.is_empty();
    }
    if before == after {
        return true;
    }
    let losses: Vec<&LossKind> = certificate.losses_of(field).collect();
    if before.is_empty() {
        return losses.iter().any(|loss| matches!(loss, LossKind::Absent { .. }));
    }
    let left: Vec<&Value> = before.iter().filter(|value| fold(&losses, value).is_some()).collect();
    left.len() == after.len()
        && left.iter().zip(after).all(|(one, other)| agrees(&losses, layout, field, one, other, today))
}

fn agrees(losses: &[&LossKind], layout: &Layout, field: &Field, before: &Value, after: &Value, today: Date) -> bool {
    let as_code = |value: &Value| {
        let table = layout.rows.iter().find(|row| row.field.key == field.key).and_then(|row| row.codes.as_ref());
        match (table, value) {
            (Some(table), Value::Text(text)) => {
                let theirs = table.write(text, today).unwrap_or(text);
                Value::Text(table.read(theirs, today).unwrap_or(theirs).to_owned())
            }
            (_, value) => value.clone(),
        }
    };
    before == after
        || losses.iter().any(|loss| loss.explains_date(before, after))
        || fold(losses, before) == fold(losses, after)
        || (losses.contains(&&LossKind::TextAsCode) && as_code(before) == *after)
}

/// The value less everything that the losses take away.
fn fold(losses: &[&LossKind], value: &Value) -> Option<Value> {
    losses.iter().try_fold(value.clone(), |value, loss| loss.fold(value))
}

/// True if the charset has no place for what is written of a value.
fn is_beyond(charset: &str, losses: &[&LossKind], value: &Value) -> bool {
    let Value::Text(text) = value else { return false };
    let table = losses.iter().find_map(|loss| match loss {
        LossKind::Shrunk { characters, .. } => Some(characters),
        _ => None,
    });
    let text = table.map_or(text.into(), |table| table.shrunk(text));
    match charset {
        "cp932" => text.contains(BEYOND_CP932),
        "iso-2022-jp" => text.contains(BEYOND_CP932) || text.contains(BEYOND_JIS),
        _ => false,
    }
}
