//! The proof (往復検証): generated records go record → document → bytes → document → record, and what does not come back
//! must be in the loss certificate of the layout. What the certificate says is held must be held, too.
//!
//! Bytes are not this crate's business: whoever knows the adapters hands in a [`Wire`].

mod compare;
mod generate;
mod tape;

use std::collections::BTreeSet;

use jiff::civil::Date;
use tsunagi_core::document::{Content, Document, Node};
use tsunagi_core::fault::{RowCode, RowFault};
use tsunagi_core::id::{FieldKey, LayoutId};
use tsunagi_core::kind::Kind;
use tsunagi_core::record::Record;
use tsunagi_core::value::{Value, ValueType};

use crate::canonicalize::Context;
use crate::certificate::Certificate;
use crate::convert::Carried;
use crate::layout::Layout;
use crate::path::Path;
use crate::tables::Tables;
use compare::Expected;
pub use generate::Wish;
pub use tape::Tape;

/// Takes a document through its format's bytes and back, or says which cells they cannot hold.
pub type Wire<'w> = &'w dyn Fn(&Layout, &Document) -> Result<Document, Vec<RowFault>>;

/// What became of one generated record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returned {
    /// It came back, less what the certificate names.
    Equal,
    /// It was held or refused, as the certificate says it must be.
    Held,
}

/// A record for which the certificate does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofFailure {
    /// The layout.
    pub layout: LayoutId,
    /// The field, where it is about one.
    pub field: Option<FieldKey>,
    /// What happened, in English. It shows values: they are generated.
    pub reason: String,
}

/// What many records have shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proof {
    /// Records that came back.
    pub equal: usize,
    /// Records that were held as they must be.
    pub held: usize,
    /// Records for which the certificate does not hold; at most [`MOST_FAILURES`].
    pub failures: Vec<ProofFailure>,
}

/// After so many the rest of a layout is not looked at: they mostly say the same.
pub const MOST_FAILURES: usize = 5;

impl Tables {
    /// Proves a layout with `records` records, the same ones on every run.
    pub fn prove(&self, layout: &Layout, records: u32, today: Date, wire: Wire<'_>) -> Proof {
        let mut proof = Proof::default();
        for seed in 0..records {
            match self.prove_one(layout, &mut Tape::seeded(seed.into()), today, wire) {
                Ok(Returned::Equal) => proof.equal += 1,
                Ok(Returned::Held) => proof.held += 1,
                Err(failure) => proof.failures.push(failure),
            }
            if proof.failures.len() == MOST_FAILURES {
                break;
            }
        }
        proof
    }

    /// Sends one record there and back. The tape decides which record it is.
    pub fn prove_one(
        &self,
        layout: &Layout,
        tape: &mut Tape<'_>,
        today: Date,
        wire: Wire<'_>,
    ) -> Result<Returned, ProofFailure> {
        let (Some(kind), Some(certificate)) = (self.kind(layout.kind()), self.certificate(layout, today)) else {
            return Err(failure(layout, None, "its kind is not loaded"));
        };
        let record = self.generate(kind, tape, &wishes(layout));
        let expected = Expected::of(kind, layout, &certificate, &record);
        let round =
            Round { tables: self, layout, kind, certificate: &certificate, record: &record, today, is_doubtful: false };
        round.go(&expected, wire)
    }

    /// Sends a record there and back that was not generated but came from somewhere. Which characters the charset has
    /// no place for is then for the wire to say.
    #[cfg(fuzzing)]
    pub fn prove_record(
        &self,
        layout: &Layout,
        record: &Record,
        today: Date,
        wire: Wire<'_>,
    ) -> Result<Returned, ProofFailure> {
        let (Some(kind), Some(certificate)) = (self.kind(layout.kind()), self.certificate(layout, today)) else {
            return Err(failure(layout, None, "its kind is not loaded"));
        };
        let mut expected = Expected::of(kind, layout, &certificate, record);
        expected.held_in_bytes.clear();
        if certificate.charset == "cp932"
            && let Ok(document) = self.localize(layout, record, 1, today)
            && let Err(faults) = wire(layout, &document)
        {
            let keys = faults.iter().filter_map(|fault| field_at(layout, &fault.column)).cloned();
            expected.held_in_bytes.extend(keys);
        }
        Round { tables: self, layout, kind, certificate: &certificate, record, today, is_doubtful: true }
            .go(&expected, wire)
    }
}

/// What makes records reach far into a layout: a record that lacks what the layout requires shows nothing else.
fn wishes(layout: &Layout) -> Vec<(FieldKey, Wish)> {
    let rows = layout.rows.iter().filter(|row| row.nth == 0);
    rows.filter_map(|row| {
        let key = row.field.key.clone();
        if row.chain.takes_subtree() {
            return Some((key, Wish::Json));
        }
        row.required.then_some((key, Wish::There))
    })
    .collect()
}

/// One record on its way.
struct Round<'a> {
    tables: &'a Tables,
    layout: &'a Layout,
    kind: &'a Kind,
    certificate: &'a Certificate,
    record: &'a Record,
    today: Date,
    /// The record may hold identifiers with wrong check digits: those that are generated have right ones.
    is_doubtful: bool,
}

impl Round<'_> {
    fn go(&self, expected: &Expected, wire: Wire<'_>) -> Result<Returned, ProofFailure> {
        let document = match self.tables.localize(self.layout, self.record, 1, self.today) {
            Err(faults) => return self.held("writing", &faults, &expected.held_in_writing, RowCode::Unmapped),
            Ok(_) if !expected.held_in_writing.is_empty() => {
                let key = expected.held_in_writing.first();
                return Err(self.failure(key, "is written although the certificate says it is held"));
            }
            Ok(document) => document,
        };
        let mut document = match wire(self.layout, &document) {
            Err(faults) => return self.held("encoding", &faults, &expected.held_in_bytes, RowCode::Unmappable),
            Ok(_) if !expected.held_in_bytes.is_empty() => {
                let key = expected.held_in_bytes.first();
                return Err(self.failure(key, "is encoded although it has a character outside the charset"));
            }
            Ok(document) => document,
        };
        if !self.layout.matches(&document) {
            return Err(self.failure(None, "what the layout writes does not satisfy its own `match`"));
        }
        put_my_number(self.layout, self.record, &mut document);
        let context = Context { today: self.today, check_digits_are_errors: false };
        let canonical = match self.tables.canonicalize(self.layout, &document, &context) {
            Err(faults) => return self.refused(&faults, expected),
            Ok(_) if expected.is_incomplete() => {
                return Err(self.failure(None, "is accepted although the certificate says that something is missing"));
            }
            Ok(canonical) => canonical,
        };
        // What a record says may be odd; how it is written must not be.
        let of_writing = |fault: &&RowFault| match fault.code {
            RowCode::CheckDigit => !self.is_doubtful,
            code => code == RowCode::EraOverlong,
        };
        if let Some(warning) = canonical.warnings.iter().find(of_writing) {
            let code = warning.code.as_str();
            return Err(self.failure(None, &format!("{}: what is written is warned of as {code}", warning.column)));
        }
        self.compare(&canonical.record)
    }

    /// The fields that are held must be those that the certificate says, all of them and no other.
    fn held(
        &self,
        stage: &str,
        faults: &[RowFault],
        expected: &BTreeSet<FieldKey>,
        code: RowCode,
    ) -> Result<Returned, ProofFailure> {
        for fault in faults {
            let key = field_at(self.layout, &fault.column);
            if fault.code != code || !key.is_some_and(|key| expected.contains(key)) {
                let (column, why) = (&fault.column, &fault.reason.en);
                let reason = format!("{stage} is refused and the certificate does not say so: {column}: {why}");
                return Err(self.failure(key, &reason));
            }
        }
        let is_named = |key: &FieldKey| faults.iter().any(|fault| field_at(self.layout, &fault.column) == Some(key));
        match expected.iter().find(|key| !is_named(key)) {
            Some(key) => Err(self.failure(Some(key), &format!("should be held in {stage} and is not"))),
            None => Ok(Returned::Held),
        }
    }

    fn refused(&self, faults: &[RowFault], expected: &Expected) -> Result<Returned, ProofFailure> {
        match faults.iter().find(|fault| fault.code != RowCode::Incomplete || !expected.is_incomplete()) {
            None => Ok(Returned::Held),
            Some(fault) => {
                let (column, why) = (&fault.column, &fault.reason.en);
                let key = field_at(self.layout, column);
                Err(self.failure(key, &format!("what is written cannot be read: {column}: {why}")))
            }
        }
    }

    fn compare(&self, after: &Record) -> Result<Returned, ProofFailure> {
        for field in &self.kind.fields {
            let none = Vec::new();
            let (before, after) = (
                self.record.fields().get(&field.key).unwrap_or(&none),
                after.fields().get(&field.key).unwrap_or(&none),
            );
            if !compare::comes_back(field, self.layout, self.certificate, before, after, self.today) {
                let reason = format!("an undeclared loss: {} became {}", shown(before), shown(after));
                return Err(self.failure(Some(&field.key), &reason));
            }
        }
        Ok(Returned::Equal)
    }

    fn failure(&self, field: Option<&FieldKey>, reason: &str) -> ProofFailure {
        failure(self.layout, field, reason)
    }
}

/// 個人番号 is never written: the proof puts it where a participant would, so that reading it is proved as well.
fn put_my_number(layout: &Layout, record: &Record, document: &mut Document) {
    for row in layout.rows.iter().filter(|row| row.field.value_type == ValueType::MyNumber) {
        let Some(Value::MyNumber(number)) = record.first(&row.field.key) else { continue };
        let number = number.expose();
        let Some(text) = row.chain.write(Carried::Text(number.into())) else { continue };
        match (&row.path, &mut document.content) {
            (Path::Tree(path), Content::Tree(root)) => path.put(root, Node::Text(text.into_owned())),
            (Path::Column(_), Content::Row(cells)) => {
                let at = cells.columns.iter().position(|name| *name == row.column);
                if let Some(cell) = at.and_then(|at| cells.cells.get_mut(at)) {
                    *cell = text.into_owned();
                }
            }
            (Path::Column(_), Content::Tree(_)) | (Path::Tree(_), Content::Row(_)) => {}
        }
    }
}

fn field_at<'a>(layout: &'a Layout, column: &str) -> Option<&'a FieldKey> {
    layout.rows.iter().find(|row| row.column == column).map(|row| &row.field.key)
}

fn failure(layout: &Layout, field: Option<&FieldKey>, reason: &str) -> ProofFailure {
    ProofFailure { layout: layout.id().clone(), field: field.cloned(), reason: reason.to_owned() }
}

fn shown(values: &[Value]) -> String {
    let texts: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
}

#[cfg(test)]
mod tests;
