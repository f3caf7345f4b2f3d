//! The logs of others that this hub is a witness of.

use tsunagi_core::audit::AuditEvent;
use tsunagi_core::id::TenantId;

use super::columns::Columns;
use super::pool::Tx;
use super::tenancy::{Common, Tenancy};
use crate::command::WitnessedHead;
use crate::error::StoreError;
use crate::tables::count;

/// See [`crate::AuditLog::witnessed`].
pub(super) async fn witnessed(tx: &Tx, log: &str) -> Result<Option<WitnessedHead>, StoreError> {
    let found = tx.one("SELECT size, root FROM witnessed WHERE log = $1", &[&log]).await?;
    found.map(|row| Ok(WitnessedHead { size: row.number(0)?, root: row.hash(1)? })).transpose()
}

/// See [`crate::AuditLog::witness`]. The head that was seen is compared while the hub's log is locked: two callers with
/// different growths of one head cannot both be answered.
pub(super) async fn witness(
    tx: &Tx,
    common: &Common,
    log: &str,
    (seen, head): (Option<WitnessedHead>, WitnessedHead),
    event: &AuditEvent,
) -> Result<u64, StoreError> {
    let mut hub = Tenancy::enter(tx, common, &TenantId::hub()).await?;
    if witnessed(tx, log).await? != seen {
        return Err(StoreError::Stale);
    }
    tx.execute(
        "INSERT INTO witnessed (log, size, root) VALUES ($1, $2, $3)
         ON CONFLICT (log) DO UPDATE SET size = excluded.size, root = excluded.root",
        &[&log, &count(head.size)?, &&head.root[..]],
    )
    .await?;
    let leaf = hub.append_one(event).await?;
    hub.close().await?;
    Ok(leaf)
}
