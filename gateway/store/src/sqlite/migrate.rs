//! The tables, step by step.

use rusqlite::{Connection, OptionalExtension};
use tsunagi_core::id::TenantId;

use super::session::Session;
use crate::copy::unfinished;
use crate::error::StoreError;

/// Each step once, in order; a step that was released is never changed.
const STEPS: &[(i64, &str)] = &[
    (1, include_str!("migrations/0001_tables.sql")),
    (2, include_str!("migrations/0002_coverage.sql")),
    (3, include_str!("migrations/0003_pages.sql")),
    (4, include_str!("migrations/0004_proofs.sql")),
    (5, include_str!("migrations/0005_trails.sql")),
    (6, include_str!("migrations/0006_retention.sql")),
];

/// The version these sources write.
pub(super) fn newest() -> i64 {
    STEPS.last().map_or(0, |(version, _)| *version)
}

/// The version of the tables; 0 where there are none.
pub(super) fn version(conn: &Connection) -> Result<i64, StoreError> {
    let known: Option<i64> = conn
        .query_row("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'", [], |r| r.get(0))
        .optional()?;
    if known.is_none() {
        return Ok(0);
    }
    Ok(conn.query_row("SELECT version FROM schema_version WHERE only = 1", [], |r| r.get(0))?)
}

/// Refuses tables that a newer release has made: this one would misread them.
pub(super) fn refuse_newer(conn: &Connection) -> Result<i64, StoreError> {
    let found = version(conn)?;
    if found > newest() {
        return Err(StoreError::Corrupt(format!(
            "the database has schema version {found}, this release knows {} at most",
            newest()
        )));
    }
    Ok(found)
}

/// True if this is another store's copy, and not whole.
pub(super) fn is_unfinished(conn: &Connection) -> Result<bool, StoreError> {
    let mut select = conn.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'unfinished_copy'")?;
    Ok(select.exists([])?)
}

/// Refuses such a store: part of what it should know is not there yet.
pub(super) fn refuse_unfinished(conn: &Connection) -> Result<(), StoreError> {
    if is_unfinished(conn)? { Err(unfinished()) } else { Ok(()) }
}

/// Runs the steps that are missing. Has to be called inside a transaction. New tables get the hub's key at once, by
/// which this store knows its master key from then on.
pub(super) fn migrate(session: &Session<'_>) -> Result<(), StoreError> {
    let conn = session.conn;
    let found = refuse_newer(conn)?;
    if found == 0 {
        conn.execute_batch(
            "CREATE TABLE schema_version (only INTEGER PRIMARY KEY CHECK (only = 1), version INTEGER NOT NULL) STRICT;
             INSERT INTO schema_version (only, version) VALUES (1, 0);",
        )?;
    }
    for (version, statements) in STEPS.iter().filter(|(version, _)| *version > found) {
        conn.execute_batch(statements)?;
        conn.execute("UPDATE schema_version SET version = ?1 WHERE only = 1", [version])?;
    }
    if found == 0 {
        session.enter(&TenantId::hub())?;
    }
    check_master_key(session)
}

/// Refuses a master key that this store was not made with, before anything is written under it.
pub(super) fn check_master_key(session: &Session<'_>) -> Result<(), StoreError> {
    match session.known(&TenantId::hub()) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(StoreError::Corrupt("the hub's key is gone".to_owned())),
        Err(StoreError::Corrupt(_)) => {
            Err(StoreError::Corrupt("the master key is not the one this store was made with".to_owned()))
        }
        Err(other) => Err(other),
    }
}
