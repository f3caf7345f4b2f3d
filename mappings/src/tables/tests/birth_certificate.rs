//! What the law asks of a birth certificate (昭和27年法務省・厚生省令第1号 1条, 戸籍法49条), on the kind and every layout of it.

use super::*;

/// The nine statutory items and the fields that hold them; whether a certificate without the first one is refused.
const ITEMS: [(&str, &[&str], bool); 9] = [
    ("1 name and sex of the child", &["subject.sex", "subject.name"], true),
    ("2 date and time of birth", &["born_at"], true),
    ("3 place and its kind", &["place.kind", "place.name", "place.address"], true),
    ("4 weight and height", &["weight", "height"], false),
    ("5 single or multiple, and the order", &["multiplicity", "birth_order", "birth_count"], true),
    ("6 the mother, and weeks of pregnancy", &["mother.name", "gestation.weeks", "gestation.days"], true),
    ("7 children the mother has borne", &["mother.live_births", "mother.stillbirths"], false),
    ("8 date of the certificate", &["certified_on"], true),
    ("9 who signs, with address", &["signer.kind", "signer.name", "signer.address"], true),
];

fn key(key: &str) -> FieldKey {
    FieldKey::parse(key).expect("a key")
}

fn kind(tables: &Tables) -> &Kind {
    tables.kind(&KindName::parse("birth_certificate").expect("a name")).expect("built in")
}

fn layouts(tables: &Tables) -> Vec<&Layout> {
    tables.layouts().filter(|layout| *layout.kind() == kind(tables).name).collect()
}

fn context() -> Context {
    Context { today: date(2026, 7, 1), check_digits_are_errors: false }
}

/// A certificate as the modern CSV has it, with changes by field.
fn read(tables: &Tables, changes: &[(&str, Option<Value>)]) -> Result<Record, Vec<RowFault>> {
    let layout = tables.layout(&"municipal_csv/birth_certificate_modern".parse().expect("an id")).expect("built in");
    let mut fields = tables.example(kind(tables)).fields().clone();
    for (field, value) in changes {
        match value {
            Some(value) => fields.insert(key(field), vec![value.clone()]),
            None => fields.remove(&key(field)),
        };
    }
    let record = crate::canonicalize::assert_record(kind(tables), fields);
    let document = tables.localize(layout, &record, 1, context().today).expect("written");
    tables.canonicalize(layout, &document, &context()).map(|canonical| canonical.record)
}

fn text(value: &str) -> Option<Value> {
    Some(Value::Text(value.to_owned()))
}

fn born(local: &str) -> [(&'static str, Option<Value>); 1] {
    [("born_at", Some(Value::DateTime(local.to_owned())))]
}

#[test]
fn all_nine_items_have_a_place_in_every_layout() {
    let tables = tables();
    let layouts = layouts(&tables);
    assert!(layouts.len() >= 4, "CSV in two forms, PMH, FHIR");
    for (item, fields, _) in ITEMS {
        for field in fields {
            assert!(kind(&tables).field(&key(field)).is_some(), "{item}: {field}");
            for layout in &layouts {
                let is_placed = layout.fields().any(|(placed, _)| *placed == key(field));
                assert!(is_placed, "{item}: {} has no place for {field}", layout.id());
            }
        }
    }
}

#[test]
fn what_every_certificate_has_is_required_in_every_layout() {
    let tables = tables();
    for layout in layouts(&tables) {
        for (item, fields, required) in ITEMS {
            let field = kind(&tables).field(&key(fields[0])).expect("a field");
            assert_eq!(field.required, required, "{item}");
            let mut record = tables.example(kind(&tables));
            record.take(&field.key);
            let document = tables.localize(layout, &record, 1, context().today).expect("written");
            let taken = tables.canonicalize(layout, &document, &context());
            assert_eq!(taken.is_err(), required, "{item} in {}", layout.id());
        }
    }
}

#[test]
fn what_the_law_has_in_a_certificate_is_warned_about_where_it_is_missing() {
    let tables = tables();
    for layout in layouts(&tables) {
        for field in ["place.address", "weight", "height", "gestation.weeks", "mother.live_births", "signer.address"] {
            let mut record = tables.example(kind(&tables));
            record.take(&key(field));
            let document = tables.localize(layout, &record, 1, context().today).expect("written");
            let taken = tables.canonicalize(layout, &document, &context()).expect("taken");
            let codes: Vec<RowCode> = taken.warnings.iter().map(|warning| warning.code).collect();
            assert_eq!(codes, [RowCode::Incomplete], "{field} in {}", layout.id());
        }
    }
}

#[test]
fn exactly_one_of_three_signs_in_the_order_of_the_law() {
    let tables = tables();
    let signer = kind(&tables).field(&key("signer.kind")).expect("a field");
    assert!(signer.required && !signer.many);
    let list = tables.code_list(signer.code_system.as_ref().expect("a list")).expect("built in");
    let codes: Vec<&str> = list.codes().map(|(code, _)| code).collect();
    assert_eq!(codes, ["doctor", "midwife", "other"]);
    let form = tables.code_tables().find(|table| table.name().as_str() == "std_certificate_signer__certificate_signer");
    let form = form.expect("built in");
    let numbers: Vec<Option<&str>> = codes.iter().map(|code| form.write(code, context().today)).collect();
    assert_eq!(numbers, [Some("1"), Some("2"), Some("3")]);
    assert_eq!(form.read("4", context().today), None);

    let both = [("signer.kind", Some(Value::Code("doctor".to_owned())))];
    assert!(read(&tables, &both).is_ok());
    let faults = read(&tables, &[("signer.kind", None)]).expect_err("nobody signed");
    assert!(faults.iter().any(|fault| fault.code == RowCode::Incomplete), "{faults:?}");
}

#[test]
fn a_certificate_is_known_by_its_document_and_never_by_a_name() {
    let tables = tables();
    let kind = kind(&tables);
    let named = read(&tables, &[]).expect("accepted");
    let undecided =
        read(&tables, &[("subject.name", None), ("subject.name_kana", None)]).expect("the name may be undecided");
    assert_eq!(undecided.first(&key("subject.name")), None);
    assert_eq!(kind.business_key_of(&undecided), kind.business_key_of(&named), "a second copy is the same certificate");
    assert_eq!(kind.identifiers_of(&undecided), kind.identifiers_of(&named));
    let names = ["subject.name", "subject.name_kana", "mother.name"];
    assert!(kind.business_key.iter().all(|field| !names.contains(&field.as_str())));
}

#[test]
fn twins_without_names_are_two_certificates() {
    let tables = tables();
    let kind = kind(&tables);
    let twin = |order: i64, document: &str| {
        let changes = [
            ("subject.name", None),
            ("subject.name_kana", None),
            ("multiplicity", Some(Value::Code("multiple".to_owned()))),
            ("birth_count", Some(Value::Integer(2))),
            ("birth_order", Some(Value::Integer(order))),
            ("document_number", text(document)),
        ];
        read(&tables, &changes).expect("accepted")
    };
    let (first, second) = (twin(1, "B-2026-000001"), twin(2, "B-2026-000002"));
    for field in ["born_at", "mother.name", "issuer.institution_code"] {
        assert_eq!(first.first(&key(field)), second.first(&key(field)), "{field}");
    }
    assert_ne!(first.first(&key("birth_order")), second.first(&key("birth_order")));
    assert_ne!(kind.business_key_of(&first), kind.business_key_of(&second));
    assert_ne!(kind.identifiers_of(&first), kind.identifiers_of(&second), "two children, not one");
    assert_eq!(kind.business_key_of(&first), kind.business_key_of(&twin(1, "B-2026-000001")), "a copy is one");
}

#[test]
fn the_deadline_counts_the_day_of_birth_and_moves_past_closed_days() {
    let tables = tables();
    for (birth, last) in [
        ("2026-01-01T00:00", "2026-01-14"),
        ("2026-01-01T23:59", "2026-01-14"),
        ("2026-04-20T03:24", "2026-05-07"),
        ("2025-12-17T12:00", "2026-01-05"),
        ("2026-06-01T12:00", "2026-06-15"),
    ] {
        let record = read(&tables, &born(birth)).expect("accepted");
        assert_eq!(record.text(&key("filing_deadline")).as_deref(), Some(last), "born {birth}");
    }
}

#[test]
fn it_goes_where_the_birth_was_notified_and_nowhere_by_guess() {
    let tables = tables();
    let kind = kind(&tables);
    assert_eq!(kind.responsible, key("notified_municipality"));
    // 里帰り: born in Oita, notified in Hakodate.
    let changes = [("notified_municipality", text("012025")), ("place.address", text("大分県大分市架空町4番5号"))];
    let record = read(&tables, &changes).expect("accepted");
    assert_eq!(record.text(&kind.responsible).as_deref(), Some("012025"));
    let faults = read(&tables, &[("notified_municipality", None)]).expect_err("no destination is made up");
    assert!(faults.iter().any(|fault| fault.code == RowCode::Incomplete), "{faults:?}");
}
