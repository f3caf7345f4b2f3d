//! Systems that go by a URL and by OIDs.

use tsunagi_core::document::{Content, Document};
use tsunagi_core::id::LayoutId;

use crate::json;
use crate::sample;
use crate::tables::Tables;

const DOCUMENTS: [(&str, &str); 2] = [
    ("fhir_r4/vaccination", include_str!("../../../../adapters/fixtures/fhir_r4/immunization.json")),
    ("fhir_r4/checkup_infant", include_str!("../../../../adapters/fixtures/fhir_r4/infant_checkup_document.json")),
];

fn document(text: &str) -> Document {
    Document { row: 1, content: Content::Tree(json::parse(text).expect("JSON")) }
}

#[test]
fn every_oid_reads_as_its_url_and_only_urls_are_written() {
    let tables = Tables::builtin().expect("sound");
    let context = sample::context();
    let mut replaced = 0;
    for (layout, text) in DOCUMENTS {
        let layout = tables.layout(&LayoutId::parse(layout).expect("an id")).expect("built in");
        let by_url = tables.canonicalize(layout, &document(text), &context).expect("accepted").record;
        for form in &tables.oid_forms {
            for oid in &form.oids {
                let changed = text.replace(&form.url, oid);
                if changed == text {
                    continue;
                }
                replaced += 1;
                let by_oid = tables.canonicalize(layout, &document(&changed), &context).expect("accepted").record;
                assert_eq!(by_oid, by_url, "{oid}");
            }
        }
        let written = tables.localize(layout, &by_url, 1, context.today).expect("written");
        let Content::Tree(node) = &written.content else { panic!("a tree") };
        let written = json::compact(node);
        for form in &tables.oid_forms {
            assert!(form.oids.iter().all(|oid| !written.contains(&format!("\"{oid}\""))), "{}: {written}", form.url);
        }
    }
    assert!(replaced >= 4, "{replaced} were tried");
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
