//! Requests between municipalities: a stated basis, a line for each tenant asked, both logs, and only what may travel.

use serde_json::{Value, json};
use tsunagi_core::audit::{Action, EventOutcome};
use tsunagi_tests::papers::{
    HOSPITAL_OITA, MODERN_HEADER, OITA, Person, cp932, maternal_csv, modern_row, registered_vaccination,
};
use tsunagi_tests::{Partner, TestGateway};

const MATERNITY: &str = "母子保健法19条の2";
const NUMBERS: &str = "番号法19条";

/// A hub on which Oita holds a maternal checkup and a dose of each of these people.
async fn two_towns(people: &[Person]) -> (TestGateway, Partner, Partner) {
    let hub = TestGateway::start().await;
    let (oita, hakodate) = (hub.partner("city-oita"), hub.partner("city-hakodate"));
    // The file that ties 個人番号 and 宛名番号 together comes first, so that the others are about the same people.
    let rows: Vec<String> = people.iter().map(|person| modern_row(person, OITA)).collect();
    let modern = format!("{MODERN_HEADER}\n{}\n", rows.join("\n"));
    let path = "/v1/files/municipal_csv/subsidy_entitlement_modern";
    oita.send(http::Method::POST, path, &[("content-type", "text/csv")], modern).await.expect(202);
    let headers = [("content-type", "text/csv; charset=Shift_JIS")];
    for (n, person) in people.iter().enumerate() {
        let body = cp932(&maternal_csv(person, &format!("M-{n}")));
        let path = "/v1/files/municipal_csv/checkup_maternal_legacy";
        let receipt = oita.send(http::Method::POST, path, &headers, body).await.expect(202).json();
        assert_eq!(receipt["accepted"], 1, "{receipt}");
        let dose = registered_vaccination(person, OITA, &format!("V-{n}"), hub.today());
        let task = oita.post("/pmh/v1/vaccination/registrationTasks", &json!([dose])).await.expect(202).json();
        assert_eq!(task["results"][0]["status"], "registered");
    }
    (hub, oita, hakodate)
}

fn asked(person: &Person, basis: &str, kind: &str, tenants: &[&str]) -> Value {
    json!({
        "purpose": "PUBHLTH", "legalBasis": basis, "tenants": tenants, "kinds": [kind],
        "subject": { "system": "maternal_handbook", "value": person.handbook },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_asked_tenant_gets_its_line() {
    let today = tsunagi_gateway::clock::Clock::system().today();
    let mut people = [Person::number(1, today), Person::number(2, today)];
    people[1].is_not_disclosed = true;
    let (hub, _, hakodate) = two_towns(&people).await;
    let reply = hakodate
        .post(
            "/v1/requests",
            &asked(&people[0], MATERNITY, "checkup_maternal", &["oita", "hakodate", "nowhere", "oita"]),
        )
        .await
        .expect(200);
    let expected = json!([
        { "tenant": "oita", "outcome": "answered", "records": 1 },
        { "tenant": "hakodate", "outcome": "not_asked", "records": 0 },
        { "tenant": "nowhere", "outcome": "not_asked", "records": 0 },
    ]);
    assert_eq!(reply.json()["ledger"], expected);
    assert_eq!(reply.json()["records"][0]["content"][0]["visitedOn"], "2026-05-12");

    // Nobody, non-disclosure, and outside of the period: withheld, and nothing tells them apart.
    let nobody = Person { handbook: "2026-999999".to_owned(), ..people[0].clone() };
    let mut outside = asked(&people[0], MATERNITY, "checkup_maternal", &["oita"]);
    outside["period"] = json!({ "until": "2020-01-01" });
    let bodies = [
        asked(&nobody, MATERNITY, "checkup_maternal", &["oita"]),
        asked(&people[1], MATERNITY, "checkup_maternal", &["oita"]),
        outside,
    ];
    let mut answers = Vec::new();
    let mut reasons = Vec::new();
    for body in &bodies {
        let reply = hakodate.post("/v1/requests", body).await.expect(200);
        let line = json!([{ "tenant": "oita", "outcome": "withheld", "reason": "not_available", "records": 0 }]);
        assert_eq!((&reply.json()["ledger"], &reply.json()["records"]), (&line, &json!([])));
        answers.push(reply.essence());
        let log = hub.log("oita").await;
        let [event] = log.acts(reply.exchange(), Action::RequestAnswered)[..] else { panic!("one leaf") };
        assert_eq!(event.outcome, EventOutcome::Denied);
        reasons.push(event.reason.clone().unwrap());
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    assert_eq!(reasons, ["subject_unknown", "non_disclosure", "no_record"]);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_logs_carry_the_request_before_the_answer_arrives() {
    let person = Person::number(1, tsunagi_gateway::clock::Clock::system().today());
    let (hub, _, hakodate) = two_towns(std::slice::from_ref(&person)).await;
    let reply =
        hakodate.post("/v1/requests", &asked(&person, MATERNITY, "checkup_maternal", &["oita", "nowhere"])).await;
    let exchange = reply.expect(200).exchange().to_owned();
    let own = hub.log("hakodate").await;
    let made = own.acts(&exchange, Action::RequestMade);
    let counterparts: Vec<_> = made.iter().map(|event| event.counterpart.as_ref().unwrap().as_str()).collect();
    assert_eq!(counterparts, ["oita", "nowhere"]);
    let theirs = hub.log("oita").await;
    let [answered] = theirs.acts(&exchange, Action::RequestAnswered)[..] else { panic!("one leaf") };
    assert_eq!(answered.outcome, EventOutcome::Done);
    assert_eq!(answered.agent.participant.as_ref().map(|id| id.as_str()), Some("city-hakodate"));
    assert!(serde_json::to_string(&answered.bases).unwrap().contains(MATERNITY), "{:?}", answered.bases);
    assert_eq!((answered.records.len(), answered.kind.as_ref().unwrap().as_str()), (1, "checkup_maternal"));
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_must_not_travel_leave_no_trace_and_her_own_results_go_only_if_named() {
    let person = Person::number(1, tsunagi_gateway::clock::Clock::system().today());
    let (hub, _, hakodate) = two_towns(std::slice::from_ref(&person)).await;
    let never =
        ["syphilis", "hivAntibody", "smoking", "drinking", "miscarriages", "stillbirths", "municipalityIdentityKey"];
    let raw = ["bloodPressure", "address", "institutionCode"];
    let mut body = asked(&person, MATERNITY, "checkup_maternal", &["oita"]);
    let text = hakodate.post("/v1/requests", &body).await.expect(200).text();
    assert!(text.contains("visitedOn") && text.contains("hypertensiveDisorder"), "{text}");
    for item in never.iter().chain(&raw).chain(&["hbsAntigen"]) {
        assert!(!text.contains(item), "{item}: {text}");
    }
    body["items"] = json!(["hbs_antigen", "syphilis", "blood_pressure.systolic", "municipality_identity_key"]);
    let text = hakodate.post("/v1/requests", &body).await.expect(200).text();
    assert!(text.contains("hbsAntigen") && !text.contains("hcvAntibody"), "{text}");
    body["items"] = json!(["no_such_item"]);
    assert_eq!(hakodate.post("/v1/requests", &body).await.expect(400).code(), "malformed");
    for item in never.iter().chain(&raw) {
        assert!(!text.contains(item), "{item}: {text}");
    }
    let doses = hakodate.post("/v1/requests", &asked(&person, NUMBERS, "vaccination", &["oita"])).await.expect(200);
    assert!(doses.text().contains("vaccinatedOn") && !doses.text().contains("allergy"), "{}", doses.text());
    assert!(!doses.text().contains(HOSPITAL_OITA), "{}", doses.text());
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_basis_or_by_the_wrong_caller_nothing_is_asked() {
    let person = Person::number(1, tsunagi_gateway::clock::Clock::system().today());
    let (hub, _, hakodate) = two_towns(std::slice::from_ref(&person)).await;
    let good = asked(&person, MATERNITY, "checkup_maternal", &["oita"]);
    let mut wrong_purpose = good.clone();
    wrong_purpose["purpose"] = json!("HPAYMT");
    let refused = [
        ("no such clause", "city-hakodate", asked(&person, "念のため", "checkup_maternal", &["oita"])),
        ("a clause for another kind", "city-hakodate", asked(&person, MATERNITY, "subsidy_entitlement", &["oita"])),
        ("a purpose the clause is not for", "city-hakodate", wrong_purpose),
        ("a hospital", "hospital-oita", good.clone()),
        ("an app", "app-techo", good.clone()),
    ];
    for (why, who, body) in &refused {
        let reply = hub.partner(who).post("/v1/requests", body).await.expect(403);
        assert_eq!(reply.code(), "not_permitted", "{why}");
        assert!(hub.log("oita").await.of(reply.exchange()).is_empty(), "{why}: oita was asked");
        assert_eq!(hub.log("hub").await.acts(reply.exchange(), Action::ExchangeRefused).len(), 1, "{why}");
    }
    let mut without = good.clone();
    without.as_object_mut().unwrap().remove("legalBasis");
    assert_eq!(hakodate.post("/v1/requests", &without).await.expect(400).code(), "malformed");
    // A clause that stands for one kind does not carry another along.
    let mut both = good;
    both["kinds"] = json!(["checkup_maternal", "vaccination"]);
    let reply = hakodate.post("/v1/requests", &both).await.expect(200);
    let kinds: Vec<_> = reply.json()["records"].as_array().unwrap().iter().map(|part| part["kind"].clone()).collect();
    assert_eq!(kinds, ["checkup_maternal"]);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_individual_number_may_name_the_subject_between_municipalities() {
    let person = Person::number(1, tsunagi_gateway::clock::Clock::system().today());
    let (hub, _, hakodate) = two_towns(std::slice::from_ref(&person)).await;
    let mut body = asked(&person, NUMBERS, "vaccination", &["oita"]);
    body["subject"] = json!({ "system": "my_number", "value": person.my_number });
    let reply = hakodate.post("/v1/requests", &body).await.expect(200);
    assert_eq!(reply.json()["ledger"][0]["outcome"], "answered", "{}", reply.text());
    assert!(!reply.text().contains(&person.my_number), "{}", reply.text());
    hub.finish().await;
}
