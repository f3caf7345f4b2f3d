//! Every reader of tables: one file of a small sound set is replaced by any text. Either there are faults, each at a
//! place that exists, or there are tables, and everything that runs on tables runs on these.
//!
//! Input: a byte for the file, then its text.

#![no_main]

use std::collections::BTreeMap;

use jiff::civil::{Date, date};
use libfuzzer_sys::fuzz_target;
use tsunagi_core::record::Record;
use tsunagi_core::schedule::Recipient;
use tsunagi_fuzz::{Input, TODAY, base, through_bytes};
use tsunagi_mappings::{CodeTable, Tables, municipalities_csv};

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let (file, _) = input.pick(&base::FILES);
    let Ok(text) = std::str::from_utf8(input.0) else { return };
    let mut files = base::files();
    files.retain(|(name, _)| *name != file);
    files.push((file, text));
    match Tables::of_files(&files) {
        Err(faults) => {
            assert!(!faults.is_empty(), "refused without a word");
            let count = |(file, text): &(&'static str, &str)| (*file, text.lines().count() + 1);
            let lines: BTreeMap<&str, usize> = files.iter().map(count).collect();
            for fault in faults {
                let lines = *lines.get(fault.file.as_str()).expect("a fault of one of the files");
                assert!(fault.line.is_none_or(|line| (1..=lines).contains(&line)), "{fault} of {lines} lines");
                assert!(!fault.reason.ja.is_empty() && !fault.reason.en.is_empty());
            }
        }
        Ok(tables) => {
            records(&tables);
            codes(&tables);
            municipalities(&tables, file.starts_with("municipalities/"));
            tables.run_cases();
            tables.review();
        }
    }
});

fn records(tables: &Tables) {
    for layout in tables.layouts() {
        let kind = tables.kind(layout.kind()).expect("checked");
        let certificate = tables.certificate(layout, TODAY).expect("checked");
        let _ = certificate.count();
        let record = tables.example(kind);
        written(tables, layout, &record);
        // A layout may be one that loses what it does not say it loses: the proof is there to tell.
        let _ = tables.prove(layout, 1, TODAY, &through_bytes);
    }
    for kind in tables.kinds() {
        let record = tables.example(kind);
        let _ = kind.business_key_of(&record);
        let _ = kind.identifiers_of(&record);
        let history = [record.clone(), record.clone()];
        tables.schedule_flags(&history, &record);
        let births = [None, Some(date(2025, 12, 20)), Some(date(2024, 2, 29)), Some(Date::MAX), Some(Date::MIN)];
        for birth in births {
            let birth = birth.map(tsunagi_core::partial_date::PartialDate::Full);
            let recipient = Recipient { birth, ..Recipient::default() };
            for vaccine in ["hib", "rubella", ""] {
                tables.earliest_next_dose(kind, &history, vaccine, &recipient, TODAY);
            }
        }
    }
}

fn written(tables: &Tables, layout: &tsunagi_mappings::Layout, record: &Record) {
    let context = tsunagi_mappings::Context { today: TODAY, check_digits_are_errors: false };
    let Ok(document) = tables.localize(layout, record, 1, TODAY) else { return };
    let Ok(mut document) = through_bytes(layout, &document) else { return };
    let read = tables.canonicalize(layout, &document, &context);
    tables.explain(layout, &document, &context);
    layout.strangers(&document);
    if let Err(faults) = read {
        tables.unmapped_codes(layout, &document, &faults, TODAY);
    }
    layout.without_my_number(&mut document);
}

/// What a table writes it reads, and what it reads is in the hub's own list.
fn codes(tables: &Tables) {
    for table in tables.code_tables() {
        let list = tables.code_list(table.target()).expect("checked");
        for pair in table.pairs() {
            if let Some(code) = table.read(&pair.from, TODAY) {
                assert!(list.code(code).is_some() || code.is_empty() || is_open(table, code), "{code}");
            }
            if let Some(theirs) = table.write(&pair.to, TODAY) {
                assert!(table.read(theirs, TODAY).is_some(), "{theirs} is written and cannot be read");
            }
        }
    }
}

fn is_open(table: &CodeTable, code: &str) -> bool {
    table.pairs().iter().any(|pair| pair.to == code)
}

/// Every code leads somewhere, on any two days, and the table that is written is the one that was read.
fn municipalities(tables: &Tables, is_changed: bool) {
    let history = tables.municipalities();
    for entry in history.entries() {
        for on in [TODAY, Date::MIN, Date::MAX, entry.until.unwrap_or(TODAY), entry.from.unwrap_or(TODAY)] {
            history.resolve(&entry.code, on, TODAY);
            history.resolve_city(&entry.code, TODAY, on);
            history.destination(&entry.code, on);
            for share in &entry.areas {
                for name in &share.names {
                    history.resolve_area_city(&entry.code, name, on, TODAY);
                }
            }
        }
    }
    if !is_changed {
        return;
    }
    let text = municipalities_csv(history.entries()).expect("written");
    let mut files = base::files();
    files.retain(|(file, _)| !file.starts_with("municipalities/"));
    files.push(("municipalities/builtin.csv", &text));
    let again = Tables::of_files(&files).expect("the table that is written can be read");
    assert_eq!(again.municipalities(), history);
}
