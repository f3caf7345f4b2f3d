//! Every kind of FHIR resource the gateway emits, read by a library that is not ours. The harness does this for every
//! FHIR answer of every test; here each kind is made sure of.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tsunagi_tests::papers::{
    HOSPITAL_OITA, OITA, Person, RECIPIENT_SYSTEM, batch, birth_certificate, consent, consent_about, consent_of, cp932,
    eligibility, entitlement, immunization, infant_checkup, maternal_csv,
};
use tsunagi_tests::{Reply, TestGateway, fhir_oracle};

/// The types of all resources in an answer, nested ones included.
fn types(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(name) = members.get("resourceType").and_then(Value::as_str) {
                found.insert(name.to_owned());
            }
            members.values().for_each(|member| types(member, found));
        }
        Value::Array(list) => list.iter().for_each(|member| types(member, found)),
        _ => {}
    }
}

fn read_again(reply: &Reply, found: &mut BTreeSet<String>) {
    assert!(reply.header("content-type").starts_with("application/fhir+json"), "{:?}", reply.headers);
    fhir_oracle(&reply.body);
    types(&reply.json(), found);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_resource_reads_as_the_type_it_says_it_is() {
    let hub = TestGateway::start().await;
    let (city, hospital, today) = (hub.partner("city-oita"), hub.partner("hospital-oita"), hub.today());
    let person = Person::number(1, today);
    city.post("/pmh/v1/medicalSubsidy/registrationTasks", &json!([entitlement(&person)])).await.expect(202);
    let headers = [("content-type", "text/csv; charset=Shift_JIS")];
    let maternal = cp932(&maternal_csv(&person, "M-1"));
    let path = "/v1/files/municipal_csv/checkup_maternal_legacy";
    city.send(http::Method::POST, path, &headers, maternal).await.expect(202);
    let now = hub.clock.now();
    let until = now + SignedDuration::from_mins(5);
    let shot = |number: &str| immunization(&person, HOSPITAL_OITA, OITA, number, today);
    let mut bad = shot("V-3");
    bad["vaccineCode"]["coding"][0]["code"] = json!("none");
    let handbook = "urn:tsunagi:identifier:maternal-handbook";

    let mut replies = vec![
        hospital.get("/fhir/metadata").await.expect(200),
        hospital.post("/fhir/Immunization", &shot("V-1")).await.expect(201),
        hospital.post("/fhir/Immunization", &bad).await.expect(422),
        hospital.post("/fhir/Bundle", &batch(&[shot("V-2"), bad.clone()])).await.expect(200),
        hospital.post("/fhir/Bundle", &infant_checkup(&person, HOSPITAL_OITA, "I-1", today)).await.expect(201),
        hospital.post("/fhir/Bundle", &birth_certificate(HOSPITAL_OITA, "B-1", "012025")).await.expect(201),
        hospital.post("/fhir/Consent", &consent_of(&person.joined(), now, until)).await.expect(201),
        hospital.post("/fhir/Consent", &consent_about(handbook, &person.handbook, now, until)).await.expect(201),
        hospital
            .post("/fhir/CoverageEligibilityRequest/$submit", &eligibility(&person.joined(), Some(consent(now, until))))
            .await
            .expect(200),
    ];
    for resource_type in ["Immunization", "Bundle", "Observation", "Composition", "Coverage", "Consent"] {
        let path = format!("/fhir/{resource_type}?patient.identifier={RECIPIENT_SYSTEM}|{}", person.joined());
        let reply = hospital.get(&path).await.expect(200);
        let found = reply.json();
        assert!(found["total"].as_u64().unwrap() > 0, "{resource_type}: {found}");
        if let Some(id) = found["entry"][0]["resource"]["id"].as_str().filter(|_| resource_type != "Consent") {
            let one = hospital.get(&format!("/fhir/{resource_type}/{id}")).await.expect(200);
            assert_eq!((&one.json()["resourceType"], &one.json()["id"]), (&json!(resource_type), &json!(id)));
            replies.push(one);
        }
        replies.push(reply);
    }
    replies.push(hospital.get("/fhir/AuditEvent").await.expect(200));
    let maternal = format!("/fhir/Bundle?patient.identifier={handbook}|{}", person.handbook);
    let maternal = hospital.get(&maternal).await.expect(200);
    assert_eq!(maternal.json()["total"], 1);
    replies.push(maternal);

    let mut found = BTreeSet::new();
    for reply in &replies {
        read_again(reply, &mut found);
    }
    let expected = [
        "AuditEvent",
        "Bundle",
        "CapabilityStatement",
        "Composition",
        "Consent",
        "Coverage",
        "CoverageEligibilityResponse",
        "Immunization",
        "Observation",
        "OperationOutcome",
        "Organization",
        "Patient",
    ];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    hub.finish().await;
}

#[test]
fn the_oracle_refuses_what_is_no_fhir() {
    let good = json!({ "resourceType": "Patient", "gender": "female", "birthDate": "2024-02" });
    let bad = [
        json!({ "resourceType": "Record" }),
        json!({ "resourceType": "Patient", "gender": "f" }),
        json!({ "resourceType": "Patient", "nickname": "Hana" }),
        json!({ "resourceType": "Patient", "birthDate": 20_240_201 }),
        json!({ "resourceType": "OperationOutcome", "issue": [{ "code": "processing" }] }),
    ];
    fhir_oracle(good.to_string().as_bytes());
    for resource in bad {
        let read = std::panic::catch_unwind(|| fhir_oracle(resource.to_string().as_bytes()));
        assert!(read.is_err(), "{resource}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_capability_statement_names_what_is_served_and_nothing_more() {
    let hub = TestGateway::start().await;
    let hospital = hub.partner("hospital-oita");
    let statement = hospital.get("/fhir/metadata").await.expect(200).json();
    assert_eq!(statement["fhirVersion"], "4.0.1");
    let nobody = format!("patient.identifier={RECIPIENT_SYSTEM}|81440018:9999999");
    for resource in statement["rest"][0]["resource"].as_array().unwrap() {
        let name = resource["type"].as_str().unwrap();
        for interaction in resource["interaction"].as_array().into_iter().flatten() {
            match interaction["code"].as_str().unwrap() {
                "search-type" => {
                    let query = if name == "AuditEvent" { "outcome=0" } else { &nobody };
                    hospital.get(&format!("/fhir/{name}?{query}")).await.expect(200);
                }
                "read" => {
                    let reply = hospital.get(&format!("/fhir/{name}/rc-00000000000000000000000000000000")).await;
                    assert_eq!(reply.code(), "not_available", "{name}");
                }
                "create" => {
                    let reply = hospital.post(&format!("/fhir/{name}"), &json!({ "resourceType": name })).await;
                    assert!(!["not_found", "internal"].contains(&reply.code().as_str()), "{name}: {}", reply.text());
                }
                other => panic!("{name}: {other} is not looked at"),
            }
        }
    }
    hub.finish().await;
}
