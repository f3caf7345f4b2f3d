//! Reads all files and checks them against each other. What could not be read is not held against what names it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tsunagi_core::id::{CodeTableName, KindName, LayoutId};
use tsunagi_core::kind::Kind;

use crate::code_list::CodeList;
use crate::code_table::CodeTable;
use crate::fault::{Faults, Place, TableFault};
use crate::kind_file::KindFile;
use crate::layout::Layout;
use crate::shrink::ShrinkTable;
use crate::source::Files;
use crate::tables::Tables;
use crate::{
    calendar_file, case_file, check, identifier_file, kind_file, layout_build, layout_file, municipality_file,
    policy_file, schedule_check, schedule_file, scheme_file,
};

pub(crate) fn load(files: &Files, mut faults: Faults) -> Result<Tables, Vec<TableFault>> {
    let faults_ref = &mut faults;
    files.report_strays(faults_ref);
    let kind_names: BTreeSet<KindName> = names(files, "kinds", ".toml", KindName::parse, faults_ref);
    let policy = policy_file::read(files.one(policy_file::FILE), &kind_names, faults_ref);
    let identifiers = match files.one(identifier_file::FILE) {
        Some(text) => identifier_file::read(text, faults_ref),
        None => {
            identifier_file::missing(faults_ref);
            None
        }
    };
    let code_lists = code_lists(files, faults_ref);
    let code_tables = code_tables(files, &code_lists, faults_ref);
    let calendar_names: BTreeSet<String> =
        files.within("calendars", ".toml").map(|(_, stem, _)| stem.to_owned()).collect();
    let calendars = files
        .within("calendars", ".toml")
        .filter_map(|(file, stem, text)| Some((stem.to_owned(), calendar_file::read(file, text, faults_ref)?)))
        .collect();
    let municipalities = municipality_file::read(files, faults_ref);
    let schedules = files
        .within("schedules", ".toml")
        .filter_map(|(file, stem, text)| Some((stem.to_owned(), schedule_file::read(file, text, faults_ref)?)))
        .collect();
    let schemes = scheme_file::read(files, faults_ref);
    let schedule_names: BTreeSet<String> =
        files.within("schedules", ".toml").map(|(_, stem, _)| stem.to_owned()).collect();

    let known = check::Known {
        classes: policy.as_ref().map(|policy| policy.class.iter().map(|class| &class.name).collect()),
        systems: identifiers.as_ref().map(|file| file.systems.as_slice()),
        code_lists: &code_lists,
        calendars: &calendar_names,
        schedules: schedule_check::Known { schedules: &schedules, names: &schedule_names, code_lists: &code_lists },
    };
    let kinds = kinds(files, &known, faults_ref);
    let shrinks: BTreeMap<String, Arc<ShrinkTable>> = files
        .within("characters", ".csv")
        .map(|(file, stem, text)| (stem.to_owned(), Arc::new(ShrinkTable::read(file, stem, text, faults_ref))))
        .collect();
    let oid_forms = identifiers.as_ref().map(|file| file.oid_forms.as_slice()).unwrap_or_default();
    let names =
        layout_build::Names { code_lists: &code_lists, code_tables: &code_tables, oid_forms, shrinks: &shrinks };
    let layouts = layouts(files, &kinds, &kind_names, &names, faults_ref);
    let cases = cases(files, &kinds, &layouts, faults_ref);

    faults.finish()?;
    // Without faults every part could be read.
    let (Some(policy), Some(identifiers)) = (policy, identifiers) else { return Err(Vec::new()) };
    Ok(Tables {
        kinds,
        layouts,
        policy,
        municipalities,
        systems: identifiers.systems,
        oid_forms: identifiers.oid_forms,
        calendars,
        schedules,
        schemes,
        code_lists,
        code_tables,
        cases,
    })
}

fn kinds(files: &Files, known: &check::Known<'_>, faults: &mut Faults) -> BTreeMap<KindName, Kind> {
    let mut kinds = BTreeMap::new();
    for (file, stem, text) in files.within("kinds", ".toml") {
        if let Some(raw) = kind_file::read(file, stem, text, faults) {
            check::kind(&raw, known, faults);
            let KindFile { kind, .. } = raw;
            kinds.insert(kind.name.clone(), kind);
        }
    }
    kinds
}

fn layouts(
    files: &Files,
    kinds: &BTreeMap<KindName, Kind>,
    kind_names: &BTreeSet<KindName>,
    names: &layout_build::Names<'_>,
    faults: &mut Faults,
) -> BTreeMap<LayoutId, Layout> {
    let mut layouts = BTreeMap::new();
    for (file, stem, text) in files.within("tables", ".toml") {
        let Some(id) = layout_id(file, stem, faults) else { continue };
        let Some(raw) = layout_file::read(file, text, faults) else { continue };
        let Some(kind) = kinds.get(&raw.head.kind) else {
            let name = &raw.head.kind;
            if !kind_names.contains(name) {
                let place = Place::whole(file).key("kind");
                faults.say(&place, format!("種別 {name} はありません"), format!("there is no kind {name}"));
            }
            continue;
        };
        if let Some(layout) = layout_build::build(file, id.clone(), raw, kind, names, faults) {
            layouts.insert(id, layout);
        }
    }
    layouts
}

fn layout_id(file: &str, stem: &str, faults: &mut Faults) -> Option<LayoutId> {
    let id = LayoutId::parse(stem).ok().filter(|_| stem.matches('/').count() == 1);
    if id.is_none() {
        faults.say(
            &Place::whole(file),
            "場所は tables/形式/対応表名.toml です",
            "belongs at tables/FORMAT/LAYOUT.toml",
        );
    }
    id
}

fn cases(
    files: &Files,
    kinds: &BTreeMap<KindName, Kind>,
    layouts: &BTreeMap<LayoutId, Layout>,
    faults: &mut Faults,
) -> Vec<crate::case::Case> {
    let ids: BTreeSet<LayoutId> =
        files.within("tables", ".toml").filter_map(|(_, stem, _)| LayoutId::parse(stem).ok()).collect();
    let kinds: BTreeMap<LayoutId, &Kind> =
        layouts.values().filter_map(|layout| Some((layout.id.clone(), kinds.get(&layout.kind)?))).collect();
    let known = case_file::Known { layouts: &ids, kinds: &kinds };
    let read = |(file, stem, text)| case_file::read(file, stem, text, &known, faults);
    files.within("cases", ".toml").flat_map(read).collect()
}

fn code_lists(files: &Files, faults: &mut Faults) -> BTreeMap<CodeTableName, Arc<CodeList>> {
    let mut lists = BTreeMap::new();
    for (file, stem, text) in files.within("codes", ".csv").filter(|(_, stem, _)| !stem.contains(BETWEEN)) {
        if let Some(name) = name(file, stem, CodeTableName::parse, faults) {
            lists.insert(name.clone(), Arc::new(CodeList::read(file, name, text, faults)));
        }
    }
    lists
}

fn code_tables(
    files: &Files,
    lists: &BTreeMap<CodeTableName, Arc<CodeList>>,
    faults: &mut Faults,
) -> BTreeMap<CodeTableName, Arc<CodeTable>> {
    let mut tables = BTreeMap::new();
    for (file, stem, text) in files.within("codes", ".csv") {
        let Some((_, target)) = stem.split_once(BETWEEN) else { continue };
        let own = name(file, stem, CodeTableName::parse, faults);
        let target = name(file, target, CodeTableName::parse, faults);
        let (Some(own), Some(target)) = (own, target) else { continue };
        let table = CodeTable::parse(file, own.clone(), target.clone(), text, faults);
        match lists.get(&target) {
            Some(list) => table.check_targets(file, |code| list.may_have(code), faults),
            None => faults.say(
                &Place::whole(file),
                format!("codes/{target}.csv はありません"),
                format!("there is no codes/{target}.csv"),
            ),
        }
        tables.insert(own, Arc::new(table));
    }
    tables
}

/// The names that files of a folder claim, whether or not the files can be read.
fn names<T: Ord, E>(
    files: &Files,
    folder: &'static str,
    ending: &'static str,
    parse: impl Fn(&str) -> Result<T, E>,
    faults: &mut Faults,
) -> BTreeSet<T> {
    files.within(folder, ending).filter_map(|(file, stem, _)| name(file, stem, &parse, faults)).collect()
}

fn name<T, E>(file: &str, text: &str, parse: impl Fn(&str) -> Result<T, E>, faults: &mut Faults) -> Option<T> {
    let name = parse(text).ok();
    if name.is_none() {
        faults.say(
            &Place::whole(file),
            "ファイル名は半角小文字・数字・- _ . です",
            "a file name is made of a-z 0-9 - _ .",
        );
    }
    name
}

/// Between the two code systems in the name of a code table.
const BETWEEN: &str = "__";

#[cfg(test)]
mod tests;
