//! Signed checkpoints, Merkle proofs and stored edges: any note is opened or refused; only what the signature covers is
//! believed; a proof that was made holds, and one that was changed anywhere does not.
//!
//! Input: a byte for what is tried, then what it is tried with.

#![no_main]

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use tsunagi_core::checkpoint::{CheckpointSigner, SignedHead, open};
use tsunagi_core::merkle::{
    Frontier, Hash, Plan, Subtree, leaf_hash, root, verify_consistency, verify_inclusion,
};
use tsunagi_core::sensitive::Sensitive;
use tsunagi_fuzz::Input;

const NAME: &str = "hub.example";

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    match input.byte() % 4 {
        0 => any_note(input),
        1 => changed_note(input),
        2 => proofs(input),
        _ => edge(input),
    }
});

fn signer() -> &'static CheckpointSigner {
    static SIGNER: OnceLock<CheckpointSigner> = OnceLock::new();
    SIGNER.get_or_init(|| CheckpointSigner::new(Sensitive::new([7; 32]), NAME).expect("a signer"))
}

/// Any text under the hub's own key: nobody but the signer can make a note that opens.
fn any_note(input: Input<'_>) {
    let Ok(text) = std::str::from_utf8(input.0) else { return };
    assert!(open(text, NAME, &signer().public_key()).is_err() || text.contains(&signature_of_sample()));
    assert!(open(text, "", &[0; 32]).is_err());
}

/// A sound note with one place changed: it is refused, or it says the same.
fn changed_note(mut input: Input<'_>) {
    let size = u64::from(input.byte()) << (input.byte() % 56);
    let hash: Hash = leaf_hash(input.0);
    let origin = format!("{NAME}/audit/some");
    let note = signer().sign(&origin, size, &hash);
    let head = SignedHead { origin, size, root: hash };
    assert_eq!(open(&note, NAME, &signer().public_key()), Ok(head.clone()));
    let mut bytes = note.into_bytes();
    let at = input.below(bytes.len() + 1);
    match input.byte() % 3 {
        0 if at < bytes.len() => bytes[at] ^= input.byte().max(1),
        1 if at < bytes.len() => drop(bytes.remove(at)),
        _ => drop(bytes.splice(at..at, input.line().iter().copied())),
    }
    let Ok(text) = String::from_utf8(bytes) else { return };
    if let Ok(opened) = open(&text, NAME, &signer().public_key()) {
        assert_eq!(opened, head, "{text:?}");
    }
}

fn signature_of_sample() -> String {
    let note = signer().sign("hub.example/audit/some", 1, &leaf_hash(b""));
    note.rsplit(' ').next().unwrap_or_default().trim().to_owned()
}

/// Leaves, an index and an old size: the proofs that are made hold, and no other index, size, leaf or hash does.
fn proofs(mut input: Input<'_>) {
    let count = usize::from(input.byte() % 70);
    let leaves: Vec<Hash> = (0..count).map(|at| leaf_hash(&[at as u8, input.byte()])).collect();
    let (index, other) = (u64::from(input.byte()), u64::from(input.byte()));
    let (size, whole) = (count as u64, root(&leaves));
    let root_of = |part: Subtree| {
        let from = usize::try_from(part.index << part.height).ok()?;
        leaves.get(from..from + (1 << part.height)).map(root)
    };
    match Plan::inclusion(index, size).map(|plan| plan.prove(root_of).expect("its parts lie in the tree")) {
        None => assert!(index >= size),
        Some(proof) => {
            let leaf = &leaves[index as usize];
            assert!(verify_inclusion(leaf, index, size, &proof, &whole));
            assert!(index == other || !verify_inclusion(leaf, other, size, &proof, &whole));
            for changed in changes(&proof, &mut input) {
                assert!(!verify_inclusion(leaf, index, size, &changed, &whole));
            }
        }
    }
    match Plan::consistency(other, size).map(|plan| plan.prove(root_of).expect("its parts lie in the tree")) {
        None => assert!(other > size),
        Some(proof) => {
            let old = root(&leaves[..other as usize]);
            assert!(verify_consistency(other, &old, size, &whole, &proof));
            for changed in changes(&proof, &mut input) {
                assert!(!verify_consistency(other, &old, size, &whole, &changed));
            }
        }
    }
    // Any numbers and hashes at all.
    let mut number = || {
        input.0.split_first_chunk::<8>().map_or(u64::MAX, |(bytes, rest)| {
            input.0 = rest;
            u64::from_le_bytes(*bytes)
        })
    };
    let (one, two) = (number(), number());
    let hashes: Vec<Hash> = input.0.chunks(1).take(80).map(leaf_hash).collect();
    assert!(!verify_inclusion(&whole, one, two, &hashes, &leaf_hash(b"other")));
    // Every tree adds to the empty one.
    assert!(one == 0 || !verify_consistency(one, &whole, two, &leaf_hash(b"other"), &hashes));
}

/// A hash changed, one left out, one put in.
fn changes(proof: &[Hash], input: &mut Input<'_>) -> Vec<Vec<Hash>> {
    let at = input.below(proof.len() + 1);
    let mut longer = proof.to_vec();
    longer.insert(at, leaf_hash(b"another"));
    let mut changed = vec![longer];
    if at < proof.len() {
        let mut other = proof.to_vec();
        other[at][usize::from(input.byte()) % 32] ^= 1;
        let mut shorter = proof.to_vec();
        shorter.remove(at);
        changed.extend([other, shorter]);
    }
    changed
}

/// A stored edge: taken if it has the right number of hashes, and then it gives itself back and can grow.
fn edge(mut input: Input<'_>) {
    let size = match input.0.split_first_chunk::<8>() {
        Some((bytes, rest)) => {
            input.0 = rest;
            u64::from_le_bytes(*bytes)
        }
        None => 0,
    };
    let wanted = size.count_ones() as usize + usize::from(input.byte() % 16 == 15);
    let hashes: Vec<Hash> = (0..wanted).map(|at| leaf_hash(&[at as u8])).collect();
    let Some(mut frontier) = Frontier::from_parts(size, hashes.clone()) else { return };
    assert_eq!((frontier.size(), frontier.hashes()), (size, hashes.as_slice()));
    frontier.push(leaf_hash(input.0));
    if frontier.size() == u64::MAX {
        return;
    }
    let again = Frontier::from_parts(frontier.size(), frontier.hashes().to_vec()).expect("an edge");
    assert_eq!(again.root(), frontier.root());
    // Base64 of a root, as it stands in a checkpoint.
    assert_eq!(STANDARD.decode(STANDARD.encode(frontier.root())).ok().as_deref(), Some(frontier.root().as_slice()));
}
