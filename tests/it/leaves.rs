//! No answer without its leaf: what was told, and what was not, is in a log when the answer arrives.

use http::Method;
use jiff::SignedDuration;
use serde_json::json;
use tsunagi_tests::papers::{
    HOSPITAL_OITA, OITA, Person, RECIPIENT_SYSTEM, consent, consent_of, eligibility, entitlement, immunization,
};
use tsunagi_tests::{ISSUER, Reply, TestGateway};

const ELIGIBILITY: &str = "/fhir/CoverageEligibilityRequest/$submit";

/// A hub that knows one person.
async fn town() -> (TestGateway, Person) {
    let hub = TestGateway::start().await;
    let person = Person::number(1, hub.today());
    let path = "/pmh/v1/medicalSubsidy/registrationTasks";
    hub.partner("city-oita").post(path, &json!([entitlement(&person)])).await.expect(202);
    (hub, person)
}

fn nobody(person: &Person) -> Person {
    Person { recipient: "9999999".to_owned(), ..person.clone() }
}

fn search(resource_type: &str, person: &Person) -> String {
    format!("/fhir/{resource_type}?patient.identifier={RECIPIENT_SYSTEM}|{}", person.joined())
}

/// The answers of which no log says anything.
async fn without_leaf<'a>(hub: &TestGateway, replies: &[(&'a str, Reply)]) -> Vec<&'a str> {
    let logs = [hub.log("oita").await, hub.log("hakodate").await, hub.log("hub").await];
    let silent = |reply: &Reply| logs.iter().all(|log| log.of(reply.exchange()).is_empty());
    replies.iter().filter(|(_, reply)| silent(reply)).map(|(what, _)| *what).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_a_hospital_has_its_leaf_when_it_arrives() {
    let (hub, person) = town().await;
    let (hospital, nobody) = (hub.partner("hospital-oita"), nobody(&person));
    let now = hub.clock.now();
    let until = now + SignedDuration::from_mins(5);
    let consented = eligibility(&person.joined(), Some(consent(now, until)));
    let replies = [
        ("eligibility", hospital.post(ELIGIBILITY, &consented).await.expect(200)),
        ("eligibility of nobody", hospital.post(ELIGIBILITY, &eligibility(&nobody.joined(), None)).await.expect(404)),
        ("search", hospital.get(&search("Coverage", &person)).await.expect(200)),
        ("search for nobody", hospital.get(&search("Coverage", &nobody)).await.expect(200)),
        ("read of nothing", hospital.get("/fhir/Coverage/rc-00000000000000000000000000000000").await.expect(404)),
        ("consent", hospital.post("/fhir/Consent", &consent_of(&person.joined(), now, until)).await.expect(201)),
        ("consent of nobody", hospital.post("/fhir/Consent", &consent_of(&nobody.joined(), now, until)).await),
        ("directives", hospital.get(&search("Consent", &person)).await.expect(200)),
        ("directives of nobody", hospital.get(&search("Consent", &nobody)).await.expect(200)),
    ];
    assert_eq!(without_leaf(&hub, &replies).await, Vec::<&str>::new());
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_without_a_channel_leaves_a_leaf_behind_too() {
    let (hub, person) = town().await;
    let idle = hub.partner("hospital-idle");
    let replies = [
        ("search", idle.get(&search("Coverage", &person)).await.expect(200)),
        ("read", idle.get("/fhir/Coverage/rc-00000000000000000000000000000000").await.expect(404)),
        ("eligibility", idle.post(ELIGIBILITY, &eligibility(&person.joined(), None)).await.expect(404)),
    ];
    assert_eq!(without_leaf(&hub, &replies).await, Vec::<&str>::new(), "the reason is in no log");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_an_app_or_a_municipality_has_its_leaf_when_it_arrives() {
    let (hub, person) = town().await;
    let (city, app) = (hub.partner("city-oita"), hub.partner("app-techo"));
    let link = |value: &str| json!({ "system": "recipient", "value": value, "issuer": ISSUER, "sub": "mother", "relationship": "proxy" });
    let shot = immunization(&person, HOSPITAL_OITA, OITA, "V-1", hub.today());
    hub.partner("hospital-oita").post("/fhir/Immunization", &shot).await.expect(201);
    let linked = city.post("/v1/links", &link(&person.joined())).await.expect(201);
    let auth = hub.bearer("mother", "app-techo");
    let headers = [("authorization", auth.as_str()), ("content-type", "application/json")];
    let body = json!({ "effect": "permit", "recipient": { "participant": "app-techo" } }).to_string();
    let given = app.send(Method::POST, "/app/v1/consents", &headers, body).await.expect(201);
    let read = app.send(Method::GET, "/app/v1/records", &headers, "").await.expect(200);
    let listed = app.send(Method::GET, "/app/v1/consents", &headers, "").await.expect(200);
    let logged = app.send(Method::GET, "/app/v1/access-log", &headers, "").await.expect(200);
    let path = format!("/app/v1/consents/{}", given.json()["consents"][0]["id"].as_str().unwrap());
    let withdrawn = app.send(Method::DELETE, &path, &headers, "").await.expect(200);
    let again = app.send(Method::GET, "/app/v1/records", &headers, "").await.expect(404);
    let pulled = city.get("/v1/mailbox").await.expect(200);
    let batch = json!({ "batch": pulled.header("tsunagi-batch") });
    let settled = city.post("/v1/mailbox/ack", &batch).await.expect(200);
    let log = hub.log("oita").await;
    let delivery = log.events.iter().filter(|event| event.delivery.is_some()).count();
    assert_eq!(delivery, 2, "one leaf as the mailbox was emptied, one as the batch was acknowledged");
    let replies = [
        ("link", linked),
        ("consent", given),
        ("records", read),
        ("consents", listed),
        ("access log", logged),
        ("withdrawal", withdrawn),
        ("records after it", again),
        ("acknowledgement", settled),
    ];
    // The acknowledgement's leaf is of the exchange that brought the record.
    let missing = without_leaf(&hub, &replies).await;
    assert_eq!(missing, ["acknowledgement"]);
    hub.finish().await;
}
