//! `cases/<format>__<layout>.toml` as written.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::Deserialize;
use tsunagi_core::id::{FieldKey, LayoutId};
use tsunagi_core::kind::Kind;

use crate::case::{Case, Direction, Expected, Given};
use crate::fault::{Faults, Place};
use crate::json;
use crate::layout_file::Plain;
use crate::toml_file::{Entry, SyntaxVersion, TomlFile};

/// What cases name.
pub(crate) struct Known<'a> {
    /// Every layout that has a file, also one with faults of its own.
    pub(crate) layouts: &'a BTreeSet<LayoutId>,
    /// The kind of each layout that could be read.
    pub(crate) kinds: &'a BTreeMap<LayoutId, &'a Kind>,
}

pub(crate) fn read(file: &str, stem: &str, text: &str, known: &Known<'_>, faults: &mut Faults) -> Vec<Case> {
    let Some(mut toml) = TomlFile::parse(file, text, faults) else { return Vec::new() };
    let entries: Vec<Entry<RawCase>> = toml.list("case", faults);
    let Some(head) = toml.head::<Head>(faults) else { return Vec::new() };
    let at = Place::whole(file).key("layout");
    let layout = head.layout;
    if layout.as_str().replace('/', "__") != stem {
        faults.say(&at, "ファイル名と対応表名が一致しません", "the name of the layout is not the name of the file");
    }
    if !known.layouts.contains(&layout) {
        faults.say(&at, format!("対応表 {layout} はありません"), format!("there is no layout {layout}"));
        return Vec::new();
    }
    let kind = known.kinds.get(&layout).copied();
    let mut names = BTreeSet::new();
    let mut cases = Vec::new();
    for entry in entries {
        let place = entry.place(file);
        if !names.insert(entry.value.name.clone()) {
            faults.say(&place.key("name"), "同じ名前の検証例があります", "a case of this name is here already");
        }
        cases.extend(case(file, &layout, entry.value, kind, &place, faults));
    }
    cases
}

fn case(
    file: &str,
    layout: &LayoutId,
    raw: RawCase,
    kind: Option<&Kind>,
    place: &Place<'_>,
    faults: &mut Faults,
) -> Option<Case> {
    if raw.given.is_none() && raw.given_json.is_none() && (raw.direction != Direction::Write || raw.refused.is_empty())
    {
        faults.say(&place.key("given"), "given か given_json が必要です", "given or given_json is needed");
    }
    if raw.then.is_empty() == raw.refused.is_empty() && raw.direction != Direction::Write {
        faults.say(&place.key("then"), "then か refused のどちらか一方が必要です", "either then or refused is needed");
    }
    for key in raw.then.keys() {
        if kind.is_some_and(|kind| kind.field(key).is_none()) {
            faults.say(&place.key("then"), format!("項目 {key} はありません"), format!("there is no field {key}"));
        }
    }
    let given = match (raw.given, raw.given_json) {
        (Some(_), Some(_)) => {
            faults.say(
                &place.key("given"),
                "given と given_json は併用できません",
                "given and given_json exclude each other",
            );
            return None;
        }
        (Some(cells), None) => {
            Some(Given::Cells(cells.into_iter().map(|(column, cell)| (column, cell.text())).collect()))
        }
        (None, Some(text)) => match json::parse(&text) {
            Ok(root) => Some(Given::Tree(root)),
            Err(message) => {
                let place = place.key("given_json");
                faults.say(&place, format!("JSON として読めません: {message}"), format!("not JSON: {message}"));
                return None;
            }
        },
        (None, None) => None,
    };
    Some(Case {
        file: file.to_owned(),
        name: raw.name,
        layout: layout.clone(),
        direction: raw.direction,
        as_of: raw.as_of,
        given,
        then: raw.then.into_iter().map(|(key, values)| (key, values.texts())).collect(),
        refused: raw.refused,
        warned: raw.warned,
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    #[serde(rename = "version")]
    _version: SyntaxVersion,
    layout: LayoutId,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: String,
    direction: Direction,
    as_of: Date,
    given: Option<BTreeMap<String, Plain>>,
    given_json: Option<String>,
    #[serde(default)]
    then: BTreeMap<FieldKey, OneOrMany>,
    #[serde(default)]
    refused: Vec<Expected>,
    warned: Option<Vec<Expected>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a value or a list of values")]
enum OneOrMany {
    Many(Vec<Plain>),
    One(Plain),
}

impl OneOrMany {
    fn texts(&self) -> Vec<String> {
        match self {
            Self::Many(values) => values.iter().map(Plain::text).collect(),
            Self::One(value) => vec![value.text()],
        }
    }
}
