//! What is not copied, and stays as it is.

use std::sync::atomic::{AtomicU64, Ordering};

use super::given::fill;
use super::interrupted::stop_at;
use super::{At, copy, copy_until, dump, impatient, keyring, run_with, server};
use crate::contract::given::*;
use crate::copy::{CopyFault, End, Phase, Step, Which};

#[tokio::test]
async fn what_is_not_empty_is_not_written_to() {
    let place = server!();
    let folder = tempfile::tempdir().unwrap();
    let (first, other) = (folder.path().join("first.db"), folder.path().join("other.db"));
    fill(&At::File(&first).open().await).await;
    for to in [At::File(&other), At::Server(&place)] {
        // One event in the hub's own log is enough.
        let entries = tsunagi_core::registry::RegistryEntries::default();
        to.open().await.import_registry(entries, event(1)).await.unwrap();
        let before = (dump::of_file(&other), dump::of_server(&place, &["hub"]).await);
        let refused = copy(1000, At::File(&first), to).await;
        assert!(matches!(refused, Err(CopyFault::NotEmpty)), "{refused:?}");
        assert_eq!((dump::of_file(&other), dump::of_server(&place, &["hub"]).await), before);
    }
    // Nor is a copy that is whole.
    let whole = folder.path().join("whole.db");
    copy(1000, At::File(&first), At::File(&whole)).await.unwrap();
    let before = dump::of_file(&whole);
    assert!(matches!(copy(1000, At::File(&first), At::File(&whole)).await, Err(CopyFault::NotEmpty)));
    assert_eq!(dump::of_file(&whole), before);
}

#[tokio::test]
async fn an_unfinished_copy_is_finished_from_its_own_source_alone() {
    let place = server!();
    let folder = tempfile::tempdir().unwrap();
    let (first, other) = (folder.path().join("first.db"), folder.path().join("other.db"));
    fill(&At::File(&first).open().await).await;
    fill(&At::File(&other).open().await).await;
    let unfinished = folder.path().join("unfinished.db");
    for to in [At::Server(&place), At::File(&unfinished)] {
        stop_at(20, At::File(&first), to).await;
        let refused = copy(3, At::File(&other), to).await;
        assert!(matches!(refused, Err(CopyFault::OfAnother)), "{refused:?}");
        // What is not whole is nothing to copy from.
        let nowhere = folder.path().join("nowhere.db");
        let refused = copy(3, to, At::File(&nowhere)).await;
        assert!(
            matches!(&refused, Err(CopyFault::Store(error)) if error.to_string().contains("unfinished")),
            "{refused:?}"
        );
        assert!(!nowhere.exists());
        copy(3, At::File(&first), to).await.unwrap();
    }
}

#[tokio::test]
async fn another_master_key_opens_no_copy() {
    let folder = tempfile::tempdir().unwrap();
    let (first, last) = (folder.path().join("first.db"), folder.path().join("last.db"));
    fill(&At::File(&first).open().await).await;
    let to = End { keyring: keyring(0x43), ..At::File(&last).end() };
    assert!(matches!(run_with(At::File(&first).end(), to).await, Err(CopyFault::OtherKey)));
    assert!(!last.exists());
    let from = End { keyring: keyring(0x43), ..At::File(&first).end() };
    assert!(matches!(run_with(from, At::File(&last).end()).await, Err(CopyFault::Store(_))));
    assert!(!last.exists());
}

#[tokio::test]
async fn what_is_in_use_is_left_alone() {
    let (place, empty) = (server!(), server!());
    let folder = tempfile::tempdir().unwrap();
    let (first, last) = (folder.path().join("first.db"), folder.path().join("last.db"));
    fill(&At::File(&first).open().await).await;
    copy(1000, At::File(&first), At::Server(&place)).await.unwrap();
    for (from, to) in [(At::File(&first), At::Server(&empty)), (At::Server(&place), At::File(&last))] {
        let in_use = from.open().await;
        let refused = run_with(impatient(from), to.end()).await;
        assert!(matches!(refused, Err(CopyFault::InUse(Which::Source))), "{refused:?}");
        drop(in_use);
        let in_use = to.open().await;
        let refused = run_with(from.end(), impatient(to)).await;
        assert!(matches!(refused, Err(CopyFault::InUse(Which::Destination))), "{refused:?}");
        drop(in_use);
        // Whoever was just there is waited for.
        copy(1000, from, to).await.unwrap();
    }
}

/// While a copy is under way a file is opened by nobody, and a server's tables are written to by nobody.
#[tokio::test]
async fn the_source_stands_still_meanwhile() {
    let place = server!();
    let folder = tempfile::tempdir().unwrap();
    let (first, last) = (folder.path().join("first.db"), folder.path().join("last.db"));
    fill(&At::File(&first).open().await).await;
    let opened = AtomicU64::new(0);
    let watch = |_: &Step<'_>| {
        let conn = rusqlite::Connection::open(&first).unwrap();
        conn.busy_timeout(std::time::Duration::ZERO).unwrap();
        let error = conn.query_row("SELECT count(*) FROM records", [], |_| Ok(())).unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseBusy));
        opened.fetch_add(1, Ordering::Relaxed);
        true
    };
    copy_until(1000, At::File(&first), At::Server(&place), &watch).await.unwrap();
    assert!(opened.into_inner() > 20);

    let written = AtomicU64::new(0);
    let watch = |step: &Step<'_>| {
        if step.phase == Phase::Copying && written.fetch_add(1, Ordering::Relaxed) == 0 {
            std::thread::scope(|threads| threads.spawn(|| try_to_write(&place)).join().unwrap());
        }
        true
    };
    copy_until(1000, At::Server(&place), At::File(&last), &watch).await.unwrap();
    assert!(written.into_inner() > 20);
    assert_eq!(dump::of_file(&last), dump::of_file(&first));
}

/// As somebody would of whom a copy cannot know.
fn try_to_write(place: &crate::contract::server::Place) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = place.connect().await;
        client.batch_execute("SET lock_timeout = '50ms'; SET tsunagi.tenant = 'aoi'").await.unwrap();
        let seen: i64 = client.query_one("SELECT count(*) FROM deliveries", &[]).await.unwrap().get(0);
        assert!(seen > 0);
        let error = client.batch_execute("UPDATE deliveries SET attempts = 9").await.unwrap_err();
        assert_eq!(error.code(), Some(&tokio_postgres::error::SqlState::LOCK_NOT_AVAILABLE));
    });
}

#[tokio::test]
async fn nothing_is_made_where_there_is_nothing_to_copy() {
    let (place, empty) = (server!(), server!());
    let folder = tempfile::tempdir().unwrap();
    let (nowhere, last) = (folder.path().join("nowhere.db"), folder.path().join("last.db"));
    for from in [At::File(&nowhere), At::Server(&place)] {
        for to in [At::File(&last), At::Server(&empty)] {
            assert!(matches!(copy(9, from, to).await, Err(CopyFault::NoSource)));
        }
    }
    assert!(!nowhere.exists() && !last.exists());
    assert!(dump::of_server(&place, &["hub"]).await.is_empty());
    assert!(dump::of_server(&empty, &["hub"]).await.is_empty());
}
