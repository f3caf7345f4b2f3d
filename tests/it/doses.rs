//! Doses against the schedule, from outside: what is kept, who is told, and who can tell no difference.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use jiff::civil::{Date, date};
use serde_json::{Value, json};
use tsunagi_core::audit::Action;
use tsunagi_tests::papers::{
    HOSPITAL_HAKODATE, HOSPITAL_OITA, OITA, PAYER, Person, batch, consent_of, entitlement, immunization,
    registered_vaccination,
};
use tsunagi_tests::{Reply, TestGateway};

pub(super) const REGISTER: &str = "/pmh/v1/medicalSubsidy/registrationTasks";
pub(super) const VACCINATIONS: &str = "/pmh/v1/vaccination/registrationTasks";

/// One dose as the municipality registers it.
pub(super) fn dose(person: &Person, vaccine: &str, (term, number): (Option<&str>, u32), on: Date) -> Value {
    let mut row = registered_vaccination(person, OITA, &format!("{vaccine}-{term:?}-{number}"), on);
    row["vaccine"]["kind"] = json!(vaccine);
    row["dose"] = json!({ "number": number });
    if let Some(term) = term {
        row["dose"]["term"] = json!(term);
    }
    row
}

/// One dose as a hospital reports it.
pub(super) fn shot(person: &Person, hospital: &str, vaccine: &str, number: u32, on: Date) -> Value {
    let mut shot = immunization(person, hospital, OITA, &format!("{hospital}-{vaccine}-{number}"), on);
    shot["vaccineCode"]["coding"][0]["code"] = json!(vaccine);
    shot["protocolApplied"][0]["doseNumberPositiveInt"] = json!(number);
    shot["contained"][0].as_object_mut().unwrap().remove("birthDate");
    shot
}

/// The rules that the leaves of an exchange name, one set for each row.
async fn broken(hub: &TestGateway, reply: &Reply) -> Vec<BTreeSet<String>> {
    let log = hub.log("oita").await;
    let acts = log.acts(reply.exchange(), Action::RecordAccepted);
    acts.iter().map(|event| event.rules_broken.clone()).collect()
}

fn interval() -> BTreeSet<String> {
    BTreeSet::from(["interval".to_owned()])
}

/// Vaccine, the dose that is counted from, the dose that comes after it, and the first day for one given on 2026-04-01.
type Rule = (&'static str, (Option<&'static str>, u32), (Option<&'static str>, u32), Date);

pub(super) const FIRST: Date = date(2026, 4, 1);
const RULES: [Rule; 4] = [
    ("hepatitis_b", (None, 1), (None, 2), date(2026, 4, 29)),
    ("hepatitis_b", (None, 1), (None, 3), date(2026, 8, 19)),
    ("pneumococcal_child", (Some("primary"), 3), (Some("booster"), 1), date(2026, 6, 1)),
    ("japanese_encephalitis", (Some("term_1_primary"), 1), (Some("term_1_primary"), 2), date(2026, 4, 8)),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_dose_one_day_early_is_kept_with_a_warning_and_one_on_the_day_without() {
    let hub = TestGateway::start().await;
    let city = hub.partner("city-oita");
    for (n, (vaccine, earlier, later, earliest)) in RULES.into_iter().enumerate() {
        for (is_early, on) in [(true, earliest.yesterday().unwrap()), (false, earliest)] {
            let person = Person::number(n * 2 + usize::from(is_early), hub.today());
            city.post(VACCINATIONS, &json!([dose(&person, vaccine, earlier, FIRST)])).await.expect(202);
            let reply = city.post(VACCINATIONS, &json!([dose(&person, vaccine, later, on)])).await.expect(202);
            let result = &reply.json()["results"][0];
            assert_eq!(result["status"], "registered", "{result}");
            assert_eq!(result.get("warnings").is_some(), is_early, "{vaccine} {on}: {result}");
            if is_early {
                assert_eq!(result["warnings"][0]["code"], "schedule_broken");
                assert_eq!(result["warnings"][0]["column"], "/vaccinatedOn");
                let said = result["warnings"][0]["message"].as_str().unwrap();
                assert!(said.contains("以上あいていません") && !said.contains("2026"), "{said}");
            }
            let expected = if is_early { interval() } else { BTreeSet::new() };
            assert_eq!(broken(&hub, &reply).await, [expected], "{vaccine} {on}");
        }
    }
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doses_of_one_body_count_for_each_other_in_any_order_and_under_any_of_the_identifiers() {
    let hub = TestGateway::start().await;
    let city = hub.partner("city-oita");
    let person = Person::number(1, hub.today());
    let mut first = dose(&person, "hepatitis_b", (None, 1), FIRST);
    let mut second = dose(&person, "hepatitis_b", (None, 2), date(2026, 4, 28));
    let both = dose(&person, "hepatitis_b", (None, 3), date(2026, 8, 18));
    first.as_object_mut().unwrap().remove("myNumber");
    second.as_object_mut().unwrap().remove("municipalityIdentityKey");
    let reply = city.post(VACCINATIONS, &json!([both, second, first])).await.expect(202);
    assert_eq!(broken(&hub, &reply).await, [interval(), interval(), BTreeSet::new()]);
    let results = reply.json()["results"].clone();
    let warned: Vec<_> = (0..3).map(|row| results[row].get("warnings").is_some()).collect();
    assert_eq!(warned, [true, true, false], "{results}");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_an_earlier_version_of_a_dose_nor_one_taken_back_counts() {
    let hub = TestGateway::start().await;
    let city = hub.partner("city-oita");
    let person = Person::number(1, hub.today());
    // Two injected live vaccines want 27 days between them; a dose whose date is put right is not another dose.
    for on in [FIRST, date(2026, 4, 10)] {
        let reply = city.post(VACCINATIONS, &json!([dose(&person, "mr", (None, 1), on)])).await.expect(202);
        assert_eq!(broken(&hub, &reply).await, [BTreeSet::new()], "{on}");
    }
    let close = dose(&person, "varicella", (None, 1), date(2026, 4, 20));
    let reply = city.post(VACCINATIONS, &json!([close])).await.expect(202);
    assert_eq!(broken(&hub, &reply).await, [BTreeSet::from(["between".to_owned()])]);

    let mut gone = dose(&person, "mr", (None, 1), date(2026, 4, 10));
    gone["modificationSeg"] = json!("2");
    let again = dose(&person, "varicella", (None, 1), date(2026, 4, 21));
    let reply = city.post(VACCINATIONS, &json!([gone, again])).await.expect(202);
    assert_eq!(broken(&hub, &reply).await, [BTreeSet::new()], "{}", reply.text());
    hub.finish().await;
}

/// An answer to a submission without what names its record.
fn told(reply: &Reply) -> (u16, Value) {
    (reply.status.as_u16(), reply.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hospital_is_told_of_the_interval_only_where_it_may_look_the_doses_up() {
    let hub = TestGateway::start().await;
    let (city, oita, hakodate) =
        (hub.partner("city-oita"), hub.partner("hospital-oita"), hub.partner("hospital-hakodate"));
    let people: Vec<Person> = (0..4).map(|n| Person::number(n, hub.today())).collect();
    let rows: Vec<Value> = people.iter().map(entitlement).collect();
    city.post(REGISTER, &json!(rows)).await.expect(202);
    // Nothing is held of the first.
    for person in &people[1..] {
        let mut first = dose(person, "hepatitis_b", (None, 1), FIRST);
        first["payerNumber"] = json!(PAYER);
        first["recipientNumber"] = json!(person.recipient);
        city.post(VACCINATIONS, &json!([first])).await.expect(202);
    }
    let now = hub.clock.now();
    let consent = consent_of(&people[2].joined(), now, now + SignedDuration::from_mins(5));
    oita.post("/fhir/Consent", &consent).await.expect(201);
    let mut third = entitlement(&people[3]);
    let consent = consent_of(&people[3].joined(), now, now + SignedDuration::from_mins(5));
    oita.post("/fhir/Consent", &consent).await.expect(201);
    third["isNotDisclosed"] = json!(true);
    city.post(REGISTER, &json!([third])).await.expect(202);

    let early = date(2026, 4, 28);
    let second = |person: usize, hospital: &str| shot(&people[person], hospital, "hepatitis_b", 2, early);
    let nothing_held = oita.post("/fhir/Immunization", &second(0, HOSPITAL_OITA)).await.expect(201);
    assert_eq!(broken(&hub, &nothing_held).await, [BTreeSet::new()]);
    let no_consent = oita.post("/fhir/Immunization", &second(1, HOSPITAL_OITA)).await.expect(201);
    let no_channel = hakodate.post("/fhir/Immunization", &second(1, HOSPITAL_HAKODATE)).await.expect(201);
    let not_disclosed = oita.post("/fhir/Immunization", &second(3, HOSPITAL_OITA)).await.expect(201);
    for (why, reply, partner) in [
        ("no consent", &no_consent, &oita),
        ("no channel", &no_channel, &hakodate),
        ("non-disclosure", &not_disclosed, &oita),
    ] {
        assert_eq!(told(reply), told(&nothing_held), "{why}");
        let receipt = partner.get(&format!("/v1/exchanges/{}", reply.exchange())).await.expect(200).json();
        assert_eq!(receipt["rows"][0]["faults"], json!([]), "{why}");
        assert_eq!(broken(&hub, reply).await, [interval()], "{why}: the municipality's log says it");
        assert!(hub.log("oita").await.acts(reply.exchange(), Action::LookupAnswered).is_empty(), "{why}");
    }

    let warned = oita.post("/fhir/Immunization", &second(2, HOSPITAL_OITA)).await.expect(201);
    assert_eq!(warned.json()["issue"][0]["details"]["coding"][0]["code"], "schedule_broken", "{}", warned.text());
    assert_eq!(broken(&hub, &warned).await, [interval()]);
    let log = hub.log("oita").await;
    let [leaf] = log.acts(warned.exchange(), Action::LookupAnswered)[..] else { panic!("one leaf for what was told") };
    assert_eq!((leaf.records.len(), leaf.bases.len(), leaf.row), (1, 1, Some(1)));
    // In a batch each row is told what may be told of its own person.
    let rows = batch(&[1, 2].map(|n| shot(&people[n], HOSPITAL_OITA, "hepatitis_b", 3, date(2026, 8, 18))));
    let reply = oita.post("/fhir/Bundle", &rows).await.expect(200).json();
    let issues = [0, 1].map(|n| reply["entry"][n]["response"]["outcome"]["issue"][0]["severity"].clone());
    assert_eq!(issues, ["information", "warning"], "{reply}");
    hub.finish().await;
}

/// A dose under every identifier, of a child born on a day.
pub(super) fn known_dose(person: &Person, vaccine: &str, number: u32, on: Date, born: Option<Date>) -> Value {
    let mut row = dose(person, vaccine, (None, number), on);
    row["payerNumber"] = json!(PAYER);
    row["recipientNumber"] = json!(person.recipient);
    if let Some(born) = born {
        row["basicFiveInfo"] = json!({ "dateOfBirth": born });
    }
    row
}
