//! Dates as the field has them: whole, to the month, to the year, or unknown. A day is never invented.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A date whose day, month or year may be unknown. Where anything is unknown the sender's own spelling is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartialDate {
    /// A whole date.
    Full(Date),
    /// Year and month; the raw text if it said more (`1950-03-A1`, early March).
    Month {
        /// Year
        year: i16,
        /// Month, 1 to 12
        month: i8,
        /// The sender's spelling
        raw: String,
    },
    /// Nothing certain; only the raw text.
    Unknown {
        /// The sender's spelling
        raw: String,
    },
    /// The year; the raw text if it said more (`1950-A1-00`, spring).
    Year {
        /// Year
        year: i16,
        /// The sender's spelling
        raw: String,
    },
}

impl PartialDate {
    /// Reads `YYYY`, `YYYY-MM`, `YYYY-MM-DD`, with `-`, `/` or nothing between, `00` for unknown, the seasons
    /// `A1`–`A4` as month and the thirds `A1`–`A3` as day. Anything else is [`PartialDate::Unknown`] with the text
    /// kept: whether that is a fault is for the layout to say, see [`PartialDate::is_date_shaped`].
    pub fn read_iso(text: &str) -> Self {
        let unknown = || Self::Unknown { raw: text.to_owned() };
        let Some((year, month, day)) = split(text) else { return unknown() };
        let Ok(year) = year.parse::<i16>() else { return unknown() };
        if year == 0 {
            return unknown();
        }
        let month = month.parse::<i8>().ok().filter(|m| (1..=12).contains(m));
        let day = day.parse::<i8>().ok().filter(|d| *d != 0);
        match (month, day) {
            (Some(month), Some(day)) => match Date::new(year, month, day) {
                Ok(date) => Self::Full(date),
                Err(_) => unknown(),
            },
            (Some(month), None) => Self::Month { year, month, raw: text.to_owned() },
            (None, _) => Self::Year { year, raw: text.to_owned() },
        }
    }

    /// True if the text has the shape of a date of this notation, known or not, and names no day that does not
    /// exist: `1950-A1-00` and `0000-00-00` have it, `1950-02-30` and `yesterday` have not.
    pub fn is_date_shaped(text: &str) -> bool {
        let Some((year, month, day)) = split(text) else { return false };
        let month_ok = matches!(month, "" | "00" | "A1" | "A2" | "A3" | "A4")
            || month.parse::<u8>().is_ok_and(|m| (1..=12).contains(&m));
        let day_ok =
            matches!(day, "" | "00" | "A1" | "A2" | "A3") || day.parse::<u8>().is_ok_and(|d| (1..=31).contains(&d));
        let exists = match (year.parse::<i16>(), month.parse::<i8>(), day.parse::<i8>()) {
            (Ok(y), Ok(m), Ok(d)) if y != 0 && m != 0 && d != 0 => Date::new(y, m, d).is_ok(),
            _ => true,
        };
        month_ok && day_ok && exists
    }

    /// The whole date, if it is whole.
    pub fn full(&self) -> Option<Date> {
        match self {
            Self::Full(date) => Some(*date),
            _ => None,
        }
    }

    /// The earliest day it can be; `None` if nothing is known.
    pub fn earliest(&self) -> Option<Date> {
        match self {
            Self::Full(date) => Some(*date),
            Self::Month { year, month, .. } => Date::new(*year, *month, 1).ok(),
            Self::Unknown { .. } => None,
            Self::Year { year, .. } => Date::new(*year, 1, 1).ok(),
        }
    }

    /// The latest day it can be; `None` if nothing is known.
    pub fn latest(&self) -> Option<Date> {
        match self {
            Self::Full(date) => Some(*date),
            Self::Month { .. } => self.earliest().map(|first| first.last_of_month()),
            Self::Unknown { .. } => None,
            Self::Year { year, .. } => Date::new(*year, 12, 31).ok(),
        }
    }

    /// What is known, in the form FHIR writes it: `1950`, `1950-03`, `1950-03-01`; `None` if nothing is.
    pub fn known(&self) -> Option<String> {
        match self {
            Self::Full(date) => Some(date.to_string()),
            Self::Month { year, month, .. } => Some(format!("{year:04}-{month:02}")),
            Self::Unknown { .. } => None,
            Self::Year { year, .. } => Some(format!("{year:04}")),
        }
    }
}

impl fmt::Display for PartialDate {
    /// The sender's spelling where one was kept, else ISO.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(date) => write!(f, "{date}"),
            Self::Month { raw, .. } | Self::Unknown { raw } | Self::Year { raw, .. } => f.write_str(raw),
        }
    }
}

fn split(text: &str) -> Option<(&str, &str, &str)> {
    let digits_or_mark = |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_alphanumeric());
    let year_ok = |part: &str| part.len() == 4 && part.bytes().all(|b| b.is_ascii_digit());
    let parts: (&str, &str, &str) = if let Some(separator) = text.chars().find(|c| matches!(c, '-' | '/')) {
        let mut parts = text.split(separator);
        let found = (parts.next()?, parts.next()?, parts.next().unwrap_or(""));
        if parts.next().is_some() {
            return None;
        }
        found
    } else {
        match text.len() {
            4 => (text, "", ""),
            6 => (text.get(..4)?, text.get(4..)?, ""),
            8 => (text.get(..4)?, text.get(4..6)?, text.get(6..)?),
            _ => return None,
        }
    };
    let (year, month, day) = parts;
    let month_fits = month.is_empty() || digits_or_mark(month, 2);
    let day_fits = day.is_empty() || (!month.is_empty() && digits_or_mark(day, 2));
    (year_ok(year) && month_fits && day_fits).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_municipalities_write() {
        for (text, known, shaped) in [
            ("2026-04-01", Some("2026-04-01"), true),
            ("20260401", Some("2026-04-01"), true),
            ("2026/04/01", Some("2026-04-01"), true),
            ("1950-A1-00", Some("1950"), true),
            ("1950-03-00", Some("1950-03"), true),
            ("1950-03-A1", Some("1950-03"), true),
            ("1950", Some("1950"), true),
            ("1950-03", Some("1950-03"), true),
            ("0000-00-00", None, true),
            ("1950-02-30", None, false),
            ("2025-13-01", Some("2025"), false),
            ("yesterday", None, false),
            ("2026-4-1", None, false),
            ("", None, false),
            ("１９５０", None, false),
        ] {
            assert_eq!(PartialDate::is_date_shaped(text), shaped, "{text}");
            if shaped {
                assert_eq!(PartialDate::read_iso(text).known().as_deref(), known, "{text}");
                let date = PartialDate::read_iso(text);
                if date.full().is_none() {
                    assert_eq!(date.to_string(), text, "the spelling is kept");
                }
            }
        }
    }

    #[test]
    fn bounds_hold_what_may_be_meant() {
        let february = PartialDate::read_iso("2024-02-00");
        assert_eq!(february.earliest(), Date::new(2024, 2, 1).ok());
        assert_eq!(february.latest(), Date::new(2024, 2, 29).ok());
        assert_eq!(PartialDate::read_iso("0000-00-00").earliest(), None);
    }
}
