//! The clock jumps an hour ahead and an hour back, and one node's is an hour behind another's.

use http::Method;
use serde_json::{Value, json};
use tsunagi_gateway::clock::Clock;
use tsunagi_gateway::gateway::Running;
use tsunagi_gateway::sealing::{Pass, seal_all};
use tsunagi_tests::papers::{HOSPITAL_OITA, OITA, Person, RECIPIENT_SYSTEM, consent_of, entitlement, immunization};
use tsunagi_tests::{ISSUER, Partner, Reply, Setup, TestGateway};

use super::town::{FHIR, JSON, REGISTER};

const HOUR: i64 = 3_600;
const JUMPS: [i64; 3] = [HOUR, -2 * HOUR, HOUR];
const RECORDS: &str = "/app/v1/records?kind=vaccination";

/// A hub that knows a child. It was made yesterday, and so were its certificates: one of this hour would not hold
/// before. It is noon in Japan: an hour later or earlier is the same day.
async fn town(setup: Setup) -> (TestGateway, Person) {
    let hub = Box::pin(setup.made_days_ago(1).start()).await;
    hub.clock.shift(-12 * HOUR);
    for name in ["city-oita", "hospital-oita", "app-techo"] {
        hub.pair(name);
    }
    hub.clock.shift(12 * HOUR);
    let of_day = (hub.clock.now().as_second() + 9 * HOUR).rem_euclid(24 * HOUR);
    hub.clock.shift((12 * HOUR - of_day).rem_euclid(24 * HOUR));
    let child = Person::number(0, hub.today());
    hub.partner("city-oita").post(REGISTER, &json!([entitlement(&child)])).await.expect(202);
    (hub, child)
}

async fn report(hub: &TestGateway, child: &Person, number: &str) -> Reply {
    let body = immunization(child, HOSPITAL_OITA, OITA, number, hub.today()).to_string();
    let headers = [FHIR, ("idempotency-key", number)];
    hub.partner("hospital-oita").send(Method::POST, "/fhir/Immunization", &headers, body).await
}

fn numbers(pulled: &Reply) -> Vec<String> {
    let text = encoding_rs::SHIFT_JIS.decode(&pulled.body).0.into_owned();
    let found = text.split([',', '\n']).filter(|cell| cell.starts_with("J-"));
    found.map(str::to_owned).collect()
}

async fn acknowledge(city: &Partner, pulled: &Reply) -> Value {
    let said = json!({ "batch": pulled.header("tsunagi-batch") });
    city.post("/v1/mailbox/ack", &said).await.expect(200).json()["settled"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_order_and_log_stay_as_they_are_when_the_clock_jumps() {
    let (hub, child) = town(Setup::new()).await;
    let first = report(&hub, &child, "J-0").await.expect(201);
    let mut exchanges = vec![first.exchange().to_owned()];
    for (n, jump) in (1..).zip(JUMPS) {
        hub.clock.shift(jump);
        // The same key is the same exchange, and no other body's, whatever the hour.
        assert_eq!(report(&hub, &child, "J-0").await.expect(201).exchange(), first.exchange());
        let other = immunization(&child, HOSPITAL_OITA, OITA, "J-other", hub.today()).to_string();
        let headers = [FHIR, ("idempotency-key", "J-0")];
        let refused = hub.partner("hospital-oita").send(Method::POST, "/fhir/Immunization", &headers, other).await;
        assert_eq!(refused.expect(409).code(), "key_reused");
        exchanges.push(report(&hub, &child, &format!("J-{n}")).await.expect(201).exchange().to_owned());
        assert_eq!(hub.operations("/readyz").await.0, 200, "ready after a jump of {jump} s");
    }
    // The log keeps the order in which things happened, and so does the mailbox.
    let log = hub.log("oita").await;
    let places: Vec<usize> = exchanges
        .iter()
        .map(|id| log.events.iter().position(|e| e.exchange.as_ref().is_some_and(|x| x.as_str() == id)).unwrap())
        .collect();
    assert!(places.is_sorted(), "{places:?}");
    hub.clock.shift(HOUR);
    let city = hub.partner("city-oita");
    let pulled = city.get("/v1/mailbox").await.expect(200);
    assert_eq!(numbers(&pulled), ["J-0", "J-1", "J-2", "J-3"]);
    assert_eq!(acknowledge(&city, &pulled).await, 4);
    hub.finish().await;
}

/// A leaf of an hour that has not come yet is a leaf all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_ahead_is_sealed_when_the_clock_is_back() {
    // Nobody but this test seals while it runs.
    let setup = Setup::new().set("sealing.interval_ms", HOUR * 1_000).set("sealing.tolerance_secs", 2 * HOUR);
    let (hub, child) = town(setup).await;
    let left = async || {
        let pass = seal_all(&hub.running.gateway).await;
        (pass, hub.store().unsealed(&"oita".parse().unwrap(), 9).await.unwrap().leaves.len())
    };
    assert_eq!(left().await, (Pass::All, 0));
    hub.clock.shift(HOUR);
    report(&hub, &child, "J-0").await.expect(201);
    hub.clock.shift(-HOUR);
    report(&hub, &child, "J-1").await.expect(201);
    assert_eq!(left().await, (Pass::All, 0));
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_over_once_and_holds_once_when_the_clock_jumps() {
    let (hub, child) = town(Setup::new()).await;
    let city = hub.partner("city-oita");
    report(&hub, &child, "J-0").await.expect(201);
    let first = city.get("/v1/mailbox").await.expect(200);
    // Ahead: it is over, and whoever has it from then on ends it.
    hub.clock.shift(HOUR);
    let second = city.get("/v1/mailbox").await.expect(200);
    assert_eq!(numbers(&second), numbers(&first));
    assert_eq!(acknowledge(&city, &first).await, 0, "that lease is over");
    // Back: it holds, for longer than it was given, and nobody else has it meanwhile.
    hub.clock.shift(-2 * HOUR);
    city.get("/v1/mailbox").await.expect(204);
    assert_eq!(acknowledge(&city, &second).await, 1);
    assert_eq!(acknowledge(&city, &second).await, 0, "it ends once");
    hub.clock.shift(2 * HOUR);
    city.get("/v1/mailbox").await.expect(204);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_lets_nobody_through_and_keeps_nobody_out_when_the_clock_jumps() {
    let setup = Setup::new().set("edge.rate_per_second", 1).set("edge.rate_burst", 5);
    let (hub, _) = town(setup).await;
    let began = std::time::Instant::now();
    let hospital = hub.partner("hospital-oita");
    let (mut let_through, mut longest) = (0, 0);
    for jump in [0, HOUR, -2 * HOUR, HOUR] {
        hub.clock.shift(jump);
        for _ in 0..10 {
            let reply = hospital.get("/fhir/metadata").await;
            if reply.status == 200 {
                let_through += 1;
            } else {
                longest = longest.max(reply.expect(429).header("retry-after").parse::<u64>().unwrap());
            }
        }
    }
    let came_back = began.elapsed().as_secs() + 1;
    assert!((5..=5 + came_back).contains(&let_through), "{let_through} of a burst of 5 in {came_back} s");
    assert!(longest <= 2, "told to wait for {longest} s, at a request a second");
    hub.finish().await;
}

/// The parent of the child, at a node.
struct Parent<'h> {
    app: Partner,
    hub: &'h TestGateway,
}

impl Parent<'_> {
    async fn ask(&self, method: Method, path: &str, body: &str) -> Reply {
        let bearer = self.hub.bearer("parent", "app-techo");
        self.app.send(method, path, &[JSON, ("authorization", &bearer)], body.to_owned()).await
    }

    async fn consent(&self) -> String {
        let said = json!({ "effect": "permit", "recipient": { "participant": "app-techo" } }).to_string();
        let given = self.ask(Method::POST, "/app/v1/consents", &said).await.expect(201).json();
        format!("/app/v1/consents/{}", given["consents"][0]["id"].as_str().unwrap())
    }
}

async fn link(hub: &TestGateway, child: &Person) {
    let link = json!({
        "system": "recipient", "value": child.joined(), "issuer": ISSUER, "sub": "parent", "relationship": "proxy",
    });
    hub.partner("city-oita").post("/v1/links", &link).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_holds_in_its_time_and_a_withdrawal_from_then_on_when_the_clock_jumps() {
    let (hub, child) = town(Setup::new()).await;
    report(&hub, &child, "J-0").await.expect(201);
    let hospital = hub.partner("hospital-oita");
    let (now, half) = (hub.clock.now(), jiff::SignedDuration::from_mins(30));
    hospital.post("/fhir/Consent", &consent_of(&child.joined(), now, now + half)).await.expect(201);
    let path = format!("/fhir/Immunization?patient.identifier={RECIPIENT_SYSTEM}|{}", child.joined());
    let mut seen = Vec::new();
    for jump in [0, HOUR, -2 * HOUR, HOUR] {
        hub.clock.shift(jump);
        seen.push(hospital.get(&path).await.expect(200).json()["total"].as_u64().unwrap());
    }
    assert_eq!(seen, [1, 0, 0, 1], "in its time, after it, before it, in it");

    // A withdrawal is an act, not a date: it does not come undone because the clock went back.
    link(&hub, &child).await;
    let parent = Parent { app: hub.partner("app-techo"), hub: &hub };
    let consent = parent.consent().await;
    hub.clock.shift(2 * HOUR);
    parent.ask(Method::GET, RECORDS, "").await.expect(200);
    parent.ask(Method::DELETE, &consent, "").await.expect(200);
    for jump in [0, -HOUR, 2 * HOUR] {
        hub.clock.shift(jump);
        parent.ask(Method::GET, RECORDS, "").await.expect(404);
    }
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_clock_is_behind_honours_a_withdrawal_at_once() {
    let (hub, child) = town(Setup::new()).await;
    report(&hub, &child, "J-0").await.expect(201);
    link(&hub, &child).await;
    let behind = Clock::system();
    behind.shift(hub.clock.now().as_second() - behind.now().as_second());
    let node = Box::pin(Running::start(hub.config.clone(), behind.clone())).await.unwrap();
    let parent = Parent { app: hub.partner("app-techo"), hub: &hub };
    let there = Parent { app: hub.partner_at("app-techo", &node), hub: &hub };
    let consent = parent.consent().await;
    hub.clock.shift(2 * HOUR);
    behind.shift(HOUR);
    there.ask(Method::GET, RECORDS, "").await.expect(200);
    parent.ask(Method::DELETE, &consent, "").await.expect(200);
    there.ask(Method::GET, RECORDS, "").await.expect(404);
    parent.ask(Method::GET, RECORDS, "").await.expect(404);
    node.drain().await;
    hub.finish().await;
}
