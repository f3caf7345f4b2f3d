//! What decides over disclosure cannot be changed in the file without being noticed.

use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;

use super::open;
use crate::contract::given::*;
use crate::{NewRecord, Outbox, Store, StoreError, SubjectRef};

/// Person 1 has the flag and a directive; person 2, with as many versions, has neither. Each has a delivery.
async fn people() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store: Shared = Arc::new(open(&folder.path().join("store.db")));
    keep(&store, 1, NewRecord { non_disclosure: Some(true), ..delivered(1, 1, "to-app") }).await;
    keep(&store, 2, delivered(2, 2, "to-app")).await;
    folder
}

/// What a lookup and a claim answer after these statements: the flag of person 1, or the fault.
async fn after(folder: &TempDir, statements: &str) -> (Result<bool, StoreError>, Result<bool, StoreError>) {
    let path = folder.path().join("store.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    conn.execute_batch(statements).unwrap();
    drop(conn);
    let store = open(&path);
    let held = store.held(&aoi(), &SubjectRef::Identifier(recipient(1)), &[]).await;
    let claimed = store.claim_due(&aoi(), claim(1, "to-app", 1)).await;
    (held.map(|held| held.unwrap().non_disclosure), claimed.map(|claimed| claimed[0].non_disclosure))
}

#[tokio::test]
async fn a_flag_that_was_touched_is_damage() {
    let untouched = after(&people().await, "").await;
    assert!(matches!(untouched, (Ok(true), Ok(true))), "{untouched:?}");
    let of = |n| format!("subject = '{}'", subject(n));
    for change in [
        format!("UPDATE subjects SET flags = x'' WHERE {}", of(1)),
        format!("UPDATE subjects SET flags = (SELECT flags FROM subjects WHERE {}) WHERE {}", of(2), of(1)),
        format!("UPDATE subjects SET version = version + 1 WHERE {}", of(1)),
    ] {
        let found = after(&people().await, &change).await;
        assert!(matches!(found, (Err(StoreError::Corrupt(_)), Err(StoreError::Corrupt(_)))), "{change}: {found:?}");
    }
}

#[tokio::test]
async fn an_earlier_flag_is_not_put_back() {
    let folder = people().await;
    let path = folder.path().join("store.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE kept AS SELECT * FROM subjects").unwrap();
    let store: Shared = Arc::new(open(&path));
    keep(&store, 3, NewRecord { non_disclosure: Some(true), identifiers: vec![recipient(2)], ..vaccination(3) }).await;
    drop(store);
    let back = format!(
        "UPDATE subjects SET flags = (SELECT flags FROM kept WHERE subject = '{0}') WHERE subject = '{0}'",
        subject(2)
    );
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(&back).unwrap();
    let read = open(&path).held(&aoi(), &SubjectRef::Identifier(recipient(2)), &[]).await;
    assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
}

#[tokio::test]
async fn a_directive_that_ends_otherwise_is_damage() {
    let folder = people().await;
    let store: Shared = Arc::new(open(&folder.path().join("store.db")));
    store.record_directive(&aoi(), directive(1, 1), event(1)).await.unwrap();
    drop(store);
    let found = after(&folder, "UPDATE directives SET ends_at = 0").await;
    assert!(matches!(found, (Err(StoreError::Corrupt(_)), Err(StoreError::Corrupt(_)))), "{found:?}");
}
