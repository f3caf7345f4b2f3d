//! The compiled-in data: no faults, every case holds, every layout carries what it says it carries.

mod birth_certificate;
mod oid_forms;
mod values;

use std::collections::BTreeSet;

use jiff::civil::date;
use tsunagi_core::document::{Content, Document, Node};
use tsunagi_core::fault::{RowCode, RowFault};
use tsunagi_core::id::{FieldKey, KindName};
use tsunagi_core::kind::Field;
use tsunagi_core::record::Record;
use tsunagi_core::value::{Value, ValueType};

use super::*;
use crate::canonicalize::Context;
use crate::case::Direction;

fn tables() -> Tables {
    Tables::builtin().unwrap_or_else(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        panic!("{} faults\n{}", faults.len(), faults.join("\n"))
    })
}

#[test]
fn every_case_holds() {
    let tables = tables();
    let failures: Vec<String> =
        tables.run_cases().into_iter().map(|f| format!("{}: {}: {}", f.file, f.case, f.reason)).collect();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// Long texts are free texts, in which anything may stand; those of a certificate of entitlement are the scheme's words.
#[test]
fn free_text_about_health_stays_with_the_municipality_unless_a_consent_names_it() {
    let tables = tables();
    let kept = ["raw_input", "never_outward", "municipality_only", "whereabouts"];
    for name in ["checkup_infant", "checkup_maternal", "vaccination"] {
        let kind = tables.kind(&KindName::parse(name).unwrap()).unwrap();
        let long =
            |field: &&Field| field.value_type == ValueType::Text && field.max_length.is_some_and(|max| max >= 200);
        assert!(kind.fields.iter().any(|field| long(&field)), "{name} has free text");
        for field in kind.fields.iter().filter(long) {
            assert!(kept.contains(&field.class.as_str()), "{name} {}: {}", field.key, field.class);
        }
    }
}

#[test]
fn every_layout_has_cases_in_both_directions() {
    let tables = tables();
    let mut ways: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    for case in tables.cases() {
        let directions: &[&str] = match case.direction() {
            Direction::Both => &["read", "write"],
            Direction::Read => &["read"],
            Direction::Write => &["write"],
        };
        ways.entry(case.layout()).or_default().extend(directions);
    }
    for layout in tables.layouts() {
        assert_eq!(ways.get(layout.id()).map_or(0, BTreeSet::len), 2, "{} lacks cases", layout.id());
    }
}

/// What comes back of a kind's example through a layout: all fields but those listed as lost and 個人番号, which no
/// layout writes.
#[test]
fn what_a_layout_carries_comes_back() {
    let tables = tables();
    let today = date(2026, 7, 1);
    for layout in tables.layouts() {
        let kind = tables.kind(layout.kind()).expect("the kind of the layout");
        let record = tables.example(kind);
        let document = tables.localize(layout, &record, 1, today).unwrap_or_else(|f| panic!("{}: {f:?}", layout.id()));
        assert!(layout.matches(&document), "{} does not recognise its own document", layout.id());
        let document = with_my_number(layout, document);
        let context = Context { today, check_digits_are_errors: false };
        let back = tables
            .canonicalize(layout, &document, &context)
            .unwrap_or_else(|faults| panic!("{}: {faults:?}", layout.id()))
            .record;
        let is_lost = |key: &FieldKey| layout.lost().iter().any(|lost| lost.field == *key);
        for field in &kind.fields {
            let (before, after) = (record.fields().get(&field.key), back.fields().get(&field.key));
            match field.value_type {
                ValueType::MyNumber => assert_eq!(after.is_some(), !is_lost(&field.key), "{}", layout.id()),
                _ if is_lost(&field.key) && field.derived.is_none() => assert_eq!(after, None, "{}", field.key),
                _ => assert_eq!(after, before, "{} loses {} and does not say so", layout.id(), field.key),
            }
        }
        assert!(
            back.fields().values().flatten().all(|value| !matches!(value, Value::MyNumber(n) if n.expose() != NUMBER))
        );
    }
}

#[test]
fn a_refused_document_is_kept_without_my_number() {
    let tables = tables();
    let today = date(2026, 7, 1);
    let mut seen = 0;
    for layout in tables.layouts().filter(|layout| layout.my_number_paths().next().is_some()) {
        let kind = tables.kind(layout.kind()).expect("the kind of the layout");
        let written = tables.localize(layout, &tables.example(kind), 1, today).expect("written");
        let mut document = with_my_number(layout, written);
        assert!(format!("{document:?}").contains(NUMBER), "{}", layout.id());
        layout.blank_my_number(&mut document, "");
        assert!(!format!("{document:?}").contains(NUMBER), "{}", layout.id());
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn no_fhir_layout_carries_my_number() {
    for layout in tables().layouts().filter(|layout| layout.format().as_str() == "fhir_r4") {
        assert_eq!(layout.my_number_paths().count(), 0, "{}", layout.id());
    }
}

#[test]
fn a_missing_required_field_is_named_by_its_column_in_every_layout() {
    let tables = tables();
    let context = Context { today: date(2026, 7, 1), check_digits_are_errors: false };
    for layout in tables.layouts() {
        let kind = tables.kind(layout.kind()).expect("the kind of the layout");
        let mut record = tables.example(kind);
        record.take(&kind.occurrence);
        let document = tables.localize(layout, &record, 1, context.today).expect("written");
        let document = with_my_number(layout, document);
        let faults = tables.canonicalize(layout, &document, &context).expect_err("refused");
        let column = layout.fields().find(|(key, _)| **key == kind.occurrence).map(|(_, column)| column);
        assert!(
            faults.iter().any(|fault| Some(fault.column.as_str()) == column && fault.code == RowCode::Incomplete),
            "{}: {faults:?}",
            layout.id()
        );
    }
}

#[test]
fn a_folder_replaces_and_adds_by_file_name_and_reports_all_its_faults() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(Tables::with_folder(folder.path()).is_ok(), "an empty folder changes nothing");

    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("written");
    };
    put("codes/new_list.csv", "code,ja,en,from,until\na,あ,A,,\n");
    put("README.md", "not read");
    let tables = Tables::with_folder(folder.path()).expect("no faults");
    let name = "new_list".parse().expect("a name");
    assert!(tables.code_list(&name).is_some_and(|list| list.code("a").is_some()));
    assert!(self::tables().code_list(&name).is_none());

    put("codes/new_list.csv", "code,ja\n");
    put("codes/x__new_list.csv", "from,to,relationship,valid_from,valid_until\n1,a,like,,\n");
    put("identifiers.toml", "version = 2\n");
    put("tabels/x.toml", "version = 1\n");
    let faults = Tables::with_folder(folder.path()).expect_err("faults");
    let files: BTreeSet<&str> = faults.iter().map(|fault| fault.file.as_str()).collect();
    assert_eq!(
        files.into_iter().collect::<Vec<_>>(),
        ["codes/new_list.csv", "codes/x__new_list.csv", "identifiers.toml", "tabels/x.toml"]
    );
    assert!(Tables::with_folder(&folder.path().join("nowhere")).is_err(), "a folder that is not there is a fault");
}

const NUMBER: &str = "123456789018";

/// Puts 個人番号 where the layout has it: it is read and never written.
fn with_my_number(layout: &Layout, mut document: Document) -> Document {
    for path in layout.my_number_paths() {
        match &mut document.content {
            Content::Row(row) => {
                let at = row.columns.iter().position(|column| column == path).expect("its column");
                row.cells[at] = NUMBER.to_owned();
            }
            Content::Tree(root) => {
                let name = path.strip_prefix('/').expect("a pointer to a member of the root").to_owned();
                let Node::Map(members) = root else { panic!("not an object") };
                members.push((name, Node::Text(NUMBER.to_owned())));
            }
        }
    }
    document
}
