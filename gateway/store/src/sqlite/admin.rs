//! What the operator does: readiness and the registry.

use rusqlite::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tsunagi_core::audit::AuditEvent;
use tsunagi_core::id::TenantId;
use tsunagi_core::registry::RegistryEntries;

use super::convert::{Columns, from_json, to_json_text};
use super::migrate;
use super::session::Session;
use crate::error::StoreError;
use crate::tables::append_one;

/// See [`crate::StoreAdmin::ready`]. It does write: a full disk is not seen otherwise.
pub(super) fn ready(session: &Session<'_>) -> Result<(), StoreError> {
    let found = migrate::refuse_newer(session.conn)?;
    if found < migrate::newest() {
        return Err(StoreError::Unavailable(format!("the database has schema version {found}: migrate it first")));
    }
    migrate::check_master_key(session)?;
    session.conn.prepare_cached("UPDATE readiness SET beat = beat + 1 WHERE only = 1")?.execute([])?;
    Ok(())
}

/// See [`crate::StoreAdmin::registry`].
pub(super) fn registry(session: &Session<'_>) -> Result<(u64, RegistryEntries), StoreError> {
    let entries = RegistryEntries {
        tenant: section(session.conn, "tenant")?,
        participant: section(session.conn, "participant")?,
        endpoint: section(session.conn, "endpoint")?,
        channel: section(session.conn, "channel")?,
    };
    Ok((version(session.conn)?, entries))
}

/// See [`crate::StoreAdmin::import_registry`].
pub(super) fn import(session: &Session<'_>, entries: &RegistryEntries, event: &AuditEvent) -> Result<u64, StoreError> {
    for entry in &entries.tenant {
        put(session.conn, "tenant", entry.id.as_str(), entry)?;
    }
    for entry in &entries.participant {
        put(session.conn, "participant", entry.id.as_str(), entry)?;
    }
    for entry in &entries.endpoint {
        put(session.conn, "endpoint", entry.id.as_str(), entry)?;
    }
    for entry in &entries.channel {
        put(session.conn, "channel", entry.id.as_str(), entry)?;
    }
    session.conn.prepare_cached("UPDATE registry_version SET version = version + 1 WHERE only = 1")?.execute([])?;
    append_one(&session.enter(&TenantId::hub())?, event)?;
    version(session.conn)
}

fn version(conn: &Connection) -> Result<u64, StoreError> {
    let mut select = conn.prepare_cached("SELECT version FROM registry_version WHERE only = 1")?;
    Ok(select.query_row([], |row| row.number(0))?)
}

fn section<T: DeserializeOwned>(conn: &Connection, name: &str) -> Result<Vec<T>, StoreError> {
    let mut select = conn.prepare_cached("SELECT entry FROM registry_entries WHERE section = ?1 ORDER BY id")?;
    let mut rows = select.query([name])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(from_json(row.get::<_, String>(0)?.as_bytes())?);
    }
    Ok(entries)
}

fn put<T: Serialize>(conn: &Connection, section: &str, id: &str, entry: &T) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO registry_entries (section, id, entry) VALUES (?1, ?2, ?3)
         ON CONFLICT (section, id) DO UPDATE SET entry = excluded.entry",
    )?
    .execute((section, id, to_json_text(entry)?))?;
    Ok(())
}
