//! What the operator does: readiness and the registry.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tsunagi_core::audit::AuditEvent;
use tsunagi_core::id::TenantId;
use tsunagi_core::registry::RegistryEntries;

use super::columns::Columns;
use super::migrate;
use super::pool::Tx;
use super::tenancy::{Common, Tenancy};
use crate::error::StoreError;
use crate::tables::{from_json, to_json_text};

/// See [`crate::StoreAdmin::ready`]. It does write: a full disk, or a server that only reads, is not seen otherwise.
pub(super) async fn ready(tx: &Tx) -> Result<(), StoreError> {
    let found = migrate::version(tx).await?;
    if found < migrate::newest() {
        return Err(StoreError::Unavailable(format!("the database has schema version {found}: migrate it first")));
    }
    tx.execute("UPDATE readiness SET beat = beat + 1 WHERE sole = 1", &[]).await.map(drop)
}

/// See [`crate::StoreAdmin::registry`].
pub(super) async fn registry(tx: &Tx) -> Result<(u64, RegistryEntries), StoreError> {
    let entries = RegistryEntries {
        tenant: section(tx, "tenant").await?,
        participant: section(tx, "participant").await?,
        endpoint: section(tx, "endpoint").await?,
        channel: section(tx, "channel").await?,
    };
    Ok((version(tx).await?, entries))
}

/// See [`crate::StoreAdmin::import_registry`].
pub(super) async fn import(
    tx: &Tx,
    common: &Common,
    entries: &RegistryEntries,
    event: &AuditEvent,
) -> Result<u64, StoreError> {
    let mut hub = Tenancy::enter(tx, common, &TenantId::hub()).await?;
    put(tx, "tenant", &entries.tenant, |entry| entry.id.as_str()).await?;
    put(tx, "participant", &entries.participant, |entry| entry.id.as_str()).await?;
    put(tx, "endpoint", &entries.endpoint, |entry| entry.id.as_str()).await?;
    put(tx, "channel", &entries.channel, |entry| entry.id.as_str()).await?;
    tx.execute("UPDATE registry_version SET version = version + 1 WHERE sole = 1", &[]).await?;
    hub.append_one(event).await?;
    hub.close().await?;
    version(tx).await
}

async fn version(tx: &Tx) -> Result<u64, StoreError> {
    let row = tx.one("SELECT version FROM registry_version WHERE sole = 1", &[]).await?;
    row.map_or_else(|| Err(StoreError::Corrupt("the registry has no version".to_owned())), |row| row.number(0))
}

async fn section<T: DeserializeOwned>(tx: &Tx, name: &str) -> Result<Vec<T>, StoreError> {
    let rows = tx.query("SELECT entry FROM registry_entries WHERE section = $1 ORDER BY id", &[&name]).await?;
    rows.iter().map(|row| from_json(row.of::<&str>(0)?.as_bytes())).collect()
}

async fn put<T: Serialize>(tx: &Tx, section: &str, entries: &[T], id: fn(&T) -> &str) -> Result<(), StoreError> {
    for entry in entries {
        tx.execute(
            "INSERT INTO registry_entries (section, id, entry) VALUES ($1, $2, $3)
             ON CONFLICT (section, id) DO UPDATE SET entry = excluded.entry",
            &[&section, &id(entry), &to_json_text(entry)?],
        )
        .await?;
    }
    Ok(())
}
