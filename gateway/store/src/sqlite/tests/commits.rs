//! The committer: who shares a transaction with whom, and what happens when it fails.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tsunagi_core::id::TenantId;

use super::{keyring, open};
use crate::contract::given::*;
use crate::sqlite::SqliteStore;
use crate::tables::append_one;
use crate::{Accepted, Note, Store, StoreAdmin, StoreError};

/// Holds the writer inside a command until the returned end is used or dropped.
async fn hold(store: &Arc<SqliteStore>) -> std::sync::mpsc::Sender<()> {
    let (release, released) = std::sync::mpsc::channel();
    let (started, running) = oneshot::channel();
    let store = Arc::clone(store);
    tokio::spawn(async move {
        store
            .write(move |_| {
                started.send(()).unwrap();
                released.recv().map_err(|_| StoreError::NotFound)
            })
            .await
    });
    running.await.unwrap();
    release
}

/// Sends accepts 1 to `count` while the writer is held. On the test's one thread every spawned task has run up to its
/// wait for the answer when the yield comes back.
async fn waiting_accepts(store: &Arc<SqliteStore>, count: u64) -> JoinSet<Result<Accepted, StoreError>> {
    let mut tasks = JoinSet::new();
    for n in 1..=count {
        let store = Arc::clone(store);
        tasks.spawn(async move { store.accept(&aoi(), whole(head(n), vec![row(1, vaccination(n))])).await });
    }
    tokio::task::yield_now().await;
    tasks
}

#[tokio::test]
async fn commands_that_wait_share_a_transaction() {
    let store = Arc::new(SqliteStore::open_in_memory(keyring()).unwrap());
    let release = hold(&store).await;
    let before = store.commits();
    let tasks = waiting_accepts(&store, 50).await;
    release.send(()).unwrap();
    assert!(tasks.join_all().await.into_iter().all(|outcome| outcome.is_ok()));
    assert_eq!(store.commits() - before, 2, "the one that held the writer, and one for all the others");
    assert_eq!(events(&(store as Shared), &aoi()).await.len(), 50);
}

#[tokio::test]
async fn a_command_that_fails_is_rolled_back_alone() {
    let store = Arc::new(SqliteStore::open_in_memory(keyring()).unwrap());
    let release = hold(&store).await;
    let good = waiting_accepts(&store, 3).await;
    let mut bad = JoinSet::new();
    for panics in [false, true] {
        let store = Arc::clone(&store);
        bad.spawn(async move {
            store
                .write::<(), _>(move |session| {
                    session.conn.execute("UPDATE registry_version SET version = 99", []).unwrap();
                    // A leaf in a log that others write to in the same transaction, and one in a log that is new.
                    for tenant in [aoi(), kita()] {
                        append_one(&session.enter(&tenant)?, &event(9))?;
                    }
                    assert!(!panics, "on purpose");
                    Err(StoreError::Stale)
                })
                .await
        });
    }
    tokio::task::yield_now().await;
    let later = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.accept(&aoi(), whole(head(9), vec![row(1, vaccination(9))])).await })
    };
    tokio::task::yield_now().await;
    release.send(()).unwrap();
    assert!(good.join_all().await.into_iter().all(|outcome| outcome.is_ok()));
    assert!(later.await.unwrap().is_ok());
    assert!(bad.join_all().await.into_iter().all(|outcome| outcome.is_err()));
    assert_eq!(store.registry().await.unwrap().0, 0);
    store.ready().await.unwrap();
    assert_eq!(store.logs().await.unwrap(), [aoi(), TenantId::hub()]);
    let shared: Shared = store;
    assert_eq!(events(&shared, &aoi()).await.len(), 4);
    seal(&shared, &aoi(), 4).await;
    let verdict = shared.verify(&aoi(), &signer().public_key(), &|_| ()).await.unwrap();
    assert_eq!((verdict.fault, verdict.leaves), (None, 4));
}

#[tokio::test]
async fn a_commit_that_fails_is_told_to_everybody() {
    let store = Arc::new(SqliteStore::open_in_memory(keyring()).unwrap());
    let release = hold(&store).await;
    let good = waiting_accepts(&store, 3).await;
    let breaking = tokio::spawn({
        let store = Arc::clone(&store);
        // A foreign key that is looked at only at COMMIT, and then does not hold.
        async move {
            store
                .write(|session| {
                    session.conn.execute_batch(
                        "PRAGMA defer_foreign_keys = ON; INSERT INTO identifiers VALUES ('aoi', x'00', 'recipient', 'nobody')",
                    )?;
                    Ok(())
                })
                .await
        }
    });
    tokio::task::yield_now().await;
    let before = store.commits();
    release.send(()).unwrap();
    for outcome in good.join_all().await {
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    }
    assert!(matches!(breaking.await.unwrap(), Err(StoreError::Unavailable(_))));
    assert_eq!(store.commits() - before, 1, "of the one that held the writer");
    let shared: Shared = store;
    assert!(held(&shared, 1).await.is_none());
    keep(&shared, 9, vaccination(9)).await;
    assert_eq!(events(&shared, &aoi()).await.len(), 1);
}

#[tokio::test]
async fn a_dropped_store_finishes_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = Arc::new(open(&path));
    let release = hold(&store).await;
    let mut tasks = waiting_accepts(&store, 20).await;
    // The callers go away, the writer goes on, and the last one to let go of the store waits for it.
    tasks.shutdown().await;
    release.send(()).unwrap();
    while Arc::strong_count(&store) > 1 {
        tokio::task::yield_now().await;
    }
    drop(store);
    let store: Shared = Arc::new(open(&path));
    assert_eq!(events(&store, &aoi()).await.len(), 20);
}

#[tokio::test]
async fn a_full_disk_is_unavailable_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder.path().join("store.db")));
    let shared: Shared = Arc::clone(&store) as Shared;
    keep(&shared, 1, vaccination(1)).await;
    let limit = |pages: &'static str| {
        store.write(move |session| Ok(session.conn.query_row(pages, [], |row| row.get::<_, i64>(0))?))
    };
    limit("PRAGMA max_page_count = 1").await.unwrap();
    let big = || Note { events: vec![event(1); 2000], rests_on: vec![], directive: None };
    let full = store.note(&aoi(), big()).await;
    assert!(matches!(full, Err(StoreError::Unavailable(_))), "{full:?}");
    assert_eq!(events(&shared, &aoi()).await.len(), 1);
    limit("PRAGMA max_page_count = 1073741823").await.unwrap();
    assert_eq!(store.note(&aoi(), big()).await.unwrap().len(), 2000);
    assert_eq!(crate::AuditLog::verify(&*store, &aoi(), &signer().public_key(), &|_| ()).await.unwrap().fault, None);
}

/// SQLite takes the whole transaction back by itself then: what was written before is gone, and nothing may follow.
#[tokio::test]
async fn a_disk_that_is_full_for_one_is_full_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&folder.path().join("store.db")));
    let shared: Shared = Arc::clone(&store) as Shared;
    keep(&shared, 1, vaccination(1)).await;
    let limit = |more: i64| {
        store.write(move |session| {
            let pages: i64 = session.conn.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            let set = format!("PRAGMA max_page_count = {}", pages + more);
            Ok(session.conn.query_row(&set, [], |row| row.get::<_, i64>(0))?)
        })
    };
    limit(1).await.unwrap();
    let release = hold(&store).await;
    let mut notes = Vec::new();
    for bytes in [10, 200_000, 10] {
        let mut event = event(1);
        event.reason = Some("x".repeat(bytes));
        let store = Arc::clone(&store);
        let note = Note { events: vec![event], rests_on: vec![], directive: None };
        notes.push(tokio::spawn(async move { store.note(&aoi(), note).await }));
    }
    tokio::task::yield_now().await;
    release.send(()).unwrap();
    for note in notes {
        let outcome = note.await.unwrap();
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    }
    limit(1_000_000).await.unwrap();
    keep(&shared, 2, vaccination(2)).await;
    assert_eq!(events(&shared, &aoi()).await.len(), 2);
    assert_eq!(crate::AuditLog::verify(&*store, &aoi(), &signer().public_key(), &|_| ()).await.unwrap().fault, None);
}

#[tokio::test]
async fn a_database_that_is_locked_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let writer = Arc::new(open(&path));
    let store: Shared = Arc::clone(&writer) as Shared;
    keep(&store, 1, vaccination(1)).await;
    writer.write(|session| Ok(session.conn.busy_timeout(std::time::Duration::ZERO)?)).await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(store.ready().await, Err(StoreError::Unavailable(_))));
    assert_eq!(held(&store, 1).await.unwrap().records.len(), 1, "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    store.ready().await.unwrap();
}
