//! Each interaction over real mutual TLS, and then what the municipality and the hospital read of it.

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tsunagi_tests::papers::{
    HOSPITAL_OITA, OITA, Person, RECIPIENT_SYSTEM, consent, consent_of, cp932, eligibility, entitlement, immunization,
    maternal_csv,
};
use tsunagi_tests::{TestGateway, profile_of};

use super::{ELIGIBILITY, REGISTER, all, as_citizen, by_exchange, link};

const MATERNITY: &str = "母子保健法19条の2";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_over_the_wire_is_read_back_by_its_profile() {
    let hub = TestGateway::start().await;
    let (city, hospital) = (hub.partner("city-oita"), hub.partner("hospital-oita"));
    let person = Person::number(1, hub.today());
    let now = hub.clock.now();
    let until = now + SignedDuration::from_mins(5);
    let mut done: Vec<(&str, String, &[&str])> = Vec::new();

    let reply = city.post(REGISTER, &json!([entitlement(&person)])).await.expect(202);
    done.push(("create of its own", reply.exchange().to_owned(), &["PatientCreate"]));
    let mut changed = person.clone();
    changed.address = "大分県大分市試験町99丁目".to_owned();
    let reply = city.post(REGISTER, &json!([entitlement(&changed)])).await.expect(202);
    done.push(("update", reply.exchange().to_owned(), &["PatientUpdate"]));
    let shot = immunization(&person, HOSPITAL_OITA, OITA, "V-1", hub.today());
    let sent = hospital.post("/fhir/Immunization", &shot).await.expect(201);
    done.push(("create, by a hospital", sent.exchange().to_owned(), &["PatientCreate", "PrivacyDisclosure.Recipient"]));
    let reply = hospital.post("/fhir/Consent", &consent_of(&person.joined(), now, until)).await.expect(201);
    done.push(("consent", reply.exchange().to_owned(), &["PatientCreate"]));
    let one = hospital.get(sent.header("location")).await.expect(200);
    done.push(("read", one.exchange().to_owned(), &["AuthZconsent", "PatientRead", "PrivacyDisclosure.Source"]));
    let search = format!("/fhir/Immunization?patient.identifier={RECIPIENT_SYSTEM}|{}", person.joined());
    let reply = hospital.get(&search).await.expect(200);
    done.push(("query", reply.exchange().to_owned(), &["AuthZconsent", "PatientQuery", "PrivacyDisclosure.Source"]));
    let asked = eligibility(&person.joined(), Some(consent(now, until)));
    let reply = hospital.post(ELIGIBILITY, &asked).await.expect(200);
    let names: &[&str] = &["AuthZconsent", "PatientQuery", "PrivacyDisclosure.Source"];
    done.push(("operation, consent permits", reply.exchange().to_owned(), names));

    // Rows that wait and rows that are refused; those come back.
    let stranger = Person { recipient: "9999999".to_owned(), ..Person::number(2, hub.today()) };
    let shot = immunization(&stranger, HOSPITAL_OITA, OITA, "V-2", hub.today());
    let reply = hospital.post("/fhir/Immunization", &shot).await.expect(202);
    done.push(("row that waits", reply.exchange().to_owned(), &["Create"]));
    let refused = city.post(REGISTER, &json!([{}])).await.expect(202).exchange().to_owned();
    city.get(&format!("/v1/exchanges/{refused}/rejections")).await.expect(200);
    done.push(("refused, and given back", refused, &["-", "Read"]));

    // The citizen denies; a consent decides against the hospital.
    link(&city, &person, "herself").await;
    let deny =
        json!({ "effect": "deny", "recipient": { "participant": "hospital-oita" }, "kinds": ["subsidy_entitlement"] });
    let given = as_citizen(&hub, "herself", Method::POST, "/app/v1/consents", deny).await.expect(201);
    done.push(("consent, by an app", given.exchange().to_owned(), &["PatientCreate"]));
    let reply = hospital.post(ELIGIBILITY, &eligibility(&person.joined(), None)).await.expect(404);
    done.push(("consent denies", reply.exchange().to_owned(), &["-", "AuthZconsent"]));
    let id = given.json()["consents"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/app/v1/consents/{id}");
    let reply = as_citizen(&hub, "herself", Method::DELETE, &path, Value::Null).await.expect(200);
    done.push(("consent withdrawn", reply.exchange().to_owned(), &["PatientUpdate"]));
    let reply = as_citizen(&hub, "herself", Method::GET, "/app/v1/access-log", Value::Null).await.expect(200);
    done.push(("the log read by the citizen", reply.exchange().to_owned(), &["PatientQuery"]));

    // Another municipality asks; the mailbox is emptied; a record is taken back.
    let headers = [("content-type", "text/csv; charset=Shift_JIS")];
    let path = "/v1/files/municipal_csv/checkup_maternal_legacy";
    city.send(Method::POST, path, &headers, cp932(&maternal_csv(&person, "M-1"))).await.expect(202);
    let asked = json!({
        "purpose": "PUBHLTH", "legalBasis": MATERNITY, "tenants": ["oita"], "kinds": ["checkup_maternal"],
        "subject": { "system": "maternal_handbook", "value": person.handbook },
    });
    let reply = hub.partner("city-hakodate").post("/v1/requests", &asked).await.expect(200);
    done.push(("asked by another city", reply.exchange().to_owned(), &["PatientQuery", "PrivacyDisclosure.Source"]));
    let batch = city.get("/v1/mailbox").await.expect(200);
    assert!(!batch.header("tsunagi-batch").is_empty());
    let mut gone = entitlement(&changed);
    gone["isDeleted"] = json!(true);
    let reply = city.post(REGISTER, &json!([gone])).await.expect(202);
    done.push(("delete", reply.exchange().to_owned(), &["PatientDelete"]));
    let reply = city.get("/fhir/AuditEvent?_count=1").await.expect(200);
    done.push(("the log read by the city", reply.exchange().to_owned(), &["Query"]));

    // The municipality reads all of it; what the hub's own log has, the hospital reads.
    let of_city = by_exchange(&hub, &all(&city, "").await).await;
    let of_hospital = by_exchange(&hub, &all(&hospital, "outcome=0").await).await;
    for (what, exchange, profiles) in &done {
        let mut expected: Vec<&str> = profiles.to_vec();
        if *what == "create, by a hospital" {
            // The exchange goes on: its record was delivered.
            expected.push("PrivacyDisclosure.Source");
        }
        assert_eq!(of_city.get(exchange).map_or(&[][..], Vec::as_slice), expected, "{what}");
        if ["create, by a hospital", "read", "query", "operation, consent permits", "row that waits", "consent"]
            .contains(what)
        {
            assert_eq!(of_hospital.get(exchange).map_or(&[][..], Vec::as_slice), *profiles, "{what}, to the hospital");
        } else {
            assert_eq!(of_hospital.get(exchange), None, "{what}, to the hospital");
        }
    }
    // Why it was denied is told to the municipality.
    let denied = all(&city, "outcome=4").await;
    let by_consent = denied.iter().find(|event| profile_of(event) == Some("AuthZconsent")).unwrap();
    assert!(by_consent["outcomeDesc"].as_str().unwrap().starts_with("directive_denies: "), "{by_consent}");
    assert!(by_consent["entity"].to_string().contains(&id), "{by_consent}");
    let everything = format!("{:?}{denied:?}", all(&city, "").await);
    for secret in person.secrets().into_iter().chain(stranger.secrets()).chain(["herself", &changed.address]) {
        assert!(!everything.contains(secret), "{secret}");
    }
    hub.finish().await;
}
