//! What a backend gives to a copy.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Serialize;

use super::row::{Cell, Row};
use super::tables::Table;
use crate::command::Verdict;
use crate::error::StoreError;
use crate::traits::{AuditLog, StoreAdmin};

/// A store that nobody else has open, to read from. One that is copied from stands still as long as this value is there.
#[async_trait(?Send)]
pub(crate) trait Side {
    /// The columns that tell a table's rows apart here, in the order in which the rows are read.
    fn key(&self, table: &Table) -> &'static [&'static str];
    /// The hub's wrapped key. It is random: no two stores have the same, unless one is a copy of the other.
    async fn hub_key(&self) -> Result<Option<Vec<u8>>, StoreError>;
    /// Whose rows a table has, where those of each are read by themselves; else one nobody.
    async fn owners(&self, table: &Table) -> Result<Vec<Option<String>>, StoreError>;
    /// How many rows a table has of somebody.
    async fn count(&self, table: &Table, owner: Option<&str>) -> Result<u64, StoreError>;
    /// The next rows behind a key, or the first; at most `limit`, and fewer where they are large. None: the end.
    async fn page(
        &self,
        table: &Table,
        owner: Option<&str>,
        after: &[Cell],
        limit: i64,
    ) -> Result<Vec<Row>, StoreError>;
    /// The head of every log, in order.
    async fn heads(&self) -> Result<Vec<Head>, StoreError>;
    /// The next ordinal of each tenant. Nothing where all tenants stand in one line.
    async fn next_ordinals(&self) -> Result<Option<BTreeMap<String, i64>>, StoreError>;
}

/// A store to write to. It has a mark as long as it is not whole, by which everybody else refuses to open it.
#[async_trait(?Send)]
pub(crate) trait Destination: Side {
    /// False where there was never a store.
    async fn has_tables(&self) -> Result<bool, StoreError>;
    /// The mark.
    async fn mark(&self) -> Result<Option<String>, StoreError>;
    /// Makes the tables, without the rows that new ones have of their own, and sets the mark. `Stale` if somebody
    /// was quicker.
    async fn begin(&self, mark: &str) -> Result<(), StoreError>;
    /// Writes rows and moves the mark on, in one transaction. `Stale` if the mark is not the one that is said.
    async fn put(&self, table: &Table, rows: &[Row], marks: (&str, &str)) -> Result<(), StoreError>;
    /// Verifies every log, and takes the mark away if they are all well.
    async fn finish(self: Box<Self>, public_key: &[u8; 32], told: &Told<'_>) -> Result<Vec<Verdict>, StoreError>;
}

/// Is told whose log is being verified, and how many leaves of all logs are done.
pub(crate) type Told<'t> = dyn Fn(&str, u64) + Send + Sync + 't;

/// Verifies every log.
pub(crate) async fn verify_all(
    store: &(impl AuditLog + StoreAdmin),
    public_key: &[u8; 32],
    told: &Told<'_>,
) -> Result<Vec<Verdict>, StoreError> {
    let mut verdicts: Vec<Verdict> = Vec::new();
    for tenant in store.logs().await? {
        let before: u64 = verdicts.iter().map(|verdict| verdict.leaves).sum();
        verdicts.push(store.verify(&tenant, public_key, &|read| told(tenant.as_str(), before + read)).await?);
    }
    Ok(verdicts)
}

/// The head of a tenant's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Whose.
    pub tenant: String,
    /// How many leaves there are.
    pub size: i64,
    /// How many of them lie under the newest checkpoint.
    pub sealed: i64,
    /// The seal of both, in hexadecimal.
    pub seal: String,
    /// The newest checkpoint's root, in hexadecimal.
    pub root: Option<String>,
}

/// The head of every log.
pub(crate) const HEADS: &str = "SELECT l.tenant, l.size, l.sealed, l.mac, c.root FROM audit_lengths l
    LEFT JOIN checkpoints c ON c.tenant = l.tenant AND c.size = l.sealed ORDER BY l.tenant";

/// How many bytes of rows make a page, whatever their number: large rows must not fill the memory.
pub(crate) const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// What whoever opens an unfinished copy is told.
pub(crate) fn unfinished() -> StoreError {
    StoreError::Unavailable(
        "this is the unfinished copy of another store: run the same `tsunagi store copy` again to finish it".to_owned(),
    )
}
