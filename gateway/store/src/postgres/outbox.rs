//! Deliveries.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use tokio_postgres::Row;
use tsunagi_core::audit::AuditEvent;
use tsunagi_core::exchange::{DeliveryState, DeliveryView};
use tsunagi_core::id::{BatchId, DeliveryId, ExchangeId, SubjectKey, TenantId};

use super::columns::Columns;
use super::directives;
use super::held::read_record;
use super::pool::Tx;
use super::tenancy::{Common, Tenancy, read_subject};
use crate::command::{ClaimRequest, Claimed, DeliveryFilter, SettledState, Settlement};
use crate::error::StoreError;
use crate::tables::{LeafContent, SealedDirective, StateWord, count, limit, nanos, open_directives};

/// The columns of a [`DeliveryView`].
macro_rules! view {
    ($rest:literal) => {
        concat!(
            "SELECT tenant, delivery, channel, record, version, exchange, number, state, attempts, next_at, last_outcome, leaf ",
            "FROM deliveries ",
            $rest
        )
    };
}

/// Leases what is due; the answer is read afterwards, by [`claimed`].
///
/// Rows that another node is just claiming are locked and skipped. What is behind such a row may look free, because the
/// other node has not committed yet: so a row is leased only if everything unsettled before it in its line is leased by
/// this very statement.
pub(super) async fn claim(tx: &Tx, tenant: &TenantId, claim: &ClaimRequest) -> Result<(), StoreError> {
    let (until, now) = (nanos(claim.lease_until), nanos(claim.now));
    // The same claim again, because its answer was lost: it has what it has got already.
    let repeated = tx
        .execute(
            "UPDATE deliveries SET lease_until = $3
             WHERE tenant = $1 AND batch = $2 AND batch IS NOT NULL AND state = 'pending'",
            &[&tenant.as_str(), &claim.batch.as_str(), &until],
        )
        .await?;
    if repeated > 0 {
        return Ok(());
    }
    let mut due: BTreeMap<i64, String> = BTreeMap::new();
    for channel in claim.channels.iter().collect::<BTreeSet<_>>() {
        let rows = tx
            .query(
                "SELECT d.ordinal, d.delivery FROM deliveries d
                 WHERE d.tenant = $1 AND d.channel = $2 AND d.state = 'pending' AND d.next_at <= $3
                   AND (d.lease_until IS NULL OR d.lease_until <= $3)
                   AND NOT EXISTS (
                       SELECT 1 FROM deliveries e
                       WHERE e.tenant = $1 AND e.subject = d.subject AND e.channel = d.channel AND e.place < d.place
                         AND e.state IN ('dead', 'held', 'pending')
                         AND (e.state <> 'pending' OR e.next_at > $3 OR e.lease_until > $3))
                 ORDER BY d.ordinal LIMIT $4 FOR UPDATE OF d SKIP LOCKED",
                &[&tenant.as_str(), &channel.as_str(), &now, &limit(claim.limit)],
            )
            .await?;
        for row in rows {
            due.insert(row.of(0)?, row.of(1)?);
        }
    }
    let oldest: Vec<String> = due.into_values().take(claim.limit).collect();
    tx.execute(
        "UPDATE deliveries d SET batch = $3, lease_until = $4, attempts = d.attempts + 1
         WHERE d.tenant = $1 AND d.delivery = ANY ($2)
           AND NOT EXISTS (
               SELECT 1 FROM deliveries e
               WHERE e.tenant = $1 AND e.subject = d.subject AND e.channel = d.channel AND e.place < d.place
                 AND e.state IN ('dead', 'held', 'pending') AND e.delivery <> ALL ($2))",
        &[&tenant.as_str(), &oldest, &claim.batch.as_str(), &until],
    )
    .await?;
    Ok(())
}

/// What is leased under a batch, with all that a decision rests on.
pub(super) async fn claimed(
    tx: &Tx,
    common: &Common,
    tenant: &TenantId,
    batch: &BatchId,
) -> Result<Vec<Claimed>, StoreError> {
    let Some(keys) = common.keys(tx, tenant).await? else { return Ok(Vec::new()) };
    let rows = tx
        .query(
            "SELECT d.tenant, d.delivery, d.channel, d.record, d.version, d.exchange, d.number, d.state, d.attempts,
                    d.next_at, d.last_outcome, d.leaf, v.record, v.version, v.recorded_at, v.sender, v.sealed,
                    d.subject
             FROM deliveries d
             JOIN record_versions v ON v.tenant = d.tenant AND v.record = d.record AND v.version = d.version
             WHERE d.tenant = $1 AND v.tenant = $1 AND d.batch = $2 AND d.batch IS NOT NULL AND d.state = 'pending'
             ORDER BY d.ordinal",
            &[&tenant.as_str(), &batch.as_str()],
        )
        .await?;
    let names = rows.iter().map(|row| row.of::<&str>(17)).collect::<Result<BTreeSet<_>, _>>()?;
    let names: Vec<&str> = names.into_iter().collect();
    let subjects = tx
        .query(
            "SELECT subject, version, wrapped, flags FROM subjects WHERE tenant = $1 AND subject = ANY ($2)",
            &[&tenant.as_str(), &names],
        )
        .await?;
    let mut people = HashMap::new();
    for row in &subjects {
        if let Some(subject) = read_subject(common, &keys, row)? {
            people.insert(subject.key.clone(), subject);
        }
    }
    let mut stated: HashMap<SubjectKey, Vec<SealedDirective>> = HashMap::new();
    for (key, directive) in directives::of_subjects(tx, tenant, &names, common.past()).await? {
        stated.entry(key).or_default().push(directive);
    }
    let mut all = Vec::with_capacity(rows.len());
    for row in &rows {
        let subject = people
            .get(&row.word::<SubjectKey>(17)?)
            .ok_or_else(|| StoreError::Corrupt("a delivery names no subject".to_owned()))?;
        let directives = stated.get(&subject.key).map_or(&[][..], Vec::as_slice);
        all.push(Claimed {
            delivery: view(row)?,
            record: read_record(row, 12)?.open(tenant, subject)?,
            subject_version: subject.version,
            non_disclosure: subject.non_disclosure(),
            directives: open_directives(tenant, subject, directives)?,
        });
    }
    Ok(all)
}

/// See [`crate::Outbox::settle`].
pub(super) async fn settle(
    tx: &Tx,
    common: &Common,
    tenant: &TenantId,
    batch: &BatchId,
    settlements: &[Settlement],
) -> Result<usize, StoreError> {
    let Some(mut tenancy) = Tenancy::lock(tx, common, tenant).await? else { return Ok(0) };
    let mut leaves = Vec::new();
    for settlement in settlements {
        let (state, next_at, untried) = match settlement.state {
            SettledState::Ended(state) => (state, None, 0_i64),
            SettledState::Released => (DeliveryState::Pending, None, 1),
            SettledState::RetryAt(at) => (DeliveryState::Pending, Some(nanos(at)), 0),
        };
        let leaf = count(tenancy.head.length.size + leaves.len() as u64)?;
        let changed = tx
            .execute(
                "UPDATE deliveries SET state = $4, next_at = coalesce($5, next_at), last_outcome = $6,
                                       attempts = attempts - $7, leaf = $8, batch = NULL, lease_until = NULL
                 WHERE tenant = $1 AND delivery = $2 AND batch = $3 AND state = 'pending'",
                &[
                    &tenant.as_str(),
                    &settlement.delivery.as_str(),
                    &batch.as_str(),
                    &state.as_str(),
                    &next_at,
                    &settlement.outcome,
                    &untried,
                    &leaf,
                ],
            )
            .await?;
        if changed > 0 {
            leaves.push(LeafContent::of(&settlement.event)?);
        }
    }
    if !leaves.is_empty() {
        tenancy.append(&leaves).await?;
    }
    tenancy.close().await?;
    Ok(leaves.len())
}

/// See [`crate::Outbox::redrive`].
pub(super) async fn redrive(
    tx: &Tx,
    common: &Common,
    tenant: &TenantId,
    id: &DeliveryId,
    (now, event): (Timestamp, &AuditEvent),
) -> Result<(), StoreError> {
    let mut tenancy = Tenancy::lock(tx, common, tenant).await?.ok_or(StoreError::NotFound)?;
    let changed = tx
        .execute(
            "UPDATE deliveries SET state = 'pending', attempts = 0, next_at = $3, batch = NULL, lease_until = NULL
             WHERE tenant = $1 AND delivery = $2 AND state IN ('dead', 'held')
               AND EXISTS (SELECT 1 FROM subjects s WHERE s.tenant = $1 AND s.subject = deliveries.subject
                           AND length(s.wrapped) > 0)",
            &[&tenant.as_str(), &id.as_str(), &nanos(now)],
        )
        .await?;
    if changed == 0 {
        return Err(StoreError::NotFound);
    }
    tenancy.append_one(event).await?;
    tenancy.close().await
}

/// See [`crate::Outbox::batch`].
pub(super) async fn of_batch(tx: &Tx, tenant: &TenantId, batch: &BatchId) -> Result<Vec<DeliveryView>, StoreError> {
    let sql = view!("WHERE tenant = $1 AND batch = $2 AND batch IS NOT NULL AND state = 'pending' ORDER BY ordinal");
    tx.query(sql, &[&tenant.as_str(), &batch.as_str()]).await?.iter().map(view).collect()
}

/// See [`crate::Outbox::deliveries`].
pub(super) async fn list(tx: &Tx, tenant: &TenantId, filter: &DeliveryFilter) -> Result<Vec<DeliveryView>, StoreError> {
    let most = limit(filter.limit);
    let found = match filter.state {
        Some(state) => {
            let sql = view!("WHERE tenant = $1 AND state = $2 ORDER BY ordinal DESC LIMIT $3");
            tx.query(sql, &[&tenant.as_str(), &state.as_str(), &most]).await?
        }
        None => {
            let sql = view!("WHERE tenant = $1 ORDER BY ordinal DESC LIMIT $2");
            tx.query(sql, &[&tenant.as_str(), &most]).await?
        }
    };
    found.iter().map(view).collect()
}

/// See [`crate::Outbox::delivery`].
pub(super) async fn one(tx: &Tx, tenant: &TenantId, id: &DeliveryId) -> Result<Option<DeliveryView>, StoreError> {
    let found = tx.one(view!("WHERE tenant = $1 AND delivery = $2"), &[&tenant.as_str(), &id.as_str()]).await?;
    found.as_ref().map(view).transpose()
}

/// The deliveries of some rows of an exchange in the transaction's tenant, in order.
pub(super) async fn of_rows(
    tx: &Tx,
    tenant: &TenantId,
    id: &ExchangeId,
    (after, last): (u64, u64),
) -> Result<Vec<DeliveryView>, StoreError> {
    let sql = view!("WHERE tenant = $1 AND exchange = $2 AND number > $3 AND number <= $4 ORDER BY number, ordinal");
    let found = tx.query(sql, &[&tenant.as_str(), &id.as_str(), &count(after)?, &count(last)?]).await?;
    found.iter().map(view).collect()
}

fn view(row: &Row) -> Result<DeliveryView, StoreError> {
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
        last_outcome: row.of(10)?,
        leaf: row.of::<Option<i64>>(11)?.and_then(|leaf| u64::try_from(leaf).ok()),
    })
}
