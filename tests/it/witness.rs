//! The hub as a witness of another log: it cosigns growth and nothing else, and remembers what it has seen.

use http::Method;
use tsunagi_core::audit::{Action, EventOutcome};
use tsunagi_core::checkpoint::{CheckpointSigner, Verifier};
use tsunagi_core::cosignature::verify;
use tsunagi_core::merkle::{Hash, Plan, leaf_hash, root};
use tsunagi_core::sensitive::Sensitive;
use tsunagi_core::tlog::Growth;
use tsunagi_gateway::gateway::Running;
use tsunagi_tests::faulty::{Failing, FaultyStore, Write};
use tsunagi_tests::{Reply, Setup, TestGateway};

const PATH: &str = "/v1/witness/add-checkpoint";
const ORIGIN: &str = "tsunagi/kita";

/// Somebody else's log.
struct Log {
    signer: CheckpointSigner,
    leaves: Vec<Hash>,
}

impl Log {
    fn of(leaves: std::ops::Range<u64>) -> Self {
        let signer = CheckpointSigner::new(Sensitive::new([7; 32]), "tsunagi").unwrap();
        Self { signer, leaves: leaves.map(|n| leaf_hash(&n.to_be_bytes())).collect() }
    }

    /// The same up to a leaf, and another from there.
    fn forked_at(&self, size: usize) -> Self {
        let mut fork = Self::of(1_000..1_000 + self.leaves.len() as u64);
        fork.leaves[..size].copy_from_slice(&self.leaves[..size]);
        fork
    }

    fn checkpoint(&self, size: usize) -> String {
        self.signer.sign(ORIGIN, size as u64, &root(&self.leaves[..size]))
    }

    fn growth(&self, old: u64, size: usize) -> Growth {
        let leaves = &self.leaves[..size];
        let hashes = Plan::consistency(old, size as u64).unwrap().prove(|part| {
            let from = usize::try_from(part.index << part.height).unwrap();
            leaves.get(from..from + (1 << part.height)).map(root)
        });
        Growth { old, hashes: hashes.unwrap(), checkpoint: self.checkpoint(size) }
    }
}

/// A hub that is the witness of the log for the city of Oita.
async fn witness() -> TestGateway {
    let key = Log::of(0..0).signer.verifier_key();
    let logs = format!("[{{ origin = '{ORIGIN}', key = '{key}', participant = 'city-oita' }}]");
    let setup = Setup::new().set("witness.name", "witness.example").set("witness.logs", logs);
    let setup = setup.prepare(|folder, _, _| {
        tsunagi_certs::write_key(&folder.join("keys/witness.key"), &"08".repeat(32)).unwrap();
    });
    setup.start().await
}

async fn add(hub: &TestGateway, who: &str, body: impl ToString) -> Reply {
    hub.partner(who).send(Method::POST, PATH, &[("content-type", "text/plain")], body.to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn growth_is_cosigned_and_a_fork_is_caught() {
    let hub = witness().await;
    let key = hub.running.gateway.witness.as_ref().unwrap().cosigner.verifier_key();
    let log = Log::of(0..40);
    let cosigned = |reply: &Reply, size: usize| verify(&reply.text(), &log.checkpoint(size), &key).is_ok();
    let first = add(&hub, "city-oita", log.growth(0, 10)).await.expect(200);
    assert!(cosigned(&first, 10) && !cosigned(&first, 11) && first.text().ends_with('\n'));
    assert!(cosigned(&add(&hub, "city-oita", log.growth(10, 25)).await.expect(200), 25));
    assert!(cosigned(&add(&hub, "city-oita", log.growth(25, 25)).await.expect(200), 25), "the same again");
    // Not from where it was seen last.
    let late = add(&hub, "city-oita", log.growth(10, 30)).await.expect(409);
    assert_eq!((late.header("content-type"), late.text().as_str()), ("text/x.tlog.size", "25\n"));

    // Restored from a backup at 12 leaves, and gone on from there.
    let fork = log.forked_at(12);
    for (growth, status) in [
        (fork.growth(25, 30), 422),
        (fork.growth(25, 25), 409),
        (Growth { checkpoint: fork.checkpoint(30), ..log.growth(25, 30) }, 422),
        (fork.growth(12, 30), 409),
        (log.growth(24, 24), 409),
    ] {
        let refused = add(&hub, "city-oita", growth).await.expect(status);
        assert!(!refused.text().contains('\u{2014}'), "{}", refused.text());
    }
    assert!(cosigned(&add(&hub, "city-oita", log.growth(25, 40)).await.expect(200), 40), "the real one goes on");

    let seen = hub.log("hub").await;
    let witnessed = seen.events.iter().filter(|event| event.action == Action::CheckpointWitnessed);
    let told: Vec<_> = witnessed.map(|event| (event.outcome, event.reason.clone().unwrap())).collect();
    let done = |size: u64| (EventOutcome::Done, format!("{ORIGIN}@{size}"));
    let forked = |size: u64| (EventOutcome::Denied, format!("forked:{ORIGIN}@{size}"));
    assert_eq!(told, [done(10), done(25), done(25), forked(30), forked(25), forked(30), done(40)]);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_participant_of_a_log_brings_its_checkpoints_under_its_key() {
    let hub = witness().await;
    let log = Log::of(0..20);
    add(&hub, "city-hakodate", log.growth(0, 10)).await.expect(404);
    let mut other = log.growth(0, 10);
    other.checkpoint = log.signer.sign("tsunagi/minami", 10, &root(&log.leaves[..10]));
    add(&hub, "city-oita", &other).await.expect(404);
    let another = CheckpointSigner::new(Sensitive::new([9; 32]), "tsunagi").unwrap();
    other.checkpoint = another.sign(ORIGIN, 10, &root(&log.leaves[..10]));
    assert!(Verifier::of(&another).open(&other.checkpoint).is_ok());
    add(&hub, "city-oita", &other).await.expect(403);
    for body in
        ["", "old 0\n", "old 0\n\nno checkpoint\n", &log.growth(0, 10).to_string().replacen("old 0", "old 11", 1)]
    {
        add(&hub, "city-oita", body).await.expect(400);
    }
    let own: tsunagi_core::id::TenantId = "hub".parse().unwrap();
    let leaves = hub.store().audit_page(&own, 0, 100).await.unwrap();
    assert!(!leaves.iter().any(|leaf| String::from_utf8_lossy(&leaf.bytes).contains("CheckpointWitnessed")));
    // A hub that is nobody's witness has no such place.
    let plain = TestGateway::start().await;
    add(&plain, "city-oita", log.growth(0, 10)).await.expect(404);
    plain.finish().await;
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_was_restarted_remembers() {
    let mut hub = witness().await;
    let log = Log::of(0..40);
    add(&hub, "city-oita", log.growth(0, 25)).await.expect(200);
    let store = hub.store();
    let started = Box::pin(Running::start_on(hub.config.clone(), hub.clock.clone(), store)).await.unwrap();
    std::mem::replace(&mut hub.running, started).drain().await;
    assert_eq!(add(&hub, "city-oita", log.growth(0, 30)).await.expect(409).text(), "25\n");
    add(&hub, "city-oita", log.forked_at(12).growth(25, 30)).await.expect(422);
    add(&hub, "city-oita", log.growth(25, 30)).await.expect(200);
    hub.finish().await;
}

/// Two growths of one head at once: one is cosigned, the other is told of it.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_one_is_cosigned() {
    let hub = witness().await;
    let log = Log::of(0..40);
    let fork = log.forked_at(12);
    add(&hub, "city-oita", log.growth(0, 12)).await.expect(200);
    let (one, other) = (log.growth(12, 30), fork.growth(12, 30));
    let (one, other) = tokio::join!(add(&hub, "city-oita", &one), add(&hub, "city-oita", &other));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    hub.finish().await;
}

/// What was cosigned and what nobody was told of look the same to who waits; asked again, the witness says where it stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_could_not_remember_cosigns_nothing_and_says_where_it_stands() {
    for how in Failing::PAIR {
        let mut hub = witness().await;
        let (store, _failures) = FaultyStore::before(hub.store());
        let started = Box::pin(Running::start_on(hub.config.clone(), hub.clock.clone(), store.clone())).await.unwrap();
        std::mem::replace(&mut hub.running, started).drain().await;
        let log = Log::of(0..20);
        store.fail(Write::Witness, how);
        let failed = add(&hub, "city-oita", log.growth(0, 10)).await.expect(503);
        assert!(!failed.text().contains('\u{2014}'), "{}", failed.text());
        if how == Failing::After {
            assert_eq!(add(&hub, "city-oita", log.growth(0, 10)).await.expect(409).text(), "10\n");
            add(&hub, "city-oita", log.growth(10, 10)).await.expect(200);
        } else {
            add(&hub, "city-oita", log.growth(0, 10)).await.expect(200);
        }
        assert!(store.has_failed_all());
        hub.finish().await;
    }
}
