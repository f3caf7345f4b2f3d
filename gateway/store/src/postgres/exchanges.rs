//! Exchanges, their rows and receipts.

use std::collections::BTreeSet;

use tokio_postgres::Row;
use tsunagi_core::exchange::{Exchange, ExchangeState, RowCounts, RowResult};
use tsunagi_core::id::{ExchangeId, ParticipantId, TenantId};

use super::columns::Columns;
use super::outbox;
use super::pool::{Connections, Scope, Tx};
use super::tenancy::Common;
use crate::command::{ExchangeHead, ExchangeView, Rejection, RowPage};
use crate::error::StoreError;
use crate::keys::{Hash, RowPlace, TenantKeys};
use crate::tables::{REFUSED, count, from_json, limit, nanos, read_state};

/// What a head turned out to be.
#[derive(Debug, Clone)]
pub(super) enum Entered {
    /// The exchange to put rows into, unless it is complete; `repeated` if it has another id than the head.
    Exchange { id: ExchangeId, repeated: bool, is_complete: bool },
    /// The idempotency key, or the id, stands for another body.
    Reused,
}

/// Finds the exchanges that heads continue or repeat, or writes new ones. Each is locked: another node that has rows of
/// the same exchange waits, whatever tenant they are for.
pub(super) async fn enter(tx: &Tx, hub: &TenantKeys, heads: &[&ExchangeHead]) -> Result<Vec<Entered>, StoreError> {
    let key = |head: &ExchangeHead| head.idempotency_key.as_ref().map(|key| hub.idempotency(&head.sender, key));
    let mut new: Vec<_> = heads.iter().map(|head| (*head, key(head), hub.exchange_digest(&head.digest))).collect();
    // In one order on every node, so that two of them never wait for each other.
    new.sort_by(|(a, a_key, _), (b, b_key, _)| (&a.sender, a_key, &a.id).cmp(&(&b.sender, b_key, &b.id)));
    let senders: Vec<&str> = new.iter().map(|(head, ..)| head.sender.as_str()).collect();
    let ids: Vec<&str> = new.iter().map(|(head, ..)| head.id.as_str()).collect();
    let keys: Vec<Option<&[u8]>> = new.iter().map(|(_, key, _)| key.as_ref().map(|key| &key[..])).collect();
    let digests: Vec<&[u8]> = new.iter().map(|(.., digest)| &digest[..]).collect();
    let layouts: Vec<Option<&str>> =
        new.iter().map(|(head, ..)| head.layout.as_ref().map(|layout| layout.as_str())).collect();
    let charsets: Vec<Option<&str>> = new.iter().map(|(head, ..)| head.charset.as_deref()).collect();
    let times: Vec<i64> = new.iter().map(|(head, ..)| nanos(head.received_at)).collect();
    tx.execute(
        "INSERT INTO exchanges (sender, exchange, idempotency_hash, digest, layout, charset, received_at, complete)
         SELECT *, false FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[], $5::text[], $6::text[],
                                     $7::bigint[])
         ON CONFLICT DO NOTHING",
        &[&senders, &ids, &keys, &digests, &layouts, &charsets, &times],
    )
    .await?;
    let rows = tx
        .query(
            "SELECT sender, exchange, idempotency_hash, digest, complete FROM exchanges
             WHERE sender = ANY ($1) AND (exchange = ANY ($2) OR idempotency_hash = ANY ($3))
             ORDER BY sender, idempotency_hash, exchange FOR UPDATE",
            &[&senders, &ids, &keys],
        )
        .await?;
    let known = rows.iter().map(Known::read).collect::<Result<Vec<_>, _>>()?;
    heads.iter().map(|head| Known::find(&known, head, key(head), &hub.exchange_digest(&head.digest))).collect()
}

struct Known {
    sender: ParticipantId,
    id: ExchangeId,
    key: Option<Hash>,
    digest: Hash,
    is_complete: bool,
}

impl Known {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let key = row.of::<Option<&[u8]>>(2)?.map(|_| row.hash(2)).transpose()?;
        Ok(Self { sender: row.word(0)?, id: row.word(1)?, key, digest: row.hash(3)?, is_complete: row.of(4)? })
    }

    fn find(all: &[Self], head: &ExchangeHead, key: Option<Hash>, digest: &Hash) -> Result<Entered, StoreError> {
        let of_sender = || all.iter().filter(|known| known.sender == head.sender);
        let by_key = of_sender().find(|known| key.is_some() && known.key == key);
        let known = by_key
            .or_else(|| of_sender().find(|known| known.id == head.id))
            .ok_or_else(|| StoreError::Corrupt("an exchange is not where it was written".to_owned()))?;
        if known.digest != *digest {
            return Ok(Entered::Reused);
        }
        Ok(Entered::Exchange { id: known.id.clone(), repeated: known.id != head.id, is_complete: known.is_complete })
    }
}

/// The columns that [`read_row`] reads.
macro_rules! rows {
    ($rest:literal) => {
        concat!(
            "SELECT number, tenant, kind, state, record, version, faults, leaf, exchange, sender FROM exchange_rows ",
            $rest
        )
    };
}

/// The rows of exchanges, each with its exchange, by their numbers.
pub(super) async fn rows(
    tx: &Tx,
    wanted: &BTreeSet<(ParticipantId, ExchangeId, u64)>,
) -> Result<Vec<((ParticipantId, ExchangeId, u64), RowResult)>, StoreError> {
    let senders: Vec<&str> = wanted.iter().map(|(sender, ..)| sender.as_str()).collect();
    let ids: Vec<&str> = wanted.iter().map(|(_, id, _)| id.as_str()).collect();
    let numbers = wanted.iter().map(|(.., row)| count(*row)).collect::<Result<Vec<_>, _>>()?;
    let found = tx
        .query(
            rows!("WHERE (sender, exchange, number) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]))"),
            &[&senders, &ids, &numbers],
        )
        .await?;
    found
        .iter()
        .map(|row| {
            let result = read_row(row)?;
            Ok(((row.word(9)?, row.word(8)?, result.row), result))
        })
        .collect()
}

/// See [`crate::Store::exchange`]. The deliveries are each tenant's own, so each is asked in a transaction of its own.
pub(super) async fn view(
    connections: &Connections,
    sender: &ParticipantId,
    id: &ExchangeId,
    page: RowPage,
) -> Result<Option<ExchangeView>, StoreError> {
    let tx = connections.look(Scope { tenant: "", senders: sender.as_str() }).await?;
    let outcome = receipt(&tx, sender, id, page).await;
    let Some(mut view) = tx.end(outcome).await? else { return Ok(None) };
    let last = view.rows.last().map_or(page.after, |row| row.row);
    let tenants: BTreeSet<TenantId> = view.rows.iter().filter_map(|row| row.tenant.clone()).collect();
    for tenant in tenants {
        let tx = connections.look(Scope { tenant: tenant.as_str(), senders: "" }).await?;
        let found = outbox::of_rows(&tx, &tenant, id, (page.after, last)).await;
        let found = tx.end(found).await?;
        // A row is decided in one tenant.
        let is_of = |row: u64| view.rows.iter().any(|one| one.row == row && one.tenant.as_ref() == Some(&tenant));
        let found: Vec<_> = found.into_iter().filter(|delivery| is_of(delivery.row)).collect();
        view.deliveries.extend(found);
    }
    view.deliveries.sort_by_key(|delivery| delivery.row);
    Ok(Some(view))
}

async fn receipt(
    tx: &Tx,
    sender: &ParticipantId,
    id: &ExchangeId,
    page: RowPage,
) -> Result<Option<ExchangeView>, StoreError> {
    let (by, of) = (sender.as_str(), id.as_str());
    let found = tx
        .one(
            "SELECT exchange, sender, received_at, digest, layout, charset, complete FROM exchanges
             WHERE sender = $1 AND exchange = $2",
            &[&by, &of],
        )
        .await?;
    let Some(found) = found else { return Ok(None) };
    // One more than asked for tells whether there is a next page.
    let most = page.limit.max(1);
    let rows = tx
        .query(
            rows!("WHERE sender = $1 AND exchange = $2 AND number > $3 ORDER BY number LIMIT $4"),
            &[&by, &of, &count(page.after)?, &limit(most.saturating_add(1))],
        )
        .await?;
    let mut rows = rows.iter().map(read_row).collect::<Result<Vec<_>, _>>()?;
    let has_more = rows.len() > most;
    rows.truncate(most);
    let last = rows.last().map(|row| row.row);
    Ok(Some(ExchangeView {
        exchange: exchange(&found)?,
        counts: if page.after == 0 { Some(row_counts(tx, sender, id).await?) } else { None },
        deliveries: Vec::new(),
        rows,
        next: last.filter(|_| has_more),
    }))
}

async fn row_counts(tx: &Tx, sender: &ParticipantId, id: &ExchangeId) -> Result<RowCounts, StoreError> {
    let counted = tx
        .one(
            "SELECT count(*) FILTER (WHERE state = 'accepted'), count(*) FILTER (WHERE state = 'unchanged'),
                    count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'refused')
             FROM exchange_rows WHERE sender = $1 AND exchange = $2",
            &[&sender.as_str(), &id.as_str()],
        )
        .await?;
    counted.map_or(Ok(RowCounts::default()), |row| {
        Ok(RowCounts {
            accepted: row.number(0)?,
            unchanged: row.number(1)?,
            waiting: row.number(2)?,
            refused: row.number(3)?,
        })
    })
}

/// See [`crate::Store::rejections`].
pub(super) async fn rejections(
    common: &Common,
    sender: &ParticipantId,
    id: &ExchangeId,
    page: RowPage,
) -> Result<Vec<Rejection>, StoreError> {
    let tx = common.connections.look(Scope { tenant: "", senders: sender.as_str() }).await?;
    let found = tx
        .query(
            "SELECT number, tenant, faults, sealed FROM exchange_rows
             WHERE sender = $1 AND exchange = $2 AND state = 'refused' AND sealed IS NOT NULL AND number > $3
             ORDER BY number LIMIT $4",
            &[&sender.as_str(), &id.as_str(), &count(page.after)?, &limit(page.limit.max(1))],
        )
        .await;
    let mut rejections = Vec::new();
    for columns in tx.end(found).await? {
        let (row, tenant): (u64, TenantId) = (columns.number(0)?, columns.word(1)?);
        let keys = match common.met(&tenant) {
            Some(keys) => Some(keys),
            None => {
                let tx = common.connections.look(Scope { tenant: tenant.as_str(), senders: "" }).await?;
                let keys = common.keys(&tx, &tenant).await;
                tx.end(keys).await?
            }
        };
        let keys = keys.ok_or_else(|| StoreError::Corrupt("a tenant has no key".to_owned()))?;
        let source = keys.open_pending(&RowPlace { what: REFUSED, exchange: id, row }, columns.of(3)?)?;
        let faults = from_json(columns.of::<&str>(2)?.as_bytes())?;
        rejections.push(Rejection { row, source: from_json(source.expose())?, faults });
    }
    Ok(rejections)
}

/// See [`crate::StoreAdmin::exchanges`].
pub(super) async fn list(tx: &Tx, most: usize) -> Result<Vec<Exchange>, StoreError> {
    let found = tx
        .query(
            "SELECT exchange, sender, received_at, digest, layout, charset, complete FROM exchanges
             ORDER BY received_at DESC, exchange DESC LIMIT $1",
            &[&limit(most)],
        )
        .await?;
    found.iter().map(exchange).collect()
}

fn exchange(row: &Row) -> Result<Exchange, StoreError> {
    Ok(Exchange {
        id: row.word(0)?,
        sender: row.word(1)?,
        received_at: row.time(2)?,
        digest: hex::encode(row.hash(3)?),
        layout: row.word_or_none(4)?,
        charset: row.of(5)?,
        state: if row.of(6)? { ExchangeState::Complete } else { ExchangeState::Open },
    })
}

fn read_row(row: &Row) -> Result<RowResult, StoreError> {
    let tenant: TenantId = row.word(1)?;
    let record = match row.word_or_none(4)? {
        Some(record) => Some((record, row.number(5)?)),
        None => None,
    };
    let leaf: Option<i64> = row.of(7)?;
    Ok(RowResult {
        row: row.number(0)?,
        // Rows that no tenant could be told for stand under the hub.
        tenant: (!tenant.is_hub()).then_some(tenant),
        kind: row.word_or_none(2)?,
        state: read_state(row.of(3)?, record)?,
        faults: from_json(row.of::<&str>(6)?.as_bytes())?,
        leaf: leaf.and_then(|leaf| u64::try_from(leaf).ok()),
    })
}
