//! Where a submission goes and who may send it there: by the municipality it names, and by the certificate alone.

use serde_json::json;
use tsunagi_core::audit::Action;
use tsunagi_tests::TestGateway;
use tsunagi_tests::papers::{
    HOSPITAL_HAKODATE, HOSPITAL_OITA, OITA, Person, batch, birth_certificate, consent_of, entitlement, immunization,
};

const REGISTER: &str = "/pmh/v1/medicalSubsidy/registrationTasks";

#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_a_merged_municipality_reaches_its_successor_and_both_codes_are_noted() {
    let hub = TestGateway::start().await;
    let (city, hospital, today) = (hub.partner("city-oita"), hub.partner("hospital-oita"), hub.today());
    let person = Person::number(1, today);
    city.post(REGISTER, &json!([entitlement(&person)])).await.expect(202);
    let old = immunization(&person, HOSPITAL_OITA, "443611", "V-1", today);
    let reply = hospital.post("/fhir/Immunization", &old).await.expect(201);
    let log = hub.log("oita").await;
    let [event] = log.acts(reply.exchange(), Action::RecordAccepted)[..] else { panic!("one leaf") };
    assert_eq!(event.municipalities, ["443611", "442011"]);
    let now = immunization(&person, HOSPITAL_OITA, OITA, "V-2", today);
    let reply = hospital.post("/fhir/Immunization", &now).await.expect(201);
    assert!(hub.log("oita").await.acts(reply.exchange(), Action::RecordAccepted)[0].municipalities.is_empty());
    assert_eq!(city.get("/v1/mailbox").await.header("tsunagi-batch-rows"), "2");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_municipality_that_was_divided_or_never_was_is_never_guessed() {
    let hub = TestGateway::start().await;
    let (hospital, today) = (hub.partner("hospital-oita").speaking("en"), hub.today());
    let person = Person::number(1, today);
    let cases = [
        ("193411", 422, "destination_ambiguous"),
        ("131016", 422, "destination_unknown"),
        ("471119", 422, "destination_unknown"),
        ("44201", 422, "invalid_identifier"),
    ];
    for (code, status, said) in cases {
        let body = immunization(&person, HOSPITAL_OITA, code, "V-1", today);
        let reply = hospital.post("/fhir/Immunization", &body).await.expect(status);
        assert_eq!(reply.code(), said, "{code}: {}", reply.text());
        if said == "destination_ambiguous" {
            assert!(reply.text().contains("192015") && reply.text().contains("194301"), "{}", reply.text());
        }
        let receipt = hospital.get(&format!("/v1/exchanges/{}", reply.exchange())).await.expect(200).json();
        assert_eq!((&receipt["rows"][0]["state"], &receipt["deliveries"]), (&json!("refused"), &json!([])));
    }
    for city in ["city-oita", "city-hakodate"] {
        assert_eq!(hub.partner(city).get("/v1/mailbox").await.status, 204);
    }
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hospital_that_names_another_as_sender_is_refused() {
    let hub = TestGateway::start().await;
    let (hospital, today) = (hub.partner("hospital-oita"), hub.today());
    let person = Person::number(1, today);
    hub.partner("city-oita").post(REGISTER, &json!([entitlement(&person)])).await.expect(202);
    let posing = immunization(&person, HOSPITAL_HAKODATE, OITA, "V-1", today);
    let reply = hospital.post("/fhir/Immunization", &posing).await.expect(403);
    assert_eq!(reply.code(), "not_permitted");
    let log = hub.log("oita").await;
    let [event] = log.acts(reply.exchange(), Action::RecordRefused)[..] else { panic!("one leaf") };
    assert_eq!(event.agent.participant.as_ref().map(|id| id.as_str()), Some("hospital-oita"));
    hub.partner("hospital-hakodate").post("/fhir/Immunization", &posing).await.expect(201);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hospital_without_a_channel_into_that_tenant_is_not_permitted() {
    let hub = TestGateway::start().await;
    let today = hub.today();
    let person = Person::number(1, today);
    let elsewhere = immunization(&person, HOSPITAL_OITA, "012025", "V-1", today);
    let reply = hub.partner("hospital-oita").post("/fhir/Immunization", &elsewhere).await.expect(403);
    assert_eq!(reply.code(), "not_permitted");
    let certificate = birth_certificate(HOSPITAL_OITA, "B-1", OITA);
    let reply = hub.partner("hospital-oita").post("/fhir/Bundle", &certificate).await.expect(403);
    assert_eq!(reply.code(), "not_permitted");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_without_any_channel_is_not_permitted_to_submit() {
    let hub = TestGateway::start().await;
    let shot = immunization(&Person::number(1, hub.today()), "4419920006", OITA, "V-1", hub.today());
    let reply = hub.partner("hospital-idle").post("/fhir/Immunization", &shot).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (403, "not_permitted"));
    let reply = hub.partner("app-techo").post("/fhir/Immunization", &shot).await.expect(403);
    assert_eq!(reply.code(), "not_permitted");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_answered_row_by_row_and_each_location_leads_to_its_record() {
    let hub = TestGateway::start().await;
    let (hospital, today) = (hub.partner("hospital-oita"), hub.today());
    let person = Person::number(1, today);
    hub.partner("city-oita").post(REGISTER, &json!([entitlement(&person)])).await.expect(202);
    let shot = |number: &str| immunization(&person, HOSPITAL_OITA, OITA, number, today);
    let mut unknown = shot("V-2");
    unknown["vaccineCode"]["coding"][0]["code"] = json!("no-such-vaccine");
    let rows = [shot("V-1"), unknown, shot("V-3")];
    let reply = hospital.post("/fhir/Bundle", &batch(&rows)).await.expect(200).json();
    let statuses: Vec<&str> =
        reply["entry"].as_array().unwrap().iter().map(|e| e["response"]["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["201", "422", "201"]);
    assert_eq!(reply["entry"][1]["response"]["outcome"]["issue"][0]["details"]["coding"][0]["code"], "unmapped");
    let now = hub.clock.now();
    let consent = consent_of(&person.joined(), now, now + jiff::SignedDuration::from_mins(5));
    hospital.post("/fhir/Consent", &consent).await.expect(201);
    for index in [0, 2] {
        let place = reply["entry"][index]["response"]["location"].as_str().unwrap();
        let read = hospital.get(place).await;
        assert_eq!(read.status, 200, "{place} leads nowhere");
        assert_eq!(read.json()["resourceType"], "Immunization");
    }
    hub.finish().await;
}
