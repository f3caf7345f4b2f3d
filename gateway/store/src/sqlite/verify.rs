//! The whole log, read again.

use std::collections::VecDeque;

use rusqlite::OptionalExtension;
use tsunagi_core::id::TenantId;

use super::convert::{Columns, count, limit};
use super::session::Session;
use crate::command::VerifyFault;
use crate::error::StoreError;
use crate::tables::{Found, PAGE, Said, Seal, Stranger};

/// What the log is said to be.
pub(super) fn said(session: &Session<'_>, tenant: &TenantId) -> Result<Said, StoreError> {
    let keys = session.known(tenant)?.map(|tenancy| tenancy.keys);
    let end: Option<u64> = session.conn.query_row(
        "SELECT max(idx) + 1 FROM audit_leaves WHERE tenant = ?1",
        [tenant.as_str()],
        |row| row.get::<_, Option<i64>>(0).map(|end| end.and_then(|end| u64::try_from(end).ok())),
    )?;
    let length: Option<(u64, u64, Vec<u8>)> = session
        .conn
        .query_row("SELECT size, sealed, mac FROM audit_lengths WHERE tenant = ?1", [tenant.as_str()], |row| {
            Ok((row.number(0)?, row.number(1)?, row.get(2)?))
        })
        .optional()?;
    Ok(Said { keys, end, length, seals: seals(session, tenant)? })
}

/// The next leaves, whatever they are.
pub(super) fn page(session: &Session<'_>, tenant: &TenantId, from: u64, end: u64) -> Result<Vec<Found>, StoreError> {
    let mut select = session.conn.prepare_cached(
        "SELECT idx, bytes, hash, mac FROM audit_leaves WHERE tenant = ?1 AND idx >= ?2 AND idx < ?3 ORDER BY idx
         LIMIT ?4",
    )?;
    let found = select.query_map((tenant.as_str(), count(from)?, count(end)?, limit(PAGE)), |row| {
        Ok(Found { index: row.number(0)?, bytes: row.get(1)?, hash: row.get(2)?, seal: row.get(3)? })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Finds out where a leaf without a valid seal came from, and where the leaf went that should be in its place.
pub(super) fn explain(
    session: &Session<'_>,
    tenant: &TenantId,
    stranger: &Stranger,
) -> Result<VerifyFault, StoreError> {
    let tenancy = session.known(tenant)?.ok_or_else(|| StoreError::Corrupt("the tenant's key is gone".to_owned()))?;
    let mut select = session.conn.prepare_cached("SELECT hash, mac FROM audit_leaves WHERE tenant = ?1")?;
    let mut rows = select.query([tenant.as_str()])?;
    let mut went_elsewhere = false;
    while let Some(row) = rows.next()?
        && !went_elsewhere
    {
        went_elsewhere = stranger.is_missing_here(&tenancy.keys, row.blob(0)?, row.blob(1)?);
    }
    Ok(stranger.explain(&tenancy.keys, went_elsewhere))
}

fn seals(session: &Session<'_>, tenant: &TenantId) -> Result<VecDeque<Seal>, StoreError> {
    let mut select = session
        .conn
        .prepare_cached("SELECT size, root, frontier, note FROM checkpoints WHERE tenant = ?1 ORDER BY size")?;
    let found = select.query_map([tenant.as_str()], |row| {
        Ok(Seal { size: row.number(0)?, root: row.get(1)?, frontier: row.get(2)?, note: row.get(3)? })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}
