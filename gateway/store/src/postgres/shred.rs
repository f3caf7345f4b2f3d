//! Destroying a subject's data key (消去): what was encrypted under it is nobody's from then on, in every copy made afterwards.

use tokio_postgres::types::ToSql;
use tsunagi_core::audit::AuditEvent;
use tsunagi_core::document::Document;
use tsunagi_core::id::{DeliveryId, ExchangeId, IdentifierSystem, SubjectKey, TenantId};

use super::columns::Columns;
use super::pool::Tx;
use super::tenancy::{Common, Tenancy};
use crate::command::Shredded;
use crate::error::StoreError;
use crate::keys::{Hash, RowPlace, TenantKeys};
use crate::tables::{LeafContent, REFUSED, count, ended, from_json, is_about};

type Names = [(IdentifierSystem, Hash)];

/// See [`crate::Store::shred`]. The server's own log and the pages it has not yet swept hold what was there before.
pub(super) async fn shred(
    tx: &Tx,
    common: &Common,
    tenant: &TenantId,
    key: &SubjectKey,
    event: &AuditEvent,
) -> Result<Shredded, StoreError> {
    let mut tenancy = Tenancy::lock(tx, common, tenant).await?.ok_or(StoreError::NotFound)?;
    tenancy.subject(key).await?.ok_or(StoreError::NotFound)?;
    let mut done = Shredded::default();
    let (of, subject) = (tenant.as_str(), key.as_str());
    let names =
        tx.query("SELECT system, blind FROM identifiers WHERE tenant = $1 AND subject = $2", &[&of, &subject]).await?;
    let names = names.iter().map(|row| Ok((row.word(0)?, row.hash(1)?))).collect::<Result<Vec<_>, StoreError>>()?;
    done.waiting_rows = drop_waiting(tx, tenant, &names).await?;
    done.refused_rows = drop_sources(tx, tenant, &tenancy.keys, &tenancy.keys, &names).await?;
    let hub = TenantId::hub();
    tx.turn_to(hub.as_str()).await?;
    done.refused_rows += drop_sources(tx, &hub, common.hub()?, &tenancy.keys, &names).await?;
    tx.turn_to(of).await?;
    let these: [&(dyn ToSql + Sync); 2] = [&of, &subject];
    done.links = tx.execute("DELETE FROM links WHERE tenant = $1 AND subject = $2", &these).await?;
    done.identifiers = tx.execute("DELETE FROM identifiers WHERE tenant = $1 AND subject = $2", &these).await?;
    done.directives = tx.execute("DELETE FROM directives WHERE tenant = $1 AND subject = $2", &these).await?;
    // What is encrypted goes too, though nobody could read it; and with it the keyed hash of what it was.
    done.versions = tx
        .execute(
            "UPDATE record_versions SET sealed = '', digest = decode(repeat('00', 32), 'hex') WHERE tenant = $1
             AND record IN (SELECT record FROM records WHERE tenant = $1 AND subject = $2)",
            &these,
        )
        .await?;
    tx.execute(
        "UPDATE subjects SET wrapped = '', flags = '', version = version + 1 WHERE tenant = $1 AND subject = $2",
        &these,
    )
    .await?;
    let mut leaves = end_deliveries(&tenancy, key, event).await?;
    done.deliveries = leaves.len() as u64;
    leaves.push(LeafContent::of(event)?);
    let indexes = tenancy.append(&leaves).await?;
    done.leaf = indexes.last().copied().unwrap_or_default();
    tenancy.close().await?;
    Ok(done)
}

/// Rows that wait with an identifier of the subject are refused, and nothing of them is kept.
async fn drop_waiting(tx: &Tx, tenant: &TenantId, names: &Names) -> Result<u64, StoreError> {
    let blinds: Vec<&[u8]> = names.iter().map(|(_, blind)| &blind[..]).collect();
    let of = tenant.as_str();
    tx.execute(
        "UPDATE exchange_rows r SET state = 'refused' FROM waiting_rows w
         WHERE r.tenant = $1 AND w.tenant = $1 AND r.sender = w.sender AND r.exchange = w.exchange
           AND r.number = w.number
           AND w.ordinal IN (SELECT ordinal FROM waiting_identifiers WHERE tenant = $1 AND blind = ANY ($2))",
        &[&of, &blinds],
    )
    .await?;
    let dropped = tx
        .execute(
            "DELETE FROM waiting_rows WHERE tenant = $1
               AND ordinal IN (SELECT ordinal FROM waiting_identifiers WHERE tenant = $1 AND blind = ANY ($2))",
            &[&of, &blinds],
        )
        .await?;
    tx.execute(
        "DELETE FROM waiting_identifiers WHERE tenant = $1
           AND ordinal IN (SELECT ordinal FROM waiting_identifiers WHERE tenant = $1 AND blind = ANY ($2))",
        &[&of, &blinds],
    )
    .await?;
    Ok(dropped)
}

/// Refused rows are kept as they were sent, under the key of whom they are given back to: those that name the subject lose
/// their source.
async fn drop_sources(
    tx: &Tx,
    holder: &TenantId,
    holding: &TenantKeys,
    keys: &TenantKeys,
    names: &Names,
) -> Result<u64, StoreError> {
    let of = holder.as_str();
    let rows = tx
        .query(
            "SELECT sender, exchange, number, sealed FROM exchange_rows
             WHERE state = 'refused' AND tenant = $1 AND sealed IS NOT NULL",
            &[&of],
        )
        .await?;
    let mut dropped = 0;
    for row in rows {
        let (exchange, number): (ExchangeId, u64) = (row.word(1)?, row.number(2)?);
        let place = RowPlace { what: REFUSED, exchange: &exchange, row: number };
        let document: Document = from_json(holding.open_pending(&place, row.of(3)?)?.expose())?;
        if is_about(keys, &document, names)? {
            dropped += tx
                .execute(
                    "UPDATE exchange_rows SET sealed = NULL
                     WHERE tenant = $1 AND sender = $2 AND exchange = $3 AND number = $4",
                    &[&of, &row.of::<&str>(0)?, &exchange.as_str(), &count(number)?],
                )
                .await?;
        }
    }
    Ok(dropped)
}

/// Deliveries that are not settled end, each with a leaf that is written after this.
async fn end_deliveries(
    tenancy: &Tenancy<'_>,
    key: &SubjectKey,
    event: &AuditEvent,
) -> Result<Vec<LeafContent>, StoreError> {
    let of = tenancy.tenant.as_str();
    let found = tenancy
        .tx
        .query(
            "SELECT delivery, exchange, number FROM deliveries
             WHERE tenant = $1 AND subject = $2 AND state IN ('dead', 'held', 'pending') ORDER BY ordinal FOR UPDATE",
            &[&of, &key.as_str()],
        )
        .await?;
    let mut leaves = Vec::with_capacity(found.len());
    for row in found {
        let delivery: DeliveryId = row.word(0)?;
        let leaf = count(tenancy.head.length.size + leaves.len() as u64)?;
        tenancy
            .tx
            .execute(
                "UPDATE deliveries SET state = 'dead', last_outcome = 'shredded', batch = NULL, lease_until = NULL,
                                       leaf = $3
                 WHERE tenant = $1 AND delivery = $2",
                &[&of, &delivery.as_str(), &leaf],
            )
            .await?;
        leaves.push(LeafContent::of(&ended(event, &delivery, &row.word(1)?, row.number(2)?))?);
    }
    Ok(leaves)
}
