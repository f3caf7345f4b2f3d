//! Values that look alike and are not: sexes of five systems, insurers, dates of one season, characters outside Unicode's
//! common planes.

use super::*;

const TODAY: jiff::civil::Date = date(2026, 7, 1);

#[test]
fn sexes_of_five_systems_are_told_apart_in_both_directions() {
    let tables = tables();
    let hub = ["male", "female", "other", "unknown", "not_applicable"];
    for (system, codes) in [
        ("onshi_sex__sex", [Some("1"), Some("2"), None, Some("3"), None]),
        ("pmh_sex__sex", [Some("1"), Some("2"), None, None, None]),
        ("jis_sex__sex", [Some("1"), Some("2"), None, Some("0"), Some("9")]),
        ("hl7v2_sex__sex", [Some("M"), Some("F"), Some("O"), Some("U"), None]),
        ("fhir_sex__sex", [Some("male"), Some("female"), Some("other"), Some("unknown"), None]),
    ] {
        let table = tables.code_tables().find(|table| table.name().as_str() == system).expect(system);
        for (sex, code) in hub.into_iter().zip(codes) {
            assert_eq!(table.write(sex, TODAY), code, "{system}: {sex}");
            if let Some(code) = code {
                assert_eq!(table.read(code, TODAY), Some(sex), "{system}: {code}");
            }
        }
        assert_eq!(table.pairs().len(), codes.iter().flatten().count(), "{system} knows no other");
        for other in ["", "4", "m", "Male", "女"] {
            assert_eq!(table.read(other, TODAY), None, "{system}: {other}");
        }
    }
}

#[test]
fn a_sex_that_the_receiver_has_no_code_for_is_a_fault_and_never_another_one() {
    let tables = tables();
    for (layout, sex) in [
        ("pmh_api/subsidy_entitlement", "unknown"),
        ("pmh_api/subsidy_entitlement", "other"),
        ("fhir_r4/vaccination", "not_applicable"),
        ("municipal_csv/birth_certificate_legacy", "unknown"),
    ] {
        let layout = tables.layout(&layout.parse().expect("an id")).expect("built in");
        let kind = tables.kind(layout.kind()).expect("its kind");
        let key = FieldKey::parse("subject.sex").expect("a key");
        let mut fields = tables.example(kind).fields().clone();
        fields.insert(key, vec![Value::Code(sex.to_owned())]);
        let record = crate::canonicalize::assert_record(kind, fields);
        let faults = tables.localize(layout, &record, 1, TODAY).expect_err("no code");
        assert!(faults.iter().any(|fault| fault.code == RowCode::Unmapped), "{} {sex}: {faults:?}", layout.id());
    }
}

#[test]
fn names_outside_the_common_planes_come_back_as_they_were_sent() {
    let tables = tables();
    // Non-BMP, a variation selector, a private-use character of 行政事務標準文字, a compatibility ideograph, one of CP932's own.
    for name in ["𠮷岡", "辻\u{E0100}", "名\u{10DE92}", "\u{FA19}", "髙﨑①"] {
        for layout in tables.layouts() {
            let kind = tables.kind(layout.kind()).expect("its kind");
            let key = FieldKey::parse("subject.name").expect("a key");
            let mut fields = tables.example(kind).fields().clone();
            let before = vec![Value::Text(name.to_owned())];
            fields.insert(key.clone(), before.clone());
            let record = crate::canonicalize::assert_record(kind, fields);
            let document = tables.localize(layout, &record, 1, TODAY).expect("written");
            let document = with_my_number(layout, document);
            let context = Context { today: TODAY, check_digits_are_errors: false };
            let back = tables.canonicalize(layout, &document, &context).expect("read").record;
            assert_eq!(back.fields().get(&key), Some(&before), "{} through {}", name.escape_unicode(), layout.id());
        }
    }
}
