//! A subject is shredded beside a running hub: nothing of it is read any more, by anybody, and the log says so.

use http::Method;
use jiff::SignedDuration;
use serde_json::json;
use tsunagi_core::audit::Action;
use tsunagi_tests::papers::{
    HOSPITAL_OITA, OITA, Person, RECIPIENT_SYSTEM, consent, eligibility, entitlement, immunization,
};
use tsunagi_tests::process::run;
use tsunagi_tests::{ISSUER, TestGateway, files_below};

const ELIGIBILITY: &str = "/fhir/CoverageEligibilityRequest/$submit";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_shredded_subject_is_left_in_a_running_hub_or_in_a_copy_made_after() {
    let hub = TestGateway::start().await;
    let people = [0, 1].map(|n| Person::number(n, hub.today()));
    let (city, hospital, app) = (hub.partner("city-oita"), hub.partner("hospital-oita"), hub.partner("app-techo"));
    let path = "/pmh/v1/medicalSubsidy/registrationTasks";
    city.post(path, &json!(people.iter().map(entitlement).collect::<Vec<_>>())).await.expect(202);
    for (n, person) in people.iter().enumerate() {
        let shot = immunization(person, HOSPITAL_OITA, OITA, &format!("V-{n}"), hub.today());
        hospital.post("/fhir/Immunization", &shot).await.expect(201);
    }
    let link = json!({ "system": "recipient", "value": people[0].joined(), "issuer": ISSUER, "sub": "mother", "relationship": "proxy" });
    city.post("/v1/links", &link).await.expect(201);
    let auth = hub.bearer("mother", "app-techo");
    let headers = [("authorization", auth.as_str()), ("content-type", "application/json")];
    let body = json!({ "effect": "permit", "recipient": { "participant": "app-techo" } }).to_string();
    app.send(Method::POST, "/app/v1/consents", &headers, body).await.expect(201);
    app.send(Method::GET, "/app/v1/records", &headers, "").await.expect(200);
    let now = hub.clock.now();
    let ask = |person: &Person| eligibility(&person.joined(), Some(consent(now, now + SignedDuration::from_mins(5))));
    // Asked about, so that the hub remembers both.
    for person in &people {
        hospital.post(ELIGIBILITY, &ask(person)).await.expect(200);
    }
    let wrapped = wrapped_keys(&hub);
    assert_eq!(wrapped.len(), 2);
    let backup = copied(&hub, "before");

    let subject = format!("{RECIPIENT_SYSTEM}|{}", people[0].joined());
    let line = ["subjects", "shred", "--tenant", "oita", "--subject", &subject, "--json"];
    let receipt = run(hub.folder.path(), &[], &line).ended(0).json();
    assert_eq!(
        (&receipt["links"], &receipt["deliveries"], &receipt["log_is_empty"]),
        (&json!(1), &json!(1), &json!(true)),
        "{receipt}"
    );
    let shredded: Vec<_> = wrapped.iter().filter(|(key, _)| *key == receipt["subject"]).collect();
    let others: Vec<_> = wrapped.iter().filter(|(key, _)| *key != receipt["subject"]).collect();
    assert_eq!((shredded.len(), others.len()), (1, 1));
    let stands_in =
        |files: &[Vec<u8>], key: &[u8]| files.iter().any(|file| file.windows(key.len()).any(|at| at == key));
    let after = copied(&hub, "after");
    assert!(
        !stands_in(&after, &shredded[0].1) && stands_in(&after, &others[0].1),
        "the key, as it was wrapped, is in no file"
    );
    assert!(stands_in(&backup, &shredded[0].1), "what was copied before still has it: the page on threats says so");

    // The running hub.
    hospital.post(ELIGIBILITY, &ask(&people[0])).await.expect(404);
    hospital.post(ELIGIBILITY, &ask(&people[1])).await.expect(200);
    app.send(Method::GET, "/app/v1/records", &headers, "").await.expect(404);
    let pulled = city.get("/v1/mailbox").await.expect(200);
    assert_eq!(pulled.header("tsunagi-batch-rows"), "1", "the other one's");
    city.post("/v1/mailbox/ack", &json!({ "batch": pulled.header("tsunagi-batch") })).await.expect(200);
    assert!(!run(hub.folder.path(), &[], &line).stderr.is_empty(), "a second time there is nobody");

    let log = hub.log("oita").await;
    let told: Vec<_> = log.events.iter().filter(|event| event.action == Action::SubjectShredded).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(json!(told[0].subject), receipt["subject"]);
    tsunagi_gateway::sealing::seal_all(&hub.running.gateway).await;
    let leaf = format!("oita/{}", receipt["leaf"]);
    run(hub.folder.path(), &[], &["audit", "proof", &leaf]).ended(0);
    hub.finish().await;
}

/// The files of the store, copied as they lie there. Not read in this process: whoever closes a file of SQLite's in the
/// process that serves lets go of its locks.
fn copied(hub: &TestGateway, name: &str) -> Vec<Vec<u8>> {
    let (data, copy) = (hub.folder.path().join("data"), hub.folder.path().join(name));
    assert!(std::process::Command::new("cp").arg("-r").args([&data, &copy]).status().unwrap().success());
    files_below(&copy).into_iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// The subjects of Oita with their keys as they are stored.
fn wrapped_keys(hub: &TestGateway) -> Vec<(String, Vec<u8>)> {
    let conn = rusqlite::Connection::open(hub.store_path()).unwrap();
    let mut select = conn.prepare("SELECT subject, wrapped FROM subjects WHERE tenant = 'oita'").unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}
