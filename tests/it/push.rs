//! Push: the hub takes deliveries to a municipality's own server over mutual TLS, at least once and in order.

use serde_json::json;
use tsunagi_certs::Reason;
use tsunagi_core::exchange::DeliveryState;
use tsunagi_core::id::DeliveryId;
use tsunagi_gateway::gateway::{Running, open_signer};
use tsunagi_tests::destination::{Destination, Knock};
use tsunagi_tests::papers::{HOSPITAL_OITA, OITA, Person, entitlement, immunization};
use tsunagi_tests::process::run;
use tsunagi_tests::{Pair, Partner, Setup, TestGateway, check_invariants};

/// The first wait of the schedule, of which chance takes away up to half.
const WAIT_SECS: i64 = 600;

/// How many children the municipality knows.
const CHILDREN: usize = 6;

/// A hub, a municipality with a server of its own, and a hospital.
struct Town {
    hub: TestGateway,
    city: Destination,
    hospital: Partner,
}

impl Town {
    async fn new(setup: Setup) -> Self {
        let hub = quick(setup).start().await;
        let city = Destination::start(&server_pair(&hub, "localhost"), &hub.folder.path().join("ca/root.pem")).await;
        hub.import(&pushed_to("city", &city.url())).await;
        let rows: Vec<_> = (0..CHILDREN).map(|n| entitlement(&Person::number(n, hub.today()))).collect();
        let registered = hub.partner("city-oita").post("/pmh/v1/medicalSubsidy/registrationTasks", &json!(rows)).await;
        assert_eq!(registered.expect(202).json()["results"][CHILDREN - 1]["status"], "registered");
        let hospital = hub.partner("hospital-oita");
        Self { hub, city, hospital }
    }

    /// The hospital reports a vaccination of a child; gives the delivery that comes of it.
    async fn report(&self, child: usize, number: &str) -> String {
        let person = Person::number(child, self.hub.today());
        let body = immunization(&person, HOSPITAL_OITA, OITA, number, self.hub.today());
        let exchange = self.hospital.post("/fhir/Immunization", &body).await.expect(201).exchange().to_owned();
        let receipt = self.hospital.get(&format!("/v1/exchanges/{exchange}")).await.expect(200).json();
        receipt["deliveries"][0]["id"].as_str().unwrap().to_owned()
    }

    /// Another child's delivery arrives. By then the attempt before it has been settled: a channel is served by one
    /// worker, one delivery after the other. And what has not arrived by then is not due.
    async fn others_go_on(&mut self, child: usize, number: &str) {
        let sent = self.report(child, number).await;
        let call = self.city.call().await;
        assert_eq!(call.key, sent, "something else went before");
        call.answer(200);
    }

    async fn state(&self, delivery: &str) -> (DeliveryState, u32, String) {
        state(&self.hub, delivery).await
    }

    /// Drains the hub first, so that what was answered is settled.
    async fn finish(self, delivered: &[&str]) {
        let Self { hub, mut city, .. } = self;
        let store = hub.store();
        let ids: Vec<DeliveryId> = delivered.iter().map(|id| DeliveryId::parse(id).unwrap()).collect();
        hub.finish().await;
        for id in &ids {
            let found = store.delivery(&"oita".parse().unwrap(), id).await.unwrap().unwrap();
            assert_eq!((found.state, found.last_outcome.as_deref()), (DeliveryState::Delivered, Some("delivered")));
        }
        assert!(city.is_quiet(), "something was sent that nobody asked for");
    }
}

/// Looks at the outbox often; the waits between attempts are far longer than any test runs.
fn quick(setup: Setup) -> Setup {
    setup
        .set("delivery.poll_interval_ms", 20)
        .set("delivery.retry_first_secs", WAIT_SECS)
        .set("delivery.retry_longest_secs", WAIT_SECS)
}

fn server_pair(hub: &TestGateway, name: &str) -> Pair {
    let now = hub.clock.now().as_second();
    Pair::of(hub.authority().issue_server(&[name.to_owned()], now, 90).unwrap())
}

/// Registry entries by which vaccinations of Oita are pushed to a server.
pub(crate) fn pushed_to(name: &str, url: &str) -> String {
    format!(
        r#"
        [[endpoint]]
        id = "{name}"
        participant = "city-oita"
        url = "{url}"

        [[channel]]
        id = "city-oita-deliver-oita-municipal-csv-vaccination-legacy"
        participant = "city-oita"
        tenant = "oita"
        kind = "vaccination"
        mode = "deliver"
        layout = "municipal_csv/vaccination_legacy"
        purpose = "PUBHLTH"
        endpoint = "{name}"
        from = "2026-01-01"
        "#
    )
}

async fn state(hub: &TestGateway, delivery: &str) -> (DeliveryState, u32, String) {
    let id = DeliveryId::parse(delivery).unwrap();
    let found = hub.store().delivery(&"oita".parse().unwrap(), &id).await.unwrap().unwrap();
    (found.state, found.attempts, found.last_outcome.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_arrives_once_in_the_receivers_layout_under_its_own_id() {
    let mut town = Town::new(Setup::new()).await;
    let first = town.report(0, "P-1").await;
    let call = town.city.call().await;
    assert_eq!(call.key, first);
    assert_eq!(call.content_type, "text/csv; charset=Shift_JIS");
    let text = call.text();
    assert!(text.contains("接種年月日") && text.contains("P-1"), "{text}");
    assert_eq!(tsunagi_certs::participant_of(&call.certificate).as_deref(), Some("hub"));
    call.answer(200);

    let second = town.report(1, "P-2").await;
    let call = town.city.call().await;
    assert_eq!(call.key, second);
    assert!(!call.text().contains("P-1"));
    call.answer(202);
    town.finish(&[&first, &second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_put_off_is_sent_again_when_the_schedule_says_so() {
    let mut town = Town::new(Setup::new()).await;
    let first = town.report(0, "P-1").await;
    town.city.call().await.answer(503);
    town.others_go_on(1, "P-2").await;
    assert_eq!(town.state(&first).await, (DeliveryState::Pending, 1, "asked_to_retry".to_owned()));

    town.hub.clock.shift(WAIT_SECS);
    let again = town.city.call().await;
    assert_eq!(again.key, first, "a repeat is known by the same key");
    assert!(again.text().contains("P-1"));
    // A destination that names a longer wait than the schedule's is heeded.
    again.answer_with(429, &[("Retry-After", &(2 * WAIT_SECS).to_string())], "");
    town.others_go_on(2, "P-3").await;
    town.hub.clock.shift(WAIT_SECS);
    town.others_go_on(3, "P-4").await;
    town.hub.clock.shift(WAIT_SECS);
    let third = town.city.call().await;
    assert_eq!(third.key, first);
    third.answer(200);
    town.finish(&[&first]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_refused_for_good_is_rejected_with_its_code_and_the_next_goes_on() {
    let mut town = Town::new(Setup::new()).await;
    let refused = town.report(0, "P-1").await;
    let next = town.report(0, "P-2").await;
    let call = town.city.call().await;
    assert_eq!(call.key, refused);
    call.answer_with(422, &[("Content-Type", "application/problem+json")], r#"{"code":"unmapped"}"#);
    let call = town.city.call().await;
    assert_eq!(call.key, next);
    assert_eq!(town.state(&refused).await, (DeliveryState::Rejected, 1, "unmapped".to_owned()));
    call.answer(200);
    town.finish(&[&next]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_or_hangs_up_is_tried_again() {
    let mut town = Town::new(Setup::new().set("delivery.send_timeout_ms", 3_000)).await;
    let first = town.report(0, "P-1").await;
    town.city.call().await.say_nothing().await;
    town.others_go_on(1, "P-2").await;
    assert_eq!(town.state(&first).await, (DeliveryState::Pending, 1, "no_reply".to_owned()));

    town.hub.clock.shift(WAIT_SECS);
    let again = town.city.call().await;
    assert_eq!(again.key, first);
    drop(again);
    town.others_go_on(2, "P-3").await;
    assert_eq!(town.state(&first).await, (DeliveryState::Pending, 2, "no_reply".to_owned()));

    town.hub.clock.shift(WAIT_SECS);
    let third = town.city.call().await;
    assert_eq!(third.key, first);
    third.answer(200);
    town.finish(&[&first]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_used_up_is_a_dead_letter_until_somebody_redrives_it() {
    let mut town = Town::new(Setup::new().set("delivery.retry_attempts", 2)).await;
    let dead = town.report(0, "P-1").await;
    town.city.call().await.answer(503);
    town.others_go_on(1, "P-2").await;
    town.hub.clock.shift(WAIT_SECS);
    town.city.call().await.answer(500);
    let behind = town.report(0, "P-3").await;
    town.others_go_on(2, "P-4").await;
    assert_eq!(town.state(&dead).await, (DeliveryState::Dead, 2, "asked_to_retry".to_owned()));
    assert_eq!(town.state(&behind).await.0, DeliveryState::Pending);
    // However long nobody looks at it.
    town.hub.clock.shift(100 * WAIT_SECS);
    town.others_go_on(3, "P-5").await;

    let folder = town.hub.folder.path().to_owned();
    let listed = run(&folder, &[], &["deliveries", "list", "--state", "dead", "--json"]).ended(0).json();
    assert_eq!((listed.as_array().unwrap().len(), listed[0]["id"].as_str()), (1, Some(dead.as_str())));
    run(&folder, &[], &["deliveries", "redrive", &behind]).ended(1);
    // The hub's clock is ahead of the command's, so the delivery is due at once.
    run(&folder, &[], &["deliveries", "redrive", &dead]).ended(0);
    let call = town.city.call().await;
    assert_eq!(call.key, dead);
    assert!(town.city.is_quiet(), "the later one waits for its turn");
    call.answer(200);
    let call = town.city.call().await;
    assert_eq!(call.key, behind);
    call.answer(200);
    town.finish(&[&dead, &behind]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_is_kept_for_each_subject_and_for_no_more() {
    let mut town = Town::new(Setup::new()).await;
    town.report(0, "P-0").await;
    let held = town.city.call().await;
    // Meanwhile these gather, and are claimed together when the worker is free again.
    let mut line = Vec::new();
    for number in ["P-1", "P-2", "P-3"] {
        line.push(town.report(1, number).await);
    }
    let other = town.report(2, "P-4").await;
    held.answer(200);
    let first = town.city.call().await;
    assert_eq!(first.key, line[0]);
    first.answer(503);
    let call = town.city.call().await;
    assert_eq!(call.key, other, "the later ones of the subject wait, the other subject does not");
    call.answer(200);
    town.others_go_on(3, "P-5").await;
    town.hub.clock.shift(WAIT_SECS);
    for expected in &line {
        let call = town.city.call().await;
        assert_eq!(call.key, *expected);
        assert!(town.city.is_quiet(), "one after the other");
        call.answer(200);
    }
    let store = town.hub.store();
    town.finish(&[&line[0], &line[1], &line[2], &other]).await;
    let mut attempts = Vec::new();
    for id in &line {
        let found = store.delivery(&"oita".parse().unwrap(), &DeliveryId::parse(id).unwrap()).await.unwrap();
        attempts.push(found.unwrap().attempts);
    }
    assert_eq!(attempts, [2, 1, 1], "to wait behind another is no attempt of one's own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_prove_who_it_is_gets_nothing() {
    let hub = quick(Setup::new()).start().await;
    let root = hub.folder.path().join("ca/root.pem");
    let stranger = {
        let folder = tempfile::tempdir().unwrap();
        let now = hub.clock.now().as_second();
        let mut authority = tsunagi_certs::Authority::init(&folder.path().join("ca"), "other", now).unwrap();
        Pair::of(authority.issue_server(&["localhost".to_owned()], now, 90).unwrap())
    };
    let revoked = server_pair(&hub, "localhost");
    {
        let mut authority = hub.authority();
        let serial = authority.list().unwrap().pop().unwrap().serial;
        authority.revoke(&serial, Reason::KeyCompromise, hub.clock.now().as_second()).unwrap();
    }
    hub.running.gateway.reload_trust().unwrap();
    let wrong = [
        ("revoked", revoked),
        ("another-ca", stranger),
        ("another-name", server_pair(&hub, "elsewhere.example.jp")),
        ("no-server", hub.pair("city-oita")),
    ];
    let mut servers = Vec::new();
    for (name, pair) in &wrong {
        let server = Destination::start(pair, &root).await;
        // One channel each, so that each is tried.
        let entries = pushed_to(name, &server.url()).replace("city-oita-deliver-oita-municipal-csv", name);
        hub.import(&entries).await;
        servers.push(server);
    }
    let person = Person::number(0, hub.today());
    let registered = hub.partner("city-oita");
    registered.post("/pmh/v1/medicalSubsidy/registrationTasks", &json!([entitlement(&person)])).await.expect(202);
    let hospital = hub.partner("hospital-oita");
    let sent =
        hospital.post("/fhir/Immunization", &immunization(&person, HOSPITAL_OITA, OITA, "P-1", hub.today())).await;
    let receipt = hospital.get(&format!("/v1/exchanges/{}", sent.expect(201).exchange())).await.expect(200).json();
    for server in &mut servers {
        assert!(matches!(server.knock().await, Knock::Refused), "a request reached a server that is not the city's");
    }
    let store = hub.store();
    hub.finish().await;
    let mut tried = 0;
    for delivery in receipt["deliveries"].as_array().unwrap() {
        let id = DeliveryId::parse(delivery["id"].as_str().unwrap()).unwrap();
        let found = store.delivery(&"oita".parse().unwrap(), &id).await.unwrap().unwrap();
        if wrong.iter().any(|(name, _)| found.channel.as_str().starts_with(name)) {
            assert_eq!((found.state, found.last_outcome.as_deref()), (DeliveryState::Pending, Some("no_reply")));
            tried += 1;
        }
    }
    assert_eq!(tried, wrong.len());
    assert!(servers.iter_mut().all(Destination::is_quiet));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_leaves_its_delivery_to_the_next_when_its_lease_is_over() {
    let mut town = Town::new(Setup::new()).await;
    let first = town.report(0, "P-1").await;
    let call = town.city.call().await;
    let Town { hub: TestGateway { folder, clock, config, running, .. }, mut city, .. } = town;
    // The process ends in the middle of the attempt.
    drop(running);
    call.say_nothing().await;

    let running = Box::pin(Running::start(config.clone(), clock.clone())).await.unwrap();
    let lease = i64::try_from(config.delivery.lease.as_secs()).unwrap();
    clock.shift(lease + 1);
    let again = city.call().await;
    assert_eq!(again.key, first, "sent again under the same key, so that the city can tell");
    again.answer(200);
    let store = running.gateway.store.clone();
    running.drain().await;
    let found = store.delivery(&"oita".parse().unwrap(), &DeliveryId::parse(&first).unwrap()).await.unwrap().unwrap();
    assert_eq!((found.state, found.attempts), (DeliveryState::Delivered, 2));
    check_invariants(store.as_ref(), &open_signer(&config).unwrap().public_key()).await;
    drop(folder);
}

/// The seal comes last: after the attempt under way, however long that takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_seals_what_the_attempt_under_way_wrote() {
    let mut town = Town::new(Setup::new().set("delivery.send_timeout_ms", 2_000)).await;
    let first = town.report(0, "P-1").await;
    let call = town.city.call().await;
    let Town { hub: TestGateway { folder, config, running, .. }, city, hospital } = town;
    let store = running.gateway.store.clone();
    // Its connection would keep the edge from draining at once.
    drop(hospital);
    let drained = tokio::spawn(running.drain());
    call.say_nothing().await;
    drained.await.unwrap();
    let found = store.delivery(&"oita".parse().unwrap(), &DeliveryId::parse(&first).unwrap()).await.unwrap().unwrap();
    assert_eq!((found.attempts, found.last_outcome.as_deref()), (1, Some("no_reply")));
    check_invariants(store.as_ref(), &open_signer(&config).unwrap().public_key()).await;
    drop((folder, city));
}
