//! `schedules/<name>.toml`: when a dose may be given.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::Deserialize;
use tsunagi_core::fault::Bilingual;
use tsunagi_core::schedule::{Between, DoseRule, Gestation, Interval, Length, Schedule, Series, Whose, Window};

use crate::fault::{Faults, Place};
use crate::toml_file::{Entry, SyntaxVersion, TomlFile};

/// Reads one file. `None` if it could not be read as a whole; the faults say why.
pub(crate) fn read(file: &str, text: &str, faults: &mut Faults) -> Option<Schedule> {
    let mut toml = TomlFile::parse(file, text, faults)?;
    let before = faults.count();
    let series: Vec<Entry<RawSeries>> = toml.list("series", faults);
    let between: Vec<Entry<RawBetween>> = toml.list("between", faults);
    let _head: Head = toml.head(faults)?;
    let mut ids = BTreeSet::new();
    for entry in &series {
        let place = entry.place(file);
        if !ids.insert(&entry.value.id) {
            let id = &entry.value.id;
            faults.say(&place.key("id"), format!("{id} が重複しています"), format!("{id} is here twice"));
        }
        check(&entry.value, &place, faults);
    }
    (faults.count() == before).then(|| Schedule {
        series: series.into_iter().map(|entry| entry.value.into_series()).collect(),
        between: between.into_iter().map(|entry| entry.value.into_between()).collect(),
    })
}

fn check(series: &RawSeries, place: &Place<'_>, faults: &mut Faults) {
    if series.vaccines.is_empty() {
        faults.say(&place.key("vaccines"), "空です", "is empty");
    }
    if series.dose.is_empty() {
        faults.say(&place.key("dose"), "空です", "is empty");
    }
    for (at, dose) in series.dose.iter().enumerate() {
        let place = place.key(&format!("dose[{}]", at + 1));
        if dose.after.iter().any(|after| after.dose == 0 || after.dose > at) {
            faults.say(&place.key("after"), "それより前の回ではありません", "counts from a dose that is not before it");
        }
        let window = dose.window.as_ref().or(series.window.as_ref());
        let by_age = window.is_some_and(|window| {
            window.from.is_some() || window.under.is_some() || window.through.is_some() || window.grades.is_some()
        });
        if by_age && series.subject == Whose::Mother {
            faults.say(&place, "母が対象の接種に年齢は定められません", "a dose for the mother has no age of the child");
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    #[serde(rename = "version")]
    _version: SyntaxVersion,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSeries {
    id: String,
    label: Bilingual,
    vaccines: BTreeSet<String>,
    #[serde(default)]
    subject: Whose,
    in_force_from: Option<Date>,
    in_force_until: Option<Date>,
    #[serde(default)]
    not_for_sex: BTreeSet<String>,
    begun_under: Option<RawLength>,
    begun_from: Option<RawLength>,
    window: Option<RawWindow>,
    dose: Vec<RawDose>,
    confirmed: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDose {
    #[serde(default)]
    terms: BTreeSet<String>,
    number: u32,
    window: Option<RawWindow>,
    #[serde(default)]
    after: Vec<RawInterval>,
    usual: Option<RawUsualAge>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWindow {
    from: Option<RawLength>,
    under: Option<RawLength>,
    through: Option<RawLength>,
    grades: Option<(i16, i16)>,
    gestation: Option<(RawGestation, RawGestation)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInterval {
    dose: usize,
    at_least: RawLength,
    by_doctor: Option<RawLength>,
    usual: Option<RawUsualGap>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUsualAge {
    from: RawLength,
    under: RawLength,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUsualGap {
    from: RawLength,
    to: RawLength,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBetween {
    label: Bilingual,
    vaccines: BTreeSet<String>,
    at_least: RawLength,
    in_force_from: Option<Date>,
}

/// `7y6m`, `2m`, `6w0d`, `27d`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct RawLength(Length);

/// `28+0`: full weeks and the days beyond them.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct RawGestation(Gestation);

impl TryFrom<String> for RawLength {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Length::parse(&text).map(Self).map_err(|fault| fault.to_string())
    }
}

impl TryFrom<String> for RawGestation {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parts = text.split_once('+').and_then(|(weeks, days)| {
            let (weeks, days) = (weeks.parse().ok()?, days.parse().ok().filter(|days| *days < 7)?);
            Some(Gestation { weeks, days: Some(days) })
        });
        parts.map(Self).ok_or("weeks of pregnancy are written like 28+0")
    }
}

impl RawSeries {
    fn into_series(self) -> Series {
        let window = self.window.map(RawWindow::into_window).unwrap_or_default();
        let dose = |raw: RawDose| DoseRule {
            terms: raw.terms,
            number: raw.number,
            window: raw.window.map_or_else(|| window.clone(), RawWindow::into_window),
            after: raw.after.into_iter().map(RawInterval::into_interval).collect(),
            usual: raw.usual.map(|usual| (usual.from.0, usual.under.0)),
        };
        Series {
            id: self.id,
            label: self.label,
            vaccines: self.vaccines,
            subject: self.subject,
            in_force_from: self.in_force_from,
            in_force_until: self.in_force_until,
            not_for_sex: self.not_for_sex,
            begun_under: self.begun_under.map(|length| length.0),
            begun_from: self.begun_from.map(|length| length.0),
            doses: self.dose.into_iter().map(dose).collect(),
            confirmed: self.confirmed,
        }
    }
}

impl RawWindow {
    fn into_window(self) -> Window {
        Window {
            from: self.from.map(|length| length.0),
            under: self.under.map(|length| length.0),
            through: self.through.map(|length| length.0),
            grades: self.grades,
            gestation: self.gestation.map(|(from, until)| (from.0, until.0)),
        }
    }
}

impl RawInterval {
    fn into_interval(self) -> Interval {
        Interval {
            dose: self.dose,
            at_least: self.at_least.0,
            by_doctor: self.by_doctor.map(|length| length.0),
            usual: self.usual.map(|usual| (usual.from.0, usual.to.0)),
        }
    }
}

impl RawBetween {
    fn into_between(self) -> Between {
        Between {
            label: self.label,
            vaccines: self.vaccines,
            at_least: self.at_least.0,
            in_force_from: self.in_force_from,
        }
    }
}
