use jiff::civil::date;
use tsunagi_core::id::{FieldKey, KindName};

use super::*;
use crate::canonicalize::assert_record;
use crate::sample::{codes, context, layout, tables, tree};

fn record(tables: &Tables, change: impl FnOnce(&mut Record)) -> Record {
    let kind = tables.kind(&KindName::parse("visit").expect("a name")).expect("the kind");
    let mut record = tables.example(kind);
    change(&mut record);
    record
}

fn key(key: &str) -> FieldKey {
    FieldKey::parse(key).expect("a key")
}

fn with(tables: &Tables, field: &str, values: &[Value]) -> Record {
    let record = record(tables, |_| {});
    let kind = tables.kind(record.kind()).expect("the kind");
    let mut fields = record.fields().clone();
    fields.insert(key(field), values.to_vec());
    assert_record(kind, fields)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn cells(document: &Document) -> Vec<(String, String)> {
    let Content::Row(row) = &document.content else { panic!("not a line") };
    row.columns.iter().cloned().zip(row.cells.clone()).filter(|(_, cell)| !cell.is_empty()).collect()
}

fn written(tables: &Tables, layout_id: &str, record: &Record) -> Document {
    tables.localize(layout(tables, layout_id), record, 3, date(2026, 6, 1)).expect("written")
}

#[test]
fn a_line_has_one_cell_for_each_column_in_the_order_of_the_layout() {
    let tables = tables();
    let document = written(&tables, "municipal_csv/visit", &record(&tables, |_| {}));
    assert_eq!(document.row, 3);
    let cells = cells(&document);
    let cells: Vec<(&str, &str)> = cells.iter().map(|(column, cell)| (column.as_str(), cell.as_str())).collect();
    assert_eq!(
        cells,
        [
            ("負担者番号", "54016027"),
            ("受給者番号", "1234566"),
            ("版", "2"),
            ("団体", "442011"),
            ("番号", "V-1"),
            ("受診日", "令和8年4月20日"),
            ("期限", "2026-05-04"),
            ("生年月日", "2025-12-20"),
            ("性別", "1"),
            ("体重g", "3250"),
            ("所見1", "湿疹"),
            ("削除", "0"),
        ]
    );
    let Content::Row(row) = &document.content else { panic!("not a line") };
    assert_eq!(*row.columns, layout(&tables, "municipal_csv/visit").columns());
    assert_eq!(row.columns.first().map(String::as_str), Some("個人番号"), "its column is there and empty");
    assert!(!row.columns.contains(&"備考".to_owned()));
}

#[test]
fn what_disclosure_dropped_leaves_no_trace() {
    let tables = tables();
    let record = record(&tables, |record| {
        for field in ["seen_on", "weight", "finding", "is_deleted", "birth_date", "document_number"] {
            record.take(&key(field));
        }
    });
    let document = written(&tables, "fhir_r4/visit", &record);
    let wanted = r#"{"resourceType":"Encounter","identifier":[{"system":"urn:payer","value":"54016027"},
        {"system":"urn:recipient","value":"1234566"},{"system":"urn:municipality","value":"442011"}]}"#;
    assert_eq!(document.content, tree(wanted).content);
}

#[test]
fn a_code_without_counterpart_is_a_fault_of_its_column() {
    let tables = tables();
    let unknown = with(&tables, "sex", &[Value::Code("unknown".to_owned())]);
    let faults = tables.localize(layout(&tables, "municipal_csv/visit"), &unknown, 3, date(2026, 6, 1));
    assert_eq!(codes(&faults.expect_err("refused")), ["性別 unmapped"], "a narrower code says too much");
    for (day, code) in [(date(2026, 6, 30), "2"), (date(2026, 7, 1), "F")] {
        let female = with(&tables, "sex", &[Value::Code("female".to_owned())]);
        let document = tables.localize(layout(&tables, "municipal_csv/visit"), &female, 3, day).expect("written");
        assert!(cells(&document).contains(&("性別".to_owned(), code.to_owned())), "{day}");
    }
}

#[test]
fn many_values_fill_their_columns_and_more_are_a_fault() {
    let tables = tables();
    let two = with(&tables, "finding", &[text("湿疹"), text("発熱")]);
    let document = written(&tables, "municipal_csv/visit", &two);
    assert!(cells(&document).contains(&("所見2".to_owned(), "発熱".to_owned())));
    let three = with(&tables, "finding", &[text("湿疹"), text("発熱"), text("咳")]);
    let faults = tables.localize(layout(&tables, "municipal_csv/visit"), &three, 3, date(2026, 6, 1));
    assert_eq!(codes(&faults.expect_err("refused")), ["所見2 unmapped"]);
    for format in ["pmh_api/visit", "fhir_r4/visit"] {
        let document = written(&tables, format, &three);
        let back = tables.canonicalize(layout(&tables, format), &document, &context()).expect("read");
        assert_eq!(back.record.fields().get(&key("finding")), three.fields().get(&key("finding")), "{format}");
    }
}

#[test]
fn fhir_says_only_what_is_known_of_a_date() {
    let tables = tables();
    for (raw, said) in [("1950-A1-00", Some("1950")), ("1950-03-00", Some("1950-03")), ("0000-00-00", None)] {
        let date = tsunagi_core::partial_date::PartialDate::read_iso(raw);
        let partial = with(&tables, "seen_on", &[Value::Date(date)]);
        let document = written(&tables, "fhir_r4/visit", &partial);
        let Content::Tree(root) = &document.content else { panic!("not a tree") };
        let start = root.member("period").and_then(|period| period.member("start")).and_then(Node::text);
        assert_eq!(start, said, "{raw}");
        assert_eq!(root.member("period").is_some(), said.is_some(), "{raw}: no empty element");
        let line = written(&tables, "municipal_csv/visit", &partial);
        assert!(cells(&line).contains(&("受診日".to_owned(), raw.to_owned())), "{raw}");
    }
}

#[test]
fn my_number_is_never_written() {
    let tables = tables();
    let record = record(&tables, |_| {});
    assert!(record.fields().contains_key(&key("my_number")));
    for format in ["municipal_csv/visit", "pmh_api/visit", "fhir_r4/visit"] {
        let document = written(&tables, format, &record);
        assert!(!format!("{document:?}").contains("123456789018"), "{format}");
    }
}

#[test]
fn a_record_of_another_kind_is_refused() {
    let tables = tables();
    let mut other = tables.kind(&KindName::parse("visit").expect("a name")).expect("the kind").clone();
    other.name = KindName::parse("other").expect("a name");
    let record = assert_record(&other, record(&tables, |_| {}).fields().clone());
    assert!(tables.localize(layout(&tables, "pmh_api/visit"), &record, 1, date(2026, 6, 1)).is_err());
}
