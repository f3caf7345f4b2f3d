//! `calendars/<name>.toml`: the closed days of an office.

use jiff::civil::{Date, Weekday};
use serde::Deserialize;
use tsunagi_core::calendar::Calendar;

use crate::fault::{Faults, Place};
use crate::toml_file::{SyntaxVersion, TomlFile};

pub(crate) fn read(file: &str, text: &str, faults: &mut Faults) -> Option<Calendar> {
    let raw: RawCalendar = TomlFile::parse(file, text, faults)?.head(faults)?;
    let mut calendar = Calendar { holidays: raw.holidays.into_iter().collect(), ..Calendar::default() };
    for name in &raw.closed_weekdays {
        match weekday(name) {
            Some(day) => calendar.closed_weekdays.push(day),
            None => {
                let place = Place::whole(file).key("closed_weekdays");
                faults.say(&place, format!("{name} は曜日ではありません"), format!("{name} is not a day of the week"));
            }
        }
    }
    for text in &raw.closed_yearly {
        match month_and_day(text) {
            Some(day) => {
                calendar.closed_yearly.insert(day);
            }
            None => {
                let place = Place::whole(file).key("closed_yearly");
                faults.say(&place, format!("{text} は MM-DD ではありません"), format!("{text} is not MM-DD"));
            }
        }
    }
    Some(calendar)
}

fn weekday(name: &str) -> Option<Weekday> {
    Some(match name {
        "monday" => Weekday::Monday,
        "tuesday" => Weekday::Tuesday,
        "wednesday" => Weekday::Wednesday,
        "thursday" => Weekday::Thursday,
        "friday" => Weekday::Friday,
        "saturday" => Weekday::Saturday,
        "sunday" => Weekday::Sunday,
        _ => return None,
    })
}

fn month_and_day(text: &str) -> Option<(i8, i8)> {
    let (month, day) = text.split_once('-').filter(|(month, day)| month.len() == 2 && day.len() == 2)?;
    // A leap year, so that 02-29 is a day.
    let date = Date::new(2024, month.parse().ok()?, day.parse().ok()?).ok()?;
    Some((date.month(), date.day()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCalendar {
    #[serde(rename = "version")]
    _version: SyntaxVersion,
    closed_weekdays: Vec<String>,
    closed_yearly: Vec<String>,
    holidays: Vec<Date>,
}
