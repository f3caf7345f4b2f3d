//! Two nodes on one database: each is a store of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::task::JoinSet;
use tsunagi_core::exchange::{DeliveryState, RowState};
use tsunagi_core::id::DeliveryId;

use super::{fresh, open};
use crate::contract::given::*;
use crate::{Accept, Accepted, ExchangeHead, NewRecord, Note, SettledState, Store, StoreError};

/// A second node claims while the first one's claim is not committed: what is behind a claimed delivery stays behind it.
#[tokio::test]
async fn a_line_is_not_overtaken_by_a_claim_under_way() {
    let (store, place) = fresh!();
    let store: Shared = Arc::new(store);
    let other: Shared = Arc::new(open(&place).await);
    keep(&store, 1, delivered(1, 1, "to-app")).await;
    keep(&store, 2, delivered(2, 1, "to-app")).await;
    keep(&store, 3, delivered(3, 3, "to-app")).await;
    // The first node has its delivery locked, and has not said so yet.
    let client = place.connect().await;
    client.batch_execute("BEGIN; SELECT set_config('tsunagi.tenant', 'aoi', true)").await.unwrap();
    let locked = client
        .query("SELECT delivery FROM deliveries WHERE delivery = $1 FOR UPDATE", &[&delivery(1).as_str()])
        .await
        .unwrap();
    assert_eq!(locked.len(), 1);
    assert_eq!(claimed(&other, claim(2, "to-app", 1)).await, [delivery(3)], "another line is free, this one is not");
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(claimed(&other, claim(3, "to-app", 1)).await, [delivery(1), delivery(2)]);
}

/// Many claims on two nodes at once: every delivery is leased once, and every line stays in its order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_nodes_claim_each_delivery_once_and_in_order() {
    let (store, place) = fresh!();
    let nodes: [Shared; 2] = [Arc::new(store), Arc::new(open(&place).await)];
    const LINES: u64 = 12;
    const EACH: u64 = 5;
    for n in 0..LINES * EACH {
        keep(&nodes[0], n + 1, delivered(n + 1, n % LINES + 1, "to-app")).await;
    }
    let mut tasks = JoinSet::new();
    for worker in 0..6_u64 {
        let node = Arc::clone(&nodes[usize::try_from(worker % 2).unwrap()]);
        tasks.spawn(async move {
            let (mut got, mut round): (Vec<Vec<DeliveryId>>, _) = (Vec::new(), 0);
            loop {
                round += 1;
                let mark = worker * 1_000 + round;
                let batch_of = crate::ClaimRequest { limit: 3, ..claim(mark, "to-app", 1) };
                let found = claimed(&node, batch_of).await;
                if found.is_empty() {
                    let all = crate::DeliveryFilter { state: Some(DeliveryState::Pending), limit: 1 };
                    if node.deliveries(&aoi(), &all).await.unwrap().is_empty() {
                        return got;
                    }
                    continue;
                }
                for id in &found {
                    let mut settled = settlement(1, SettledState::Ended(DeliveryState::Delivered));
                    settled.delivery = id.clone();
                    settled.event.delivery = Some(id.clone());
                    let done = node.settle(&aoi(), &batch(mark), vec![settled]).await.unwrap();
                    assert_eq!(done, 1, "what was claimed is nobody else's");
                }
                got.push(found);
            }
        });
    }
    let mut all = Vec::new();
    while let Some(got) = tasks.join_next().await {
        all.extend(got.unwrap().into_iter().flatten());
    }
    assert_eq!(all.len() as u64, LINES * EACH);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len() as u64, LINES * EACH, "each once");
    // The order of settling is in the log: of each line, that of its places.
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    let number = |id: &DeliveryId| (1..=LINES * EACH).find(|n| delivery(*n) == *id).unwrap();
    for id in events(&nodes[0], &aoi()).await.into_iter().filter_map(|event| event.delivery) {
        let n = number(&id) - 1;
        let before = last.insert(n % LINES, n);
        assert!(before.is_none_or(|before| before < n), "delivery {n} after {before:?}");
    }
    let every = crate::DeliveryFilter { state: None, limit: 1_000 };
    assert!(nodes[0].deliveries(&aoi(), &every).await.unwrap().iter().all(|delivery| delivery.attempts == 1));
}

/// Leaves of both nodes share one log without gaps; a key sent to both at once is one exchange.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_nodes_write_one_dense_log_and_keep_a_key_once() {
    let (store, place) = fresh!();
    let nodes: [Shared; 2] = [Arc::new(store), Arc::new(open(&place).await)];
    let mut tasks = JoinSet::new();
    for n in 0..60_u64 {
        for (at, node) in nodes.iter().enumerate() {
            let node = Arc::clone(node);
            tasks.spawn(async move {
                // Both nodes get the same body under the same key, as two exchanges; and a note each.
                let id = exchange(1_000 + n * 2 + at as u64);
                let head = ExchangeHead { id, ..keyed(n + 1, &format!("k{n}")) };
                let accepted = node.accept(&aoi(), whole(head, vec![row(1, vaccination(n + 1))])).await.unwrap();
                let note = Note { events: vec![event(1)], rests_on: vec![], directive: None };
                node.note(&aoi(), note).await.unwrap();
                let Accepted::Durable { exchange, repeated, .. } = accepted else { panic!("{accepted:?}") };
                (n, exchange, repeated)
            });
        }
    }
    let mut told: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    while let Some(one) = tasks.join_next().await {
        let (n, exchange, repeated) = one.unwrap();
        told.entry(n).or_default().push((exchange, repeated));
    }
    for (n, both) in told {
        assert_eq!(both[0].0, both[1].0, "{n}: one exchange");
        assert!(both[0].1 != both[1].1, "{n}: one of them is a repeat");
    }
    let log = leaves(&nodes[0], &aoi()).await;
    assert_eq!(log.len(), 180, "one leaf for each row, two notes");
    assert!(log.iter().enumerate().all(|(at, leaf)| leaf.index == at as u64));
    let verdict = nodes[1].verify(&aoi(), &signer().public_key(), &|_| ()).await.unwrap();
    assert_eq!(verdict.fault, None);
}

/// A withdrawal on one node and disclosures on the other have an order: none that rests on the consent comes after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_note_on_a_withdrawn_consent_follows_the_withdrawal() {
    let (store, place) = fresh!();
    let nodes: [Shared; 2] = [Arc::new(store), Arc::new(open(&place).await)];
    for round in 1..=10_u64 {
        keep(&nodes[0], round, vaccination(round)).await;
        nodes[0].record_directive(&aoi(), directive(round, round), event(1)).await.unwrap();
        let version = held(&nodes[1], round).await.unwrap().version;
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let node = Arc::clone(&nodes[1]);
            tasks.spawn(async move {
                let note = Note { events: vec![event(1)], rests_on: vec![(subject(round), version)], directive: None };
                node.note(&aoi(), note).await
            });
        }
        let withdrawn =
            nodes[0].withdraw_directive(&aoi(), &subject(round), &directive_id(round), at(5), event(5)).await.unwrap();
        while let Some(noted) = tasks.join_next().await {
            match noted.unwrap() {
                Ok(indexes) => assert!(indexes[0] < withdrawn, "{indexes:?} after {withdrawn}"),
                Err(StoreError::Stale) => {}
                Err(other) => panic!("{other}"),
            }
        }
        let note = Note { events: vec![event(1)], rests_on: vec![(subject(round), version)], directive: None };
        assert!(matches!(nodes[1].note(&aoi(), note).await, Err(StoreError::Stale)));
    }
}

/// Of two nodes that seal at once, one does; the other goes on from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sealers_make_one_chain_of_checkpoints() {
    let (store, place) = fresh!();
    let nodes: [Shared; 2] = [Arc::new(store), Arc::new(open(&place).await)];
    for _ in 0..10 {
        let events = vec![event(1), event(2), event(3)];
        nodes[0].note(&aoi(), Note { events, rests_on: vec![], directive: None }).await.unwrap();
        let (one, two) = tokio::join!(try_seal(&nodes[0]), try_seal(&nodes[1]));
        assert!(one != two, "exactly one of them sealed");
    }
    assert_eq!(nodes[0].checkpoints(&aoi()).await.unwrap().len(), 10);
    let verdict = nodes[1].verify(&aoi(), &signer().public_key(), &|_| ()).await.unwrap();
    assert_eq!((verdict.leaves, verdict.sealed, verdict.fault), (30, 30, None));
}

/// False if another node was first, before this one looked or after.
async fn try_seal(store: &Shared) -> bool {
    let unsealed = store.unsealed(&aoi(), 100).await.unwrap();
    let mut edge = tsunagi_core::merkle::Frontier::from_parts(unsealed.sealed, unsealed.frontier).unwrap();
    unsealed.leaves.into_iter().for_each(|leaf| edge.push(leaf));
    match store.append_seal(&aoi(), checkpoint(&aoi(), &edge)).await {
        Ok(()) => true,
        Err(StoreError::Stale) => false,
        Err(other) => panic!("{other}"),
    }
}

/// What waits at the same time shares transactions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_at_once_share_transactions() {
    let (store, _place) = fresh!();
    let store = Arc::new(store);
    let note = || Note { events: vec![event(1)], rests_on: vec![], directive: None };
    store.note(&aoi(), note()).await.unwrap();
    let before = store.commits();
    let mut tasks = JoinSet::new();
    for _ in 0..200 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { store.note(&aoi(), note()).await.unwrap() });
    }
    let mut indexes = BTreeSet::new();
    while let Some(one) = tasks.join_next().await {
        indexes.extend(one.unwrap());
    }
    assert_eq!(indexes, (1..=200).collect());
    let shared = store.commits() - before;
    assert!(shared < 200, "{shared} transactions for 200 calls");
}

/// What the rules will ask for is read beforehand, for all rows at once: of a tenant that the node has not met too, and of a
/// call that comes again under its key with another number.
#[tokio::test]
async fn a_file_is_not_read_row_by_row() {
    let (store, place) = fresh!();
    let rows = |first: u64| (1..=100).map(|n| row(n, vaccination(first + n))).collect::<Vec<_>>();
    let only = |head, rows| Accept { head, rows, complete: false };
    durable(store.accept(&aoi(), whole(keyed(1, "a"), rows(0))).await);
    // A node that has met nobody: new people under a key, of whom it is told a half, and then again all.
    let other = open(&place).await;
    durable(other.accept(&aoi(), only(keyed(2, "b"), rows(100).split_off(50))).await);
    let again = ExchangeHead { digest: keyed(2, "b").digest, ..keyed(3, "b") };
    let (_, kept, repeated) = durable(other.accept(&aoi(), whole(again, rows(100))).await);
    assert!(repeated && kept.len() == 100 && kept.iter().all(|row| matches!(row.state, RowState::Accepted { .. })));
    // People who are known, with records that are not.
    let second = |n: u64| NewRecord {
        id: record_id(1_000 + n),
        business_key: vec![format!("second-{n}")],
        ..delivered(1_000 + n, n, "to-app")
    };
    let third = open(&place).await;
    durable(third.accept(&aoi(), whole(head(4), (1..=100).map(|n| row(n, second(n))).collect())).await);
    for node in [&store, &other, &third] {
        assert_eq!(node.common().asked_in_vain.load(Ordering::Relaxed), 0);
    }
}
