//! Two nodes over one store race: for one delivery, and a lookup against a withdrawal. The log is the witness: what was
//! said and done must fit one order, that of its leaves, and that order must fit what anybody could see from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tsunagi_core::audit::{Action, EventOutcome};
use tsunagi_core::exchange::DeliveryState;
use tsunagi_store::DeliveryFilter;
use tsunagi_tests::destination::Destination;
use tsunagi_tests::papers::{HOSPITAL_OITA, OITA, Person, entitlement, immunization};
use tsunagi_tests::{ISSUER, Log, Pair, Partner, Setup, TestGateway};

use super::town::{JSON, REGISTER};

/// How often consent is given and withdrawn under the eyes of those who ask.
const WITHDRAWALS: usize = 12;
/// Who asks, on each node.
const ASKING: usize = 2;
/// Deliveries that both nodes want.
const DELIVERIES: usize = 24;

/// A hub that knows some children, each with a vaccination number as given; with many requests a second.
async fn town(setup: Setup, numbers: &[String]) -> TestGateway {
    let setup = setup.set("edge.rate_per_second", 100_000).set("edge.rate_burst", 100_000);
    let hub = Box::pin(setup.set("delivery.poll_interval_ms", 20).start()).await;
    let people: Vec<Person> = (0..numbers.len()).map(|n| Person::number(n, hub.today())).collect();
    let rows: Vec<Value> = people.iter().map(entitlement).collect();
    hub.partner("city-oita").post(REGISTER, &json!(rows)).await.expect(202);
    hub
}

async fn report(hub: &TestGateway, child: usize, number: &str) {
    let body = immunization(&Person::number(child, hub.today()), HOSPITAL_OITA, OITA, number, hub.today());
    hub.partner("hospital-oita").post("/fhir/Immunization", &body).await.expect(201);
}

/// One thing that was done, from its beginning to its end by a clock that only counts, and the exchange it was.
#[derive(Debug, Clone)]
struct Act {
    began: u64,
    ended: u64,
    exchange: String,
    /// True if data was told.
    told: bool,
}

/// Asks until told to stop.
async fn ask(from: Partner, bearer: String, ticks: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Vec<Act> {
    let mut acts = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let began = ticks.fetch_add(1, Ordering::SeqCst);
        let headers = [("authorization", bearer.as_str())];
        let reply = from.send(Method::GET, "/app/v1/records?kind=vaccination", &headers, "").await;
        let ended = ticks.fetch_add(1, Ordering::SeqCst);
        // Whom consents overtook too often is asked to come again, and was told nothing.
        if reply.status != 503 {
            assert!(matches!(reply.status.as_u16(), 200 | 404), "{}", reply.text());
            acts.push(Act { began, ended, exchange: reply.exchange().to_owned(), told: reply.status == 200 });
        }
    }
    acts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lookup_under_way_on_another_node_fits_one_order_with_the_withdrawal() {
    let hub = town(Setup::new(), &["L-1".to_owned()]).await;
    report(&hub, 0, "L-1").await;
    let node = hub.another_node().await;
    let child = Person::number(0, hub.today());
    let link = json!({
        "system": "recipient", "value": child.joined(), "issuer": ISSUER, "sub": "parent", "relationship": "proxy",
    });
    hub.partner("city-oita").post("/v1/links", &link).await.expect(201);
    let bearer = hub.bearer("parent", "app-techo");
    let (ticks, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut asking = JoinSet::new();
    for _ in 0..ASKING {
        for from in [hub.partner("app-techo"), hub.partner_at("app-techo", &node)] {
            asking.spawn(ask(from, bearer.clone(), ticks.clone(), stop.clone()));
        }
    }
    let app = hub.partner("app-techo");
    let (mut given, mut withdrawn) = (Vec::new(), Vec::new());
    let timed = async |method: Method, path: &str, status: u16| {
        let began = ticks.fetch_add(1, Ordering::SeqCst);
        let said = json!({ "effect": "permit", "recipient": { "participant": "app-techo" } }).to_string();
        let body = if method == Method::POST { said } else { String::new() };
        let reply = app.send(method, path, &[JSON, ("authorization", &bearer)], body).await.expect(status);
        let act = Act {
            began,
            ended: ticks.fetch_add(1, Ordering::SeqCst),
            exchange: reply.exchange().to_owned(),
            told: false,
        };
        (act, reply.json())
    };
    for _ in 0..WITHDRAWALS {
        let (act, consents) = timed(Method::POST, "/app/v1/consents", 201).await;
        given.push(act);
        let path = format!("/app/v1/consents/{}", consents["consents"][0]["id"].as_str().unwrap());
        // Those who ask have a look in between.
        let seen = ticks.load(Ordering::SeqCst);
        while ticks.load(Ordering::SeqCst) < seen + 12 {
            tokio::task::yield_now().await;
        }
        withdrawn.push(timed(Method::DELETE, &path, 200).await.0);
        let seen = ticks.load(Ordering::SeqCst);
        while ticks.load(Ordering::SeqCst) < seen + 12 {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::SeqCst);
    let mut lookups = Vec::new();
    while let Some(acts) = asking.join_next().await {
        lookups.extend(acts.unwrap());
    }
    node.drain().await;
    let told = lookups.iter().filter(|act| act.told).count();
    println!("{WITHDRAWALS} withdrawals against {} lookups, {told} of which told something", lookups.len());
    assert!(told >= WITHDRAWALS / 2 && lookups.len() - told >= WITHDRAWALS / 2, "the lookups saw only one side");
    let log = hub.log("oita").await;
    linearizes(&log, &given, &withdrawn, &lookups);
    hub.finish().await;
}

/// The leaves are one order of all that was done: each act stands where its leaf does. It fits what was seen if no act
/// stands before one that had ended when it began, and if each lookup told what was permitted where it stands.
fn linearizes(log: &Log, given: &[Act], withdrawn: &[Act], lookups: &[Act]) {
    let mut places = BTreeMap::<&str, Vec<usize>>::new();
    for (at, event) in log.events.iter().enumerate() {
        if let Some(id) = &event.exchange {
            places.entry(id.as_str()).or_default().push(at);
        }
    }
    // What a request is: its last leaf is that of the answer it got.
    let place = |act: &Act| places.get(act.exchange.as_str()).and_then(|all| all.last()).copied();
    let mut order: Vec<(usize, &Act, &str)> = Vec::new();
    for (acts, what) in [(given, "gives"), (withdrawn, "withdraws"), (lookups, "looks up")] {
        order.extend(acts.iter().map(|act| (place(act).unwrap_or_else(|| panic!("{act:?} has no leaf")), act, what)));
    }
    order.sort_by_key(|(at, ..)| *at);
    let (mut latest_began, mut permitted, mut last_given) = (0, false, 0);
    for (at, act, what) in order {
        assert!(act.ended > latest_began, "leaf {at}: {act:?} had ended before something that stands before it began");
        latest_began = latest_began.max(act.began);
        match what {
            "gives" => (permitted, last_given) = (true, act.ended),
            "withdraws" => permitted = false,
            // A consent holds from the moment at which it was asked for: whoever asked before may go without.
            _ if permitted && !act.told => assert!(act.began < last_given, "leaf {at}: {act:?} was permitted"),
            _ => {
                assert_eq!(act.told, permitted, "leaf {at}: {act:?}");
                let leaf = &log.events[at];
                let discloses = leaf.action == Action::LookupAnswered && leaf.outcome == EventOutcome::Done;
                assert_eq!(discloses, act.told, "leaf {at}: {leaf:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_nodes_that_want_one_delivery_one_gets_it() {
    let numbers: Vec<String> = (0..DELIVERIES).map(|n| format!("R-{n}")).collect();
    let hub = town(Setup::new(), &numbers).await;
    let node = hub.another_node().await;
    let at_both = [hub.partner("city-oita"), hub.partner_at("city-oita", &node)];
    let mut both_empty = 0;
    for (child, number) in numbers.iter().enumerate() {
        report(&hub, child, number).await;
        let (one, other) = tokio::join!(at_both[0].get("/v1/mailbox"), at_both[1].get("/v1/mailbox"));
        let taken: Vec<_> = [&one, &other].into_iter().filter(|reply| reply.status == 200).collect();
        // One who finds a subject changed under it gives the lease back, and both may find nothing.
        assert!(taken.len() <= 1, "both nodes handed {number} out");
        both_empty += usize::from(taken.is_empty());
        let pulled = match taken.first() {
            Some(pulled) => (*pulled).clone(),
            None => at_both[0].get("/v1/mailbox").await.expect(200),
        };
        assert!(String::from_utf8_lossy(&pulled.body).contains(number));
        // Both hear that it has arrived; it ends once.
        let said = json!({ "batch": pulled.header("tsunagi-batch") });
        let (one, other) =
            tokio::join!(at_both[0].post("/v1/mailbox/ack", &said), at_both[1].post("/v1/mailbox/ack", &said));
        let ended: u64 = [one, other].map(|reply| reply.expect(200).json()["settled"].as_u64().unwrap()).iter().sum();
        assert_eq!(ended, 1, "{number}");
    }
    node.drain().await;
    println!("{DELIVERIES} deliveries in two mailboxes at once: each handed out once ({both_empty} at the second try)");
    let log = hub.log("oita").await;
    let count = |action| log.events.iter().filter(|event| event.action == action).count();
    assert_eq!(count(Action::DeliveryDisclosed), DELIVERIES);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_nodes_that_push_one_delivery_one_sends_it() {
    let numbers: Vec<String> = (0..DELIVERIES).map(|n| format!("R-{n}")).collect();
    let hub = town(Setup::new(), &numbers).await;
    let now = hub.clock.now().as_second();
    let pair = Pair::of(hub.authority().issue_server(&["localhost".to_owned()], now, 90).unwrap());
    let mut server = Destination::start(&pair, &hub.folder.path().join("ca/root.pem")).await;
    hub.import(&crate::push::pushed_to("city", &server.url())).await;
    let node = hub.another_node().await;
    for (child, number) in numbers.iter().enumerate() {
        report(&hub, child, number).await;
    }
    let mut keys = BTreeSet::new();
    for _ in 0..DELIVERIES {
        let call = server.call().await;
        assert!(keys.insert(call.key.clone()), "{} was sent twice", call.key);
        call.answer(200);
    }
    node.drain().await;
    let store = hub.store();
    let _stands_on = hub.finish().await;
    assert!(server.is_quiet(), "something was sent twice");
    let filter = DeliveryFilter { state: None, limit: 1_000 };
    let all = store.deliveries(&"oita".parse().unwrap(), &filter).await.unwrap();
    assert_eq!(all.len(), DELIVERIES);
    for delivery in all {
        assert_eq!((delivery.state, delivery.attempts), (DeliveryState::Delivered, 1), "{}", delivery.id);
    }
}
