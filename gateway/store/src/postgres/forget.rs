//! Takes away what was written about tenants that are none.

use tsunagi_core::audit::AuditEvent;
use tsunagi_core::id::{ParticipantId, TenantId};

use super::admin;
use super::pool::Tx;
use super::tenancy::{Common, Tenancy};
use crate::error::StoreError;

/// What is about people. The key of a tenant stays with its log: the seals of the leaves are made with it, and it opens
/// nothing that is left.
const OF_PEOPLE: [&str; 10] = [
    "deliveries",
    "directives",
    "exchange_rows",
    "identifiers",
    "links",
    "record_versions",
    "records",
    "subjects",
    "waiting_identifiers",
    "waiting_rows",
];

/// See [`crate::StoreAdmin::forget`]. The transaction sees the rows of these senders.
pub(super) async fn forget(
    tx: &Tx,
    common: &Common,
    tenants: &[TenantId],
    senders: &[ParticipantId],
    event: &AuditEvent,
) -> Result<u64, StoreError> {
    let (_, entries) = admin::registry(tx).await?;
    let is_real = |tenant: &TenantId| tenant.is_hub() || entries.tenant.iter().any(|entry| entry.id == *tenant);
    let takes_part = |sender: &ParticipantId| entries.participant.iter().any(|entry| entry.id == *sender);
    if tenants.iter().any(is_real) || senders.iter().any(takes_part) {
        return Err(StoreError::Stale);
    }
    let hub = TenantId::hub();
    let mut log = Tenancy::enter(tx, common, &hub).await?;
    let mut removed = 0;
    for tenant in tenants {
        tx.turn_to(tenant.as_str()).await?;
        for table in OF_PEOPLE {
            removed += tx.execute(&format!("DELETE FROM {table} WHERE tenant = $1"), &[&tenant.as_str()]).await?;
        }
    }
    tx.turn_to(hub.as_str()).await?;
    let senders: Vec<&str> = senders.iter().map(ParticipantId::as_str).collect();
    for table in ["exchange_rows", "exchanges"] {
        removed += tx.execute(&format!("DELETE FROM {table} WHERE sender = ANY ($1)"), &[&senders]).await?;
    }
    log.append_one(event).await?;
    log.close().await?;
    Ok(removed)
}
