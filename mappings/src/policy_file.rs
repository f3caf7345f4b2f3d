//! `policy/default.toml`: the policy of the hub.

use std::collections::BTreeSet;

use serde::Deserialize;
use tsunagi_core::id::KindName;
use tsunagi_core::policy::{ClassRule, Flow, FlowRule, Policy, PolicyRule};

use crate::fault::{Faults, Place};
use crate::toml_file::{Entry, TomlFile};

pub(crate) const FILE: &str = "policy/default.toml";

/// Reads the policy and checks what it names. `None` if a part could not be read.
pub(crate) fn read(text: Option<&str>, kinds: &BTreeSet<KindName>, faults: &mut Faults) -> Option<Policy> {
    let Some(text) = text else {
        faults.say(&Place::whole(FILE), "ファイルがありません", "the file is missing");
        return None;
    };
    let mut toml = TomlFile::parse(FILE, text, faults)?;
    let before = faults.count();
    let classes: Vec<Entry<ClassRule>> = toml.list("class", faults);
    let classes_are_whole = faults.count() == before;
    let flows: Vec<Entry<FlowRule>> = toml.list("flow", faults);
    let flows_are_whole = faults.count() == before;
    let rules: Vec<Entry<PolicyRule>> = toml.list("rule", faults);
    let head: Head = toml.head(faults)?;
    if classes_are_whole {
        check_classes(&classes, &rules, faults);
    }
    if flows_are_whole {
        check_flows(&flows, faults);
    }
    check_rules(&rules, kinds, faults);
    classes_are_whole.then(|| Policy {
        version: head.version,
        attested_consent_hours: head.attested_consent_hours,
        proxy_ends_at_age: head.proxy_ends_at_age,
        class: values(classes),
        flow: values(flows),
        rule: values(rules),
    })
}

fn check_classes(classes: &[Entry<ClassRule>], rules: &[Entry<PolicyRule>], faults: &mut Faults) {
    let mut names = BTreeSet::new();
    for class in classes {
        let name = &class.value.name;
        if !names.insert(name) {
            let place = class.place(FILE).key("name");
            faults.say(&place, format!("{name} が重複しています"), format!("{name} is here twice"));
        }
    }
    for rule in rules {
        for class in rule.value.classes.iter().filter(|class| !names.contains(class)) {
            let place = rule.place(FILE).key("classes");
            faults.say(&place, format!("開示区分 {class} はありません"), format!("there is no class {class}"));
        }
    }
}

/// A flow without a line would be decided by defaults that nobody wrote down.
fn check_flows(flows: &[Entry<FlowRule>], faults: &mut Faults) {
    for flow in Flow::ALL {
        let lines: Vec<_> = flows.iter().filter(|entry| entry.value.flow == flow).collect();
        let words = format!("{flow:?}");
        match lines.as_slice() {
            [] => {
                let place = Place::whole(FILE).key("flow");
                faults.say(&place, format!("{words} の行がありません"), format!("{words} has no line"));
            }
            [_] => {}
            [.., last] => {
                let place = last.place(FILE).key("flow");
                faults.say(&place, format!("{words} が重複しています"), format!("{words} is here twice"));
            }
        }
    }
}

fn check_rules(rules: &[Entry<PolicyRule>], kinds: &BTreeSet<KindName>, faults: &mut Faults) {
    let mut ids = BTreeSet::new();
    for rule in rules {
        let place = rule.place(FILE);
        let id = &rule.value.id;
        if !ids.insert(id) {
            faults.say(&place.key("id"), format!("{id} が重複しています"), format!("{id} is here twice"));
        }
        for kind in rule.value.kinds.iter().filter(|kind| !kinds.contains(kind)) {
            faults.say(&place.key("kinds"), format!("種別 {kind} はありません"), format!("there is no kind {kind}"));
        }
    }
}

fn values<T>(entries: Vec<Entry<T>>) -> Vec<T> {
    entries.into_iter().map(|entry| entry.value).collect()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    version: String,
    attested_consent_hours: u16,
    proxy_ends_at_age: u8,
}
