//! What a kind file says, once it has been checked.

use std::collections::BTreeSet;

use crate::fault::Bilingual;
use crate::id::{ClassName, CodeTableName, FieldKey, IdentifierSystem, KindName};
use crate::record::Record;
use crate::registry::Role;
use crate::schedule::{Dose, Gestation, Recipient};
use crate::value::{Value, ValueType};

/// A record kind (記録種別): data, not code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// Its name.
    pub name: KindName,
    /// Its name for people.
    pub label: Bilingual,
    /// Its fields, in the order of the file.
    pub fields: Vec<Field>,
    /// Whose record it is.
    pub subject: SubjectRule,
    /// The fields that say "the same record again": an equal key is a new version of the same record.
    pub business_key: Vec<FieldKey>,
    /// The field that says when it happened.
    pub occurrence: FieldKey,
    /// The field that names the responsible municipality, in six digits.
    pub responsible: FieldKey,
    /// The field that names the institution which sends it: from a hospital it must be the certificate's own.
    pub sender: Option<FieldKey>,
    /// How long it is kept after it happened.
    pub retention_years: u16,
    /// A flag in the record that withdraws it: true makes the new version a tombstone.
    pub deleted: Option<FieldKey>,
    /// From when until when a right holds, for kinds that are rights.
    pub validity: Option<Validity>,
    /// The field whose 公費負担者番号 says under which scheme the right is; one that no table names is flagged.
    pub scheme: Option<FieldKey>,
    /// The schedule that its records are held against, for kinds that are doses.
    pub schedule: Option<ScheduleRule>,
}

/// Which fields of a record are what a schedule asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRule {
    /// The schedule, `mappings/schedules/<name>.toml`.
    pub name: String,
    /// The code of the vaccine.
    pub vaccine: FieldKey,
    /// The code of the term (期).
    pub term: Option<FieldKey>,
    /// The number of the dose.
    pub number: FieldKey,
    /// The day it was given.
    pub given_on: FieldKey,
    /// The date of birth of the one it was given to.
    pub birth_date: Option<FieldKey>,
    /// The sex of the one it was given to.
    pub sex: Option<FieldKey>,
    /// Full weeks of pregnancy.
    pub gestation_weeks: Option<FieldKey>,
    /// Days beyond them.
    pub gestation_days: Option<FieldKey>,
    /// Records that are no doses under the schedule are told by these fields.
    pub only: Vec<OnlyWhere>,
}

/// Only records in which a field has one of these codes, or is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnlyWhere {
    /// The field.
    pub field: FieldKey,
    /// The codes.
    pub codes: BTreeSet<String>,
}

/// One field of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its key.
    pub key: FieldKey,
    /// What it holds.
    pub value_type: ValueType,
    /// Whether it must be there.
    pub required: bool,
    /// Whether law or custom has it there: a record without it is taken, with a warning.
    pub expected: bool,
    /// Whether there may be several values.
    pub many: bool,
    /// Its name for people.
    pub label: Bilingual,
    /// How far it may travel.
    pub class: ClassName,
    /// An invented value, in the hub's form.
    pub example: String,
    /// The code system its codes are of.
    pub code_system: Option<CodeTableName>,
    /// The unit of a number (UCUM).
    pub unit: Option<String>,
    /// What an identifier has to look like.
    pub identifier: Option<IdentifierRule>,
    /// The longest text allowed, in characters.
    pub max_length: Option<usize>,
    /// How the gateway computes it where the sender cannot know it.
    pub derived: Option<Derivation>,
}

/// Length, characters and check digit of an identifier field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentifierRule {
    /// The shortest length allowed, in characters.
    pub min_length: usize,
    /// The longest length allowed, in characters.
    pub max_length: usize,
    /// Half-width digits only.
    pub digits_only: bool,
    /// The check digit, if it has one.
    pub check_digit: Option<CheckDigit>,
}

/// The check-digit rules of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckDigit {
    /// 全国地方公共団体コード; always an error when wrong.
    LocalGovernment,
    /// Modulus 10 with weights 2,1,2,1 from the right; the prefectures 11–14 leave out the first digits.
    MedicalInstitution,
    /// Modulus 10 with weights 2,1,2,1 from the right.
    Modulus10,
    /// 個人番号
    MyNumber,
}

/// Who the record is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectRule {
    /// The identifiers that can name the subject; at least one must be present in a record.
    pub identifiers: Vec<SubjectIdentifier>,
    /// Whose submission may make a subject that is not known yet; from all others the row waits for review.
    pub created_by: BTreeSet<Role>,
    /// The field that carries the non-disclosure flag of the subject, read from the tenant's own municipality only.
    pub non_disclosure: Option<FieldKey>,
    /// The field with the subject's date of birth: a proxy's right ends by it.
    pub birth_date: Option<FieldKey>,
}

/// One identifier of a subject: its parts are joined with `:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectIdentifier {
    /// The system, from `mappings/identifiers.toml`.
    pub system: IdentifierSystem,
    /// The fields whose values make it, all of which must be present.
    pub fields: Vec<FieldKey>,
}

/// The two ends of a right, both inclusive, in Japan's dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validity {
    /// First day
    pub from: FieldKey,
    /// Last day
    pub until: FieldKey,
}

/// A field that the gateway computes by a rule and a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Derivation {
    /// `days` counted with the day of `from` as the first, moved to the next open day of `calendar`.
    Deadline {
        /// The field counted from.
        from: FieldKey,
        /// How many days, the first included.
        days: u16,
        /// The closed days, `mappings/calendars/<name>.toml`.
        calendar: String,
    },
}

impl Kind {
    /// The field with this key.
    pub fn field(&self, key: &FieldKey) -> Option<&Field> {
        self.fields.iter().find(|field| field.key == *key)
    }

    /// All classes its fields have.
    pub fn classes(&self) -> BTreeSet<&ClassName> {
        self.fields.iter().map(|field| &field.class).collect()
    }

    /// The subject's identifiers that a record carries, as (system, value); 個人番号 is not among them, for it is
    /// not a plain value.
    pub fn identifiers_of(&self, record: &Record) -> Vec<(IdentifierSystem, String)> {
        self.subject
            .identifiers
            .iter()
            .filter_map(|identifier| {
                let parts: Option<Vec<String>> = identifier.fields.iter().map(|key| record.text(key)).collect();
                Some((identifier.system.clone(), parts?.join(":")))
            })
            .collect()
    }

    /// The dose that a record is, and who it was given to. `None` for a kind without a schedule, a record that is no dose
    /// under it, one that was withdrawn, and one that does not say which dose it is.
    pub fn dose_of(&self, record: &Record) -> Option<(Dose, Recipient)> {
        let rule = self.schedule.as_ref()?;
        let withdrawn = self.deleted.as_ref().and_then(|key| record.first(key)) == Some(&Value::Bool(true));
        let counts = |only: &OnlyWhere| record.text(&only.field).is_none_or(|code| only.codes.contains(&code));
        if withdrawn || !rule.only.iter().all(counts) {
            return None;
        }
        let number = |key: &FieldKey| match record.first(key) {
            Some(Value::Integer(number)) => Some(*number),
            _ => None,
        };
        let text = |key: &Option<FieldKey>| key.as_ref().and_then(|key| record.text(key));
        let date = |key: &FieldKey| record.first(key).and_then(Value::date);
        let gestation = rule.gestation_weeks.as_ref().and_then(number).and_then(|weeks| {
            let days = rule.gestation_days.as_ref().and_then(number).and_then(|days| u16::try_from(days).ok());
            Some(Gestation { weeks: u16::try_from(weeks).ok()?, days })
        });
        let dose = Dose {
            vaccine: record.text(&rule.vaccine)?,
            term: text(&rule.term),
            number: u32::try_from(number(&rule.number)?).ok()?,
            given_on: date(&rule.given_on)?,
            gestation,
        };
        let recipient = Recipient {
            birth: rule.birth_date.as_ref().and_then(date),
            sex: text(&rule.sex),
            gestation: gestation.zip(dose.given_on.full()),
        };
        Some((dose, recipient))
    }

    /// The business key of a record: the plain values of its key fields, absent ones as the empty text.
    pub fn business_key_of(&self, record: &Record) -> Vec<String> {
        self.business_key.iter().map(|key| record.text(key).unwrap_or_default()).collect()
    }
}
