//! The logs of others that this hub is a witness of.

use rusqlite::OptionalExtension;
use tsunagi_core::audit::AuditEvent;
use tsunagi_core::id::TenantId;

use super::convert::{Columns, count};
use super::session::Session;
use crate::command::WitnessedHead;
use crate::error::StoreError;
use crate::tables::append_one;

/// See [`crate::AuditLog::witnessed`].
pub(super) fn witnessed(session: &Session<'_>, log: &str) -> Result<Option<WitnessedHead>, StoreError> {
    let mut select = session.conn.prepare_cached("SELECT size, root FROM witnessed WHERE log = ?1")?;
    Ok(select.query_row([log], |row| Ok(WitnessedHead { size: row.number(0)?, root: row.hash(1)? })).optional()?)
}

/// See [`crate::AuditLog::witness`]. The head that was seen is compared inside the transaction: two callers with different
/// growths of one head cannot both be answered.
pub(super) fn witness(
    session: &Session<'_>,
    log: &str,
    seen: Option<WitnessedHead>,
    head: WitnessedHead,
    event: &AuditEvent,
) -> Result<u64, StoreError> {
    if witnessed(session, log)? != seen {
        return Err(StoreError::Stale);
    }
    session
        .conn
        .prepare_cached(
            "INSERT INTO witnessed (log, size, root) VALUES (?1, ?2, ?3)
             ON CONFLICT (log) DO UPDATE SET size = excluded.size, root = excluded.root",
        )?
        .execute((log, count(head.size)?, head.root))?;
    append_one(&session.enter(&TenantId::hub())?, event)
}
