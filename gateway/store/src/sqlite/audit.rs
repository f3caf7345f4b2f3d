//! The audit log: leaves, its length, and what is sealed of it.

use rusqlite::{Connection, OptionalExtension, Row};
use tsunagi_core::id::TenantId;
use tsunagi_core::merkle::{TILE, Tile};

use super::convert::{Columns, count, limit, nanos};
use super::session::{Session, Tenancy};
use crate::command::{Checkpoint, KeptSubtree, Leaf, Unsealed};
use crate::error::StoreError;
use crate::keys::{Hash, TenantKeys};
use crate::tables::{LeafContent, Length, Tables, edge, fits};

/// Reads the length of a tenant's log.
pub(super) fn read_length(tenancy: &Tenancy<'_>) -> Result<Length, StoreError> {
    let mut select = tenancy.conn.prepare_cached("SELECT size, sealed, mac FROM audit_lengths WHERE tenant = ?1")?;
    let found: Option<(u64, u64, Vec<u8>)> = select
        .query_row([tenancy.tenant.as_str()], |row| Ok((row.number(0)?, row.number(1)?, row.get(2)?)))
        .optional()?;
    Length::checked(&tenancy.keys, found)
}

/// Writes it.
pub(super) fn write_length(
    conn: &Connection,
    tenant: &TenantId,
    keys: &TenantKeys,
    length: Length,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO audit_lengths (tenant, size, sealed, mac) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant) DO UPDATE SET size = excluded.size, sealed = excluded.sealed, mac = excluded.mac",
    )?
    .execute((tenant.as_str(), count(length.size)?, count(length.sealed)?, length.seal(keys)))?;
    Ok(())
}

/// Writes a leaf in its place.
pub(super) fn insert_leaf(
    tenancy: &Tenancy<'_>,
    index: u64,
    LeafContent { bytes, hash, at }: &LeafContent,
    seal: &Hash,
) -> Result<(), StoreError> {
    tenancy
        .conn
        .prepare_cached(
            "INSERT INTO audit_leaves (tenant, idx, bytes, hash, mac, written_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((tenancy.tenant.as_str(), count(index)?, bytes, hash, seal, at))?;
    tenancy.has_passed(*at);
    Ok(())
}

/// See [`crate::AuditLog::unsealed`].
pub(super) fn unsealed(session: &Session<'_>, tenant: &TenantId, most: usize) -> Result<Unsealed, StoreError> {
    let mut newest = session
        .conn
        .prepare_cached("SELECT size, frontier FROM checkpoints WHERE tenant = ?1 ORDER BY size DESC LIMIT 1")?;
    let (sealed, frontier) = newest
        .query_row([tenant.as_str()], |row| Ok((row.number(0)?, row.get::<_, Vec<u8>>(1)?)))
        .optional()?
        .unwrap_or((0, Vec::new()));
    let frontier = edge(&frontier)?;
    let mut select = session
        .conn
        .prepare_cached("SELECT hash FROM audit_leaves WHERE tenant = ?1 AND idx >= ?2 ORDER BY idx LIMIT ?3")?;
    let mut rows = select.query((tenant.as_str(), count(sealed)?, limit(most)))?;
    let mut leaves = Vec::new();
    while let Some(row) = rows.next()? {
        leaves.push(row.hash(0)?);
    }
    let mut last =
        session.conn.prepare_cached("SELECT max(idx) FROM audit_subtrees WHERE tenant = ?1 AND level = 1")?;
    let last: Option<i64> = last.query_row([tenant.as_str()], |row| row.get(0))?;
    let subtrees = last.and_then(|last| u64::try_from(last).ok()).map_or(0, |last| last + 1);
    Ok(Unsealed { sealed, frontier, leaves, subtrees })
}

/// See [`crate::AuditLog::append_seal`].
pub(super) fn append_seal(session: &Session<'_>, tenant: &TenantId, seal: &Checkpoint) -> Result<(), StoreError> {
    fits(seal)?;
    let tenancy = session.known(tenant)?.ok_or(StoreError::Stale)?;
    let length = tenancy.length()?;
    let mut select = session.conn.prepare_cached("SELECT max(size) FROM checkpoints WHERE tenant = ?1")?;
    let newest: Option<i64> = select.query_row([tenant.as_str()], |row| row.get(0))?;
    if newest.unwrap_or(0) != count(length.sealed)? {
        return Err(StoreError::Corrupt("the newest checkpoint is not the one that was written last".to_owned()));
    }
    if length.sealed >= seal.size || length.size < seal.size {
        return Err(StoreError::Stale);
    }
    session
        .conn
        .prepare_cached(
            "INSERT INTO checkpoints (tenant, size, root, frontier, note, sealed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            tenant.as_str(),
            count(seal.size)?,
            seal.root,
            seal.frontier.concat(),
            &seal.note,
            nanos(seal.sealed_at),
        ))?;
    tenancy.set_length(Length { sealed: seal.size, ..length });
    Ok(())
}

/// See [`crate::AuditLog::keep_subtrees`].
pub(super) fn keep_subtrees(
    session: &Session<'_>,
    tenant: &TenantId,
    subtrees: &[KeptSubtree],
) -> Result<(), StoreError> {
    let mut insert = session.conn.prepare_cached(
        "INSERT INTO audit_subtrees (tenant, level, idx, root) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant, level, idx) DO UPDATE SET root = excluded.root",
    )?;
    for KeptSubtree { level, index, root } in subtrees {
        insert.execute((tenant.as_str(), level, count(*index)?, root))?;
    }
    Ok(())
}

/// See [`crate::AuditLog::tile`].
pub(super) fn tile(session: &Session<'_>, tenant: &TenantId, tile: Tile) -> Result<Vec<Hash>, StoreError> {
    let from = tile.index.saturating_mul(TILE);
    let (from, end) = (count(from)?, count(from.saturating_add(TILE))?);
    let hashes = if tile.level == 0 {
        session
            .conn
            .prepare_cached("SELECT hash FROM audit_leaves WHERE tenant = ?1 AND idx >= ?2 AND idx < ?3 ORDER BY idx")?
            .query_map((tenant.as_str(), from, end), |row| row.hash(0))?
            .collect::<Result<_, _>>()?
    } else {
        session
            .conn
            .prepare_cached(
                "SELECT root FROM audit_subtrees WHERE tenant = ?1 AND level = ?2 AND idx >= ?3 AND idx < ?4
                 ORDER BY idx",
            )?
            .query_map((tenant.as_str(), tile.level, from, end), |row| row.hash(0))?
            .collect::<Result<_, _>>()?
    };
    Ok(hashes)
}

/// See [`crate::AuditLog::audit_page`].
pub(super) fn page(session: &Session<'_>, tenant: &TenantId, from: u64, most: usize) -> Result<Vec<Leaf>, StoreError> {
    let mut select = session.conn.prepare_cached(
        "SELECT idx, bytes, hash FROM audit_leaves WHERE tenant = ?1 AND idx >= ?2 ORDER BY idx LIMIT ?3",
    )?;
    let leaves = select.query_map((tenant.as_str(), count(from)?, limit(most)), |row| {
        Ok(Leaf { index: row.number(0)?, bytes: row.get(1)?, hash: row.hash(2)? })
    })?;
    Ok(leaves.collect::<Result<_, _>>()?)
}

/// See [`crate::AuditLog::newest_checkpoint`].
pub(super) fn newest_checkpoint(session: &Session<'_>, tenant: &TenantId) -> Result<Option<Checkpoint>, StoreError> {
    let mut select = session.conn.prepare_cached(
        "SELECT size, root, frontier, note, sealed_at FROM checkpoints WHERE tenant = ?1 ORDER BY size DESC LIMIT 1",
    )?;
    let mut rows = select.query([tenant.as_str()])?;
    rows.next()?.map(checkpoint).transpose()
}

/// See [`crate::AuditLog::checkpoints`].
pub(super) fn checkpoints(session: &Session<'_>, tenant: &TenantId) -> Result<Vec<Checkpoint>, StoreError> {
    let mut select = session.conn.prepare_cached(
        "SELECT size, root, frontier, note, sealed_at FROM checkpoints WHERE tenant = ?1 ORDER BY size",
    )?;
    let mut rows = select.query([tenant.as_str()])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(checkpoint(row)?);
    }
    Ok(all)
}

fn checkpoint(row: &Row<'_>) -> Result<Checkpoint, StoreError> {
    Ok(Checkpoint {
        size: row.number(0)?,
        root: row.hash(1)?,
        frontier: edge(&row.get::<_, Vec<u8>>(2)?)?,
        note: row.get(3)?,
        sealed_at: row.time(4)?,
    })
}

/// See [`crate::StoreAdmin::logs`].
pub(super) fn logs(session: &Session<'_>) -> Result<Vec<TenantId>, StoreError> {
    let mut select = session.conn.prepare_cached(
        "SELECT tenant FROM tenant_keys UNION SELECT tenant FROM audit_lengths UNION SELECT tenant FROM audit_leaves
         UNION SELECT tenant FROM checkpoints ORDER BY tenant",
    )?;
    let tenants = select.query_map([], |row| row.word(0))?;
    Ok(tenants.collect::<Result<_, _>>()?)
}
