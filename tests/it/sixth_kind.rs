//! A sixth record kind from a folder of files alone. The gateway that serves it here is the one that was built before the
//! kind was written.

use std::path::Path;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tsunagi_core::id::KindName;
use tsunagi_gateway::gateway::load_tables;
use tsunagi_mappings::Tables;
use tsunagi_tests::papers::{HOSPITAL_OITA, OITA, Person, consent_about, entitlement};
use tsunagi_tests::{ISSUER, Setup, TestGateway};

const KIND: &str = include_str!("sixth_kind/kind.toml");
const PMH: &str = include_str!("sixth_kind/pmh_api.toml");
const FHIR: &str = include_str!("sixth_kind/fhir_r4.toml");
const CODES: &str = include_str!("sixth_kind/care_place.csv");
const WORDS: &str = include_str!("sixth_kind/word_care_place__care_place.csv");
const RULES: &str = include_str!("sixth_kind/rules.toml");
const CASES: &str = include_str!("sixth_kind/cases.toml");
const CHANNELS: &str = include_str!("sixth_kind/channels.toml");
const POLICY: &str = include_str!("../../mappings/policy/default.toml");

const TASKS: &str = "/pmh/v1/postpartumCare/registrationTasks";

fn write_tables(folder: &Path) {
    let files = [
        ("kinds/postpartum_care.toml", KIND.to_owned()),
        ("tables/pmh_api/postpartum_care.toml", PMH.to_owned()),
        ("tables/fhir_r4/postpartum_care.toml", FHIR.to_owned()),
        ("codes/care_place.csv", CODES.to_owned()),
        ("codes/word_care_place__care_place.csv", WORDS.to_owned()),
        ("policy/default.toml", format!("{POLICY}\n{RULES}")),
        ("cases/pmh_api__postpartum_care.toml", CASES.to_owned()),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

async fn hub() -> TestGateway {
    Setup::new()
        .prepare(|folder, _, setup| {
            let tables = folder.join("tables");
            write_tables(&tables);
            setup.put("tables.folder", tables.display());
        })
        .registered(CHANNELS)
        .start()
        .await
}

fn care(mother: &Person, number: &str, place: &str) -> Value {
    json!({
        "handbookNumber": mother.handbook,
        "issuer": { "institutionCode": HOSPITAL_OITA },
        "documentNumber": number,
        "municipalityCode": OITA,
        "caredOn": "2026-11-02",
        "place": place,
        "uses": 3,
        "worries": "ふたごの授乳",
    })
}

#[test]
fn the_built_in_tables_do_not_know_it_and_the_folder_alone_proves_itself() {
    let kind = KindName::parse("postpartum_care").unwrap();
    assert!(Tables::builtin().unwrap().kind(&kind).is_none());
    let folder = tempfile::tempdir().unwrap();
    write_tables(folder.path());
    let tables = Tables::with_folder(folder.path()).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert_eq!(tables.kind(&kind).unwrap().label.ja, "産後ケア記録");
    let failed: Vec<String> = tables.run_cases().iter().map(|failure| format!("{failure:?}")).collect();
    assert_eq!(failed, Vec::<String>::new());
}

#[test]
fn a_folder_with_faults_names_all_of_them_at_once() {
    let folder = tempfile::tempdir().unwrap();
    write_tables(folder.path());
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let broken = KIND.replace("disclosure = \"raw_input\", ", "").replace("type = \"date\"", "type = \"day\"");
    write("kinds/postpartum_care.toml", &broken);
    write("codes/word_care_place__care_place.csv", &WORDS.replace("visit", "nowhere"));
    write("kinds/stray.txt", "?");
    write("policy/default.toml", &format!("{POLICY}\n{}", RULES.replace("\"normal\"", "\"ordinary\"")));
    let faults = Tables::with_folder(folder.path()).expect_err("faulty tables");
    let text = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let line = |part: &str| 1 + broken.lines().position(|line| line.contains(part)).unwrap();
    let (no_class, no_type) = (line("key = \"worries\""), line("key = \"cared_on\""));
    let expected = [
        format!("kinds/postpartum_care.toml:{no_class}"),
        format!("kinds/postpartum_care.toml:{no_type}"),
        "codes/word_care_place__care_place.csv:4".to_owned(),
        "policy/default.toml".to_owned(),
        "kinds/stray.txt".to_owned(),
    ];
    for place in expected {
        assert!(text.contains(&place), "{place} is not named: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_submitted_delivered_looked_up_and_asked_for() {
    let hub = hub().await;
    let mother = Person::number(1, hub.today());
    let (city, hospital) = (hub.partner("city-oita"), hub.partner("hospital-oita"));
    let rows = json!([care(&mother, "C-1", "日帰り"), care(&mother, "C-2", "どこか"), care(&mother, "C-3", "宿泊")]);
    let task = hospital.post(TASKS, &rows).await.expect(202).json();
    let states: Vec<_> = task["results"].as_array().unwrap().iter().map(|row| row["status"].clone()).collect();
    assert_eq!(states, ["registered", "refused", "registered"], "{task}");
    assert_eq!(task["results"][1]["errors"][0]["code"], "unmapped");
    assert_eq!(task["results"][1]["errors"][0]["column"], "/place");

    let pulled = city.get("/v1/mailbox").await.expect(200);
    assert_eq!(pulled.header("tsunagi-layout"), "pmh_api/postpartum_care");
    assert_eq!(pulled.json()[0]["place"], "日帰り");
    let batch = json!({ "batch": pulled.header("tsunagi-batch") });
    assert_eq!(city.post("/v1/mailbox/ack", &batch).await.expect(200).json()["settled"], 2);

    // A hospital, with consent, in FHIR: what the consent does not name stays.
    let handbook = "urn:tsunagi:identifier:maternal-handbook";
    let path = format!("/fhir/Procedure?patient.identifier={handbook}|{}", mother.handbook);
    assert_eq!(hospital.get(&path).await.expect(200).json()["total"], 0);
    let now = hub.clock.now();
    let consent = consent_about(handbook, &mother.handbook, now, now + SignedDuration::from_mins(5));
    hospital.post("/fhir/Consent", &consent).await.expect(201);
    let found = hospital.get(&path).await.expect(200);
    assert_eq!(found.json()["total"], 2, "{}", found.text());
    assert!(found.text().contains("2026-11-02") && !found.text().contains("ふたご"), "{}", found.text());

    // Another municipality, by statute: 産後ケア is part of 母子保健法19条の2.
    let asked = json!({
        "purpose": "PUBHLTH", "legalBasis": "母子保健法19条の2", "tenants": ["oita"], "kinds": ["postpartum_care"],
        "subject": { "system": "maternal_handbook", "value": mother.handbook },
    });
    let answer = hub.partner("city-hakodate").post("/v1/requests", &asked).await.expect(200);
    assert_eq!(answer.json()["ledger"][0]["records"], 2, "{}", answer.text());
    assert_eq!(answer.json()["records"][0]["content"][1]["uses"], 3);
    assert!(!answer.text().contains("ふたご") && !answer.text().contains(HOSPITAL_OITA), "{}", answer.text());
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_rests_beside_the_five_and_is_read_by_the_app() {
    let hub = hub().await;
    let mother = Person::number(1, hub.today());
    let city = hub.partner("city-oita");
    city.post("/pmh/v1/medicalSubsidy/registrationTasks", &json!([entitlement(&mother)])).await.expect(202);
    hub.partner("hospital-oita").post(TASKS, &json!([care(&mother, "C-1", "訪問")])).await.expect(202);
    let link = json!({
        "system": "maternal_handbook", "value": mother.handbook, "issuer": ISSUER, "sub": "herself",
        "relationship": "subject",
    });
    city.post("/v1/links", &link).await.expect(201);
    let app = hub.partner("app-techo");
    let auth = hub.bearer("herself", "app-techo");
    let headers = [("authorization", auth.as_str()), ("content-type", "application/json")];
    let consent = json!({ "effect": "permit", "recipient": { "participant": "app-techo" } }).to_string();
    app.send(http::Method::POST, "/app/v1/consents", &headers, consent).await.expect(201);
    let read = app.send(http::Method::GET, "/app/v1/records?kind=postpartum_care", &headers, "").await.expect(200);
    assert_eq!(read.json()["records"][0]["content"][0]["place"], "訪問", "{}", read.text());
    assert!(!read.text().contains("ふたご"), "{}", read.text());
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_it_up_while_the_hub_runs_and_a_faulty_folder_changes_nothing() {
    let hub = Setup::new()
        .prepare(|folder, _, setup| {
            std::fs::create_dir_all(folder.join("tables")).unwrap();
            setup.put("tables.folder", folder.join("tables").display());
        })
        .registered(CHANNELS)
        .start()
        .await;
    let mother = Person::number(1, hub.today());
    let hospital = hub.partner("hospital-oita");
    let rows = json!([care(&mother, "C-1", "訪問")]);
    hospital.post(TASKS, &rows).await.expect(415);
    write_tables(&hub.folder.path().join("tables"));
    hub.running.gateway.reload().unwrap();
    hospital.post(TASKS, &rows).await.expect(202);
    std::fs::write(hub.folder.path().join("tables/kinds/postpartum_care.toml"), "version = 1\n").unwrap();
    assert!(hub.running.gateway.reload().is_err());
    assert!(load_tables(&hub.config).is_err());
    let task = hospital.post(TASKS, &json!([care(&mother, "C-2", "訪問")])).await.expect(202).json();
    assert_eq!(task["results"][0]["status"], "registered", "the old tables stay");
    hub.finish().await;
}
