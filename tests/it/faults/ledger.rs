//! What was told against what is there: every acknowledged write once, every disclosed answer with its leaf, every
//! delivery ended once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::exchange::{DeliveryState, DeliveryView};
use tsunagi_store::DeliveryFilter;
use tsunagi_tests::{Dice, Log};

use super::load::{Told, Way, Withdrawn};
use super::sheets::{SUBMITTERS, Sheet};
use super::town::{AT_FIRST, Town};

const ALL: usize = 1_000_000;

/// What is wrong, thing by thing.
#[derive(Default)]
struct Wrong {
    lost: Vec<String>,
    twice: Vec<String>,
    unsaid: Vec<String>,
}

impl Wrong {
    /// A thing that must be there once.
    fn once(&mut self, found: usize, what: impl Display) {
        match found {
            0 => self.lost.push(what.to_string()),
            1 => {}
            more => self.twice.push(format!("{what}: {more} times")),
        }
    }
}

/// The log and the deliveries of the one tenant of the load, to be looked up.
struct Found<'l> {
    exchanges: BTreeMap<&'l str, Vec<&'l AuditEvent>>,
    directives: BTreeMap<&'l str, Vec<&'l AuditEvent>>,
    of_deliveries: BTreeMap<&'l str, Vec<&'l AuditEvent>>,
    deliveries: BTreeMap<&'l str, Vec<&'l DeliveryView>>,
}

impl<'l> Found<'l> {
    fn of(log: &'l Log, all: &'l [DeliveryView]) -> Self {
        let by = |key: fn(&AuditEvent) -> Option<&str>| {
            let mut map = BTreeMap::<&str, Vec<&AuditEvent>>::new();
            for event in &log.events {
                if let Some(id) = key(event) {
                    map.entry(id).or_default().push(event);
                }
            }
            map
        };
        let mut deliveries = BTreeMap::<&str, Vec<&DeliveryView>>::new();
        for delivery in all {
            deliveries.entry(delivery.exchange.as_str()).or_default().push(delivery);
        }
        Self {
            exchanges: by(|event| event.exchange.as_ref().map(|id| id.as_str())),
            directives: by(|event| event.directive.as_ref().map(|id| id.as_str())),
            of_deliveries: by(|event| event.delivery.as_ref().map(|id| id.as_str())),
            deliveries,
        }
    }

    /// How many leaves an exchange has that say this was done.
    fn done(&self, exchange: &str, action: Action) -> usize {
        self.exchanges.get(exchange).map_or(0, |events| done(events, action))
    }
}

fn done(events: &[&AuditEvent], action: Action) -> usize {
    events.iter().filter(|event| event.action == action && event.outcome == EventOutcome::Done).count()
}

/// True if this ended a delivery; giving a lease back does not, and an attempt that failed does not.
fn has_ended(event: &AuditEvent) -> bool {
    event.action == Action::DeliverySettled && event.outcome != EventOutcome::Failed
}

/// Reads everything once nothing runs any more; prints what was found, and fails if anything is wrong.
pub(super) async fn check(town: &Town, told: &Told, what: &str) {
    let store = town.hub.store().await;
    let log = Log::read(store.as_ref(), "oita").await;
    let filter = DeliveryFilter { state: None, limit: ALL };
    let deliveries = store.deliveries(&"oita".parse().unwrap(), &filter).await.unwrap();
    let exchanges = store.exchanges(ALL).await.unwrap();
    let mut kept = BTreeMap::<&str, usize>::new();
    for exchange in &exchanges {
        *kept.entry(exchange.id.as_str()).or_default() += 1;
    }
    let found = Found::of(&log, &deliveries);
    let mut wrong = Wrong::default();
    let rows = writes(told, &found, &kept, &mut wrong);
    consents(told, &found, &mut wrong);
    answers(told, &found, &mut wrong);
    let accepted = log.events.iter().filter(|event| event.action == Action::RecordAccepted).count();
    if accepted > rows + AT_FIRST.1 {
        wrong.twice.push(format!("{accepted} records were accepted, and {rows} of them have a receipt"));
    }
    all_ended(town, told, &found, &deliveries, &mut wrong);
    println!(
        "{what}: {} acknowledged writes ({rows} records), {} consents given, {} withdrawn, {} disclosed answers, {} rows \
         out of the mailbox, {} deliveries; no answer {} times, 503 {} times; lost {}, twice {}, disclosed without a leaf {}",
        told.receipts.len(),
        told.given.len(),
        told.withdrawn.len(),
        told.disclosed.len(),
        told.taken.len(),
        deliveries.len(),
        told.silences,
        told.refusals,
        wrong.lost.len(),
        wrong.twice.len(),
        wrong.unsaid.len(),
    );
    assert_eq!((wrong.lost, wrong.twice, wrong.unsaid), Default::default());
    let verified = town.hub.run(&["audit", "verify", "--json"]).ended(0).json();
    assert!(verified.as_array().unwrap().iter().all(|log| log["verified"] == true), "{verified}");
    town.hub.check().await;
}

/// One exchange for each key, one record for each row, two deliveries for each vaccination.
fn writes(told: &Told, found: &Found<'_>, kept: &BTreeMap<&str, usize>, wrong: &mut Wrong) -> usize {
    let (mut records, mut quoted, mut rows) = (BTreeSet::new(), BTreeSet::new(), 0);
    for (submitter, n, exchange) in &told.receipts {
        let sheet = Sheet::of(*submitter, *n);
        wrong.once(kept.get(exchange.as_str()).copied().unwrap_or(0), format!("{} as {exchange}", sheet.key));
        if !quoted.insert(exchange) {
            wrong.twice.push(format!("{exchange}: two keys share it"));
        }
        rows += sheet.rows;
        let leaves = found.exchanges.get(exchange.as_str()).map_or(&[][..], Vec::as_slice);
        for row in 1..=sheet.rows as u64 {
            let of_row = leaves.iter().filter(|event| event.action == Action::RecordAccepted && event.row == Some(row));
            let accepted: Vec<_> = of_row.flat_map(|event| &event.records).collect();
            wrong.once(accepted.len(), format!("row {row} of {}", sheet.key));
            for (record, version) in accepted {
                if *version != 1 || !records.insert(record) {
                    wrong.twice.push(format!("{record} in version {version}, by {}", sheet.key));
                }
            }
        }
        let due = found.deliveries.get(exchange.as_str()).map_or(0, Vec::len);
        match due.cmp(&(2 * sheet.documents.len())) {
            std::cmp::Ordering::Less => wrong.lost.push(format!("a delivery of {}", sheet.key)),
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => wrong.twice.push(format!("a delivery of {}", sheet.key)),
        }
    }
    rows
}

fn consents(told: &Told, found: &Found<'_>, wrong: &mut Wrong) {
    let of = |id: &str| found.directives.get(id).map_or(&[][..], Vec::as_slice);
    for id in &told.given {
        wrong.once(done(of(id), Action::DirectiveRecorded), format!("consent {id}"));
    }
    for withdrawn in &told.withdrawn {
        withdrawal(withdrawn, of(&withdrawn.id), wrong);
    }
}

/// One leaf for each try that got through, and one of them is of the try that had its answer. Whoever had no answer withdrew
/// again, which changes nothing and leaves a leaf of its own.
fn withdrawal(Withdrawn { id, exchange, unanswered, .. }: &Withdrawn, leaves: &[&AuditEvent], wrong: &mut Wrong) {
    let mut tries = BTreeMap::<&str, usize>::new();
    for event in leaves {
        if done(&[event], Action::DirectiveWithdrawn) == 1 {
            *tries.entry(event.exchange.as_ref().map_or("", |id| id.as_str())).or_default() += 1;
        }
    }
    let answered = tries.remove(exchange.as_str()).unwrap_or(0);
    wrong.once(answered, format!("withdrawal of {id}"));
    for (other, leaves) in &tries {
        wrong.once(*leaves, format!("withdrawal of {id} by {other}"));
    }
    if tries.len() as u64 > *unanswered {
        wrong
            .twice
            .push(format!("withdrawal of {id}: {} leaves more, and {unanswered} tries had no answer", tries.len()));
    }
}

fn answers(told: &Told, found: &Found<'_>, wrong: &mut Wrong) {
    for exchange in &told.disclosed {
        if found.done(exchange, Action::LookupAnswered) != 1 {
            wrong.unsaid.push(exchange.clone());
        }
    }
    for exchange in &told.denied {
        if found.done(exchange, Action::LookupAnswered) != 0 || !found.exchanges.contains_key(exchange.as_str()) {
            wrong.unsaid.push(exchange.clone());
        }
    }
}

/// Each ended once, as delivered, after which nothing of it left; and what came out of the mailbox is said as often as it
/// did.
fn all_ended(town: &Town, told: &Told, found: &Found<'_>, deliveries: &[DeliveryView], wrong: &mut Wrong) {
    let sheets = (0..SUBMITTERS).flat_map(|submitter| {
        let of_it = told.receipts.iter().filter(move |(one, ..)| *one == submitter);
        of_it.map(move |(_, n, exchange)| (exchange.as_str(), Sheet::of(submitter, *n).documents))
    });
    let documents: BTreeMap<&str, Vec<String>> = sheets.collect();
    let mut taken = BTreeMap::<&str, usize>::new();
    for document in &told.taken {
        *taken.entry(document.as_str()).or_default() += 1;
    }
    let pushed = town.pushed.lock().unwrap();
    let mut settled = 0;
    for delivery in deliveries {
        assert_eq!(delivery.state, DeliveryState::Delivered, "{delivery:?}");
        let events = found.of_deliveries.get(delivery.id.as_str()).map_or(&[][..], Vec::as_slice);
        wrong.once(events.iter().filter(|event| has_ended(event)).count(), format!("the end of {}", delivery.id));
        let end = events.iter().position(|event| has_ended(event)).unwrap_or(events.len());
        if events[end..].iter().any(|event| event.action == Action::DeliveryDisclosed) {
            wrong.twice.push(format!("{} left after its end", delivery.id));
        }
        let said = done(events, Action::DeliveryDisclosed);
        if delivery.channel.as_str() == "desk-oita-deliver" {
            match pushed.get(delivery.id.as_str()) {
                Some(times) if *times <= said => {}
                // Who pushed may have ended before it heard the answer: then it was pushed again, under the same key.
                Some(times) => wrong.unsaid.push(format!("{}: pushed {times} times, said {said} times", delivery.id)),
                None => wrong.lost.push(format!("{} never came to the desk", delivery.id)),
            }
            continue;
        }
        settled += 1;
        let Some(documents) = documents.get(delivery.exchange.as_str()) else { continue };
        let document = &documents[delivery.row as usize - 1];
        match taken.get(document.as_str()) {
            Some(times) if *times <= said => {}
            // A batch may have got no answer, and have been acknowledged by nobody: then it was taken again.
            Some(times) => wrong.unsaid.push(format!("{document}: taken {times} times, said {said} times")),
            None => wrong.lost.push(format!("{document} never came out of the mailbox")),
        }
    }
    if told.settled > settled {
        wrong.twice.push(format!("{} ends were acknowledged of {settled} deliveries", told.settled));
    }
    if deliveries.len() < AT_FIRST.0 {
        wrong.lost.push("a delivery from the beginning".to_owned());
    }
}

/// Some of what has a receipt, sent again under its key: it gets the same receipt.
pub(super) async fn same_receipts(town: &Town, told: &Told, edge: std::net::SocketAddr, dice: &mut Dice) {
    const MOST: usize = 150;
    let mut receipts: Vec<_> = told.receipts.iter().collect();
    dice.shuffle(&mut receipts);
    for (submitter, n, exchange) in receipts.into_iter().take(MOST) {
        let sheet = Sheet::of(*submitter, *n);
        let mut way = Way::over(vec![town.hub.partner(sheet.sender, edge)], 0);
        let again = sheet.send(&mut way).await.unwrap_or_else(|_| panic!("{}: no answer", sheet.key));
        assert_eq!(again, *exchange, "{}: two receipts for one key", sheet.key);
    }
}

/// The check of withdrawals fails where it has to.
#[test]
fn a_withdrawal_that_is_lost_or_done_twice_is_seen() {
    let exchange = |n: u64| format!("ex-{n:032x}");
    let leaf = |n: u64| {
        let now = tsunagi_gateway::clock::Clock::system().now();
        let mut event = AuditEvent::new(now, Action::DirectiveWithdrawn, EventOutcome::Done, Agent::default());
        event.exchange = Some(exchange(n).parse().unwrap());
        event
    };
    // The exchanges of the leaves, how many tries had no answer, and how many things are lost and twice.
    for (leaves, unanswered, lost, twice) in [
        (&[1][..], 0, 0, 0),
        (&[2, 1], 1, 0, 0),
        (&[2, 3, 1], 3, 0, 0),
        (&[], 0, 1, 0),
        (&[2], 1, 1, 0),
        (&[1, 1], 1, 0, 1),
        (&[2, 2, 1], 1, 0, 1),
        (&[2, 1], 0, 0, 1),
    ] {
        let leaves: Vec<AuditEvent> = leaves.iter().map(|n| leaf(*n)).collect();
        let [id, bearer] = ["directive", "bearer"].map(str::to_owned);
        let withdrawn = Withdrawn { id, bearer, exchange: exchange(1), unanswered };
        let mut wrong = Wrong::default();
        withdrawal(&withdrawn, &leaves.iter().collect::<Vec<_>>(), &mut wrong);
        assert_eq!((wrong.lost.len(), wrong.twice.len()), (lost, twice), "{:?} {:?}", wrong.lost, wrong.twice);
    }
}
