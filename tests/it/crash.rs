//! kill -9 of `tsunagi serve` in the middle of a load of submits and lookups: every receipt that was given is there
//! afterwards, once; what got no receipt can be sent again and is there once, too; and of every answer that told
//! something, the leaf is in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_gateway::gateway::{open_signer, open_store};
use tsunagi_store::DeliveryFilter;
use tsunagi_store::contract::server::Place;
use tsunagi_tests::papers::{HOSPITAL_OITA, OITA, Person, consent_of, eligibility, entitlement, immunization};
use tsunagi_tests::process::{KeptHub, Served, config_of, partner, run};
use tsunagi_tests::{Log, Partner, Reply, check_invariants};

/// After how many receipts each kill comes, counted from its start: at the first transaction, in the middle, late.
const KILLS: [usize; 5] = [1, 4, 13, 28, 50];

const ELIGIBILITY: &str = "/fhir/CoverageEligibilityRequest/$submit";

/// Senders of each kind at a time.
const SENDERS: usize = 4;

/// Rows of one PMH registration.
const ROWS: usize = 25;

/// Children the hub knows before the first kill, so that vaccinations find their subject.
const CHILDREN: usize = 8;

const SETTINGS: [(&str, &str); 2] =
    [("TSUNAGI__EDGE__RATE_PER_SECOND", "100000"), ("TSUNAGI__EDGE__RATE_BURST", "100000")];

/// One thing that is sent, and sent again as it stands.
#[derive(Clone)]
struct Sheet {
    sender: &'static str,
    path: &'static str,
    key: String,
    body: Value,
    rows: usize,
}

impl Sheet {
    /// Every odd one is a registration of new children, every even one a vaccination of a known child.
    fn number(n: usize) -> Self {
        let today = today();
        let key = format!("crash-{n}");
        if n.is_multiple_of(2) {
            let person = Person::number(n % CHILDREN, today);
            let body = immunization(&person, HOSPITAL_OITA, OITA, &document(n), today);
            return Self { sender: "hospital-oita", path: "/fhir/Immunization", key, body, rows: 1 };
        }
        let people = (0..ROWS).map(|row| Person::number(CHILDREN + n * ROWS + row, today));
        let body = json!(people.map(|person| entitlement(&person)).collect::<Vec<_>>());
        Self { sender: "city-oita", path: "/pmh/v1/medicalSubsidy/registrationTasks", key, body, rows: ROWS }
    }

    async fn send(&self, from: &Partner) -> Result<Reply, String> {
        let media_type = if self.path.starts_with("/fhir") { "application/fhir+json" } else { "application/json" };
        let headers = [("content-type", media_type), ("idempotency-key", &self.key)];
        from.try_send(Method::POST, self.path, &headers, self.body.to_string()).await
    }
}

/// The numbers that nobody has taken yet.
#[derive(Default)]
struct Next {
    vaccination: AtomicUsize,
    registration: AtomicUsize,
}

impl Next {
    fn of(&self, sender: &str) -> usize {
        match sender {
            "hospital-oita" => 2 * self.vaccination.fetch_add(1, Ordering::Relaxed),
            _ => 2 * self.registration.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }
}

fn document(n: usize) -> String {
    format!("CRASH-{n:06}")
}

fn today() -> jiff::civil::Date {
    tsunagi_gateway::clock::Clock::system().today()
}

/// What is known of all that was ever sent: the exchange of its receipt, or nothing; and of all that was ever told.
#[derive(Default)]
struct Ledger {
    sent: BTreeMap<usize, Option<String>>,
    told: BTreeSet<String>,
}

/// What a sender says of its last request.
enum Said {
    /// This was sent, and has this receipt or none.
    Sent(usize, Option<String>),
    /// A lookup was answered.
    Told(String),
}

impl Ledger {
    fn unanswered(&self) -> Vec<usize> {
        self.sent.iter().filter(|(_, receipt)| receipt.is_none()).map(|(n, _)| *n).collect()
    }

    fn receipts(&self) -> impl Iterator<Item = (usize, &str)> {
        self.sent.iter().filter_map(|(n, receipt)| Some((*n, receipt.as_deref()?)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_receipt_that_was_given_outlives_a_kill_once() {
    let copy = tokio::task::spawn_blocking(|| KeptHub::shared().copy()).await.unwrap();
    outlives_kills(copy.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_receipt_that_was_given_outlives_a_kill_once_on_a_server() {
    let Some(place) = Place::database().await else { return };
    let copy = tokio::task::spawn_blocking(|| KeptHub::shared().copy()).await.unwrap();
    let hub = copy.path();
    let (_, registry) = open_store(&config_of(hub, &[])).await.unwrap().registry().await.unwrap();
    let file = hub.join("tsunagi.toml");
    let written = std::fs::read_to_string(&file).unwrap();
    let server = format!("[store]\nbackend = \"postgres\"\npostgres_url = \"{}\"\n", place.url);
    assert_eq!(written.matches("[store]\n").count(), 1);
    let of_backend = |line: &&str| !line.starts_with("backend =") && !line.starts_with("postgres_url =");
    let lines: Vec<&str> = written.lines().filter(of_backend).collect();
    std::fs::write(&file, lines.join("\n").replace("[store]\n", &server)).unwrap();
    let store = open_store(&config_of(hub, &[])).await.unwrap();
    let event =
        AuditEvent::new(jiff::Timestamp::UNIX_EPOCH, Action::RegistryImported, EventOutcome::Done, Agent::default());
    store.import_registry(registry, event).await.unwrap();
    drop(store);
    outlives_kills(hub).await;
}

async fn outlives_kills(hub: &Path) {
    let mut ledger = Ledger::default();
    let next = Arc::new(Next::default());
    let mut served = serve(hub).await;
    make_known(hub, served.edge).await;
    for receipts in KILLS {
        load_until(hub, &next, &mut ledger, served, receipts).await;
        // The folder is all there is; recovery is the ordinary start.
        served = serve(hub).await;
        assert_kept(hub, served.edge, &ledger).await;
    }
    resend(hub, served.edge, &mut ledger).await;
    assert_kept(hub, served.edge, &ledger).await;
    let (code, log) = served.terminate();
    assert_eq!(code, 0, "{log}");
    assert_once(hub, &ledger).await;
    take_all(hub, &ledger).await;
    let verified = run(hub, &[], &["audit", "verify", "--json"]).ended(0).json();
    assert!(verified.as_array().unwrap().iter().all(|log| log["verified"] == true), "{verified}");
    let config = config_of(hub, &[]);
    let public_key = open_signer(&config).unwrap().public_key();
    check_invariants(open_store(&config).await.unwrap().as_ref(), &public_key).await;
}

async fn serve(hub: &Path) -> Served {
    let hub = hub.to_owned();
    tokio::task::spawn_blocking(move || Served::start(&hub, &SETTINGS)).await.unwrap()
}

async fn make_known(hub: &Path, edge: SocketAddr) {
    let rows: Vec<Value> = (0..CHILDREN).map(|n| entitlement(&Person::number(n, today()))).collect();
    let (city, hospital) = (partner(hub, "city-oita", edge), partner(hub, "hospital-oita", edge));
    city.post("/pmh/v1/medicalSubsidy/registrationTasks", &json!(rows)).await.expect(202);
    let now = tsunagi_gateway::clock::Clock::system().now();
    for n in 0..CHILDREN {
        let consent = consent_of(&Person::number(n, today()).joined(), now, now + SignedDuration::from_hours(1));
        hospital.post("/fhir/Consent", &consent).await.expect(201);
    }
}

/// Asks about known children until there is no answer.
async fn look_up(from: Partner, said: mpsc::UnboundedSender<Said>) {
    for n in 0.. {
        let question = eligibility(&Person::number(n % CHILDREN, today()).joined(), None).to_string();
        let headers = [("content-type", "application/fhir+json")];
        let Ok(reply) = from.try_send(Method::POST, ELIGIBILITY, &headers, question).await else { return };
        said.send(Said::Told(reply.expect(200).exchange().to_owned())).unwrap();
    }
}

/// Senders send without a pause; the kill comes when so many receipts have been given. Whoever gets no answer stops.
async fn load_until(hub: &Path, next: &Arc<Next>, ledger: &mut Ledger, served: Served, receipts: usize) {
    let (said, mut given) = mpsc::unbounded_channel();
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        senders.spawn(look_up(partner(hub, "hospital-oita", served.edge), said.clone()));
        for name in ["hospital-oita", "city-oita"] {
            let from = partner(hub, name, served.edge);
            let (next, said) = (next.clone(), said.clone());
            senders.spawn(async move {
                loop {
                    let n = next.of(name);
                    let sheet = Sheet::number(n);
                    let reply = sheet.send(&from).await;
                    let receipt = reply.as_ref().ok().map(|reply| receipt_of(&sheet, reply));
                    let ended = receipt.is_none();
                    said.send(Said::Sent(n, receipt)).unwrap();
                    if ended {
                        break;
                    }
                }
            });
        }
    }
    drop(said);
    let mut counted = 0;
    let mut serving = Some(served);
    while let Some(said) = tokio::time::timeout(Duration::from_secs(120), given.recv()).await.unwrap() {
        match said {
            Said::Sent(n, receipt) => {
                counted += usize::from(receipt.is_some());
                ledger.sent.insert(n, receipt);
            }
            Said::Told(exchange) => assert!(ledger.told.insert(exchange), "two answers in one exchange"),
        }
        if counted >= receipts
            && let Some(served) = serving.take()
        {
            tokio::task::spawn_blocking(|| served.kill()).await.unwrap();
        }
    }
    assert!(serving.is_none(), "the load ended by itself after {counted} receipts");
    while let Some(ended) = senders.join_next().await {
        ended.unwrap();
    }
}

/// The exchange that a receipt quotes; every row of it must have been taken.
fn receipt_of(sheet: &Sheet, reply: &Reply) -> String {
    let taken = match reply.status.as_u16() {
        200 | 201 => 1,
        202 => {
            let task = reply.json();
            let results = task["results"].as_array().unwrap();
            results.iter().filter(|row| row["status"] == "registered").count()
        }
        _ => 0,
    };
    assert_eq!(taken, sheet.rows, "{}: {} {}", sheet.key, reply.status, reply.text());
    reply.exchange().to_owned()
}

/// Every exchange that was quoted is there, complete, with each of its rows as a record.
async fn assert_kept(hub: &Path, edge: SocketAddr, ledger: &Ledger) {
    let partners = partners(hub, edge);
    for (n, exchange) in ledger.receipts() {
        let sheet = Sheet::number(n);
        let kept = partners[sheet.sender].get(&format!("/v1/exchanges/{exchange}")).await;
        let kept = kept.expect(200).json();
        assert_eq!(kept["state"], "complete", "{kept}");
        let rows = kept["rows"].as_array().unwrap();
        let records: BTreeSet<&str> = rows.iter().filter_map(|row| row["record"].as_str()).collect();
        assert_eq!((rows.len(), records.len()), (sheet.rows, sheet.rows), "{}: {kept}", sheet.key);
    }
}

fn partners(hub: &Path, edge: SocketAddr) -> BTreeMap<&'static str, Partner> {
    ["hospital-oita", "city-oita"].map(|name| (name, partner(hub, name, edge))).into()
}

/// Everything is sent again under its key: what had a receipt gets the same one, what had none gets its first.
async fn resend(hub: &Path, edge: SocketAddr, ledger: &mut Ledger) {
    let unanswered = ledger.unanswered();
    assert!(!unanswered.is_empty(), "no kill came in the middle of anything");
    let partners = partners(hub, edge);
    for (n, receipt) in &mut ledger.sent {
        let sheet = Sheet::number(*n);
        let again = receipt_of(&sheet, &sheet.send(&partners[sheet.sender]).await.unwrap());
        match receipt {
            Some(first) => assert_eq!(*first, again, "{}: two receipts for one key", sheet.key),
            None => *receipt = Some(again),
        }
    }
}

/// Read from the store itself: one leaf for each lookup that was answered; one exchange for each key, one record for each row, one delivery for each vaccination.
async fn assert_once(hub: &Path, ledger: &Ledger) {
    let store = open_store(&config_of(hub, &[])).await.unwrap();
    let exchanges = store.exchanges(1_000_000).await.unwrap();
    let log = Log::read(store.as_ref(), "oita").await;
    let oita = "oita".parse().unwrap();
    let deliveries = store.deliveries(&oita, &DeliveryFilter { state: None, limit: 1_000_000 }).await.unwrap();
    for exchange in &ledger.told {
        let leaves = log.acts(exchange, Action::LookupAnswered);
        assert!(matches!(leaves[..], [leaf] if leaf.outcome == EventOutcome::Done), "{exchange}: {leaves:?}");
    }
    assert!(ledger.told.len() > 10 * KILLS.len(), "{} lookups are no load", ledger.told.len());
    let mut records = BTreeSet::new();
    for (n, exchange) in ledger.receipts() {
        let sheet = Sheet::number(n);
        assert_eq!(exchanges.iter().filter(|kept| kept.id.as_str() == exchange).count(), 1, "{exchange}");
        let accepted = log.acts(exchange, Action::RecordAccepted);
        assert_eq!(accepted.len(), sheet.rows, "{}: accepted more or less than once", sheet.key);
        for (record, version) in accepted.iter().flat_map(|event| &event.records) {
            assert_eq!(*version, 1, "{}: accepted over itself", sheet.key);
            assert!(records.insert(record.clone()), "{record}: two exchanges made it");
        }
        let due = usize::from(sheet.sender == "hospital-oita");
        assert_eq!(deliveries.iter().filter(|d| d.exchange.as_str() == exchange).count(), due, "{}", sheet.key);
    }
    // Nothing of this load is there that no receipt speaks of.
    let quoted: BTreeSet<&str> = ledger.receipts().map(|(_, exchange)| exchange).collect();
    let lasting = exchanges.iter().filter(|kept| quoted.contains(kept.id.as_str())).count();
    assert_eq!(lasting, ledger.sent.len(), "two keys share an exchange");
}

/// The municipality empties its mailbox: each vaccination is in it exactly once.
async fn take_all(hub: &Path, ledger: &Ledger) {
    let served = serve(hub).await;
    let city = partner(hub, "city-oita", served.edge);
    let mut text = String::new();
    loop {
        let pulled = city.get("/v1/mailbox?limit=1000").await;
        if pulled.status == 204 {
            break;
        }
        text.push_str(&encoding_rs::SHIFT_JIS.decode(&pulled.body).0);
        let batch = pulled.header("tsunagi-batch").to_owned();
        city.post("/v1/mailbox/ack", &json!({ "batch": batch })).await.expect(200);
    }
    for n in ledger.sent.keys().filter(|n| n.is_multiple_of(2)) {
        assert_eq!(text.matches(&document(*n)).count(), 1, "{}", document(*n));
    }
    assert_eq!(served.terminate().0, 0);
}
