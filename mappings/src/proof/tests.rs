use jiff::civil::date;
use proptest::prelude::*;
use tsunagi_core::document::{Content, Document, Node};
use tsunagi_core::fault::{Bilingual, RowCode, RowFault};

use super::*;
use crate::sample;

const TODAY: Date = date(2026, 6, 1);

fn straight(_: &Layout, document: &Document) -> Result<Document, Vec<RowFault>> {
    Ok(document.clone())
}

/// What an adapter does with CP932: twins for some, a fault for what has no place.
fn cp932(layout: &Layout, document: &Document) -> Result<Document, Vec<RowFault>> {
    let mut document = document.clone();
    let Content::Row(row) = &mut document.content else { return Ok(document) };
    if layout.charset() != "cp932" {
        return Ok(document);
    }
    let mut faults = Vec::new();
    for (column, cell) in row.columns.iter().zip(&mut row.cells) {
        if cell.contains(generate::BEYOND_CP932) {
            let reason = Bilingual::new("", "no place");
            faults.push(RowFault { row: 1, column: column.clone(), code: RowCode::Unmappable, reason });
        }
        *cell = cell.chars().map(crate::loss::cp932_twin).collect();
    }
    if faults.is_empty() { Ok(document) } else { Err(faults) }
}

fn first_failure(tables: &Tables, layout: &Layout, wire: Wire<'_>) -> String {
    let proof = tables.prove(layout, 300, TODAY, wire);
    proof.failures.first().map(|failure| failure.reason.clone()).unwrap_or_default()
}

#[test]
fn every_built_in_layout_is_proved_up_to_the_bytes() {
    let tables = Tables::builtin().expect("built-in tables");
    for layout in tables.layouts() {
        let proof = tables.prove(layout, 60, TODAY, &cp932);
        assert_eq!(proof.failures, [], "{}", layout.id());
        assert!(proof.equal >= 10, "{}: {} came back, {} were held", layout.id(), proof.equal, proof.held);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the tape says, the record is one of its kind, and the layouts of the sample bring it back.
    #[test]
    fn any_tape_makes_a_record_that_comes_back(numbers in proptest::collection::vec(any::<u64>(), 0..200)) {
        let tables = sample::tables();
        for layout in tables.layouts() {
            if let Err(failure) = tables.prove_one(layout, &mut Tape::of(&numbers), TODAY, &cp932) {
                prop_assert!(false, "{failure:?}");
            }
        }
    }
}

#[test]
fn an_empty_tape_makes_the_smallest_record() {
    let tables = sample::tables();
    let layout = sample::layout(&tables, "municipal_csv/visit");
    let kind = tables.kind(layout.kind()).expect("a kind");
    let record = tables.generate(kind, &mut Tape::of(&[]), &[]);
    let keys: Vec<&str> = record.fields().keys().map(FieldKey::as_str).collect();
    assert_eq!(keys, ["answer_by", "document_number", "municipality_code", "my_number", "seen_on"]);
}

#[test]
fn the_same_seed_makes_the_same_record_and_another_seed_another() {
    let tables = Tables::builtin().expect("built-in tables");
    let kind = tables.kinds().next().expect("a kind");
    let record = |seed| tables.generate(kind, &mut Tape::seeded(seed), &[]);
    assert_eq!(record(7), record(7));
    assert_ne!(record(7), record(8));
}

/// Of all that is generated, nothing may be missing that the proof is for.
#[test]
fn records_hold_every_sort_of_value() {
    let tables = Tables::builtin().expect("built-in tables");
    let kind = tables.kinds().max_by_key(|kind| kind.fields.len()).expect("a kind");
    let all: String =
        (0..200).map(|seed| format!("{:?}", tables.generate(kind, &mut Tape::seeded(seed), &[]))).collect();
    for sort in
        ["Full(", "Month {", "Year {", "Unknown {", "-A1-", "昭和", "不明", "〜", "𠮷", "\\u{e0100}", "髙", "予", "ｶ"]
    {
        assert!(all.contains(sort), "{sort}");
    }
    let decimals = || all.split("Decimal(\"").skip(1).filter_map(|rest| rest.split('"').next());
    assert!(decimals().any(|text| text.contains('.') && text.ends_with('0')), "zeros at the end");
    assert!(decimals().any(|text| !text.contains('.')));
}

#[test]
fn a_wire_that_damages_a_value_is_found_out() {
    let tables = sample::tables();
    let csv = sample::layout(&tables, "municipal_csv/visit");
    let pmh = sample::layout(&tables, "pmh_api/visit");

    let question_mark = |layout: &Layout, document: &Document| {
        let mut document = document.clone();
        if let Content::Row(row) = &mut document.content {
            row.cells.iter_mut().for_each(|cell| *cell = cell.replace(generate::BEYOND_CP932, "?"));
        }
        cp932(layout, &document)
    };
    assert!(first_failure(&tables, csv, &question_mark).contains("outside the charset"));

    let drops_zeros = |_: &Layout, document: &Document| {
        let mut document = document.clone();
        if let Content::Tree(Node::Map(members)) = &mut document.content {
            for (_, node) in members.iter_mut().filter(|(name, _)| name == "weight") {
                if let Node::Number(text) = node
                    && text.contains('.')
                {
                    *text = text.trim_end_matches('0').trim_end_matches('.').to_owned();
                }
            }
        }
        Ok(document)
    };
    assert!(first_failure(&tables, pmh, &drops_zeros).starts_with("an undeclared loss: Decimal("));

    let holds_all = |_: &Layout, _: &Document| {
        let reason = Bilingual::new("", "no place");
        Err(vec![RowFault { row: 1, column: "/number".to_owned(), code: RowCode::Unmappable, reason }])
    };
    assert!(
        first_failure(&tables, pmh, &holds_all).starts_with("encoding is refused and the certificate does not say so")
    );
}

/// Two codes of the hub that become one of the participant's come back as one, and the certificate says which.
#[test]
fn merged_codes_are_declared_by_name() {
    let changed = "from,to,relationship,valid_from,valid_until\n1,male,equivalent,,\n2,female,equivalent,,\n\
                   1,unknown,broader,,\n";
    let tables = sample::load_with(&[("codes/town_sex__sex.csv", changed)]).expect("no faults");
    let layout = sample::layout(&tables, "municipal_csv/visit");
    let certificate = tables.certificate(layout, TODAY).expect("a certificate");
    let merged = crate::LossKind::CodeMerged { code: "unknown".to_owned(), becomes: "male".to_owned() };
    assert!(certificate.losses.iter().any(|loss| loss.kind == merged), "{:?}", certificate.losses);
    let proof = tables.prove(layout, 200, TODAY, &cp932);
    assert_eq!(proof.failures, []);

    let only_two = "from,to,relationship,valid_from,valid_until\n1,male,equivalent,,\n2,female,equivalent,,\n";
    let tables = sample::load_with(&[("codes/town_sex__sex.csv", only_two)]).expect("no faults");
    let layout = sample::layout(&tables, "municipal_csv/visit");
    let certificate = tables.certificate(layout, TODAY).expect("a certificate");
    let held = crate::LossKind::CodeUnwritable { code: "unknown".to_owned() };
    assert!(certificate.losses.iter().any(|loss| loss.kind == held));
    assert_eq!(tables.prove(layout, 200, TODAY, &cp932).failures, []);
}

/// A layout that says nothing of a loss it has is found out: here the first identifier, whichever it is, is overwritten.
#[test]
fn a_layout_that_loses_without_saying_so_is_found_out() {
    let shadowed = sample::FHIR.replace("id(urn:document)", "identifier[0].value");
    let tables = sample::load_with(&[("tables/fhir_r4/visit.toml", &shadowed)]).expect("no fault of form");
    let layout = sample::layout(&tables, "fhir_r4/visit");
    let failure = first_failure(&tables, layout, &straight);
    assert!(
        failure.starts_with("an undeclared loss: ") || failure.starts_with("what is written cannot be read"),
        "{failure}"
    );
}
