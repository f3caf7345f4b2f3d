//! Dates with a time. Inside the hub they are Japan's local time, `YYYY-MM-DDThh:mm[:ss]`.

use jiff::civil::DateTime;
use jiff::{SignedDuration, tz::Offset};
use tsunagi_core::fault::Bilingual;

/// Reads `YYYY-MM-DDThh:mm[:ss[.fff]][offset]`, with `T` or a space; an instant elsewhere becomes Japan's local time.
pub(super) fn read(text: &str) -> Result<String, Bilingual> {
    parse(text).ok_or_else(|| Bilingual::new("日時として読めません", "not a date and time"))
}

/// Adds what FHIR demands of a time: seconds and the offset.
pub(super) fn with_offset(local: &str) -> String {
    let seconds = if local.len() == "YYYY-MM-DDThh:mm".len() { ":00" } else { "" };
    format!("{local}{seconds}+09:00")
}

fn parse(text: &str) -> Option<String> {
    let (day, clock) = (text.get(..10)?, text.get(11..)?);
    if !text.get(10..11).is_some_and(|between| between == "T" || between == " ") {
        return None;
    }
    let (clock, offset) = match clock.find(['+', '-', 'Z']) {
        Some(at) => (clock.get(..at)?, Some(offset(clock.get(at..)?)?)),
        None => (clock, None),
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let clock_shape = |at: usize, byte: u8| if at % 3 == 2 { byte == b':' } else { byte.is_ascii_digit() };
    let is_shaped = matches!(clock.len(), 5 | 8)
        && clock.bytes().enumerate().all(|(at, byte)| clock_shape(at, byte))
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !is_shaped {
        return None;
    }
    let time: DateTime = format!("{}T{clock}", day.replace('/', "-")).parse().ok()?;
    // A leap second is read as the second before it; 23:59:60 has no other local form.
    let time = match offset {
        Some(offset) => time.checked_add(SignedDuration::from_secs(JAPAN_SECS - i64::from(offset.seconds()))).ok()?,
        None => time,
    };
    // Year 0 is no year of a date here either, and what is before it has no form of ten characters.
    if time.year() < 1 {
        return None;
    }
    let (date, hour, minute) = (time.date(), time.hour(), time.minute());
    Some(if clock.len() == 8 {
        format!("{date}T{hour:02}:{minute:02}:{:02}", time.second())
    } else {
        format!("{date}T{hour:02}:{minute:02}")
    })
}

fn offset(text: &str) -> Option<Offset> {
    if text == "Z" {
        return Some(Offset::UTC);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (hours.parse::<u8>().ok()?, minutes.parse::<u8>().ok()?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60)).ok()
}

const JAPAN_SECS: i64 = 9 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_becomes_japans_local_time() {
        for (text, local) in [
            ("2026-04-01T10:20", Some("2026-04-01T10:20")),
            ("2026-04-01 10:20:30", Some("2026-04-01T10:20:30")),
            ("2026/04/01 10:20", Some("2026-04-01T10:20")),
            ("2026-04-01T10:20:30+09:00", Some("2026-04-01T10:20:30")),
            ("2026-03-31T20:00:00Z", Some("2026-04-01T05:00:00")),
            ("2026-03-31T20:00:00.125Z", Some("2026-04-01T05:00:00")),
            ("2026-03-31T12:00:00-05:00", Some("2026-04-01T02:00:00")),
            ("2026-04-01", None),
            ("2026-04-01T24:00", None),
            ("2026-04-01T10", None),
            ("2026-04-01T10:2", None),
            ("2026-02-30T10:20", None),
            ("0001-01-01T00:00+09:00", Some("0001-01-01T00:00")),
            ("0000-06-01T00:00", None),
            ("0000-01-01T00:00+14:00", None),
            ("0001-01-01T00:00+14:00", None),
            ("9999-12-31T23:00Z", None),
            ("2026-04-01T10:20+9", None),
            ("2026-04-01T10:20:30.", None),
            ("２０２６-04-01T10:20", None),
        ] {
            assert_eq!(parse(text).as_deref(), local, "{text}");
        }
    }

    #[test]
    fn fhir_gets_seconds_and_an_offset() {
        assert_eq!(with_offset("2026-04-01T10:20"), "2026-04-01T10:20:00+09:00");
        assert_eq!(with_offset("2026-04-01T10:20:30"), "2026-04-01T10:20:30+09:00");
    }
}
