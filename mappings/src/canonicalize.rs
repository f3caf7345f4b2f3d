//! Document to record (共通化): all faults of a row at once, in the sender's own columns.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use jiff::civil::Date;
use tsunagi_core::document::Document;
use tsunagi_core::fault::{Bilingual, RowCode, RowFault};
use tsunagi_core::id::FieldKey;
use tsunagi_core::kind::{Derivation, Field, Kind};
use tsunagi_core::partial_date::PartialDate;
use tsunagi_core::record::Record;
use tsunagi_core::value::Value;

use crate::convert::Noted;
use crate::field_value::{self, ValueFault};
use crate::layout::{Layout, LayoutRow};
use crate::reading::Places;
use crate::tables::Tables;

/// What reading depends on besides the tables.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// The day by which code pairs are valid or not.
    pub today: Date,
    /// The channel refuses wrong check digits instead of warning.
    pub check_digits_are_errors: bool,
}

/// A record, and what is odd about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canonical {
    /// The record, checked against its kind.
    pub record: Record,
    /// What was accepted with a warning.
    pub warnings: Vec<RowFault>,
}

impl Tables {
    /// Computes the fields that the gateway derives, where what they are computed from is there and whole.
    pub(crate) fn derive(&self, kind: &Kind, fields: &mut BTreeMap<FieldKey, Vec<Value>>) {
        for field in &kind.fields {
            let Some(Derivation::Deadline { from, days, calendar }) = &field.derived else { continue };
            let start = fields.get(from).and_then(|values| values.first()).and_then(Value::date);
            if let (Some(start), Some(calendar)) = (start.and_then(|date| date.full()), self.calendar(calendar)) {
                let last = Value::Date(PartialDate::Full(calendar.deadline(start, *days)));
                fields.insert(field.key.clone(), vec![last]);
            }
        }
    }

    /// Turns a document of a layout into a record, or says everything that is wrong with it. Values that the kind
    /// derives are computed; what the sender says of them is not looked at.
    pub fn canonicalize(
        &self,
        layout: &Layout,
        document: &Document,
        context: &Context,
    ) -> Result<Canonical, Vec<RowFault>> {
        let Some(kind) = self.kind(&layout.kind) else {
            return Err(vec![unknown_kind(document.row)]);
        };
        let mut work = Work {
            layout,
            kind,
            document,
            context,
            fields: BTreeMap::new(),
            faults: Vec::new(),
            warnings: Vec::new(),
            faulty: Vec::new(),
        };
        work.read_rows();
        self.derive(kind, &mut work.fields);
        work.require_fields();
        work.expect_fields();
        work.require_identifier();
        let mut canonical = work.finish()?;
        canonical.warnings.extend(self.scheme_warning(kind, layout, document.row, &canonical.record, context.today));
        canonical.warnings.extend(self.schedule_warnings(layout, document.row, &canonical.record));
        Ok(canonical)
    }
}

struct Work<'a> {
    layout: &'a Layout,
    kind: &'a Kind,
    document: &'a Document,
    context: &'a Context,
    fields: BTreeMap<FieldKey, Vec<Value>>,
    faults: Vec<RowFault>,
    warnings: Vec<RowFault>,
    /// Fields with a fault of their own: that they are missing needs no second one.
    faulty: Vec<&'a FieldKey>,
}

impl<'a> Work<'a> {
    fn read_rows(&mut self) {
        for row in self.layout.rows.iter().filter(|row| row.field.derived.is_none()) {
            let is_settled = self.read_row(row);
            if row.required && !row.field.required && !is_settled {
                self.missing(&row.field, &row.column);
            }
        }
    }

    /// False if nothing stands at the place of the row.
    fn read_row(&mut self, row: &'a LayoutRow) -> bool {
        let places = Places::of(row, &self.document.content);
        if let (Some(place), Some(unit)) = (&row.unit, &row.field.unit)
            && let Some(fault) = place.fault(&self.document.content, unit, places.first.is_some())
        {
            return self.refuse(row, fault);
        }
        if !row.field.many && !places.more.is_empty() {
            let fault = ValueFault::new(
                RowCode::InvalidValue,
                "1つだけ書ける項目に複数の値があります",
                "several values where there can be one",
            );
            return self.refuse(row, fault);
        }
        if places.first.is_none() {
            return row.default.as_ref().is_some_and(|default| self.take(row, Cow::Borrowed(default)));
        }
        let mut is_settled = false;
        for found in places.iter() {
            is_settled |= match row.text(found) {
                Ok(text) => self.take(row, text),
                Err(fault) => self.refuse(row, fault),
            };
        }
        is_settled
    }

    /// One value through converters, codes and checks; false if the converters left nothing of it.
    fn take(&mut self, row: &'a LayoutRow, text: Cow<'_, str>) -> bool {
        let mut noted = Noted::default();
        let value = row.converted(text, &mut noted).and_then(|carried| match carried {
            Some(carried) => row
                .coded(carried, self.context.today)
                .and_then(|carried| field_value::value(&row.field, carried))
                .map(Some),
            None => Ok(None),
        });
        let (value, wrong_check_digit) = match value {
            Ok(Some(value)) => value,
            Ok(None) => return false,
            Err(fault) => return self.refuse(row, fault),
        };
        if noted.era_overlong {
            let reason =
                Bilingual::new("終わった元号で書かれた日付です", "the date is written in an era that had ended");
            self.warnings.push(self.fault(&row.column, RowCode::EraOverlong, reason));
        }
        if wrong_check_digit {
            let reason = Bilingual::new("検査数字が合いません", "the check digit is wrong");
            let fault = self.fault(&row.column, RowCode::CheckDigit, reason);
            if self.context.check_digits_are_errors {
                self.faulty.push(&row.field.key);
                self.faults.push(fault);
                return true;
            }
            self.warnings.push(fault);
        }
        match self.fields.entry(row.field.key.clone()) {
            Entry::Occupied(mut values) => values.get_mut().push(value),
            Entry::Vacant(place) => {
                // Most fields have one value: room for one is enough.
                place.insert(vec![value]);
            }
        }
        true
    }

    fn require_fields(&mut self) {
        for field in self.kind.fields.iter().filter(|field| field.required) {
            if self.fields.contains_key(&field.key) || self.faulty.contains(&&field.key) {
                continue;
            }
            // What a derived field is computed from is what the sender can repair.
            let wanted = match &field.derived {
                Some(Derivation::Deadline { from, .. }) if self.faulty.contains(&from) => continue,
                Some(Derivation::Deadline { from, .. }) => from,
                None => &field.key,
            };
            let column = self.column_of(wanted).unwrap_or_default().to_owned();
            self.missing(field, &column);
        }
    }

    /// What the record should have and has not is a warning: it may be unknown, and the rest of it is true.
    fn expect_fields(&mut self) {
        for field in self.kind.fields.iter().filter(|field| field.expected && !field.required) {
            if self.fields.contains_key(&field.key) || self.faulty.contains(&&field.key) {
                continue;
            }
            let Some(column) = self.column_of(&field.key) else { continue };
            let reason = Bilingual::new(
                format!("「{}」がありません", field.label.ja),
                format!("\"{}\" is missing", field.label.en),
            );
            self.warnings.push(self.fault(column, RowCode::Incomplete, reason));
        }
    }

    fn require_identifier(&mut self) {
        let identifiers = &self.kind.subject.identifiers;
        let is_complete = identifiers.iter().any(|one| one.fields.iter().all(|key| self.fields.contains_key(key)));
        let is_known_fault = identifiers.iter().flat_map(|one| &one.fields).any(|key| self.faulty.contains(&key));
        if is_complete || is_known_fault {
            return;
        }
        let columns: Vec<String> = identifiers
            .iter()
            .filter_map(|one| one.fields.iter().map(|key| self.column_of(key)).collect::<Option<Vec<_>>>())
            .map(|columns| columns.join(" + "))
            .collect();
        let (ja, en) = (columns.join("、"), columns.join(", "));
        let reason = Bilingual::new(
            format!("対象者を特定する項目がありません（次のいずれか: {ja}）"),
            format!("nothing names the subject (one of: {en})"),
        );
        self.faults.push(self.fault("", RowCode::Incomplete, reason));
    }

    fn finish(self) -> Result<Canonical, Vec<RowFault>> {
        if self.faults.is_empty() {
            let record = assert_record(self.kind, self.fields);
            Ok(Canonical { record, warnings: self.warnings })
        } else {
            Err(self.faults)
        }
    }

    fn column_of(&self, key: &FieldKey) -> Option<&'a str> {
        self.layout.rows.iter().find(|row| row.field.key == *key).map(|row| row.column.as_str())
    }

    fn missing(&mut self, field: &'a Field, column: &str) {
        let label = &field.label;
        let reason = Bilingual::new(
            format!("必須項目「{}」がありません", label.ja),
            format!("the required item \"{}\" is missing", label.en),
        );
        self.faulty.push(&field.key);
        self.faults.push(self.fault(column, RowCode::Incomplete, reason));
    }

    /// Notes a fault of a row, which settles it.
    fn refuse(&mut self, row: &'a LayoutRow, fault: ValueFault) -> bool {
        self.faulty.push(&row.field.key);
        self.faults.push(self.fault(&row.column, fault.code, fault.reason));
        true
    }

    fn fault(&self, column: &str, code: RowCode, reason: Bilingual) -> RowFault {
        RowFault { row: self.document.row, column: column.to_owned(), code, reason }
    }
}

/// The one place where the engine says that checked fields are a record of their kind.
#[expect(
    clippy::disallowed_methods,
    reason = "the mapping engine makes records: the fields were checked against the kind"
)]
pub(crate) fn assert_record(kind: &Kind, fields: BTreeMap<FieldKey, Vec<Value>>) -> Record {
    Record::assertion(kind.name.clone(), fields)
}

/// The layout is not of these tables: they were exchanged in between.
fn unknown_kind(row: u64) -> RowFault {
    RowFault {
        row,
        column: String::new(),
        code: RowCode::Malformed,
        reason: Bilingual::new("この記録種別は読み込まれていません", "this kind of record is not loaded"),
    }
}

#[cfg(test)]
mod tests;
