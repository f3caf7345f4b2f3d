//! `municipalities/*.csv`: municipality codes, their validity and successors. Where a body was divided, `areas` says which
//! 大字 or 町 went where: `192015:梯/古関 194301:精進/本栖/富士ヶ嶺`, and `*` for all others.

use jiff::civil::Date;
use serde::Deserialize;
use tsunagi_core::municipality::{AreaShare, History, MunicipalityCode, MunicipalityEntry};

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
        for line in csv_file::lines::<Line>(file, text, header_of(text), faults) {
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

/// The text of a file `municipalities/builtin.csv` with these entries, one a line and in their order.
pub fn municipalities_csv(entries: &[MunicipalityEntry]) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER)?;
    for entry in entries {
        let day = |day: Option<Date>| day.map(|day| day.to_string()).unwrap_or_default();
        let successors: Vec<&str> = entry.successors.iter().map(MunicipalityCode::as_str).collect();
        let areas: Vec<String> = entry.areas.iter().map(written_share).collect();
        writer.write_record([
            entry.code.as_str(),
            &entry.name,
            &entry.kana,
            &entry.prefecture,
            &day(entry.from),
            &day(entry.until),
            &successors.join(" "),
            entry.folds_to.as_ref().map(MunicipalityCode::as_str).unwrap_or_default(),
            &areas.join(" "),
        ])?;
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn written_share(share: &AreaShare) -> String {
    let names = share.names.iter().map(String::as_str).chain(share.rest.then_some(REST));
    format!("{}:{}", share.to, names.collect::<Vec<_>>().join("/"))
}

/// The column `areas` came later and may be left out as a whole.
fn header_of(text: &str) -> &'static [&'static str] {
    let first = text.lines().next().unwrap_or_default();
    if first.split(',').count() < HEADER.len() { HEADER.get(..HEADER.len() - 1).unwrap_or(&HEADER) } else { &HEADER }
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
    let areas = line.areas.split_whitespace().map(|text| {
        let (to, names) = text.split_once(':').unwrap_or((text, ""));
        let rest = names.split('/').any(|name| name == REST);
        let names: Vec<String> =
            names.split('/').filter(|name| !matches!(*name, "" | REST)).map(str::to_owned).collect();
        Some(AreaShare { to: code("areas", to)?, names, rest })
    });
    let areas: Option<Vec<_>> = areas.collect();
    Some(MunicipalityEntry {
        code: own?,
        name: line.name,
        kana: line.kana,
        prefecture: line.prefecture,
        from: line.from,
        until: line.until,
        successors: successors?,
        folds_to,
        areas: areas?,
    })
}

const HEADER: [&str; 9] = ["code", "name", "kana", "prefecture", "from", "until", "successors", "folds_to", "areas"];

/// In `areas`: everything that no share of the line names.
const REST: &str = "*";

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
    #[serde(default)]
    areas: String,
}
