//! Systems that go by a URL and by OIDs.

use tsunagi_core::document::{Content, Document};
use tsunagi_core::id::LayoutId;
use tsunagi_core::record::Record;

use crate::json;
use crate::layout::Layout;
use crate::sample;
use crate::tables::Tables;

fn layout<'t>(tables: &'t Tables, id: &str) -> &'t Layout {
    tables.layout(&LayoutId::parse(id).expect("an id")).expect("built in")
}

fn text(tables: &Tables, record: &Record) -> String {
    let layout = layout(tables, "fhir_r4/vaccination");
    let written = tables.localize(layout, record, 1, sample::context().today).expect("written");
    let Content::Tree(node) = &written.content else { panic!("a tree") };
    json::compact(node)
}

#[test]
fn every_oid_reads_as_its_url_and_only_urls_are_written() {
    let tables = Tables::builtin().expect("sound");
    let context = sample::context();
    let cells = [
        ("公費負担者番号", "54016027"),
        ("公費受給者番号", "1234566"),
        ("医療機関コード", "2714206386"),
        ("文書番号", "V-1"),
        ("市町村コード", "442011"),
        ("実施区分", "実施"),
        ("接種年月日", "2026-03-01"),
        ("ワクチン種類", "B型肝炎"),
        ("回数", "1"),
        ("医薬品コード", "182110901"),
    ];
    let file = layout(&tables, "municipal_csv/vaccination_modern");
    let record = tables.canonicalize(file, &sample::line(&cells), &context).expect("accepted").record;
    let by_url = text(&tables, &record);
    let mut replaced = 0;
    for form in &tables.oid_forms {
        for oid in &form.oids {
            assert!(!by_url.contains(oid.as_str()), "URLs are written: {by_url}");
            let by_oid = by_url.replace(&form.url, oid);
            replaced += usize::from(by_oid != by_url);
            let document = Document { row: 1, content: Content::Tree(json::parse(&by_oid).expect("JSON")) };
            let read = tables.canonicalize(layout(&tables, "fhir_r4/vaccination"), &document, &context);
            assert_eq!(read.expect("accepted").record, record, "{oid}");
        }
    }
    assert_eq!(replaced, 4, "payer, recipient, and the two OIDs of HOT9");
}

/// Whatever place of a layout is named by such a URL is also looked for under each of its OIDs.
#[test]
fn every_place_that_a_url_names_is_read_by_oid_too() {
    let tables = Tables::builtin().expect("sound");
    let mut places = 0;
    for row in tables.layouts().flat_map(|layout| &layout.rows) {
        for form in tables.oid_forms.iter().filter(|form| row.column.contains(&format!("={}]", form.url))) {
            places += 1;
            assert!(row.also.len() >= form.oids.len(), "{}", row.column);
        }
    }
    assert!(places > 20, "{places}");
}

#[test]
fn a_url_or_an_oid_stands_for_one_system() {
    let tables = Tables::builtin().expect("sound");
    assert_eq!(
        tables.url_of("urn:oid:1.2.392.100495.20.3.71"),
        "http://jpfhir.jp/fhir/core/mhlw/IdSystem/PublicPayerNumber"
    );
    assert_eq!(tables.url_of("urn:oid:1.2.3"), "urn:oid:1.2.3");
    let folder = tempfile::tempdir().expect("a folder");
    let own = include_str!("../../../identifiers.toml");
    for (from, to) in [
        ("urn:oid:1.2.392.100495.20.3.72", "urn:oid:1.2.392.100495.20.3.71"),
        ("urn:oid:1.2.392.100495.20.3.72", "1.2.3"),
    ] {
        std::fs::write(folder.path().join("identifiers.toml"), own.replace(from, to)).expect("written");
        let faults = Tables::with_folder(folder.path()).expect_err("faulty");
        assert!(faults.iter().any(|fault| fault.to_string().contains("oid_form")), "{faults:?}");
    }
}
