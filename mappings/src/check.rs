//! Kinds against everything they name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tsunagi_core::id::{ClassName, CodeTableName, FieldKey};
use tsunagi_core::kind::{Derivation, Field, Kind};
use tsunagi_core::value::ValueType;

use crate::code_list::CodeList;
use crate::fault::{Faults, Place};
use crate::field_value;
use crate::identifier_file::IdentifierSystem;
use crate::kind_file::KindFile;
use crate::schedule_check;

/// What kinds name. A part that could not be read is `None`, and nothing is checked against it.
pub(crate) struct Known<'a> {
    pub(crate) classes: Option<BTreeSet<&'a ClassName>>,
    pub(crate) systems: Option<&'a [IdentifierSystem]>,
    pub(crate) code_lists: &'a BTreeMap<CodeTableName, Arc<CodeList>>,
    pub(crate) calendars: &'a BTreeSet<String>,
    pub(crate) schedules: schedule_check::Known<'a>,
}

/// Reports everything in a kind that names nothing or does not fit.
pub(crate) fn kind(raw: &KindFile, known: &Known<'_>, faults: &mut Faults) {
    let mut check = Check { file: &raw.file, kind: &raw.kind, known, faults };
    check.references();
    check.subject();
    schedule_check::kind(check.file, check.kind, &known.schedules, check.faults);
    let mut seen = BTreeSet::new();
    for (field, line) in raw.kind.fields.iter().zip(&raw.lines) {
        let place = Place { file: &raw.file, line: Some(*line), path: format!("field.{}", field.key) };
        if !seen.insert(&field.key) {
            let key = &field.key;
            check.faults.say(&place, format!("{key} が重複しています"), format!("{key} is here twice"));
        }
        check.field(field, &place);
    }
}

struct Check<'a, 'f> {
    file: &'a str,
    kind: &'a Kind,
    known: &'a Known<'a>,
    faults: &'f mut Faults,
}

const DAY: &[ValueType] = &[ValueType::Date, ValueType::DateTime];
const FLAG: &[ValueType] = &[ValueType::Bool];
const NAME: &[ValueType] = &[ValueType::Text, ValueType::Code];

impl Check<'_, '_> {
    fn references(&mut self) {
        let kind = self.kind;
        if kind.business_key.is_empty() {
            let place = Place::whole(self.file).key("business_key");
            self.faults.say(&place, "空です", "is empty");
        }
        for key in &kind.business_key {
            self.reference("business_key", key, &[]);
        }
        self.reference("occurrence", &kind.occurrence, DAY);
        self.reference("responsible", &kind.responsible, NAME);
        for (at, key, types) in
            [("sender", &kind.sender, NAME), ("deleted", &kind.deleted, FLAG), ("scheme", &kind.scheme, NAME)]
        {
            if let Some(key) = key {
                self.reference(at, key, types);
            }
        }
        if let Some(validity) = &kind.validity {
            self.reference("validity.from", &validity.from, DAY);
            self.reference("validity.until", &validity.until, DAY);
        }
    }

    fn subject(&mut self) {
        let subject = &self.kind.subject;
        if let Some(key) = &subject.non_disclosure {
            self.reference("subject.non_disclosure", key, FLAG);
        }
        if let Some(key) = &subject.birth_date {
            self.reference("subject.birth_date", key, DAY);
        }
        if subject.identifiers.is_empty() {
            let place = Place::whole(self.file).key("subject.identifier");
            self.faults.say(&place, "1つ以上必要です", "at least one is needed");
        }
        for (at, identifier) in subject.identifiers.iter().enumerate() {
            let path = format!("subject.identifier[{}]", at + 1);
            let system = &identifier.system;
            if self.known.systems.is_some_and(|systems| !systems.iter().any(|known| known.name == *system)) {
                let place = Place::whole(self.file).key(&path).key("system");
                self.faults.say(
                    &place,
                    format!("identifiers.toml に {system} はありません"),
                    format!("identifiers.toml has no {system}"),
                );
            }
            if identifier.fields.is_empty() {
                self.faults.say(&Place::whole(self.file).key(&path).key("fields"), "空です", "is empty");
            }
            for key in &identifier.fields {
                self.reference(&format!("{path}.fields"), key, &[]);
            }
        }
    }

    /// A key must name a field, of one of the types if any are given.
    fn reference(&mut self, at: &str, key: &FieldKey, types: &[ValueType]) {
        let place = Place::whole(self.file).key(at);
        match self.kind.field(key) {
            None => self.faults.say(&place, format!("項目 {key} はありません"), format!("there is no field {key}")),
            Some(field) if !types.is_empty() && !types.contains(&field.value_type) => {
                self.faults.say(
                    &place,
                    format!("項目 {key} の型が合いません"),
                    format!("the field {key} has the wrong type"),
                );
            }
            Some(_) => {}
        }
    }

    fn field(&mut self, field: &Field, place: &Place<'_>) {
        let class = &field.class;
        if self.known.classes.as_ref().is_some_and(|classes| !classes.contains(class)) {
            let place = place.key("disclosure");
            self.faults.say(&place, format!("開示区分 {class} はありません"), format!("there is no class {class}"));
        }
        let is_number = matches!(field.value_type, ValueType::Decimal | ValueType::Integer);
        if field.unit.is_some() && !is_number {
            self.faults.say(&place.key("unit"), "数値の項目ではありません", "the field is no number");
        }
        if field.many && field.value_type == ValueType::MyNumber {
            self.faults.say(&place.key("cardinality"), "個人番号は1つだけです", "there is one individual number only");
        }
        self.code_system(field, place);
        self.derivation(field, place);
        if let Err(reason) = field_value::from_hub_text(field, &field.example) {
            self.faults.add(&place.key("example"), reason);
        }
    }

    fn code_system(&mut self, field: &Field, place: &Place<'_>) {
        let at = place.key("code_system");
        match (&field.code_system, field.value_type == ValueType::Code) {
            (None, true) => self.faults.say(&at, "コードの項目に必須です", "a code field needs one"),
            (None, false) => {}
            (Some(_), false) => self.faults.say(&at, "コードの項目ではありません", "the field holds no code"),
            (Some(name), true) => match self.known.code_lists.get(name) {
                None => {
                    self.faults.say(
                        &at,
                        format!("codes/{name}.csv はありません"),
                        format!("there is no codes/{name}.csv"),
                    );
                }
                Some(list) if !list.may_have(&field.example) => {
                    let (code, place) = (&field.example, place.key("example"));
                    let (ja, en) = (
                        format!("{code} は codes/{name}.csv にありません"),
                        format!("{code} is not in codes/{name}.csv"),
                    );
                    self.faults.say(&place, ja, en);
                }
                Some(_) => {}
            },
        }
    }

    fn derivation(&mut self, field: &Field, place: &Place<'_>) {
        let Some(Derivation::Deadline { from, calendar, .. }) = &field.derived else { return };
        let place = place.key("derived");
        if field.value_type != ValueType::Date {
            self.faults.say(&place, "日付の項目ではありません", "the field is no date");
        }
        match self.kind.field(from) {
            Some(start) if DAY.contains(&start.value_type) && start.derived.is_none() => {}
            Some(_) => self.faults.say(&place.key("from"), "日付の項目ではありません", "not a field with a date"),
            None => {
                self.faults.say(
                    &place.key("from"),
                    format!("項目 {from} はありません"),
                    format!("there is no field {from}"),
                );
            }
        }
        if !self.known.calendars.contains(calendar) {
            let place = place.key("calendar");
            self.faults.say(
                &place,
                format!("calendars/{calendar}.toml はありません"),
                format!("there is no calendars/{calendar}.toml"),
            );
        }
    }
}
