//! A server that hangs, and connections that are cut in the middle of a commit.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{fresh, keyring};
use crate::contract::given::*;
use crate::contract::server::Place;
use crate::postgres::{PostgresStore, Server};
use crate::{Note, StoreError};

/// What a line between the store and the server does with a commit.
const PASS: u8 = 0;
/// The server never gets it.
const CUT_BEFORE: u8 = 1;
/// The server gets it; its answer is lost.
const CUT_AFTER: u8 = 2;

/// A line to the server that can be cut or stopped.
struct Line {
    url: String,
    commits: Arc<AtomicU8>,
    /// True while nothing goes through.
    stopped: watch::Sender<bool>,
    cut: Arc<Mutex<u64>>,
}

impl Line {
    async fn to(place: &Place) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (head, rest) = place.url.split_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let server = if server.contains(':') { server.to_owned() } else { format!("{server}:5432") };
        let url = format!("{head}@127.0.0.1:{port}/{database}");
        let (commits, cut) = (Arc::new(AtomicU8::new(PASS)), Arc::new(Mutex::new(0)));
        let (stopped, _) = watch::channel(false);
        let (mode, count, stop) = (Arc::clone(&commits), Arc::clone(&cut), stopped.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(carry(client, server, Arc::clone(&mode), Arc::clone(&count), stop.subscribe()));
            }
        });
        Self { url, commits, stopped, cut }
    }

    async fn open(&self, place: &Place, timeout: Duration) -> PostgresStore {
        let server = Server { url: self.url.clone(), timeout, ..place.server() };
        PostgresStore::open(&server, keyring()).await.unwrap()
    }
}

async fn carry(
    client: TcpStream,
    server: TcpStream,
    mode: Arc<AtomicU8>,
    cut: Arc<Mutex<u64>>,
    mut stopped: watch::Receiver<bool>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut stopped_there = stopped.clone();
    let back = tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            stopped_there.wait_for(|stopped| !stopped).await.unwrap();
            if to_client.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
    });
    let mut buffer = vec![0; 65_536];
    while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
        stopped.wait_for(|stopped| !stopped).await.unwrap();
        let is_commit = buffer[..read].windows(7).any(|bytes| bytes == b"COMMIT\0");
        match (is_commit, mode.load(Ordering::SeqCst)) {
            (true, CUT_BEFORE) => {
                *cut.lock().unwrap() += 1;
                break;
            }
            (true, CUT_AFTER) => {
                // Nothing of the answer gets back, whatever the server does with this.
                back.abort();
                *cut.lock().unwrap() += 1;
                to_server.write_all(&buffer[..read]).await.unwrap();
                // The server ends the connection when it has done what it was told.
                to_server.shutdown().await.unwrap();
                break;
            }
            _ if to_server.write_all(&buffer[..read]).await.is_err() => break,
            _ => {}
        }
    }
    back.abort();
}

/// Until the server has no transaction of ours under way any more: what was cut is decided then.
async fn decided(place: &Place) {
    let client = place.connect().await;
    loop {
        let open: i64 = client
            .query_one(
                "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
                 JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = $1 AND l.pid <> pg_backend_pid()",
                &[&place.schema],
            )
            .await
            .unwrap()
            .get(0);
        if open == 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_unknown_outcome_is_unavailable_and_may_be_repeated() {
    let (_store, place) = fresh!();
    let line = Line::to(&place).await;
    let store: Shared = Arc::new(line.open(&place, Duration::from_secs(10)).await);
    keep(&store, 100, delivered(100, 100, "to-app")).await;
    let mut leaves_before = leaves(&store, &aoi()).await.len();
    for (n, mode) in [(1, CUT_BEFORE), (2, CUT_AFTER)] {
        let accept = || whole(keyed(n, &format!("k{n}")), vec![row(1, delivered(n, n, "to-app"))]);
        line.commits.store(mode, Ordering::SeqCst);
        let lost = store.accept(&aoi(), accept()).await;
        assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
        line.commits.store(PASS, Ordering::SeqCst);
        decided(&place).await;
        let happened = leaves(&store, &aoi()).await.len() - leaves_before;
        assert_eq!(happened, usize::from(mode == CUT_AFTER), "the cut is where it is said to be");
        // The same again, from whoever got no answer: it is there once.
        let (id, rows, _) = durable(store.accept(&aoi(), accept()).await);
        assert_eq!((id, &rows[0].state), (exchange(n), &accepted(n, 1)));
        assert_eq!(leaves(&store, &aoi()).await.len(), leaves_before + 1);
        assert_eq!(held(&store, n).await.unwrap().records.len(), 1);
        leaves_before += 1;
    }

    // A claim, and its settlement.
    line.commits.store(CUT_AFTER, Ordering::SeqCst);
    assert!(matches!(store.claim_due(&aoi(), claim(1, "to-app", 1)).await, Err(StoreError::Unavailable(_))));
    line.commits.store(PASS, Ordering::SeqCst);
    decided(&place).await;
    assert_eq!(claimed(&store, claim(1, "to-app", 2)).await.len(), 3, "the same claim again has what it got");
    let delivered = crate::SettledState::Ended(tsunagi_core::exchange::DeliveryState::Delivered);
    line.commits.store(CUT_AFTER, Ordering::SeqCst);
    let settled = store.settle(&aoi(), &batch(1), vec![settlement(1, delivered)]).await;
    assert!(matches!(settled, Err(StoreError::Unavailable(_))));
    line.commits.store(PASS, Ordering::SeqCst);
    decided(&place).await;
    assert_eq!(store.settle(&aoi(), &batch(1), vec![settlement(1, delivered)]).await.unwrap(), 0, "it was, once");
    assert_eq!(store.delivery(&aoi(), &delivery(1)).await.unwrap().unwrap().attempts, 1);
    let verdict = store.verify(&aoi(), &signer().public_key(), &|_| ()).await.unwrap();
    assert_eq!((verdict.leaves as usize, verdict.fault), (leaves_before + 1, None));
    assert_eq!(*line.cut.lock().unwrap(), 4);
}

/// Whoever waits for a server that hangs is told in time; when it goes on, so does the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_unavailable() {
    let (_store, place) = fresh!();
    let line = Line::to(&place).await;
    let store: Shared = Arc::new(line.open(&place, Duration::from_secs(3)).await);
    let note = || Note { events: vec![event(1)], rests_on: vec![], directive: None };
    store.note(&aoi(), note()).await.unwrap();
    line.stopped.send_replace(true);
    let began = Instant::now();
    let tenant = aoi();
    let (noted, read) = tokio::join!(store.note(&tenant, note()), store.audit_page(&tenant, 0, 9));
    assert!(matches!(noted, Err(StoreError::Unavailable(_))), "{noted:?}");
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    line.stopped.send_replace(false);
    decided(&place).await;
    store.note(&aoi(), note()).await.unwrap();
}
