//! A body that names another sender than the certificate does is refused, and the refusal is in the audit log.

use http::Method;
use serde_json::{Value, json};
use tsunagi_core::audit::Action;
use tsunagi_tests::papers::{
    HOSPITAL_HAKODATE, HOSPITAL_OITA, OITA, Person, batch, eligibility, entitlement, immunization, maternal_csv,
};
use tsunagi_tests::{Setup, TestGateway};

const INSTITUTION: &str = "http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no";

/// A body that names this institution.
type Body<'a> = Box<dyn Fn(&str) -> Value + 'a>;

fn institution(code: &str) -> Value {
    json!({ "identifier": { "system": INSTITUTION, "value": code } })
}

#[tokio::test(flavor = "multi_thread")]
async fn fhir_bodies_that_name_another_hospital_are_refused_and_noted() {
    let hub = TestGateway::start().await;
    let person = Person::number(1, hub.today());
    hub.partner("city-oita")
        .post("/pmh/v1/medicalSubsidy/registrationTasks", &json!([entitlement(&person)]))
        .await
        .expect(202);
    let hospital = hub.partner("hospital-oita");
    let shot = immunization(&person, HOSPITAL_OITA, OITA, "V-1", hub.today());
    let bundle = |more: Value| {
        let mut bundle = batch(std::slice::from_ref(&shot));
        bundle["entry"].as_array_mut().unwrap().push(json!({ "resource": more }));
        bundle
    };
    let header = |code: &str| json!({ "resourceType": "MessageHeader", "sender": institution(code) });
    let contained = |code: &str| {
        json!({
            "resourceType": "Provenance",
            "contained": [{ "resourceType": "Organization", "id": "o", "identifier": [institution(code)["identifier"]] }],
            "agent": [{ "who": { "reference": "#o" } }],
        })
    };
    let asked = |code: &str| {
        let mut asked = eligibility(&person.joined(), None);
        asked["provider"] = institution(code);
        asked
    };
    let linked = |code: &str| {
        let mut bundle =
            bundle(json!({ "resourceType": "MessageHeader", "responsible": { "reference": "urn:uuid:1" } }));
        let organization = json!({ "resourceType": "Organization", "identifier": [institution(code)["identifier"]] });
        bundle["entry"].as_array_mut().unwrap().push(json!({ "fullUrl": "urn:uuid:1", "resource": organization }));
        bundle
    };
    let path = "/fhir/CoverageEligibilityRequest/$submit";
    let cases: [(&str, &str, Body); 4] = [
        ("a message's header", "/fhir/Bundle", Box::new(|code| bundle(header(code)))),
        ("a provenance", "/fhir/Bundle", Box::new(|code| bundle(contained(code)))),
        ("an entry of the Bundle", "/fhir/Bundle", Box::new(linked)),
        ("the asker of a request", path, Box::new(asked)),
    ];
    for (what, path, body) in cases {
        let reply = hospital.post(path, &body(HOSPITAL_HAKODATE)).await;
        assert_eq!(reply.expect(403).code(), "not_permitted", "{what}");
        let own = hospital.post(path, &body(HOSPITAL_OITA)).await;
        assert_ne!(own.status, 403, "{what}: {}", own.text());
    }
    let log = hub.log("hub").await;
    let noted = log.events.iter().filter(|event| event.action == Action::ExchangeRefused);
    assert_eq!(noted.filter(|event| event.reason.as_deref() == Some("not_permitted")).count(), 4);

    // The record itself: its issuer is the sender too, and the refusal is the row's.
    let theirs = immunization(&person, HOSPITAL_HAKODATE, OITA, "V-2", hub.today());
    let reply = hospital.post("/fhir/Immunization", &theirs).await.expect(403);
    assert_eq!(reply.code(), "not_permitted");
    let events = hub.log("oita").await;
    assert_eq!(events.acts(reply.exchange(), Action::RecordRefused).len(), 1);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_municipality_that_names_another_one_is_refused_and_noted() {
    // Even a registry that opens the other one's tenant to it by mistake changes nothing.
    let channels = ["oita", "hakodate"].map(|tenant| {
        format!(
            "[[channel]]\nid = 'posing-{tenant}'\nparticipant = 'city-hakodate'\ntenant = '{tenant}'\nkind = 'checkup_maternal'\n\
             mode = 'submit'\nlayout = 'municipal_csv/checkup_maternal_legacy'\nfrom = '2020-01-01'\n"
        )
    });
    let hub = Setup::new().registered(&channels.concat()).start().await;
    let file = maternal_csv(&Person::number(1, hub.today()), "M-1");
    assert!(file.contains(OITA));
    let path = "/v1/files/municipal_csv/checkup_maternal_legacy";
    let city = hub.partner("city-hakodate");
    let reply = city.send(Method::POST, path, &[("content-type", "text/csv; charset=utf-8")], file).await.expect(202);
    assert_eq!((&reply.json()["rows"], &reply.json()["refused"]), (&json!(1), &json!(1)), "{}", reply.text());
    let (own, other) = (hub.log("hakodate").await, hub.log("oita").await);
    let events =
        [own.acts(reply.exchange(), Action::RecordRefused), other.acts(reply.exchange(), Action::RecordRefused)];
    let [event] = events.concat()[..] else { panic!("one leaf") };
    assert_eq!(event.reason.as_deref(), Some("not_permitted"));
    hub.finish().await;
}
