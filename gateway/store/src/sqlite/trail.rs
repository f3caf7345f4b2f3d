//! Which leaves tell of whom: see [`crate::tables::Segment`].

use std::ops::Range;

use rusqlite::{OptionalExtension, Row};
use tsunagi_core::id::TenantId;

use super::convert::Columns;
use super::session::{Session, Tenancy};
use crate::command::{Leaf, LeafPage, LeavesOf};
use crate::error::StoreError;
use crate::tables::{LOOKED_THROUGH, SEGMENT, Segment, Trail, count, limit};

/// A segment as it is kept: its number and its buckets.
pub(super) type Made = (u64, Vec<Vec<u8>>);

/// The number of the next segment; `None` until it is sealed as a whole.
pub(super) fn next(session: &Session<'_>, tenant: &TenantId) -> Result<Option<u64>, StoreError> {
    let Some(tenancy) = session.known(tenant)? else { return Ok(None) };
    let number = tenancy.segments()?;
    let mut newest =
        session.conn.prepare_cached("SELECT size FROM checkpoints WHERE tenant = ?1 ORDER BY size DESC LIMIT 1")?;
    let sealed: u64 = newest.query_row([tenant.as_str()], |row| row.number(0)).optional()?.unwrap_or(0);
    Ok((sealed >= (number + 1) * SEGMENT).then_some(number))
}

/// Reads one piece of a segment.
pub(super) fn read(
    session: &Session<'_>,
    tenant: &TenantId,
    number: u64,
    piece: Range<u64>,
) -> Result<Segment, StoreError> {
    let tenancy = session.known(tenant)?.ok_or(StoreError::NotFound)?;
    let first = number * SEGMENT;
    let mut select = session.conn.prepare_cached(
        "SELECT idx - ?2, bytes FROM audit_leaves WHERE tenant = ?1 AND idx >= ?2 + ?3 AND idx < ?2 + ?4 ORDER BY idx",
    )?;
    let (from, end) = (count(piece.start)?, count(piece.end)?);
    let mut rows = select.query((tenant.as_str(), count(first)?, from, end))?;
    let mut segment = Segment::default();
    while let Some(row) = rows.next()? {
        segment.add(&tenancy.keys, row.number(0)?, row.blob(1)?);
    }
    Ok(segment)
}

/// Writes a segment, unless another process was first.
pub(super) fn keep(session: &Session<'_>, tenant: &TenantId, (number, buckets): &Made) -> Result<(), StoreError> {
    let mut insert = session.conn.prepare_cached(
        "INSERT INTO audit_trails (tenant, bucket, segment, entries) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
    )?;
    for (bucket, entries) in (0i64..).zip(buckets) {
        insert.execute((tenant.as_str(), bucket, count(*number)?, entries))?;
    }
    Ok(())
}

/// See [`crate::AuditLog::leaves_of`].
pub(super) fn leaves_of(
    session: &Session<'_>,
    tenant: &TenantId,
    of: &LeavesOf,
    below: u64,
    most: usize,
) -> Result<LeafPage, StoreError> {
    let mut page = LeafPage { leaves: Vec::new(), next: None };
    let Some(tenancy) = session.known(tenant)? else { return Ok(page) };
    let Some(trail) = Trail::of(&tenancy.keys, of) else { return whole(session, tenant, below, most) };
    let indexed = tenancy.segments()? * SEGMENT;
    let mut last =
        session.conn.prepare_cached("SELECT idx FROM audit_leaves WHERE tenant = ?1 ORDER BY idx DESC LIMIT 1")?;
    let last: Option<u64> = last.query_row([tenant.as_str()], |row| row.number(0)).optional()?;
    let mut end = below.min(last.map_or(0, |last| last + 1));
    if indexed < end {
        let from = indexed.max(end.saturating_sub(LOOKED_THROUGH));
        let mut select = session.conn.prepare_cached(
            "SELECT idx, bytes, hash FROM audit_leaves
             WHERE tenant = ?1 AND idx < ?2 AND idx >= ?3 AND instr(bytes, ?4) > 0 ORDER BY idx DESC LIMIT ?5",
        )?;
        let found = select.query_map((tenant.as_str(), count(end)?, count(from)?, trail.told(), limit(most)), leaf)?;
        page.leaves = found.collect::<Result<_, _>>()?;
        end = page.leaves.last().filter(|_| page.leaves.len() >= most).map_or(from, |last| last.index);
        if page.leaves.len() >= most || indexed < from {
            page.next = Some(end).filter(|end| *end > 0);
            return Ok(page);
        }
    }
    let Some(newest) = end.checked_sub(1) else { return Ok(page) };
    let mut segments = session.conn.prepare_cached(
        "SELECT segment, entries FROM audit_trails WHERE tenant = ?1 AND bucket = ?2 AND segment <= ?3
         ORDER BY segment DESC",
    )?;
    let mut one =
        session.conn.prepare_cached("SELECT idx, bytes, hash FROM audit_leaves WHERE tenant = ?1 AND idx = ?2")?;
    let mut rows = segments.query((tenant.as_str(), trail.bucket(), count(newest / SEGMENT)?))?;
    while let Some(row) = rows.next()? {
        let first = row.number::<u64>(0)? * SEGMENT;
        for place in trail.places(row.blob(1)?).into_iter().rev() {
            let index = first + u64::from(place);
            if index >= end {
                continue;
            }
            if page.leaves.len() >= most {
                page.next = page.leaves.last().map(|last| last.index);
                return Ok(page);
            }
            let leaf = one.query_row((tenant.as_str(), count(index)?), leaf).optional()?;
            page.leaves.extend(leaf.filter(|leaf| trail.leads_to(leaf)));
        }
    }
    Ok(page)
}

/// All leaves below an index, newest first.
fn whole(session: &Session<'_>, tenant: &TenantId, below: u64, most: usize) -> Result<LeafPage, StoreError> {
    let mut select = session.conn.prepare_cached(
        "SELECT idx, bytes, hash FROM audit_leaves WHERE tenant = ?1 AND idx < ?2 ORDER BY idx DESC LIMIT ?3",
    )?;
    let found = select.query_map((tenant.as_str(), count(below.min(i64::MAX.cast_unsigned()))?, limit(most)), leaf)?;
    Ok(LeafPage::filled(found.collect::<Result<_, _>>()?, most))
}

fn leaf(row: &Row<'_>) -> rusqlite::Result<Leaf> {
    Ok(Leaf { index: row.number(0)?, bytes: row.get(1)?, hash: row.hash(2)? })
}

impl Tenancy<'_> {
    /// How many segments are indexed.
    fn segments(&self) -> Result<u64, StoreError> {
        let mut select = self.conn.prepare_cached(
            "SELECT segment FROM audit_trails WHERE tenant = ?1 AND bucket = 0 ORDER BY segment DESC LIMIT 1",
        )?;
        let last: Option<u64> = select.query_row([self.tenant.as_str()], |row| row.number(0)).optional()?;
        Ok(last.map_or(0, |last| last + 1))
    }
}
