//! Rules of when a dose may be given: `mappings/schedules/<name>.toml`, parsed.
//!
//! Two questions are answered, and they are not the same. [`Schedule::flags`]: does a dose that *was* given break a
//! rule? It happened, so it is stored and flagged, and it is flagged only if it is certain: an unknown day or date of
//! birth is read in the dose's favour. [`Schedule::earliest_next`]: when *may* the next dose be given, and until when?
//! There what is not known is asked for.

mod booking;
mod flags;
mod length;

use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::fault::Bilingual;
use crate::partial_date::PartialDate;

pub use booking::{Booking, NotBookable};
pub use flags::{FlagCode, ScheduleFlag};
pub use length::{Gestation, Length, LengthFault, school_year};

/// All rules of one schedule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule {
    /// The series of doses, in the order of the file.
    pub series: Vec<Series>,
    /// Gaps between vaccines of different series.
    pub between: Vec<Between>,
}

/// The doses of one vaccine, or of several that follow the same rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Its name in the file.
    pub id: String,
    /// Its name for people.
    pub label: Bilingual,
    /// The codes of its vaccines, in the hub's code list.
    pub vaccines: BTreeSet<String>,
    /// Who is vaccinated, and so whose record it is.
    pub subject: Whose,
    /// The first day on which doses count under these rules; none if always.
    pub in_force_from: Option<Date>,
    /// The last such day.
    pub in_force_until: Option<Date>,
    /// The hub's codes of the sexes it is not offered to.
    pub not_for_sex: BTreeSet<String>,
    /// Only for those whose first dose came before this age.
    pub begun_under: Option<Length>,
    /// Only for those whose first dose came at this age or later.
    pub begun_from: Option<Length>,
    /// The rules of each dose, in order.
    pub doses: Vec<DoseRule>,
    /// A public source states all of it. What rests on general knowledge says so, and is replaced when one is found.
    pub confirmed: bool,
}

/// Who is vaccinated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// The child that is to be protected.
    #[default]
    Child,
    /// The mother, in pregnancy; the child is the one that is to be protected.
    Mother,
}

/// One dose of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoseRule {
    /// The codes of the terms (期) it may be recorded under; empty where the series has no terms.
    pub terms: BTreeSet<String>,
    /// Its number within the term.
    pub number: u32,
    /// When it may be given.
    pub window: Window,
    /// The least time since earlier doses of the series.
    pub after: Vec<Interval>,
    /// The age at which it is usually given: from, and under.
    pub usual: Option<(Length, Length)>,
}

/// When a dose may be given; each bound that is there must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Window {
    /// From this age on.
    pub from: Option<Length>,
    /// Up to the day before this age is passed: 1歳に至るまで.
    pub under: Option<Length>,
    /// Up to and with the day of this age.
    pub through: Option<Length>,
    /// From the first to the last of these school years: 1 is the first year of primary school, 0 the year before.
    pub grades: Option<(i16, i16)>,
    /// From the first to the last of these days of pregnancy.
    pub gestation: Option<(Gestation, Gestation)>,
}

/// The least time since an earlier dose of the series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interval {
    /// Which dose, counted from 1 through the whole series.
    pub dose: usize,
    /// `27d` for 27日以上, `6m` for 6か月以上.
    pub at_least: Length,
    /// The shorter time that is enough where the doctor finds it necessary.
    pub by_doctor: Option<Length>,
    /// The usual time: from and to.
    pub usual: Option<(Length, Length)>,
}

/// The least time between any two of several vaccines, unless given on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Between {
    /// What these vaccines are.
    pub label: Bilingual,
    /// Their codes.
    pub vaccines: BTreeSet<String>,
    /// The time.
    pub at_least: Length,
    /// The first day of which this is known.
    pub in_force_from: Option<Date>,
}

/// One dose as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dose {
    /// The code of the vaccine.
    pub vaccine: String,
    /// The code of the term (期), where one was recorded.
    pub term: Option<String>,
    /// The number of the dose within the term, or through the series where no term was recorded.
    pub number: u32,
    /// The day it was given.
    pub given_on: PartialDate,
    /// How far the pregnancy was, where that matters.
    pub gestation: Option<Gestation>,
}

/// The person a dose is given to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recipient {
    /// Date of birth.
    pub birth: Option<PartialDate>,
    /// The hub's code of the sex.
    pub sex: Option<String>,
    /// How far the pregnancy was on a day.
    pub gestation: Option<(Gestation, Date)>,
}

impl Series {
    /// Which dose of the series a recorded one is, counted from 0. Senders count within the term or through the series,
    /// and older records have no term.
    fn position(&self, dose: &Dose) -> Option<usize> {
        let number = usize::try_from(dose.number).ok()?;
        let through = number.checked_sub(1).filter(|at| *at < self.doses.len());
        match &dose.term {
            Some(term) if self.doses.iter().any(|rule| rule.terms.contains(term)) => {
                let of_term = |rule: &DoseRule| rule.terms.contains(term);
                self.doses
                    .iter()
                    .position(|rule| of_term(rule) && rule.number == dose.number)
                    .or(through.filter(|at| self.doses.get(*at).is_some_and(of_term)))
            }
            Some(_) | None => through,
        }
    }

    /// The doses of a history that belong here, each with its place.
    fn doses_of<'a>(&self, history: &'a [Dose]) -> Vec<(usize, &'a Dose)> {
        let own = history.iter().filter(|dose| self.vaccines.contains(&dose.vaccine));
        own.filter_map(|dose| Some((self.position(dose)?, dose))).collect()
    }

    /// False if the first dose certainly came at an age that another series is for.
    fn may_have_begun(&self, first: &PartialDate, birth: Option<&PartialDate>) -> bool {
        let Some(birth) = birth else { return true };
        let too_late =
            |length: &Length| after(first.earliest(), birth.latest().map(|birth| length.last_day_under(birth)));
        let too_early = |length: &Length| before(first.latest(), birth.earliest().map(|birth| length.first_day(birth)));
        !self.begun_under.as_ref().is_some_and(too_late) && !self.begun_from.as_ref().is_some_and(too_early)
    }

    /// False if the rules certainly did not hold on that day.
    fn may_be_in_force(&self, on: &PartialDate) -> bool {
        !before(on.latest(), self.in_force_from) && !after(on.earliest(), self.in_force_until)
    }
}

impl Window {
    /// The first day for someone born on a day; none if any is early enough.
    fn first_day(&self, birth: Date) -> Option<Date> {
        let grade = self.grades.map(|(first, _)| school_year(birth, first).0);
        self.from.map(|from| from.first_day(birth)).into_iter().chain(grade).max()
    }

    /// The last day for someone born on a day; none if any is early enough.
    fn last_day(&self, birth: Date) -> Option<Date> {
        let under = self.under.map(|under| under.last_day_under(birth));
        let through = self.through.map(|through| through.first_day(birth));
        let grade = self.grades.map(|(_, last)| school_year(birth, last).1);
        [under, through, grade].into_iter().flatten().min()
    }

    /// True if it cannot be told without the date of birth.
    fn needs_birth(&self) -> bool {
        self.from.is_some() || self.under.is_some() || self.through.is_some() || self.grades.is_some()
    }
}

/// `day` is known and before a bound that is there.
fn before(day: Option<Date>, bound: Option<Date>) -> bool {
    day.zip(bound).is_some_and(|(day, bound)| day < bound)
}

/// `day` is known and after a bound that is there.
fn after(day: Option<Date>, bound: Option<Date>) -> bool {
    day.zip(bound).is_some_and(|(day, bound)| day > bound)
}

#[cfg(test)]
mod tests;
