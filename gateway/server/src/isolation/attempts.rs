//! Every read path, and how each is tried. A path that the edge answers and that is not tried here fails a test.

use bytes::Bytes;
use http::Method;
use jiff::civil::Date;
use serde_json::json;
use tsunagi_core::id::KindName;
use tsunagi_core::policy::{Effect, Flow, Purpose};
use tsunagi_core::registry::{Mode, RegistryEntries, Role};
use tsunagi_mappings::Tables;

use super::Caller;
use super::canary::{Canary, PAYER, RECIPIENT, RECIPIENT_SYSTEM, consent};
use crate::clock::Clock;
use crate::gateway::StartFault;

/// What somebody should see of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// It is theirs: a test that did not see it could not see a leak either.
    Seen,
    /// It may be theirs; what the path tells need not name it.
    Either,
    /// It is not.
    Hidden,
}

/// One request.
pub(super) struct Attempt {
    /// The path as the edge's router spells it.
    pub(super) path: &'static str,
    /// The tenant whose thing is asked for by its id; none where the question fits both.
    pub(super) of: Option<usize>,
    pub(super) method: Method,
    pub(super) uri: String,
    pub(super) body: Bytes,
    /// The same for a thing that is not there: its answer must be the same as one about what must not be seen.
    pub(super) nothing: Option<String>,
    /// Who sees what of each side.
    pub(super) who: fn(&Caller, usize) -> Expected,
}

/// The paths whose answer must not show whether a thing is there.
pub(super) const PATHS: [&str; 15] = [
    "/fhir/{resource_type}",
    "/fhir/{resource_type}/{id}",
    "/fhir/Consent",
    "/fhir/ImmunizationRecommendation",
    "/fhir/AuditEvent",
    "/fhir/CoverageEligibilityRequest/$submit",
    "/pmh/v1/{domain}/registrationTasks/{id}",
    "/v1/mailbox",
    "/v1/requests",
    "/v1/exchanges/{id}",
    "/v1/exchanges/{id}?leaf",
    "/v1/exchanges/{id}/rejections",
    "/app/v1/records",
    "/app/v1/consents",
    "/app/v1/access-log",
];

/// All that one caller tries.
pub(super) fn attempts(canaries: &[Canary], clause: &Clause, clock: &Clock) -> Vec<Attempt> {
    let whose = format!("patient.identifier={RECIPIENT_SYSTEM}|{PAYER}:{RECIPIENT}");
    let get = |path, uri: String, who| Attempt {
        path,
        of: None,
        method: Method::GET,
        uri,
        body: Bytes::new(),
        nothing: None,
        who,
    };
    let mut all = vec![
        get("/fhir/{resource_type}", format!("/fhir/Immunization?{whose}"), reads),
        get("/fhir/{resource_type}", format!("/fhir/Coverage?{whose}"), maybe_hospital),
        // A hospital names whose it asks for, an app asks for its citizen's.
        get("/fhir/Consent", format!("/fhir/Consent?{whose}"), is_hospital),
        get("/fhir/Consent", "/fhir/Consent".to_owned(), is_app),
        get("/fhir/ImmunizationRecommendation", format!("/fhir/ImmunizationRecommendation?{whose}"), reads),
        get("/fhir/AuditEvent", "/fhir/AuditEvent?_count=200".to_owned(), reads),
        get("/fhir/AuditEvent", "/fhir/AuditEvent?outcome=4".to_owned(), anybody_either),
        get("/app/v1/records", "/app/v1/records".to_owned(), is_app),
        get("/app/v1/consents", "/app/v1/consents".to_owned(), is_app),
        get("/app/v1/access-log", "/app/v1/access-log".to_owned(), is_app),
        get("/v1/mailbox", "/v1/mailbox".to_owned(), is_city),
    ];
    let post = |path, uri: &str, body: serde_json::Value, who| Attempt {
        path,
        of: None,
        method: Method::POST,
        uri: uri.to_owned(),
        body: Bytes::from(body.to_string()),
        nothing: None,
        who,
    };
    let submit = "/fhir/CoverageEligibilityRequest/$submit";
    all.push(post(submit, submit, eligibility(clock), is_hospital));
    let asked = json!({
        "purpose": clause.purpose, "legalBasis": clause.basis, "kinds": [clause.kind],
        "tenants": ["self-test-a", "self-test-b"],
        "subject": { "system": "recipient", "value": format!("{PAYER}:{RECIPIENT}") },
    });
    // Where the policy has no clause nobody can be answered.
    let answered = if clause.basis.is_empty() { nobody } else { asks_others };
    all.push(post("/v1/requests", "/v1/requests", asked, answered));
    for (side, canary) in canaries.iter().enumerate() {
        let by_id = |path, uri: String, id: &str, who| Attempt {
            of: Some(side),
            nothing: Some(uri.replace(id, &unheard(id))),
            ..get(path, uri, who)
        };
        let one = "/fhir/{resource_type}/{id}";
        let (immunization, coverage) = (&canary.immunization, &canary.coverage);
        all.push(by_id(one, immunization.clone(), last(immunization), reads));
        all.push(by_id(one, coverage.clone(), last(coverage), is_hospital));
        let (registration, report) = (&canary.registration, &canary.report);
        let receipt = "/v1/exchanges/{id}";
        all.push(by_id(receipt, format!("/v1/exchanges/{registration}"), registration, is_city));
        all.push(by_id(receipt, format!("/v1/exchanges/{report}"), report, is_hospital));
        let uri = format!("/v1/exchanges/{registration}/rejections");
        all.push(by_id("/v1/exchanges/{id}/rejections", uri, registration, is_city));
        let uri = format!("/pmh/v1/medicalSubsidy/registrationTasks/{registration}");
        all.push(by_id("/pmh/v1/{domain}/registrationTasks/{id}", uri, registration, is_city));
        // A search says nothing by its status: whoever may not see a thing finds nothing by its id.
        for id in [last(immunization), registration, report] {
            all.push(get("/fhir/AuditEvent", format!("/fhir/AuditEvent?entity={id}"), anybody_either));
        }
        let (lookup, leaf) = &canary.lookup;
        let uri = format!("/v1/exchanges/{lookup}?leaf={leaf}");
        all.push(by_id("/v1/exchanges/{id}?leaf", uri, lookup, is_hospital));
    }
    all
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// An id of the same shape that nothing has.
fn unheard(id: &str) -> String {
    let (prefix, rest) = id.split_once('-').unwrap_or(("", id));
    format!("{prefix}-{}", "0".repeat(rest.len()))
}

/// On what a municipality may ask another.
pub(super) struct Clause {
    kind: KindName,
    purpose: Purpose,
    /// Empty if there is none.
    basis: String,
}

impl Clause {
    /// The first that the policy in force has for the kind that the municipalities of the test take.
    pub(super) fn of(tables: &Tables, entries: &RegistryEntries, today: Date) -> Result<Self, StartFault> {
        let taken = entries.channel.iter().find(|channel| channel.mode == Mode::Deliver);
        let kind = taken
            .ok_or_else(|| StartFault::Setting("nothing is delivered in the test's registry".to_owned()))?
            .kind
            .clone();
        let rule = tables.policy().rule.iter().find(|rule| {
            rule.flow == Flow::MunicipalityRequests
                && rule.effect == Effect::Statute
                && !rule.only_if_named
                && rule.kinds.contains(&kind)
                && rule.from.is_none_or(|first| first <= today)
                && rule.until.is_none_or(|last| today <= last)
        });
        let basis = rule.map(|rule| rule.clause.clone()).unwrap_or_default();
        let purpose = rule.and_then(|rule| rule.purposes.first()).copied().unwrap_or(Purpose::Pubhlth);
        Ok(Self { kind, purpose, basis })
    }
}

fn eligibility(clock: &Clock) -> serde_json::Value {
    let mut attested = consent(clock);
    if let Some(members) = attested.as_object_mut() {
        members.insert("id".to_owned(), json!("c"));
        members.insert("patient".to_owned(), json!({ "reference": "#p" }));
    }
    let patient = json!({
        "resourceType": "Patient", "id": "p",
        "identifier": [{ "system": RECIPIENT_SYSTEM, "value": format!("{PAYER}:{RECIPIENT}") }],
    });
    json!({
        "resourceType": "CoverageEligibilityRequest", "status": "active", "purpose": ["validation"],
        "contained": [patient, attested], "patient": { "reference": "#p" },
    })
}

fn only(holds: bool, then: Expected) -> Expected {
    if holds { then } else { Expected::Hidden }
}

fn is(caller: &Caller, role: Role, side: usize) -> bool {
    caller.role == Some(role) && caller.side == Some(side)
}

fn is_city(caller: &Caller, side: usize) -> Expected {
    only(is(caller, Role::Municipality, side), Expected::Seen)
}

fn is_hospital(caller: &Caller, side: usize) -> Expected {
    only(is(caller, Role::Hospital, side), Expected::Seen)
}

/// Entitlements are told at the desk; a search for them is the policy's affair.
fn maybe_hospital(caller: &Caller, side: usize) -> Expected {
    only(is(caller, Role::Hospital, side), Expected::Either)
}

fn is_app(caller: &Caller, side: usize) -> Expected {
    only(is(caller, Role::App, side), Expected::Seen)
}

/// Vaccinations are read by all three.
fn reads(caller: &Caller, side: usize) -> Expected {
    let all = [Role::App, Role::Hospital, Role::Municipality];
    only(all.into_iter().any(|role| is(caller, role, side)), Expected::Seen)
}

fn anybody_either(caller: &Caller, side: usize) -> Expected {
    only(caller.role.is_some() && caller.side == Some(side), Expected::Either)
}

/// The one whose channels lead to both. None of either leads to the other.
fn asks_others(caller: &Caller, _: usize) -> Expected {
    only(caller.asks_others, Expected::Seen)
}

fn nobody(_: &Caller, _: usize) -> Expected {
    Expected::Hidden
}

#[cfg(test)]
mod tests {
    use super::PATHS;

    /// Whoever adds a path from which something can be read adds how it is tried.
    #[test]
    fn every_read_path_of_the_edge_is_tried() {
        // Says what the hub serves, and nothing of anybody.
        const OF_NOBODY: [&str; 1] = ["/fhir/metadata"];
        // They answer with what is held, though they are posted.
        const POSTED: [&str; 2] = ["/fhir/CoverageEligibilityRequest/$submit", "/v1/requests"];
        let routes = include_str!("../edge/route.rs");
        let mut found = 0;
        for line in routes.lines().filter(|line| line.contains(".route(\"")) {
            let path = line.split('"').nth(1).unwrap();
            if !line.contains("get(") || OF_NOBODY.contains(&path) {
                continue;
            }
            found += 1;
            assert!(PATHS.contains(&path), "{path} is read, and no attempt is made on it");
        }
        assert!(found >= 10, "{found} routes were found");
        assert!(POSTED.iter().all(|path| PATHS.contains(path) && routes.contains(path)));
    }
}
