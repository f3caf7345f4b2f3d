//! Dates in the notations of the field. Where anything is unknown the sender's spelling is kept.

use jiff::civil::Date;
use tsunagi_core::fault::Bilingual;
use tsunagi_core::partial_date::PartialDate;

use super::{Noted, datetime, era};

/// How a participant writes dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DateForm {
    /// `yyyyMMdd`
    Compact,
    /// Reads every era notation and ISO, writes `令和8年4月1日`.
    Era,
    /// Reads the same, writes `R08.04.01`.
    EraDotted,
    /// `YYYY`, `YYYY-MM`, `YYYY-MM-DD`; a dateTime counts by its day in Japan. Says only what is known.
    Fhir,
    /// `YYYY-MM-DD` with the marks of municipal systems for what is unknown.
    Iso,
    /// `yyyy/MM/dd`
    Slash,
}

impl DateForm {
    pub(crate) fn read(self, text: &str, noted: &mut Noted) -> Result<PartialDate, Bilingual> {
        let only = |separator: Option<char>| {
            let found = text.chars().find(|c| matches!(c, '-' | '/'));
            if (found == separator || text.len() == 4) && PartialDate::is_date_shaped(text) {
                Ok(PartialDate::read_iso(text))
            } else {
                Err(not_a_date())
            }
        };
        match self {
            Self::Compact => only(None),
            Self::Era | Self::EraDotted => {
                let (date, is_overlong) = era::read(text)?;
                noted.era_overlong |= is_overlong;
                Ok(date)
            }
            Self::Fhir if text.contains('T') => datetime::read(text).map(|local| day_of(&local)),
            Self::Fhir => only(Some('-')).and_then(|date| {
                // FHIR has no marks for unknown parts: what it cannot say it leaves out.
                if date.known().as_deref() == Some(text) { Ok(date) } else { Err(not_a_date()) }
            }),
            Self::Iso => only(Some('-')),
            Self::Slash => only(Some('/')),
        }
    }

    /// `None` if nothing is known and the form has no words for that.
    pub(super) fn write(self, date: &PartialDate) -> Option<String> {
        let raw = match date {
            PartialDate::Full(day) => return Some(self.spell(*day)),
            PartialDate::Month { raw, .. } | PartialDate::Unknown { raw } | PartialDate::Year { raw, .. } => raw,
        };
        if self == Self::Fhir {
            return date.known();
        }
        // The sender's own spelling goes out wherever the receiver's notation reads the same from it.
        let mut noted = Noted::default();
        if self.read(raw, &mut noted).is_ok_and(|again| again == *date) && !noted.era_overlong {
            return Some(raw.clone());
        }
        Some(match date {
            PartialDate::Month { year, month, .. } => self.spell_partial(*year, Some(*month)),
            PartialDate::Year { year, .. } => self.spell_partial(*year, None),
            PartialDate::Full(_) | PartialDate::Unknown { .. } => self.spell_partial(0, None),
        })
    }

    fn spell(self, day: Date) -> String {
        let (y, m, d) = (day.year(), day.month(), day.day());
        match self {
            Self::Compact => format!("{y:04}{m:02}{d:02}"),
            Self::Era => era::spell(day),
            Self::EraDotted => era::spell_dotted(day),
            Self::Fhir | Self::Iso => day.to_string(),
            Self::Slash => format!("{y:04}/{m:02}/{d:02}"),
        }
    }

    fn spell_partial(self, year: i16, month: Option<i8>) -> String {
        let m = month.unwrap_or(0);
        match self {
            Self::Compact => format!("{year:04}{m:02}00"),
            Self::Era => era::spell_partial(year, month),
            Self::EraDotted => era::spell_partial_dotted(year, month),
            Self::Fhir | Self::Iso => format!("{year:04}-{m:02}-00"),
            Self::Slash => format!("{year:04}/{m:02}/00"),
        }
    }
}

pub(super) fn not_a_date() -> Bilingual {
    Bilingual::new("日付として読めません", "not a date in this notation")
}

fn day_of(local: &str) -> PartialDate {
    PartialDate::read_iso(local.get(..10).unwrap_or(local))
}
