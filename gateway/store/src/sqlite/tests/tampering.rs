//! What `verify` finds after somebody with the file, but without the keys, has been at it.

use rusqlite::Connection;
use tempfile::TempDir;

use super::open;
use crate::contract::given::*;
use crate::{AuditLog, Note, StoreAdmin, StoreError, Verdict, VerifyFault};

const LEAVES: i64 = 8;
const SEALED: usize = 6;

/// A log of eight leaves, six of them sealed, and what became of it after these statements.
async fn after(statements: &str) -> Verdict {
    let folder = log().await;
    tamper(&folder, statements);
    verify(&folder).await
}

async fn log() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store: Shared = std::sync::Arc::new(open(&folder.path().join("store.db")));
    for n in 0..LEAVES {
        store.note(&aoi(), Note { events: vec![event(n)], rests_on: vec![], directive: None }).await.unwrap();
    }
    seal(&store, &aoi(), SEALED).await;
    folder
}

fn tamper(folder: &TempDir, statements: &str) {
    let conn = Connection::open(folder.path().join("store.db")).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    conn.execute_batch(statements).unwrap();
}

async fn verify(folder: &TempDir) -> Verdict {
    let store = open(&folder.path().join("store.db"));
    store.verify(&aoi(), &signer().public_key(), &|_| ()).await.unwrap()
}

async fn assert_found(statements: &str, fault: VerifyFault) {
    assert_eq!(after(statements).await.fault, Some(fault), "{statements}");
}

/// The second byte is another one, whatever it was: salts and seals are random.
fn touched(column: &str) -> String {
    let byte = format!("CASE substr({column}, 2, 1) WHEN x'00' THEN x'01' ELSE x'00' END");
    format!("{column} = CAST(substr({column}, 1, 1) || {byte} || substr({column}, 3) AS BLOB)")
}

const SHIFT_DOWN: &str = "UPDATE audit_leaves SET idx = -idx WHERE tenant = 'aoi' AND idx > 3;
                          UPDATE audit_leaves SET idx = -idx - 1 WHERE tenant = 'aoi' AND idx < 0;";
const SHIFT_UP: &str = "UPDATE audit_leaves SET idx = -idx WHERE tenant = 'aoi' AND idx >= 3;
                        UPDATE audit_leaves SET idx = 1 - idx WHERE tenant = 'aoi' AND idx < 0;";

#[tokio::test]
async fn an_untouched_log_has_no_fault() {
    let verdict = after("").await;
    assert_eq!((verdict.leaves, verdict.sealed, verdict.fault), (8, 6, None));
}

#[tokio::test]
async fn a_changed_leaf_is_named() {
    for index in [0, 3, 5, 7] {
        for column in ["bytes", "hash", "mac"] {
            let change = format!("UPDATE audit_leaves SET {} WHERE idx = {index}", touched(column));
            assert_found(&change, VerifyFault::Changed(index)).await;
        }
    }
    // Content and hash fit each other; only the seal tells.
    assert_found(
        "UPDATE audit_leaves SET (bytes, hash) = (SELECT bytes, hash FROM audit_leaves WHERE idx = 4) WHERE idx = 3",
        VerifyFault::Changed(3),
    )
    .await;
}

#[tokio::test]
async fn the_first_of_several_faults_is_named() {
    let two =
        "UPDATE audit_leaves SET bytes = x'00' WHERE idx = 6; UPDATE audit_leaves SET bytes = x'00' WHERE idx = 2";
    let verdict = after(two).await;
    assert_eq!((verdict.leaves, verdict.fault), (2, Some(VerifyFault::Changed(2))));
}

#[tokio::test]
async fn a_removed_leaf_is_named() {
    assert_found("DELETE FROM audit_leaves WHERE idx = 3", VerifyFault::Removed(3)).await;
    assert_found("DELETE FROM audit_leaves WHERE idx = 0", VerifyFault::Removed(0)).await;
    let closed_up = format!("DELETE FROM audit_leaves WHERE idx = 3; {SHIFT_DOWN}");
    assert_found(&closed_up, VerifyFault::Removed(3)).await;
    // The newest, which no checkpoint covers and no gap shows.
    assert_found("DELETE FROM audit_leaves WHERE idx = 7", VerifyFault::Removed(7)).await;
    assert_found("DELETE FROM audit_leaves", VerifyFault::Removed(0)).await;
    let log = "DELETE FROM audit_leaves; DELETE FROM audit_lengths; DELETE FROM checkpoints";
    assert_found(log, VerifyFault::Removed(0)).await;
    let traces = "DELETE FROM audit_leaves; DELETE FROM audit_lengths; DELETE FROM tenant_keys WHERE tenant = 'aoi'";
    assert_found(traces, VerifyFault::Removed(0)).await;
}

#[tokio::test]
async fn a_length_that_was_touched_vouches_for_nothing() {
    let cut = "DELETE FROM audit_leaves WHERE idx = 7; UPDATE audit_lengths SET size = 7 WHERE tenant = 'aoi'";
    assert_found(cut, VerifyFault::Removed(7)).await;
    let cut = "DELETE FROM audit_leaves WHERE idx = 7; DELETE FROM audit_lengths WHERE tenant = 'aoi'";
    assert_found(cut, VerifyFault::Removed(7)).await;
}

#[tokio::test]
async fn an_earlier_length_does_not_hide_a_cut_below_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let store: Shared = std::sync::Arc::new(open(&folder.path().join("store.db")));
    let note = |n| Note { events: vec![event(n)], rests_on: vec![], directive: None };
    store.note(&aoi(), note(0)).await.unwrap();
    tamper(&folder, "CREATE TABLE kept AS SELECT * FROM audit_lengths");
    store.note(&aoi(), note(1)).await.unwrap();
    seal(&store, &aoi(), 9).await;
    drop(store);
    let replay = "DELETE FROM audit_leaves WHERE idx = 1;
                  DELETE FROM audit_lengths; INSERT INTO audit_lengths SELECT * FROM kept";
    tamper(&folder, replay);
    assert_eq!(verify(&folder).await.fault, Some(VerifyFault::Removed(1)));
}

#[tokio::test]
async fn a_reordered_leaf_is_named() {
    let swap = "UPDATE audit_leaves SET idx = 100 WHERE idx = 2;
                UPDATE audit_leaves SET idx = 2 WHERE idx = 5;
                UPDATE audit_leaves SET idx = 5 WHERE idx = 100";
    assert_found(swap, VerifyFault::Reordered(2)).await;
    let newest = "UPDATE audit_leaves SET idx = 100 WHERE idx = 6;
                  UPDATE audit_leaves SET idx = 6 WHERE idx = 7;
                  UPDATE audit_leaves SET idx = 7 WHERE idx = 100";
    assert_found(newest, VerifyFault::Reordered(6)).await;
}

#[tokio::test]
async fn an_added_leaf_is_named() {
    let at_the_end = "INSERT INTO audit_leaves SELECT tenant, 8, bytes, hash, zeroblob(32), written_at
                      FROM audit_leaves WHERE tenant = 'aoi' AND idx = 7";
    assert_found(at_the_end, VerifyFault::Added(8)).await;
    let a_copy = "INSERT INTO audit_leaves SELECT tenant, 8, bytes, hash, mac, written_at
                  FROM audit_leaves WHERE tenant = 'aoi' AND idx = 7";
    assert_found(a_copy, VerifyFault::Added(8)).await;
    let between = format!(
        "{SHIFT_UP} INSERT INTO audit_leaves SELECT tenant, 3, x'7b7d', zeroblob(32), zeroblob(32), written_at
                    FROM audit_leaves WHERE tenant = 'aoi' AND idx = 2"
    );
    assert_found(&between, VerifyFault::Added(3)).await;
}

#[tokio::test]
async fn a_leaf_of_another_log_is_no_leaf_of_this_one() {
    let folder = log().await;
    let store = open(&folder.path().join("store.db"));
    let note = Note { events: vec![event(3)], rests_on: vec![], directive: None };
    crate::Store::note(&store, &kita(), note).await.unwrap();
    drop(store);
    tamper(
        &folder,
        "UPDATE audit_leaves SET (bytes, hash, mac) =
             (SELECT bytes, hash, mac FROM audit_leaves WHERE tenant = 'kita') WHERE tenant = 'aoi' AND idx = 0",
    );
    assert_eq!(verify(&folder).await.fault, Some(VerifyFault::Changed(0)));
}

#[tokio::test]
async fn a_changed_checkpoint_is_named() {
    for column in ["root", "frontier"] {
        assert_found(&format!("UPDATE checkpoints SET {}", touched(column)), VerifyFault::Checkpoint(6)).await;
    }
    assert_found("UPDATE checkpoints SET note = replace(note, '6', '7')", VerifyFault::Checkpoint(6)).await;
    assert_found("UPDATE checkpoints SET size = 5", VerifyFault::Checkpoint(5)).await;
    // One that was never signed, over more leaves than there are, is not believed.
    assert_found("UPDATE checkpoints SET size = 50", VerifyFault::Checkpoint(50)).await;
}

#[tokio::test]
async fn a_missing_checkpoint_is_named() {
    assert_found("DELETE FROM checkpoints", VerifyFault::Checkpoint(6)).await;
    let two = async || {
        let folder = log().await;
        let store: Shared = std::sync::Arc::new(open(&folder.path().join("store.db")));
        seal(&store, &aoi(), 1).await;
        folder
    };
    let folder = two().await;
    tamper(&folder, "DELETE FROM checkpoints WHERE size = 7");
    assert_eq!(verify(&folder).await.fault, Some(VerifyFault::Checkpoint(7)));
    // What was sealed is said in the length: it cannot be said otherwise.
    tamper(&folder, "UPDATE audit_lengths SET sealed = 6 WHERE tenant = 'aoi'");
    assert_eq!(verify(&folder).await.fault, Some(VerifyFault::Removed(8)));
    // Nor is an earlier length believed that knows less than the checkpoints.
    let folder = log().await;
    tamper(&folder, "CREATE TABLE kept AS SELECT * FROM audit_lengths");
    let store: Shared = std::sync::Arc::new(open(&folder.path().join("store.db")));
    seal(&store, &aoi(), 1).await;
    drop(store);
    tamper(&folder, "DELETE FROM audit_lengths; INSERT INTO audit_lengths SELECT * FROM kept");
    assert_eq!(verify(&folder).await.fault, Some(VerifyFault::Checkpoint(7)));
}

/// The gateway goes on working on the file: what it writes next must not make the log look right again.
#[tokio::test]
async fn a_log_that_was_cut_is_not_continued() {
    for cut in [
        "DELETE FROM audit_leaves; DELETE FROM audit_lengths; DELETE FROM checkpoints",
        "DELETE FROM audit_leaves WHERE idx = 7; UPDATE audit_lengths SET size = 7 WHERE tenant = 'aoi'",
    ] {
        let folder = log().await;
        tamper(&folder, cut);
        let before = verify(&folder).await.fault;
        assert!(before.is_some());
        let store = open(&folder.path().join("store.db"));
        let note = Note { events: vec![event(1)], rests_on: vec![], directive: None };
        let written = crate::Store::note(&store, &aoi(), note).await;
        assert!(matches!(written, Err(StoreError::Corrupt(_))), "{written:?}");
        drop(store);
        assert_eq!(verify(&folder).await.fault, before);
    }
    let folder = log().await;
    tamper(&folder, "DELETE FROM checkpoints");
    let store: Shared = std::sync::Arc::new(open(&folder.path().join("store.db")));
    let mut edge = tsunagi_core::merkle::Frontier::new();
    leaves(&store, &aoi()).await.iter().for_each(|leaf| edge.push(leaf.hash));
    let sealed = store.append_seal(&aoi(), checkpoint(&aoi(), &edge)).await;
    assert!(matches!(sealed, Err(StoreError::Corrupt(_))), "{sealed:?}");
    drop(store);
    assert_eq!(verify(&folder).await.fault, Some(VerifyFault::Checkpoint(6)));
}

/// Whether the registry still knows a tenant or not, and whichever trace is left of its log.
#[tokio::test]
async fn a_log_is_listed_by_any_trace() {
    let folder = log().await;
    let store = open(&folder.path().join("store.db"));
    let tenant = tsunagi_core::registry::Tenant {
        id: aoi(),
        name: "青井市".to_owned(),
        municipality: "011002".parse().unwrap(),
    };
    let entries = tsunagi_core::registry::RegistryEntries { tenant: vec![tenant], ..Default::default() };
    store.import_registry(entries, event(1)).await.unwrap();
    drop(store);
    tamper(
        &folder,
        "DELETE FROM registry_entries; UPDATE audit_leaves SET bytes = x'7b7d' WHERE tenant = 'aoi' AND idx = 3",
    );
    let listed = open(&folder.path().join("store.db")).logs().await.unwrap();
    assert_eq!(listed, [aoi(), tsunagi_core::id::TenantId::hub()]);
    assert_eq!(verify(&folder).await.fault, Some(VerifyFault::Changed(3)));
    let tables = ["audit_leaves", "audit_lengths", "checkpoints", "tenant_keys"];
    for left in tables {
        let folder = log().await;
        for table in tables.iter().filter(|table| **table != left) {
            tamper(&folder, &format!("DELETE FROM {table} WHERE tenant = 'aoi'"));
        }
        let listed = open(&folder.path().join("store.db")).logs().await.unwrap();
        assert!(listed.contains(&aoi()), "{left} still has it");
    }
}
