//! A server that hangs, and connections that are cut in the middle of a commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{fresh, keyring};
use crate::contract::given::*;
use crate::contract::line::{Cut, Line};
use crate::contract::server::Place;
use crate::postgres::{PostgresStore, Server};
use crate::{Note, StoreError};

async fn open(line: &Line, place: &Place, timeout: Duration) -> PostgresStore {
    let server = Server { url: line.url.clone(), timeout, ..place.server() };
    PostgresStore::open(&server, keyring()).await.unwrap()
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
    let line = Line::to(&place.url).await;
    let store: Shared = Arc::new(open(&line, &place, Duration::from_secs(10)).await);
    keep(&store, 100, delivered(100, 100, "to-app")).await;
    let mut leaves_before = leaves(&store, &aoi()).await.len();
    for (n, mode) in [(1, Cut::Before), (2, Cut::After)] {
        let accept = || whole(keyed(n, &format!("k{n}")), vec![row(1, delivered(n, n, "to-app"))]);
        line.cut(Some(mode));
        let lost = store.accept(&aoi(), accept()).await;
        assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
        line.cut(None);
        decided(&place).await;
        let happened = leaves(&store, &aoi()).await.len() - leaves_before;
        assert_eq!(happened, usize::from(mode == Cut::After), "the cut is where it is said to be");
        // The same again, from whoever got no answer: it is there once.
        let (id, rows, _) = durable(store.accept(&aoi(), accept()).await);
        assert_eq!((id, &rows[0].state), (exchange(n), &accepted(n, 1)));
        assert_eq!(leaves(&store, &aoi()).await.len(), leaves_before + 1);
        assert_eq!(held(&store, n).await.unwrap().records.len(), 1);
        leaves_before += 1;
    }

    // A claim, and its settlement.
    line.cut(Some(Cut::After));
    assert!(matches!(store.claim_due(&aoi(), claim(1, "to-app", 1)).await, Err(StoreError::Unavailable(_))));
    line.cut(None);
    decided(&place).await;
    assert_eq!(claimed(&store, claim(1, "to-app", 2)).await.len(), 3, "the same claim again has what it got");
    let delivered = crate::SettledState::Ended(tsunagi_core::exchange::DeliveryState::Delivered);
    line.cut(Some(Cut::After));
    let settled = store.settle(&aoi(), &batch(1), vec![settlement(1, delivered)]).await;
    assert!(matches!(settled, Err(StoreError::Unavailable(_))));
    line.cut(None);
    decided(&place).await;
    assert_eq!(store.settle(&aoi(), &batch(1), vec![settlement(1, delivered)]).await.unwrap(), 0, "it was, once");
    assert_eq!(store.delivery(&aoi(), &delivery(1)).await.unwrap().unwrap().attempts, 1);
    let verdict = store.verify(&aoi(), &signer().public_key(), &|_| ()).await.unwrap();
    assert_eq!((verdict.leaves as usize, verdict.fault), (leaves_before + 1, None));
    assert_eq!(line.cuts(), 4);
}

/// Whoever waits for a server that hangs is told in time; when it goes on, so does the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_unavailable() {
    let (_store, place) = fresh!();
    let line = Line::to(&place.url).await;
    let store: Shared = Arc::new(open(&line, &place, Duration::from_secs(3)).await);
    let note = || Note { events: vec![event(1)], rests_on: vec![], directive: None };
    store.note(&aoi(), note()).await.unwrap();
    line.stop(true);
    let began = Instant::now();
    let tenant = aoi();
    let (noted, read) = tokio::join!(store.note(&tenant, note()), store.audit_page(&tenant, 0, 9));
    assert!(matches!(noted, Err(StoreError::Unavailable(_))), "{noted:?}");
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    line.stop(false);
    decided(&place).await;
    store.note(&aoi(), note()).await.unwrap();
}
