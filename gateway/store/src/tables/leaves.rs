//! Leaves of an audit log, and its length.

use std::io::Write;

use tsunagi_core::audit::AuditEvent;
use tsunagi_core::merkle::{Frontier, leaf_hash};

use super::Tables;
use super::convert::nanos;
use crate::command::Checkpoint;
use crate::error::StoreError;
use crate::keys::{Hash, TenantKeys};

/// What is said of one tenant's log. It is written with the tenant's key and with every change of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Length {
    /// Leaves written.
    pub(crate) size: u64,
    /// Leaves under the newest checkpoint.
    pub(crate) sealed: u64,
}

impl Length {
    /// The length of a log that has just been begun.
    pub(crate) const EMPTY: Self = Self { size: 0, sealed: 0 };

    /// Takes what was read. What was tampered with is not built upon: the next leaf would make it look right again.
    pub(crate) fn checked(keys: &TenantKeys, found: Option<(u64, u64, Vec<u8>)>) -> Result<Self, StoreError> {
        match found {
            Some((size, sealed, seal)) if keys.length_seal(size, sealed)[..] == seal[..] => Ok(Self { size, sealed }),
            _ => Err(StoreError::Corrupt("the length of the audit log is not as it was written".to_owned())),
        }
    }

    /// What is written beside it, so that it cannot be changed alone.
    pub(crate) fn seal(self, keys: &TenantKeys) -> Hash {
        keys.length_seal(self.size, self.sealed)
    }
}

/// A leaf without its place in a log. It is made where the event is known, so that whoever writes it has less to do.
#[derive(Clone)]
pub(crate) struct LeafContent {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: Hash,
    pub(crate) at: i64,
}

impl LeafContent {
    /// The leaf of an event, beginning with a number that nobody guesses: whoever is given its hash in a proof must not be
    /// able to try out what it says.
    pub(crate) fn of(event: &AuditEvent) -> Result<Self, StoreError> {
        let mut salt = [0; 16];
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| StoreError::Unavailable("there is no randomness".to_owned()))?;
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        write!(bytes, r#"{{"salt":"{:032x}""#, u128::from_ne_bytes(salt)).map_err(unwritable)?;
        let salted = bytes.len();
        serde_json::to_writer(&mut bytes, event).map_err(unwritable)?;
        // The event's members go on in the object that the salt has begun.
        if let Some(brace) = bytes.get_mut(salted) {
            *brace = b',';
        }
        Ok(Self { hash: leaf_hash(&bytes), bytes, at: nanos(event.at) })
    }
}

/// What nearly every leaf finds room in.
const USUAL_BYTES: usize = 1024;

fn unwritable<E>(_: E) -> StoreError {
    StoreError::Corrupt("this event must not be stored".to_owned())
}

/// Appends to one tenant's log. The length is kept once, by [`Leaves::close`]: a command that forgets it leaves a log
/// that does not verify.
#[must_use]
pub(crate) struct Leaves<'t, T> {
    tables: &'t T,
    length: Length,
}

impl<'t, T: Tables> Leaves<'t, T> {
    /// Opens the log at its end.
    pub(crate) fn open(tables: &'t T) -> Result<Self, StoreError> {
        Ok(Self { tables, length: tables.length()? })
    }

    /// Writes a leaf.
    pub(crate) fn append(&mut self, event: &AuditEvent) -> Result<u64, StoreError> {
        self.write(&LeafContent::of(event)?)
    }

    /// Writes a leaf; its index is dense because nobody else writes to this log meanwhile.
    pub(crate) fn write(&mut self, content: &LeafContent) -> Result<u64, StoreError> {
        let index = self.length.size;
        let seal = self.tables.keys().leaf_seal(index, &content.hash);
        self.tables.write_leaf(index, content, &seal)?;
        self.length.size = index + 1;
        Ok(index)
    }

    /// The index that the next leaf will have.
    pub(crate) fn next(&self) -> u64 {
        self.length.size
    }

    /// Keeps the new length.
    pub(crate) fn close(self) {
        self.tables.set_length(self.length);
    }
}

/// Writes one leaf.
pub(crate) fn append_one(tables: &impl Tables, event: &AuditEvent) -> Result<u64, StoreError> {
    let mut leaves = Leaves::open(tables)?;
    let index = leaves.append(event)?;
    leaves.close();
    Ok(index)
}

/// Refuses a checkpoint whose edge is not that of its root.
pub(crate) fn fits(seal: &Checkpoint) -> Result<(), StoreError> {
    let edge = Frontier::from_parts(seal.size, seal.frontier.clone());
    match edge.is_some_and(|edge| edge.root() == seal.root) {
        true => Ok(()),
        false => Err(StoreError::Corrupt("the checkpoint's edge does not have its root".to_owned())),
    }
}

/// The edge of a checkpoint as it was stored, one hash after the other.
pub(crate) fn edge(bytes: &[u8]) -> Result<Vec<Hash>, StoreError> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(StoreError::Corrupt("a checkpoint's edge is not made of hashes".to_owned()));
    }
    Ok(hashes.to_vec())
}
