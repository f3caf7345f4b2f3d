//! The built-in schedule, on the dates of the field's reference.

use jiff::civil::{Date, date};
use tsunagi_core::fault::RowCode;
use tsunagi_core::id::LayoutId;
use tsunagi_core::partial_date::PartialDate;
use tsunagi_core::schedule::{FlagCode, Gestation, Whose};

use super::*;
use crate::canonicalize::Canonical;
use crate::fault::Faults;
use crate::sample::{context, line};
use crate::{Tables, schedule_file};

const FIRST: Date = date(2026, 4, 1);

fn schedule() -> Schedule {
    let mut faults = Faults::default();
    let text = include_str!("../../schedules/vaccination.toml");
    schedule_file::read("schedules/vaccination.toml", text, &mut faults).expect("sound")
}

fn dose(vaccine: &str, number: u32, given_on: Date) -> Dose {
    Dose { vaccine: vaccine.to_owned(), term: None, number, given_on: PartialDate::Full(given_on), gestation: None }
}

fn of_term(term: &str, dose: Dose) -> Dose {
    Dose { term: Some(term.to_owned()), ..dose }
}

fn born(birth: Date) -> Recipient {
    Recipient { birth: Some(PartialDate::Full(birth)), ..Recipient::default() }
}

fn flags(history: &[Dose], dose: &Dose, birth: Date) -> Vec<FlagCode> {
    schedule().flags(history, dose, &born(birth)).iter().map(|flag| flag.code).collect()
}

/// The second of two days is the first on which a dose is not flagged.
fn opens(history: &[Dose], of: impl Fn(Date) -> Dose, birth: Date, day: Date, code: FlagCode) {
    let eve = day.yesterday().expect("a day");
    assert_eq!(flags(history, &of(eve), birth), [code], "{eve}");
    assert_eq!(flags(history, &of(day), birth), [], "{day}");
}

/// The day is the last on which a dose is not flagged.
fn closes(history: &[Dose], of: impl Fn(Date) -> Dose, birth: Date, day: Date) {
    let next = day.tomorrow().expect("a day");
    assert_eq!(flags(history, &of(day), birth), [], "{day}");
    assert_eq!(flags(history, &of(next), birth), [FlagCode::TooLate], "{next}");
}

#[test]
fn intervals_of_the_reference_one_day_earlier_is_flagged() {
    let born = date(2025, 12, 1);
    let hepatitis = [dose("hepatitis_b", 1, FIRST)];
    opens(&hepatitis, |day| dose("hepatitis_b", 2, day), born, date(2026, 4, 29), FlagCode::Interval);
    opens(&hepatitis, |day| dose("hepatitis_b", 3, day), born, date(2026, 8, 19), FlagCode::Interval);

    let primary = |number, day| of_term("primary", dose("pneumococcal_child", number, day));
    let given = [primary(3, FIRST)];
    let booster = |day| of_term("booster", dose("pneumococcal_child", 1, day));
    opens(&given, booster, date(2025, 3, 1), date(2026, 6, 1), FlagCode::Interval);

    let five = [of_term("term_1_primary", dose("dpt_ipv_hib", 1, FIRST))];
    let second = |day| of_term("term_1_primary", dose("dpt_ipv_hib", 2, day));
    opens(&five, second, born, date(2026, 4, 22), FlagCode::Interval);

    let encephalitis = [of_term("term_1_primary", dose("japanese_encephalitis", 1, FIRST))];
    let second = |day| of_term("term_1_primary", dose("japanese_encephalitis", 2, day));
    opens(&encephalitis, second, date(2023, 4, 1), date(2026, 4, 8), FlagCode::Interval);

    let varicella = [dose("varicella", 1, FIRST)];
    opens(&varicella, |day| dose("varicella", 2, day), date(2025, 1, 1), date(2026, 7, 1), FlagCode::Interval);
}

#[test]
fn each_series_has_the_doses_and_gaps_of_the_reference() {
    for (vaccine, doses, gaps) in [
        ("rotavirus_1", 2, "2←1:27日"),
        ("rotavirus_5", 3, "2←1:27日 3←2:27日"),
        ("hepatitis_b", 3, "2←1:27日 3←1:139日"),
        ("pneumococcal_child", 4, "2←1:27日 3←2:27日 4←3:60日"),
        ("hib", 4, "2←1:27日/20日 3←2:27日/20日 4←3:7か月"),
        ("dpt_ipv_hib", 4, "2←1:20日 3←2:20日 4←3:6か月"),
        ("bcg", 1, ""),
        ("mr", 2, ""),
        ("varicella", 2, "2←1:3か月"),
        ("japanese_encephalitis", 4, "2←1:6日 3←2:6か月"),
        ("dt", 1, ""),
        ("hpv_4", 3, "2←1:1か月 3←2:3か月"),
        ("rsv_maternal", 1, ""),
    ] {
        let schedule = schedule();
        let series = schedule.series.iter().find(|series| series.vaccines.contains(vaccine)).expect(vaccine);
        let mut found = Vec::new();
        for (at, rule) in series.doses.iter().enumerate() {
            for after in &rule.after {
                let by_doctor = after.by_doctor.map(|least| format!("/{}", least.as_interval().ja)).unwrap_or_default();
                found.push(format!("{}←{}:{}{by_doctor}", at + 1, after.dose, after.at_least.as_interval().ja));
            }
        }
        assert_eq!((series.doses.len(), &*found.join(" ")), (doses, gaps), "{vaccine}");
    }
    let schedule = schedule();
    let two: Vec<usize> =
        schedule.series.iter().filter(|series| series.vaccines.contains("hpv_9")).map(|s| s.doses.len()).collect();
    assert_eq!(two, [2, 3], "begun under 15 years, and later");
}

#[test]
fn ages_of_the_reference() {
    let hepatitis = |day| dose("hepatitis_b", 1, day);
    closes(&[], hepatitis, date(2025, 3, 1), date(2026, 2, 28));
    closes(&[], hepatitis, date(2024, 2, 29), date(2025, 2, 28));

    let rota = date(2026, 4, 1);
    opens(&[], |day| dose("rotavirus_1", 1, day), rota, date(2026, 5, 13), FlagCode::TooEarly);
    closes(&[], |day| dose("rotavirus_1", 1, day), rota, date(2026, 7, 14));
    closes(&[], |day| dose("rotavirus_1", 2, day), rota, date(2026, 9, 16));
    closes(&[], |day| dose("rotavirus_5", 3, day), rota, date(2026, 11, 11));

    closes(&[], |day| dose("bcg", 1, day), date(2025, 3, 1), date(2026, 2, 28));
    let primary = |day| of_term("primary", dose("pneumococcal_child", 1, day));
    opens(&[], primary, date(2025, 8, 31), date(2025, 10, 31), FlagCode::TooEarly);
    closes(&[], |day| of_term("primary", dose("pneumococcal_child", 3, day)), date(2024, 3, 1), date(2026, 2, 28));
    opens(
        &[],
        |day| of_term("booster", dose("pneumococcal_child", 1, day)),
        date(2025, 3, 1),
        date(2026, 3, 1),
        FlagCode::TooEarly,
    );
    closes(&[], |day| of_term("booster", dose("hib", 1, day)), date(2021, 3, 1), date(2026, 2, 28));
    closes(&[], |day| of_term("term_1_booster", dose("dpt_ipv_hib", 1, day)), date(2018, 10, 15), date(2026, 4, 14));
    opens(&[], |day| of_term("term_1", dose("mr", 1, day)), date(2025, 3, 1), date(2026, 3, 1), FlagCode::TooEarly);
    closes(&[], |day| of_term("term_1", dose("mr", 1, day)), date(2024, 3, 1), date(2026, 2, 28));
    closes(&[], |day| dose("varicella", 1, day), date(2023, 3, 1), date(2026, 2, 28));
    opens(
        &[],
        |day| of_term("term_2", dose("japanese_encephalitis", 1, day)),
        date(2017, 3, 1),
        date(2026, 3, 1),
        FlagCode::TooEarly,
    );
    closes(&[], |day| of_term("term_2", dose("japanese_encephalitis", 1, day)), date(2013, 3, 1), date(2026, 2, 28));
    opens(&[], |day| dose("dt", 1, day), date(2015, 3, 1), date(2026, 3, 1), FlagCode::TooEarly);
    closes(&[], |day| dose("dt", 1, day), date(2013, 3, 1), date(2026, 2, 28));
}

#[test]
fn school_years_of_the_reference() {
    let second = |day| of_term("term_2", dose("mr", 1, day));
    opens(&[], second, date(2020, 4, 2), date(2026, 4, 1), FlagCode::TooEarly);
    closes(&[], second, date(2020, 4, 2), date(2027, 3, 31));
    opens(&[], |day| dose("hpv_9", 1, day), date(2014, 12, 31), date(2026, 4, 1), FlagCode::TooEarly);
    closes(&[], |day| dose("hpv_4", 1, day), date(2009, 12, 31), date(2026, 3, 31));
    let boy = Recipient { sex: Some("male".to_owned()), ..born(date(2013, 5, 1)) };
    let found = schedule().flags(&[], &dose("hpv_9", 1, FIRST), &boy);
    assert_eq!(found.iter().map(|flag| flag.code).collect::<Vec<_>>(), [FlagCode::NotForSex]);
}

#[test]
fn rules_have_their_days() {
    let primary = |day| of_term("term_1_primary", dose("dpt_ipv_hib", 1, day));
    opens(&[], primary, date(2024, 1, 10), date(2024, 4, 1), FlagCode::NotInForce);
    let maternal =
        |day| Dose { gestation: Some(Gestation { weeks: 30, days: Some(0) }), ..dose("rsv_maternal", 1, day) };
    opens(&[], maternal, date(1996, 4, 1), date(2026, 4, 1), FlagCode::NotInForce);
}

#[test]
fn injected_live_vaccines_keep_apart() {
    let given = [dose("bcg", 1, FIRST)];
    opens(&given, |day| of_term("term_1", dose("mr", 1, day)), date(2025, 4, 1), date(2026, 4, 29), FlagCode::Between);
    assert_eq!(flags(&given, &dose("rotavirus_1", 2, date(2026, 4, 10)), date(2026, 1, 1)), [], "by mouth");
}

#[test]
fn a_dose_for_the_child_in_pregnancy_is_the_mothers() {
    let schedule = schedule();
    let series = schedule.series.iter().find(|series| series.id == "rsv_maternal").expect("built in");
    assert_eq!(series.subject, Whose::Mother);
    let mother = born(date(1996, 4, 1));
    for (weeks, days, expected) in [
        (27, Some(6), vec![FlagCode::Gestation]),
        (28, Some(0), vec![]),
        (36, Some(6), vec![]),
        (37, Some(0), vec![FlagCode::Gestation]),
        (27, None, vec![FlagCode::Gestation]),
        (36, None, vec![]),
    ] {
        let given = Dose { gestation: Some(Gestation { weeks, days }), ..dose("rsv_maternal", 1, FIRST) };
        let found: Vec<FlagCode> = schedule.own_flags(&given, &mother).iter().map(|flag| flag.code).collect();
        assert_eq!(found, expected, "{weeks}+{days:?}");
    }

    let week_20 = Recipient { gestation: Some((Gestation { weeks: 20, days: Some(0) }, FIRST)), ..mother.clone() };
    let booking = schedule.earliest_next(&[], "rsv_maternal", &week_20, FIRST).expect("bookable");
    assert_eq!((booking.earliest, booking.latest), (date(2026, 5, 27), Some(date(2026, 7, 28))));
    assert_eq!(booking.subject, Whose::Mother);
    assert_eq!(schedule.earliest_next(&[], "rsv_maternal", &mother, FIRST), Err(NotBookable::NeedsGestation));
}

#[test]
fn the_next_dose_has_its_first_and_last_day() {
    let schedule = schedule();
    let baby = born(date(2026, 1, 15));
    let given = [dose("hepatitis_b", 1, FIRST), dose("hepatitis_b", 2, date(2026, 4, 29))];
    let next = schedule.earliest_next(&given, "hepatitis_b", &baby, date(2026, 5, 1)).expect("bookable");
    assert_eq!((next.dose, next.earliest, next.latest), (3, date(2026, 8, 19), Some(date(2027, 1, 14))));
    let first = schedule.earliest_next(&[], "bcg", &baby, date(2026, 5, 1)).expect("bookable");
    assert_eq!(first.usual, Some((date(2026, 6, 15), date(2026, 9, 14))));
    let five = [of_term("term_1_primary", dose("dpt_ipv_hib", 1, FIRST))];
    let next = schedule.earliest_next(&five, "dpt_ipv_hib", &baby, FIRST).expect("bookable");
    assert_eq!((next.earliest, next.usual), (date(2026, 4, 22), Some((date(2026, 4, 22), date(2026, 5, 28)))));
    let hib = [of_term("primary", dose("hib", 1, FIRST))];
    let next = schedule.earliest_next(&hib, "hib", &baby, FIRST).expect("bookable");
    assert_eq!((next.earliest, next.earliest_by_doctor), (date(2026, 4, 29), Some(date(2026, 4, 22))));
    let late = schedule.earliest_next(&[], "rotavirus_1", &baby, date(2026, 5, 1));
    assert_eq!(late, Err(NotBookable::Closed { last: date(2026, 4, 29) }), "begun too late");
    assert_eq!(schedule.earliest_next(&[], "zoster", &baby, FIRST), Err(NotBookable::NotScheduled));
}

/// A dose as a municipality sends it.
fn read(changes: &[(&str, &str)]) -> Canonical {
    let tables = Tables::builtin().expect("sound");
    let mut cells = vec![
        ("自治体別本人キー", "A000123456"),
        ("生年月日", "2025-03-01"),
        ("医療機関コード", "2714206386"),
        ("文書番号", "V-1"),
        ("市町村コード", "442011"),
        ("実施区分", "実施"),
        ("接種年月日", "2026-03-01"),
        ("ワクチン種類", "B型肝炎"),
        ("回数", "1"),
    ];
    for (column, cell) in changes {
        cells.retain(|(name, _)| name != column);
        cells.push((column, cell));
    }
    let layout = LayoutId::parse("municipal_csv/vaccination_modern").expect("an id");
    tables.canonicalize(tables.layout(&layout).expect("built in"), &line(&cells), &context()).expect("accepted")
}

#[test]
fn a_record_that_breaks_a_rule_is_accepted_and_its_row_warned_of() {
    let warned = |changes: &[(&str, &str)]| -> Vec<(String, RowCode, String)> {
        let warnings = read(changes).warnings.into_iter();
        warnings.map(|warning| (warning.column, warning.code, warning.reason.ja)).collect()
    };
    let reason = "B型肝炎 1回目: 対象年齢（1歳に至るまで）の接種ではありません";
    assert_eq!(warned(&[]), [("接種年月日".to_owned(), RowCode::ScheduleBroken, reason.to_owned())]);
    for changes in [
        [("接種年月日", "2026-02-28")].as_slice(),
        &[("実施区分", "見合わせ")],
        &[("定期任意区分", "任意")],
        &[("削除フラグ", "1")],
        &[("生年月日", "")],
        &[("ワクチン種類", "その他")],
    ] {
        assert_eq!(warned(changes), [], "{changes:?}");
    }
    assert_eq!(warned(&[("定期任意区分", "定期A類")]).len(), 1);
}

#[test]
fn records_of_one_person_are_held_against_each_other() {
    let tables = Tables::builtin().expect("sound");
    let record =
        |number: &str, day: &str| read(&[("回数", number), ("接種年月日", day), ("生年月日", "2025-12-01")]).record;
    let first = record("1", "2026-04-01");
    let codes = |record: &Record| -> Vec<FlagCode> {
        tables.schedule_flags(std::slice::from_ref(&first), record).iter().map(|flag| flag.code).collect()
    };
    assert_eq!(codes(&record("3", "2026-08-18")), [FlagCode::Interval]);
    assert_eq!(codes(&record("3", "2026-08-19")), []);

    let kind = tables.kind(first.kind()).expect("the kind");
    let (_, recipient) = kind.dose_of(&first).expect("a dose");
    let next = tables
        .earliest_next_dose(kind, std::slice::from_ref(&first), "hepatitis_b", &recipient, FIRST)
        .expect("a schedule");
    assert_eq!(next.map(|booking| booking.earliest), Ok(date(2026, 4, 29)));
}

#[test]
fn faults_of_a_schedule_are_found() {
    let read = |text: &str| {
        let mut faults = Faults::default();
        let schedule = schedule_file::read("schedules/s.toml", text, &mut faults);
        assert!(schedule.is_none(), "{text}");
        faults.finish().expect_err("faulty").iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let series = |rest: &str| {
        format!(
            "version = 1\n[[series]]\nid = \"a\"\nlabel = {{ ja = \"甲\", en = \"A\" }}\nvaccines = [\"bcg\"]\nconfirmed = true\n{rest}"
        )
    };
    for (rest, words) in [
        ("dose = [{ number = 1, after = [{ dose = 1, at_least = \"27d\" }] }]", "not before it"),
        ("dose = [{ number = 1, window = { under = \"1 year\" } }]", "7y6m"),
        ("dose = [{ number = 1, window = { gestation = [\"28+7\", \"36+6\"] } }]", "28+0"),
        ("dose = [{ number = 1, windows = {} }]", "windows"),
        ("dose = []", "empty"),
        ("subject = \"mother\"\ndose = [{ number = 1, window = { under = \"1y\" } }]", "no age"),
    ] {
        let found = read(&series(rest));
        assert!(found.contains(words), "{rest}: {found}");
    }
    let twice = format!(
        "{}\n{}",
        series("dose = [{ number = 1 }]"),
        series("dose = [{ number = 1 }]").replace("version = 1\n", "")
    );
    assert!(read(&twice).contains("a is here twice"));
}

#[test]
fn a_kind_and_its_schedule_must_fit() {
    let builtin = include_str!("../../kinds/vaccination.toml");
    for (from, to, words) in [
        ("name = \"vaccination\"\nvaccine", "name = \"other\"\nvaccine", "there is no schedules/other.toml"),
        ("number = \"dose.number\"", "number = \"dose.term\"", "the field dose.term has the wrong type"),
        ("term = \"dose.term\"", "term = \"dose.missing\"", "there is no field dose.missing"),
        ("codes = [\"routine_a\"]", "codes = [\"routine\"]", "routine is not in codes/vaccination_programme.csv"),
        ("vaccine = \"vaccine.kind\"", "vaccine = \"dose.term\"", "bcg is not in codes/dose_term.csv"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("kinds")).expect("made");
        assert!(builtin.contains(from), "{from}");
        std::fs::write(folder.path().join("kinds/vaccination.toml"), builtin.replace(from, to)).expect("written");
        let faults = Tables::with_folder(folder.path()).expect_err("faulty");
        let found: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|fault| fault.contains(words)), "{words}: {found:?}");
    }
}
