//! Rules that a dose broke.

use jiff::civil::Date;

use crate::fault::Bilingual;
use crate::partial_date::PartialDate;

use super::{Between, Dose, DoseRule, Interval, Recipient, Schedule, Series, Window, after, before};

/// A rule that a dose certainly broke. The dose is a fact and is kept; the municipality is told (間違い接種).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleFlag {
    /// The series whose rule it is; that of the gap between vaccines has none.
    pub series: Option<String>,
    /// Which kind of rule.
    pub code: FlagCode,
    /// The rule in words, without anything from the record.
    pub reason: Bilingual,
    /// A public source states the rule.
    pub confirmed: bool,
}

/// The kinds of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlagCode {
    /// Too soon after another vaccine.
    Between,
    /// Outside the weeks of pregnancy.
    Gestation,
    /// Too soon after an earlier dose.
    Interval,
    /// So soon after an earlier dose only where the doctor found it necessary.
    IntervalByDoctor,
    /// The series has no such dose.
    NoSuchDose,
    /// Not offered to this sex.
    NotForSex,
    /// Before the rules came into force, or after they ended.
    NotInForce,
    /// Before the age or school year.
    TooEarly,
    /// After the age or school year.
    TooLate,
}

impl FlagCode {
    /// The code as the audit log has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Between => "between",
            Self::Gestation => "gestation",
            Self::Interval => "interval",
            Self::IntervalByDoctor => "interval_by_doctor",
            Self::NoSuchDose => "no_such_dose",
            Self::NotForSex => "not_for_sex",
            Self::NotInForce => "not_in_force",
            Self::TooEarly => "too_early",
            Self::TooLate => "too_late",
        }
    }

    /// True if the record of the dose alone tells it; false if it takes the history.
    pub fn is_own(self) -> bool {
        !matches!(self, Self::Between | Self::Interval | Self::IntervalByDoctor)
    }
}

impl Schedule {
    /// The rules that a dose broke by itself: age, school year, weeks of pregnancy, number. None for a vaccine that the
    /// schedule does not have.
    pub fn own_flags(&self, dose: &Dose, recipient: &Recipient) -> Vec<ScheduleFlag> {
        let mut flags = self.flags(&[], dose, recipient);
        flags.retain(|flag| flag.code.is_own());
        flags
    }

    /// True if other doses of the person have a say in whether this one keeps the rules.
    pub fn looks_back(&self, dose: &Dose) -> bool {
        let of_vaccine = self.series.iter().filter(|series| series.vaccines.contains(&dose.vaccine));
        let mut rules = of_vaccine.filter_map(|series| series.doses.get(series.position(dose)?));
        rules.any(|rule| !rule.after.is_empty())
            || self.between.iter().any(|between| between.vaccines.contains(&dose.vaccine))
    }

    /// All rules that a dose broke, given the other doses of the same person; the dose itself may be among them. Where
    /// several series may be meant, the one that it breaks least counts.
    pub fn flags(&self, history: &[Dose], dose: &Dose, recipient: &Recipient) -> Vec<ScheduleFlag> {
        let of_vaccine: Vec<&Series> =
            self.series.iter().filter(|series| series.vaccines.contains(&dose.vaccine)).collect();
        let may_be_meant = |series: &&&Series| {
            let first = series.doses_of(history).into_iter().chain([(0, dose)]).map(|(_, dose)| &dose.given_on);
            let first = first.filter(|day| day.earliest().is_some()).min_by_key(|day| day.earliest());
            first.is_none_or(|first| series.may_have_begun(first, recipient.birth.as_ref()))
        };
        let judged = of_vaccine.iter().filter(may_be_meant).map(|series| of_series(series, history, dose, recipient));
        let mut flags = judged.min_by_key(Vec::len).unwrap_or_default();
        flags.extend(self.between.iter().filter_map(|between| too_close(between, history, dose)));
        flags
    }
}

fn of_series(series: &Series, history: &[Dose], dose: &Dose, recipient: &Recipient) -> Vec<ScheduleFlag> {
    let Some(at) = series.position(dose) else {
        let (label, doses) = (&series.label, series.doses.len());
        let reason = Bilingual::new(
            format!("{}: 定められた回数（{doses}回）にない接種です", label.ja),
            format!("{}: the schedule has no such dose; it has {doses}", label.en),
        );
        return vec![flag(series, FlagCode::NoSuchDose, reason)];
    };
    let Some(rule) = series.doses.get(at) else { return Vec::new() };
    let name = name(series, at);
    let mut flags = Vec::new();
    if !series.may_be_in_force(&dose.given_on) {
        flags.push(flag(series, FlagCode::NotInForce, not_in_force(series, &name)));
    }
    if recipient.sex.as_ref().is_some_and(|sex| series.not_for_sex.contains(sex)) {
        let reason = Bilingual::new(
            format!("{}: この性別は対象ではありません", name.ja),
            format!("{}: not offered to this sex", name.en),
        );
        flags.push(flag(series, FlagCode::NotForSex, reason));
    }
    flags.extend(outside(series, &name, &rule.window, dose, recipient.birth.as_ref()));
    flags.extend(too_soon(series, &name, rule, history, dose));
    flags
}

/// The date of birth and the day are read in the dose's favour: only what is certain is flagged.
fn outside(
    series: &Series,
    name: &Bilingual,
    window: &Window,
    dose: &Dose,
    birth: Option<&PartialDate>,
) -> Vec<ScheduleFlag> {
    let mut flags = Vec::new();
    let given = &dose.given_on;
    let first = birth.and_then(PartialDate::earliest).and_then(|birth| window.first_day(birth));
    if before(given.latest(), first) {
        flags.push(flag(series, FlagCode::TooEarly, bound(name, window, true)));
    }
    let last = birth.and_then(PartialDate::latest).and_then(|birth| window.last_day(birth));
    if after(given.earliest(), last) {
        flags.push(flag(series, FlagCode::TooLate, bound(name, window, false)));
    }
    if let (Some((first, last)), Some(gestation)) = (window.gestation, dose.gestation)
        && (gestation.latest() < first.earliest() || gestation.earliest() > last.latest())
    {
        let reason = Bilingual::new(
            format!("{}: 妊娠 {first} から {last} 週までの接種ではありません", name.ja),
            format!("{}: not given from week {first} to week {last} of pregnancy", name.en),
        );
        flags.push(flag(series, FlagCode::Gestation, reason));
    }
    flags
}

fn too_soon(series: &Series, name: &Bilingual, rule: &DoseRule, history: &[Dose], dose: &Dose) -> Vec<ScheduleFlag> {
    let given = series.doses_of(history);
    let mut flags = Vec::new();
    for interval in &rule.after {
        let earlier = given.iter().filter(|(at, _)| at + 1 == interval.dose).map(|(_, dose)| *dose);
        let earlier = earlier.filter_map(|other| other.given_on.earliest());
        let is_short =
            |least: super::Length, earlier: Date| before(dose.given_on.latest(), Some(least.first_day_after(earlier)));
        for other in earlier {
            if is_short(interval.by_doctor.unwrap_or(interval.at_least), other) {
                flags.push(flag(series, FlagCode::Interval, too_short(name, interval)));
            } else if is_short(interval.at_least, other) {
                let mut reason = too_short(name, interval);
                reason.ja.push_str("（医師が必要と認めた場合に限り可）");
                reason.en.push_str(" (allowed only where the doctor finds it necessary)");
                flags.push(flag(series, FlagCode::IntervalByDoctor, reason));
            }
        }
    }
    flags.dedup();
    flags
}

/// Too soon after another vaccine of the group; on the same day they may be given together.
fn too_close(between: &Between, history: &[Dose], dose: &Dose) -> Option<ScheduleFlag> {
    let given = dose.given_on.full()?;
    if !between.vaccines.contains(&dose.vaccine) || before(Some(given), between.in_force_from) {
        return None;
    }
    let others = history.iter().filter(|other| between.vaccines.contains(&other.vaccine));
    let is_close = |other: Date| other < given && given < between.at_least.first_day_after(other);
    others.filter_map(|other| other.given_on.full()).any(is_close).then(|| {
        let (label, least) = (&between.label, between.at_least.as_interval());
        ScheduleFlag {
            series: None,
            code: FlagCode::Between,
            reason: Bilingual::new(
                format!("{}: {}以上あいていません", label.ja, least.ja),
                format!("{}: less than {} apart", label.en, least.en),
            ),
            confirmed: false,
        }
    })
}

fn flag(series: &Series, code: FlagCode, reason: Bilingual) -> ScheduleFlag {
    ScheduleFlag { series: Some(series.id.clone()), code, reason, confirmed: series.confirmed }
}

fn name(series: &Series, at: usize) -> Bilingual {
    let (label, number) = (&series.label, at + 1);
    Bilingual::new(format!("{} {number}回目", label.ja), format!("{}, dose {number}", label.en))
}

fn too_short(name: &Bilingual, interval: &Interval) -> Bilingual {
    let (least, number) = (interval.at_least.as_interval(), interval.dose);
    Bilingual::new(
        format!("{}: {number}回目から{}以上あいていません", name.ja, least.ja),
        format!("{}: less than {} after dose {number}", name.en, least.en),
    )
}

fn not_in_force(series: &Series, name: &Bilingual) -> Bilingual {
    let day = |day: Option<Date>| day.map(|day| day.to_string()).unwrap_or_default();
    let (from, until) = (day(series.in_force_from), day(series.in_force_until));
    Bilingual::new(
        format!("{}: 対象期間（{from}～{until}）の接種ではありません", name.ja),
        format!("{}: not given while it is covered ({from} to {until})", name.en),
    )
}

fn bound(name: &Bilingual, window: &Window, is_early: bool) -> Bilingual {
    let age =
        |text: Bilingual, ja: &str, en: &str| Bilingual::new(format!("{}{ja}", text.ja), format!("{en}{}", text.en));
    let grade = |grade: i16| Bilingual::new(school_year_name(grade), format!("school year {grade}"));
    let mut bounds = Vec::new();
    if is_early {
        bounds.extend(window.from.map(|from| age(from.as_age(), "から", "from ")));
        bounds.extend(window.grades.map(|(first, _)| age(grade(first), "から", "from ")));
    } else {
        bounds.extend(window.under.map(|under| age(under.as_age(), "に至るまで", "under ")));
        bounds.extend(window.through.map(|through| age(through.as_age(), "まで", "up to ")));
        bounds.extend(window.grades.map(|(_, last)| age(grade(last), "まで", "up to ")));
    }
    let all = |pick: fn(&Bilingual) -> &str| bounds.iter().map(pick).collect::<Vec<_>>().join(", ");
    let (ja, en) = (all(|text| &text.ja), all(|text| &text.en));
    Bilingual::new(
        format!("{}: 対象年齢（{ja}）の接種ではありません", name.ja),
        format!("{}: not given at the age it is for ({en})", name.en),
    )
}

fn school_year_name(grade: i16) -> String {
    match grade {
        ..=0 => format!("就学{}年前", 1 - grade),
        1..=6 => format!("小学{grade}年"),
        7..=9 => format!("中学{}年", grade - 6),
        _ => format!("高校{}年", grade - 9),
    }
}
