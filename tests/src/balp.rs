//! IHE BALP: whether an AuditEvent is what the profile it claims asks for. The profiles are data, in `balp.toml`.

use std::sync::OnceLock;

use serde_json::Value;

const PROFILES: &str = include_str!("balp.toml");

/// Before the name of a profile.
const CANONICAL: &str = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.";

/// The names of the profiles that there are rules for.
pub fn profile_names() -> Vec<String> {
    rules()["profile"].as_object().expect("profiles").keys().cloned().collect()
}

/// The name of the profile that an AuditEvent claims, if it claims one.
pub fn profile_of(event: &Value) -> Option<&str> {
    event["meta"]["profile"][0].as_str()?.strip_prefix(CANONICAL)
}

/// Fails on any AuditEvent of an answer that is not what it claims to be.
pub fn balp_oracle(bytes: &[u8]) {
    fn walk(value: &Value) {
        match value {
            Value::Object(members) => {
                if members.get("resourceType").is_some_and(|name| name == "AuditEvent") {
                    let faults = faults_of(value);
                    assert!(faults.is_empty(), "{faults:?}: {value:#}");
                }
                members.values().for_each(walk);
            }
            Value::Array(list) => list.iter().for_each(walk),
            _ => {}
        }
    }
    walk(&serde_json::from_slice(bytes).expect("FHIR JSON"));
}

/// What an AuditEvent lacks of its profile, or has too much. One without a profile is not looked at.
pub fn faults_of(event: &Value) -> Vec<String> {
    let Some(name) = profile_of(event) else { return Vec::new() };
    let Some(profile) = rules()["profile"].get(name) else { return vec![format!("no profile {name}")] };
    let mut faults = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            faults.push(format!("{name}: {what}"));
        }
    };
    expect(event["meta"]["profile"].as_array().is_some_and(|list| list.len() == 1), "one profile");
    expect(has(&event["type"], text(&profile["type"])), "type");
    let subtypes = list(&event["subtype"]);
    let allowed: Vec<&str> = list(&profile["subtype"]).iter().map(text).collect();
    let fitting = subtypes.iter().filter(|one| allowed.iter().any(|code| has(one, code))).count();
    expect(fitting == 1, "subtype");
    let is_closed = profile["only_these_subtypes"] == true;
    expect(!is_closed || fitting == subtypes.len(), "another subtype");
    expect(event["action"] == profile["action"], "action");
    expect(profile.get("outcome").is_none_or(|outcome| event["outcome"] == *outcome), "outcome");
    expect(event["outcome"].is_string() && event["recorded"].is_string(), "outcome and recorded");
    expect(event.get("modifierExtension").is_none(), "modifierExtension");
    for (member, slices, least) in [("agent", "agent", "agents"), ("entity", "entity", "entities")] {
        let items = list(&event[member]);
        expect(items.len() as u64 >= profile[least].as_u64().expect("a number"), member);
        let mut in_slices = 0;
        for slice in list(&profile[slices]).iter().map(text) {
            let (count, wrong) = slice_of(event, items, slice);
            in_slices += count;
            wrong.iter().for_each(|what| expect(false, &format!("{member} {slice}: {what}")));
        }
        let is_closed = member == "entity" && profile["only_these_entities"] == true;
        expect(!is_closed || in_slices == items.len(), "another entity");
    }
    faults
}

/// How many items are of a slice, and what is wrong with them.
fn slice_of(event: &Value, items: &[Value], name: &str) -> (usize, Vec<String>) {
    let rule = &rules()["slice"][name];
    let is_in = |item: &&Value| list(&rule["type"]).iter().any(|code| has(&item["type"], text(code)));
    let found: Vec<&Value> = items.iter().filter(is_in).collect();
    let mut wrong = Vec::new();
    let (least, most) = text_or(&rule["count"], "1..1").split_once("..").expect("a count");
    let most = if most == "*" { usize::MAX } else { most.parse().expect("a number") };
    if found.len() < least.parse().expect("a number") || found.len() > most {
        wrong.push(format!("there are {}", found.len()));
    }
    for item in &found {
        for member in list(&rule["has"]).iter().map(text) {
            let value = item.pointer(&format!("/{member}"));
            if value
                .is_none_or(|value| value.is_null() || *value == "" || value.as_object().is_some_and(|o| o.is_empty()))
            {
                wrong.push(format!("no {member}"));
            }
        }
        for member in list(&rule["has_not"]).iter().map(text) {
            if item.get(member).is_some() {
                wrong.push(format!("{member} is there"));
            }
        }
        let roles = list(&rule["role"]);
        if !roles.is_empty() && !roles.iter().any(|code| has(&item["role"], text(code))) {
            wrong.push("role".to_owned());
        }
        if rule["requestor"].is_boolean() && item["requestor"] != rule["requestor"] {
            wrong.push("requestor".to_owned());
        }
        if rule["is_source"] == true && item["who"] != event["source"]["observer"] {
            wrong.push("it is not the source of the event".to_owned());
        }
        if let Some(target) = rule["refers_to"].as_str() {
            let what = &item["what"];
            let is_literal = what["reference"].as_str().is_some_and(|to| to.starts_with(&format!("{target}/")));
            if !is_literal && what["type"] != target {
                wrong.push(format!("it is no {target}"));
            }
        }
    }
    (found.len(), wrong)
}

/// True if a Coding, or one of a CodeableConcept, is this code: `SYSTEM CODE`.
fn has(value: &Value, code: &str) -> bool {
    let (system, code) = code.split_once(' ').expect("a system and a code");
    let system = &rules()["system"][system];
    assert!(system.is_string(), "no system for {code}");
    let is = |coding: &Value| coding["system"] == *system && coding["code"] == code;
    is(value) || list(&value["coding"]).iter().any(is)
}

fn rules() -> &'static Value {
    static RULES: OnceLock<Value> = OnceLock::new();
    RULES.get_or_init(|| toml::from_str(PROFILES).expect("balp.toml"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn text_or<'v>(value: &'v Value, otherwise: &'v str) -> &'v str {
    value.as_str().unwrap_or(otherwise)
}
