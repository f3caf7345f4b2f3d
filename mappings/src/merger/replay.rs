//! Goes through the changes day by day and writes down who held each code.

use std::collections::BTreeMap;

use jiff::civil::Date;
use tsunagi_core::municipality::{AreaShare, History, MunicipalityCode, MunicipalityEntry};

use crate::fault::{Faults, Place};

use super::body::Parts;
use super::event::{Dated, Party, parties};
use super::statement::Change;
use super::wards::Names;

/// The codes that a list tells of, each with its bodies in order of time.
pub(super) struct Replayed {
    pub(super) timelines: BTreeMap<MunicipalityCode, Vec<MunicipalityEntry>>,
    /// The first and the last day of which the list tells something of a code.
    pub(super) told: BTreeMap<MunicipalityCode, (Date, Date)>,
}

/// Plays all changes, on top of what is known of the time before the first one of each code.
pub(super) fn replay(
    file: &str,
    changes: &[Dated],
    known: &History,
    names: &Names<'_>,
    faults: &mut Faults,
) -> Replayed {
    let mut told: BTreeMap<MunicipalityCode, (Date, Date)> = BTreeMap::new();
    for dated in changes {
        for party in parties(&dated.change) {
            let days = told.entry(party.code.clone()).or_insert((dated.date, dated.date));
            days.1 = days.1.max(dated.date);
        }
    }
    let before = |(code, (first, _)): (&MunicipalityCode, &(Date, Date))| (code.clone(), until(known, code, *first));
    let mut play = Play { file, names, faults, timelines: told.iter().map(before).collect() };
    for day in changes.chunk_by(|a, b| a.date == b.date) {
        for at in in_order(day) {
            if let Some(dated) = day.get(at) {
                play.apply(dated, day);
            }
        }
    }
    Replayed { timelines: play.timelines, told }
}

/// What is known of a code before a day, the last body without its end if that is the day.
fn until(known: &History, code: &MunicipalityCode, first: Date) -> Vec<MunicipalityEntry> {
    let mut entries = known.of_code(code).to_vec();
    entries.retain(|entry| entry.from.is_none_or(|from| from < first));
    if let Some(last) = entries.last_mut()
        && last.until.is_some_and(|until| until >= eve(first))
    {
        last.until = None;
        last.successors.clear();
        last.areas.clear();
    }
    entries
}

struct Play<'a> {
    file: &'a str,
    names: &'a Names<'a>,
    faults: &'a mut Faults,
    timelines: BTreeMap<MunicipalityCode, Vec<MunicipalityEntry>>,
}

impl Play<'_> {
    fn apply(&mut self, dated: &Dated, day: &[Dated]) {
        match &dated.change {
            Change::Absorbed { from, into } => {
                self.go_on(into, dated, day);
                for party in from {
                    self.end(party, std::slice::from_ref(into), dated);
                }
            }
            Change::Founded { bodies } => bodies.iter().for_each(|party| self.begin(party, dated)),
            Change::Separated { from, new } => {
                for party in from {
                    let successors: Vec<Party> = std::iter::once(party).chain(new).cloned().collect();
                    self.end(party, &successors, dated);
                    self.begin(party, dated);
                }
                new.iter().for_each(|party| self.begin(party, dated));
            }
            Change::Succeeded { from, to } => {
                for party in from {
                    self.end(party, to, dated);
                }
                to.iter().for_each(|party| self.begin(party, dated));
            }
        }
    }

    /// A body ends on the eve of the change. If it ended in another change of that day, a further part of it went
    /// elsewhere.
    fn end(&mut self, party: &Party, successors: &[Party], dated: &Dated) {
        let new = self.names.entry(party, None);
        let timeline = self.timelines.entry(party.code.clone()).or_default();
        if timeline.is_empty() {
            timeline.push(new);
        }
        let eve = eve(dated.date);
        match timeline.last_mut().filter(|last| last.until.is_none_or(|until| until == eve)) {
            Some(last) => {
                last.until = Some(eve);
                for successor in successors {
                    add_successor(last, successor, &party.parts);
                }
            }
            None => self.refuse(dated, party, "すでに終わっています", "had ended before"),
        }
    }

    /// A body begins; told by several statements of a day, it begins once.
    fn begin(&mut self, party: &Party, dated: &Dated) {
        let new = self.names.entry(party, Some(dated.date));
        let timeline = self.timelines.entry(party.code.clone()).or_default();
        match timeline.last() {
            Some(last) if last.until.is_none() && last.from == Some(dated.date) => {}
            Some(last) if last.until.is_none() => {
                self.refuse(dated, party, "コードがまだ使われています", "begins while its code is in use");
            }
            Some(_) | None => timeline.push(new),
        }
    }

    /// A body takes others in. If it ends on the same day itself, as one that grows first and becomes a city then, the
    /// larger body gets an entry of its own, without a day to it.
    fn go_on(&mut self, into: &Party, dated: &Dated, day: &[Dated]) {
        let new = self.names.entry(into, None);
        let timeline = self.timelines.entry(into.code.clone()).or_default();
        if timeline.is_empty() {
            timeline.push(new);
        }
        let Some(last) = timeline.last().filter(|last| last.until.is_none()) else {
            return self.refuse(dated, into, "すでに終わっています", "had ended before");
        };
        let begins_today = last.from == Some(dated.date);
        let ends_today = day.iter().any(|other| ending(&other.change).any(|party| same(party, into)));
        if ends_today && !begins_today {
            self.end(into, std::slice::from_ref(into), dated);
            self.begin(into, dated);
        }
    }

    fn refuse(&mut self, dated: &Dated, party: &Party, ja: &str, en: &str) {
        let place = Place { file: self.file, line: Some(dated.line), path: "改正事由".to_owned() };
        let (code, name, date) = (party.code.five(), &party.name, dated.date);
        self.faults.say(&place, format!("{name}({code})は {date} に{ja}"), format!("{name} ({code}), {date}: {en}"));
    }
}

fn add_successor(entry: &mut MunicipalityEntry, successor: &Party, parts: &Parts) {
    if !entry.successors.contains(&successor.code) {
        entry.successors.push(successor.code.clone());
        entry.successors.sort();
    }
    let (names, rest) = match parts {
        Parts::Named(names) => (names.clone(), false),
        Parts::Rest => (Vec::new(), true),
        Parts::Whole => return,
    };
    let at = match entry.areas.iter().position(|share| share.to == successor.code) {
        Some(at) => at,
        None => {
            entry.areas.push(AreaShare { to: successor.code.clone(), names: Vec::new(), rest: false });
            entry.areas.len() - 1
        }
    };
    if let Some(share) = entry.areas.get_mut(at) {
        share.rest |= rest;
        for name in names {
            if !share.names.contains(&name) {
                share.names.push(name);
            }
        }
    }
    entry.areas.sort_by(|a, b| a.to.cmp(&b.to));
}

/// The changes of one day, each after those that make what it ends. Where two wait for each other they stay as the list
/// has them.
fn in_order(day: &[Dated]) -> Vec<usize> {
    let makes = |earlier: &Dated, later: &Dated| {
        ending(&later.change).any(|ends| beginning(&earlier.change).any(|party| same(party, ends)))
    };
    let mut waiting: Vec<usize> = (0..day.len()).collect();
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let is_free = |at: &usize| {
            let later = day.get(*at);
            waiting
                .iter()
                .filter(|other| *other != at)
                .filter_map(|other| day.get(*other))
                .all(|earlier| later.is_none_or(|later| !makes(earlier, later)))
        };
        let next = waiting.iter().position(is_free).unwrap_or(0);
        order.push(waiting.remove(next));
    }
    order
}

/// The bodies that end in a change.
fn ending(change: &Change<Party>) -> impl Iterator<Item = &Party> {
    let bodies: &[Party] = match change {
        Change::Absorbed { from, .. } | Change::Separated { from, .. } | Change::Succeeded { from, .. } => from,
        Change::Founded { .. } => &[],
    };
    bodies.iter()
}

/// The bodies that are as they are only since a change: new, larger or smaller.
fn beginning(change: &Change<Party>) -> impl Iterator<Item = &Party> {
    let (bodies, more): (&[Party], &[Party]) = match change {
        Change::Absorbed { into, .. } => (std::slice::from_ref(into), &[]),
        Change::Founded { bodies } => (bodies, &[]),
        Change::Separated { from, new } => (from, new),
        Change::Succeeded { to, .. } => (to, &[]),
    };
    bodies.iter().chain(more)
}

fn same(a: &Party, b: &Party) -> bool {
    a.code == b.code && a.name == b.name
}

/// The day before.
pub(super) fn eve(day: Date) -> Date {
    day.yesterday().unwrap_or(day)
}
