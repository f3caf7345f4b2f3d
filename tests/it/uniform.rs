//! Whatever the cause, a refusal is the same answer and the same work: status, bytes and headers, the same calls of the
//! store, the same number of leaves, as many commits. How long it takes is measured by `tests/bench/uniform`; here
//! it is only seen to wait for its beat.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tsunagi_core::sensitive::Sensitive;
use tsunagi_gateway::gateway::Running;
use tsunagi_store::sqlite::SqliteStore;
use tsunagi_store::{Keyring, MasterKey, Storage};
use tsunagi_tests::faulty::FaultyStore;
use tsunagi_tests::refusals::Cast;
use tsunagi_tests::{Reply, Setup, TestGateway};

/// A hub whose store tells what it was called for, and counts its commits.
struct Watched {
    hub: TestGateway,
    store: Arc<FaultyStore>,
    sqlite: Arc<SqliteStore>,
}

impl Watched {
    async fn start() -> Self {
        // Nothing else commits meanwhile.
        let mut hub = Setup::new().set("sealing.interval_ms", 50_000).start().await;
        let text = std::fs::read_to_string(&hub.config.master_key_file).unwrap();
        let mut key = [0; 32];
        hex::decode_to_slice(text.trim(), &mut key).unwrap();
        let keyring = Keyring::new(MasterKey::from_bytes(Sensitive::new(key)));
        let sqlite = Arc::new(SqliteStore::open(&hub.config.store_path, keyring).unwrap());
        let (store, _) = FaultyStore::before(sqlite.clone() as Arc<dyn Storage>);
        let running = Running::start_on(hub.config.clone(), hub.clock.clone(), store.clone());
        let running = Box::pin(running).await.unwrap();
        std::mem::replace(&mut hub.running, running).drain().await;
        Self { hub, store, sqlite }
    }

    /// What one request costs the store.
    async fn cost(&self, answered: impl Future<Output = Reply>) -> (Reply, Vec<String>, u64) {
        let _before = self.store.calls();
        let before = self.sqlite.commits();
        let reply = answered.await;
        (reply, self.store.calls(), self.sqlite.commits() - before)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_the_same_answer_and_the_same_work_whatever_the_cause() {
    let watched = Watched::start().await;
    let hub = &watched.hub;
    let cast = Cast::assemble(hub).await;
    let mut answers = BTreeMap::new();
    for surface in cast.surfaces() {
        let caller = hub.partner(surface.caller);
        let mut seen = Vec::new();
        for one in &surface.refused {
            let headers = one.ask.headers(hub);
            let asked = Instant::now();
            let (reply, calls, commits) = watched.cost(one.ask.send(&caller, &headers)).await;
            // It leaves on the beat, never before: that holds on the slowest machine.
            assert!(asked.elapsed() >= Duration::from_millis(10), "{}, {}: it did not wait", surface.name, one.cause);
            let mut reasons = BTreeSet::new();
            for log in surface.logs {
                reasons.extend(hub.log(log).await.of(reply.exchange()).into_iter().map(|event| event.reason.clone()));
            }
            let expected = BTreeSet::from([Some(one.reason.to_owned())]);
            assert_eq!(reasons, expected, "{}, {}: it is refused for what it is meant to be", surface.name, one.cause);
            seen.push((one.cause, reply.essence(), calls, commits));
        }
        let (_, answer, calls, commits) = &seen[0];
        for (cause, other, its_calls, its_commits) in &seen {
            assert_eq!(other, answer, "{}: {cause} looks unlike {}", surface.name, seen[0].0);
            assert_eq!((its_calls, its_commits), (calls, commits), "{}: {cause} is other work", surface.name);
        }
        // The control: to somebody something is told, so that the surface does answer.
        if let Some(granted) = &surface.granted {
            let headers = granted.headers(hub);
            let (reply, granted_calls, _) = watched.cost(granted.send(&caller, &headers)).await;
            assert!(reply.status.is_success() && reply.essence() != *answer, "{}: {}", surface.name, reply.text());
            if surface.name == "eligibility" {
                // The consent that came along is kept with the answer, and with no refusal.
                assert_eq!((calls.join(", ").as_str(), *commits), ("held, note of 1 leaves, 0 directives", 1));
                assert_eq!(granted_calls.join(", "), "held, note of 1 leaves, 1 directives");
            }
        }
        answers.insert(surface.name, answer.clone());
    }
    assert_eq!(answers.len(), 20, "{:?}", answers.keys());
    // Without a channel anywhere it is the very same answer.
    assert_eq!(answers["eligibility, no channel at all"], answers["eligibility"]);
    assert_eq!(answers["search, no channel at all"], answers["search"]);
    drop(watched.store);
    watched.hub.finish().await;
}
