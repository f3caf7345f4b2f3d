//! `codes/<from>__<to>.csv`: code tables (コード対応表), the same pairs used in both directions.

use std::collections::HashMap;

use jiff::civil::Date;
use serde::Deserialize;
use tsunagi_core::id::CodeTableName;

use crate::csv_file;
use crate::fault::{Faults, Place};

/// Pairs of a participant's code and the hub's code.
#[derive(Debug, Clone)]
pub struct CodeTable {
    name: CodeTableName,
    to: CodeTableName,
    pairs: Vec<CodePair>,
    /// Positions in `pairs` by the participant's code, the preferred relationship first.
    reading: HashMap<String, Vec<usize>>,
    /// Positions in `pairs` by the hub's code: equivalent pairs, then broader ones in the order of the file.
    writing: HashMap<String, Vec<usize>>,
}

/// One line of a code table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodePair {
    /// The participant's code.
    pub from: String,
    /// The hub's code.
    pub to: String,
    /// What the participant's code is to the hub's.
    pub relationship: Relationship,
    /// First day the pair holds.
    pub valid_from: Option<Date>,
    /// Last day the pair holds.
    pub valid_until: Option<Date>,
    line: usize,
}

/// What the source code is, seen from the target code: the words of FHIR R5's ConceptMap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relationship {
    /// The same meaning: read and written.
    Equivalent,
    /// The source means less: read, never written, for writing would say more than is known.
    Narrower,
    /// The source means more: written, and read only where nothing closer is there.
    Broader,
}

impl CodeTable {
    /// `<from>__<to>`.
    pub fn name(&self) -> &CodeTableName {
        &self.name
    }

    /// The hub's code list it leads to.
    pub fn target(&self) -> &CodeTableName {
        &self.to
    }

    /// All pairs, in the order of the file.
    pub fn pairs(&self) -> &[CodePair] {
        &self.pairs
    }

    /// The hub's code for a participant's code on a day.
    pub fn read(&self, code: &str, as_of: Date) -> Option<&str> {
        self.first(&self.reading, code, as_of).map(|pair| pair.to.as_str())
    }

    /// The participant's code for the hub's code on a day.
    pub fn write(&self, code: &str, as_of: Date) -> Option<&str> {
        self.first(&self.writing, code, as_of).map(|pair| pair.from.as_str())
    }

    /// The hub's codes that some participant's code is read as, on some day.
    pub(crate) fn reached(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(|pair| !self.is_hidden_in_reading(pair)).map(|pair| pair.to.as_str())
    }

    /// Reports pairs that are neither read nor written on any day they hold.
    pub(crate) fn report_idle_pairs(&self, file: &str, faults: &mut Faults) {
        let idle = |pair: &&CodePair| self.is_hidden_in_reading(pair) && self.is_hidden_in_writing(pair);
        for pair in self.pairs.iter().filter(idle) {
            let place = Place { file, line: Some(pair.line), path: String::new() };
            let (from, to) = (&pair.from, &pair.to);
            faults.say(
                &place,
                format!("{from} と {to} の対は、読むときも書くときも使われません"),
                format!("the pair {from}, {to} is used neither in reading nor in writing"),
            );
        }
    }

    /// True if another pair is read in its place as long as it holds.
    fn is_hidden_in_reading(&self, pair: &CodePair) -> bool {
        self.hides(&self.reading, &pair.from, pair)
    }

    fn is_hidden_in_writing(&self, pair: &CodePair) -> bool {
        pair.relationship == Relationship::Narrower || self.hides(&self.writing, &pair.to, pair)
    }

    fn hides(&self, index: &HashMap<String, Vec<usize>>, code: &str, pair: &CodePair) -> bool {
        let before = index.get(code).into_iter().flatten().filter_map(|at| self.pairs.get(*at));
        before.take_while(|other| other.line != pair.line).any(|other| other.covers(pair))
    }

    fn first(&self, index: &HashMap<String, Vec<usize>>, code: &str, as_of: Date) -> Option<&CodePair> {
        index.get(code)?.iter().filter_map(|at| self.pairs.get(*at)).find(|pair| pair.holds_on(as_of))
    }

    pub(crate) fn parse(file: &str, name: CodeTableName, to: CodeTableName, text: &str, faults: &mut Faults) -> Self {
        let header = ["from", "to", "relationship", "valid_from", "valid_until"];
        let mut pairs = Vec::new();
        for line in csv_file::lines::<Line>(file, text, &header, faults) {
            let place = line.place(file);
            let Line { from, to, relationship, valid_from, valid_until } = line.value;
            if from.is_empty() || to.is_empty() {
                faults.say(&place, "from と to は必須です", "from and to must not be empty");
            }
            if matches!((valid_from, valid_until), (Some(first), Some(last)) if last < first) {
                faults.say(&place, "有効期間が逆です", "the period ends before it begins");
            }
            pairs.push(CodePair { from, to, relationship, valid_from, valid_until, line: line.line });
        }
        report_ambiguity(file, &pairs, faults);
        let reading = index(&pairs, |pair| Some(&pair.from));
        let writing = index(&pairs, |pair| (pair.relationship != Relationship::Narrower).then_some(&pair.to));
        Self { name, to, pairs, reading, writing }
    }

    /// Reports targets that are not in the hub's list.
    pub(crate) fn check_targets(&self, file: &str, known: impl Fn(&str) -> bool, faults: &mut Faults) {
        for pair in self.pairs.iter().filter(|pair| !known(&pair.to)) {
            let place = Place { file, line: Some(pair.line), path: "to".to_owned() };
            let (code, list) = (&pair.to, &self.to);
            faults.say(
                &place,
                format!("{code} は codes/{list}.csv にありません"),
                format!("{code} is not in codes/{list}.csv"),
            );
        }
    }
}

impl CodePair {
    fn holds_on(&self, day: Date) -> bool {
        self.valid_from.is_none_or(|first| first <= day) && self.valid_until.is_none_or(|last| day <= last)
    }

    /// True if it holds on every day on which the other one does.
    fn covers(&self, other: &Self) -> bool {
        self.valid_from.is_none_or(|first| other.valid_from.is_some_and(|from| first <= from))
            && self.valid_until.is_none_or(|last| other.valid_until.is_some_and(|until| until <= last))
    }

    fn overlaps(&self, other: &Self) -> bool {
        let before = |last: Option<Date>, first: Option<Date>| matches!((last, first), (Some(l), Some(f)) if l < f);
        !before(self.valid_until, other.valid_from) && !before(other.valid_until, self.valid_from)
    }
}

/// Positions by a key; within one key by relationship, then by the order of the file.
fn index(pairs: &[CodePair], key: impl Fn(&CodePair) -> Option<&String>) -> HashMap<String, Vec<usize>> {
    let mut index: HashMap<String, Vec<usize>> = HashMap::new();
    let mut order: Vec<(usize, &CodePair)> = pairs.iter().enumerate().collect();
    order.sort_by_key(|(_, pair)| pair.relationship);
    for (at, pair) in order {
        if let Some(code) = key(pair) {
            index.entry(code.clone()).or_default().push(at);
        }
    }
    index
}

/// Only pairs of one code are held against each other: tables of institutions or drugs have tens of thousands.
fn report_ambiguity(file: &str, pairs: &[CodePair], faults: &mut Faults) {
    let is_exact = |pair: &CodePair| pair.relationship != Relationship::Broader;
    let is_equivalent = |pair: &CodePair| pair.relationship == Relationship::Equivalent;
    let by_from = index(pairs, |pair| Some(&pair.from));
    let by_target = index(pairs, |pair| is_equivalent(pair).then_some(&pair.to));
    for (at, pair) in pairs.iter().enumerate() {
        let place = Place { file, line: Some(pair.line), path: String::new() };
        let before = |index: &HashMap<String, Vec<usize>>, code: &str| -> Vec<&CodePair> {
            let mut found: Vec<usize> =
                index.get(code).into_iter().flatten().copied().filter(|one| *one < at).collect();
            found.sort_unstable();
            found.into_iter().filter_map(|at| pairs.get(at)).filter(|other| other.overlaps(pair)).collect()
        };
        let earlier = before(&by_from, &pair.from);
        if let Some(other) = earlier.iter().find(|other| other.to == pair.to) {
            let line = other.line;
            faults.say(
                &place,
                format!("{line} 行目と同じ対が同じ期間にあります"),
                format!("line {line} has the same pair for the same time"),
            );
            continue;
        }
        if let Some(other) = earlier.iter().find(|other| is_exact(other) && is_exact(pair)) {
            let (code, line) = (&pair.from, other.line);
            faults.say(
                &place,
                format!("{code} は同じ期間に {line} 行目でも対応づけられています"),
                format!("{code} is mapped by line {line} for the same time as well"),
            );
        }
        if is_equivalent(pair)
            && let Some(other) = before(&by_target, &pair.to).into_iter().find(|other| other.from != pair.from)
        {
            let (code, line) = (&pair.to, other.line);
            faults.say(
                &place,
                format!("{code} を書くときの equivalent が {line} 行目にもあります"),
                format!("line {line} has another equivalent for writing {code}"),
            );
        }
        let has_exact = || by_from.get(&pair.from).into_iter().flatten().filter_map(|at| pairs.get(*at)).any(is_exact);
        if let Some(other) = earlier.iter().find(|other| !is_exact(other) && !is_exact(pair))
            && !has_exact()
        {
            let (code, line) = (&pair.from, other.line);
            faults.say(
                &place,
                format!("{code} には {line} 行目と同じ期間の broader しかありません"),
                format!("{code} has several broader pairs and no closer one (line {line})"),
            );
        }
    }
}

#[derive(Debug, Deserialize)]
struct Line {
    from: String,
    to: String,
    relationship: Relationship,
    valid_from: Option<Date>,
    valid_until: Option<Date>,
}
