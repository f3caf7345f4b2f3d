//! When the next dose may be given.

use jiff::ToSpan;
use jiff::civil::Date;

use crate::fault::Bilingual;
use crate::partial_date::PartialDate;

use super::{Dose, DoseRule, Recipient, Schedule, Series, Whose};

/// The next dose and the days on which it may be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booking {
    /// The series it belongs to.
    pub series: String,
    /// Which dose of the series, from 1.
    pub dose: usize,
    /// Its number within its term.
    pub number: u32,
    /// Who is vaccinated.
    pub subject: Whose,
    /// The first day, today or later.
    pub earliest: Date,
    /// The first day where the doctor finds a shorter interval necessary.
    pub earliest_by_doctor: Option<Date>,
    /// The last day, if there is one.
    pub latest: Option<Date>,
    /// The days on which it is usually given.
    pub usual: Option<(Date, Date)>,
}

/// Why no dose can be booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotBookable {
    /// The last day has passed.
    Closed {
        /// That day.
        last: Date,
    },
    /// All doses were given.
    Complete,
    /// An earlier dose on which the interval counts has no whole date.
    NeedsDoseDate,
    /// The date of birth is not known to the day.
    NeedsBirthDate,
    /// It is not known how far the pregnancy is.
    NeedsGestation,
    /// It is not offered to every sex, and the sex is not known.
    NeedsSex,
    /// Not offered to this sex.
    NotForSex,
    /// The schedule does not have the vaccine, or not yet or no longer.
    NotScheduled,
}

impl NotBookable {
    /// The reason as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Complete => "complete",
            Self::NeedsBirthDate => "needs_birth_date",
            Self::NeedsDoseDate => "needs_dose_date",
            Self::NeedsGestation => "needs_gestation",
            Self::NeedsSex => "needs_sex",
            Self::NotForSex => "not_for_sex",
            Self::NotScheduled => "not_scheduled",
        }
    }

    /// The reason in words.
    pub fn words(self) -> Bilingual {
        let (ja, en) = match self {
            Self::Closed { last } => {
                return Bilingual::new(format!("対象期間は {last} で終わりました"), format!("the last day was {last}"));
            }
            Self::Complete => ("定められた回数を終えています", "all doses were given"),
            Self::NeedsBirthDate => ("日までの生年月日が必要です", "the date of birth is needed to the day"),
            Self::NeedsDoseDate => (
                "間隔の起点となる接種の年月日が必要です",
                "the day of the dose that the interval counts from is needed",
            ),
            Self::NeedsGestation => ("妊娠週数が必要です", "how far the pregnancy is, is needed"),
            Self::NeedsSex => ("性別が必要です", "the sex is needed"),
            Self::NotForSex => ("この性別は対象ではありません", "not offered to this sex"),
            Self::NotScheduled => ("このワクチンの予防接種スケジュールはありません", "no schedule has this vaccine"),
        };
        Bilingual::new(ja, en)
    }
}

impl Schedule {
    /// When the next dose of a vaccine may be given to someone with these doses, seen from `today`. A dose whose time has
    /// passed is left out if the one after it does not count from it, as the second term does not from the first.
    pub fn earliest_next(
        &self,
        history: &[Dose],
        vaccine: &str,
        recipient: &Recipient,
        today: Date,
    ) -> Result<Booking, NotBookable> {
        let series = self.series_for(history, vaccine, recipient, today)?;
        match &recipient.sex {
            Some(sex) if series.not_for_sex.contains(sex) => return Err(NotBookable::NotForSex),
            None if !series.not_for_sex.is_empty() => return Err(NotBookable::NeedsSex),
            Some(_) | None => {}
        }
        let given = series.doses_of(history);
        let next = given.iter().map(|(at, _)| at + 1).max().unwrap_or(0);
        let mut closed = None;
        for (at, rule) in series.doses.iter().enumerate().skip(next) {
            let counts_from_missing = rule.after.iter().any(|after| !given.iter().any(|(at, _)| at + 1 == after.dose));
            if counts_from_missing {
                continue;
            }
            let ask = Ask { schedule: self, series, given: &given, history, vaccine, recipient, today };
            match ask.book(at, rule) {
                Err(NotBookable::Closed { last }) => closed = closed.max(Some(last)),
                answer => return answer,
            }
        }
        Err(closed.map_or(NotBookable::Complete, |last| NotBookable::Closed { last }))
    }

    fn series_for(
        &self,
        history: &[Dose],
        vaccine: &str,
        recipient: &Recipient,
        today: Date,
    ) -> Result<&Series, NotBookable> {
        let now = PartialDate::Full(today);
        let is_meant = |series: &&Series| {
            let first = series.doses_of(history).into_iter().map(|(_, dose)| &dose.given_on);
            let first = first.filter(|day| day.earliest().is_some()).min_by_key(|day| day.earliest());
            series.vaccines.contains(vaccine)
                && series.in_force_until.is_none_or(|until| today <= until)
                && series.may_have_begun(first.unwrap_or(&now), recipient.birth.as_ref())
        };
        let mut meant = self.series.iter().filter(is_meant);
        match (meant.next(), meant.next()) {
            (None, _) => Err(NotBookable::NotScheduled),
            (Some(series), None) => Ok(series),
            // The age at the first dose tells them apart, and it is not known.
            (Some(series), Some(_)) if recipient.birth.as_ref().is_some_and(|birth| birth.full().is_some()) => {
                Ok(series)
            }
            (Some(_), Some(_)) => Err(NotBookable::NeedsBirthDate),
        }
    }
}

struct Ask<'a> {
    schedule: &'a Schedule,
    series: &'a Series,
    given: &'a [(usize, &'a Dose)],
    history: &'a [Dose],
    vaccine: &'a str,
    recipient: &'a Recipient,
    today: Date,
}

impl Ask<'_> {
    fn book(&self, at: usize, rule: &DoseRule) -> Result<Booking, NotBookable> {
        let (first, last) = self.window(rule)?;
        let interval = self.interval(rule, |after| after.at_least)?;
        let shorter = self.interval(rule, |after| after.by_doctor.unwrap_or(after.at_least))?;
        let floor = [first, self.series.in_force_from, self.between(), Some(self.today)].into_iter().flatten().max();
        let from = |interval: Option<Date>| [floor, interval].into_iter().flatten().max().unwrap_or(self.today);
        let (earliest, sooner) = (from(interval), from(shorter));
        let latest = [last, self.series.in_force_until].into_iter().flatten().min();
        if let Some(last) = latest.filter(|last| *last < sooner) {
            return Err(NotBookable::Closed { last });
        }
        Ok(Booking {
            series: self.series.id.clone(),
            dose: at + 1,
            number: rule.number,
            subject: self.series.subject,
            earliest,
            earliest_by_doctor: (sooner < earliest).then_some(sooner),
            latest,
            usual: self.usual(rule),
        })
    }

    /// The first and the last day by age, school year or pregnancy.
    fn window(&self, rule: &DoseRule) -> Result<(Option<Date>, Option<Date>), NotBookable> {
        let window = &rule.window;
        let (mut first, mut last) = (None, None);
        if window.needs_birth() {
            let birth = self.recipient.birth.as_ref().and_then(PartialDate::full).ok_or(NotBookable::NeedsBirthDate)?;
            (first, last) = (window.first_day(birth), window.last_day(birth));
        }
        if let Some((from, until)) = window.gestation {
            let (gestation, on) = self.recipient.gestation.ok_or(NotBookable::NeedsGestation)?;
            gestation.days.ok_or(NotBookable::NeedsGestation)?;
            let begun = on.saturating_sub(i64::from(gestation.earliest()).days());
            let day = |days: u16| begun.saturating_add(i64::from(days).days());
            first = first.max(Some(day(from.earliest())));
            last = [last, Some(day(until.latest()))].into_iter().flatten().min();
        }
        Ok((first, last))
    }

    /// The first day by the intervals to earlier doses.
    fn interval(
        &self,
        rule: &DoseRule,
        least: impl Fn(&super::Interval) -> super::Length,
    ) -> Result<Option<Date>, NotBookable> {
        let mut first = None;
        for after in &rule.after {
            for (_, dose) in self.given.iter().filter(|(at, _)| at + 1 == after.dose) {
                let given = dose.given_on.full().ok_or(NotBookable::NeedsDoseDate)?;
                first = first.max(Some(least(after).first_day_after(given)));
            }
        }
        Ok(first)
    }

    /// The first day by the gaps to other vaccines.
    fn between(&self) -> Option<Date> {
        let rules = self.schedule.between.iter().filter(|between| between.vaccines.contains(self.vaccine));
        rules
            .flat_map(|between| {
                let others = self.history.iter().filter(|other| between.vaccines.contains(&other.vaccine));
                let days = others.filter_map(|other| other.given_on.latest());
                days.map(|day| between.at_least.first_day_after(day))
            })
            .max()
    }

    fn usual(&self, rule: &DoseRule) -> Option<(Date, Date)> {
        let by_age = || {
            let birth = self.recipient.birth.as_ref()?.full()?;
            rule.usual.map(|(from, under)| (from.first_day(birth), under.last_day_under(birth)))
        };
        let by_interval = || {
            let after = rule.after.iter().find(|after| after.usual.is_some())?;
            let (from, to) = after.usual?;
            let (_, dose) = self.given.iter().find(|(at, _)| at + 1 == after.dose)?;
            let given = dose.given_on.full()?;
            Some((from.first_day_after(given), to.first_day_after(given)))
        };
        by_age().or_else(by_interval)
    }
}
