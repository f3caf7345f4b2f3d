//! `municipalities/*.csv`: municipality codes, their validity and successors.

use jiff::civil::Date;
use serde::Deserialize;
use tsunagi_core::municipality::{History, MunicipalityCode, MunicipalityEntry};

use crate::csv_file;
use crate::fault::{Faults, Place};
use crate::source::Files;

/// Reads all files into one history.
pub(crate) fn read(files: &Files, faults: &mut Faults) -> History {
    let before = faults.count();
    let mut entries = Vec::new();
    let mut last = "municipalities";
    for (file, _, text) in files.within("municipalities", ".csv") {
        last = file;
        for line in csv_file::lines::<Line>(file, text, &HEADER, faults) {
            let place = line.place(file);
            entries.extend(entry(line.value, &place, faults));
        }
    }
    if faults.count() > before {
        return History::default();
    }
    match History::parse(entries) {
        Ok(history) => history,
        Err(reasons) => {
            for reason in reasons {
                faults.add(&Place::whole(last), reason);
            }
            History::default()
        }
    }
}

fn entry(line: Line, place: &Place<'_>, faults: &mut Faults) -> Option<MunicipalityEntry> {
    let mut code = |key: &str, text: &str| match MunicipalityCode::parse(text) {
        Ok(code) => Some(code),
        Err(fault) => {
            faults.say(&place.key(key), format!("{text} は6桁の団体コードではありません"), format!("{text}: {fault}"));
            None
        }
    };
    let own = code("code", &line.code);
    let successors: Option<Vec<_>> = line.successors.split_whitespace().map(|text| code("successors", text)).collect();
    let folds_to = match line.folds_to.as_str() {
        "" => None,
        text => Some(code("folds_to", text)?),
    };
    Some(MunicipalityEntry {
        code: own?,
        name: line.name,
        kana: line.kana,
        prefecture: line.prefecture,
        from: line.from,
        until: line.until,
        successors: successors?,
        folds_to,
    })
}

const HEADER: [&str; 8] = ["code", "name", "kana", "prefecture", "from", "until", "successors", "folds_to"];

#[derive(Debug, Deserialize)]
struct Line {
    code: String,
    name: String,
    kana: String,
    prefecture: String,
    from: Option<Date>,
    until: Option<Date>,
    successors: String,
    folds_to: String,
}
