//! Which leaves tell of whom: see [`crate::tables::Segment`].

use tokio_postgres::Row;
use tsunagi_core::id::TenantId;

use super::columns::Columns;
use super::pool::Tx;
use super::tenancy::Common;
use crate::command::{Leaf, LeafPage, LeavesOf};
use crate::error::StoreError;
use crate::tables::{LOOKED_THROUGH, SEGMENT, Segment, Trail, count, limit};

/// See [`crate::AuditLog::index_leaves`]. Two nodes that do it at once write the same.
pub(super) async fn index(tx: &Tx, common: &Common, tenant: &TenantId) -> Result<bool, StoreError> {
    let Some(keys) = common.keys(tx, tenant).await? else { return Ok(false) };
    let number = segments(tx, tenant).await?;
    let newest = tx.one("SELECT max(size) FROM checkpoints WHERE tenant = $1", &[&tenant.as_str()]).await?;
    let newest: Option<i64> = newest.map(|row| row.of(0)).transpose()?.flatten();
    let (from, end) = (count(number * SEGMENT)?, count((number + 1) * SEGMENT)?);
    if newest.unwrap_or(0) < end {
        return Ok(false);
    }
    let leaves = tx
        .query(
            "SELECT idx - $2, bytes FROM audit_leaves WHERE tenant = $1 AND idx >= $2 AND idx < $3 ORDER BY idx",
            &[&tenant.as_str(), &from, &end],
        )
        .await?;
    let mut segment = Segment::default();
    for leaf in &leaves {
        segment.add(&keys, leaf.number(0)?, leaf.of(1)?);
    }
    let buckets = segment.into_buckets();
    let numbers: Vec<i64> = (0i64..).take(buckets.len()).collect();
    tx.execute(
        "INSERT INTO audit_trails (tenant, bucket, segment, entries)
         SELECT $1, bucket, $2, entries FROM unnest($3::bigint[], $4::bytea[]) AS made (bucket, entries)
         ON CONFLICT DO NOTHING",
        &[&tenant.as_str(), &count(number)?, &numbers, &buckets],
    )
    .await?;
    Ok(true)
}

/// See [`crate::AuditLog::leaves_of`].
pub(super) async fn leaves_of(
    tx: &Tx,
    common: &Common,
    tenant: &TenantId,
    of: &LeavesOf,
    (below, most): (u64, usize),
) -> Result<LeafPage, StoreError> {
    let mut page = LeafPage { leaves: Vec::new(), next: None };
    let Some(keys) = common.keys(tx, tenant).await? else { return Ok(page) };
    let Some(trail) = Trail::of(&keys, of) else { return whole(tx, tenant, below, most).await };
    let indexed = segments(tx, tenant).await? * SEGMENT;
    let last = tx.one("SELECT max(idx) + 1 FROM audit_leaves WHERE tenant = $1", &[&tenant.as_str()]).await?;
    let last: Option<i64> = last.map(|row| row.of(0)).transpose()?.flatten();
    let mut end = below.min(last.and_then(|last| u64::try_from(last).ok()).unwrap_or(0));
    if indexed < end {
        let from = indexed.max(end.saturating_sub(LOOKED_THROUGH));
        let found = tx
            .query(
                "SELECT idx, bytes, hash FROM audit_leaves
                 WHERE tenant = $1 AND idx < $2 AND idx >= $3 AND position($4::bytea IN bytes) > 0
                 ORDER BY idx DESC LIMIT $5",
                &[&tenant.as_str(), &count(end)?, &count(from)?, &trail.told(), &limit(most)],
            )
            .await?;
        page.leaves = found.iter().map(leaf).collect::<Result<_, _>>()?;
        end = page.leaves.last().filter(|_| page.leaves.len() >= most).map_or(from, |last| last.index);
        if page.leaves.len() >= most || indexed < from {
            page.next = Some(end).filter(|end| *end > 0);
            return Ok(page);
        }
    }
    let Some(newest) = end.checked_sub(1) else { return Ok(page) };
    let found = tx
        .query(
            "SELECT segment, entries FROM audit_trails WHERE tenant = $1 AND bucket = $2 AND segment <= $3
             ORDER BY segment DESC",
            &[&tenant.as_str(), &trail.bucket(), &count(newest / SEGMENT)?],
        )
        .await?;
    for row in &found {
        let first = row.number::<u64>(0)? * SEGMENT;
        for place in trail.places(row.of(1)?).into_iter().rev() {
            let index = first + u64::from(place);
            if index >= end {
                continue;
            }
            if page.leaves.len() >= most {
                page.next = page.leaves.last().map(|last| last.index);
                return Ok(page);
            }
            let found = tx
                .one(
                    "SELECT idx, bytes, hash FROM audit_leaves WHERE tenant = $1 AND idx = $2",
                    &[&tenant.as_str(), &count(index)?],
                )
                .await?;
            let found = found.as_ref().map(leaf).transpose()?;
            page.leaves.extend(found.filter(|leaf| trail.leads_to(leaf)));
        }
    }
    Ok(page)
}

/// All leaves below an index, newest first.
async fn whole(tx: &Tx, tenant: &TenantId, below: u64, most: usize) -> Result<LeafPage, StoreError> {
    let found = tx
        .query(
            "SELECT idx, bytes, hash FROM audit_leaves WHERE tenant = $1 AND idx < $2 ORDER BY idx DESC LIMIT $3",
            &[&tenant.as_str(), &count(below.min(i64::MAX.cast_unsigned()))?, &limit(most)],
        )
        .await?;
    Ok(LeafPage::filled(found.iter().map(leaf).collect::<Result<_, _>>()?, most))
}

/// How many segments are indexed.
async fn segments(tx: &Tx, tenant: &TenantId) -> Result<u64, StoreError> {
    let last =
        tx.one("SELECT max(segment) FROM audit_trails WHERE tenant = $1 AND bucket = 0", &[&tenant.as_str()]).await?;
    let last: Option<i64> = last.map(|row| row.of(0)).transpose()?.flatten();
    Ok(last.and_then(|last| u64::try_from(last).ok()).map_or(0, |last| last + 1))
}

fn leaf(row: &Row) -> Result<Leaf, StoreError> {
    Ok(Leaf { index: row.number(0)?, bytes: row.of(1)?, hash: row.hash(2)? })
}
