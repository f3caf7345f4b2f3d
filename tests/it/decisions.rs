//! What a hospital may read: with consent, within it, and otherwise one and the same answer.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tsunagi_core::audit::{Action, EventOutcome};
use tsunagi_tests::papers::{
    HOSPITAL_OITA, OITA, Person, RECIPIENT_SYSTEM, consent, consent_about, consent_of, cp932, eligibility, entitlement,
    immunization, maternal_csv, registered_vaccination,
};
use tsunagi_tests::{Partner, Reply, Setup, TestGateway};

const REGISTER: &str = "/pmh/v1/medicalSubsidy/registrationTasks";
const ELIGIBILITY: &str = "/fhir/CoverageEligibilityRequest/$submit";
const HANDBOOK_SYSTEM: &str = "urn:tsunagi:identifier:maternal-handbook";

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

/// A hub that knows these people, and the clients of a city and a hospital.
async fn town(people: &[Person]) -> (TestGateway, Partner, Partner) {
    let hub = TestGateway::start().await;
    let (city, hospital) = (hub.partner("city-oita"), hub.partner("hospital-oita"));
    let rows: Vec<Value> = people.iter().map(entitlement).collect();
    city.post(REGISTER, &json!(rows)).await.expect(202);
    (hub, city, hospital)
}

fn people(count: usize) -> Vec<Person> {
    let today = tsunagi_gateway::clock::Clock::system().today();
    (0..count).map(|n| Person::number(n, today)).collect()
}

/// The reasons of the leaves of one exchange in a tenant's log.
async fn reasons(hub: &TestGateway, reply: &Reply) -> Vec<String> {
    let log = hub.log("oita").await;
    let acts = log.acts(reply.exchange(), Action::LookupAnswered);
    acts.iter().map(|event| event.reason.clone().unwrap_or_default()).collect()
}

fn search(resource_type: &str, person: &Person) -> String {
    format!("/fhir/{resource_type}?patient.identifier={RECIPIENT_SYSTEM}|{}", person.joined())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_consent_in_force_is_told_from_lapsed() {
    let mut people = people(3);
    let day = jiff::Span::new().days(1);
    people[1].valid = (people[1].valid.0, people[1].valid.0.checked_add(day).unwrap());
    people[2].valid = (people[2].valid.1, people[2].valid.1.checked_add(day).unwrap());
    let (hub, _, hospital) = town(&people).await;
    let now = hub.clock.now();
    for (person, in_force) in people.iter().zip([true, false, false]) {
        let asked = eligibility(&person.joined(), Some(consent(now, now + minutes(5))));
        let reply = hospital.post(ELIGIBILITY, &asked).await.expect(200);
        assert_eq!(reply.json()["insurance"][0]["inforce"], in_force, "{:?}", person.valid);
        let log = hub.log("oita").await;
        let [event] = log.acts(reply.exchange(), Action::LookupAnswered)[..] else { panic!("one leaf") };
        assert_eq!(event.outcome, EventOutcome::Done);
        assert_eq!((event.records.len(), event.bases.len()), (1, 1));
    }
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_cause_not_available_is_one_answer_byte_for_byte() {
    let mut people = people(8);
    people[2].is_not_disclosed = true;
    let (hub, city, hospital) = town(&people).await;
    let app = hub.partner("app-techo");
    let given = hub.clock.now();
    let on_file = consent_of(&people[3].joined(), given, given + minutes(10));
    hospital.post("/fhir/Consent", &on_file).await.expect(201);
    say(&hub, &city, &app, &people[4], "permit").await;
    let withdrawn = say(&hub, &city, &app, &people[4], "permit").await;
    assert_eq!(hospital.post(ELIGIBILITY, &eligibility(&people[4].joined(), None)).await.status, 200, "control");
    for id in withdrawn {
        let auth = hub.bearer("parent-4", "app-techo");
        let path = format!("/app/v1/consents/{id}");
        app.send(http::Method::DELETE, &path, &[("authorization", &auth)], "").await.expect(200);
    }
    say(&hub, &city, &app, &people[5], "deny").await;
    let mut gone = entitlement(&people[6]);
    gone["isDeleted"] = json!(true);
    city.post(REGISTER, &json!([gone])).await.expect(202);
    hub.clock.shift(11 * 60);

    let now = hub.clock.now();
    let fresh = || Some(consent(now, now + minutes(5)));
    let over = Some(consent(now - minutes(60), now - minutes(30)));
    let nobody = Person { recipient: "9999999".to_owned(), ..people[0].clone() };
    let cases = [
        ("no record", &nobody, fresh(), "subject_unknown"),
        ("no consent", &people[1], None, "consent_missing"),
        ("non-disclosure", &people[2], fresh(), "non_disclosure"),
        ("consent on file has run out", &people[3], None, "consent_expired"),
        ("consent withdrawn", &people[4], None, "consent_withdrawn"),
        ("denied", &people[5], fresh(), "directive_denies"),
        ("deleted", &people[6], fresh(), "no_record"),
        ("consent that came along is over", &people[7], over, "consent_expired"),
    ];
    let mut answers = Vec::new();
    for (why, person, consent, reason) in cases {
        let reply = hospital.post(ELIGIBILITY, &eligibility(&person.joined(), consent)).await.expect(404);
        assert_eq!(reply.code(), "not_available", "{why}");
        assert_eq!(reasons(&hub, &reply).await, [reason], "{why}: the log says why");
        answers.push((why, reply.essence()));
    }
    for (why, answer) in &answers {
        assert_eq!(*answer, answers[0].1, "{why} looks unlike {}", answers[0].0);
    }
    let control = eligibility(&people[0].joined(), fresh());
    hospital.post(ELIGIBILITY, &control).await.expect(200);
    hub.finish().await;
}

/// A parent says through the app what the hospital may; gives the ids of the directives.
async fn say(hub: &TestGateway, city: &Partner, app: &Partner, person: &Person, effect: &str) -> Vec<String> {
    let n: usize = person.resident[1..].parse().unwrap();
    let sub = format!("parent-{n}");
    let link = json!({
        "system": "recipient", "value": person.joined(), "issuer": tsunagi_tests::ISSUER, "sub": sub,
        "relationship": "proxy",
    });
    city.post("/v1/links", &link).await.expect(201);
    let auth = hub.bearer(&sub, "app-techo");
    let headers = [("authorization", auth.as_str()), ("content-type", "application/json")];
    let body = json!({ "effect": effect, "recipient": { "participant": "hospital-oita" } });
    app.send(http::Method::POST, "/app/v1/consents", &headers, body.to_string()).await.expect(201);
    let held = app.send(http::Method::GET, "/app/v1/consents", &headers, "").await.expect(200).json();
    held["consents"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_and_reads_that_yield_nothing_are_one_answer_too() {
    let mut people = people(3);
    people[2].is_not_disclosed = true;
    let (hub, _, hospital) = town(&people).await;
    let today = hub.today();
    let mut places = Vec::new();
    for (person, number) in people.iter().zip(["V-0", "V-1", "V-2"]) {
        let shot = immunization(person, HOSPITAL_OITA, OITA, number, today);
        let reply = hospital.post("/fhir/Immunization", &shot).await.expect(201);
        places.push(reply.header("location").to_owned());
    }
    let now = hub.clock.now();
    for person in [&people[0], &people[2]] {
        // Both have consented; of the second nothing may be told all the same.
        hospital.post("/fhir/Consent", &consent_of(&person.joined(), now, now + minutes(5))).await;
    }
    let nobody = Person { recipient: "9999999".to_owned(), ..people[0].clone() };
    let mut empty = Vec::new();
    for person in [&people[1], &people[2], &nobody] {
        let reply = hospital.get(&search("Immunization", person)).await.expect(200);
        assert_eq!((&reply.json()["total"], reply.json().get("entry")), (&json!(0), None));
        empty.push(reply.essence());
    }
    let outside_period = format!("{}&date=lt2000-01-01", search("Immunization", &people[0]));
    empty.push(hospital.get(&outside_period).await.expect(200).essence());
    assert!(empty.windows(2).all(|pair| pair[0] == pair[1]), "{empty:?}");
    assert_eq!(hospital.get(&search("Immunization", &people[0])).await.expect(200).json()["total"], 1);

    let mut nothing = Vec::new();
    let unheard = "/fhir/Immunization/rc-00000000000000000000000000000000".to_owned();
    for place in [&places[1], &places[2], &unheard, &places[0].replace("Immunization", "Coverage")] {
        nothing.push(hospital.get(place).await.expect(404).essence());
    }
    assert!(nothing.windows(2).all(|pair| pair[0] == pair[1]), "{nothing:?}");
    hospital.get(&places[0]).await.expect(200);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handing_in_a_consent_does_not_tell_who_is_known_or_hidden() {
    let mut people = people(2);
    people[1].is_not_disclosed = true;
    let (hub, _, hospital) = town(&people).await;
    let now = hub.clock.now();
    let nobody = Person { recipient: "9999999".to_owned(), ..people[0].clone() };
    let hand_in = |person: &Person| consent_of(&person.joined(), now, now + minutes(5));
    hospital.post("/fhir/Consent", &hand_in(&people[0])).await.expect(201);
    let hidden = hospital.post("/fhir/Consent", &hand_in(&people[1])).await;
    let unknown = hospital.post("/fhir/Consent", &hand_in(&nobody)).await;
    assert_eq!(hidden.essence(), unknown.essence(), "a person under the non-disclosure flag can be told from nobody");
    hub.finish().await;
}

/// The codes of the observations that a hospital sees of a mother.
async fn observed(hospital: &Partner, mother: &Person) -> BTreeSet<String> {
    let path = format!("/fhir/Observation?patient.identifier={HANDBOOK_SYSTEM}|{}", mother.handbook);
    let found = hospital.get(&path).await.expect(200).json();
    let entries = found["entry"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|e| e["resource"]["code"]["coding"][0]["code"].as_str().unwrap().to_owned()).collect()
}

fn with_classes(mut consent: Value, classes: &[&str]) -> Value {
    let label = |class: &&str| json!({ "system": "urn:tsunagi:disclosure-class", "code": class });
    consent["provision"]["securityLabel"] = classes.iter().map(label).collect();
    consent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hospital_sees_the_classes_the_consent_names_and_never_those_that_must_not_travel() {
    const WEIGHT: &str = "9N006000000000001";
    const DERIVED: &str = "hypertensive_disorder";
    const SYSTOLIC: &str = "9A751000000000001";
    const HBS: &str = "5F016141002399811";
    let (hub, city, hospital) = town(&[]).await;
    let mother = Person::number(1, hub.today());
    let body = cp932(&maternal_csv(&mother, "M-1"));
    let headers = [("content-type", "text/csv; charset=Shift_JIS")];
    let path = "/v1/files/municipal_csv/checkup_maternal_legacy";
    let receipt = city.send(http::Method::POST, path, &headers, body).await.expect(202).json();
    assert_eq!(receipt["accepted"], 1, "{receipt}");
    assert_eq!(observed(&hospital, &mother).await, BTreeSet::new());

    let now: Timestamp = hub.clock.now();
    let broad = consent_about(HANDBOOK_SYSTEM, &mother.handbook, now, now + minutes(5));
    hospital.post("/fhir/Consent", &broad).await.expect(201);
    let seen = observed(&hospital, &mother).await;
    assert!(seen.contains(WEIGHT) && seen.contains(DERIVED), "{seen:?}");
    assert!(!seen.contains(SYSTOLIC) && !seen.contains(HBS), "{seen:?}");

    let named = with_classes(broad, &["raw_input", "self_viewable", "never_outward", "municipality_only"]);
    hospital.post("/fhir/Consent", &named).await.expect(201);
    let seen = observed(&hospital, &mother).await;
    assert!(seen.contains(SYSTOLIC) && seen.contains(HBS), "{seen:?}");
    let bundle = format!("/fhir/Bundle?patient.identifier={HANDBOOK_SYSTEM}|{}", mother.handbook);
    let text = hospital.get(&bundle).await.expect(200).text();
    for never in ["5E071000002399811", "hiv_antibody", "smoking", "drinking", "miscarriages", "stillbirths"] {
        assert!(!seen.contains(never) && !text.contains(never), "{never} left a trace: {text}");
    }
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_questionnaire_and_where_a_dose_was_given_stay_unless_named() {
    let people = people(1);
    let (hub, city, hospital) = town(&people).await;
    let row = registered_vaccination(&people[0], OITA, "V-1", hub.today());
    city.post("/pmh/v1/vaccination/registrationTasks", &json!([row])).await.expect(202);
    let now = hub.clock.now();
    let broad = consent_of(&people[0].joined(), now, now + minutes(5));
    hospital.post("/fhir/Consent", &broad).await.expect(201);
    let text = hospital.get(&search("Immunization", &people[0])).await.expect(200).text();
    assert!(text.contains("V-1") && !text.contains("allergy") && !text.contains(HOSPITAL_OITA), "{text}");
    hospital.post("/fhir/Consent", &with_classes(broad, &["raw_input", "whereabouts"])).await.expect(201);
    let text = hospital.get(&search("Immunization", &people[0])).await.expect(200).text();
    assert!(text.contains("allergy") && text.contains(HOSPITAL_OITA), "{text}");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_asked_once_however_the_channels_are_named() {
    let channel = |id: &str, tenant: &str, kind: &str| {
        format!(
            "[[channel]]\nid = \"{id}\"\nparticipant = \"hospital-hakodate\"\ntenant = \"{tenant}\"\nkind = \"{kind}\"\n\
             mode = \"lookup\"\nlayout = \"fhir_r4/{kind}\"\npurpose = \"TREAT\"\nfrom = \"2026-01-01\"\n"
        )
    };
    let text = [
        channel("a-oita-infant", "oita", "checkup_infant"),
        channel("b-hakodate-infant", "hakodate", "checkup_infant"),
        channel("c-oita-maternal", "oita", "checkup_maternal"),
    ]
    .concat();
    let hub = Setup::new().registered(&text).start().await;
    let person = Person::number(1, hub.today());
    hub.partner("city-oita").post(REGISTER, &json!([entitlement(&person)])).await.expect(202);
    let checkup = tsunagi_tests::papers::infant_checkup(&person, HOSPITAL_OITA, "I-1", hub.today());
    hub.partner("hospital-oita").post("/fhir/Bundle", &checkup).await.expect(201);
    let hospital = hub.partner("hospital-hakodate");
    let now = hub.clock.now();
    let kept = hospital.post("/fhir/Consent", &consent_of(&person.joined(), now, now + minutes(5))).await.expect(201);
    let found = hospital.get(&search("Bundle", &person)).await.expect(200);
    assert_eq!(found.json()["total"], 1, "one record, told once");
    let log = hub.log("oita").await;
    assert_eq!(log.acts(kept.exchange(), Action::DirectiveRecorded).len(), 1, "one consent, kept once");
    assert_eq!(log.of(found.exchange()).len(), 2, "a leaf for each kind that was asked for");
    hub.finish().await;
}
