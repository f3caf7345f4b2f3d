use tsunagi_tests::{papers::*, *};
#[tokio::test(flavor = "multi_thread")]
async fn hello() {
    let hub = TestGateway::start().await;
    let today = hub.today();
    let person = Person::number(1, today);
    let city = hub.partner("city-oita");
    let reply = city.post("/pmh/v1/medicalSubsidy/registrationTasks", &serde_json::json!([entitlement(&person)])).await.expect(202);
    eprintln!("{}", reply.text());
    let hospital = hub.partner("hospital-oita");
    let reply = hospital.post("/fhir/Immunization", &immunization(&person, HOSPITAL_OITA, OITA, "V-1", today)).await;
    eprintln!("{} {:?}", reply.text(), reply.headers);
    let now = hub.clock.now();
    let e = eligibility(&person.joined(), Some(consent(now, now + jiff::SignedDuration::from_mins(10))));
    let reply = hospital.post("/fhir/CoverageEligibilityRequest/$submit", &e).await;
    eprintln!("{}", reply.text());
    let reply = hospital.post("/fhir/Bundle", &infant_checkup(&person, HOSPITAL_OITA, "I-1", today)).await;
    eprintln!("{} {:?}", reply.text(), reply.headers);
    let reply = hospital.post("/fhir/Consent", &consent_of(&person.joined(), now, now + jiff::SignedDuration::from_mins(10))).await;
    eprintln!("{} {:?}", reply.text(), reply.headers);
    for t in ["Immunization", "Bundle", "Observation", "Composition", "Coverage", "Consent"] {
        let reply = hospital.get(&format!("/fhir/{t}?patient.identifier={RECIPIENT_SYSTEM}|{}", person.joined())).await;
        eprintln!("{t} {}", reply.text());
    }
    eprintln!("{}", hospital.get("/fhir/metadata").await.text());
    let reply = city.send(http::Method::GET, "/v1/mailbox", &[], "").await;
    eprintln!("{:?} {}", reply.headers, encoding_rs::SHIFT_JIS.decode(&reply.body).0);
    hub.finish().await;
}
