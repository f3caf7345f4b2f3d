//! What live traffic could not map (対応漏れ): columns, codes and characters, counted by channel.
//!
//! Counts are for whoever keeps the tables, and are stored and shown in the clear. So nothing is counted by a name that
//! could say something of a person: a column or code that does not look like one is counted without it.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::id::ChannelId;

/// One thing that could not be mapped on one channel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gap {
    /// The channel.
    pub channel: ChannelId,
    /// What sort of thing.
    pub kind: GapKind,
    /// The column or path it stands at, in the participant's own form; empty where it is not shown.
    pub place: String,
    /// The code, or the character as `U+XXXX`. `None` for columns, and where it is not shown.
    pub what: Option<String>,
}

/// What sort of thing could not be mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// A character that the receiver's charset has no place for: the delivery is held.
    Character,
    /// A code that no table covers: the row is refused, or the delivery held.
    Code,
    /// A column that the layout does not know: what stands in it is not taken over.
    Column,
}

impl GapKind {
    /// The sort as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Character => "character",
            Self::Code => "code",
            Self::Column => "column",
        }
    }

    /// The sort of that name.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Character, Self::Code, Self::Column].into_iter().find(|kind| kind.as_str() == word)
    }
}

/// Gaps with the rows they hold up. It holds at most [`MOST_GAPS`] of a channel apart; further ones are counted under
/// their sort alone, so that no sender can make it grow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    rows: BTreeMap<Gap, u64>,
    /// How many gaps of a channel are told apart.
    told: BTreeMap<ChannelId, usize>,
}

/// A gap as it is shown: all days since the one asked for together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageLine {
    /// The gap.
    #[serde(flatten)]
    pub gap: Gap,
    /// The rows it held up, or from which it left something behind.
    pub rows: u64,
    /// The first day it was met, in Japan.
    pub first: Date,
    /// The last day it was met.
    pub last: Date,
}

/// How many gaps of one channel are told apart.
pub const MOST_GAPS: usize = 1_000;

impl Coverage {
    /// Counts rows with something in a column that the layout does not know. A file without a header has a person's
    /// data for column names: `is_header` says that the other names are those of the layout.
    pub fn column(&mut self, channel: &ChannelId, name: &str, is_header: bool, rows: u64) {
        let place = Some(name).filter(|name| is_header && is_name(name)).unwrap_or_default();
        self.add(channel, GapKind::Column, place, None, rows);
    }

    /// Counts one row with a code that no table covers; `None` where what stands there may be no code at all.
    pub fn code(&mut self, channel: &ChannelId, place: &str, code: Option<&str>) {
        let what = code.filter(|code| is_code(code)).map(str::to_owned);
        self.add(channel, GapKind::Code, place, what, 1);
    }

    /// Counts one row with a character that the receiver's charset has no place for.
    pub fn character(&mut self, channel: &ChannelId, place: &str, character: char) {
        let what = format!("U+{:04X}", u32::from(character));
        self.add(channel, GapKind::Character, place, Some(what), 1);
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: Self) {
        for (gap, rows) in other.rows {
            self.insert(gap, rows);
        }
    }

    /// True if nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All gaps with their rows.
    pub fn iter(&self) -> impl Iterator<Item = (&Gap, u64)> {
        self.rows.iter().map(|(gap, rows)| (gap, *rows))
    }

    /// The rows of one sort, over all channels.
    pub fn rows_of(&self, kind: GapKind) -> u64 {
        self.iter().filter(|(gap, _)| gap.kind == kind).map(|(_, rows)| rows).sum()
    }

    fn add(&mut self, channel: &ChannelId, kind: GapKind, place: &str, what: Option<String>, rows: u64) {
        self.insert(Gap { channel: channel.clone(), kind, place: place.to_owned(), what }, rows);
    }

    fn insert(&mut self, gap: Gap, rows: u64) {
        if let Some(count) = self.rows.get_mut(&gap) {
            *count = count.saturating_add(rows);
            return;
        }
        let told = self.told.entry(gap.channel.clone()).or_default();
        let gap = if *told < MOST_GAPS { gap } else { gap.untold() };
        *told += usize::from(*told < MOST_GAPS);
        let count = self.rows.entry(gap).or_default();
        *count = count.saturating_add(rows);
    }
}

impl Gap {
    /// The same sort on the same channel, without saying where and what.
    pub fn untold(self) -> Self {
        Self { place: String::new(), what: None, ..self }
    }
}

/// True for what a column may be called: not long, and without digits that could be somebody's number.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= LONGEST_NAME && digits(name) < SHORTEST_NUMBER
}

/// True for what a code may look like: short, in one piece, without digits that could be somebody's number.
fn is_code(code: &str) -> bool {
    let is_piece = !code.contains(|c: char| c.is_whitespace() || c.is_control());
    is_piece && code.chars().count() <= LONGEST_CODE && digits(code) < SHORTEST_NUMBER
}

/// All of them, for numbers are written with signs between.
fn digits(text: &str) -> usize {
    text.chars().filter(|c| c.is_numeric()).count()
}

const LONGEST_CODE: usize = 20;
const LONGEST_NAME: usize = 40;
/// 公費受給者番号 of the national schemes have seven digits; municipality codes, with six, are nobody's.
const SHORTEST_NUMBER: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> ChannelId {
        ChannelId::parse(name).unwrap()
    }

    fn counted(coverage: &Coverage) -> Vec<(GapKind, &str, Option<&str>, u64)> {
        coverage.iter().map(|(gap, rows)| (gap.kind, gap.place.as_str(), gap.what.as_deref(), rows)).collect()
    }

    #[test]
    fn rows_add_up() {
        let (mut coverage, one) = (Coverage::default(), channel("one"));
        coverage.column(&one, "旧姓", true, 3);
        coverage.code(&one, "性別", Some("X"));
        coverage.code(&one, "性別", Some("X"));
        coverage.character(&one, "氏名", '𠮷');
        let mut more = Coverage::default();
        more.column(&one, "旧姓", true, 2);
        coverage.merge(more);
        assert_eq!(
            counted(&coverage),
            [
                (GapKind::Character, "氏名", Some("U+20BB7"), 1),
                (GapKind::Code, "性別", Some("X"), 2),
                (GapKind::Column, "旧姓", None, 5),
            ]
        );
        assert_eq!(coverage.rows_of(GapKind::Column), 5);
    }

    #[test]
    fn what_could_be_a_persons_is_counted_without_saying_it() {
        for (code, is_shown) in [
            ("99", true),
            ("左上腕部", true),
            ("442011", true),
            ("B-2026", true),
            ("架空　花子", false),
            ("KAKU HANAKO", false),
            ("1234566", false),
            ("２１０９８７６５４３２１", false),
            ("090-1234-5678", false),
            ("ながいながいながいながいながいながいことば", false),
        ] {
            let mut coverage = Coverage::default();
            coverage.code(&channel("one"), "コード", Some(code));
            assert_eq!(counted(&coverage), [(GapKind::Code, "コード", Some(code).filter(|_| is_shown), 1)], "{code}");
        }
        let mut coverage = Coverage::default();
        coverage.code(&channel("one"), "コード", None);
        coverage.column(&channel("one"), "架空花子", false, 1);
        coverage.column(&channel("one"), "210987654321", true, 1);
        assert_eq!(counted(&coverage), [(GapKind::Code, "コード", None, 1), (GapKind::Column, "", None, 2)]);
    }

    #[test]
    fn no_sender_can_make_it_grow_without_end() {
        let mut coverage = Coverage::default();
        for n in 0..2 * MOST_GAPS {
            coverage.code(&channel("loud"), "コード", Some(&n.to_string()));
        }
        coverage.code(&channel("quiet"), "コード", Some("1"));
        assert_eq!(coverage.iter().count(), MOST_GAPS + 2);
        assert_eq!(coverage.rows_of(GapKind::Code), 2 * MOST_GAPS as u64 + 1);
        let untold = coverage.iter().find(|(gap, _)| gap.place.is_empty()).unwrap();
        assert_eq!((untold.0.what.as_deref(), untold.1), (None, MOST_GAPS as u64));
        assert!(coverage.iter().any(|(gap, _)| gap.channel == channel("quiet") && gap.what.as_deref() == Some("1")));
    }

    #[test]
    fn sorts_have_words() {
        for kind in [GapKind::Character, GapKind::Code, GapKind::Column] {
            assert_eq!(GapKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(GapKind::parse("row"), None);
    }
}
