//! The Merkle tree of a tenant's audit log: RFC 6962 hashing over SHA-256, proofs, and the right edge
//! that sealing carries from batch to batch.
//!
//! Everything here works on leaf *hashes*: the leaves themselves stay in the store, and what leaves the
//! gateway in a proof tells nothing about them.

mod plan;

use aws_lc_rs::digest;

pub use plan::{Plan, Subtree, TILE, Tile};

/// A SHA-256 hash: of a leaf, of a node or of a whole tree.
pub type Hash = [u8; 32];

/// The hash of a leaf's bytes. The prefix `0x00` keeps a leaf from ever passing for a node.
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    sha256(&[&[0x00], bytes])
}

/// The hash of a node over its left and right child, with the prefix `0x01`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[0x01], left, right])
}

/// The root of the tree without leaves: SHA-256 of nothing, as RFC 6962 §2.1 has it.
pub fn empty_root() -> Hash {
    sha256(&[])
}

/// The right edge of a tree: the roots of its complete subtrees, largest first. This is all that is needed
/// to add leaves and to know the root, so sealing never reads an old leaf again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Hash>,
}

impl Frontier {
    /// The edge of the empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge as it was stored. `None` unless there is one hash for each one-bit of `size`: each is a
    /// complete subtree of that many leaves. A tree to which no leaf could be added is none that was ever stored.
    pub fn from_parts(size: u64, hashes: Vec<Hash>) -> Option<Self> {
        let fits = size < u64::MAX && hashes.len() == usize::try_from(size.count_ones()).ok()?;
        fits.then_some(Self { size, hashes })
    }

    /// Adds one leaf, by its [`leaf_hash`], at the right.
    pub fn push(&mut self, leaf: Hash) {
        self.push_noting(leaf, |_, _| ());
    }

    /// Adds one leaf and tells each subtree that it completes, with its root: what is kept of them makes proofs short work.
    pub fn push_noting(&mut self, leaf: Hash, mut completed: impl FnMut(Subtree, Hash)) {
        let mut node = leaf;
        // As many complete subtrees of equal size meet as the old size has trailing one-bits.
        for height in 1..=self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                node = node_hash(&left, &node);
            }
            completed(Subtree { height, index: self.size >> height }, node);
        }
        self.hashes.push(node);
        self.size += 1;
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The subtree roots, largest first: what [`Frontier::from_parts`] takes back.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The root of the tree as it is now.
    pub fn root(&self) -> Hash {
        let mut rest = self.hashes.iter().rev();
        match rest.next() {
            None => empty_root(),
            Some(smallest) => rest.fold(*smallest, |right, left| node_hash(left, &right)),
        }
    }
}

/// The root over a run of leaf hashes.
pub fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    frontier.root()
}

/// True if `proof` shows that `leaf` is leaf number `index` (from 0) of the tree with `size` leaves and this root.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            (node, last) = skip_lone(node, last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && hash == *root
}

/// True if `proof` shows that the tree of `new_size` leaves with `new_root` only adds to the one of `old_size`
/// leaves with `old_root`. Every tree adds to the empty one.
pub fn verify_consistency(old_size: u64, old_root: &Hash, new_size: u64, new_root: &Hash, proof: &[Hash]) -> bool {
    if old_size > new_size {
        return false;
    }
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    if old_size == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    let mut hashes = proof.iter();
    let first = if old_size.is_power_of_two() { Some(old_root) } else { hashes.next() };
    let Some(first) = first else { return false };
    let shift = (old_size - 1).trailing_ones();
    let (mut node, mut last) = ((old_size - 1) >> shift, (new_size - 1) >> shift);
    let (mut of_old, mut of_new) = (*first, *first);
    for hash in hashes {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            of_old = node_hash(hash, &of_old);
            of_new = node_hash(hash, &of_new);
            (node, last) = skip_lone(node, last);
        } else {
            of_new = node_hash(&of_new, hash);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    last == 0 && of_old == *old_root && of_new == *new_root
}

/// A node without a right sibling is moved up unhashed: leaves out those levels.
fn skip_lone(mut node: u64, mut last: u64) -> (u64, u64) {
    while node & 1 == 0 && node != 0 {
        (node, last) = (node >> 1, last >> 1);
    }
    (node, last)
}

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests;
