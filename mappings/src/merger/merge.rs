//! What a list tells, put into what was known.

use jiff::civil::Date;
use tsunagi_core::municipality::{History, MunicipalityCode, MunicipalityEntry};

use crate::fault::{Faults, Place};

use super::replay::Replayed;

/// The whole table. Of a code that the list tells of, the known table is kept for the time before the first and after
/// the last day told; a known change in between that the list does not tell is a fault, for it would be lost.
pub(super) fn over(file: &str, replayed: Replayed, known: &History, faults: &mut Faults) -> Vec<MunicipalityEntry> {
    let Replayed { timelines, told } = replayed;
    let mut table: Vec<MunicipalityEntry> =
        known.entries().iter().filter(|entry| !timelines.contains_key(&entry.code)).cloned().collect();
    for (code, mut timeline) in timelines {
        let before: Vec<&MunicipalityEntry> = known.of_code(&code).iter().collect();
        if let Some((first, last)) = told.get(&code) {
            report_lost(file, &code, &timeline, &before, (*first, *last), faults);
            keep_what_follows(&mut timeline, &before, *last);
        }
        keep_details(&mut timeline, &before);
        table.extend(timeline);
    }
    table
}

fn report_lost(
    file: &str,
    code: &MunicipalityCode,
    timeline: &[MunicipalityEntry],
    known: &[&MunicipalityEntry],
    (first, last): (Date, Date),
    faults: &mut Faults,
) {
    let told = |from: Date| timeline.iter().any(|entry| entry.from == Some(from));
    for from in known.iter().filter_map(|entry| entry.from).filter(|from| first < *from && *from < last && !told(*from))
    {
        faults.say(
            &Place::whole(file),
            format!("{} の {from} の変更が今の表にありますが、一覧にありません", code.five()),
            format!("{}: the table has a change on {from} that the list does not tell", code.five()),
        );
    }
}

/// What the table tells of the time after the last day of the list.
fn keep_what_follows(timeline: &mut Vec<MunicipalityEntry>, known: &[&MunicipalityEntry], last: Date) {
    let holds = |entry: &&&MunicipalityEntry| {
        entry.from.is_none_or(|from| from <= last) && entry.until.is_some_and(|until| until >= last)
    };
    if let (Some(open), Some(ends)) =
        (timeline.last_mut().filter(|entry| entry.until.is_none()), known.iter().find(holds))
    {
        open.until = ends.until;
        open.successors.clone_from(&ends.successors);
        open.areas.clone_from(&ends.areas);
    }
    let later = known.iter().filter(|entry| entry.from.is_some_and(|from| from > last));
    timeline.extend(later.map(|entry| (*entry).clone()));
}

/// Areas, readings and cities of wards that the table has and the list leaves out.
fn keep_details(timeline: &mut [MunicipalityEntry], known: &[&MunicipalityEntry]) {
    for entry in timeline {
        let Some(same) = known.iter().find(|known| known.until == entry.until && known.name == entry.name) else {
            continue;
        };
        if entry.areas.is_empty() && same.successors == entry.successors {
            entry.areas.clone_from(&same.areas);
        }
        if entry.kana.is_empty() {
            entry.kana.clone_from(&same.kana);
        }
    }
}
