//! The audit log: what is sealed of it, and what there is to read.

use std::collections::{BTreeMap, VecDeque};

use tokio_postgres::Row;
use tsunagi_core::id::TenantId;
use tsunagi_core::merkle::{TILE, Tile};

use super::columns::Columns;
use super::pool::Tx;
use super::tenancy::{Common, Tenancy};
use crate::command::{Checkpoint, KeptSubtree, Leaf, Unsealed, VerifyFault};
use crate::error::StoreError;
use crate::keys::Hash;
use crate::tables::{Found, Length, PAGE, Said, Seal, Stranger, count, edge, fits, limit, nanos};

/// See [`crate::AuditLog::unsealed`].
pub(super) async fn unsealed(tx: &Tx, tenant: &TenantId, most: usize) -> Result<Unsealed, StoreError> {
    let newest = tx
        .one("SELECT size, frontier FROM checkpoints WHERE tenant = $1 ORDER BY size DESC LIMIT 1", &[&tenant.as_str()])
        .await?;
    let (sealed, frontier) = match &newest {
        Some(row) => (row.number(0)?, edge(row.of(1)?)?),
        None => (0, Vec::new()),
    };
    let rows = tx
        .query(
            "SELECT hash FROM audit_leaves WHERE tenant = $1 AND idx >= $2 ORDER BY idx LIMIT $3",
            &[&tenant.as_str(), &count(sealed)?, &limit(most)],
        )
        .await?;
    let leaves = rows.iter().map(|row| row.hash(0)).collect::<Result<_, _>>()?;
    let last =
        tx.one("SELECT max(idx) FROM audit_subtrees WHERE tenant = $1 AND level = 1", &[&tenant.as_str()]).await?;
    let last: Option<i64> = last.map(|row| row.of(0)).transpose()?.flatten();
    let subtrees = last.and_then(|last| u64::try_from(last).ok()).map_or(0, |last| last + 1);
    Ok(Unsealed { sealed, frontier, leaves, subtrees })
}

/// See [`crate::AuditLog::append_seal`]. The head is locked: of two nodes that seal at once one comes second, and what
/// it would add is there already.
pub(super) async fn append_seal(
    tx: &Tx,
    common: &Common,
    tenant: &TenantId,
    seal: &Checkpoint,
) -> Result<(), StoreError> {
    fits(seal)?;
    let mut tenancy = Tenancy::lock(tx, common, tenant).await?.ok_or(StoreError::Stale)?;
    let length = tenancy.head.length;
    let newest = tx.one("SELECT max(size) FROM checkpoints WHERE tenant = $1", &[&tenant.as_str()]).await?;
    let newest: Option<i64> = newest.map(|row| row.of(0)).transpose()?.flatten();
    if newest.unwrap_or(0) != count(length.sealed)? {
        return Err(StoreError::Corrupt("the newest checkpoint is not the one that was written last".to_owned()));
    }
    if length.sealed >= seal.size || length.size < seal.size {
        return Err(StoreError::Stale);
    }
    tx.execute(
        "INSERT INTO checkpoints (tenant, size, root, frontier, note, sealed_at) VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            &tenant.as_str(),
            &count(seal.size)?,
            &&seal.root[..],
            &seal.frontier.concat(),
            &seal.note,
            &nanos(seal.sealed_at),
        ],
    )
    .await?;
    tenancy.head.length = Length { sealed: seal.size, ..length };
    tenancy.close().await
}

/// See [`crate::AuditLog::audit_page`].
pub(super) async fn page(tx: &Tx, tenant: &TenantId, from: u64, most: usize) -> Result<Vec<Leaf>, StoreError> {
    let rows = tx
        .query(
            "SELECT idx, bytes, hash FROM audit_leaves WHERE tenant = $1 AND idx >= $2 ORDER BY idx LIMIT $3",
            &[&tenant.as_str(), &count(from)?, &limit(most)],
        )
        .await?;
    let leaf = |row: &Row| Ok(Leaf { index: row.number(0)?, bytes: row.of(1)?, hash: row.hash(2)? });
    rows.iter().map(leaf).collect()
}

/// See [`crate::AuditLog::checkpoints`].
pub(super) async fn checkpoints(tx: &Tx, tenant: &TenantId) -> Result<Vec<Checkpoint>, StoreError> {
    let rows = tx
        .query(
            "SELECT size, root, frontier, note, sealed_at FROM checkpoints WHERE tenant = $1 ORDER BY size",
            &[&tenant.as_str()],
        )
        .await?;
    rows.iter().map(checkpoint).collect()
}

/// See [`crate::AuditLog::newest_checkpoint`].
pub(super) async fn newest_checkpoint(tx: &Tx, tenant: &TenantId) -> Result<Option<Checkpoint>, StoreError> {
    let row = tx
        .one(
            "SELECT size, root, frontier, note, sealed_at FROM checkpoints WHERE tenant = $1 ORDER BY size DESC LIMIT 1",
            &[&tenant.as_str()],
        )
        .await?;
    row.as_ref().map(checkpoint).transpose()
}

fn checkpoint(row: &Row) -> Result<Checkpoint, StoreError> {
    Ok(Checkpoint {
        size: row.number(0)?,
        root: row.hash(1)?,
        frontier: edge(row.of(2)?)?,
        note: row.of(3)?,
        sealed_at: row.time(4)?,
    })
}

/// See [`crate::AuditLog::keep_subtrees`]. Two nodes that seal at once keep the same; in one order, so that neither waits
/// for the other.
pub(super) async fn keep_subtrees(tx: &Tx, tenant: &TenantId, subtrees: &[KeptSubtree]) -> Result<(), StoreError> {
    let kept: BTreeMap<(u32, u64), Hash> =
        subtrees.iter().map(|subtree| ((subtree.level, subtree.index), subtree.root)).collect();
    let levels: Vec<i64> = kept.keys().map(|(level, _)| i64::from(*level)).collect();
    let places = kept.keys().map(|(_, index)| count(*index)).collect::<Result<Vec<_>, _>>()?;
    let roots: Vec<&[u8]> = kept.values().map(|root| &root[..]).collect();
    tx.execute(
        "INSERT INTO audit_subtrees (tenant, level, idx, root)
         SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bytea[])
         ON CONFLICT (tenant, level, idx) DO UPDATE SET root = excluded.root",
        &[&tenant.as_str(), &levels, &places, &roots],
    )
    .await
    .map(drop)
}

/// See [`crate::AuditLog::tile`].
pub(super) async fn tile(tx: &Tx, tenant: &TenantId, tile: Tile) -> Result<Vec<Hash>, StoreError> {
    let from = tile.index.saturating_mul(TILE);
    let (from, end) = (count(from)?, count(from.saturating_add(TILE))?);
    let rows = match i64::from(tile.level) {
        0 => {
            let sql = "SELECT hash FROM audit_leaves WHERE tenant = $1 AND idx >= $2 AND idx < $3 ORDER BY idx";
            tx.query(sql, &[&tenant.as_str(), &from, &end]).await?
        }
        level => {
            tx.query(
                "SELECT root FROM audit_subtrees WHERE tenant = $1 AND level = $2 AND idx >= $3 AND idx < $4
                 ORDER BY idx",
                &[&tenant.as_str(), &level, &from, &end],
            )
            .await?
        }
    };
    rows.iter().map(|row| row.hash(0)).collect()
}

/// See [`crate::StoreAdmin::logs`].
pub(super) async fn logs(tx: &Tx) -> Result<Vec<TenantId>, StoreError> {
    let rows = tx
        .query(
            "SELECT tenant FROM tenant_keys UNION SELECT tenant FROM audit_lengths UNION SELECT tenant FROM audit_leaves
             UNION SELECT tenant FROM checkpoints ORDER BY tenant",
            &[],
        )
        .await?;
    rows.iter().map(|row| row.word(0)).collect()
}

/// What the log is said to be.
pub(super) async fn said(tx: &Tx, common: &Common, tenant: &TenantId) -> Result<Said, StoreError> {
    let keys = common.read_keys(tx, tenant).await?;
    let end = tx.one("SELECT max(idx) + 1 FROM audit_leaves WHERE tenant = $1", &[&tenant.as_str()]).await?;
    let end: Option<i64> = end.map(|row| row.of(0)).transpose()?.flatten();
    let length = tx.one("SELECT size, sealed, mac FROM audit_lengths WHERE tenant = $1", &[&tenant.as_str()]).await?;
    let length = length.map(|row| Ok::<_, StoreError>((row.number(0)?, row.number(1)?, row.of(2)?))).transpose()?;
    let seals = tx
        .query(
            "SELECT size, root, frontier, note FROM checkpoints WHERE tenant = $1 ORDER BY size",
            &[&tenant.as_str()],
        )
        .await?;
    let seal = |row: &Row| {
        Ok::<_, StoreError>(Seal { size: row.number(0)?, root: row.of(1)?, frontier: row.of(2)?, note: row.of(3)? })
    };
    let seals = seals.iter().map(seal).collect::<Result<VecDeque<_>, _>>()?;
    Ok(Said { keys, end: end.and_then(|end| u64::try_from(end).ok()), length, seals })
}

/// The next leaves, whatever they are.
pub(super) async fn found(tx: &Tx, tenant: &TenantId, from: u64, end: u64) -> Result<Vec<Found>, StoreError> {
    let rows = tx
        .query(
            "SELECT idx, bytes, hash, mac FROM audit_leaves WHERE tenant = $1 AND idx >= $2 AND idx < $3 ORDER BY idx
             LIMIT $4",
            &[&tenant.as_str(), &count(from)?, &count(end)?, &limit(PAGE)],
        )
        .await?;
    let found = |row: &Row| Ok(Found { index: row.number(0)?, bytes: row.of(1)?, hash: row.of(2)?, seal: row.of(3)? });
    rows.iter().map(found).collect()
}

/// Finds out where a leaf without a valid seal came from, and where the leaf went that should be in its place.
pub(super) async fn explain(
    tx: &Tx,
    common: &Common,
    tenant: &TenantId,
    stranger: &Stranger,
) -> Result<VerifyFault, StoreError> {
    let keys = common.read_keys(tx, tenant).await?;
    let keys = keys.ok_or_else(|| StoreError::Corrupt("the tenant's key is gone".to_owned()))?;
    let (mut went_elsewhere, mut from) = (false, i64::MIN);
    loop {
        let rows = tx
            .query(
                "SELECT idx, hash, mac FROM audit_leaves WHERE tenant = $1 AND idx >= $2 ORDER BY idx LIMIT $3",
                &[&tenant.as_str(), &from, &limit(PAGE)],
            )
            .await?;
        let Some(last) = rows.last() else { break };
        from = last.of::<i64>(0)?.saturating_add(1);
        for row in &rows {
            went_elsewhere |= stranger.is_missing_here(&keys, row.of(1)?, row.of(2)?);
        }
        if went_elsewhere {
            break;
        }
    }
    Ok(stranger.explain(&keys, went_elsewhere))
}
