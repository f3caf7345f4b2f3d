//! Readers go on with the state they have open; nobody may notice, and the write-ahead log must not grow by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::civil::date;

use super::open;
use crate::contract::given::*;
use crate::{Link, NewRecord, Note, Relationship, StoreError, SubjectRef};

/// Each change is one that a lookup has just found not to be there.
#[tokio::test]
async fn a_lookup_sees_what_was_committed_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let store: Shared = Arc::new(open(&folder.path().join("store.db")));
    let kinds = [kind("vaccination")];
    for n in 1..=50 {
        assert!(held(&store, n).await.is_none());
        let by_record = SubjectRef::Record(record_id(n));
        assert!(store.held(&aoi(), &by_record, &kinds).await.unwrap().is_none());
        keep(&store, n, vaccination(n)).await;
        assert_eq!(held(&store, n).await.unwrap().version, 1);
        assert_eq!(store.held(&aoi(), &by_record, &kinds).await.unwrap().unwrap().version, 1);

        store.record_directive(&aoi(), directive(n, n), event(1)).await.unwrap();
        assert_eq!(held(&store, n).await.unwrap().directives.len(), 1);
        store.withdraw_directive(&aoi(), &subject(n), &directive_id(n), at(2), event(2)).await.unwrap();
        assert_eq!(held(&store, n).await.unwrap().directives[0].withdrawn_at, Some(at(2)));

        let sub = format!("sub-{n}");
        assert!(store.linked(&aoi(), "issuer", &sub).await.unwrap().is_empty());
        let link = Link { relationship: Relationship::Subject, from: date(2026, 1, 1), until: None };
        store.link_subject(&aoi(), &recipient(n), "issuer", &sub, link, event(3)).await.unwrap();
        assert_eq!(store.linked(&aoi(), "issuer", &sub).await.unwrap(), [subject(n)]);

        keep(&store, 100 + n, NewRecord { identifiers: vec![recipient(n)], ..vaccination(100 + n) }).await;
        assert_eq!(held(&store, n).await.unwrap().records.len(), 2);
    }
}

/// A lookup may not know yet what another process has done. It cannot be noted then, and the next one knows.
#[tokio::test]
async fn what_another_process_changed_is_seen_at_the_second_try() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let (here, there): (Shared, Shared) = (Arc::new(open(&path)), Arc::new(open(&path)));
    keep(&here, 1, vaccination(1)).await;
    let before = held(&here, 1).await.unwrap();
    there.record_directive(&aoi(), directive(1, 1), event(1)).await.unwrap();
    let note = |version| Note { events: vec![event(2)], rests_on: vec![(subject(1), version)], directive: None };
    assert!(matches!(here.note(&aoi(), note(before.version)).await, Err(StoreError::Stale)));
    let after = held(&here, 1).await.unwrap();
    assert_eq!((after.version, after.directives.len()), (before.version + 1, 1));
    here.note(&aoi(), note(after.version)).await.unwrap();

    // The same where a directive comes along.
    there.withdraw_directive(&aoi(), &subject(1), &directive_id(1), at(3), event(3)).await.unwrap();
    let with_directive = |version| Note { directive: Some(directive(2, 1)), ..note(version) };
    assert!(matches!(here.note(&aoi(), with_directive(after.version)).await, Err(StoreError::Stale)));
    let newest = held(&here, 1).await.unwrap();
    assert_eq!(newest.directives[0].withdrawn_at, Some(at(3)));
    here.note(&aoi(), with_directive(newest.version)).await.unwrap();
}

/// What is remembered of somebody is what was asked for then.
#[tokio::test]
async fn other_kinds_are_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store: Shared = Arc::new(open(&folder.path().join("store.db")));
    keep(&store, 1, vaccination(1)).await;
    let who = SubjectRef::Identifier(recipient(1));
    let (doses, births) = ([kind("vaccination")], [kind("birth_report"), kind("vaccination")]);
    for (kinds, count) in [(&doses[..], 1), (&births[..1], 0), (&births, 1), (&doses, 1), (&[], 0)] {
        assert_eq!(store.held(&aoi(), &who, kinds).await.unwrap().unwrap().records.len(), count, "{kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_write_ahead_log_begins_anew_under_lookups() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store: Shared = Arc::new(open(&path));
    keep(&store, 1, vaccination(1)).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut lookups = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (store, is_over) = (Shared::clone(&store), Arc::clone(&is_over));
        lookups.spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                assert!(held(&store, 1).await.is_some());
                tokio::task::yield_now().await;
            }
        });
    }
    // A commit is of three pages at least, the leaves, their index and the length of the log: 15,000 in all.
    for _ in 0..5000 {
        let note = Note { events: vec![event(1)], rests_on: Vec::new(), directive: None };
        store.note(&aoi(), note).await.unwrap();
    }
    is_over.store(true, Ordering::Relaxed);
    lookups.join_all().await;
    let pages = std::fs::metadata(path.with_extension("db-wal")).unwrap().len() / 4096;
    assert!((1000..9000).contains(&pages), "the log has grown to {pages} pages");
}
