//! A hub with everyone who talks to it, run by processes that may be ended at any moment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tsunagi_core::exchange::DeliveryState;
use tsunagi_store::DeliveryFilter;
use tsunagi_tests::destination::{Destination, Knock};
use tsunagi_tests::papers::{HOSPITAL_OITA, OITA, Person, consent_of, entitlement, immunization};
use tsunagi_tests::process::Served;
use tsunagi_tests::{ISSUER, MadeHub, Pair, Setup, get_plainly};

use super::load::{Citizen, Sender, Stage, Task, Told, Way};
use super::sheets::SUBMITTERS;

pub(super) const FHIR: (&str, &str) = ("content-type", "application/fhir+json");
pub(super) const JSON: (&str, &str) = ("content-type", "application/json");
pub(super) const REGISTER: &str = "/pmh/v1/medicalSubsidy/registrationTasks";

/// Children who are asked about, with a consent on file.
pub(super) const READ: Range<usize> = 0..8;
/// Children whose proxies change their minds.
const MINDED: Range<usize> = 8..40;
/// Children whose vaccinations are reported.
pub(super) const REPORTED: Range<usize> = 40..80;
/// All whom the hub knows from the beginning.
pub(super) const CHILDREN: usize = 80;

/// Proxies, each with some of the children.
const CITIZENS: usize = 2;

/// It only bounds how long a test that found a bug hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// A second desk of the city, to whose own server every vaccination is pushed.
fn desk(url: &str) -> String {
    format!(
        r#"
        [[participant]]
        id = "desk-oita"
        role = "municipality"
        name = "大分市窓口"
        organization_code = "442011"
        tenant = "oita"

        [[endpoint]]
        id = "desk"
        participant = "desk-oita"
        url = "{url}"

        [[channel]]
        id = "desk-oita-deliver"
        participant = "desk-oita"
        tenant = "oita"
        kind = "vaccination"
        mode = "deliver"
        layout = "municipal_csv/vaccination_legacy"
        purpose = "PUBHLTH"
        endpoint = "desk"
        from = "2026-01-01"
        "#
    )
}

pub(super) fn today() -> jiff::civil::Date {
    tsunagi_gateway::clock::Clock::system().today()
}

/// The hub and its people; who serves it comes and goes.
pub(super) struct Town {
    pub(super) hub: MadeHub,
    /// The keys of the deliveries that the desk's server took, and how often.
    pub(super) pushed: Arc<Mutex<BTreeMap<String, usize>>>,
    taking: tokio::task::JoinHandle<()>,
}

impl Drop for Town {
    fn drop(&mut self) {
        self.taking.abort();
    }
}

impl Town {
    pub(super) async fn new(setup: Setup) -> Self {
        // A lease that nobody lives to end is over soon.
        let setup = setup
            .set("edge.rate_per_second", 100_000)
            .set("edge.rate_burst", 100_000)
            .set("delivery.poll_interval_ms", 50)
            .set("delivery.send_timeout_ms", 1_500)
            .set("delivery.lease_secs", 2)
            .set("delivery.retry_first_secs", 1)
            .set("delivery.retry_longest_secs", 1)
            .set("delivery.retry_attempts", 1_000);
        let hub = setup.make().await;
        let now = hub.clock.now().as_second();
        let server = hub.identities.authority().issue_server(&["localhost".to_owned()], now, 90);
        let root = hub.folder.path().join("ca/root.pem");
        let mut server = Destination::start(&Pair::of(server.unwrap()), &root).await;
        hub.import(&desk(&server.url())).await;
        let pushed = Arc::new(Mutex::new(BTreeMap::new()));
        let took = pushed.clone();
        let taking = tokio::spawn(async move {
            while let Some(knock) = server.next().await {
                if let Knock::Call(call) = knock {
                    *took.lock().unwrap().entry(call.key.clone()).or_default() += 1;
                    // Who called may have ended meanwhile.
                    let _heard = call.try_answer(200);
                }
            }
        });
        // Certificates are made while nobody else needs the CA.
        for name in ["city-oita", "hospital-oita", "app-techo"] {
            hub.identities.pair(name);
        }
        Self { hub, pushed, taking }
    }

    /// A node in a process of its own, once it is ready.
    pub(super) async fn serve(&self, own: &[(&str, &str)]) -> Served {
        let launched = self.hub.launch(own);
        tokio::task::spawn_blocking(|| launched.until_ready()).await.unwrap()
    }

    /// Makes everyone known through a node, and gives those who will be at work.
    pub(super) async fn people(&self, edge: SocketAddr) -> Vec<Sender> {
        let [city, hospital] = ["city-oita", "hospital-oita"].map(|name| self.hub.partner(name, edge));
        let rows: Vec<Value> = (0..CHILDREN).map(|n| entitlement(&Person::number(n, today()))).collect();
        city.post(REGISTER, &json!(rows)).await.expect(202);
        let now = self.hub.clock.now();
        for n in READ.chain(MINDED) {
            let person = Person::number(n, today());
            let shot = immunization(&person, HOSPITAL_OITA, OITA, &on_file(n), today());
            hospital.post("/fhir/Immunization", &shot).await.expect(201);
            if READ.contains(&n) {
                let consent = consent_of(&person.joined(), now, now + SignedDuration::from_hours(10));
                hospital.post("/fhir/Consent", &consent).await.expect(201);
            } else {
                let link = json!({
                    "system": "recipient", "value": person.joined(), "issuer": ISSUER, "sub": proxy(n),
                    "relationship": "proxy",
                });
                city.post("/v1/links", &link).await.expect(201);
            }
        }
        let child = |n: usize| (self.hub.identities.bearer(&proxy(n), "app-techo"), on_file(n));
        let submitter = |n: usize| {
            let name = if n.is_multiple_of(2) { "city-oita" } else { "hospital-oita" };
            Sender::new(name, Task::Submit(n, 0))
        };
        let citizen = |n: usize| {
            let children = MINDED.skip(n).step_by(CITIZENS).map(child).collect();
            Sender::new("app-techo", Task::Consent(Citizen { children, turn: 0, stage: Stage::Give }))
        };
        let others = [
            Sender::new("hospital-oita", Task::Ask(0)),
            Sender::new("hospital-oita", Task::Ask(1)),
            Sender::new("city-oita", Task::Collect(None)),
        ];
        (0..SUBMITTERS).map(submitter).chain((0..CITIZENS).map(citizen)).chain(others).collect()
    }

    /// The way of a sender over nodes, beginning with one of them.
    pub(super) fn way(&self, sender: &Sender, nodes: &[SocketAddr], first: usize) -> Way {
        Way::over(nodes.iter().map(|edge| self.hub.partner(sender.name, *edge)).collect(), first)
    }

    /// What got no answer is asked again until it has one; the mailbox is emptied; and every delivery ends. Gives all that
    /// anybody was told.
    pub(super) async fn settle(&self, senders: Vec<Sender>, nodes: &[SocketAddr]) -> Told {
        let mut all = Told::default();
        let store = self.hub.store().await;
        let (oita, filter) =
            ("oita".parse().unwrap(), DeliveryFilter { state: Some(DeliveryState::Pending), limit: 1 });
        let settling = async {
            // Who collects comes last: until then there may be more.
            let (collectors, others): (Vec<_>, Vec<_>) =
                senders.into_iter().partition(|sender| matches!(sender.task, Task::Collect(_)));
            for mut sender in others {
                let mut way = self.way(&sender, nodes, 0);
                while sender.step(&mut way).await.is_err() {}
                all.add(sender.told);
            }
            for mut sender in collectors {
                let mut way = self.way(&sender, nodes, 0);
                while !store.deliveries(&oita, &filter).await.unwrap().is_empty() {
                    // If nobody answers, it is asked again.
                    let _asked = sender.step(&mut way).await;
                }
                all.add(sender.told);
            }
        };
        tokio::time::timeout(PATIENCE, settling).await.expect("everything is settled in time");
        all
    }

    /// Asks for readiness until its status is this; gives what is told then.
    pub(super) async fn becomes(&self, served: &Served, status: u16) -> (u16, Value) {
        let asking = async {
            loop {
                let (told, body) = get_plainly(served.operations, "/readyz").await;
                if told == status {
                    return (told, serde_json::from_str(&body).unwrap());
                }
                tokio::task::yield_now().await;
            }
        };
        let asked = tokio::time::timeout(PATIENCE, asking).await;
        asked.unwrap_or_else(|_| panic!("readiness never became {status}:\n{}", served.log()))
    }
}

/// The vaccination that a child has from the beginning.
fn on_file(n: usize) -> String {
    format!("F-{n:03}")
}

fn proxy(n: usize) -> String {
    format!("proxy-{n}")
}

/// How many deliveries and records there are from the beginning.
pub(super) const AT_FIRST: (usize, usize) =
    (2 * (READ.end - READ.start + MINDED.end - MINDED.start), CHILDREN + MINDED.end);
