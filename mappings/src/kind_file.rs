//! `kinds/<kind>.toml` as written, and what it becomes.

use std::collections::BTreeSet;

use serde::Deserialize;
use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::{ClassName, CodeTableName, FieldKey, IdentifierSystem, KindName};
use tsunagi_core::kind::{
    CheckDigit, Derivation, Field, IdentifierRule, Kind, OnlyWhere, ScheduleRule, SubjectIdentifier, SubjectRule,
    Validity,
};
use tsunagi_core::registry::Role;
use tsunagi_core::value::ValueType;

use crate::fault::{Faults, Place};
use crate::toml_file::{Entry, SyntaxVersion, TomlFile};

/// A kind as its file states it, with the line of each field.
#[derive(Debug, Clone)]
pub(crate) struct KindFile {
    pub(crate) file: String,
    pub(crate) kind: Kind,
    /// The line of each field of `kind`, in the same order.
    pub(crate) lines: Vec<usize>,
}

/// Reads one file. `None` if it says too little to check anything else against it.
pub(crate) fn read(file: &str, stem: &str, text: &str, faults: &mut Faults) -> Option<KindFile> {
    let mut toml = TomlFile::parse(file, text, faults)?;
    let before = faults.count();
    let entries: Vec<Entry<RawField>> = toml.list("field", faults);
    let fields_are_whole = faults.count() == before;
    let head: Head = toml.head(faults)?;
    if head.kind.as_str() != stem {
        faults.say(
            &Place::whole(file).key("kind"),
            "ファイル名と種別名が一致しません",
            "the name of the kind is not the name of the file",
        );
    }
    let lines = entries.iter().map(|entry| entry.line).collect();
    let fields = entries.into_iter().map(|entry| entry.value.into_field()).collect();
    // With a field missing for a fault of its own, everything that names it would look wrong as well.
    fields_are_whole.then(|| KindFile { file: file.to_owned(), kind: head.into_kind(fields), lines })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    #[serde(rename = "version")]
    _version: SyntaxVersion,
    kind: KindName,
    label: Bilingual,
    business_key: Vec<FieldKey>,
    occurrence: FieldKey,
    responsible: FieldKey,
    sender: Option<FieldKey>,
    retention_years: u16,
    deleted: Option<FieldKey>,
    validity: Option<RawValidity>,
    subject: RawSubject,
    scheme: Option<FieldKey>,
    schedule: Option<RawSchedule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawValidity {
    from: FieldKey,
    until: FieldKey,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSchedule {
    name: String,
    vaccine: FieldKey,
    term: Option<FieldKey>,
    number: FieldKey,
    given_on: FieldKey,
    birth_date: Option<FieldKey>,
    sex: Option<FieldKey>,
    gestation_weeks: Option<FieldKey>,
    gestation_days: Option<FieldKey>,
    #[serde(default)]
    only: Vec<RawOnly>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOnly {
    field: FieldKey,
    codes: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSubject {
    created_by: BTreeSet<Role>,
    non_disclosure: Option<FieldKey>,
    birth_date: Option<FieldKey>,
    identifier: Vec<RawSubjectIdentifier>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSubjectIdentifier {
    system: IdentifierSystem,
    fields: Vec<FieldKey>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawField {
    key: FieldKey,
    #[serde(rename = "type")]
    value_type: ValueType,
    cardinality: Cardinality,
    #[serde(default)]
    expected: bool,
    label: Bilingual,
    disclosure: ClassName,
    example: String,
    code_system: Option<CodeTableName>,
    unit: Option<String>,
    max_length: Option<usize>,
    identifier: Option<RawIdentifier>,
    derived: Option<RawDerivation>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Cardinality {
    #[serde(rename = "0..*")]
    Any,
    #[serde(rename = "1..1")]
    One,
    #[serde(rename = "0..1")]
    Optional,
    #[serde(rename = "1..*")]
    Some,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIdentifier {
    min_length: usize,
    max_length: usize,
    digits_only: bool,
    check_digit: Option<CheckDigit>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case", deny_unknown_fields)]
enum RawDerivation {
    Deadline { from: FieldKey, days: u16, calendar: String },
}

impl Head {
    fn into_kind(self, fields: Vec<Field>) -> Kind {
        let identifiers = self.subject.identifier.into_iter();
        Kind {
            name: self.kind,
            label: self.label,
            fields,
            subject: SubjectRule {
                identifiers: identifiers
                    .map(|raw| SubjectIdentifier { system: raw.system, fields: raw.fields })
                    .collect(),
                created_by: self.subject.created_by,
                non_disclosure: self.subject.non_disclosure,
                birth_date: self.subject.birth_date,
            },
            business_key: self.business_key,
            occurrence: self.occurrence,
            responsible: self.responsible,
            sender: self.sender,
            retention_years: self.retention_years,
            deleted: self.deleted,
            validity: self.validity.map(|raw| Validity { from: raw.from, until: raw.until }),
            scheme: self.scheme,
            schedule: self.schedule.map(RawSchedule::into_rule),
        }
    }
}

impl RawSchedule {
    fn into_rule(self) -> ScheduleRule {
        let only = self.only.into_iter().map(|raw| OnlyWhere { field: raw.field, codes: raw.codes });
        ScheduleRule {
            name: self.name,
            vaccine: self.vaccine,
            term: self.term,
            number: self.number,
            given_on: self.given_on,
            birth_date: self.birth_date,
            sex: self.sex,
            gestation_weeks: self.gestation_weeks,
            gestation_days: self.gestation_days,
            only: only.collect(),
        }
    }
}

impl RawField {
    fn into_field(self) -> Field {
        Field {
            key: self.key,
            value_type: self.value_type,
            required: matches!(self.cardinality, Cardinality::One | Cardinality::Some),
            expected: self.expected,
            many: matches!(self.cardinality, Cardinality::Any | Cardinality::Some),
            label: self.label,
            class: self.disclosure,
            example: self.example,
            code_system: self.code_system,
            unit: self.unit,
            identifier: self.identifier.map(|raw| IdentifierRule {
                min_length: raw.min_length,
                max_length: raw.max_length,
                digits_only: raw.digits_only,
                check_digit: raw.check_digit,
            }),
            max_length: self.max_length,
            derived: self.derived.map(|RawDerivation::Deadline { from, days, calendar }| Derivation::Deadline {
                from,
                days,
                calendar,
            }),
        }
    }
}
