//! Promises of the audit log.

use std::sync::Mutex;

use tsunagi_core::merkle::{Frontier, leaf_hash};

use super::given::*;
use crate::{Note, StoreError, VerifyFault};

async fn write(store: &Shared, leaves: usize) {
    let events = (0..leaves).map(|n| event(i64::try_from(n).unwrap())).collect();
    store.note(&aoi(), Note { events, rests_on: vec![], directive: None }).await.unwrap();
}

/// Indexes without gaps from 0 on, in pages; each hash is of the very bytes.
pub async fn leaves_are_dense_and_hashed(store: Shared) {
    write(&store, 3).await;
    write(&store, 4).await;
    let all = leaves(&store, &aoi()).await;
    assert_eq!(all.iter().map(|leaf| leaf.index).collect::<Vec<_>>(), (0..7).collect::<Vec<_>>());
    assert!(all.iter().all(|leaf| leaf.hash == leaf_hash(&leaf.bytes)));
    assert_eq!(store.audit_page(&aoi(), 5, 1).await.unwrap(), all[5..6]);
    assert!(store.audit_page(&aoi(), 7, 9).await.unwrap().is_empty());
}

/// What is left to seal starts after the last checkpoint, with the edge that goes on from there.
pub async fn a_seal_goes_on_where_the_last_one_ended(store: Shared) {
    write(&store, 7).await;
    assert_eq!(store.unsealed(&aoi(), 0).await.unwrap().oldest, Some(at(0)));
    assert_eq!(seal(&store, &aoi(), 5).await, 5);
    let left = store.unsealed(&aoi(), 9).await.unwrap();
    assert_eq!((left.sealed, left.leaves.len(), left.oldest), (5, 2, Some(at(5))));
    assert_eq!(seal(&store, &aoi(), 9).await, 7);
    let left = store.unsealed(&aoi(), 9).await.unwrap();
    assert_eq!((left.sealed, left.leaves.len(), left.oldest), (7, 0, None));
    let sizes: Vec<_> = store.checkpoints(&aoi()).await.unwrap().into_iter().map(|c| c.size).collect();
    assert_eq!(sizes, [5, 7]);
    let mut whole = Frontier::new();
    leaves(&store, &aoi()).await.into_iter().for_each(|leaf| whole.push(leaf.hash));
    assert_eq!(store.checkpoints(&aoi()).await.unwrap()[1], checkpoint(&aoi(), &whole));
    assert_eq!(store.unsealed(&kita(), 9).await.unwrap().sealed, 0);
}

/// A checkpoint of a size that is there, of a smaller one, or of more leaves than there are, is not taken.
pub async fn an_old_or_unfounded_seal_is_stale(store: Shared) {
    write(&store, 4).await;
    seal(&store, &aoi(), 3).await;
    let hashes: Vec<_> = leaves(&store, &aoi()).await.into_iter().map(|leaf| leaf.hash).collect();
    for size in [2, 3, 5] {
        let mut edge = Frontier::new();
        (0..size).for_each(|n| edge.push(hashes.get(n).copied().unwrap_or_default()));
        let outcome = store.append_seal(&aoi(), checkpoint(&aoi(), &edge)).await;
        assert!(matches!(outcome, Err(StoreError::Stale)), "size {size}");
    }
    let mut broken = checkpoint(&aoi(), &Frontier::new());
    broken.size = 4;
    assert!(store.append_seal(&aoi(), broken).await.is_err());
    assert_eq!(store.checkpoints(&aoi()).await.unwrap().len(), 1);
}

/// No leaves, no fault.
pub async fn an_empty_log_verifies(store: Shared) {
    let verdict = store.verify(&aoi(), &signer().public_key(), &|_| ()).await.unwrap();
    assert_eq!((verdict.tenant, verdict.leaves, verdict.sealed, verdict.fault), (aoi(), 0, 0, None));
}

/// A sound log verifies under the key that signed it and under no other, and not as another tenant's.
pub async fn a_checkpoint_is_verified_by_its_key(store: Shared) {
    write(&store, 5).await;
    seal(&store, &aoi(), 3).await;
    let verdict = store.verify(&aoi(), &signer().public_key(), &|_| ()).await.unwrap();
    assert_eq!((verdict.leaves, verdict.sealed, verdict.fault), (5, 3, None));
    let verdict = store.verify(&aoi(), &[9; 32], &|_| ()).await.unwrap();
    assert_eq!(verdict.fault, Some(VerifyFault::Checkpoint(3)));
    let mut edge = Frontier::new();
    leaves(&store, &aoi()).await.into_iter().for_each(|leaf| edge.push(leaf.hash));
    let mut foreign = checkpoint(&aoi(), &edge);
    foreign.note = checkpoint(&kita(), &edge).note;
    store.append_seal(&aoi(), foreign).await.unwrap();
    let verdict = store.verify(&aoi(), &signer().public_key(), &|_| ()).await.unwrap();
    assert_eq!((verdict.fault, verdict.sealed), (Some(VerifyFault::Checkpoint(5)), 5));
}

/// Progress grows up to the whole, and in more than one step for a long log.
pub async fn verification_tells_how_far_it_is(store: Shared) {
    write(&store, 3000).await;
    seal(&store, &aoi(), 3000).await;
    let told = Mutex::new(Vec::new());
    let verdict = store.verify(&aoi(), &signer().public_key(), &|read| told.lock().unwrap().push(read)).await.unwrap();
    assert_eq!((verdict.leaves, verdict.fault), (3000, None));
    let told = told.into_inner().unwrap();
    assert!(told.len() > 1 && told.is_sorted());
    assert_eq!(told.last(), Some(&3000));
}
