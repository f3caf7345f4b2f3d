//! Promises of the audit log.

use std::sync::Mutex;

use tsunagi_core::id::TenantId;
use tsunagi_core::merkle::{Frontier, Plan, Subtree, Tile, leaf_hash, verify_inclusion};

use super::given::*;
use crate::{KeptSubtree, LeavesOf, Note, StoreError, VerifyFault, WitnessedHead};

async fn write(store: &Shared, leaves: usize) {
    write_to(store, &aoi(), leaves).await;
}

async fn write_to(store: &Shared, tenant: &TenantId, leaves: usize) {
    let events = (0..leaves).map(|n| event(i64::try_from(n).unwrap())).collect();
    store.note(tenant, Note { events, rests_on: vec![], directive: None }).await.unwrap();
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
    assert_eq!(seal(&store, &aoi(), 5).await, 5);
    let left = store.unsealed(&aoi(), 9).await.unwrap();
    assert_eq!((left.sealed, left.leaves.len()), (5, 2));
    assert_eq!(seal(&store, &aoi(), 9).await, 7);
    let left = store.unsealed(&aoi(), 9).await.unwrap();
    assert_eq!((left.sealed, left.leaves.len()), (7, 0));
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

/// Leaves by 256 on level 0, whether sealed or not; above it what was kept, which may be said twice.
pub async fn tiles_hold_what_proofs_are_made_of(store: Shared) {
    write(&store, 600).await;
    write_to(&store, &kita(), 3).await;
    let mut edge = Frontier::new();
    let mut kept = Vec::new();
    for leaf in leaves(&store, &aoi()).await {
        edge.push_noting(leaf.hash, |subtree, root| {
            kept.extend(subtree.kept().map(|(level, index)| KeptSubtree { level, index, root }));
        });
    }
    assert_eq!(kept.iter().map(|subtree| (subtree.level, subtree.index)).collect::<Vec<_>>(), [(1, 0), (1, 1)]);
    assert_eq!(store.unsealed(&aoi(), 0).await.unwrap().subtrees, 0);
    store.keep_subtrees(&aoi(), kept[..1].to_vec()).await.unwrap();
    store.keep_subtrees(&aoi(), kept.clone()).await.unwrap();
    assert_eq!(store.unsealed(&aoi(), 0).await.unwrap().subtrees, 2);
    assert_eq!(store.unsealed(&kita(), 0).await.unwrap().subtrees, 0);
    let tile = async |tenant: TenantId, level, index| store.tile(&tenant, Tile { level, index }).await.unwrap();
    assert_eq!([tile(aoi(), 0, 1).await.len(), tile(aoi(), 0, 2).await.len()], [256, 600 - 512]);
    assert_eq!(tile(aoi(), 1, 0).await, kept.iter().map(|subtree| subtree.root).collect::<Vec<_>>());
    assert_eq!(
        [tile(kita(), 0, 0).await.len(), tile(kita(), 1, 0).await.len(), tile(aoi(), 1, 1).await.len()],
        [3, 0, 0]
    );
    let plan = Plan::inclusion(300, 600).unwrap();
    let mut roots = std::collections::BTreeMap::new();
    for part in plan.subtrees() {
        let Tile { level, index } = part.tile();
        roots.insert(part, part.root_in(&tile(aoi(), level, index).await).unwrap());
    }
    let proof = plan.prove(|part: Subtree| roots.get(&part).copied()).unwrap();
    let leaf = tile(aoi(), 0, 1).await[300 - 256];
    assert!(verify_inclusion(&leaf, 300, 600, &proof, &edge.root()));
    assert!(store.newest_checkpoint(&aoi()).await.unwrap().is_none());
    seal(&store, &aoi(), 300).await;
    seal(&store, &aoi(), 300).await;
    assert_eq!(store.newest_checkpoint(&aoi()).await.unwrap(), Some(checkpoint(&aoi(), &edge)));
}

/// Somebody of whom few leaves tell.
fn rare() -> tsunagi_core::id::SubjectKey {
    subject(11)
}

fn subject_of(n: u64) -> tsunagi_core::id::SubjectKey {
    if n % 9_999 == 5 { rare() } else { subject(n % 3) }
}

/// Leaf `n` tells of a subject and of one of two participants.
async fn write_of(store: &Shared, tenant: &TenantId, leaves: std::ops::Range<u64>) {
    let told = |n: u64| {
        let mut event = event(i64::try_from(n).unwrap());
        event.subject = Some(subject_of(n));
        event.agent.participant = Some(if n.is_multiple_of(2) { clinic() } else { city() });
        // A text that looks like somebody's name does not make it one.
        event.reason = Some(format!("\"subject\":\"{}\"", subject(7)));
        event
    };
    store.note(tenant, Note { events: leaves.map(told).collect(), rests_on: vec![], directive: None }).await.unwrap();
}

/// All of somebody's leaves, a page at a time.
async fn found(store: &Shared, tenant: &TenantId, of: &LeavesOf, limit: usize) -> Vec<u64> {
    let (mut below, mut indexes) = (Some(u64::MAX), Vec::new());
    while let Some(from) = below {
        let page = store.leaves_of(tenant, of, from, limit).await.unwrap();
        assert!(page.leaves.len() <= limit && page.next.is_none_or(|next| next < from), "{page:?}");
        for leaf in &page.leaves {
            assert_eq!(store.audit_page(tenant, leaf.index, 1).await.unwrap(), std::slice::from_ref(leaf));
        }
        indexes.extend(page.leaves.into_iter().map(|leaf| leaf.index));
        below = page.next;
    }
    indexes
}

/// The same newest first, whether nothing is sealed, some of it is indexed, or most; and nobody else's.
pub async fn leaves_are_found_by_whom_they_tell_of(store: Shared) {
    let count = 70_000;
    for from in (0..count).step_by(10_000) {
        write_of(&store, &aoi(), from..from + 10_000).await;
    }
    write_of(&store, &kita(), 0..4).await;
    let holds = async |when: &str| {
        for (of, limit) in [(subject(1), 7_000), (rare(), 1), (rare(), 100), (subject(1), 100_000)] {
            let expected: Vec<u64> = (0..count).rev().filter(|n| subject_of(*n) == of).collect();
            assert_eq!(found(&store, &aoi(), &LeavesOf::Subject(of), limit).await, expected, "{when}, by {limit}");
        }
        let of_city = found(&store, &aoi(), &LeavesOf::Participant(city()), 20_000).await;
        assert_eq!(of_city, (0..count).rev().filter(|n| n % 2 == 1).collect::<Vec<_>>(), "{when}");
        assert!(found(&store, &aoi(), &LeavesOf::Subject(subject(7)), 9).await.is_empty(), "{when}");
        assert_eq!(found(&store, &kita(), &LeavesOf::Subject(subject(1)), 9).await, [1], "{when}");
    };
    assert!(!store.index_leaves(&aoi()).await.unwrap(), "what is not sealed is not indexed");
    holds("nothing is sealed").await;
    seal(&store, &aoi(), 60_000).await;
    assert!(store.index_leaves(&aoi()).await.unwrap());
    holds("some are indexed").await;
    while store.index_leaves(&aoi()).await.unwrap() {}
    holds("all are indexed that can be").await;
    let nowhere = TenantId::parse("nowhere").unwrap();
    assert!(!store.index_leaves(&nowhere).await.unwrap());
    assert!(found(&store, &nowhere, &LeavesOf::Subject(subject(1)), 9).await.is_empty());
}

/// The whole log newest first, with a next page unless the first leaf of all was on this one.
pub async fn a_whole_log_is_read_newest_first(store: Shared) {
    write_of(&store, &aoi(), 0..21).await;
    write_of(&store, &kita(), 0..4).await;
    seal(&store, &aoi(), 9).await;
    for limit in [1, 7, 20, 21, 22] {
        let all = found(&store, &aoi(), &LeavesOf::Everybody, limit).await;
        assert_eq!(all, (0..21).rev().collect::<Vec<_>>(), "by {limit}");
    }
    let page = store.leaves_of(&aoi(), &LeavesOf::Everybody, 21, 21).await.unwrap();
    assert_eq!((page.leaves.len(), page.next), (21, None));
    assert!(store.leaves_of(&aoi(), &LeavesOf::Everybody, 0, 9).await.unwrap().leaves.is_empty());
    let nowhere = TenantId::parse("nowhere").unwrap();
    assert!(found(&store, &nowhere, &LeavesOf::Everybody, 9).await.is_empty());
}

/// Only who knows the head that was cosigned last replaces it, and the hub's log has an event of it.
pub async fn a_witnessed_head_is_replaced_by_who_saw_it(store: Shared) {
    let head = |size| WitnessedHead { size, root: [u8::try_from(size).unwrap(); 32] };
    assert_eq!(store.witnessed("log").await.unwrap(), None);
    store.witness("log", None, head(3), event(1)).await.unwrap();
    for seen in [None, Some(head(2)), Some(WitnessedHead { root: [9; 32], ..head(3) })] {
        let outcome = store.witness("log", seen, head(5), event(1)).await;
        assert!(matches!(outcome, Err(StoreError::Stale)), "{seen:?}");
    }
    assert_eq!(store.witnessed("log").await.unwrap(), Some(head(3)));
    store.witness("log", Some(head(3)), head(5), event(1)).await.unwrap();
    store.witness("another", None, head(1), event(1)).await.unwrap();
    assert_eq!(store.witnessed("log").await.unwrap(), Some(head(5)));
    assert_eq!(leaves(&store, &TenantId::hub()).await.len(), 3);
}
