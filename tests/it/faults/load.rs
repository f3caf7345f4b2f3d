//! A mixed load, and what each sender of it was told. Nobody forgets what got no answer: it is sent again as it stands,
//! under its key, until somebody answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Method;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tsunagi_tests::papers::{Person, RECIPIENT_SYSTEM, eligibility};
use tsunagi_tests::{Partner, Reply};

use super::sheets::Sheet;
use super::town::{FHIR, JSON, PATIENCE, READ, today};

const ELIGIBILITY: &str = "/fhir/CoverageEligibilityRequest/$submit";

/// Nobody answered, or only that it cannot be done now.
pub(super) struct Unanswered;

/// How a sender comes to the hub: over one node, or over the next one where that does not answer.
pub(super) struct Way {
    nodes: Vec<Partner>,
    at: usize,
    /// How often there was no answer, and how often it was 503.
    pub(super) silences: u64,
    pub(super) refusals: u64,
}

impl Way {
    /// Begins with one of the nodes.
    pub(super) fn over(nodes: Vec<Partner>, first: usize) -> Self {
        let at = first % nodes.len();
        Self { nodes, at, silences: 0, refusals: 0 }
    }

    /// How often there was neither yes nor no.
    fn unanswered(&self) -> u64 {
        self.silences + self.refusals
    }

    pub(super) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Reply, Unanswered> {
        for _ in 0..self.nodes.len() {
            match self.nodes[self.at].try_send(method.clone(), path, headers, body.to_owned()).await {
                Ok(reply) if reply.status != 503 => return Ok(reply),
                Ok(reply) => {
                    assert_eq!(reply.code(), "unavailable", "{path}");
                    self.refusals += 1;
                }
                Err(_) => self.silences += 1,
            }
            self.at = (self.at + 1) % self.nodes.len();
        }
        Err(Unanswered)
    }
}

/// All that senders were told.
#[derive(Default)]
pub(super) struct Told {
    /// Which sheet has which receipt: submitter, number, exchange.
    pub(super) receipts: Vec<(usize, usize, String)>,
    /// The exchanges of answers with data, and of those that had to tell nothing.
    pub(super) disclosed: Vec<String>,
    pub(super) denied: Vec<String>,
    /// Directives that were given.
    pub(super) given: Vec<String>,
    pub(super) withdrawn: Vec<Withdrawn>,
    /// The document numbers that came out of the mailbox, as often as they did.
    pub(super) taken: Vec<String>,
    /// How many deliveries ended by what was said.
    pub(super) settled: u64,
    pub(super) silences: u64,
    pub(super) refusals: u64,
}

impl Told {
    pub(super) fn add(&mut self, other: Self) {
        self.receipts.extend(other.receipts);
        self.disclosed.extend(other.disclosed);
        self.denied.extend(other.denied);
        self.given.extend(other.given);
        self.withdrawn.extend(other.withdrawn);
        self.taken.extend(other.taken);
        self.settled += other.settled;
        self.silences += other.silences;
        self.refusals += other.refusals;
    }
}

/// A withdrawal that was acknowledged.
pub(super) struct Withdrawn {
    /// The directive.
    pub(super) id: String,
    /// What the proxy shows.
    pub(super) bearer: String,
    /// The exchange of the answer.
    pub(super) exchange: String,
    /// How many earlier tries had no answer: each may have got through all the same.
    pub(super) unanswered: u64,
}

/// What a sender does over and over.
pub(super) enum Task {
    /// Asks about children whose consent is on file.
    Ask(usize),
    /// Takes what waits in the mailbox, and acknowledges the batch that it has in hand.
    Collect(Option<String>),
    /// Gives and withdraws consents in turn, and reads in between.
    Consent(Citizen),
    /// Submits: which submitter it is, and the sheet that has no receipt yet.
    Submit(usize, usize),
}

/// The children of one proxy, and what was done about the one whose turn it is.
pub(super) struct Citizen {
    /// What the proxy shows for each child, and the number of its document.
    pub(super) children: Vec<(String, String)>,
    pub(super) turn: usize,
    pub(super) stage: Stage,
}

/// What comes next.
#[derive(Clone)]
pub(super) enum Stage {
    Give,
    ReadGiven(String),
    /// With how many tries had no answer.
    Withdraw(String, u64),
    ReadWithdrawn,
}

/// A sender, who lives on when the hub does not.
pub(super) struct Sender {
    pub(super) name: &'static str,
    pub(super) task: Task,
    pub(super) told: Told,
}

impl Sender {
    pub(super) fn new(name: &'static str, task: Task) -> Self {
        Self { name, task, told: Told::default() }
    }

    /// Goes on until told to stop. The first thing is to look whether the newest receipt still holds.
    pub(super) async fn run(mut self, mut way: Way, stop: Arc<AtomicBool>, done: Arc<watch::Sender<u64>>) -> Self {
        if let Some((submitter, n, exchange)) = self.told.receipts.last() {
            // If nobody answers, there is the next time.
            let _asked = Sheet::of(*submitter, *n).is_kept(&mut way, exchange).await;
        }
        while !stop.load(Ordering::Acquire) {
            match self.step(&mut way).await {
                Ok(()) => done.send_modify(|steps| *steps += 1),
                Err(Unanswered) => tokio::task::yield_now().await,
            }
        }
        self.told.silences += way.silences;
        self.told.refusals += way.refusals;
        self
    }

    /// One thing. What got no answer stays to be done.
    pub(super) async fn step(&mut self, way: &mut Way) -> Result<(), Unanswered> {
        match &mut self.task {
            Task::Ask(turn) => {
                let person = Person::number(READ.start + *turn % READ.len(), today());
                let reply = if turn.is_multiple_of(2) {
                    let question = eligibility(&person.joined(), None).to_string();
                    way.ask(Method::POST, ELIGIBILITY, &[FHIR], &question).await?.expect(200)
                } else {
                    let path = format!("/fhir/Immunization?patient.identifier={RECIPIENT_SYSTEM}|{}", person.joined());
                    let found = way.ask(Method::GET, &path, &[], "").await?.expect(200);
                    assert_eq!(found.json()["total"], 1, "{}", found.text());
                    found
                };
                self.told.disclosed.push(reply.exchange().to_owned());
                *turn += 1;
            }
            Task::Collect(batch @ None) => {
                let pulled = way.ask(Method::GET, "/v1/mailbox?limit=20", &[], "").await?;
                if pulled.status != 204 {
                    self.told.taken.extend(numbers(&pulled.expect(200), batch));
                }
            }
            Task::Collect(batch @ Some(_)) => {
                let said = json!({ "batch": batch }).to_string();
                let ended = way.ask(Method::POST, "/v1/mailbox/ack", &[JSON], &said).await?.expect(200).json();
                self.told.settled += ended["settled"].as_u64().unwrap();
                *batch = None;
            }
            Task::Consent(citizen) => citizen.step(way, &mut self.told).await?,
            Task::Submit(submitter, n) => {
                let exchange = Sheet::of(*submitter, *n).send(way).await?;
                self.told.receipts.push((*submitter, *n, exchange));
                *n += 1;
            }
        }
        Ok(())
    }
}

/// The document numbers of a batch, which is kept to be acknowledged.
fn numbers(pulled: &Reply, batch: &mut Option<String>) -> Vec<String> {
    *batch = Some(pulled.header("tsunagi-batch").to_owned());
    let text = encoding_rs::SHIFT_JIS.decode(&pulled.body).0.into_owned();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let at = header.iter().position(|name| name == "整理番号").unwrap();
    lines.map(|cells| cells[at].clone()).collect()
}

impl Citizen {
    async fn step(&mut self, way: &mut Way, told: &mut Told) -> Result<(), Unanswered> {
        let (bearer, document) = &self.children[self.turn % self.children.len()];
        let key = format!("{document}-{}", self.turn);
        let auth = ("authorization", bearer.as_str());
        const READ_PATH: &str = "/app/v1/records?kind=vaccination";
        self.stage = match self.stage.clone() {
            Stage::Give => {
                let said = json!({ "effect": "permit", "recipient": { "participant": "app-techo" } }).to_string();
                let headers = [JSON, auth, ("idempotency-key", &key)];
                let given = way.ask(Method::POST, "/app/v1/consents", &headers, &said).await?.expect(201).json();
                assert_eq!(given["consents"].as_array().map(Vec::len), Some(1), "{given}");
                let id = given["consents"][0]["id"].as_str().unwrap().to_owned();
                told.given.push(id.clone());
                Stage::ReadGiven(id)
            }
            Stage::ReadGiven(id) => {
                let read = way.ask(Method::GET, READ_PATH, &[auth], "").await?;
                assert!(read.status == 200 && read.text().contains(document), "consented: {}", read.text());
                told.disclosed.push(read.exchange().to_owned());
                Stage::Withdraw(id, 0)
            }
            Stage::Withdraw(id, before) => {
                let path = format!("/app/v1/consents/{id}");
                let at_first = way.unanswered();
                let reply = way.ask(Method::DELETE, &path, &[auth], "").await;
                let unanswered = before + way.unanswered() - at_first;
                // Kept for the next try.
                self.stage = Stage::Withdraw(id.clone(), unanswered);
                let exchange = reply?.expect(200).exchange().to_owned();
                told.withdrawn.push(Withdrawn { id, bearer: bearer.clone(), exchange, unanswered });
                Stage::ReadWithdrawn
            }
            Stage::ReadWithdrawn => {
                let read = way.ask(Method::GET, READ_PATH, &[auth], "").await?;
                assert_eq!(read.status, 404, "withdrawn, and still read: {}", read.text());
                told.denied.push(read.exchange().to_owned());
                self.turn += 1;
                Stage::Give
            }
        };
        Ok(())
    }
}

/// Senders at work.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    /// How many things have had their answer.
    done: Arc<watch::Sender<u64>>,
    senders: JoinSet<Sender>,
}

impl Load {
    /// Sets all to work, each on its way.
    pub(super) fn begin(senders: Vec<Sender>, way: impl Fn(&Sender, usize) -> Way) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(watch::Sender::default()));
        let mut at_work = JoinSet::new();
        for (place, sender) in senders.into_iter().enumerate() {
            let way = way(&sender, place);
            at_work.spawn(sender.run(way, stop.clone(), done.clone()));
        }
        Self { stop, done, senders: at_work }
    }

    /// Waits until so many more things have had their answer.
    pub(super) async fn goes_on(&self, things: u64) {
        let mut done = self.done.subscribe();
        let enough = *done.borrow() + things;
        let waiting = done.wait_for(|done| *done >= enough);
        drop(tokio::time::timeout(PATIENCE, waiting).await.expect("the load goes on in time").unwrap());
    }

    /// Lets each finish what it is at.
    pub(super) async fn end(mut self) -> Vec<Sender> {
        self.stop.store(true, Ordering::Release);
        let mut senders = Vec::new();
        while let Some(sender) = self.senders.join_next().await {
            senders.push(sender.unwrap());
        }
        senders
    }
}
