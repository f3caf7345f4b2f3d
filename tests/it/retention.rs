//! What is over goes by the sweep of a hub that runs, is counted in the log, and a sweep that fails is said.

use serde_json::{Value, json};
use tokio::sync::watch;
use tsunagi_core::audit::Action;
use tsunagi_gateway::gateway::Running;
use tsunagi_gateway::retention::sweep;
use tsunagi_tests::faulty::{Failing, FaultyStore, Write};
use tsunagi_tests::papers::{HOSPITAL_OITA, OITA, Person, RECIPIENT_SYSTEM, entitlement, immunization};
use tsunagi_tests::{Partner, Setup, TestGateway};

const DAY: i64 = 86_400;

/// How many vaccinations of a child the municipality finds.
async fn found(city: &Partner, child: &Person) -> Value {
    let path = format!("/fhir/Immunization?patient.identifier={RECIPIENT_SYSTEM}|{}", child.joined());
    city.get(&path).await.expect(200).json()["total"].clone()
}

/// Sweeps as the hub would so many days from now.
async fn sweep_in(hub: &TestGateway, days: i64) {
    let (_running, stopping) = watch::channel(false);
    let then = hub.clock.now() + jiff::SignedDuration::from_secs(days * DAY);
    sweep(&hub.running.gateway, then, &stopping).await;
}

/// A desk of the city that may look vaccinations up.
const DESK: &str = "[[participant]]\nid = \"desk-oita\"\nrole = \"municipality\"\nname = \"大分市窓口\"\n\
    organization_code = \"442011\"\ntenant = \"oita\"\n\
    [[channel]]\nid = \"desk-oita-lookup\"\nparticipant = \"desk-oita\"\ntenant = \"oita\"\nkind = \"vaccination\"\n\
    mode = \"lookup\"\nlayout = \"fhir_r4/vaccination\"\npurpose = \"PUBHLTH\"\nfrom = \"2026-01-01\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_vaccination_goes_five_years_after_it_was_given_once_it_was_delivered() {
    let hub = Setup::new().registered(DESK).start().await;
    let (city, desk, hospital) = (hub.partner("city-oita"), hub.partner("desk-oita"), hub.partner("hospital-oita"));
    let child = Person::number(0, hub.today());
    let registered = json!([entitlement(&child)]);
    city.post("/pmh/v1/medicalSubsidy/registrationTasks", &registered).await.expect(202);
    let body = immunization(&child, HOSPITAL_OITA, OITA, "DOC-1", hub.today());
    hospital.post("/fhir/Immunization", &body).await.expect(201);
    assert_eq!(found(&desk, &child).await, 1);

    sweep_in(&hub, 5 * 365).await;
    assert_eq!(found(&desk, &child).await, 1, "two days are missing");
    sweep_in(&hub, 6 * 365).await;
    assert_eq!(found(&desk, &child).await, 1, "it waits in the mailbox");
    let pulled = city.get("/v1/mailbox").await.expect(200);
    city.post("/v1/mailbox/ack", &json!({ "batch": pulled.header("tsunagi-batch") })).await.expect(200);
    sweep_in(&hub, 6 * 365).await;
    assert_eq!(found(&desk, &child).await, 0);

    let log = hub.log("oita").await;
    let purged: Vec<_> = log.events.iter().filter(|event| event.action == Action::RecordsPurged).collect();
    let reasons: Vec<&str> = purged.iter().filter_map(|event| event.reason.as_deref()).collect();
    assert!(reasons.iter().any(|reason| reason.contains("versions:") && !reason.contains("versions:0")), "{reasons:?}");
    assert!(purged.iter().all(|event| event.subject.is_none() && event.records.is_empty()), "counts only");
    let (_, metrics) = hub.operations("/metrics").await;
    assert!(metrics.contains("tsunagi_purged_total{what=\"record\"}"), "{metrics}");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_fails_is_said_and_the_hub_is_ready_all_the_same() {
    for how in Failing::PAIR {
        let mut hub = TestGateway::start().await;
        let (store, _failures) = FaultyStore::before(hub.store());
        let running = Box::pin(Running::start_on(hub.config.clone(), hub.clock.clone(), store.clone())).await.unwrap();
        std::mem::replace(&mut hub.running, running).drain().await;
        // The sweep of the start may still be under way and meet what is to fail: it is said all the same, until the next.
        let fault = loop {
            store.fail(Write::Purge, how);
            sweep_in(&hub, 0).await;
            if let Some(fault) = hub.running.gateway.retention.fault() {
                break fault;
            }
        };
        assert!(fault.contains("the disk was pulled out"), "{fault}");
        store.fail(Write::Purge, how);
        let (status, body) = hub.operations("/readyz").await;
        let told: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &told["ready"]), (200, &json!(true)));
        while !store.has_failed_all() {
            sweep_in(&hub, 0).await;
        }
        sweep_in(&hub, 0).await;
        let (_, body) = hub.operations("/readyz").await;
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["retention"], "ok");
        hub.finish().await;
    }
}
