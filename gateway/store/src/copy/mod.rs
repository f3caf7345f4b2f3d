//! One store becomes another: from SQLite to PostgreSQL, and back.
//!
//! Rows go over as they are, encrypted or hashed as they stand, page by page. A page is one transaction at the
//! destination, and so is the mark that says how far the copy is: whatever ends it, the same copy again goes on behind the
//! last page. As long as the mark is there nobody opens the destination for anything else. It goes away at the end, when
//! every row was read back and is what it was, every log has the head it had, and every log verifies.
//!
//! The source is open for the copy alone and stands still meanwhile. Whether it moved between two runs is told by its
//! counts and heads.

mod compare;
mod row;
mod run;
mod side;
pub(crate) mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::command::Verdict;
use crate::error::StoreError;
use crate::keys::Keyring;
pub(crate) use row::{Cell, Row};
pub use run::copy;
pub use side::Head;
pub(crate) use side::{Destination, HEADS, PAGE_BYTES, Side, Told, unfinished, verify_all};

/// A store, and what opens its keys.
#[derive(Debug)]
pub struct End {
    /// Where it is.
    pub site: Site,
    /// The keys.
    pub keyring: Keyring,
}

/// Where a store is.
#[derive(Debug)]
pub enum Site {
    /// In a file.
    #[cfg(feature = "sqlite")]
    File(std::path::PathBuf),
    /// On a server.
    #[cfg(feature = "postgres")]
    Server(crate::postgres::Server),
}

/// How far a copy is.
#[derive(Debug)]
pub struct Step<'s> {
    /// What is being done.
    pub phase: Phase,
    /// The table, or the tenant whose log it is.
    pub what: &'s str,
    /// Rows, or leaves, that are done.
    pub done: u64,
    /// All there are.
    pub total: u64,
}

/// What a copy does, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Rows go over.
    Copying,
    /// They are read back.
    Comparing,
    /// The logs are verified.
    Verifying,
}

/// What a copy came to.
#[derive(Debug, Serialize)]
pub struct Copied {
    /// How many rows each table has.
    pub tables: BTreeMap<&'static str, u64>,
    /// The head of every log.
    pub logs: Vec<Head>,
    /// How many rows went over in this run; the others had before.
    pub rows: u64,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// What is copied.
    Source,
    /// What it is copied to.
    Destination,
}

/// Why a store was not copied, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum CopyFault {
    /// What was read back is not what was written.
    #[error("{0} is not the same at the destination")]
    Differs(String),
    /// A hub or a command has the store open.
    #[error("the {0:?} is in use")]
    InUse(Which),
    /// Not when the copy began, or not since.
    #[error("the source has changed since the copy began")]
    Moved,
    /// There is no store to copy.
    #[error("there is no store at the source")]
    NoSource,
    /// The destination has something in it already.
    #[error("the destination is not empty")]
    NotEmpty,
    /// The destination is the unfinished copy of another store.
    #[error("the destination is the unfinished copy of another store")]
    OfAnother,
    /// The destination's master key does not open the source.
    #[error("the two ends have different master keys")]
    OtherKey,
    /// The watcher said so.
    #[error("stopped")]
    Stopped,
    /// A log does not verify.
    #[error("a log does not verify")]
    Unverified(Vec<Verdict>),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
