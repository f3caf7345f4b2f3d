//! Tables that another release has made, or makes meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::task::JoinSet;

use super::wall::walled;
use super::{fresh, keyring, open};
use crate::contract::given::*;
use crate::contract::server::Place;
use crate::postgres::PostgresStore;
use crate::postgres::migrate::{self, STEPS, Step, migrate_by, of_tenant};
use crate::postgres::pool::Connections;
use crate::postgres::tenancy::Common;
use crate::{Note, StoreAdmin, StoreError};

/// What the next release may do to the tables: add.
fn next() -> Vec<Step> {
    let walls = || {
        let mut sql = String::new();
        of_tenant(&mut sql, "reminders");
        sql
    };
    let statements = "CREATE TABLE reminders (
                          tenant TEXT COLLATE \"C\" NOT NULL, subject TEXT NOT NULL, due BIGINT NOT NULL,
                          PRIMARY KEY (tenant, subject)
                      ) PARTITION BY HASH (tenant);
                      ALTER TABLE subjects ADD COLUMN reminded BIGINT;";
    let newest = migrate::newest();
    let more = [
        Step { version: newest + 1, oldest: newest, statements, walls },
        Step {
            version: newest + 2,
            oldest: newest,
            statements: "ALTER TABLE audit_leaves ADD COLUMN reminder TEXT",
            walls: String::new,
        },
    ];
    STEPS.into_iter().chain(more).collect()
}

/// A node of the next release runs its steps.
async fn migrate_to_next(place: &Place) {
    let common = Common::new(Connections::new(&place.server()).unwrap(), keyring());
    migrate_by(&common, &next()).await.unwrap();
}

async fn version(place: &Place) -> i64 {
    let client = place.connect().await;
    client.query_one("SELECT version FROM schema_version", &[]).await.unwrap().get(0)
}

/// Nodes of this release are at work while one of the next adds what it needs, and go on; so does one that starts then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_nodes_go_on_while_a_newer_one_migrates() {
    let (store, place) = fresh!();
    let nodes: [Shared; 2] = [Arc::new(store), Arc::new(open(&place).await)];
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut at_work = JoinSet::new();
    for (first, node) in [(1_000, &nodes[0]), (2_000, &nodes[1])] {
        let (node, stop, done) = (Arc::clone(node), Arc::clone(&stop), Arc::clone(&done));
        at_work.spawn(async move {
            let mut n = first;
            while !stop.load(Ordering::Acquire) {
                works(&node, n).await;
                n += 1;
                done.fetch_add(1, Ordering::AcqRel);
            }
        });
    }
    let some_more = async || {
        let enough = done.load(Ordering::Acquire) + 10;
        while done.load(Ordering::Acquire) < enough {
            tokio::task::yield_now().await;
        }
    };
    some_more().await;
    migrate_to_next(&place).await;
    some_more().await;
    stop.store(true, Ordering::Release);
    while let Some(ended) = at_work.join_next().await {
        ended.unwrap();
    }
    assert_eq!(version(&place).await, migrate::newest() + 2);
    let late = open(&place).await;
    late.migrate().await.unwrap();
    late.ready().await.unwrap();
    assert_eq!(version(&place).await, migrate::newest() + 2, "an older node takes nothing back");
    assert!(walled(&late).await.contains(&"reminders".to_owned()), "a table that came later has its wall too");
    let late: Shared = Arc::new(late);
    works(&late, 3_000).await;
    assert_eq!(late.logs().await.unwrap().len(), 2);
    let verdict = late.verify(&aoi(), &signer().public_key(), &|_| ()).await.unwrap();
    assert_eq!(verdict.fault, None);
}

/// Something of each kind of work, about a person of its own.
async fn works(node: &Shared, n: u64) {
    keep(node, n, delivered(n, n, &format!("to-app-{n}"))).await;
    node.record_directive(&aoi(), directive(n, n), event(1)).await.unwrap();
    let version = held(node, n).await.unwrap().version;
    let note = Note { events: vec![event(1)], rests_on: vec![(subject(n), version)], directive: None };
    node.note(&aoi(), note).await.unwrap();
    node.withdraw_directive(&aoi(), &subject(n), &directive_id(n), at(5), event(5)).await.unwrap();
    let batch_of = crate::ClaimRequest { batch: batch(n), ..claim(1, &format!("to-app-{n}"), 1) };
    assert_eq!(claimed(node, batch_of).await, [delivery(n)]);
    let ended = crate::Settlement {
        delivery: delivery(n),
        ..settlement(n, crate::SettledState::Ended(tsunagi_core::exchange::DeliveryState::Delivered))
    };
    assert_eq!(node.settle(&aoi(), &batch(n), vec![ended]).await.unwrap(), 1);
}

/// Of nodes that come to an empty database at once, or to older tables, one makes what is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_come_at_once_make_one_set_of_tables() {
    let Some(place) = Place::schema().await else { return };
    let (one, two, three) = tokio::join!(open(&place), open(&place), open(&place));
    assert_eq!(version(&place).await, migrate::newest());
    // One key of the hub, which all of them have.
    for (n, node) in (1..).zip([one, two, three]) {
        let node: Shared = Arc::new(node);
        keep(&node, n, vaccination(n)).await;
        for known in 1..=n {
            assert!(held(&node, known).await.is_some(), "{known} as node {n} sees it");
        }
    }
    tokio::join!(migrate_to_next(&place), migrate_to_next(&place), migrate_to_next(&place));
    assert_eq!(version(&place).await, migrate::newest() + 2);
}

#[tokio::test]
async fn tables_of_another_release_are_told_apart() {
    let (store, place) = fresh!();
    let client = place.connect().await;
    let set = async |version: i64, oldest: i64| {
        client.execute("UPDATE schema_version SET version = $1, oldest = $2", &[&version, &oldest]).await.unwrap();
    };
    let newest = migrate::newest();
    set(newest - 1, newest - 1).await;
    assert!(matches!(store.ready().await, Err(StoreError::Unavailable(_))), "older: to be migrated first");
    set(newest + 7, newest).await;
    store.ready().await.unwrap();
    store.migrate().await.unwrap();
    assert_eq!(version(&place).await, newest + 7);
    set(newest + 7, newest + 1).await;
    assert!(matches!(store.ready().await, Err(StoreError::Corrupt(_))));
    assert!(matches!(store.migrate().await, Err(StoreError::Corrupt(_))));
    let refused = PostgresStore::open(&place.server(), keyring()).await;
    let said = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(said.contains(&format!("schema version {}", newest + 7)), "newer: refused: {said}");
}
