//! How many rows a second a copy takes from a file to a server and back, checks included:
//! `cargo run --release -p tsunagi-store --features contract,postgres --example copied -- 100000`

#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tsunagi_core::id::TenantId;
use tsunagi_core::sensitive::Sensitive;
use tsunagi_store::contract::given::{Shared, delivered, head, row, seal, signer, whole};
use tsunagi_store::contract::server::Place;
use tsunagi_store::copy::{End, Phase, Site, Step, copy};
use tsunagi_store::sqlite::SqliteStore;
use tsunagi_store::{Keyring, MasterKey};

#[tokio::main]
async fn main() {
    let records: u64 = std::env::args().nth(1).map_or(100_000, |count| count.parse().expect("a number of records"));
    let folder = tempfile::tempdir().expect("a folder");
    let (first, last) = (folder.path().join("first.db"), folder.path().join("last.db"));
    let store: Shared = Arc::new(SqliteStore::open(&first, keyring()).expect("a store"));
    fill(&store, records).await;
    drop(store);
    let Some(place) = Place::database().await else { return };
    let server = || End { site: Site::Server(place.server()), keyring: keyring() };
    let file = |path: &std::path::Path| End { site: Site::File(path.to_owned()), keyring: keyring() };
    timed("SQLite to PostgreSQL", file(&first), server()).await;
    timed("PostgreSQL to SQLite", server(), file(&last)).await;
}

fn keyring() -> Keyring {
    Keyring::new(MasterKey::from_bytes(Sensitive::new([0x42; 32])))
}

/// Records of ten tenants, each of somebody else and with a delivery.
async fn fill(store: &Shared, records: u64) {
    for first in (0..records).step_by(500) {
        let tenant = TenantId::parse(&format!("tenant-{}", first / 500 % 10)).expect("a tenant");
        let rows = (first..(first + 500).min(records)).map(|n| row(n - first + 1, delivered(n, n, "to-app"))).collect();
        store.accept(&tenant, whole(head(first), rows)).await.expect("kept");
    }
    // Nothing was written to the hub's own.
    for tenant in store.logs().await.expect("logs").into_iter().filter(|tenant| !tenant.is_hub()) {
        seal(store, &tenant, usize::MAX >> 1).await;
    }
}

async fn timed(name: &str, from: End, to: End) {
    let began = Instant::now();
    let phases: Mutex<Vec<(Phase, Duration)>> = Mutex::default();
    let watch = |step: &Step<'_>| {
        let mut phases = phases.lock().expect("nobody panics");
        if phases.last().is_none_or(|(phase, _)| *phase != step.phase) {
            phases.push((step.phase, began.elapsed()));
        }
        true
    };
    let copied = copy(from, to, &signer().public_key(), &watch).await.expect("copied");
    let (rows, took) = (copied.rows, began.elapsed());
    #[allow(clippy::cast_precision_loss)]
    let rate = rows as f64 / took.as_secs_f64();
    println!("{name}: {rows} rows in {took:.1?}, {rate:.0} rows/s; {:?}", phases.lock().expect("nobody panics"));
}
