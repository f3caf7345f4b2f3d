use jiff::civil::{Date, date};

use super::*;

fn length(text: &str) -> Length {
    Length::parse(text).unwrap()
}

fn full(day: Date) -> PartialDate {
    PartialDate::Full(day)
}

fn rule(number: u32, window: Window, after: &[(usize, &str)]) -> DoseRule {
    let after = after.iter().map(|(dose, least)| Interval {
        dose: *dose,
        at_least: length(least),
        by_doctor: None,
        usual: None,
    });
    DoseRule { terms: BTreeSet::new(), number, window, after: after.collect(), usual: None }
}

fn series(id: &str, doses: Vec<DoseRule>) -> Series {
    Series {
        id: id.to_owned(),
        label: Bilingual::new("甲", "A"),
        vaccines: BTreeSet::from([id.to_owned()]),
        subject: Whose::Child,
        in_force_from: None,
        in_force_until: None,
        not_for_sex: BTreeSet::new(),
        begun_under: None,
        begun_from: None,
        doses,
        confirmed: true,
    }
}

fn under(age: &str) -> Window {
    Window { under: Some(length(age)), ..Window::default() }
}

fn dose(number: u32, given_on: PartialDate) -> Dose {
    Dose { vaccine: "a".to_owned(), term: None, number, given_on, gestation: None }
}

fn born(birth: Date) -> Recipient {
    Recipient { birth: Some(full(birth)), ..Recipient::default() }
}

fn codes(flags: &[ScheduleFlag]) -> Vec<FlagCode> {
    flags.iter().map(|flag| flag.code).collect()
}

#[test]
fn lengths_are_written_in_four_units() {
    for (text, expected) in [
        ("27d", Length::Days { days: 27, in_weeks: false }),
        ("6w0d", Length::Days { days: 42, in_weeks: true }),
        ("14w6d", Length::Days { days: 104, in_weeks: true }),
        ("2m", Length::Months(2)),
        ("7y6m", Length::Months(90)),
        ("1y", Length::Months(12)),
    ] {
        assert_eq!(Length::parse(text), Ok(expected), "{text}");
    }
    for text in ["", "27", "d", "1y6d", "6d0w", "2m1y", "-1d", "1.5m", "6w 0d", "70000d", "9999y"] {
        assert_eq!(Length::parse(text), Err(LengthFault), "{text}");
    }
}

#[test]
fn an_interval_leaves_its_days_in_between() {
    let first = date(2026, 4, 1);
    for (least, earliest) in [
        ("6d", date(2026, 4, 8)),
        ("20d", date(2026, 4, 22)),
        ("27d", date(2026, 4, 29)),
        ("60d", date(2026, 6, 1)),
        ("139d", date(2026, 8, 19)),
        ("3m", date(2026, 7, 1)),
    ] {
        assert_eq!(length(least).first_day_after(first), earliest, "{least}");
    }
    assert_eq!(length("6m").first_day_after(date(2025, 8, 31)), date(2026, 2, 28), "no such day in the month");
    assert_eq!(length("1m").first_day_after(date(2024, 1, 30)), date(2024, 2, 29));
}

#[test]
fn an_age_is_reached_at_the_end_of_the_day_before_the_birthday() {
    for (birth, age, last) in [
        (date(2025, 3, 1), "1y", date(2026, 2, 28)),
        (date(2024, 2, 29), "1y", date(2025, 2, 28)),
        (date(2024, 2, 29), "4y", date(2028, 2, 28)),
        (date(2025, 8, 31), "6m", date(2026, 2, 28)),
        (date(2025, 8, 30), "6m", date(2026, 2, 28)),
        (date(2025, 8, 28), "6m", date(2026, 2, 27)),
        (date(2018, 10, 15), "7y6m", date(2026, 4, 14)),
    ] {
        assert_eq!(length(age).last_day_under(birth), last, "born {birth}, {age}");
        assert_eq!(length(age).first_day(birth), last.tomorrow().unwrap(), "born {birth}, {age}");
    }
}

#[test]
fn weeks_are_counted_from_the_day_of_birth() {
    let birth = date(2026, 4, 1);
    for (age, day) in [
        ("6w0d", date(2026, 5, 13)),
        ("14w6d", date(2026, 7, 14)),
        ("24w0d", date(2026, 9, 16)),
        ("32w0d", date(2026, 11, 11)),
    ] {
        assert_eq!(length(age).first_day(birth), day, "{age}");
    }
}

#[test]
fn a_school_year_begins_on_the_first_of_april_after_the_age_is_reached() {
    // Born on April 1, one is six at the end of March 31 and goes to school the day after.
    assert_eq!(school_year(date(2020, 4, 1), 1), (date(2026, 4, 1), date(2027, 3, 31)));
    assert_eq!(school_year(date(2020, 4, 2), 1), (date(2027, 4, 1), date(2028, 3, 31)));
    assert_eq!(school_year(date(2020, 4, 2), 0), (date(2026, 4, 1), date(2027, 3, 31)));
    assert_eq!(school_year(date(2014, 12, 31), 6), (date(2026, 4, 1), date(2027, 3, 31)));
}

#[test]
fn a_dose_is_flagged_on_the_last_day_that_breaks_the_rule_and_not_on_the_next() {
    let schedule = Schedule {
        series: vec![series("a", vec![rule(1, under("1y"), &[]), rule(2, under("1y"), &[(1, "27d")])])],
        between: Vec::new(),
    };
    let birth = born(date(2025, 3, 1));
    let first = dose(1, full(date(2025, 6, 1)));
    for (given, expected) in [
        (date(2025, 6, 28), vec![FlagCode::Interval]),
        (date(2025, 6, 29), vec![]),
        (date(2026, 2, 28), vec![]),
        (date(2026, 3, 1), vec![FlagCode::TooLate]),
    ] {
        let second = dose(2, full(given));
        let flags = schedule.flags(std::slice::from_ref(&first), &second, &birth);
        assert_eq!(codes(&flags), expected, "{given}");
        let own: Vec<FlagCode> = expected.iter().copied().filter(|code| *code == FlagCode::TooLate).collect();
        assert_eq!(codes(&schedule.own_flags(&second, &birth)), own, "{given}");
    }
    let flags =
        schedule.flags(&[first.clone(), dose(2, full(date(2025, 6, 2)))], &dose(2, full(date(2025, 6, 2))), &birth);
    assert_eq!(flags[0].reason.ja, "甲 2回目: 1回目から27日以上あいていません");
    assert_eq!(flags[0].reason.en, "A, dose 2: less than 27 days after dose 1");
    assert!(flags[0].confirmed);
    assert_eq!(codes(&schedule.flags(&[], &dose(3, full(date(2025, 6, 1))), &birth)), [FlagCode::NoSuchDose]);
    let other = Dose { vaccine: "b".to_owned(), ..first };
    assert!(schedule.flags(&[], &other, &birth).is_empty(), "a vaccine the schedule does not have");
}

#[test]
fn what_is_not_known_is_read_in_the_doses_favour() {
    let schedule = Schedule {
        series: vec![series("a", vec![rule(1, under("1y"), &[]), rule(2, under("1y"), &[(1, "27d")])])],
        between: Vec::new(),
    };
    let raw = PartialDate::read_iso;
    let birth = |text: &str| Recipient { birth: Some(raw(text)), ..Recipient::default() };
    for (born, given, expected) in [
        ("2025-03-00", "2026-03-30", vec![]),
        ("2025-03-00", "2026-03-31", vec![FlagCode::TooLate]),
        ("2025-03-01", "2026-03-00", vec![FlagCode::TooLate]),
        ("2025-03-02", "2026-03-00", vec![]),
        ("2025", "2026-12-30", vec![]),
        ("0000-00-00", "2030-01-01", vec![]),
        ("2025-03-01", "0000-00-00", vec![]),
    ] {
        assert_eq!(codes(&schedule.flags(&[], &dose(1, raw(given)), &birth(born))), expected, "{born}, {given}");
    }
    assert!(schedule.flags(&[], &dose(1, raw("2099-01-01")), &Recipient::default()).is_empty());
    for (first, second, expected) in [
        ("2025-06-00", "2025-06-28", vec![FlagCode::Interval]),
        ("2025-06-00", "2025-06-29", vec![]),
        ("2025-06-01", "2025-06-00", vec![]),
        ("2025-06-04", "2025-06-00", vec![FlagCode::Interval]),
        ("0000-00-00", "2025-06-02", vec![]),
    ] {
        let flags = schedule.flags(&[dose(1, raw(first))], &dose(2, raw(second)), &birth("2025-03-01"));
        assert_eq!(codes(&flags), expected, "{first}, {second}");
    }
}

#[test]
fn a_shorter_interval_is_the_doctors() {
    let mut second = rule(2, Window::default(), &[(1, "27d")]);
    second.after[0].by_doctor = Some(length("20d"));
    let schedule =
        Schedule { series: vec![series("a", vec![rule(1, Window::default(), &[]), second])], between: Vec::new() };
    let first = [dose(1, full(date(2026, 4, 1)))];
    for (given, expected) in [
        (date(2026, 4, 21), vec![FlagCode::Interval]),
        (date(2026, 4, 22), vec![FlagCode::IntervalByDoctor]),
        (date(2026, 4, 28), vec![FlagCode::IntervalByDoctor]),
        (date(2026, 4, 29), vec![]),
    ] {
        assert_eq!(codes(&schedule.flags(&first, &dose(2, full(given)), &Recipient::default())), expected, "{given}");
    }
    let booking = schedule.earliest_next(&first, "a", &Recipient::default(), date(2026, 4, 1)).unwrap();
    assert_eq!((booking.earliest, booking.earliest_by_doctor), (date(2026, 4, 29), Some(date(2026, 4, 22))));
}

#[test]
fn the_age_at_the_first_dose_chooses_the_series() {
    let mut young = series("a", vec![rule(1, Window::default(), &[]), rule(2, Window::default(), &[(1, "5m")])]);
    young.begun_under = Some(length("15y"));
    let mut older = series("b", vec![rule(1, Window::default(), &[]), rule(2, Window::default(), &[(1, "1m")])]);
    older.begun_from = Some(length("15y"));
    older.vaccines = young.vaccines.clone();
    let schedule = Schedule { series: vec![young, older], between: Vec::new() };
    let given = |first: Date, birth: Date| {
        let history = [dose(1, full(first))];
        let second = dose(2, full(first.saturating_add(jiff::Span::new().months(1))));
        codes(&schedule.flags(&history, &second, &born(birth)))
    };
    assert_eq!(given(date(2026, 4, 1), date(2011, 4, 2)), [FlagCode::Interval], "fourteen");
    assert_eq!(given(date(2026, 4, 1), date(2011, 4, 1)), [], "fifteen on the day");
    let first = [dose(1, full(date(2026, 4, 1)))];
    let next = |recipient: &Recipient| schedule.earliest_next(&first, "a", recipient, date(2026, 4, 1));
    assert_eq!(next(&born(date(2011, 4, 2))).unwrap().earliest, date(2026, 9, 1));
    assert_eq!(next(&born(date(2011, 4, 1))).unwrap().earliest, date(2026, 5, 1));
    assert_eq!(next(&Recipient::default()), Err(NotBookable::NeedsBirthDate));
}

#[test]
fn a_booking_is_never_in_the_past_and_never_after_the_end() {
    let schedule = Schedule {
        series: vec![series("a", vec![rule(1, under("1y"), &[]), rule(2, under("1y"), &[(1, "27d")])])],
        between: Vec::new(),
    };
    let birth = born(date(2025, 3, 1));
    let first = [dose(1, full(date(2025, 6, 1)))];
    let next = |today: Date| schedule.earliest_next(&first, "a", &birth, today);
    let booking = next(date(2025, 6, 1)).unwrap();
    assert_eq!((booking.dose, booking.number), (2, 2));
    assert_eq!((booking.earliest, booking.latest), (date(2025, 6, 29), Some(date(2026, 2, 28))));
    assert_eq!(next(date(2025, 12, 1)).unwrap().earliest, date(2025, 12, 1));
    assert_eq!(next(date(2026, 2, 28)).unwrap().earliest, date(2026, 2, 28));
    assert_eq!(next(date(2026, 3, 1)), Err(NotBookable::Closed { last: date(2026, 2, 28) }));

    let both = [first[0].clone(), dose(2, full(date(2025, 7, 1)))];
    assert_eq!(schedule.earliest_next(&both, "a", &birth, date(2025, 8, 1)), Err(NotBookable::Complete));
    assert_eq!(schedule.earliest_next(&[], "b", &birth, date(2025, 8, 1)), Err(NotBookable::NotScheduled));
    let unknown = Recipient::default();
    assert_eq!(schedule.earliest_next(&[], "a", &unknown, date(2025, 8, 1)), Err(NotBookable::NeedsBirthDate));
    let partial = [dose(1, PartialDate::read_iso("2025-06"))];
    assert_eq!(schedule.earliest_next(&partial, "a", &birth, date(2025, 8, 1)), Err(NotBookable::NeedsDoseDate));
}

#[test]
fn a_term_that_was_missed_does_not_close_the_next() {
    let second = Window { from: Some(length("5y")), under: Some(length("7y")), ..Window::default() };
    let mut doses = vec![rule(1, under("2y"), &[]), rule(1, second, &[])];
    for (rule, term) in doses.iter_mut().zip(["term_1", "term_2"]) {
        rule.terms = BTreeSet::from([term.to_owned()]);
    }
    let schedule = Schedule { series: vec![series("a", doses)], between: Vec::new() };
    let birth = born(date(2020, 4, 2));
    let booking = schedule.earliest_next(&[], "a", &birth, date(2025, 1, 1)).unwrap();
    assert_eq!((booking.dose, booking.earliest), (2, date(2025, 4, 2)));
    // Within the term or through the series: both are the second dose.
    for (term, number) in [(Some("term_2"), 1), (Some("term_2"), 2), (None, 2), (Some("other"), 2)] {
        let given = Dose { term: term.map(str::to_owned), ..dose(number, full(date(2025, 1, 1))) };
        assert_eq!(codes(&schedule.flags(&[], &given, &birth)), [FlagCode::TooEarly], "{term:?} {number}");
    }
    let given = Dose { term: Some("term_1".to_owned()), ..dose(2, full(date(2021, 1, 1))) };
    assert_eq!(codes(&schedule.flags(&[], &given, &birth)), [FlagCode::NoSuchDose]);
}

#[test]
fn vaccines_of_one_group_keep_apart_unless_given_together() {
    let between = Between {
        label: Bilingual::new("注射生ワクチン", "Injected live vaccines"),
        vaccines: BTreeSet::from(["a".to_owned(), "b".to_owned()]),
        at_least: length("27d"),
        in_force_from: Some(date(2020, 10, 1)),
    };
    let schedule =
        Schedule { series: vec![series("a", vec![rule(1, Window::default(), &[])])], between: vec![between] };
    let other = |given: Date| [Dose { vaccine: "b".to_owned(), ..dose(1, full(given)) }];
    let flags = |given: Date, other_given: Date| {
        codes(&schedule.flags(&other(other_given), &dose(1, full(given)), &Recipient::default()))
    };
    assert_eq!(flags(date(2026, 4, 28), date(2026, 4, 1)), [FlagCode::Between]);
    assert_eq!(flags(date(2026, 4, 29), date(2026, 4, 1)), []);
    assert_eq!(flags(date(2026, 4, 1), date(2026, 4, 1)), [], "on one day");
    assert_eq!(flags(date(2020, 9, 30), date(2020, 9, 20)), [], "before it is known");
    let next = schedule.earliest_next(&other(date(2026, 4, 1)), "a", &Recipient::default(), date(2026, 4, 1)).unwrap();
    assert_eq!(next.earliest, date(2026, 4, 29));
}
