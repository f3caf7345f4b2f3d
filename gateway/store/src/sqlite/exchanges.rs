//! Exchanges, their rows and receipts.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row};
use tsunagi_core::exchange::{Exchange, ExchangeState, RowCounts, RowResult};
use tsunagi_core::fault::RowFault;
use tsunagi_core::id::{ExchangeId, ParticipantId, TenantId};

use super::convert::{Columns, count, from_json, limit, nanos, to_json_text};
use super::outbox;
use super::session::{Session, Tenancy};
use crate::command::{AcceptRow, ExchangeHead, ExchangeView, Rejection, RowPage};
use crate::error::StoreError;
use crate::keys::RowPlace;
use crate::tables::{REFUSED, read_state, spell};

/// What a head turned out to be.
pub(super) enum Entered {
    /// The exchange to put rows into, unless it is complete; `repeated` if it has another id than the head.
    Exchange { id: ExchangeId, repeated: bool, is_complete: bool },
    /// The idempotency key, or the id, stands for another body.
    Reused,
}

/// Finds the exchange that a head continues or repeats, or writes a new one.
pub(super) fn enter(hub: &Tenancy<'_>, head: &ExchangeHead) -> Result<Entered, StoreError> {
    let digest = hub.keys.exchange_digest(&head.digest);
    let key = head.idempotency_key.as_ref().map(|key| hub.keys.idempotency(&head.sender, key));
    let mut by_key = hub.conn.prepare_cached(
        "SELECT exchange, digest, complete FROM exchanges WHERE sender = ?1 AND idempotency_hash = ?2",
    )?;
    if let Some(key) = &key {
        let known = by_key
            .query_row((head.sender.as_str(), key), |row| Ok((row.word::<ExchangeId>(0)?, row.hash(1)?, row.get(2)?)))
            .optional()?;
        if let Some((id, stored, is_complete)) = known {
            let repeated = id != head.id;
            return Ok(if stored == digest {
                Entered::Exchange { id, repeated, is_complete }
            } else {
                Entered::Reused
            });
        }
    }
    let mut by_id = hub.conn.prepare_cached("SELECT sender, digest, complete FROM exchanges WHERE exchange = ?1")?;
    let known = by_id
        .query_row([head.id.as_str()], |row| Ok((row.word::<ParticipantId>(0)?, row.hash(1)?, row.get(2)?)))
        .optional()?;
    let is_complete = match known {
        Some((sender, stored, is_complete)) if sender == head.sender && stored == digest => is_complete,
        Some(_) => return Ok(Entered::Reused),
        None => {
            hub.conn
                .prepare_cached(
                    "INSERT INTO exchanges
                         (exchange, sender, idempotency_hash, digest, layout, charset, received_at, complete)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)",
                )?
                .execute((
                    head.id.as_str(),
                    head.sender.as_str(),
                    key,
                    digest,
                    head.layout.as_ref().map(|layout| layout.as_str()),
                    head.charset.as_deref(),
                    nanos(head.received_at),
                ))?;
            false
        }
    };
    Ok(Entered::Exchange { id: head.id.clone(), repeated: false, is_complete })
}

/// Marks that all rows are there.
pub(super) fn complete(session: &Session<'_>, id: &ExchangeId) -> Result<(), StoreError> {
    session
        .conn
        .prepare_cached("UPDATE exchanges SET complete = 1 WHERE exchange = ?1 AND complete = 0")?
        .execute([id.as_str()])?;
    Ok(())
}

/// The result of a row, if it has one. In any tenant: a row is decided once, and when it comes again it may belong
/// elsewhere, because the registry has changed meanwhile.
pub(super) fn row_result(conn: &Connection, exchange: &ExchangeId, row: u64) -> Result<Option<RowResult>, StoreError> {
    let mut select = conn.prepare_cached(
        "SELECT row, tenant, kind, state, record, version, faults, leaf FROM exchange_rows
         WHERE exchange = ?1 AND row = ?2",
    )?;
    let mut rows = select.query((exchange.as_str(), count(row)?))?;
    rows.next()?.map(read_row).transpose()
}

/// Those of these rows that have a result, asked for at once: nearly always there are none.
pub(super) fn decided(
    conn: &Connection,
    exchange: &ExchangeId,
    rows: &[AcceptRow],
) -> Result<BTreeSet<u64>, StoreError> {
    let numbers = || rows.iter().map(|row| row.row);
    let (Some(first), Some(last)) = (numbers().min(), numbers().max()) else { return Ok(BTreeSet::new()) };
    let mut select =
        conn.prepare_cached("SELECT row FROM exchange_rows WHERE exchange = ?1 AND row BETWEEN ?2 AND ?3")?;
    let found = select.query_map((exchange.as_str(), count(first)?, count(last)?), |row| row.number(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Rewrites the result of a row that waited.
pub(super) fn rewrite_row(conn: &Connection, exchange: &ExchangeId, result: &RowResult) -> Result<(), StoreError> {
    let (state, record, version) = spell(&result.state);
    conn.prepare_cached(
        "UPDATE exchange_rows SET state = ?3, record = ?4, version = ?5, faults = ?6, leaf = ?7
         WHERE exchange = ?1 AND row = ?2",
    )?
    .execute((
        exchange.as_str(),
        count(result.row)?,
        state,
        record,
        version,
        to_json_text(&result.faults)?,
        result.leaf.map(count).transpose()?,
    ))?;
    Ok(())
}

impl Tenancy<'_> {
    /// Writes the result of a row that has none yet.
    pub(super) fn insert_row(&self, exchange: &ExchangeId, result: &RowResult) -> Result<(), StoreError> {
        let (state, record, version) = spell(&result.state);
        self.conn
            .prepare_cached(
                "INSERT INTO exchange_rows (exchange, tenant, row, kind, state, record, version, faults, leaf)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute((
                exchange.as_str(),
                self.tenant.as_str(),
                count(result.row)?,
                result.kind.as_ref().map(|kind| kind.as_str()),
                state,
                record,
                version,
                to_json_text(&result.faults)?,
                result.leaf.map(count).transpose()?,
            ))?;
        Ok(())
    }

    /// Adds the source of a refused row, so that it can be given back.
    pub(super) fn update_source(&self, exchange: &ExchangeId, row: u64, sealed: &[u8]) -> Result<(), StoreError> {
        self.conn
            .prepare_cached("UPDATE exchange_rows SET sealed = ?3 WHERE exchange = ?1 AND row = ?2")?
            .execute((exchange.as_str(), count(row)?, sealed))?;
        Ok(())
    }
}

/// See [`crate::Store::exchange`].
pub(super) fn view(
    session: &Session<'_>,
    sender: &ParticipantId,
    id: &ExchangeId,
    page: RowPage,
) -> Result<Option<ExchangeView>, StoreError> {
    let mut select = session.conn.prepare_cached(
        "SELECT exchange, sender, received_at, digest, layout, charset, complete FROM exchanges
         WHERE exchange = ?1 AND sender = ?2",
    )?;
    let Some(exchange) = select.query_row((id.as_str(), sender.as_str()), exchange).optional()? else {
        return Ok(None);
    };
    let mut select = session.conn.prepare_cached(
        "SELECT row, tenant, kind, state, record, version, faults, leaf FROM exchange_rows
         WHERE exchange = ?1 AND row > ?2 ORDER BY row LIMIT ?3",
    )?;
    // One more than asked for tells whether there is a next page.
    let most = page.limit.max(1);
    let mut found = select.query((id.as_str(), count(page.after)?, limit(most.saturating_add(1))))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.push(read_row(row)?);
    }
    let has_more = rows.len() > most;
    rows.truncate(most);
    let last = rows.last().map_or(page.after, |row| row.row);
    Ok(Some(ExchangeView {
        exchange,
        counts: if page.after == 0 { Some(row_counts(session, id)?) } else { None },
        deliveries: outbox::of_rows(session, id, page.after, last)?,
        rows,
        next: has_more.then_some(last),
    }))
}

fn row_counts(session: &Session<'_>, id: &ExchangeId) -> Result<RowCounts, StoreError> {
    let mut select = session.conn.prepare_cached(
        "SELECT count(*) FILTER (WHERE state = 'accepted'), count(*) FILTER (WHERE state = 'unchanged'),
                count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'refused')
         FROM exchange_rows WHERE exchange = ?1",
    )?;
    let counts = |row: &Row<'_>| {
        Ok(RowCounts {
            accepted: row.number(0)?,
            unchanged: row.number(1)?,
            waiting: row.number(2)?,
            refused: row.number(3)?,
        })
    };
    Ok(select.query_row([id.as_str()], counts)?)
}

/// See [`crate::Store::rejections`].
pub(super) fn rejections(
    session: &Session<'_>,
    sender: &ParticipantId,
    id: &ExchangeId,
    page: RowPage,
) -> Result<Vec<Rejection>, StoreError> {
    let mut select = session.conn.prepare_cached(
        "SELECT r.row, r.tenant, r.faults, r.sealed FROM exchange_rows r
         CROSS JOIN exchanges e ON e.exchange = r.exchange
         WHERE r.exchange = ?1 AND e.sender = ?2 AND r.state = 'refused' AND r.sealed IS NOT NULL AND r.row > ?3
         ORDER BY r.row LIMIT ?4",
    )?;
    let page = (count(page.after)?, limit(page.limit.max(1)));
    let mut found = select.query((id.as_str(), sender.as_str(), page.0, page.1))?;
    let mut rejections = Vec::new();
    while let Some(columns) = found.next()? {
        let (row, tenant): (u64, TenantId) = (columns.number(0)?, columns.word(1)?);
        let tenancy = session.known(&tenant)?.ok_or_else(|| StoreError::Corrupt("a tenant has no key".to_owned()))?;
        let sealed: Vec<u8> = columns.get(3)?;
        let source = tenancy.keys.open_pending(&RowPlace { what: REFUSED, exchange: id, row }, &sealed)?;
        let faults = from_json(columns.get::<_, String>(2)?.as_bytes())?;
        rejections.push(Rejection { row, source: from_json(source.expose())?, faults });
    }
    Ok(rejections)
}

/// See [`crate::StoreAdmin::exchanges`].
pub(super) fn list(session: &Session<'_>, most: usize) -> Result<Vec<Exchange>, StoreError> {
    let mut select = session.conn.prepare_cached(
        "SELECT exchange, sender, received_at, digest, layout, charset, complete FROM exchanges
         ORDER BY received_at DESC, exchange DESC LIMIT ?1",
    )?;
    let found = select.query_map([limit(most)], exchange)?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn exchange(row: &Row<'_>) -> rusqlite::Result<Exchange> {
    Ok(Exchange {
        id: row.word(0)?,
        sender: row.word(1)?,
        received_at: row.time(2)?,
        digest: hex::encode(row.hash(3)?),
        layout: row.word_or_none(4)?,
        charset: row.get(5)?,
        state: if row.get(6)? { ExchangeState::Complete } else { ExchangeState::Open },
    })
}

fn read_row(row: &Row<'_>) -> Result<RowResult, StoreError> {
    let tenant: TenantId = row.word(1)?;
    let record = match row.word_or_none(4)? {
        Some(record) => Some((record, row.number(5)?)),
        None => None,
    };
    let state = read_state(row.text(3)?, record)?;
    let faults: Vec<RowFault> = from_json(row.get::<_, String>(6)?.as_bytes())?;
    let leaf: Option<i64> = row.get(7)?;
    Ok(RowResult {
        row: row.number(0)?,
        // Rows that no tenant could be told for stand under the hub.
        tenant: (!tenant.is_hub()).then_some(tenant),
        kind: row.word_or_none(2)?,
        state,
        faults,
        leaf: leaf.and_then(|leaf| u64::try_from(leaf).ok()),
    })
}
