//! Ages, intervals and weeks of pregnancy, and the days they come to.

use std::fmt;

use jiff::civil::Date;
use jiff::{Span, ToSpan};

use crate::fault::Bilingual;

/// An age or an interval: calendar months, or days. Written `7y6m`, `2m`, `6w0d`, `27d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Counted in days; of an age, with the day of birth as day 0.
    Days {
        /// The days, weeks included.
        days: u16,
        /// It is said in weeks and days.
        in_weeks: bool,
    },
    /// Counted by the calendar.
    Months(u16),
}

/// The text is no length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a length is written like 7y6m, 2m, 6w0d or 27d")]
pub struct LengthFault;

/// How far a pregnancy is, in full weeks and the days beyond them. Without the days any of the seven may be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gestation {
    /// Full weeks
    pub weeks: u16,
    /// Days beyond them, 0 to 6
    pub days: Option<u16>,
}

impl Length {
    /// Parses numbers with their units, from the largest: years and months, or weeks and days.
    pub fn parse(text: &str) -> Result<Self, LengthFault> {
        let mut rest = text;
        let mut part = |unit: char| -> Result<Option<u16>, LengthFault> {
            let Some((number, after)) = rest.split_once(unit) else { return Ok(None) };
            rest = after;
            number.parse().map(Some).map_err(|_| LengthFault)
        };
        let parts = (part('y')?, part('m')?, part('w')?, part('d')?);
        if !rest.is_empty() {
            return Err(LengthFault);
        }
        let sum = |large: Option<u16>, factor: u16, small: Option<u16>| {
            let large = large.unwrap_or(0).checked_mul(factor).ok_or(LengthFault)?;
            large.checked_add(small.unwrap_or(0)).ok_or(LengthFault)
        };
        match parts {
            (None, None, None, None) => Err(LengthFault),
            (years, months, None, None) => Ok(Self::Months(sum(years, 12, months)?)),
            (None, None, weeks, days) => Ok(Self::Days { days: sum(weeks, 7, days)?, in_weeks: weeks.is_some() }),
            _ => Err(LengthFault),
        }
    }

    /// The first day at this age. By law (年齢計算ニ関スル法律, 民法143条) an age is reached at the end of the day before the
    /// birthday, or of the month's last day where the month has no such day; the day after that is the first.
    pub fn first_day(self, birth: Date) -> Date {
        match self {
            Self::Days { days, .. } => plus(birth, i64::from(days).days()),
            Self::Months(_) => plus(self.last_day_under(birth), 1.days()),
        }
    }

    /// The last day under this age: the day at whose end it is reached.
    pub fn last_day_under(self, birth: Date) -> Date {
        match self {
            Self::Days { days, .. } => plus(birth, (i64::from(days) - 1).days()),
            Self::Months(months) => {
                let same = plus(birth, i64::from(months).months());
                if same.day() == birth.day() { plus(same, (-1).days()) } else { same }
            }
        }
    }

    /// The first day after an interval of at least this: N日以上 leaves N whole days in between; N か月以上 comes to the same
    /// day of the month, or its last one.
    pub fn first_day_after(self, dose: Date) -> Date {
        match self {
            Self::Days { days, .. } => plus(dose, (i64::from(days) + 1).days()),
            Self::Months(months) => plus(dose, i64::from(months).months()),
        }
    }

    /// As an interval: `27日`, `6か月`.
    pub fn as_interval(self) -> Bilingual {
        match self {
            Self::Days { days, .. } => Bilingual::new(format!("{days}日"), count(days, "day")),
            Self::Months(months) => Bilingual::new(format!("{months}か月"), count(months, "month")),
        }
    }

    /// As an age: `7歳6か月`, `生後2か月`, `6週0日`.
    pub fn as_age(self) -> Bilingual {
        match self {
            Self::Days { days, in_weeks: true } => {
                let (weeks, days) = (days / 7, days % 7);
                Bilingual::new(format!("生後{weeks}週{days}日"), format!("{weeks} weeks and {}", count(days, "day")))
            }
            Self::Days { days, in_weeks: false } => Bilingual::new(format!("生後{days}日"), count(days, "day")),
            Self::Months(months) => {
                let (years, rest) = (months / 12, months % 12);
                match (years, rest) {
                    (0, _) => Bilingual::new(format!("生後{months}か月"), count(months, "month")),
                    (_, 0) => Bilingual::new(format!("{years}歳"), count(years, "year")),
                    _ => Bilingual::new(
                        format!("{years}歳{rest}か月"),
                        format!("{} and {}", count(years, "year"), count(rest, "month")),
                    ),
                }
            }
        }
    }
}

impl Gestation {
    /// The fewest days it can be.
    pub fn earliest(self) -> u16 {
        self.weeks.saturating_mul(7).saturating_add(self.days.unwrap_or(0))
    }

    /// The most days it can be.
    pub fn latest(self) -> u16 {
        self.weeks.saturating_mul(7).saturating_add(self.days.unwrap_or(6))
    }
}

impl fmt::Display for Gestation {
    /// `28+0`; `28` without the days.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.days {
            Some(days) => write!(f, "{}+{days}", self.weeks),
            None => write!(f, "{}", self.weeks),
        }
    }
}

/// The first and the last day of a school year (学年) for someone born on a day: 1 is the first year of primary school,
/// which begins on the April 1 after the age of six is reached; 0 is the year before it.
pub fn school_year(birth: Date, grade: i16) -> (Date, Date) {
    let six = Length::Months(72).last_day_under(birth);
    let first = if (six.month(), six.day()) <= (3, 31) { six.year() } else { six.year().saturating_add(1) };
    let begins = first.saturating_add(grade).saturating_sub(1);
    let day = |year: i16, month: i8, day: i8| Date::new(year, month, day).unwrap_or(Date::MAX);
    (day(begins, 4, 1), day(begins.saturating_add(1), 3, 31))
}

/// `plus` of months keeps to the last day of a shorter month; past the end of the calendar it stays there.
fn plus(day: Date, span: Span) -> Date {
    day.saturating_add(span)
}

fn count(number: u16, unit: &str) -> String {
    if number == 1 { format!("{number} {unit}") } else { format!("{number} {unit}s") }
}
