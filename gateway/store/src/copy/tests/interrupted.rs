//! A copy that was broken off.

use std::sync::atomic::{AtomicU64, Ordering};

use super::given::fill;
use super::{At, copy, copy_until, dump, server};
use crate::contract::given::*;
use crate::copy::{CopyFault, Phase, Step};
use crate::{Note, StoreError};

/// Broken off after every page, and begun again each time.
async fn step_by_step(from: At<'_>, to: At<'_>) {
    let mut broken_off = 0;
    loop {
        let pages = AtomicU64::new(0);
        let watch = |step: &Step<'_>| {
            pages.fetch_add(1, Ordering::Relaxed);
            step.phase != Phase::Copying
        };
        match copy_until(3, from, to, &watch).await {
            Err(CopyFault::Stopped) => {
                assert_eq!(pages.into_inner(), 1);
                broken_off += 1;
                to.refuses_to_open().await;
            }
            done => {
                done.unwrap();
                break;
            }
        }
    }
    assert!(broken_off > 50, "{broken_off}");
}

#[tokio::test]
async fn after_whatever_page_it_ends_the_same_copy_goes_on() {
    let place = server!();
    let folder = tempfile::tempdir().unwrap();
    let (first, last) = (folder.path().join("first.db"), folder.path().join("last.db"));
    fill(&At::File(&first).open().await).await;
    step_by_step(At::File(&first), At::Server(&place)).await;
    step_by_step(At::Server(&place), At::File(&last)).await;
    assert_eq!(dump::of_file(&last), dump::of_file(&first));
}

/// While it is compared, too.
#[tokio::test]
async fn a_copy_that_ends_while_it_is_read_back_is_read_back_again() {
    let place = server!();
    let folder = tempfile::tempdir().unwrap();
    let (first, last) = (folder.path().join("first.db"), folder.path().join("last.db"));
    fill(&At::File(&first).open().await).await;
    for (from, to) in [(At::File(&first), At::Server(&place)), (At::Server(&place), At::File(&last))] {
        let all = std::sync::Mutex::new((0, 0));
        let watch = |step: &Step<'_>| {
            *all.lock().unwrap() = (step.done, step.total);
            step.phase == Phase::Copying || step.done < step.total
        };
        assert!(matches!(copy_until(9, from, to, &watch).await, Err(CopyFault::Stopped)));
        let (done, total) = all.into_inner().unwrap();
        assert_eq!(done, total, "all was read back but for the last word");
        to.refuses_to_open().await;
        assert_eq!(copy(9, from, to).await.unwrap().rows, 0, "everything had gone over before");
    }
    assert_eq!(dump::of_file(&last), dump::of_file(&first));
}

/// A page whose transaction fails leaves neither rows nor a mark.
#[tokio::test]
async fn a_page_that_fails_is_as_if_it_had_never_been() {
    let place = server!();
    let folder = tempfile::tempdir().unwrap();
    let (first, last) = (folder.path().join("first.db"), folder.path().join("last.db"));
    fill(&At::File(&first).open().await).await;

    stop_at(20, At::File(&first), At::Server(&place)).await;
    // After the mark has moved, in the same transaction.
    let client = place.connect().await;
    client
        .batch_execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
             CREATE TRIGGER fail BEFORE INSERT ON audit_leaves FOR EACH ROW EXECUTE FUNCTION fail();",
        )
        .await
        .unwrap();
    for _ in 0..2 {
        let failed = copy(3, At::File(&first), At::Server(&place)).await;
        assert!(matches!(failed, Err(CopyFault::Store(StoreError::Unavailable(_)))), "{failed:?}");
        At::Server(&place).refuses_to_open().await;
    }
    client.batch_execute("DROP TRIGGER fail ON audit_leaves; DROP FUNCTION fail()").await.unwrap();
    copy(3, At::File(&first), At::Server(&place)).await.unwrap();

    stop_at(20, At::Server(&place), At::File(&last)).await;
    // After the rows are there, before the mark has moved.
    let on_file = |sql: &str| rusqlite::Connection::open(&last).unwrap().execute_batch(sql).unwrap();
    on_file("CREATE TRIGGER fail BEFORE UPDATE ON unfinished_copy BEGIN SELECT RAISE(ABORT, 'no'); END");
    for _ in 0..2 {
        let failed = copy(3, At::Server(&place), At::File(&last)).await;
        assert!(matches!(failed, Err(CopyFault::Store(_))), "{failed:?}");
    }
    on_file("DROP TRIGGER fail");
    copy(3, At::Server(&place), At::File(&last)).await.unwrap();
    assert_eq!(dump::of_file(&last), dump::of_file(&first));
}

/// Breaks a copy off when so many rows have gone over.
pub(super) async fn stop_at(rows: u64, from: At<'_>, to: At<'_>) {
    let stopped = copy_until(3, from, to, &|step| step.done < rows).await;
    assert!(matches!(stopped, Err(CopyFault::Stopped)), "{stopped:?}");
}

#[tokio::test]
async fn a_source_that_has_moved_since_is_found() {
    let place = server!();
    let folder = tempfile::tempdir().unwrap();
    let (first, last) = (folder.path().join("first.db"), folder.path().join("last.db"));
    fill(&At::File(&first).open().await).await;
    copy(1000, At::File(&first), At::Server(&place)).await.unwrap();
    for (from, to) in [(At::Server(&place), At::File(&last)), (At::File(&first), At::File(&folder.path().join("b.db")))]
    {
        stop_at(20, from, to).await;
        let note = Note { events: vec![event(7)], rests_on: vec![], directive: None };
        from.open().await.note(&aoi(), note).await.unwrap();
        let moved = copy(3, from, to).await;
        assert!(matches!(moved, Err(CopyFault::Moved)), "{moved:?}");
        to.refuses_to_open().await;
    }
}

/// Nothing may touch what has gone over already.
#[tokio::test]
async fn a_row_that_was_changed_at_the_destination_is_found() {
    let place = server!();
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("first.db");
    fill(&At::File(&first).open().await).await;
    let changes = [
        ("deliveries", "UPDATE deliveries SET attempts = attempts + 1 WHERE row = 1"),
        ("records", "INSERT INTO records SELECT tenant, 'added', subject, kind, x'00', newest FROM records LIMIT 1"),
        ("audit_subtrees", "DELETE FROM audit_subtrees WHERE tenant = 'kita'"),
    ];
    for (table, change) in changes {
        let to = folder.path().join(format!("{table}.db"));
        let all_but_checked = copy_until(1000, At::File(&first), At::File(&to), &|step| step.phase == Phase::Copying);
        assert!(matches!(all_but_checked.await, Err(CopyFault::Stopped)));
        rusqlite::Connection::open(&to).unwrap().execute_batch(change).unwrap();
        let found = copy(1000, At::File(&first), At::File(&to)).await;
        assert!(matches!(&found, Err(CopyFault::Differs(what)) if what == table), "{found:?}");
        At::File(&to).refuses_to_open().await;
    }
    let all_but_checked = copy_until(1000, At::File(&first), At::Server(&place), &|step| step.phase == Phase::Copying);
    assert!(matches!(all_but_checked.await, Err(CopyFault::Stopped)));
    let client = place.connect().await;
    let change = "SET tsunagi.tenant = 'aoi'; UPDATE subjects SET flags = '\\x00' WHERE subject = (SELECT min(subject) FROM subjects)";
    client.batch_execute(change).await.unwrap();
    let found = copy(1000, At::File(&first), At::Server(&place)).await;
    assert!(matches!(&found, Err(CopyFault::Differs(what)) if what == "subjects"), "{found:?}");
}

/// A log that did not verify before does not after, and is no copy to work on.
#[tokio::test]
async fn a_log_that_does_not_verify_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (first, last) = (folder.path().join("first.db"), folder.path().join("last.db"));
    fill(&At::File(&first).open().await).await;
    let conn = rusqlite::Connection::open(&first).unwrap();
    conn.execute("UPDATE audit_leaves SET bytes = x'00' WHERE tenant = 'kita' AND idx = 2", []).unwrap();
    drop(conn);
    match copy(1000, At::File(&first), At::File(&last)).await {
        Err(CopyFault::Unverified(verdicts)) => {
            let wrong: Vec<_> = verdicts.iter().filter(|verdict| verdict.fault.is_some()).collect();
            assert_eq!(wrong.len(), 1, "{verdicts:?}");
            assert_eq!((&wrong[0].tenant, &wrong[0].fault), (&kita(), &Some(crate::VerifyFault::Changed(2))));
        }
        other => panic!("{other:?}"),
    }
    At::File(&last).refuses_to_open().await;
}
