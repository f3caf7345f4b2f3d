//! Submits, lookups and deliveries over two nodes, while Redis is flushed, killed, started again and made to hang.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use jiff::SignedDuration;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tsunagi_core::audit::{Action, EventOutcome};
use tsunagi_core::exchange::DeliveryState;
use tsunagi_gateway::gateway::Running;
use tsunagi_store::DeliveryFilter;
use tsunagi_store::contract::coordination::until_reached;
use tsunagi_store::contract::redis_server::RedisServer;
use tsunagi_tests::destination::Destination;
use tsunagi_tests::papers::{HOSPITAL_OITA, OITA, Person, consent_of, eligibility, entitlement, immunization};
use tsunagi_tests::{Pair, Partner, Setup, TestGateway};

/// Children of whom the hub knows; of the first half there is a consent.
const CHILDREN: usize = 8;

/// After so many receipts something happens to Redis, each time.
const RECEIPTS: usize = 30;

const ELIGIBILITY: &str = "/fhir/CoverageEligibilityRequest/$submit";

const JSON: (&str, &str) = ("content-type", "application/fhir+json");

/// What a sender got.
enum Said {
    /// A receipt: its exchange, for a vaccination of this number.
    Kept(String, usize),
    /// The answer to a question that may be answered, or to one that may not.
    Told { exchange: String, status: u16, has_consent: bool },
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_redis_is_flushed_killed_and_made_to_hang() {
    let Some(mut redis) = RedisServer::start("two nodes while Redis is flushed and killed", &[]) else { return };
    let setup = Setup::new()
        .set("edge.rate_per_second", 100_000)
        .set("edge.rate_burst", 100_000)
        .set("delivery.poll_interval_ms", 50);
    let (hub, node) = super::two_nodes(setup, &redis).await;
    let (mut delivered, taking) = destination(&hub, &node).await;
    known_children(&hub).await;

    let (said, mut heard) = mpsc::unbounded_channel();
    let (next, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut senders = JoinSet::new();
    for _ in 0..2 {
        for from in [hub.partner("hospital-oita"), hub.partner_at("hospital-oita", &node)] {
            senders.spawn(report(from, next.clone(), stop.clone(), said.clone(), hub.today()));
        }
        for from in [hub.partner("hospital-oita"), hub.partner_at("hospital-oita", &node)] {
            senders.spawn(ask(from, stop.clone(), said.clone(), hub.today()));
        }
    }
    drop(said);
    let (mut kept, mut told) = (BTreeMap::new(), Vec::new());
    while let Some(what) = tokio::time::timeout(Duration::from_secs(120), heard.recv()).await.unwrap() {
        match what {
            Said::Kept(exchange, number) => {
                assert!(kept.insert(exchange, number).is_none(), "two receipts for one exchange");
                match (kept.len() / RECEIPTS, kept.len() % RECEIPTS) {
                    (1, 0) => drop(redis.say(&["FLUSHALL"])),
                    (2, 0) => redis.kill(),
                    (3, 0) => redis.restart(),
                    (4, 0) => redis.signal("STOP"),
                    (5, 0) => redis.signal("CONT"),
                    (6, 0) => stop.store(true, Ordering::Release),
                    _ => {}
                }
            }
            Said::Told { exchange, status, has_consent } => told.push((exchange, status, has_consent)),
        }
    }
    while let Some(ended) = senders.join_next().await {
        ended.unwrap();
    }
    until_reached(&*hub.running.gateway.coordinator).await;
    until_reached(&*node.gateway.coordinator).await;

    arrived(&mut delivered, &kept).await;
    all_settled(&hub, &kept).await;
    node.drain().await;
    all_told(&hub, &kept, &told).await;
    hub.finish().await;
    taking.abort();
}

/// A server of the city that takes everything, and the numbers of what it took.
async fn destination(
    hub: &TestGateway,
    node: &Running,
) -> (mpsc::UnboundedReceiver<String>, tokio::task::JoinHandle<()>) {
    let now = hub.clock.now().as_second();
    let pair = Pair::of(hub.authority().issue_server(&["localhost".to_owned()], now, 90).unwrap());
    let mut city = Destination::start(&pair, &hub.folder.path().join("ca/root.pem")).await;
    hub.import(&crate::push::pushed_to("city", &city.url())).await;
    node.gateway.refresh_registry().await.unwrap();
    let (took, taken) = mpsc::unbounded_channel();
    let taking = tokio::spawn(async move {
        loop {
            let call = city.call().await;
            if took.send(call.key.clone()).is_err() {
                return;
            }
            call.answer(200);
        }
    });
    (taken, taking)
}

async fn known_children(hub: &TestGateway) {
    let people: Vec<Person> = (0..CHILDREN).map(|n| Person::number(n, hub.today())).collect();
    let rows: Vec<_> = people.iter().map(entitlement).collect();
    hub.partner("city-oita").post("/pmh/v1/medicalSubsidy/registrationTasks", &json!(rows)).await.expect(202);
    let now = hub.clock.now();
    let hospital = hub.partner("hospital-oita");
    for person in people.iter().take(CHILDREN / 2) {
        let consent = consent_of(&person.joined(), now, now + SignedDuration::from_hours(1)).to_string();
        hospital.send(Method::POST, "/fhir/Consent", &[JSON], consent).await.expect(201);
    }
}

async fn report(
    from: Partner,
    next: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    said: mpsc::UnboundedSender<Said>,
    today: jiff::civil::Date,
) {
    while !stop.load(Ordering::Acquire) {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let body = immunization(&Person::number(n % CHILDREN, today), HOSPITAL_OITA, OITA, &format!("N-{n}"), today);
        let reply = from.post("/fhir/Immunization", &body).await.expect(201);
        said.send(Said::Kept(reply.exchange().to_owned(), n)).unwrap();
    }
}

async fn ask(from: Partner, stop: Arc<AtomicBool>, said: mpsc::UnboundedSender<Said>, today: jiff::civil::Date) {
    for n in (0..CHILDREN).cycle().take_while(|_| !stop.load(Ordering::Acquire)) {
        let question = eligibility(&Person::number(n, today).joined(), None).to_string();
        let reply = from.send(Method::POST, ELIGIBILITY, &[JSON], question).await;
        let (exchange, has_consent) = (reply.exchange().to_owned(), n < CHILDREN / 2);
        said.send(Said::Told { exchange, status: reply.status.as_u16(), has_consent }).unwrap();
    }
}

/// Every delivery of every receipt reaches the city.
async fn arrived(delivered: &mut mpsc::UnboundedReceiver<String>, kept: &BTreeMap<String, usize>) {
    let mut keys = BTreeSet::new();
    while keys.len() < kept.len() {
        let key = tokio::time::timeout(Duration::from_secs(60), delivered.recv()).await;
        keys.insert(key.expect("all arrive in time").expect("the city takes"));
    }
}

/// Read from the store: each receipt has its one delivery, and it ended as delivered.
async fn all_settled(hub: &TestGateway, kept: &BTreeMap<String, usize>) {
    let filter = DeliveryFilter { state: None, limit: 1_000_000 };
    let (store, oita) = (hub.store(), "oita".parse().unwrap());
    let settled = async {
        loop {
            let all = store.deliveries(&oita, &filter).await.unwrap();
            if all.iter().all(|delivery| delivery.state == DeliveryState::Delivered) {
                return all;
            }
            tokio::task::yield_now().await;
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(60), settled).await.expect("all are settled in time");
    assert_eq!(all.len(), kept.len(), "one delivery for each receipt");
    assert!(all.iter().all(|delivery| kept.contains_key(delivery.exchange.as_str())));
}

/// Each receipt can be read and has its leaf; so has each answer; and whom nothing permits was told nothing.
async fn all_told(hub: &TestGateway, kept: &BTreeMap<String, usize>, told: &[(String, u16, bool)]) {
    let log = hub.log("oita").await;
    let hospital = hub.partner("hospital-oita");
    for exchange in kept.keys() {
        let receipt = hospital.get(&format!("/v1/exchanges/{exchange}")).await.expect(200).json();
        assert_eq!(receipt["rows"][0]["state"], "accepted", "{receipt}");
        assert_eq!(log.acts(exchange, Action::RecordAccepted).len(), 1, "{exchange}");
    }
    assert!(told.len() > kept.len() / 2, "{} lookups are no load", told.len());
    for (exchange, status, has_consent) in told {
        assert_eq!(*status, if *has_consent { 200 } else { 404 }, "{exchange}");
        let leaves = log.acts(exchange, Action::LookupAnswered);
        let told: Vec<_> = leaves.iter().filter(|leaf| leaf.outcome == EventOutcome::Done).collect();
        assert_eq!(told.len(), usize::from(*has_consent), "{exchange}: {leaves:?}");
        assert!(!log.of(exchange).is_empty(), "{exchange}: no leaf");
    }
}
