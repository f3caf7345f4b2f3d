//! The file: what stands in it, who can open it, and that it is all there the next time.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use tsunagi_core::id::TenantId;
use tsunagi_core::partial_date::PartialDate;
use tsunagi_core::sensitive::Sensitive;
use tsunagi_core::value::Value;

use super::open;
use crate::contract::given::*;
use crate::sqlite::SqliteStore;
use crate::{Keyring, Link, MasterKey, NewRecord, Relationship, RowPage, Store, StoreAdmin, StoreError, SubjectRef};

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store: Shared = Arc::new(open(&path));
    keep(&store, 1, delivered(1, 1, "to-app")).await;
    keep(&store, 2, NewRecord { new_subject: None, ..delivered(2, 2, "to-app") }).await;
    durable(store.accept(&aoi(), whole(keyed(3, "k"), vec![refused(1, "x")])).await);
    let before = held(&store, 1).await.unwrap();
    drop(store);
    assert!(!path.with_extension("db-wal").exists(), "a store that was closed is one file");

    let store: Shared = Arc::new(open(&path));
    let after = held(&store, 1).await.unwrap();
    assert_eq!((after.version, after.records), (before.version, before.records));
    assert_eq!(store.rejections(&clinic(), &exchange(3), RowPage::FIRST).await.unwrap()[0].source, document(1, "x"));
    let again = crate::ExchangeHead { digest: head(3).digest, ..keyed(4, "k") };
    assert!(durable(store.accept(&aoi(), whole(again, vec![])).await).2, "the key is remembered");
    let registration = NewRecord { identifiers: vec![recipient(2)], ..vaccination(3) };
    keep(&store, 5, registration).await;
    assert_eq!(claimed(&store, claim(1, "to-app", 9)).await, [delivery(1), delivery(2)]);
}

/// Values of every kind of content go in through every door; none of them is in the files, in the WAL, or in what is
/// left after deleting.
#[tokio::test]
async fn a_copy_of_the_files_shows_no_value() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path);
    let secrets = ["青葉 花子", "ZZLOT", "1987-06-05", "2026-02-03", "80131016", "123456789018", "doc-77", "keyword-5"];
    let content = |lot: &str| {
        fields_of(
            "vaccination",
            [
                ("subject.name", Value::Text("青葉 花子".to_owned())),
                ("lot_number", Value::Text(lot.to_owned())),
                ("subject.birth_date", Value::Date(PartialDate::read_iso("1987-06-05"))),
                ("vaccinated_on", Value::Date(PartialDate::read_iso("2026-02-03"))),
            ],
        )
    };
    let new = |n, subject| NewRecord {
        record: content(&format!("ZZLOT-{n}")),
        identifiers: vec![recipient(n), named("my_number", "123456789018")],
        new_subject: subject,
        business_key: vec!["doc-77".to_owned(), "2026-02-03".to_owned()],
        ..delivered(n, n, "to-app")
    };
    // One row waits and is taken up, one is refused, one is a new version.
    let rows = vec![row(1, new(1, None)), refused(2, "青葉 花子,1987-06-05"), row(3, new(1, Some(subject(1))))];
    durable(store.accept(&aoi(), whole(keyed(1, "keyword-5"), rows)).await);
    let still = NewRecord { identifiers: vec![recipient(5)], ..new(5, None) };
    durable(store.accept(&aoi(), whole(head(2), vec![row(1, still)])).await);
    let link = Link {
        relationship: Relationship::Proxy,
        from: jiff::civil::date(2026, 2, 3),
        until: Some(jiff::civil::date(1987, 6, 5)),
    };
    store.link_subject(&aoi(), &recipient(1), "https://id.example", "keyword-5", link, event(1)).await.unwrap();
    store.record_directive(&aoi(), directive(1, 1), event(1)).await.unwrap();
    let who = SubjectRef::Identifier(named("my_number", "123456789018"));
    assert!(store.held(&aoi(), &who, &[kind("vaccination")]).await.unwrap().is_some());

    let check = |when: &str| {
        let bytes = all_bytes(folder.path());
        assert!(contains(&bytes, b"to-app"), "the files hold what may be read ({when})");
        for secret in secrets {
            assert!(!contains(&bytes, secret.as_bytes()), "{secret} is in the files {when}");
            let hexadecimal = hex::encode(secret);
            assert!(!contains(&bytes, hexadecimal.as_bytes()), "{secret} is in the files {when}, in hexadecimal");
        }
        assert!(!contains(&bytes, &[0x42; 32]), "the master key is in the files {when}");
    };
    check("while open");
    drop(store);
    check("after closing");
}

fn all_bytes(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap();
    files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn another_master_key_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store: Shared = Arc::new(open(&path));
    keep(&store, 1, vaccination(1)).await;
    drop(store);
    let other = || Keyring::new(MasterKey::from_bytes(Sensitive::new([1; 32])));
    let opened = SqliteStore::open(&path, other());
    assert!(is_another_key(opened.map(drop)));

    // The key of the hub's tables is exchanged for another store's while this one is open.
    let elsewhere = folder.path().join("other.db");
    drop(SqliteStore::open(&elsewhere, other()).unwrap());
    let store = open(&path);
    store.ready().await.unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.execute("ATTACH ?1 AS other", [elsewhere.to_str().unwrap()]).unwrap();
    conn.execute("UPDATE tenant_keys SET wrapped = (SELECT wrapped FROM other.tenant_keys) WHERE tenant = 'hub'", [])
        .unwrap();
    assert!(is_another_key(store.ready().await));
    assert!(is_another_key(store.migrate().await));
    conn.execute("DELETE FROM tenant_keys WHERE tenant = 'hub'", []).unwrap();
    assert!(matches!(store.ready().await, Err(StoreError::Corrupt(_))), "no key is no key either");
}

fn is_another_key(outcome: Result<(), StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Corrupt(why)) if why == "the master key is not the one this store was made with")
}

/// Content that is moved to another record, or another person's, does not open there.
#[tokio::test]
async fn content_does_not_open_in_another_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store: Shared = Arc::new(open(&path));
    keep(&store, 1, vaccination(1)).await;
    keep(&store, 2, NewRecord { identifiers: vec![recipient(1)], ..vaccination(2) }).await;
    let conn = Connection::open(&path).unwrap();
    let (one, two) = (record_id(1), record_id(2));
    conn.execute(
        "UPDATE record_versions SET sealed = (SELECT sealed FROM record_versions WHERE record = ?1) WHERE record = ?2",
        (one.as_str(), two.as_str()),
    )
    .unwrap();
    let who = SubjectRef::Identifier(recipient(1));
    let read = store.held(&aoi(), &who, &[kind("vaccination")]).await;
    assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
}

#[tokio::test]
async fn tables_of_another_release_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = open(&path);
    let conn = Connection::open(&path).unwrap();
    let newest: i64 = conn.query_row("SELECT version FROM schema_version", [], |row| row.get(0)).unwrap();
    let set = |version| conn.execute("UPDATE schema_version SET version = ?1", [version]).unwrap();
    set(newest - 1);
    assert!(matches!(store.ready().await, Err(StoreError::Unavailable(_))), "older: to be migrated first");
    set(newest + 1);
    assert!(matches!(store.ready().await, Err(StoreError::Corrupt(_))));
    assert!(matches!(store.migrate().await, Err(StoreError::Corrupt(_))));
    assert!(matches!(SqliteStore::open(&path, super::keyring()), Err(StoreError::Corrupt(_))), "newer: refused");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, [b'x'; 8192]).unwrap();
    assert!(matches!(SqliteStore::open(&path, super::keyring()), Err(StoreError::Corrupt(_))));
}

/// The gateway and an operator's command have the same file open.
#[tokio::test]
async fn two_stores_on_one_file_see_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let (one, two): (Shared, Shared) = (Arc::new(open(&path)), Arc::new(open(&path)));
    for n in 1..=10 {
        let store = if n % 2 == 0 { &one } else { &two };
        keep(store, n, delivered(n, 1, "to-app")).await;
    }
    assert_eq!(held(&one, 1).await.unwrap().records.len(), 10);
    assert_eq!(claimed(&two, claim(1, "to-app", 1)).await, (1..=10).map(delivery).collect::<Vec<_>>());
    for tenant in [aoi(), TenantId::hub()] {
        assert_eq!(one.verify(&tenant, &signer().public_key(), &|_| ()).await.unwrap().fault, None);
    }
}

/// The writer goes on while a reader looks, and the reader sees what was committed before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reading_and_writing_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let store: Shared = Arc::new(open(&folder.path().join("store.db")));
    keep(&store, 1, vaccination(1)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..200u64 {
        let store = Shared::clone(&store);
        tasks.spawn(async move {
            if n % 4 == 0 {
                let new = NewRecord { identifiers: vec![recipient(1)], ..vaccination(100 + n) };
                keep(&store, 100 + n, new).await;
            }
            let held = held(&store, 1).await.unwrap();
            // Each record moved the subject once: what is read together belongs together.
            assert_eq!(u64::try_from(held.records.len()).unwrap(), held.version);
        });
    }
    tasks.join_all().await;
    assert_eq!(held(&store, 1).await.unwrap().records.len(), 51);
}

/// All that one query reads is of one moment, whatever is committed meanwhile; the next query sees it.
#[tokio::test]
async fn a_query_sees_one_state() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Arc::new(open(&folder.path().join("store.db")));
    let store: Shared = Arc::clone(&writer) as Shared;
    keep(&store, 1, vaccination(1)).await;
    let (started, running) = tokio::sync::oneshot::channel();
    let (go_on, going) = std::sync::mpsc::channel();
    let reading = tokio::spawn(async move {
        let count = "SELECT count(*) FROM records";
        writer
            .read(move |session| {
                let before: i64 = session.conn.query_row(count, [], |row| row.get(0))?;
                started.send(()).unwrap();
                going.recv().unwrap();
                Ok((before, session.conn.query_row(count, [], |row| row.get::<_, i64>(0))?))
            })
            .await
    });
    running.await.unwrap();
    keep(&store, 2, vaccination(2)).await;
    assert!(held(&store, 2).await.is_some(), "another query sees what is committed");
    go_on.send(()).unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), (1, 1));
}

#[tokio::test]
async fn an_unknown_delivery_state_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store: Shared = Arc::new(open(&path));
    keep(&store, 1, delivered(1, 1, "to-app")).await;
    Connection::open(&path).unwrap().execute("UPDATE deliveries SET state = 'lost'", []).unwrap();
    assert!(matches!(store.delivery(&aoi(), &delivery(1)).await, Err(StoreError::Corrupt(_))));
}
