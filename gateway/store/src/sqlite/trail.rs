//! Which leaves tell of whom. Sealed leaves are indexed by segments, after sealing and apart from it: an index by person
//! would have to be written at another place for each leaf, and the thread that writes has others to serve. The leaves after
//! the last whole segment are looked through when somebody asks.

use rusqlite::{OptionalExtension, Row};
use serde::Deserialize;
use tsunagi_core::id::TenantId;

use super::convert::{Columns, count, limit};
use super::session::{Session, Tenancy};
use crate::command::{Leaf, LeafPage, LeavesOf};
use crate::error::StoreError;

/// How many leaves a segment has. One more makes looking through the rest slower, one less a search through all segments.
const SEGMENT: u64 = 16_384;

/// Into how many buckets the entries of a segment are spread.
const BUCKETS: usize = 64;

/// How many leaves that are not indexed yet are looked through for one page.
const LOOKED_THROUGH: u64 = 2 * SEGMENT;

/// Bytes of a trail, and of a place within a segment.
const ENTRY: usize = 12;

/// The members of a leaf that name somebody.
const PARTICIPANT: &str = "participant";
const SUBJECT: &str = "subject";

/// The entries of a segment.
pub(super) struct Segment {
    number: u64,
    buckets: Vec<Vec<u8>>,
}

/// Of a leaf, whom it tells of.
#[derive(Deserialize)]
struct Whose<'a> {
    #[serde(borrow)]
    agent: Who<'a>,
    #[serde(borrow, default)]
    subject: Option<&'a str>,
}

#[derive(Deserialize)]
struct Who<'a> {
    #[serde(borrow, default)]
    participant: Option<&'a str>,
}

/// Makes the next segment; `None` until it is sealed as a whole.
pub(super) fn next(session: &Session<'_>, tenant: &TenantId) -> Result<Option<Segment>, StoreError> {
    let Some(tenancy) = session.known(tenant)? else { return Ok(None) };
    let number = tenancy.segments()?;
    let mut newest =
        session.conn.prepare_cached("SELECT size FROM checkpoints WHERE tenant = ?1 ORDER BY size DESC LIMIT 1")?;
    let sealed: u64 = newest.query_row([tenant.as_str()], |row| row.number(0)).optional()?.unwrap_or(0);
    let (from, end) = (number * SEGMENT, (number + 1) * SEGMENT);
    if sealed < end {
        return Ok(None);
    }
    let mut select = session.conn.prepare_cached(
        "SELECT idx, bytes FROM audit_leaves WHERE tenant = ?1 AND idx >= ?2 AND idx < ?3 ORDER BY idx",
    )?;
    let mut rows = select.query((tenant.as_str(), count(from)?, count(end)?))?;
    let mut entries: Vec<(u64, u32)> = Vec::new();
    while let Some(row) = rows.next()? {
        let place = row.number::<u64>(0)?.saturating_sub(from) as u32;
        // A leaf that cannot be read is for verification to find; it tells of nobody.
        if let Ok(Whose { agent, subject }) = serde_json::from_slice(row.blob(1)?) {
            let of = [(PARTICIPANT, agent.participant), (SUBJECT, subject)];
            entries.extend(of.into_iter().filter_map(|(what, id)| Some((tenancy.keys.trail(what, id?), place))));
        }
    }
    entries.sort_unstable();
    let mut buckets = vec![Vec::new(); BUCKETS];
    for (trail, place) in entries {
        if let Some(entries) = buckets.get_mut(bucket(trail)) {
            entries.extend(trail.to_be_bytes());
            entries.extend(place.to_be_bytes());
        }
    }
    Ok(Some(Segment { number, buckets }))
}

/// Writes a segment, unless another process was first.
pub(super) fn keep(session: &Session<'_>, tenant: &TenantId, segment: &Segment) -> Result<(), StoreError> {
    let mut insert = session.conn.prepare_cached(
        "INSERT INTO audit_trails (tenant, bucket, segment, entries) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
    )?;
    for (bucket, entries) in (0i64..).zip(&segment.buckets) {
        insert.execute((tenant.as_str(), bucket, count(segment.number)?, entries))?;
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
    let (what, id) = match of {
        LeavesOf::Participant(id) => (PARTICIPANT, id.as_str()),
        LeavesOf::Subject(key) => (SUBJECT, key.as_str()),
    };
    // As it stands in a leaf: no text of one can look like this, for quotation marks in a text are escaped.
    let told = format!("\"{what}\":\"{id}\"");
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
        let found =
            select.query_map((tenant.as_str(), count(end)?, count(from)?, told.as_bytes(), limit(most)), leaf)?;
        page.leaves = found.collect::<Result<_, _>>()?;
        end = page.leaves.last().filter(|_| page.leaves.len() >= most).map_or(from, |last| last.index);
        if page.leaves.len() >= most || indexed < from {
            page.next = Some(end).filter(|end| *end > 0);
            return Ok(page);
        }
    }
    let Some(newest) = end.checked_sub(1) else { return Ok(page) };
    let trail = tenancy.keys.trail(what, id);
    let mut segments = session.conn.prepare_cached(
        "SELECT segment, entries FROM audit_trails WHERE tenant = ?1 AND bucket = ?2 AND segment <= ?3
         ORDER BY segment DESC",
    )?;
    let mut one =
        session.conn.prepare_cached("SELECT idx, bytes, hash FROM audit_leaves WHERE tenant = ?1 AND idx = ?2")?;
    let mut rows = segments.query((tenant.as_str(), count(bucket(trail) as u64)?, count(newest / SEGMENT)?))?;
    while let Some(row) = rows.next()? {
        let first = row.number::<u64>(0)? * SEGMENT;
        for place in places(row.blob(1)?, trail).into_iter().rev() {
            let index = first + u64::from(place);
            if index >= end {
                continue;
            }
            if page.leaves.len() >= most {
                page.next = page.leaves.last().map(|last| last.index);
                return Ok(page);
            }
            let leaf = one.query_row((tenant.as_str(), count(index)?), leaf).optional()?;
            page.leaves.extend(leaf.filter(|leaf| leaf.bytes.windows(told.len()).any(|part| part == told.as_bytes())));
        }
    }
    Ok(page)
}

/// The places in a segment where a trail leads, in order.
fn places(entries: &[u8], trail: u64) -> Vec<u32> {
    let (entries, _) = entries.as_chunks::<ENTRY>();
    let read = |entry: &[u8; ENTRY]| {
        let (trail, place) = entry.split_first_chunk::<8>()?;
        Some((u64::from_be_bytes(*trail), u32::from_be_bytes(*place.first_chunk()?)))
    };
    let from = entries.partition_point(|entry| read(entry).is_some_and(|(found, _)| found < trail));
    let rest = entries.iter().skip(from).map_while(read);
    rest.take_while(|(found, _)| *found == trail).map(|(_, place)| place).collect()
}

fn bucket(trail: u64) -> usize {
    (trail >> (u64::BITS - BUCKETS.ilog2())) as usize
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
