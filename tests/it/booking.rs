//! Booking checks: when the next dose may be given, to whom it is told, and what is asked for instead of guessed.

use http::Method;
use jiff::SignedDuration;
use jiff::civil::date;
use serde_json::{Value, json};
use tsunagi_core::audit::{Action, EventOutcome};
use tsunagi_tests::papers::{Person, RECIPIENT_SYSTEM, consent_of, entitlement};
use tsunagi_tests::{Reply, Setup, TestGateway};

use crate::doses::{FIRST, REGISTER, VACCINATIONS, known_dose};

const RECOMMENDATION: &str = "/fhir/ImmunizationRecommendation";

const CITY_LOOKS_UP: &str = "[[channel]]\nid = \"city-oita-lookup\"\nparticipant = \"city-oita\"\ntenant = \"oita\"\n\
    kind = \"vaccination\"\nmode = \"lookup\"\nlayout = \"fhir_r4/vaccination\"\npurpose = \"PUBHLTH\"\nfrom = \"2026-01-01\"\n";

fn ask(person: &Person, rest: &str) -> String {
    format!("{RECOMMENDATION}?patient.identifier={RECIPIENT_SYSTEM}|{}{rest}", person.joined())
}

/// The one recommendation of an answer for one vaccine.
fn recommended(reply: &Reply, vaccine: &str) -> Value {
    let found = reply.json();
    let list = found["entry"][0]["resource"]["recommendation"].as_array().cloned().unwrap_or_default();
    let is_of = |one: &&Value| one["vaccineCode"][0]["coding"][0]["code"] == vaccine;
    list.iter().find(is_of).unwrap_or_else(|| panic!("{vaccine}: {found}")).clone()
}

fn criterion(one: &Value, loinc: &str) -> Value {
    let list = one["dateCriterion"].as_array().cloned().unwrap_or_default();
    let found = list.into_iter().find(|date| date["code"]["coding"][0]["code"] == loinc);
    found.map(|date| date["value"].clone()).unwrap_or_default()
}

fn forecast(one: &Value) -> &str {
    one["forecastStatus"]["coding"][0]["code"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_check_says_when_the_next_dose_may_be_given() {
    let hub = Setup::new().registered(CITY_LOOKS_UP).start().await;
    let (city, hospital) = (hub.partner("city-oita"), hub.partner("hospital-oita"));
    let person = Person::number(1, hub.today());
    let rows = [
        known_dose(&person, "hepatitis_b", 1, FIRST, Some(date(2026, 1, 15))),
        known_dose(&person, "hib", 1, FIRST, None),
    ];
    city.post(VACCINATIONS, &json!(rows)).await.expect(202);
    let now = hub.clock.now();
    let consent = consent_of(&person.joined(), now, now + SignedDuration::from_mins(5));
    hospital.post("/fhir/Consent", &consent).await.expect(201);
    for partner in [&city, &hospital] {
        let reply = partner.get(&ask(&person, "&date=2026-04-10")).await.expect(200);
        assert_eq!(reply.json()["total"], 1, "{}", reply.text());
        let hepatitis = recommended(&reply, "hepatitis_b");
        assert_eq!((forecast(&hepatitis), &hepatitis["doseNumberPositiveInt"]), ("due", &json!(2)));
        assert_eq!(criterion(&hepatitis, "30981-5"), "2026-04-29");
        assert_eq!(criterion(&hepatitis, "59777-3"), "2027-01-14");
        assert_eq!(hepatitis["supportingImmunization"].as_array().unwrap().len(), 1);
        let hib = recommended(&reply, "hib");
        assert_eq!((criterion(&hib, "30981-5"), criterion(&hib, "30980-7")), (json!("2026-04-29"), Value::Null));
        assert!(hib["forecastReason"][0]["text"].as_str().unwrap().contains("2026-04-22"), "{hib}");
        let log = hub.log("oita").await;
        let [leaf] = log.acts(reply.exchange(), Action::LookupAnswered)[..] else { panic!("one leaf") };
        assert_eq!((leaf.outcome, leaf.records.len()), (EventOutcome::Done, 2));
    }
    // Of a vaccine that was not begun, only if it is named; the days of its age come from the date of birth.
    let bcg = hospital.get(&ask(&person, "&vaccine-type=bcg&date=2026-05-01")).await.expect(200);
    let bcg = recommended(&bcg, "bcg");
    assert_eq!((criterion(&bcg, "30981-5"), criterion(&bcg, "30980-7")), (json!("2026-05-01"), json!("2026-06-15")));
    let named = "&vaccine-type=urn:tsunagi:code:vaccine_kind|rotavirus_1&date=2026-05-01";
    let closed = hospital.get(&ask(&person, named)).await.expect(200);
    let closed = recommended(&closed, "rotavirus_1");
    assert_eq!((forecast(&closed), criterion(&closed, "59777-3")), ("closed", json!("2026-04-29")));
    for (vaccine, status) in [("hpv_9", "needs_sex"), ("rsv_maternal", "needs_gestation"), ("zoster", "not_scheduled")]
    {
        let reply = hospital.get(&ask(&person, &format!("&vaccine-type={vaccine}"))).await.expect(200);
        let one = recommended(&reply, vaccine);
        assert_eq!((forecast(&one), one.get("dateCriterion")), (status, None), "{one}");
    }
    for wrong in ["&vaccine-type=frog", "&date=ge2026-04-01", "&name=x"] {
        hospital.get(&ask(&person, wrong)).await.expect(400);
    }
    hospital.get(RECOMMENDATION).await.expect(400);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_check_neither_guesses_nor_tells_who_is_known() {
    let hub = TestGateway::start().await;
    let (city, hospital) = (hub.partner("city-oita"), hub.partner("hospital-oita"));
    let people: Vec<Person> = (0..5).map(|n| Person::number(n, hub.today())).collect();
    let rows: Vec<Value> = people[..4].iter().map(|p| known_dose(p, "hepatitis_b", 1, FIRST, None)).collect();
    city.post(VACCINATIONS, &json!(rows)).await.expect(202);
    let mut hidden = entitlement(&people[3]);
    hidden["isNotDisclosed"] = json!(true);
    let now = hub.clock.now();
    let consent = |person: &Person| consent_of(&person.joined(), now, now + SignedDuration::from_mins(5));
    for person in [&people[0], &people[3]] {
        hospital.post("/fhir/Consent", &consent(person)).await.expect(201);
    }
    city.post(REGISTER, &json!([hidden])).await.expect(202);
    // Only a class in which no dose can be told.
    let mut narrow = consent(&people[1]);
    narrow["provision"]["securityLabel"] = json!([{ "system": "urn:tsunagi:disclosure-class", "code": "whereabouts" }]);
    hospital.post("/fhir/Consent", &narrow).await.expect(201);

    let whole = hospital.get(&ask(&people[0], "")).await.expect(200);
    let one = recommended(&whole, "hepatitis_b");
    assert_eq!((forecast(&one), one.get("dateCriterion")), ("needs_birth_date", None), "{one}");
    let part = hospital.get(&ask(&people[1], "&vaccine-type=hepatitis_b")).await.expect(200);
    let one = recommended(&part, "hepatitis_b");
    assert_eq!((forecast(&one), one.get("dateCriterion")), ("needs_history", None), "{one}");
    assert_eq!(one.get("supportingImmunization"), None);

    let mut nothing = Vec::new();
    for person in [&people[2], &people[3], &people[4]] {
        nothing.push(hospital.get(&ask(person, "&vaccine-type=hepatitis_b")).await.expect(200).essence());
    }
    let search = format!("/fhir/Immunization?patient.identifier={RECIPIENT_SYSTEM}|{}", people[4].joined());
    nothing.push(hospital.get(&search).await.expect(200).essence());
    assert!(nothing.windows(2).all(|pair| pair[0] == pair[1]), "{nothing:?}");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_citizens_app_may_ask_for_the_citizen() {
    let hub = TestGateway::start().await;
    let (city, app) = (hub.partner("city-oita"), hub.partner("app-techo"));
    let person = Person::number(1, hub.today());
    let row = known_dose(&person, "hepatitis_b", 1, FIRST, Some(date(2026, 1, 15)));
    city.post(VACCINATIONS, &json!([row])).await.expect(202);
    let link = json!({
        "system": "recipient", "value": person.joined(), "issuer": tsunagi_tests::ISSUER, "sub": "parent-1",
        "relationship": "proxy",
    });
    city.post("/v1/links", &link).await.expect(201);
    let auth = hub.bearer("parent-1", "app-techo");
    let headers = [("authorization", auth.as_str()), ("content-type", "application/json")];
    let before = app.send(Method::GET, RECOMMENDATION, &headers, "").await.expect(200);
    assert_eq!(before.json()["total"], 0, "no consent yet");
    let body = json!({ "effect": "permit", "recipient": { "participant": "app-techo" } });
    app.send(Method::POST, "/app/v1/consents", &headers, body.to_string()).await.expect(201);
    let path = format!("{RECOMMENDATION}?date=2026-04-10");
    let reply = app.send(Method::GET, &path, &headers, "").await.expect(200);
    assert_eq!(criterion(&recommended(&reply, "hepatitis_b"), "30981-5"), "2026-04-29");
    let patient = &reply.json()["entry"][0]["resource"]["patient"];
    assert_eq!(patient["identifier"]["value"], person.joined(), "{patient}");
    hub.finish().await;
}
