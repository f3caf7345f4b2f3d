//! Takes away what was written about tenants that are none.

use tsunagi_core::audit::AuditEvent;
use tsunagi_core::id::{ParticipantId, TenantId};

use super::admin::registry;
use super::session::{Session, Tenancy};
use crate::error::StoreError;
use crate::tables::append_one;

/// What is about people, in the order in which one table leans on the next. The key of a tenant stays with its log: the
/// seals of the leaves are made with it, and it opens nothing that is left.
const OF_PEOPLE: [&str; 10] = [
    "waiting_identifiers",
    "waiting_rows",
    "deliveries",
    "exchange_rows",
    "directives",
    "links",
    "record_versions",
    "records",
    "identifiers",
    "subjects",
];

/// See [`crate::StoreAdmin::forget`].
pub(super) fn forget(
    session: &Session<'_>,
    tenants: &[TenantId],
    senders: &[ParticipantId],
    event: &AuditEvent,
) -> Result<u64, StoreError> {
    let (_, entries) = registry(session)?;
    let is_real = |tenant: &TenantId| tenant.is_hub() || entries.tenant.iter().any(|entry| entry.id == *tenant);
    let takes_part = |sender: &ParticipantId| entries.participant.iter().any(|entry| entry.id == *sender);
    if tenants.iter().any(is_real) || senders.iter().any(takes_part) {
        return Err(StoreError::Stale);
    }
    let mut removed = 0;
    for tenant in tenants {
        if let Some(tenancy) = session.known(tenant)? {
            tell_readers(&tenancy)?;
        }
        for table in OF_PEOPLE {
            let delete = format!("DELETE FROM {table} WHERE tenant = ?1");
            removed += session.conn.prepare_cached(&delete)?.execute([tenant.as_str()])?;
        }
    }
    for sender in senders {
        for delete in [
            "DELETE FROM exchange_rows WHERE exchange IN (SELECT exchange FROM exchanges WHERE sender = ?1)",
            "DELETE FROM exchanges WHERE sender = ?1",
        ] {
            removed += session.conn.prepare_cached(delete)?.execute([sender.as_str()])?;
        }
    }
    append_one(&session.enter(&TenantId::hub())?, event)?;
    Ok(removed as u64)
}

/// Whatever a lookup of this tenant starts from is changed.
fn tell_readers(tenancy: &Tenancy<'_>) -> Result<(), StoreError> {
    for select in [
        "SELECT blind FROM identifiers WHERE tenant = ?1",
        "SELECT sign_in FROM links WHERE tenant = ?1",
        "SELECT CAST(record AS BLOB) FROM records WHERE tenant = ?1",
        "SELECT CAST(subject AS BLOB) FROM subjects WHERE tenant = ?1",
    ] {
        let mut select = tenancy.conn.prepare_cached(select)?;
        let mut rows = select.query([tenancy.tenant.as_str()])?;
        while let Some(row) = rows.next()? {
            tenancy.changes(&row.get::<_, Vec<u8>>(0)?);
        }
    }
    Ok(())
}
