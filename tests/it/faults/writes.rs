//! Each write of the gateway fails, in the two ways that look the same: it did not happen, or it did and only the
//! answer was lost. Never is there a receipt or a byte of data that rests on it; and the same sent again does what was
//! meant, once.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tsunagi_core::audit::Action;
use tsunagi_core::exchange::{DeliveryState, DeliveryView};
use tsunagi_gateway::gateway::Running;
use tsunagi_store::{AuditLog, DeliveryFilter, Outbox};
use tsunagi_tests::destination::Destination;
use tsunagi_tests::faulty::{Failing, FaultyStore, Write};
use tsunagi_tests::papers::{
    HOSPITAL_OITA, OITA, Person, RECIPIENT_SYSTEM, consent, consent_of, eligibility, entitlement, immunization,
    maternal_csv,
};
use tsunagi_tests::{ISSUER, Pair, Partner, Reply, Setup, TestGateway};

const REGISTRATION: &str = "/pmh/v1/medicalSubsidy/registrationTasks";
const FHIR: (&str, &str) = ("content-type", "application/fhir+json");
const JSON: (&str, &str) = ("content-type", "application/json");
const CITIZEN: &str = "guardian-7";

/// Another child that the hub knows.
const OTHER: usize = 90_000;

/// A hub on a store that fails when it is told to, with a child that it knows.
struct Shaky {
    hub: TestGateway,
    store: Arc<FaultyStore>,
    failures: UnboundedReceiver<Write>,
    child: Person,
    hospital: Partner,
    city: Partner,
}

impl Shaky {
    async fn new(setup: Setup) -> Self {
        let mut hub = setup.start().await;
        let (store, failures) = FaultyStore::before(hub.store());
        let (config, clock) = (hub.config.clone(), hub.clock.clone());
        let running = Box::pin(Running::start_on(config, clock, store.clone())).await.unwrap();
        std::mem::replace(&mut hub.running, running).drain().await;
        let child = Person::number(0, hub.today());
        let (hospital, city) = (hub.partner("hospital-oita"), hub.partner("city-oita"));
        let rows = [entitlement(&child), entitlement(&Person::number(OTHER, hub.today()))];
        city.post(REGISTRATION, &json!(rows)).await.expect(202);
        Self { hub, store, failures, child, hospital, city }
    }

    /// The child's vaccination under a document number.
    fn vaccination(&self, number: &str) -> Value {
        immunization(&self.child, HOSPITAL_OITA, OITA, number, self.hub.today())
    }

    async fn report(&self, number: &str) -> Reply {
        self.hospital.post("/fhir/Immunization", &self.vaccination(number)).await
    }

    /// Everything may be read by this hospital for an hour.
    fn consent(&self) -> Value {
        let now = self.hub.clock.now();
        consent_of(&self.child.joined(), now, now + jiff::SignedDuration::from_hours(1))
    }

    async fn search(&self) -> Reply {
        self.hospital
            .get(&format!("/fhir/Immunization?patient.identifier={RECIPIENT_SYSTEM}|{}", self.child.joined()))
            .await
    }

    async fn deliveries(&self) -> Vec<DeliveryView> {
        let filter = DeliveryFilter { state: None, limit: 1_000 };
        self.store.deliveries(&"oita".parse().unwrap(), &filter).await.unwrap()
    }

    /// How often a record was accepted, and how many records that made.
    async fn accepted(&self) -> (usize, usize) {
        let log = self.hub.log("oita").await;
        let accepted: Vec<_> = log.events.iter().filter(|event| event.action == Action::RecordAccepted).collect();
        let records: BTreeSet<_> = accepted.iter().flat_map(|event| &event.records).map(|(id, _)| id).collect();
        (accepted.len(), records.len())
    }

    /// Lets time pass until whoever holds a lease has lost it.
    fn let_leases_end(&self) {
        self.hub.clock.shift(i64::try_from(self.hub.config.delivery.lease.as_secs()).unwrap() + 1);
    }

    async fn finish(self) -> impl Sized {
        assert!(self.store.has_failed_all(), "a write that was to fail was never made");
        self.hub.finish().await
    }
}

/// The answer to a request whose write failed: try again later, and nothing else.
#[track_caller]
fn assert_unavailable(reply: &Reply, child: &Person) {
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (503, "unavailable"), "{}", reply.text());
    assert!(reply.header("retry-after").parse::<u32>().is_ok_and(|secs| secs > 0));
    for secret in child.secrets() {
        assert!(!reply.text().contains(secret), "{}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submit_that_failed_has_no_receipt_and_is_kept_once_when_it_is_sent_again() {
    for how in Failing::PAIR {
        let shaky = Shaky::new(Setup::new()).await;
        let body = shaky.vaccination("F-1").to_string();
        let send = async || {
            let headers = [FHIR, ("idempotency-key", "key-1")];
            shaky.hospital.send(Method::POST, "/fhir/Immunization", &headers, body.clone()).await
        };
        shaky.store.fail(Write::Accept, how);
        let failed = send().await;
        assert_unavailable(&failed, &shaky.child);
        assert_eq!(failed.header("location"), "");
        let receipt = send().await.expect(201);
        let again = send().await;
        assert_eq!(again.exchange(), receipt.exchange(), "{how:?}");
        let view = shaky.hospital.get(&format!("/v1/exchanges/{}", receipt.exchange())).await.expect(200).json();
        assert_eq!((view["rows"].as_array().unwrap().len(), view["deliveries"].as_array().unwrap().len()), (1, 1));
        // The two entitlements, and this.
        assert_eq!(shaky.accepted().await, (3, 3), "{how:?}");
        assert_eq!(shaky.deliveries().await.len(), 1);
        shaky.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submit_without_a_key_that_failed_is_still_one_record_when_it_is_sent_again() {
    for how in Failing::PAIR {
        let shaky = Shaky::new(Setup::new()).await;
        shaky.store.fail(Write::Accept, how);
        assert_unavailable(&shaky.report("F-1").await, &shaky.child);
        let again = shaky.report("F-1").await;
        assert_eq!(again.status, if how == Failing::After { 200 } else { 201 }, "{}", again.text());
        assert_eq!(shaky.accepted().await.1, 3, "{how:?}");
        assert_eq!(shaky.deliveries().await.len(), 1, "{how:?}");
        shaky.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_several_transactions_that_broke_off_is_finished_by_sending_it_again() {
    // One transaction takes a thousand rows.
    const ROWS: usize = 1_200;
    for how in Failing::PAIR {
        let shaky = Shaky::new(Setup::new()).await;
        let people = (1..=ROWS).map(|n| entitlement(&Person::number(n, shaky.hub.today())));
        let body = json!(people.collect::<Vec<_>>()).to_string();
        let send = async || {
            let headers = [JSON, ("idempotency-key", "long-1")];
            shaky.city.send(Method::POST, REGISTRATION, &headers, body.clone()).await
        };
        shaky.store.fail_after(1, Write::Accept, how);
        assert_unavailable(&send().await, &shaky.child);
        let task = send().await.expect(202).json();
        let registered = task["results"].as_array().unwrap();
        let numbers: BTreeSet<u64> = registered.iter().filter_map(|row| row["row"].as_u64()).collect();
        assert_eq!((registered.len(), numbers.len()), (ROWS, ROWS));
        assert!(registered.iter().all(|row| row["status"] == "registered"), "{how:?}");
        assert_eq!(shaky.accepted().await, (ROWS + 2, ROWS + 2), "{how:?}");
        shaky.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_whose_leaf_failed_gives_no_data() {
    for how in Failing::PAIR {
        let shaky = Shaky::new(Setup::new()).await;
        shaky.report("F-1").await.expect(201);
        shaky.hospital.post("/fhir/Consent", &shaky.consent()).await.expect(201);
        let found = shaky.search().await.expect(200);
        assert!(found.text().contains("F-1"));
        shaky.store.fail(Write::Note, how);
        let failed = shaky.search().await;
        assert_unavailable(&failed, &shaky.child);
        assert!(!failed.text().contains("F-1"), "{}", failed.text());
        assert_eq!(shaky.search().await.expect(200).json()["total"], found.json()["total"]);

        let record = found.json()["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
        shaky.store.fail(Write::Note, how);
        assert_unavailable(&shaky.hospital.get(&format!("/fhir/Immunization/{record}")).await, &shaky.child);
        shaky.hospital.get(&format!("/fhir/Immunization/{record}")).await.expect(200);

        // With the consent that came along: it is kept with the leaf, or not at all.
        let now = shaky.hub.clock.now();
        let attested = consent(now, now + jiff::SignedDuration::from_hours(1));
        let asked = eligibility(&shaky.child.joined(), Some(attested));
        let path = "/fhir/CoverageEligibilityRequest/$submit";
        shaky.store.fail(Write::Note, how);
        let failed = shaky.hospital.post(path, &asked).await;
        assert_unavailable(&failed, &shaky.child);
        assert!(!failed.text().contains("inforce"), "{}", failed.text());
        assert_eq!(shaky.hospital.post(path, &asked).await.expect(200).json()["insurance"][0]["inforce"], true);
        shaky.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn not_available_is_said_only_once_the_log_holds_it() {
    let shaky = Shaky::new(Setup::new()).await;
    let asked = eligibility("81440018:9999990", None);
    let path = "/fhir/CoverageEligibilityRequest/$submit";
    shaky.store.fail(Write::Note, Failing::Before);
    assert_unavailable(&shaky.hospital.post(path, &asked).await, &shaky.child);
    assert_eq!(shaky.hospital.post(path, &asked).await.expect(404).code(), "not_available");
    // So it is with the refusal of a whole exchange.
    shaky.store.fail(Write::Note, Failing::Before);
    assert_unavailable(&shaky.hospital.post("/v1/requests", &json!({})).await, &shaky.child);
    shaky.hospital.post("/v1/requests", &json!({})).await.expect(400);
    shaky.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_leaf_failed_on_either_side_gives_no_data() {
    let shaky = Shaky::new(Setup::new()).await;
    let path = "/v1/files/municipal_csv/checkup_maternal_legacy";
    let file = tsunagi_tests::papers::cp932(&maternal_csv(&shaky.child, "M-1"));
    let csv = ("content-type", "text/csv; charset=Shift_JIS");
    assert_eq!(shaky.city.send(Method::POST, path, &[csv], file).await.expect(202).json()["accepted"], 1);
    let asked = json!({
        "purpose": "PUBHLTH", "legalBasis": "母子保健法19条の2", "tenants": ["oita"], "kinds": ["checkup_maternal"],
        "subject": { "system": "maternal_handbook", "value": shaky.child.handbook },
    });
    let asking = shaky.hub.partner("city-hakodate");
    // The first leaf is the asking side's own, the second that of the side that is asked.
    for leaf in [0, 1] {
        for how in Failing::PAIR {
            shaky.store.fail_after(leaf, Write::Note, how);
            let failed = asking.post("/v1/requests", &asked).await;
            assert_unavailable(&failed, &shaky.child);
            assert!(!failed.text().contains("visitedOn"), "{}", failed.text());
        }
    }
    let answer = asking.post("/v1/requests", &asked).await.expect(200);
    assert_eq!(answer.json()["ledger"][0]["outcome"], "answered");
    assert!(shaky.store.has_failed_all());
    let (store, public_key) = (shaky.store.clone(), shaky.hub.running.gateway.signer.public_key());
    shaky.hub.running.drain().await;
    for tenant in ["oita", "hakodate", "hub"] {
        let verdict = store.verify(&tenant.parse().unwrap(), &public_key, &|_| {}).await.unwrap();
        assert_eq!((verdict.fault, verdict.sealed), (None, verdict.leaves), "{tenant}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_that_failed_holds_as_the_store_says_and_can_be_given_again() {
    for how in Failing::PAIR {
        let shaky = Shaky::new(Setup::new()).await;
        shaky.report("F-1").await.expect(201);
        let given = shaky.consent();
        shaky.store.fail(Write::RecordDirective, how);
        assert_unavailable(&shaky.hospital.post("/fhir/Consent", &given).await, &shaky.child);
        let found = shaky.search().await.expect(200).json()["total"].as_u64();
        assert_eq!(found, Some(u64::from(how == Failing::After)), "{how:?}");
        shaky.hospital.post("/fhir/Consent", &given).await.expect(201);
        assert_eq!(shaky.search().await.expect(200).json()["total"], 1);
        shaky.finish().await;
    }
}

/// The app's side: linked, consent given, withdrawn; each write fails first.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_citizen_withdraws_is_withdrawn_whatever_failed_on_the_way() {
    for how in Failing::PAIR {
        let shaky = Shaky::new(Setup::new()).await;
        shaky.report("F-1").await.expect(201);
        let app = shaky.hub.partner("app-techo");
        let bearer = shaky.hub.bearer(CITIZEN, "app-techo");
        let headers = [JSON, ("authorization", &bearer), ("idempotency-key", "consent-1")];
        let read = async || app.send(Method::GET, "/app/v1/records?kind=vaccination", &headers[1..2], "").await;

        let link = json!({
            "system": "recipient", "value": shaky.child.joined(), "issuer": ISSUER, "sub": CITIZEN,
            "relationship": "proxy",
        });
        shaky.store.fail(Write::LinkSubject, how);
        assert_unavailable(&shaky.city.post("/v1/links", &link).await, &shaky.child);
        shaky.city.post("/v1/links", &link).await.expect(201);
        read().await.expect(404);

        let consent = json!({ "effect": "permit", "recipient": { "participant": "app-techo" } }).to_string();
        let give = async || app.send(Method::POST, "/app/v1/consents", &headers, consent.clone()).await;
        shaky.store.fail(Write::RecordDirective, how);
        assert_unavailable(&give().await, &shaky.child);
        let given = give().await.expect(201).json();
        shaky.store.fail(Write::Note, how);
        let failed = read().await;
        assert_unavailable(&failed, &shaky.child);
        assert!(!failed.text().contains("F-1"));
        assert!(read().await.expect(200).text().contains("F-1"));

        let consents = given["consents"].as_array().unwrap();
        assert_eq!(consents.len(), 1);
        let path = format!("/app/v1/consents/{}", consents[0]["id"].as_str().unwrap());
        let withdraw = async || app.send(Method::DELETE, &path, &headers[1..2], "").await;
        shaky.store.fail(Write::WithdrawDirective, how);
        assert_unavailable(&withdraw().await, &shaky.child);
        withdraw().await.expect(200);
        // Given once under one key, withdrawn once: nothing is left that would still permit.
        let left = read().await;
        assert_eq!(left.status, 404, "{how:?}: a consent that was withdrawn still permits: {}", left.text());
        shaky.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_failed_loses_nothing_and_gives_nothing_twice_at_a_time() {
    for how in Failing::PAIR {
        let mut shaky = Shaky::new(Setup::new()).await;
        shaky.report("F-1").await.expect(201);
        // The claim: if it did happen, the delivery is leased to nobody who knows of it, until the lease is over. The
        // channels are looked at in the order of their ids; that of vaccinations is the third.
        shaky.store.fail_after(2, Write::ClaimDue, how);
        assert_unavailable(&shaky.city.get("/v1/mailbox").await, &shaky.child);
        if how == Failing::After {
            shaky.city.get("/v1/mailbox").await.expect(204);
            shaky.let_leases_end();
        }
        // The leaf of the disclosure: no leaf, no bytes.
        shaky.store.fail(Write::Note, how);
        let failed = shaky.city.get("/v1/mailbox").await;
        assert_unavailable(&failed, &shaky.child);
        shaky.city.get("/v1/mailbox").await.expect(204);
        shaky.let_leases_end();
        let pulled = shaky.city.get("/v1/mailbox").await.expect(200);
        assert_eq!(pulled.header("tsunagi-batch-rows"), "1");

        let said = json!({ "batch": pulled.header("tsunagi-batch") });
        shaky.store.fail(Write::Settle, how);
        assert_unavailable(&shaky.city.post("/v1/mailbox/ack", &said).await, &shaky.child);
        let again = shaky.city.post("/v1/mailbox/ack", &said).await.expect(200).json();
        assert_eq!(again["settled"], u64::from(how == Failing::Before), "{how:?}");
        shaky.let_leases_end();
        shaky.city.get("/v1/mailbox").await.expect(204);
        let deliveries = shaky.deliveries().await;
        assert_eq!(deliveries.iter().map(|d| d.state).collect::<Vec<_>>(), [DeliveryState::Delivered]);
        let mut failed = Vec::new();
        while let Ok(write) = shaky.failures.try_recv() {
            failed.push(write);
        }
        assert_eq!(failed, [Write::ClaimDue, Write::Note, Write::Settle]);
        shaky.finish().await;
    }
}

/// A hub that pushes vaccinations to the city's own server.
async fn pushing() -> (Shaky, Destination) {
    let setup = Setup::new()
        .set("delivery.poll_interval_ms", 20)
        .set("delivery.retry_first_secs", 600)
        .set("delivery.retry_longest_secs", 600);
    let shaky = Shaky::new(setup).await;
    let now = shaky.hub.clock.now().as_second();
    let pair = Pair::of(shaky.hub.authority().issue_server(&["localhost".to_owned()], now, 90).unwrap());
    let server = Destination::start(&pair, &shaky.hub.folder.path().join("ca/root.pem")).await;
    shaky
        .hub
        .import(&format!(
            r#"
            [[endpoint]]
            id = "city"
            participant = "city-oita"
            url = "{}"

            [[channel]]
            id = "city-oita-deliver-oita-municipal-csv-vaccination-legacy"
            participant = "city-oita"
            tenant = "oita"
            kind = "vaccination"
            mode = "deliver"
            layout = "municipal_csv/vaccination_legacy"
            purpose = "PUBHLTH"
            endpoint = "city"
            from = "2026-01-01"
            "#,
            server.url()
        ))
        .await;
    (shaky, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_could_not_be_recorded_is_sent_again_under_its_key() {
    let (mut shaky, mut server) = pushing().await;
    shaky.store.fail(Write::Settle, Failing::Before);
    shaky.report("F-1").await.expect(201);
    let call = server.call().await;
    let key = call.key.clone();
    call.answer(200);
    assert_eq!(shaky.failures.recv().await, Some(Write::Settle));
    shaky.let_leases_end();
    let again = server.call().await;
    assert_eq!(again.key, key, "the receiver can tell that it is the same");
    again.answer(200);

    // Recorded, and only the answer was lost: not sent again.
    shaky.store.fail(Write::Settle, Failing::After);
    shaky.report("F-2").await.expect(201);
    let call = server.call().await;
    assert_ne!(call.key, key);
    call.answer(200);
    assert_eq!(shaky.failures.recv().await, Some(Write::Settle));
    shaky.let_leases_end();
    shaky.report("F-3").await.expect(201);
    let call = server.call().await;
    assert!(call.text().contains("F-3"), "{}", call.text());
    call.answer(200);
    let store = shaky.store.clone();
    let _stands_on = shaky.finish().await;
    let filter = DeliveryFilter { state: None, limit: 10 };
    let found = store.deliveries(&"oita".parse().unwrap(), &filter).await.unwrap();
    assert!(found.len() == 3 && found.iter().all(|d| d.state == DeliveryState::Delivered), "{found:?}");
    assert!(server.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_pushed_whose_leaf_was_not_written() {
    for how in Failing::PAIR {
        let (mut shaky, mut server) = pushing().await;
        shaky.store.fail(Write::Note, how);
        shaky.report("F-1").await.expect(201);
        assert_eq!(shaky.failures.recv().await, Some(Write::Note));
        // Another child's arrives: by then the attempt before it is settled, for a channel has one worker.
        let other = Person::number(OTHER, shaky.hub.today());
        let body = immunization(&other, HOSPITAL_OITA, OITA, "F-2", shaky.hub.today());
        shaky.hospital.post("/fhir/Immunization", &body).await.expect(201);
        let call = server.call().await;
        assert!(call.text().contains("F-2"), "{}", call.text());
        call.answer(200);
        shaky.hub.clock.shift(601);
        let call = server.call().await;
        assert!(call.text().contains("F-1"));
        call.answer(200);
        shaky.finish().await;
        assert!(server.is_quiet(), "it was sent twice");
    }
}

/// The subject changed between the claim and the leaf, as when another record of it comes in: that is nobody's failure,
/// and no reason to wait as after one.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_whose_subject_moved_is_decided_again_at_once() {
    let (mut shaky, mut server) = pushing().await;
    shaky.store.fail(Write::Note, Failing::Stale);
    shaky.report("F-1").await.expect(201);
    assert_eq!(shaky.failures.recv().await, Some(Write::Note));
    // The clock stands still.
    let call = server.call().await;
    assert!(call.text().contains("F-1"));
    call.answer(200);
    shaky.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_that_failed_is_made_again() {
    for how in Failing::PAIR {
        let mut shaky = Shaky::new(Setup::new().set("sealing.interval_ms", 20)).await;
        shaky.store.fail(Write::AppendSeal, how);
        shaky.report("F-1").await.expect(201);
        assert_eq!(shaky.failures.recv().await, Some(Write::AppendSeal));
        shaky.report("F-2").await.expect(201);
        // Every leaf is sealed and every log verifies.
        shaky.finish().await;
    }
}
