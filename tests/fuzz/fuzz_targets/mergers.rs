//! The official list of municipal changes: any text over any state of the table gives faults or a table; a sound one is
//! read again from the file that is written of it, and laid over itself it stays as it is.
//!
//! Input: a byte for the table it is laid over, then the list. A list without the header is given one.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tsunagi_core::municipality::History;
use tsunagi_fuzz::{Input, base};
use tsunagi_mappings::{Tables, import_mergers, municipalities_csv};

const HEADER: &str = "標準地域コード,都道府県,政令市･郡･支庁･振興局等,政令市･郡･支庁･振興局等（ふりがな）,市区町村,市区町村（ふりがな）,廃置分合等施行年月日,改正事由\n";

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let known = &histories()[input.below(2)];
    let Ok(text) = std::str::from_utf8(input.0) else { return };
    let text =
        if text.starts_with("標準") || text.starts_with('"') { text.to_owned() } else { format!("{HEADER}{text}") };
    let mut rows = 0;
    let import = import_mergers("list.csv", &text, known, &mut |row| {
        assert_eq!(row, rows + 1, "rows are counted one by one");
        rows = row;
    });
    assert!(import.rows <= rows);
    let lines = text.lines().count() + 1;
    for fault in import.faults.iter().chain(&import.notes) {
        assert!(fault.line.is_none_or(|line| (1..=lines).contains(&line)), "{fault} of {lines} lines");
    }
    if !import.faults.is_empty() {
        return;
    }
    let history = History::parse(import.entries.clone()).expect("a table without faults is sound");
    for entry in history.entries() {
        for on in [entry.from, entry.until].into_iter().flatten() {
            history.destination(&entry.code, on);
        }
    }
    let written = municipalities_csv(&import.entries).expect("written");
    let mut files = base::files();
    files.retain(|(file, _)| !file.starts_with("municipalities/"));
    files.push(("municipalities/builtin.csv", &written));
    let again = Tables::of_files(&files).expect("the table that is written can be read");
    assert_eq!(again.municipalities(), &history);
    let twice = import_mergers("list.csv", &text, &history, &mut |_| {});
    assert_eq!(twice.faults, [], "the list stands against itself");
    assert_eq!(twice.entries, import.entries, "the list is in the table already");
});

/// Nothing known, and a few places.
fn histories() -> &'static [History; 2] {
    static KNOWN: OnceLock<[History; 2]> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let tables = Tables::of_files(&base::files()).expect("the base is sound");
        [History::default(), tables.municipalities().clone()]
    })
}
