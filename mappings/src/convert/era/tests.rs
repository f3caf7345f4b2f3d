use super::*;

/// (spelling, what is known or None, warned)
const READ: &[(&str, Option<&str>, bool)] = &[
    ("令和8年4月1日", Some("2026-04-01"), false),
    ("令和８年４月１日", Some("2026-04-01"), false),
    ("令和 8年 4月 1日", Some("2026-04-01"), false),
    ("R8.4.1", Some("2026-04-01"), false),
    ("R08.04.01", Some("2026-04-01"), false),
    ("r8/4/1", Some("2026-04-01"), false),
    ("R080401", Some("2026-04-01"), false),
    ("5080401", Some("2026-04-01"), false),
    ("2026-04-01", Some("2026-04-01"), false),
    ("2026/04/01", Some("2026-04-01"), false),
    ("20260401", Some("2026-04-01"), false),
    ("令和元年5月1日", Some("2019-05-01"), false),
    ("令和1年5月1日", Some("2019-05-01"), false),
    ("平成31年4月30日", Some("2019-04-30"), false),
    ("平成31年5月1日", Some("2019-05-01"), true),
    ("平成32年3月31日", Some("2020-03-31"), true),
    ("昭和64年1月7日", Some("1989-01-07"), false),
    ("昭和64年1月8日", Some("1989-01-08"), true),
    ("平成元年1月8日", Some("1989-01-08"), false),
    ("大正15年12月25日", Some("1926-12-25"), false),
    ("昭和元年12月25日", Some("1926-12-25"), false),
    ("明治45年7月29日", Some("1912-07-29"), false),
    ("明治45年7月30日", Some("1912-07-30"), false),
    ("大正元年7月30日", Some("1912-07-30"), false),
    ("明治6年1月1日", Some("1873-01-01"), false),
    ("明治5年12月2日", None, false),
    ("明治元年", None, false),
    ("令和99年1月1日", Some("2117-01-01"), false),
    ("昭和25年", Some("1950"), false),
    ("昭和25年春", Some("1950"), false),
    ("昭和25年3月", Some("1950-03"), false),
    ("昭和25年3月上旬", Some("1950-03"), false),
    ("昭和25年3月不明", Some("1950-03"), false),
    ("S25.03.00", Some("1950-03"), false),
    ("S25.A1.00", Some("1950"), false),
    ("325A100", Some("1950"), false),
    ("3250300", Some("1950-03"), false),
    ("1950-A1-00", Some("1950"), false),
    ("平成31年", Some("2019"), false),
    ("平成31年6月", Some("2019-06"), true),
    ("不明年", None, false),
    ("0000-00-00", None, false),
];

#[test]
fn reads_every_notation() {
    for (text, known, warned) in READ {
        let (date, overlong) = read(text).unwrap_or_else(|fault| panic!("{text}: {}", fault.en));
        assert_eq!(date.known().as_deref(), *known, "{text}");
        assert_eq!(overlong, *warned, "{text}");
        if date.full().is_none() {
            assert_eq!(date.to_string(), *text, "the spelling is kept");
        }
    }
}

#[test]
fn refuses_what_never_was() {
    for text in [
        "令和0年1月1日",
        "R00.01.01",
        "令和元年4月30日",
        "令和元年4月",
        "昭和元年12月24日",
        "大正元年7月29日",
        "令和8年2月30日",
        "令和8年13月1日",
        "令和100年1月1日",
        "R8",
        "R8.4.1.1",
        "X8.4.1",
        "6080401",
        "令和",
        "2026-02-30",
        "昨日",
        "",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn writes_the_newer_era_and_its_first_year_as_gannen() {
    for (y, m, d, words, dotted) in [
        (2026, 4, 1, "令和8年4月1日", "R08.04.01"),
        (2019, 5, 1, "令和元年5月1日", "R01.05.01"),
        (2019, 4, 30, "平成31年4月30日", "H31.04.30"),
        (1926, 12, 25, "昭和元年12月25日", "S01.12.25"),
        (1912, 7, 30, "大正元年7月30日", "T01.07.30"),
        (1873, 1, 1, "明治6年1月1日", "M06.01.01"),
        (1872, 12, 31, "1872-12-31", "1872-12-31"),
        (9999, 12, 31, "9999-12-31", "9999-12-31"),
    ] {
        let day = date(y, m, d);
        assert_eq!(spell(day), words);
        assert_eq!(spell_dotted(day), dotted);
        for text in [words, dotted] {
            assert_eq!(read(text), Ok((PartialDate::Full(day), false)), "{text}");
        }
    }
}

#[test]
fn partial_dates_are_written_in_the_era_of_their_first_day() {
    assert_eq!(spell_partial(1950, Some(3)), "昭和25年3月");
    assert_eq!(spell_partial(1950, None), "昭和25年");
    assert_eq!(spell_partial(2019, None), "平成31年");
    assert_eq!(spell_partial_dotted(1950, Some(3)), "S25.03.00");
    assert_eq!(spell_partial_dotted(1950, None), "S25.00.00");
    assert_eq!(spell_partial(0, None), "0000-00-00");
}
