//! How many notes and single-row accepts a second one tenant takes, from so many tasks at once, on each backend:
//! `cargo run --release -p tsunagi-store --features contract,postgres --example contended`

#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tsunagi_core::sensitive::Sensitive;
use tsunagi_store::contract::given::{Shared, aoi, event, head, row, vaccination, whole};
use tsunagi_store::contract::server::Place;
use tsunagi_store::postgres::PostgresStore;
use tsunagi_store::sqlite::SqliteStore;
use tsunagi_store::{Keyring, MasterKey, Note};

const LASTS: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() {
    let keyring = || Keyring::new(MasterKey::from_bytes(Sensitive::new([0x42; 32])));
    let folder = tempfile::tempdir().expect("a folder");
    let file: Shared = Arc::new(SqliteStore::open(&folder.path().join("store.db"), keyring()).expect("a store"));
    run("SQLite", &file).await;
    let Some(place) = Place::database().await else { return };
    let server: Shared = Arc::new(PostgresStore::open(&place.server(), keyring()).await.expect("a store"));
    run("PostgreSQL", &server).await;
}

async fn run(name: &str, store: &Shared) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    for tasks in [1, 16, 64, 256] {
        let notes = rate(store, tasks, |store| async move {
            let note = Note { events: vec![event(1)], rests_on: vec![], directive: None };
            store.note(&aoi(), note).await.map(drop)
        });
        let notes = notes.await;
        let accepts = rate(store, tasks, |store| async move {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            store.accept(&aoi(), whole(head(n), vec![row(1, vaccination(n))])).await.map(drop)
        });
        println!("{name}: {tasks} tasks: {notes:.0} notes/s, {:.0} accepts/s", accepts.await);
    }
}

async fn rate<F>(store: &Shared, tasks: usize, call: fn(Shared) -> F) -> f64
where
    F: Future<Output = Result<(), tsunagi_store::StoreError>> + Send + 'static,
{
    let (began, mut all) = (Instant::now(), JoinSet::new());
    for _ in 0..tasks {
        let store = Arc::clone(store);
        all.spawn(async move {
            let mut done = 0_u32;
            while began.elapsed() < LASTS {
                call(Arc::clone(&store)).await.expect("kept");
                done += 1;
            }
            done
        });
    }
    let mut done = 0;
    while let Some(one) = all.join_next().await {
        done += one.expect("it ends");
    }
    f64::from(done) / began.elapsed().as_secs_f64()
}
