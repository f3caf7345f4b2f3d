use std::fs;

use super::*;

fn issued(digit: char) -> LedgerEntry {
    LedgerEntry {
        serial: digit.to_string().repeat(32),
        usage: Usage::Participant,
        names: vec!["clinic-a".to_owned()],
        fingerprint_sha256: "0".repeat(64),
        not_before: 1,
        not_after: 3,
        issued_at: 2,
        key_from_request: false,
        renews: None,
        revoked_at: None,
        reason: None,
    }
}

fn serials(ledger: &Ledger) -> String {
    ledger.entries().unwrap().iter().filter_map(|entry| entry.serial.chars().next()).collect()
}

/// The line that would follow these.
fn chained(lines: &[u8], line: Line) -> String {
    let previous = Some(read(lines).unwrap().last);
    serde_json::to_string(&Chained { previous, line }).unwrap() + "\n"
}

#[test]
fn a_torn_last_line_gives_way_to_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::create(&dir.path().join("ca")).unwrap();
    Ledger::create(&folder).unwrap();
    Ledger::open(&folder).unwrap().append(Line::Issued(issued('4'))).unwrap();
    let mut torn = fs::read(folder.at(LEDGER)).unwrap();
    torn.extend_from_slice(br#"{"event":"issued","serial":"55"#);
    fs::write(folder.at(LEDGER), torn).unwrap();

    let mut ledger = Ledger::open(&folder).unwrap();
    assert_eq!(serials(&ledger), "4");
    ledger.append(Line::Issued(issued('6'))).unwrap();
    ledger.append(Line::Revoked { serial: "4".repeat(32), at: 9, reason: Reason::Superseded }).unwrap();
    assert_eq!(read_ledger(folder.path()).unwrap(), ledger.entries().unwrap());
    drop(ledger);

    let ledger = Ledger::open(&folder).unwrap();
    assert_eq!(serials(&ledger), "46");
    let first = &ledger.entries().unwrap()[0];
    assert_eq!((first.revoked_at, first.reason), (Some(9), Some(Reason::Superseded)));
}

#[test]
fn a_line_that_was_not_confirmed_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::create(&dir.path().join("ca")).unwrap();
    Ledger::create(&folder).unwrap();
    let mut ledger = Ledger::open(&folder).unwrap();
    ledger.append(Line::Issued(issued('4'))).unwrap();
    // As if the line had been written and the disk had then refused to confirm it.
    let mut more = fs::read(folder.at(LEDGER)).unwrap();
    more.extend_from_slice(chained(&more, Line::Issued(issued('5'))).as_bytes());
    fs::write(folder.at(LEDGER), more).unwrap();
    assert_eq!(serials(&ledger), "4");
    ledger.append(Line::Issued(issued('6'))).unwrap();
    assert_eq!(serials(&ledger), "46");
    fs::write(folder.at(LEDGER), "").unwrap();
    assert!(matches!(ledger.entries(), Err(CertsError::Damaged { .. })));
}

#[test]
fn any_other_damage_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::create(&dir.path().join("ca")).unwrap();
    Ledger::create(&folder).unwrap();
    let mut ledger = Ledger::open(&folder).unwrap();
    ledger.append(Line::Issued(issued('4'))).unwrap();
    ledger.append(Line::Issued(issued('5'))).unwrap();
    let good = fs::read_to_string(folder.at(LEDGER)).unwrap();
    let unknown = Line::Revoked { serial: "6".repeat(32), at: 1, reason: Reason::Superseded };
    let unknown = chained(good.as_bytes(), unknown);

    for (text, at) in [
        (good.replacen("issued", "iss", 1), 1),
        (good.clone() + "{\"event\":\n", 3),
        (good.clone() + &unknown, 3),
        (good.clone() + "\n", 3),
    ] {
        fs::write(folder.at(LEDGER), text).unwrap();
        let found = Ledger::open(&folder);
        assert!(matches!(found, Err(CertsError::LedgerDamaged { line }) if line == at), "{found:?}");
    }
}

/// A ledger with a certificate in each of four lines, the second of them revoked in the fifth.
fn five_lines(folder: &Folder) -> Vec<String> {
    Ledger::create(folder).unwrap();
    let mut ledger = Ledger::open(folder).unwrap();
    for digit in ['4', '5', '6', '7'] {
        ledger.append(Line::Issued(issued(digit))).unwrap();
    }
    ledger.append(Line::Revoked { serial: "5".repeat(32), at: 9, reason: Reason::KeyCompromise }).unwrap();
    fs::read_to_string(folder.at(LEDGER)).unwrap().lines().map(str::to_owned).collect()
}

fn write(folder: &Folder, lines: &[String]) {
    fs::write(folder.at(LEDGER), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

#[test]
fn a_line_that_was_taken_out_or_changed_is_refused_where_it_stood() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::create(&dir.path().join("ca")).unwrap();
    let lines = five_lines(&folder);
    let broken_at = |at: usize| {
        for found in [Ledger::open(&folder).map(drop), read_ledger(folder.path()).map(drop)] {
            assert!(matches!(found, Err(CertsError::LedgerBroken { line }) if line == at), "{at}: {found:?}");
        }
    };
    for out in 0..4 {
        let mut fewer = lines.clone();
        fewer.remove(out);
        write(&folder, &fewer);
        broken_at(out + 1);
        let mut other = lines.clone();
        other[out] = other[out].replace("clinic-a", "clinic-b");
        write(&folder, &other);
        broken_at(out + 2);
    }
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    write(&folder, &swapped);
    broken_at(2);
    // Without its sum a line does not follow either.
    let mut bare = lines.clone();
    bare[3] = serde_json::to_string(&Line::Issued(issued('7'))).unwrap();
    write(&folder, &bare);
    broken_at(4);
    write(&folder, &lines);
    assert_eq!(serials(&Ledger::open(&folder).unwrap()), "4567");
}

#[test]
fn a_ledger_from_before_the_chain_is_read_and_continued_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::create(&dir.path().join("ca")).unwrap();
    let old = ['4', '5'].map(|digit| serde_json::to_string(&Line::Issued(issued(digit))).unwrap());
    write(&folder, &old);
    let mut ledger = Ledger::open(&folder).unwrap();
    assert_eq!(serials(&ledger), "45");
    ledger.append(Line::Issued(issued('6'))).unwrap();
    assert_eq!(serials(&Ledger::open(&folder).unwrap()), "456");
    // The last of the old lines is held by the first new one.
    let mut lines: Vec<String> = fs::read_to_string(folder.at(LEDGER)).unwrap().lines().map(str::to_owned).collect();
    lines.remove(1);
    write(&folder, &lines);
    assert!(matches!(Ledger::open(&folder), Err(CertsError::LedgerBroken { line: 2 })));
}
