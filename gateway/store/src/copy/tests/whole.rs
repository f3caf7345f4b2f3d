//! What a copy is.

use std::sync::Mutex;

use super::given::{fill, goes_on, trail};
use super::{At, copy, copy_until, dump, server};
use crate::copy::tables::TABLES;
use crate::copy::{Phase, Step};

const TENANTS: [&str; 3] = ["hub", "aoi", "kita"];

#[tokio::test]
async fn there_and_back_every_row_is_what_it_was() {
    let place = server!();
    let folder = tempfile::tempdir().unwrap();
    let (first, last) = (folder.path().join("first.db"), folder.path().join("last.db"));
    let store = At::File(&first).open().await;
    fill(&store).await;
    trail(&store).await;
    drop(store);
    let before = dump::of_file(&first);
    for table in TABLES {
        assert!(
            before.get(table.name).is_some_and(|rows| !rows.is_empty()),
            "{}: there is something to copy",
            table.name
        );
    }

    let there = copy(1000, At::File(&first), At::Server(&place)).await.unwrap();
    assert_eq!(dump::of_file(&first), before, "the source is as it was");
    let back = copy(1000, At::Server(&place), At::File(&last)).await.unwrap();
    let after = dump::of_file(&last);
    for (table, rows) in &before {
        assert_eq!(after.get(table), Some(rows), "{table}");
    }
    assert_eq!(after.len(), before.len());
    assert_eq!((there.tables, there.logs, there.rows), (back.tables, back.logs, back.rows));

    // All three go on alike.
    let told = goes_on(&At::File(&first).open().await).await;
    assert_eq!(goes_on(&At::Server(&place).open().await).await, told);
    assert_eq!(goes_on(&At::File(&last).open().await).await, told);
}

/// On a server each tenant's rows are counted by themselves: in a file they come to stand in one line.
#[tokio::test]
async fn from_a_server_to_a_file_and_back_every_row_is_what_it_was() {
    let (first, last) = (server!(), server!());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let store = At::Server(&first).open().await;
    fill(&store).await;
    drop(store);
    let before = dump::of_server(&first, &TENANTS).await;
    copy(7, At::Server(&first), At::File(&file)).await.unwrap();
    copy(7, At::File(&file), At::Server(&last)).await.unwrap();
    let after = dump::of_server(&last, &TENANTS).await;
    for (table, rows) in &before {
        assert_eq!(after.get(table), Some(rows), "{table}");
    }
    let told = goes_on(&At::Server(&first).open().await).await;
    assert_eq!(goes_on(&At::File(&file).open().await).await, told);
    assert_eq!(goes_on(&At::Server(&last).open().await).await, told);
}

#[tokio::test]
async fn a_copy_may_stay_on_its_backend() {
    let (one, other) = (server!(), server!());
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first.db"), folder.path().join("second.db"));
    fill(&At::File(&first).open().await).await;
    copy(7, At::File(&first), At::File(&second)).await.unwrap();
    assert_eq!(dump::of_file(&second), dump::of_file(&first));
    copy(7, At::File(&second), At::Server(&one)).await.unwrap();
    copy(7, At::Server(&one), At::Server(&other)).await.unwrap();
    assert_eq!(dump::of_server(&other, &TENANTS).await, dump::of_server(&one, &TENANTS).await);
}

/// The tables may be there, as whoever asks a new store something leaves them.
#[tokio::test]
async fn tables_with_nothing_in_them_are_an_empty_place() {
    let place = server!();
    let folder = tempfile::tempdir().unwrap();
    let (first, last) = (folder.path().join("first.db"), folder.path().join("last.db"));
    fill(&At::File(&first).open().await).await;
    drop(At::Server(&place).open().await);
    drop(At::File(&last).open().await);
    copy(1000, At::File(&first), At::Server(&place)).await.unwrap();
    copy(1000, At::Server(&place), At::File(&last)).await.unwrap();
    assert_eq!(dump::of_file(&last), dump::of_file(&first));
}

#[tokio::test]
async fn progress_grows_up_to_the_whole_in_each_phase() {
    let place = server!();
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("first.db");
    fill(&At::File(&first).open().await).await;
    let told = Mutex::new(Vec::new());
    let watch = |step: &Step<'_>| {
        told.lock().unwrap().push((step.phase, step.done, step.total));
        true
    };
    let copied = copy_until(20, At::File(&first), At::Server(&place), &watch).await.unwrap();
    let told = told.into_inner().unwrap();
    assert!(told.is_sorted(), "{told:?}");
    let leaves: u64 = copied.logs.iter().map(|head| u64::try_from(head.size).unwrap()).sum();
    for (phase, whole) in [(Phase::Copying, copied.rows), (Phase::Comparing, copied.rows), (Phase::Verifying, leaves)] {
        let last = told.iter().rfind(|(of, ..)| *of == phase).unwrap();
        assert_eq!((last.1, last.2), (whole, whole), "{phase:?}");
    }
}
