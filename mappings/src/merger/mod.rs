//! The official list of municipal changes (廃置分合等情報), laid over the table of municipalities.
//!
//! The list has a row for each code that a change concerns, and the change itself as text:
//! `十四山村(23426)が弥富町(23428)に編入`. [`row`] reads the rows, [`body`] and [`statement`] read the text, and
//! [`replay`] goes through the changes day by day and writes down who held which code until when and who followed. What
//! cannot be understood is reported with its line; nothing is left out in silence.

mod body;
mod event;
mod merge;
mod replay;
mod row;
mod statement;
mod wards;

use tsunagi_core::municipality::{History, MunicipalityEntry};

use crate::fault::{Faults, TableFault};

/// What an official list makes of the table of municipalities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergerImport {
    /// The whole table: what was known, with everything the list tells in its place.
    pub entries: Vec<MunicipalityEntry>,
    /// Lines that could not be read, or that contradict each other or the table. With any of them the table is not to
    /// be used.
    pub faults: Vec<TableFault>,
    /// What was filled in where the list is silent.
    pub notes: Vec<TableFault>,
    /// The rows of the list.
    pub rows: usize,
    /// Changes, each of which the list tells once for every code it concerns.
    pub changes: usize,
    /// Statements that change no municipality: 郡の廃止, 中核市, 特例市.
    pub without_effect: usize,
}

/// Reads a list, decoded to text, and lays it over `known`. Where both tell of a code, the list is believed for its
/// own time and `known` before and after it. `progress` is called with the number of rows read so far.
pub fn import_mergers(file: &str, text: &str, known: &History, progress: &mut dyn FnMut(usize)) -> MergerImport {
    let mut faults = Faults::default();
    let mut notes = Faults::default();
    let rows = row::read(file, text, &mut faults, progress);
    let list = event::collect(file, &rows, &mut faults, &mut notes);
    let names = wards::Names::new(&rows, known);
    let replayed = replay::replay(file, &list.changes, known, &names, &mut faults);
    let mut entries = merge::over(file, replayed, known, &mut faults);
    wards::fold(file, &mut entries, &names, &mut faults, &mut notes);
    if let Err(reasons) = History::parse(entries.clone()) {
        for reason in reasons {
            faults.add(&crate::fault::Place::whole(file), reason);
        }
    }
    entries.sort_by(|a, b| {
        (&a.code, a.from, a.until.is_none(), a.until).cmp(&(&b.code, b.from, b.until.is_none(), b.until))
    });
    MergerImport {
        entries,
        faults: faults.finish().err().unwrap_or_default(),
        notes: notes.finish().err().unwrap_or_default(),
        rows: rows.len(),
        changes: list.changes.len(),
        without_effect: list.without_effect,
    }
}

#[cfg(test)]
mod tests;
