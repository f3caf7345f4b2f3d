//! Deliveries.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row};
use tsunagi_core::audit::AuditEvent;
use tsunagi_core::exchange::{DeliveryState, DeliveryView};
use tsunagi_core::id::{BatchId, DeliveryId, ExchangeId, SubjectKey, TenantId};

use super::convert::{Columns, count, limit, nanos};
use super::records::read_record;
use super::session::{Session, Tenancy};
use crate::command::{ClaimRequest, Claimed, DeliveryFilter, SettledState, Settlement};
use crate::error::StoreError;
use crate::tables::{Leaves, StateWord, Tables, append_one, open_directives};

/// Leases what is due; the answer is read afterwards, by [`claimed`].
pub(super) fn claim(session: &Session<'_>, tenant: &TenantId, claim: &ClaimRequest) -> Result<(), StoreError> {
    // The same claim again, because its answer was lost: it has what it has got already.
    let repeated = session
        .conn
        .prepare_cached(
            "UPDATE deliveries INDEXED BY deliveries_by_batch SET lease_until = ?3
             WHERE tenant = ?1 AND batch = ?2 AND batch IS NOT NULL AND state = 'pending'",
        )?
        .execute((tenant.as_str(), claim.batch.as_str(), nanos(claim.lease_until)))?;
    if repeated > 0 {
        return Ok(());
    }
    let mut ordinals = due(session, tenant, claim)?;
    ordinals.sort_unstable();
    ordinals.dedup();
    let mut lease = session.conn.prepare_cached(
        "UPDATE deliveries SET batch = ?2, lease_until = ?3, attempts = attempts + 1 WHERE ordinal = ?1",
    )?;
    for ordinal in ordinals.iter().take(claim.limit) {
        lease.execute((ordinal, claim.batch.as_str(), nanos(claim.lease_until)))?;
    }
    Ok(())
}

/// A delivery can be claimed if nothing before it in its subject's line is unsettled and cannot be claimed itself. As
/// the oldest are taken first, those before it that can be claimed are in the same batch.
fn due(session: &Session<'_>, tenant: &TenantId, claim: &ClaimRequest) -> Result<Vec<i64>, StoreError> {
    let mut select = session.conn.prepare_cached(
        "SELECT d.ordinal FROM deliveries d INDEXED BY deliveries_due
         WHERE d.tenant = ?1 AND d.channel = ?2 AND d.state = 'pending' AND d.next_at <= ?3
           AND (d.lease_until IS NULL OR d.lease_until <= ?3)
           AND NOT EXISTS (
               SELECT 1 FROM deliveries e INDEXED BY deliveries_unsettled
               WHERE e.tenant = d.tenant AND e.subject = d.subject AND e.channel = d.channel AND e.place < d.place
                 AND e.state IN ('dead', 'held', 'pending')
                 AND (e.state <> 'pending' OR e.next_at > ?3 OR e.lease_until > ?3))
         ORDER BY d.ordinal LIMIT ?4",
    )?;
    let mut ordinals = Vec::new();
    for channel in &claim.channels {
        let found = select
            .query_map((tenant.as_str(), channel.as_str(), nanos(claim.now), limit(claim.limit)), |row| {
                row.get::<_, i64>(0)
            })?;
        for ordinal in found {
            ordinals.push(ordinal?);
        }
    }
    Ok(ordinals)
}

/// What is leased under a batch, with all that a decision rests on.
pub(super) fn claimed(session: &Session<'_>, tenant: &TenantId, batch: &BatchId) -> Result<Vec<Claimed>, StoreError> {
    let Some(tenancy) = session.known(tenant)? else { return Ok(Vec::new()) };
    let mut select = session.conn.prepare_cached(
        "SELECT v.record, v.version, v.recorded_at, v.sender, v.sealed, d.subject FROM deliveries d
         CROSS JOIN record_versions v ON v.tenant = d.tenant AND v.record = d.record AND v.version = d.version
         WHERE d.tenant = ?1 AND d.delivery = ?2",
    )?;
    let mut all = Vec::new();
    for delivery in of_batch(session, tenant, batch)? {
        let mut rows = select.query((tenant.as_str(), delivery.id.as_str()))?;
        let Some(row) = rows.next()? else { continue };
        all.push(with_record(&tenancy, delivery, row)?);
    }
    Ok(all)
}

fn with_record(tenancy: &Tenancy<'_>, delivery: DeliveryView, row: &Row<'_>) -> Result<Claimed, StoreError> {
    let key: SubjectKey = row.word(5)?;
    let subject =
        tenancy.subject(&key)?.ok_or_else(|| StoreError::Corrupt("a delivery names no subject".to_owned()))?;
    Ok(Claimed {
        delivery,
        record: read_record(row)?.open(&tenancy.tenant, &subject)?,
        subject_version: subject.version,
        non_disclosure: subject.non_disclosure(),
        directives: open_directives(&tenancy.tenant, &subject, &tenancy.directives(&subject)?)?,
    })
}

/// See [`crate::Outbox::settle`].
pub(super) fn settle(
    session: &Session<'_>,
    tenant: &TenantId,
    batch: &BatchId,
    settlements: &[Settlement],
) -> Result<usize, StoreError> {
    let Some(tenancy) = session.known(tenant)? else { return Ok(0) };
    let mut leaves = Leaves::open(&tenancy)?;
    let mut settled = 0;
    let mut update = session.conn.prepare_cached(
        "UPDATE deliveries SET state = ?4, next_at = coalesce(?5, next_at), last_outcome = ?6, attempts = attempts - ?7,
                               leaf = ?8, batch = NULL, lease_until = NULL
         WHERE tenant = ?1 AND delivery = ?2 AND batch = ?3 AND state = 'pending'",
    )?;
    for settlement in settlements {
        let (state, next_at, untried) = match settlement.state {
            SettledState::Ended(state) => (state, None, 0),
            SettledState::Released => (DeliveryState::Pending, None, 1),
            SettledState::RetryAt(at) => (DeliveryState::Pending, Some(nanos(at)), 0),
        };
        let changed = update.execute((
            tenant.as_str(),
            settlement.delivery.as_str(),
            batch.as_str(),
            state.as_str(),
            next_at,
            &settlement.outcome,
            untried,
            count(leaves.next())?,
        ))?;
        if changed > 0 {
            leaves.append(&settlement.event)?;
            settled += 1;
        }
    }
    leaves.close();
    Ok(settled)
}

/// See [`crate::Outbox::redrive`].
pub(super) fn redrive(
    session: &Session<'_>,
    tenant: &TenantId,
    id: &DeliveryId,
    now: Timestamp,
    event: &AuditEvent,
) -> Result<(), StoreError> {
    let tenancy = session.known(tenant)?.ok_or(StoreError::NotFound)?;
    let changed = session
        .conn
        .prepare_cached(
            "UPDATE deliveries SET state = 'pending', attempts = 0, next_at = ?3, batch = NULL, lease_until = NULL
             WHERE tenant = ?1 AND delivery = ?2 AND state IN ('dead', 'held')
               AND EXISTS (SELECT 1 FROM subjects s WHERE s.tenant = deliveries.tenant
                           AND s.subject = deliveries.subject AND length(s.wrapped) > 0)",
        )?
        .execute((tenant.as_str(), id.as_str(), nanos(now)))?;
    if changed == 0 {
        return Err(StoreError::NotFound);
    }
    append_one(&tenancy, event).map(drop)
}

/// See [`crate::Outbox::batch`].
pub(super) fn of_batch(
    session: &Session<'_>,
    tenant: &TenantId,
    batch: &BatchId,
) -> Result<Vec<DeliveryView>, StoreError> {
    let mut select = session.conn.prepare_cached(concat!(
        "SELECT tenant, delivery, channel, record, version, exchange, row, state, attempts, next_at, last_outcome, leaf ",
        "FROM deliveries INDEXED BY deliveries_by_batch ",
        "WHERE tenant = ?1 AND batch = ?2 AND batch IS NOT NULL AND state = 'pending' ORDER BY ordinal",
    ))?;
    let found = select.query_map((tenant.as_str(), batch.as_str()), view)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// See [`crate::Outbox::deliveries`].
pub(super) fn list(
    session: &Session<'_>,
    tenant: &TenantId,
    filter: &DeliveryFilter,
) -> Result<Vec<DeliveryView>, StoreError> {
    let columns =
        "tenant, delivery, channel, record, version, exchange, row, state, attempts, next_at, last_outcome, leaf";
    let found = match filter.state {
        Some(state) => session
            .conn
            .prepare_cached(&format!(
                "SELECT {columns} FROM deliveries WHERE tenant = ?1 AND state = ?2 ORDER BY ordinal DESC LIMIT ?3"
            ))?
            .query_map((tenant.as_str(), state.as_str(), limit(filter.limit)), view)?
            .collect::<Result<_, _>>()?,
        None => session
            .conn
            .prepare_cached(&format!(
                "SELECT {columns} FROM deliveries WHERE tenant = ?1 ORDER BY ordinal DESC LIMIT ?2"
            ))?
            .query_map((tenant.as_str(), limit(filter.limit)), view)?
            .collect::<Result<_, _>>()?,
    };
    Ok(found)
}

/// See [`crate::Outbox::delivery`].
pub(super) fn one(
    session: &Session<'_>,
    tenant: &TenantId,
    id: &DeliveryId,
) -> Result<Option<DeliveryView>, StoreError> {
    let mut select = session.conn.prepare_cached(concat!(
        "SELECT tenant, delivery, channel, record, version, exchange, row, state, attempts, next_at, last_outcome, leaf ",
        "FROM deliveries WHERE tenant = ?1 AND delivery = ?2",
    ))?;
    Ok(select.query_row((tenant.as_str(), id.as_str()), view).optional()?)
}

/// The deliveries of the rows of an exchange after one and up to another, in order. They may be of several tenants: it is their sender's
/// own receipt.
pub(super) fn of_rows(
    session: &Session<'_>,
    id: &ExchangeId,
    after: u64,
    last: u64,
) -> Result<Vec<DeliveryView>, StoreError> {
    let mut select = session.conn.prepare_cached(concat!(
        "SELECT tenant, delivery, channel, record, version, exchange, row, state, attempts, next_at, last_outcome, leaf ",
        "FROM deliveries WHERE exchange = ?1 AND row > ?2 AND row <= ?3 ORDER BY row, ordinal",
    ))?;
    let found = select.query_map((id.as_str(), count(after)?, count(last)?), view)?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn view(row: &Row<'_>) -> rusqlite::Result<DeliveryView> {
    Ok(DeliveryView {
        tenant: row.word(0)?,
        id: row.word(1)?,
        channel: row.word(2)?,
        record: row.word(3)?,
        version: row.number(4)?,
        exchange: row.word(5)?,
        row: row.number(6)?,
        state: row.word::<StateWord>(7)?.0,
        attempts: row.number(8)?,
        next_at: row.time(9)?,
        last_outcome: row.get(10)?,
        leaf: row.get::<_, Option<i64>>(11)?.and_then(|leaf| u64::try_from(leaf).ok()),
    })
}
