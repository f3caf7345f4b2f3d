//! A kind's schedule: the fields it names, and the codes the schedule uses against the lists of those fields.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tsunagi_core::id::{CodeTableName, FieldKey};
use tsunagi_core::kind::{Kind, ScheduleRule};
use tsunagi_core::schedule::Schedule;
use tsunagi_core::value::ValueType;

use crate::code_list::CodeList;
use crate::fault::{Faults, Place};

/// What kinds and schedules name of each other. A schedule that is there and could not be read has no entry.
pub(crate) struct Known<'a> {
    pub(crate) schedules: &'a BTreeMap<String, Schedule>,
    pub(crate) names: &'a BTreeSet<String>,
    pub(crate) code_lists: &'a BTreeMap<CodeTableName, Arc<CodeList>>,
}

/// Reports everything in a kind's `[schedule]` that names nothing or does not fit.
pub(crate) fn kind(file: &str, kind: &Kind, known: &Known<'_>, faults: &mut Faults) {
    let Some(rule) = &kind.schedule else { return };
    let mut check = Check { place: Place::whole(file).key("schedule"), kind, known, faults };
    check.fields(rule);
    if !known.names.contains(&rule.name) {
        let name = &rule.name;
        check.say("name", format!("schedules/{name}.toml はありません"), format!("there is no schedules/{name}.toml"));
    }
    if let Some(schedule) = known.schedules.get(&rule.name) {
        check.codes(rule, schedule);
    }
}

struct Check<'a, 'f> {
    place: Place<'a>,
    kind: &'a Kind,
    known: &'a Known<'a>,
    faults: &'f mut Faults,
}

impl Check<'_, '_> {
    fn fields(&mut self, rule: &ScheduleRule) {
        let needed = [
            ("vaccine", Some(&rule.vaccine), ValueType::Code),
            ("term", rule.term.as_ref(), ValueType::Code),
            ("number", Some(&rule.number), ValueType::Integer),
            ("given_on", Some(&rule.given_on), ValueType::Date),
            ("birth_date", rule.birth_date.as_ref(), ValueType::Date),
            ("sex", rule.sex.as_ref(), ValueType::Code),
            ("gestation_weeks", rule.gestation_weeks.as_ref(), ValueType::Integer),
            ("gestation_days", rule.gestation_days.as_ref(), ValueType::Integer),
        ];
        let only = rule.only.iter().map(|only| ("only", Some(&only.field), ValueType::Code));
        for (at, key, value_type) in needed.into_iter().chain(only) {
            let Some(key) = key else { continue };
            match self.kind.field(key) {
                None => self.say(at, format!("項目 {key} はありません"), format!("there is no field {key}")),
                Some(field) if field.value_type != value_type => {
                    self.say(at, format!("項目 {key} の型が合いません"), format!("the field {key} has the wrong type"));
                }
                Some(_) => {}
            }
        }
        for only in &rule.only {
            self.listed(&only.field, &only.codes);
        }
    }

    fn codes(&mut self, rule: &ScheduleRule, schedule: &Schedule) {
        let series = || schedule.series.iter();
        let vaccines = series().flat_map(|series| &series.vaccines);
        let between = schedule.between.iter().flat_map(|between| &between.vaccines);
        self.listed(&rule.vaccine, vaccines.chain(between));
        if let Some(term) = &rule.term {
            self.listed(term, series().flat_map(|series| &series.doses).flat_map(|dose| &dose.terms));
        }
        if let Some(sex) = &rule.sex {
            self.listed(sex, series().flat_map(|series| &series.not_for_sex));
        }
    }

    /// Codes of a field must be in its list, or the rule would never hold.
    fn listed<'c>(&mut self, field: &FieldKey, codes: impl IntoIterator<Item = &'c String>) {
        let list = self.kind.field(field).and_then(|field| field.code_system.as_ref());
        let Some((name, list)) = list.and_then(|name| Some((name, self.known.code_lists.get(name)?))) else { return };
        let unknown: BTreeSet<&String> = codes.into_iter().filter(|code| !list.may_have(code)).collect();
        for code in unknown {
            self.say(
                field.as_str(),
                format!("{code} は codes/{name}.csv にありません"),
                format!("{code} is not in codes/{name}.csv"),
            );
        }
    }

    fn say(&mut self, at: &str, ja: String, en: String) {
        let place = self.place.key(at);
        self.faults.say(&place, ja, en);
    }
}
