//! Which subtrees a proof is made of. Planned first, so that a store is asked for just these and the rest is arithmetic:
//! of ten million leaves a proof takes two dozen hashes.

use super::{Hash, node_hash, root};

/// How many hashes a tile holds.
pub const TILE: u64 = 1 << TILE_HEIGHT;

/// How high the tree inside a tile is.
const TILE_HEIGHT: u32 = 8;

/// A complete subtree: the leaves from `index · 2^height` on, 2^`height` of them. At height 0 it is a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtree {
    /// How high it is.
    pub height: u32,
    /// How many of the same height lie left of it.
    pub index: u64,
}

/// A run of up to [`TILE`] hashes next to each other, as C2SP `tlog-tiles` cuts a tree: on level 0 of leaves, on level 1 of
/// subtrees of 256 leaves, on level 2 of subtrees of 65,536.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// The level.
    pub level: u32,
    /// How many of the same level lie left of it.
    pub index: u64,
}

impl Subtree {
    /// The tile in which the subtree's root is found.
    pub fn tile(self) -> Tile {
        let height = self.height % TILE_HEIGHT;
        Tile { level: self.height / TILE_HEIGHT, index: self.index >> (TILE_HEIGHT - height) }
    }

    /// Its root, from the hashes of its tile; `None` if the tile does not reach so far.
    pub fn root_in(self, tile: &[Hash]) -> Option<Hash> {
        let height = self.height % TILE_HEIGHT;
        let from = usize::try_from((self.index << height) % TILE).ok()?;
        tile.get(from..from + (1 << height)).map(root)
    }

    /// The level and the place on it where the store keeps this subtree's root; `None` for those that are worked out.
    pub fn kept(self) -> Option<(u32, u64)> {
        let is_kept = self.height > 0 && self.height.is_multiple_of(TILE_HEIGHT);
        is_kept.then_some((self.height / TILE_HEIGHT, self.index))
    }
}

/// The subtrees of a proof. For each hash of the proof: the complete subtrees that make it, from left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan(Vec<Vec<Subtree>>);

impl Plan {
    /// Of the inclusion proof of a leaf in the tree of `size` leaves, from the leaf's sibling up; `None` if there is no
    /// such leaf.
    pub fn inclusion(index: u64, size: u64) -> Option<Self> {
        if index >= size {
            return None;
        }
        let mut hashes = Vec::new();
        let (mut start, mut count) = (0, size);
        while count > 1 {
            let left = left_size(count);
            if index - start < left {
                hashes.push(complete(start + left, count - left));
                count = left;
            } else {
                hashes.push(complete(start, left));
                (start, count) = (start + left, count - left);
            }
        }
        hashes.reverse();
        Some(Self(hashes))
    }

    /// Of the proof that the tree of `size` leaves only adds to the one of its first `old` leaves; `None` if there are not
    /// that many. Sizes 0 and "all" need no hashes.
    pub fn consistency(old: u64, size: u64) -> Option<Self> {
        if old > size {
            return None;
        }
        let mut hashes = Vec::new();
        if old == 0 || old == size {
            return Some(Self(hashes));
        }
        let (mut start, mut count) = (0, size);
        // The old root is known to the verifier as long as the old tree is a subtree by itself.
        let mut known = true;
        while old - start < count {
            let left = left_size(count);
            if old - start <= left {
                hashes.push(complete(start + left, count - left));
                count = left;
            } else {
                hashes.push(complete(start, left));
                (start, count) = (start + left, count - left);
                known = false;
            }
        }
        if !known {
            hashes.push(complete(start, count));
        }
        hashes.reverse();
        Some(Self(hashes))
    }

    /// Of the right edge of a tree, see [`Frontier::from_parts`](super::Frontier::from_parts).
    pub fn frontier(size: u64) -> Self {
        Self(complete(0, size).into_iter().map(|subtree| vec![subtree]).collect())
    }

    /// All subtrees whose roots are needed.
    pub fn subtrees(&self) -> impl Iterator<Item = Subtree> {
        self.0.iter().flatten().copied()
    }

    /// The proof, once the roots can be told; `None` as soon as one cannot.
    pub fn prove(&self, mut root_of: impl FnMut(Subtree) -> Option<Hash>) -> Option<Vec<Hash>> {
        self.0
            .iter()
            .map(|parts| {
                let mut from_the_right = parts.iter().rev();
                let last = root_of(*from_the_right.next()?)?;
                from_the_right.try_fold(last, |right, left| Some(node_hash(&root_of(*left)?, &right)))
            })
            .collect()
    }
}

/// A run of leaves as complete subtrees, largest first. The run starts where one of its size may start.
fn complete(start: u64, count: u64) -> Vec<Subtree> {
    let mut from = start;
    let mut parts = Vec::new();
    for height in (0..u64::BITS).rev().filter(|height| count >> height & 1 == 1) {
        parts.push(Subtree { height, index: from >> height });
        from += 1 << height;
    }
    parts
}

/// The largest power of two below `count`, for a count of 2 and more.
fn left_size(count: u64) -> u64 {
    1 << (u64::BITS - 1 - (count - 1).leading_zeros())
}
