//! Withdrawals of the PMH-style registration (modificationSeg), and members that its layouts do not know.

use serde_json::{Value, json};
use tsunagi_core::audit::Action;
use tsunagi_tests::papers::{OITA, Person, entitlement, registered_vaccination};
use tsunagi_tests::{Partner, Reply, Setup, TestGateway};

use crate::doses::{REGISTER, VACCINATIONS};

/// A second desk of the city, which takes what the first registers.
const SECOND_DESK: &str = "[[participant]]\nid = \"desk-oita\"\nrole = \"municipality\"\nname = \"大分市窓口\"\n\
    organization_code = \"442011\"\ntenant = \"oita\"\n\
    [[channel]]\nid = \"desk-oita-deliver\"\nparticipant = \"desk-oita\"\ntenant = \"oita\"\nkind = \"vaccination\"\n\
    mode = \"deliver\"\nlayout = \"pmh_api/vaccination\"\npurpose = \"PUBHLTH\"\nfrom = \"2026-01-01\"\n\
    [[channel]]\nid = \"desk-oita-lookup\"\nparticipant = \"desk-oita\"\ntenant = \"oita\"\nkind = \"vaccination\"\n\
    mode = \"lookup\"\nlayout = \"fhir_r4/vaccination\"\npurpose = \"PUBHLTH\"\nfrom = \"2026-01-01\"\n";

/// How many records the second desk finds of a person.
async fn found(desk: &Partner, person: &Person) -> Value {
    let system = "urn:tsunagi:identifier:municipality-key";
    let path = format!("/fhir/Immunization?patient.identifier={system}|{}", person.resident);
    desk.get(&path).await.expect(200).json()["total"].clone()
}

/// The record and its version that the one row of an exchange came to.
async fn version(city: &Partner, reply: &Reply) -> (Value, Value) {
    let receipt = city.get(&format!("/v1/exchanges/{}", reply.exchange())).await.expect(200).json();
    let row = &receipt["rows"][0];
    assert_eq!(row["state"], "accepted", "{row}");
    (row["record"].clone(), row["version"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_date_of_a_deletion_wins_the_history_keeps_both_and_an_upsert_revives_the_same_person() {
    let hub = Setup::new().registered(SECOND_DESK).start().await;
    let (city, desk) = (hub.partner("city-oita"), hub.partner("desk-oita"));
    let person = Person::number(1, hub.today());
    let row = |seg: &str, deleted_on: Option<&str>| {
        let mut row = registered_vaccination(&person, OITA, "V-1", hub.today());
        row["modificationSeg"] = json!(seg);
        if let Some(day) = deleted_on {
            row["deletedOn"] = json!(day);
        }
        json!([row])
    };
    let steps = [
        (row("1", None), 1, Action::RecordAccepted),
        (row("2", Some("2026-06-30")), 0, Action::RecordDeleted),
        (row("2", Some("2026-06-15")), 0, Action::RecordDeleted),
        (row("1", None), 1, Action::RecordAccepted),
    ];
    let (mut records, mut subjects) = (Vec::new(), Vec::new());
    for (number, (body, held, action)) in (1..).zip(steps) {
        let reply = city.post(VACCINATIONS, &body).await.expect(202);
        let (record, at) = version(&city, &reply).await;
        assert_eq!((at, found(&desk, &person).await), (json!(number), json!(held)), "version {number}");
        let log = hub.log("oita").await;
        let [event] = log.acts(reply.exchange(), action)[..] else { panic!("one leaf of {action:?}") };
        subjects.push(event.subject.clone().expect("a subject"));
        records.push(record);
    }
    assert!(records.windows(2).all(|pair| pair[0] == pair[1]), "one record: {records:?}");
    assert!(subjects.windows(2).all(|pair| pair[0] == pair[1]), "one person: {subjects:?}");
    // The newest of the two deletions is what a municipality that takes them in order ends with; both were told.
    let pulled = desk.get("/v1/mailbox").await.expect(200).json();
    let said = |row: &Value| (row["modificationSeg"].clone(), row["deletedOn"].clone());
    let told: Vec<_> = pulled.as_array().unwrap().iter().map(said).collect();
    let deleted = |day: &str| (json!("2"), json!(day));
    assert_eq!(told[1..3], [deleted("2026-06-30"), deleted("2026-06-15")], "{told:?}");
    assert_eq!((told.len(), &told[3].0), (4, &told[0].0));
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_the_layout_does_not_know_are_named_in_the_answer() {
    let hub = TestGateway::start().await;
    let city = hub.partner("city-oita");
    let known: Vec<Value> = (0..2).map(|n| entitlement(&Person::number(n, hub.today()))).collect();
    let reply = city.post(REGISTER, &json!(known)).await.expect(202);
    assert_eq!(reply.json().get("unknownColumns"), None, "{}", reply.text());
    let mut rows = known.clone();
    rows[0]["basicFiveInfo"]["nickname"] = json!("秘密");
    rows[1]["isDelted"] = json!(true);
    rows[1]["certificationDetail"] = json!([{ "name": "印字", "value": "あり" }]);
    let reply = city.post(REGISTER, &json!(rows)).await.expect(202);
    let body = reply.json();
    assert_eq!(body["unknownColumns"], json!(["/basicFiveInfo/nickname", "/isDelted"]), "{body}");
    assert!(!reply.text().contains("秘密"), "names, never values");
    hub.finish().await;
}
