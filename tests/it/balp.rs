//! `GET /fhir/AuditEvent`: what each leaf becomes by IHE BALP, who reads what of it, and what nobody does. That each event
//! is what its profile asks for is checked by the harness, of every answer (`tests/src/balp.rs`).

mod interactions;
mod readers;
mod table;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tsunagi_tests::papers::Person;
use tsunagi_tests::{ISSUER, Partner, Reply, TestGateway, profile_of};

pub(crate) const REGISTER: &str = "/pmh/v1/medicalSubsidy/registrationTasks";
pub(crate) const ELIGIBILITY: &str = "/fhir/CoverageEligibilityRequest/$submit";

/// The events of an answer.
pub(crate) fn events(reply: &Reply) -> Vec<Value> {
    let bundle = reply.json();
    assert_eq!((&bundle["resourceType"], &bundle["type"]), (&json!("Bundle"), &json!("searchset")));
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    entries.into_iter().map(|mut entry| entry["resource"].take()).collect()
}

/// All pages of a search, newest first.
pub(crate) async fn all(partner: &Partner, query: &str) -> Vec<Value> {
    let mut path = format!("/fhir/AuditEvent?_count=200&{query}");
    let mut found = Vec::new();
    for _ in 0..100 {
        let reply = partner.get(&path).await.expect(200);
        found.extend(events(&reply));
        match next(&reply) {
            Some(next) => path = next,
            None => return found,
        }
    }
    panic!("it does not end");
}

pub(crate) fn next(reply: &Reply) -> Option<String> {
    let bundle = reply.json();
    let link = bundle["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next")?;
    Some(link["url"].as_str().unwrap().to_owned())
}

/// The index of the leaf that an event is made of, where that is told.
pub(crate) fn leaf(event: &Value) -> Option<(&str, usize)> {
    let (tenant, index) = event["meta"]["source"].as_str()?.strip_prefix("urn:tsunagi:leaf:")?.split_once('/')?;
    Some((tenant, index.parse().unwrap()))
}

/// The names of profiles, and `-` for a plain event, by exchange; the exchange is that of the leaf.
pub(crate) async fn by_exchange(hub: &TestGateway, events: &[Value]) -> BTreeMap<String, Vec<String>> {
    let mut logs = BTreeMap::new();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events {
        let (tenant, index) = leaf(event).expect("the reader is told the leaf");
        if !logs.contains_key(tenant) {
            logs.insert(tenant.to_owned(), hub.log(tenant).await);
        }
        let exchange = logs[tenant].events[index].exchange.as_ref().map(ToString::to_string).unwrap_or_default();
        found.entry(exchange).or_default().push(profile_of(event).unwrap_or("-").to_owned());
    }
    for names in found.values_mut() {
        names.sort();
    }
    found
}

/// The identifiers in `agent.who` or `entity.what` of an event.
pub(crate) fn named(event: &Value, list: &str, member: &str) -> Vec<String> {
    let items = event[list].as_array().into_iter().flatten();
    items.filter_map(|item| item[member]["identifier"]["value"].as_str()).map(str::to_owned).collect()
}

pub(crate) async fn link(city: &Partner, person: &Person, sub: &str) {
    let body = json!({
        "system": "recipient", "value": person.joined(), "issuer": ISSUER, "sub": sub, "relationship": "subject",
    });
    city.post("/v1/links", &body).await.expect(201);
}

/// A citizen's request through the app.
pub(crate) async fn as_citizen(hub: &TestGateway, sub: &str, method: http::Method, path: &str, body: Value) -> Reply {
    let bearer = hub.bearer(sub, "app-techo");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    hub.partner("app-techo").send(method, path, &headers, body).await
}
