//! Japanese eras (元号).
//!
//! An era that had ended is accepted with a warning and never written; a date before its era is an error; before 1873
//! the calendar was another one, so the text is kept and nothing is computed from it.

use std::borrow::Cow;

use jiff::civil::{Date, date};
use tsunagi_core::fault::Bilingual;
use tsunagi_core::partial_date::PartialDate;

use super::date::not_a_date;
use super::text;

/// Reads `R8.4.1`, `R080401`, `令和8年4月1日`, `令和元年`, `5080401` and ISO forms, each with parts unknown; digits may
/// be full-width. The flag says that the era had ended.
pub(super) fn read(raw: &str) -> Result<(PartialDate, bool), Bilingual> {
    let text = plain(raw);
    if UNKNOWN.contains(&text.as_ref()) {
        return Ok((PartialDate::Unknown { raw: raw.to_owned() }, false));
    }
    let Some((era, rest)) = era_of(&text) else {
        return if PartialDate::is_date_shaped(&text) {
            Ok((with_raw(PartialDate::read_iso(&text), raw), false))
        } else {
            Err(not_a_date())
        };
    };
    let parts = parts(rest).ok_or_else(not_a_date)?;
    era.date(parts, raw)
}

/// `令和8年4月1日`; the newer era where a day belongs to two.
pub(super) fn spell(day: Date) -> String {
    match era_on(day) {
        Some(era) => format!("{}{}年{}月{}日", era.name, era.year_word(day.year()), day.month(), day.day()),
        None => day.to_string(),
    }
}

/// `R08.04.01`
pub(super) fn spell_dotted(day: Date) -> String {
    match era_on(day) {
        Some(era) => format!("{}{:02}.{:02}.{:02}", era.letter, era.year(day.year()), day.month(), day.day()),
        None => day.to_string(),
    }
}

/// `昭和25年3月`, `昭和25年`; year 0 is an unknown one.
pub(super) fn spell_partial(year: i16, month: Option<i8>) -> String {
    match (era_in(year, month), month) {
        (Some(era), Some(month)) => format!("{}{}年{month}月", era.name, era.year_word(year)),
        (Some(era), None) => format!("{}{}年", era.name, era.year_word(year)),
        (None, month) => format!("{year:04}-{:02}-00", month.unwrap_or(0)),
    }
}

/// `S25.03.00`, `S25.00.00`
pub(super) fn spell_partial_dotted(year: i16, month: Option<i8>) -> String {
    let number = month.unwrap_or(0);
    match era_in(year, month) {
        Some(era) => format!("{}{:02}.{number:02}.00", era.letter, era.year(year)),
        None => format!("{year:04}-{number:02}-00"),
    }
}

struct Era {
    digit: char,
    letter: char,
    name: &'static str,
    first: Date,
    /// None while it lasts.
    last: Option<Date>,
}

impl Era {
    fn year(&self, year: i16) -> i16 {
        year - self.first.year() + 1
    }

    fn year_word(&self, year: i16) -> String {
        match self.year(year) {
            1 => "元".to_owned(),
            number => number.to_string(),
        }
    }

    fn date(&self, parts: Parts, raw: &str) -> Result<(PartialDate, bool), Bilingual> {
        if parts.year == 0 {
            return Err(Bilingual::new("元号の0年はありません", "an era has no year 0"));
        }
        let year = self.first.year() - 1 + parts.year;
        if year < GREGORIAN_SINCE {
            return Ok((PartialDate::Unknown { raw: raw.to_owned() }, false));
        }
        let raw = raw.to_owned();
        let date = match (parts.month, parts.day) {
            (Some(month), Some(day)) => PartialDate::Full(Date::new(year, month, day).map_err(|_| not_a_date())?),
            (Some(month), None) => PartialDate::Month { year, month, raw },
            (None, _) => PartialDate::Year { year, raw },
        };
        if date.latest().is_some_and(|latest| latest < self.first) {
            return Err(Bilingual::new("その元号が始まる前の日付です", "the date is before its era begins"));
        }
        let is_overlong = self.last.is_some_and(|last| date.earliest().is_some_and(|earliest| earliest > last));
        Ok((date, is_overlong))
    }
}

#[derive(Debug, Clone, Copy)]
struct Parts {
    year: i16,
    month: Option<i8>,
    day: Option<i8>,
}

/// The text with half-width digits and letters and without spaces.
fn plain(raw: &str) -> Cow<'_, str> {
    let narrow = text::half_width(Cow::Borrowed(raw));
    if narrow.contains([' ', '\u{3000}']) {
        return Cow::Owned(narrow.chars().filter(|c| !matches!(c, ' ' | '\u{3000}')).collect());
    }
    narrow
}

fn era_of(text: &str) -> Option<(&'static Era, &str)> {
    let first = text.chars().next()?;
    if first.is_ascii_digit() {
        let is_coded = text.len() == 7 && text.bytes().all(|b| b.is_ascii_alphanumeric());
        let era = ERAS.iter().find(|era| era.digit == first)?;
        return is_coded.then(|| (era, text.get(1..).unwrap_or("")));
    }
    if first.is_ascii_alphabetic() {
        let era = ERAS.iter().find(|era| era.letter == first.to_ascii_uppercase())?;
        return Some((era, text.get(1..)?));
    }
    ERAS.iter().find_map(|era| Some((era, text.strip_prefix(era.name)?)))
}

/// `8年4月1日`, `08.04.01`, `080401` and what they look like with parts unknown.
fn parts(text: &str) -> Option<Parts> {
    if let Some((year, rest)) = text.split_once('年') {
        return parts_in_words(year_number(year)?, rest);
    }
    let (year, month, day) = match text.find(['.', '/', '-']) {
        Some(at) => {
            let mut parts = text.split(text.get(at..=at)?);
            let found = (parts.next()?, parts.next()?, parts.next().unwrap_or(""));
            if parts.next().is_some() {
                return None;
            }
            found
        }
        None if text.len() == 6 => (text.get(..2)?, text.get(2..4)?, text.get(4..)?),
        None => return None,
    };
    Some(Parts {
        year: year_number(year)?,
        month: number(month, 12, "A1 A2 A3 A4")?,
        day: number(day, 31, "A1 A2 A3")?,
    })
}

fn parts_in_words(year: i16, rest: &str) -> Option<Parts> {
    if matches!(rest, "" | "春" | "夏" | "秋" | "冬" | "不明" | "月日不明") {
        return Some(Parts { year, month: None, day: None });
    }
    let (month, day) = rest.split_once('月')?;
    let month = number(month, 12, "A1 A2 A3 A4 不明")?;
    let day = match day.strip_suffix('日').unwrap_or(day) {
        "上旬" | "中旬" | "下旬" | "不明" | "" => None,
        day => number(day, 31, "A1 A2 A3")?,
    };
    Some(Parts { year, month, day })
}

fn year_number(text: &str) -> Option<i16> {
    match text {
        "元" => Some(1),
        _ if (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

/// `Some(None)`: unknown, by one of the marks or by 0 or nothing.
fn number(text: &str, most: i8, marks: &str) -> Option<Option<i8>> {
    if text.is_empty() || marks.split(' ').any(|mark| mark == text) {
        return Some(None);
    }
    if text.len() > 2 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match text.parse().ok()? {
        0 => Some(None),
        number if number <= most => Some(Some(number)),
        _ => None,
    }
}

fn with_raw(date: PartialDate, spelling: &str) -> PartialDate {
    let raw = spelling.to_owned();
    match date {
        PartialDate::Full(day) => PartialDate::Full(day),
        PartialDate::Month { year, month, .. } => PartialDate::Month { year, month, raw },
        PartialDate::Unknown { .. } => PartialDate::Unknown { raw },
        PartialDate::Year { year, .. } => PartialDate::Year { year, raw },
    }
}

/// None before the Gregorian calendar and where the year has three digits, as in `9999-12-31`: no reader of eras takes
/// them, so such days are written in ISO.
fn era_on(day: Date) -> Option<&'static Era> {
    if day.year() < GREGORIAN_SINCE {
        return None;
    }
    ERAS.iter().rev().find(|era| era.first <= day).filter(|era| era.year(day.year()) < 100)
}

fn era_in(year: i16, month: Option<i8>) -> Option<&'static Era> {
    era_on(Date::new(year, month.unwrap_or(1), 1).ok()?)
}

/// 明治6年: from here on dates are Gregorian.
const GREGORIAN_SINCE: i16 = 1873;

const UNKNOWN: [&str; 3] = ["不明", "不明年", "年月日不明"];

/// 1912-07-30 and 1926-12-25 belong to two eras each.
static ERAS: [Era; 5] = [
    Era { digit: '1', letter: 'M', name: "明治", first: date(1868, 1, 25), last: Some(date(1912, 7, 30)) },
    Era { digit: '2', letter: 'T', name: "大正", first: date(1912, 7, 30), last: Some(date(1926, 12, 25)) },
    Era { digit: '3', letter: 'S', name: "昭和", first: date(1926, 12, 25), last: Some(date(1989, 1, 7)) },
    Era { digit: '4', letter: 'H', name: "平成", first: date(1989, 1, 8), last: Some(date(2019, 4, 30)) },
    Era { digit: '5', letter: 'R', name: "令和", first: date(2019, 5, 1), last: None },
];

#[cfg(test)]
mod tests;
