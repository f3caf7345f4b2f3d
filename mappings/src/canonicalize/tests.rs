use jiff::civil::date;
use tsunagi_core::id::FieldKey;
use tsunagi_core::value::Value;

use super::*;
use crate::sample::{codes, context, layout, line, tables, tree};

const SMALLEST: &[(&str, &str)] = &[
    ("負担者番号", "54016027"),
    ("受給者番号", "1234566"),
    ("番号", "V-1"),
    ("受診日", "令和8年4月20日"),
    ("生年月日", "2025-12-20"),
];

fn with<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut cells = SMALLEST.to_vec();
    for (column, cell) in changes {
        cells.retain(|(name, _)| name != column);
        cells.push((column, cell));
    }
    cells
}

fn read(cells: &[(&str, &str)]) -> Result<Canonical, Vec<RowFault>> {
    let tables = tables();
    tables.canonicalize(layout(&tables, "municipal_csv/visit"), &line(cells), &context())
}

fn field(canonical: &Canonical, key: &str) -> Vec<String> {
    let key = FieldKey::parse(key).expect("a key");
    canonical.record.fields().get(&key).into_iter().flatten().filter_map(Value::plain).collect()
}

#[test]
fn the_smallest_row_is_a_record() {
    let canonical = read(SMALLEST).expect("accepted");
    assert_eq!(field(&canonical, "seen_on"), ["2026-04-20"]);
    assert_eq!(field(&canonical, "municipality_code"), ["442011"], "by default");
    assert!(canonical.warnings.is_empty());
}

#[test]
fn the_deadline_is_computed_and_the_senders_own_is_not_read() {
    // 2026-05-03 is a Sunday; the office of the sample is open on 05-04.
    for cells in [with(&[]), with(&[("期限", "2099-01-01")]), with(&[("期限", "tomorrow")])] {
        assert_eq!(field(&read(&cells).expect("accepted"), "answer_by"), ["2026-05-04"]);
    }
    let partial = read(&with(&[("受診日", "2026-04-00")])).expect("accepted");
    assert!(field(&partial, "answer_by").is_empty(), "no day is invented");
}

#[test]
fn all_faults_of_a_row_come_at_once() {
    let cells = with(&[
        ("負担者番号", "5401602"),
        ("番号", ""),
        ("受診日", "令和0年4月1日"),
        ("性別", "9"),
        ("体重g", "heavy"),
        ("削除", "true"),
        ("団体", "442012"),
        ("所見2", "六文字あります"),
    ]);
    let faults = read(&cells).expect_err("refused");
    assert_eq!(
        codes(&faults),
        [
            "負担者番号 invalid_identifier",
            "団体 invalid_identifier",
            "受診日 invalid_value",
            "性別 unmapped",
            "体重g invalid_value",
            "所見2 invalid_value",
            "削除 invalid_value",
            "番号 incomplete",
        ]
    );
    assert!(faults.iter().all(|fault| fault.row == 7));
}

#[test]
fn no_fault_shows_a_value() {
    let secret = "ZZ秘密9";
    let cells: Vec<(&str, &str)> =
        ["個人番号", "負担者番号", "団体", "受診日", "生年月日", "性別", "体重g", "削除", "所見1"]
            .into_iter()
            .map(|column| (column, secret))
            .collect();
    let faults = read(&cells).expect_err("refused");
    assert!(faults.len() >= 8, "{:?}", codes(&faults));
    assert!(!format!("{faults:?}").contains(secret));
}

#[test]
fn a_layout_may_ask_for_more_than_the_kind() {
    let faults = read(&with(&[("生年月日", "")])).expect_err("refused");
    assert_eq!(codes(&faults), ["生年月日 incomplete"]);
}

#[test]
fn one_complete_identifier_is_enough_and_half_of_one_is_not() {
    assert!(read(&with(&[("負担者番号", ""), ("受給者番号", ""), ("個人番号", "123456789018")])).is_ok());
    let faults = read(&with(&[("受給者番号", "")])).expect_err("refused");
    assert_eq!(codes(&faults), [" incomplete"]);
    assert!(faults[0].reason.en.contains("個人番号, 負担者番号 + 受給者番号"), "{}", faults[0].reason.en);
    let faults = read(&with(&[("負担者番号", "x")])).expect_err("refused");
    assert_eq!(codes(&faults), ["負担者番号 invalid_identifier"], "a wrong identifier is not also a missing one");
}

#[test]
fn my_number_is_sensitive() {
    let canonical = read(&with(&[("個人番号", "123456789018")])).expect("accepted");
    let key = FieldKey::parse("my_number").expect("a key");
    assert!(matches!(canonical.record.first(&key), Some(Value::MyNumber(number)) if number.expose() == "123456789018"));
    assert!(!format!("{canonical:?}").contains("123456789018"));
}

#[test]
fn a_wrong_check_digit_is_a_warning_unless_the_channel_says_otherwise() {
    let cells = with(&[("負担者番号", "87654321")]);
    let canonical = read(&cells).expect("accepted");
    assert_eq!(codes(&canonical.warnings), ["負担者番号 check_digit"]);

    let tables = tables();
    let strict = Context { check_digits_are_errors: true, ..context() };
    let faults = tables.canonicalize(layout(&tables, "municipal_csv/visit"), &line(&cells), &strict);
    assert_eq!(codes(&faults.expect_err("refused")), ["負担者番号 check_digit"]);
}

#[test]
fn an_overlong_era_is_a_warning() {
    let canonical = read(&with(&[("受診日", "平成31年5月1日")])).expect("accepted");
    assert_eq!(codes(&canonical.warnings), ["受診日 era_overlong"]);
    assert_eq!(field(&canonical, "seen_on"), ["2019-05-01"]);
}

#[test]
fn codes_hold_on_their_days() {
    let tables = tables();
    let csv = layout(&tables, "municipal_csv/visit");
    for (code, day, hub) in [
        ("2", date(2026, 6, 30), Some("female")),
        ("2", date(2026, 7, 1), None),
        ("F", date(2026, 6, 30), None),
        ("F", date(2026, 7, 1), Some("female")),
        ("3", date(2026, 6, 30), Some("unknown")),
    ] {
        let context = Context { today: day, ..context() };
        let result = tables.canonicalize(csv, &line(&with(&[("性別", code)])), &context);
        match (result, hub) {
            (Ok(canonical), Some(hub)) => assert_eq!(field(&canonical, "sex"), [hub], "{code} {day}"),
            (Err(faults), None) => assert_eq!(codes(&faults), ["性別 unmapped"], "{code} {day}"),
            (result, _) => panic!("{code} {day}: {result:?}"),
        }
    }
}

#[test]
fn a_field_with_many_values_takes_them_from_all_its_columns() {
    let canonical = read(&with(&[("所見1", "湿疹"), ("所見2", "発熱")])).expect("accepted");
    assert_eq!(field(&canonical, "finding"), ["湿疹", "発熱"]);
    assert_eq!(field(&read(&with(&[("所見2", "発熱")])).expect("accepted"), "finding"), ["発熱"]);
}

#[test]
fn json_types_are_held_to() {
    let tables = tables();
    let pmh = layout(&tables, "pmh_api/visit");
    let whole = r#"{"payer":"54016027","recipient":"1234566","municipality":"442011","number":"V-1","seenOn":"2026-04-20",
        "weight":3.250,"isDeleted":false,"findings":["湿疹",null,"発熱"],"person":{"sex":"male","birth":null,"myNumber":""}}"#;
    let canonical = tables.canonicalize(pmh, &tree(whole), &context()).expect("accepted");
    assert_eq!(field(&canonical, "weight"), ["3.250"], "digits stay as written");
    assert_eq!(field(&canonical, "finding"), ["湿疹", "発熱"]);
    assert!(field(&canonical, "birth_date").is_empty(), "null is absent");
    for (right, wrong, fault) in [
        ("3.250", "\"3.250\"", "/weight invalid_value"),
        ("3.250", "3e2", "/weight invalid_value"),
        ("false", "\"false\"", "/isDeleted invalid_value"),
        ("false", "0", "/isDeleted invalid_value"),
        ("\"V-1\"", "1", "/number invalid_value"),
        ("\"V-1\"", "[\"V-1\"]", "/number invalid_value"),
        ("\"V-1\"", "null", "/number incomplete"),
        ("\"male\"", "\"1\"", "/person/sex unmapped"),
        ("\"湿疹\"", "{}", "/findings invalid_value"),
    ] {
        let faults = tables.canonicalize(pmh, &tree(&whole.replace(right, wrong)), &context());
        assert_eq!(codes(&faults.expect_err(wrong)), [fault], "{wrong}");
    }
}

#[test]
fn two_values_where_one_can_be_are_refused() {
    let tables = tables();
    let twice = r#"{"resourceType":"Encounter","identifier":[{"system":"urn:payer","value":"54016027"},
        {"system":"urn:recipient","value":"1"},{"system":"urn:municipality","value":"442011"},
        {"system":"urn:document","value":"V-1"},{"system":"urn:document","value":"V-2"}],"period":{"start":"2026-04-20"}}"#;
    let faults = tables.canonicalize(layout(&tables, "fhir_r4/visit"), &tree(twice), &context());
    assert_eq!(codes(&faults.expect_err("refused")), ["identifier[system=urn:document].value invalid_value"]);
}

#[test]
fn an_identifier_is_read_under_its_other_system_too_and_written_under_the_first() {
    let tables = tables();
    let fhir = layout(&tables, "fhir_r4/visit");
    let text = r#"{"resourceType":"Encounter","identifier":[{"system":"urn:oid:payer","value":"54016027"},
        {"system":"urn:recipient","value":"1"},{"system":"urn:municipality","value":"442011"},
        {"system":"urn:document","value":"V-1"}],"period":{"start":"2026-04-20"}}"#;
    let canonical = tables.canonicalize(fhir, &tree(text), &context()).expect("accepted");
    assert_eq!(field(&canonical, "payer_number"), ["54016027"]);
    let written = tables.localize(fhir, &canonical.record, 7, context().today).expect("written");
    assert_eq!(written, tree(&text.replace("urn:oid:payer", "urn:payer")));
}
