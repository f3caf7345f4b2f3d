//! What a citizen permits and denies, in FHIR and in the app's own form, and which of two statements holds.

use http::Method;
use serde_json::{Value, json};
use tsunagi_tests::papers::{Person, eligibility, entitlement};
use tsunagi_tests::{ISSUER, Partner, Reply, TestGateway};

const REGISTER: &str = "/pmh/v1/medicalSubsidy/registrationTasks";
const ELIGIBILITY: &str = "/fhir/CoverageEligibilityRequest/$submit";
const PURPOSE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

/// A hub, two hospitals that may ask it, and a child whose mother has signed in to an app.
struct Town {
    hub: TestGateway,
    app: Partner,
    hospital: Partner,
    child: Person,
}

impl Town {
    async fn new() -> Self {
        let hub = TestGateway::start().await;
        let city = hub.partner("city-oita");
        let child = Person::number(1, tsunagi_gateway::clock::Clock::system().today());
        city.post(REGISTER, &json!([entitlement(&child)])).await.expect(202);
        let link = json!({
            "system": "recipient", "value": child.joined(), "issuer": ISSUER, "sub": "mother", "relationship": "proxy",
        });
        city.post("/v1/links", &link).await.expect(201);
        Self { app: hub.partner("app-techo"), hospital: hub.partner("hospital-oita"), hub, child }
    }

    async fn send(&self, method: Method, path: &str, media_type: &str, body: Value) -> Reply {
        let auth = self.hub.bearer("mother", "app-techo");
        let headers = [("authorization", auth.as_str()), ("content-type", media_type)];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.app.send(method, path, &headers, body).await
    }

    async fn fhir(&self, provision: Value) -> Reply {
        let consent = json!({ "resourceType": "Consent", "status": "active", "provision": provision });
        self.send(Method::POST, "/fhir/Consent", "application/fhir+json", consent).await
    }

    async fn own(&self, directive: Value) -> Reply {
        self.send(Method::POST, "/app/v1/consents", "application/json", directive).await
    }

    async fn listed(&self, query: &str) -> Vec<Value> {
        let path = format!("/fhir/Consent{query}");
        let bundle = self.send(Method::GET, &path, "application/fhir+json", Value::Null).await.expect(200).json();
        let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
        entries.into_iter().map(|entry| entry["resource"].clone()).collect()
    }

    async fn asked(&self) -> u16 {
        self.hospital.post(ELIGIBILITY, &eligibility(&self.child.joined(), None)).await.status.as_u16()
    }
}

fn to(system: &str, value: &str) -> Value {
    json!([{ "reference": { "identifier": { "system": format!("urn:tsunagi:{system}"), "value": value } } }])
}

fn kind(name: &str) -> Value {
    json!([{ "system": "urn:tsunagi:kind", "code": name }])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_in_fhir_holds_comes_back_and_may_be_sent_again() {
    let town = Town::new().await;
    assert_eq!(town.asked().await, 404, "nothing was said yet");
    let until = town.hub.clock.now() + jiff::SignedDuration::from_hours(1);
    let said = json!({
        "type": "permit", "actor": to("participant", "hospital-oita"), "class": kind("subsidy_entitlement"),
        "purpose": [{ "system": PURPOSE, "code": "HPAYMT" }, { "system": PURPOSE, "code": "TREAT" }],
        "period": { "end": until },
    });
    let reply = town.fhir(said.clone()).await.expect(201);
    let id = reply.header("tsunagi-directive").to_owned();
    assert_eq!(town.asked().await, 200);
    let [back] = &town.listed("").await[..] else { panic!("one directive") };
    assert_eq!((&back["id"], &back["status"]), (&json!(id), &json!("active")));
    for member in ["type", "class", "purpose"] {
        assert_eq!(back["provision"][member], said[member], "{member}");
    }
    assert_eq!(back["provision"]["actor"][0]["reference"], said["actor"][0]["reference"]);
    let ends: jiff::Timestamp = back["provision"]["period"]["end"].as_str().unwrap().parse().unwrap();
    assert_eq!(ends, until);
    // What was read is understood as it is, for this child and for nobody else.
    let subject = back["patient"]["identifier"]["value"].as_str().unwrap();
    town.send(Method::POST, "/fhir/Consent", "application/fhir+json", back.clone()).await.expect(201);
    assert_eq!(town.listed(&format!("?patient.identifier=urn:tsunagi:subject|{subject}")).await.len(), 2);
    let mut of_another = back.clone();
    let last = if subject.ends_with('0') { '1' } else { '0' };
    of_another["patient"]["identifier"]["value"] = json!(format!("{}{last}", &subject[..subject.len() - 1]));
    let reply = town.send(Method::POST, "/fhir/Consent", "application/fhir+json", of_another).await.expect(404);
    assert_eq!(reply.code(), "not_available");
    // Withdrawn, both end at once.
    for one in town.listed("").await {
        let path = format!("/app/v1/consents/{}", one["id"].as_str().unwrap());
        town.send(Method::DELETE, &path, "application/json", Value::Null).await.expect(200);
    }
    assert_eq!(town.asked().await, 404);
    assert!(town.listed("").await.iter().all(|one| one["status"] == "inactive"));
    // And at the end of its time.
    town.fhir(said).await.expect(201);
    assert_eq!(town.asked().await, 200);
    town.hub.clock.shift(3601);
    assert_eq!(town.asked().await, 404);
    town.hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_narrower_of_two_statements_holds_and_in_doubt_the_denial() {
    let town = Town::new().await;
    town.own(json!({ "effect": "permit", "recipient": "any" })).await.expect(201);
    assert_eq!(town.asked().await, 200);
    town.fhir(json!({ "type": "deny", "actor": to("role", "hospital") })).await.expect(201);
    assert_eq!(town.asked().await, 404, "no hospital: narrower than anybody");
    town.fhir(json!({ "type": "permit", "actor": to("participant", "hospital-oita") })).await.expect(201);
    assert_eq!(town.asked().await, 200, "this hospital: narrower than all of them");
    town.own(json!({ "effect": "deny", "recipient": { "participant": "hospital-oita" } })).await.expect(201);
    assert_eq!(town.asked().await, 404, "of two that are equally wide the denial holds");
    town.fhir(json!({
        "type": "permit", "actor": to("participant", "hospital-oita"), "class": kind("subsidy_entitlement"),
    }))
    .await
    .expect(201);
    assert_eq!(town.asked().await, 200);
    town.hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_begins_when_it_says() {
    let town = Town::new().await;
    let start = town.hub.clock.now() + jiff::SignedDuration::from_mins(10);
    town.own(json!({ "effect": "permit", "recipient": "any", "startsAt": start })).await.expect(201);
    assert_eq!(town.asked().await, 404);
    town.hub.clock.shift(601);
    assert_eq!(town.asked().await, 200);
    town.hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_in_a_consent_is_refused_and_nothing_is_kept() {
    let town = Town::new().await;
    let several = json!([to("role", "hospital")[0], to("role", "app")[0]]);
    let faults = [
        json!({ "type": "permit", "actor": several }),
        json!({ "type": "permit", "actor": to("role", "physician") }),
        json!({ "type": "permit", "actor": to("department", "hospital-oita") }),
        json!({ "type": "permit", "actor": to("participant", "hospital-nowhere") }),
        json!({ "type": "permit", "class": kind("no_such_kind") }),
        json!({ "type": "permit", "class": [{ "system": "urn:other", "code": "vaccination" }] }),
        json!({ "type": "permit", "provision": [{ "type": "deny" }] }),
        json!({ "type": "permit", "period": { "end": "2020-01-01T00:00:00Z" } }),
        json!({ "type": "maybe" }),
    ];
    for provision in faults {
        let reply = town.fhir(provision.clone()).await.expect(400);
        assert_eq!(reply.code(), "malformed", "{provision}");
    }
    assert!(town.listed("").await.is_empty());
    town.hub.finish().await;
}
