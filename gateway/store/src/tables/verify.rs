//! The whole log, read again.
//!
//! Three things vouch for a log. Each leaf has a seal, a keyed hash of its index and its content, so that the first
//! wrong leaf is named by itself and not by everything after it. The length has a seal, over the size of the newest
//! checkpoint too, so that neither leaves nor checkpoints can be cut off. And the signed checkpoints, whose copies may be elsewhere, vouch for the leaves under them without any key of
//! the hub's.

use std::collections::VecDeque;
use std::sync::Arc;

use tsunagi_core::checkpoint;
use tsunagi_core::id::TenantId;
use tsunagi_core::merkle::{Frontier, leaf_hash};

use crate::command::{Verdict, VerifyFault};
use crate::error::StoreError;
use crate::keys::{Hash, TenantKeys};

/// How many leaves are read at once.
pub(crate) const PAGE: usize = 1024;
/// The name in the signature lines of this hub's checkpoints.
const KEY_NAME: &str = "tsunagi";

/// A leaf as it stands, right or wrong.
pub(crate) struct Found {
    pub(crate) index: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: Vec<u8>,
    pub(crate) seal: Vec<u8>,
}

/// A checkpoint as it stands.
pub(crate) struct Seal {
    pub(crate) size: u64,
    pub(crate) root: Vec<u8>,
    pub(crate) frontier: Vec<u8>,
    pub(crate) note: String,
}

/// What a log is said to be, read at one moment.
pub(crate) struct Said {
    pub(crate) keys: Option<Arc<TenantKeys>>,
    /// One past the last index, where there is any leaf.
    pub(crate) end: Option<u64>,
    /// Size, how much of it is sealed, and the seal of both.
    pub(crate) length: Option<(u64, u64, Vec<u8>)>,
    /// The checkpoints, in order of size.
    pub(crate) seals: VecDeque<Seal>,
}

/// A verification under way. Leaves are only ever added, so it may read page after page in transactions of their own,
/// up to the end that it saw at first.
pub(crate) struct Check {
    tenant: TenantId,
    public_key: [u8; 32],
    keys: Option<Arc<TenantKeys>>,
    seals: VecDeque<Seal>,
    sealed: u64,
    /// How many leaves were written; `None` if nothing vouches for the number.
    written: Option<u64>,
    /// How many of them were under the newest checkpoint; known if `written` is.
    covered: u64,
    /// One past the last index.
    end: u64,
    frontier: Frontier,
}

/// What a leaf turned out to be.
pub(crate) enum Finding {
    Fault(VerifyFault),
    /// Not what stood here; only the other leaves can tell what happened.
    Stranger(Stranger),
}

/// A leaf that has no valid seal for its place.
pub(crate) struct Stranger {
    index: u64,
    hash: Vec<u8>,
    seal: Vec<u8>,
    written: u64,
    end: u64,
}

impl Check {
    /// Begins with what the log is said to be.
    pub(crate) fn begin(tenant: &TenantId, public_key: [u8; 32], said: Said) -> Result<Self, StoreError> {
        let Said { keys, end, length, seals } = said;
        let (written, covered) = match (&keys, length, end) {
            (Some(keys), Some((size, covered, seal)), _) if keys.length_seal(size, covered)[..] == seal[..] => {
                (Some(size), covered)
            }
            // Nothing was ever written. A tenant with a key has a length, if only of 0.
            (None, None, None) => (Some(0), 0),
            (None, _, Some(_)) => return Err(StoreError::Corrupt("the log is there, its tenant's key is not".into())),
            _ => (None, 0),
        };
        let sealed = seals.back().map_or(0, |seal| seal.size);
        let (tenant, end) = (tenant.clone(), end.unwrap_or(0));
        Ok(Self { tenant, public_key, keys, seals, sealed, written, covered, end, frontier: Frontier::new() })
    }

    /// How many leaves were found in order so far: the index from which to read on.
    pub(crate) fn read(&self) -> u64 {
        self.frontier.size()
    }

    /// One past the last leaf to read: those that came since are another verification's.
    pub(crate) fn last(&self) -> u64 {
        self.end
    }

    /// Takes the next leaf.
    pub(crate) fn leaf(&mut self, found: Found) -> Option<Finding> {
        if let Some(fault) = self.due_seal() {
            return Some(Finding::Fault(fault));
        }
        let index = self.read();
        let keys = self.keys.as_ref()?;
        if found.index != index {
            return Some(Finding::Fault(VerifyFault::Removed(index)));
        }
        let hash = leaf_hash(&found.bytes);
        let by_content = keys.leaf_seal(index, &hash)[..] == found.seal[..];
        let by_hash = Hash::try_from(found.hash.as_slice())
            .is_ok_and(|stored| keys.leaf_seal(index, &stored)[..] == found.seal[..]);
        match (by_content, by_hash) {
            _ if self.written.is_some_and(|written| index >= written) => {
                Some(Finding::Fault(VerifyFault::Added(index)))
            }
            (true, true) => {
                self.frontier.push(hash);
                None
            }
            (false, false) => Some(Finding::Stranger(Stranger {
                index,
                hash: found.hash,
                seal: found.seal,
                written: self.written.unwrap_or(self.end),
                end: self.end,
            })),
            _ => Some(Finding::Fault(VerifyFault::Changed(index))),
        }
    }

    /// What is wrong at the end, after all leaves.
    pub(crate) fn end(&mut self) -> Option<VerifyFault> {
        if let Some(fault) = self.due_seal() {
            return Some(fault);
        }
        let count = self.read();
        if let Some(seal) = self.seals.front() {
            // A checkpoint over more leaves than there are: if it is genuine, leaves are gone.
            let genuine = self.signed(seal);
            return Some(if genuine { VerifyFault::Removed(count) } else { VerifyFault::Checkpoint(seal.size) });
        }
        if self.written != Some(count) {
            return Some(VerifyFault::Removed(count));
        }
        // The one that was written last is gone, or one was put there behind the gateway's back.
        (self.covered != self.sealed).then(|| VerifyFault::Checkpoint(self.covered.max(self.sealed)))
    }

    /// The verdict.
    pub(crate) fn verdict(self, fault: Option<VerifyFault>) -> Verdict {
        Verdict { leaves: self.frontier.size(), sealed: self.sealed, fault, tenant: self.tenant }
    }

    /// Checks the checkpoints over exactly the leaves read so far.
    fn due_seal(&mut self) -> Option<VerifyFault> {
        while self.seals.front().is_some_and(|seal| seal.size == self.frontier.size()) {
            let seal = self.seals.pop_front()?;
            let fits = seal.root == self.frontier.root() && seal.frontier == self.frontier.hashes().concat();
            if !fits || !self.signed(&seal) {
                return Some(VerifyFault::Checkpoint(seal.size));
            }
        }
        None
    }

    /// True if the note is of this log, states this size and root, and is signed.
    fn signed(&self, seal: &Seal) -> bool {
        checkpoint::open(&seal.note, KEY_NAME, &self.public_key).is_ok_and(|head| {
            head.origin == format!("tsunagi/{}", self.tenant) && head.size == seal.size && seal.root == head.root
        })
    }
}

impl Stranger {
    /// True if this is the leaf that should be in the stranger's place.
    pub(crate) fn is_missing_here(&self, keys: &TenantKeys, hash: &[u8], seal: &[u8]) -> bool {
        Hash::try_from(hash).is_ok_and(|hash| keys.leaf_seal(self.index, &hash)[..] == *seal)
    }

    /// Where the leaf came from; `went_elsewhere` if the one that should be in its place is in another.
    pub(crate) fn explain(&self, keys: &TenantKeys, went_elsewhere: bool) -> VerifyFault {
        let index = self.index;
        let stood_elsewhere = Hash::try_from(self.hash.as_slice()).is_ok_and(|hash| {
            let last = self.end.max(self.written);
            (0..last).any(|other| keys.leaf_seal(other, &hash)[..] == self.seal[..])
        });
        match (stood_elsewhere, went_elsewhere) {
            (true, true) => VerifyFault::Reordered(index),
            (true, false) => VerifyFault::Removed(index),
            (false, true) => VerifyFault::Added(index),
            (false, false) => VerifyFault::Changed(index),
        }
    }
}
