//! The history of municipalities (廃置分合): from a code as someone wrote it to the body in charge today.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::fault::Bilingual;

use super::MunicipalityCode;

/// One body for as long as it had one code, one name and one area.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MunicipalityEntry {
    /// Its code in that time.
    pub code: MunicipalityCode,
    /// Its name, e.g. `浜松市`.
    pub name: String,
    /// The name in hiragana, as the official list has it.
    pub kana: String,
    /// The prefecture's name, e.g. `静岡県`.
    pub prefecture: String,
    /// First day; none means before the list begins (1970).
    pub from: Option<Date>,
    /// Last day; none means that it still is. The day before `from` makes it empty: a step on the way of two that
    /// were taken on one day.
    pub until: Option<Date>,
    /// Who followed on the day after `until`. Several where it was divided; its own code where the new body kept it.
    pub successors: Vec<MunicipalityCode>,
    /// The city of a ward (行政区), which is no municipality of its own. 特別区 are and have none.
    pub folds_to: Option<MunicipalityCode>,
    /// Where it was divided and that is known: which parts went to which of `successors`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub areas: Vec<AreaShare>,
}

/// The parts of a divided body that one successor took over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AreaShare {
    /// The successor.
    pub to: MunicipalityCode,
    /// The 大字 or 町, without the word 大字 in front: `本栖`.
    pub names: Vec<String>,
    /// Everything that no share of the entry names.
    pub rest: bool,
}

impl MunicipalityEntry {
    /// The one successor that took over a 大字 or 町, written with or without the word 大字 or 字 in front. `None` if
    /// the shares do not say, or say it of several: part of a name is never enough.
    pub fn successor_of(&self, area: &str) -> Option<&MunicipalityCode> {
        let area = area.trim();
        let area = ["大字", "字"].iter().find_map(|word| area.strip_prefix(word)).unwrap_or(area).trim();
        let to = |holds: &dyn Fn(&AreaShare) -> bool| -> BTreeSet<&MunicipalityCode> {
            self.areas.iter().filter(|share| holds(share)).map(|share| &share.to).collect()
        };
        let mut found = to(&|share| share.names.iter().any(|name| name == area));
        if found.is_empty() && !area.is_empty() {
            found = to(&|share| share.rest);
        }
        if found.len() == 1 { found.pop_first() } else { None }
    }
}

/// All bodies that are known, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// By code, then by time.
    entries: Vec<MunicipalityEntry>,
    by_code: BTreeMap<MunicipalityCode, Range<usize>>,
}

/// Who is in charge today of what a code meant. Succession is not a function, so there is no "first match".
///
/// `hops` are the codes that were succeeded to on the way, in order of time; a code that a new body took over counts
/// again, and folding a ward into its city is no hop. `outside_validity` says that the code was not in use on the day
/// it is said to be of: worth a warning, but it tells what is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// Several bodies took over parts: 大字 or a person must tell which.
    Ambiguous {
        /// Their codes, in order.
        candidates: Vec<MunicipalityCode>,
        /// The codes on the way.
        hops: Vec<MunicipalityCode>,
        /// The code was not in use on that day.
        outside_validity: bool,
    },
    /// The code is in use, or its city is where wards were folded.
    Current {
        /// The code asked for, or that of its city.
        code: MunicipalityCode,
        /// The name today, which may be another than when the code was written.
        name: String,
        /// The codes on the way, where the code itself was taken over or its wards were divided.
        hops: Vec<MunicipalityCode>,
        /// The code was not in use on that day.
        outside_validity: bool,
    },
    /// One other body took it over.
    Moved {
        /// Its code.
        to: MunicipalityCode,
        /// Its name.
        name: String,
        /// The codes on the way, the last of which is `to` unless a ward was folded.
        hops: Vec<MunicipalityCode>,
        /// The code was not in use on that day.
        outside_validity: bool,
    },
    /// Never heard of, or no municipality: prefectures have codes and take no deliveries.
    Unknown,
}

impl Resolution {
    /// The one body in charge, if there is one.
    pub fn code(&self) -> Option<&MunicipalityCode> {
        match self {
            Self::Current { code, .. } | Self::Moved { to: code, .. } => Some(code),
            Self::Ambiguous { .. } | Self::Unknown => None,
        }
    }

    /// The codes that were succeeded to on the way, in order of time.
    pub fn hops(&self) -> &[MunicipalityCode] {
        match self {
            Self::Ambiguous { hops, .. } | Self::Current { hops, .. } | Self::Moved { hops, .. } => hops,
            Self::Unknown => &[],
        }
    }

    /// True if the code was not in use on the day it is said to be of.
    pub fn is_outside_validity(&self) -> bool {
        match self {
            Self::Ambiguous { outside_validity, .. }
            | Self::Current { outside_validity, .. }
            | Self::Moved { outside_validity, .. } => *outside_validity,
            Self::Unknown => false,
        }
    }
}

impl History {
    /// Checks the entries against each other and gives back all faults at once. What a chain could break on is a
    /// fault here, so that [`History::resolve`] never meets it: a delivery must not fall into a hole of the table.
    pub fn parse(entries: Vec<MunicipalityEntry>) -> Result<Self, Vec<Bilingual>> {
        let mut entries = entries;
        entries.sort_by(|a, b| (&a.code, a.from, end(a)).cmp(&(&b.code, b.from, end(b))));
        let mut by_code: BTreeMap<MunicipalityCode, Range<usize>> = BTreeMap::new();
        for (at, entry) in entries.iter().enumerate() {
            by_code.entry(entry.code.clone()).or_insert(at..at).end = at + 1;
        }
        let history = Self { entries, by_code };
        let mut faults = Vec::new();
        for (at, entry) in history.entries.iter().enumerate() {
            history.check(at, entry, &mut faults);
        }
        for pair in history.entries.windows(2) {
            if let [earlier, later] = pair
                && earlier.code == later.code
                && later.from.is_none_or(|first| first <= end(earlier))
            {
                faults.push(fault(later, "同じ団体コードの期間が重なっています", "overlaps another entry of its code"));
            }
        }
        if faults.is_empty() { Ok(history) } else { Err(faults) }
    }

    /// All entries, by code and then by time.
    pub fn entries(&self) -> &[MunicipalityEntry] {
        &self.entries
    }

    /// The entries of one code, by time.
    pub fn of_code(&self, code: &MunicipalityCode) -> &[MunicipalityEntry] {
        self.by_code.get(code).and_then(|range| self.entries.get(range.clone())).unwrap_or_default()
    }

    /// Who is in charge on `today` of what `code` meant on `as_of`. A ward stays a ward here; see
    /// [`History::resolve_city`].
    pub fn resolve(&self, code: &MunicipalityCode, as_of: Date, today: Date) -> Resolution {
        self.judge(code, as_of, Walk { horizon: today.max(as_of), ..Walk::default() })
    }

    /// The same, with wards folded into their cities **before** it is judged whether the answer is ambiguous: a ward
    /// that was divided inside one city is not.
    pub fn resolve_city(&self, code: &MunicipalityCode, as_of: Date, today: Date) -> Resolution {
        self.judge(code, as_of, Walk { horizon: today.max(as_of), fold: true, ..Walk::default() })
    }

    /// Where a record goes that names `code` and is handed in on `on`: [`History::resolve_city`] with both days the
    /// same. Senders write the codes of today; one that writes an older code gets the successor and the flag.
    pub fn destination(&self, code: &MunicipalityCode, on: Date) -> Resolution {
        self.resolve_city(code, on, on)
    }

    /// [`History::resolve`] for one 大字 or 町 of the body: where a body was divided and the table knows which part went
    /// where, only that successor is followed. A name that the table does not know decides nothing.
    pub fn resolve_area(&self, code: &MunicipalityCode, area: &str, as_of: Date, today: Date) -> Resolution {
        self.judge(code, as_of, Walk { horizon: today.max(as_of), area: Some(area), ..Walk::default() })
    }

    /// [`History::resolve_city`] for one 大字 or 町, see [`History::resolve_area`].
    pub fn resolve_area_city(&self, code: &MunicipalityCode, area: &str, as_of: Date, today: Date) -> Resolution {
        self.judge(code, as_of, Walk { horizon: today.max(as_of), fold: true, area: Some(area), ..Walk::default() })
    }

    fn judge(&self, code: &MunicipalityCode, as_of: Date, mut walk: Walk<'_>) -> Resolution {
        let fold = walk.fold;
        let meant = self.meant(code, as_of).filter(|_| code.is_municipality());
        let Some((start, outside_validity)) = meant else { return Resolution::Unknown };
        self.follow(start, &mut walk);

        let hops = walk.hops;
        let mut found = walk.arrived.into_iter();
        match (found.next(), found.next()) {
            (None, _) => Resolution::Unknown,
            (Some((to, name)), None) => {
                let city = self.entries.get(start).and_then(|entry| entry.folds_to.as_ref());
                if to == *code || (fold && city == Some(&to)) {
                    Resolution::Current { code: to, name, hops, outside_validity }
                } else {
                    Resolution::Moved { to, name, hops, outside_validity }
                }
            }
            (Some((first, _)), Some((second, _))) => {
                let candidates = [first, second].into_iter().chain(found.map(|(code, _)| code)).collect();
                Resolution::Ambiguous { candidates, hops, outside_validity }
            }
        }
    }

    /// The entry that a code meant on a day, and whether it was outside its validity then: the last that had ended,
    /// or the first of all if none had begun.
    fn meant(&self, code: &MunicipalityCode, on: Date) -> Option<(usize, bool)> {
        let range = self.by_code.get(code)?;
        let of_code = || range.clone().zip(self.entries.get(range.clone()).unwrap_or_default());
        of_code()
            .find(|(_, entry)| holds(entry, on))
            .map(|(at, _)| (at, false))
            .or_else(|| of_code().rfind(|(_, entry)| end(entry) < on).map(|(at, _)| (at, true)))
            .or_else(|| of_code().next().map(|(at, _)| (at, true)))
    }

    /// Goes from an entry along all successions to the bodies that hold on the horizon. Each entry is visited once,
    /// and each step leads to the day after the last one, so time never runs back.
    fn follow(&self, start: usize, walk: &mut Walk<'_>) {
        let mut visited = BTreeSet::from([start]);
        let mut waiting = VecDeque::from([start]);
        while let Some(entry) = waiting.pop_front().and_then(|at| self.entries.get(at)) {
            let ended = end(entry) < walk.horizon;
            if ended && !entry.successors.is_empty() {
                let named = walk.area.and_then(|area| entry.successor_of(area));
                for successor in entry.successors.iter().filter(|one| named.is_none_or(|named| named == *one)) {
                    if let Some(next) = self.follower(successor, day_after(entry), &visited) {
                        visited.insert(next);
                        walk.hops.push(successor.clone());
                        waiting.push_back(next);
                    }
                }
            } else if let Some(city) = entry.folds_to.as_ref().filter(|_| walk.fold || ended) {
                if let Some((next, _)) = self.meant(city, walk.horizon)
                    && visited.insert(next)
                {
                    waiting.push_back(next);
                }
            } else if !ended {
                walk.arrived.insert(entry.code.clone(), entry.name.clone());
            }
        }
    }

    /// The entry of a code that begins or goes on on a day and was not visited. An empty one comes before the one
    /// that holds, for it was the first step of that day.
    fn follower(&self, code: &MunicipalityCode, on: Date, visited: &BTreeSet<usize>) -> Option<usize> {
        let range = self.by_code.get(code)?;
        range
            .clone()
            .zip(self.entries.get(range.clone())?)
            .find(|(at, entry)| !visited.contains(at) && (holds(entry, on) || is_empty_on(entry, on)))
            .map(|(at, _)| at)
    }

    fn check(&self, at: usize, entry: &MunicipalityEntry, faults: &mut Vec<Bilingual>) {
        let mut refuse = |ja: &str, en: &str| faults.push(fault(entry, ja, en));
        if let (Some(from), Some(_)) = (entry.from, entry.until)
            && day_after(entry) < from
        {
            refuse("終了日が開始日より前です", "ends before it begins");
        }
        match (entry.until, entry.successors.is_empty()) {
            (None, false) => refuse("終了日がないのに承継先があります", "has successors but no last day"),
            (Some(_), true) if entry.folds_to.is_none() => {
                refuse("終了日があるのに承継先がありません", "has a last day but no successor");
            }
            _ => {}
        }
        let this = BTreeSet::from([at]);
        for successor in &entry.successors {
            if !successor.is_municipality() {
                refuse("承継先が市区町村ではありません", "is succeeded by a code that is no municipality");
            } else if entry.until.is_some() && self.follower(successor, day_after(entry), &this).is_none() {
                refuse(
                    &format!("承継先 {successor} が翌日の表にありません"),
                    &format!("is succeeded by {successor}, which is not in the table for the day after"),
                );
            }
        }
        if entry.areas.iter().any(|share| !entry.successors.contains(&share.to)) {
            refuse(
                "大字の承継先が承継先の一覧にありません",
                "gives an area to a code that is not among its successors",
            );
        }
        if let Some(city) = &entry.folds_to {
            let folds_on = self.by_code.get(city).and_then(|range| self.entries.get(range.clone()));
            if !city.is_municipality() || *city == entry.code {
                refuse("区の属する市が市ではありません", "folds to a code that is no city");
            } else if folds_on.is_none_or(|cities| cities.iter().any(|city| city.folds_to.is_some())) {
                refuse(
                    &format!("区の属する市 {city} が表にないか、それ自体が区です"),
                    &format!("folds to {city}, which is not in the table or is a ward itself"),
                );
            }
        }
    }
}

/// One walk through the history.
#[derive(Default)]
struct Walk<'a> {
    horizon: Date,
    fold: bool,
    area: Option<&'a str>,
    hops: Vec<MunicipalityCode>,
    arrived: BTreeMap<MunicipalityCode, String>,
}

fn end(entry: &MunicipalityEntry) -> Date {
    entry.until.unwrap_or(Date::MAX)
}

fn day_after(entry: &MunicipalityEntry) -> Date {
    end(entry).tomorrow().unwrap_or(Date::MAX)
}

fn holds(entry: &MunicipalityEntry, on: Date) -> bool {
    entry.from.is_none_or(|first| first <= on) && on <= end(entry)
}

fn is_empty_on(entry: &MunicipalityEntry, on: Date) -> bool {
    entry.from == Some(on) && end(entry) < on
}

fn fault(entry: &MunicipalityEntry, ja: &str, en: &str) -> Bilingual {
    let (code, name) = (&entry.code, &entry.name);
    let from = entry.from.map_or_else(|| "–".to_owned(), |first| first.to_string());
    Bilingual::new(format!("{code} {name}（{from} から）: {ja}"), format!("{code} {name} (from {from}): {en}"))
}
