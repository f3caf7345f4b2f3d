//! Days on which an office is closed, and deadlines that move past them.

use std::collections::BTreeSet;

use jiff::civil::{Date, Weekday};

/// The closed days of an office, as `mappings/calendars/<name>.toml` states them: holidays are published a few
/// years ahead and never computed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calendar {
    /// Closed every week.
    pub closed_weekdays: Vec<Weekday>,
    /// Closed every year, as (month, day): `(12, 29)` and so on.
    pub closed_yearly: BTreeSet<(i8, i8)>,
    /// Closed once.
    pub holidays: BTreeSet<Date>,
}

impl Calendar {
    /// True unless the day is closed in any of the three ways.
    pub fn is_open(&self, day: Date) -> bool {
        !self.closed_weekdays.contains(&day.weekday())
            && !self.closed_yearly.contains(&(day.month(), day.day()))
            && !self.holidays.contains(&day)
    }

    /// The last of `days` days, of which `start` is the first, moved to the next open day if closed. 出生届 have 14
    /// days with the day of birth as the first (戸籍法49条). A calendar that is closed for a whole year moves nothing.
    pub fn deadline(&self, start: Date, days: u16) -> Date {
        let last = (1..days).fold(start, |day, _| day.tomorrow().unwrap_or(day));
        last.series(jiff::Span::new().days(1)).take(366).find(|day| self.is_open(*day)).unwrap_or(last)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn office() -> Calendar {
        Calendar {
            closed_weekdays: vec![Weekday::Saturday, Weekday::Sunday],
            closed_yearly: BTreeSet::from([(12, 29), (12, 30), (12, 31), (1, 1), (1, 2), (1, 3)]),
            holidays: BTreeSet::from([
                date(2026, 1, 12),
                date(2026, 4, 29),
                date(2026, 5, 3),
                date(2026, 5, 4),
                date(2026, 5, 5),
                date(2026, 5, 6),
            ]),
        }
    }

    #[test]
    fn a_birth_is_notified_within_fourteen_days() {
        for (born, by) in [
            (date(2026, 1, 1), date(2026, 1, 14)),
            (date(2026, 4, 20), date(2026, 5, 7)),
            // 12-29, then the closed days of the year, which end on a Sunday.
            (date(2026, 12, 16), date(2027, 1, 4)),
            (date(2026, 6, 1), date(2026, 6, 15)),
        ] {
            assert_eq!(office().deadline(born, 14), by, "born {born}");
        }
    }

    #[test]
    fn the_first_day_counts() {
        let every_day = Calendar::default();
        for (days, by) in [(0, 1), (1, 1), (2, 2), (14, 14)] {
            assert_eq!(every_day.deadline(date(2026, 1, 1), days), date(2026, 1, by), "{days} days");
        }
    }

    #[test]
    fn each_way_of_being_closed_counts_alone() {
        let saturday = date(2026, 5, 9);
        assert!(!office().is_open(saturday));
        assert!(Calendar { closed_weekdays: vec![], ..office() }.is_open(saturday));
        let new_year = date(2027, 1, 1);
        assert!(!office().is_open(new_year), "every year, not only in those of the list");
        assert!(Calendar { closed_yearly: BTreeSet::new(), ..office() }.is_open(new_year));
        let holiday = date(2026, 5, 6);
        assert!(!office().is_open(holiday));
        assert!(Calendar { holidays: BTreeSet::new(), ..office() }.is_open(holiday));
    }

    #[test]
    fn an_office_that_never_opens_moves_nothing() {
        let weekdays = Weekday::Monday.cycle_forward().take(7).collect();
        let never = Calendar { closed_weekdays: weekdays, ..Calendar::default() };
        assert_eq!(never.deadline(date(2026, 1, 1), 14), date(2026, 1, 14));
        assert_eq!(never.deadline(Date::MAX, 14), Date::MAX);
    }
}
