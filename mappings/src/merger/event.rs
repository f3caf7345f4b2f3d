//! All changes of the list, each of them once, with every body's code.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use tsunagi_core::municipality::MunicipalityCode;

use crate::fault::{Faults, Place};

use super::body::{Body, Parts};
use super::row::Row;
use super::statement::{Change, Understood, parse};

/// A body whose code is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Party {
    pub(super) code: MunicipalityCode,
    pub(super) name: String,
    pub(super) kana: Option<String>,
    pub(super) parts: Parts,
}

/// One change and the day from which it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dated {
    pub(super) date: Date,
    /// The line of the statement, where it is told first.
    pub(super) line: usize,
    pub(super) change: Change<Party>,
}

/// What a list tells.
#[derive(Debug, Default)]
pub(super) struct List {
    /// By date; those of one day in the order of the list.
    pub(super) changes: Vec<Dated>,
    pub(super) without_effect: usize,
}

/// Reads the statements of all rows. Those that cannot be read, or name a body whose code nothing tells, are faults;
/// a row whose statements do not name its code is noted.
pub(super) fn collect(file: &str, rows: &[Row], faults: &mut Faults, notes: &mut Faults) -> List {
    // A change is told in the row of each code that it concerns.
    let mut told: BTreeMap<(Date, &str), Vec<(usize, &Row)>> = BTreeMap::new();
    for row in rows {
        for (line, statement) in &row.statements {
            told.entry((row.date, statement)).or_default().push((*line, row));
        }
    }
    let mut list = List::default();
    let mut concerned: BTreeSet<(Date, MunicipalityCode)> = BTreeSet::new();
    let mut excused: BTreeSet<usize> = BTreeSet::new();
    let mut seen: Vec<Dated> = Vec::new();
    for ((date, statement), tellers) in told {
        let line = tellers.iter().map(|(line, _)| *line).min().unwrap_or_default();
        let tellers: Vec<&Row> = tellers.into_iter().map(|(_, row)| row).collect();
        let place = Place { file, line: Some(line), path: "改正事由".to_owned() };
        let changes = match parse(statement) {
            Some(Understood::WithoutEffect) => {
                list.without_effect += 1;
                excused.extend(tellers.iter().map(|row| row.line));
                continue;
            }
            Some(Understood::Changes(changes)) => changes,
            None => {
                let (ja, en) = ("この改正事由は解釈できません", "this reason is none that is understood");
                faults.say(&place, format!("{ja}: {statement}"), format!("{en}: {statement}"));
                excused.extend(tellers.iter().map(|row| row.line));
                continue;
            }
        };
        for change in changes {
            match resolve(change, &tellers) {
                Ok(change) => {
                    concerned.extend(parties(&change).map(|party| (date, party.code.clone())));
                    seen.push(Dated { date, line, change });
                }
                Err(name) => {
                    let ja = format!("{name} のコードがこの行から分かりません");
                    faults.say(&place, ja, format!("nothing here tells the code of {name}"));
                    excused.extend(tellers.iter().map(|row| row.line));
                }
            }
        }
    }
    for row in rows.iter().filter(|row| !excused.contains(&row.line)) {
        if !concerned.contains(&(row.date, row.code.clone())) {
            let place = Place { file, line: Some(row.line), path: "標準地域コード".to_owned() };
            let code = row.code.five();
            notes.say(&place, format!("改正事由に {code} は現れません"), format!("the reason does not name {code}"));
        }
    }
    seen.sort_by_key(|dated| (dated.date, dated.line));
    // A list may tell one change in longer and in shorter words.
    for dated in seen {
        if !list.changes.iter().any(|known| known.date == dated.date && known.change == dated.change) {
            list.changes.push(dated);
        }
    }
    list
}

/// All bodies of a change.
pub(super) fn parties(change: &Change<Party>) -> impl Iterator<Item = &Party> {
    let (many, more): (&[Party], &[Party]) = match change {
        Change::Absorbed { from, into } => (from, std::slice::from_ref(into)),
        Change::Founded { bodies } => (bodies, &[]),
        Change::Separated { from, new } => (from, new),
        Change::Succeeded { from, to } => (from, to),
    };
    many.iter().chain(more)
}

/// Gives every body its code, or says whose is not told.
fn resolve(change: Change<Body>, tellers: &[&Row]) -> Result<Change<Party>, String> {
    let all = |bodies: Vec<Body>, members: &[Party]| -> Result<Vec<Party>, String> {
        bodies.into_iter().map(|body| party(body, members, tellers)).collect()
    };
    Ok(match change {
        Change::Absorbed { from, into } => {
            let from = all(from, &[])?;
            Change::Absorbed { into: party(into, &from, tellers)?, from }
        }
        Change::Founded { bodies } => Change::Founded { bodies: all(bodies, &[])? },
        Change::Separated { from, new } => {
            let from = all(from, &[])?;
            Change::Separated { new: all(new, &from)?, from }
        }
        Change::Succeeded { from, to } => {
            let from = all(from, &[])?;
            Change::Succeeded { to: all(to, &from)?, from }
        }
    })
}

/// A body named without a code keeps that of its same-named member; else one of the rows that tell the change is its own.
fn party(body: Body, members: &[Party], tellers: &[&Row]) -> Result<Party, String> {
    // 北設楽郡稲武町 is 稲武町: the district stands in front where it is what changed.
    let is_with_district = |row: &&&Row| body.name.strip_prefix(&row.district) == Some(&row.name);
    let own = tellers.iter().filter(|row| body.code.as_ref() == Some(&row.code)).find(is_with_district);
    let name = own.map_or_else(|| body.name.clone(), |row| row.name.clone());
    let of_member = || members.iter().find(|member| member.name == name).map(|member| member.code.clone());
    let of_row = || {
        let mut codes: BTreeSet<&MunicipalityCode> =
            tellers.iter().filter(|row| row.name == name).map(|row| &row.code).collect();
        if codes.len() == 1 { codes.pop_first().cloned() } else { None }
    };
    match body.code.clone().or_else(of_member).or_else(of_row) {
        Some(code) => Ok(Party { code, name, kana: body.kana, parts: body.parts }),
        None => Err(body.name),
    }
}
