//! Submit (登録): bytes to documents, documents to records, records to rest. A row is accepted or refused on its own.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest;
use tokio::task::block_in_place;
use tsunagi_adapters::{Payload, adapter};
use tsunagi_core::exchange::{RowCounts, RowResult};
use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::{ExchangeId, FormatName, LayoutId, TenantId};
use tsunagi_core::refusal::Refusal;
use tsunagi_store::coordinator::Notice;
use tsunagi_store::{Accept, AcceptRow, Accepted, ExchangeHead};

use super::history::{has_schedule, hold_against_schedule};
use super::intake::Intaker;
use super::{Call, refusal_of};
use crate::gateway::Gateway;
use crate::spool::Spool;

/// Rows that one transaction takes at most: large enough to share a sync, small enough to let others in between and to
/// hold little in memory.
const ROWS_PER_TRANSACTION: usize = 256;

/// After so many rows that were all refused, the rest is not read.
const HOPELESS_ROWS: u64 = 1_024;

/// No format writes a row in fewer bytes, with what stands between two.
const LEAST_ROW_BYTES: u64 = 2;

/// From this size on decoding is moved out of the way of the other requests of its thread.
const LARGE_BYTES: u64 = 32 * 1024;

/// A body that was read to its end.
pub enum Inbody {
    /// In memory.
    Held(bytes::Bytes),
    /// Away from memory, for formats of lines: whatever its size, a piece of it is held at a time.
    Spooled(Spool),
}

impl Inbody {
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Held(bytes) => bytes.len() as u64,
            Self::Spooled(spool) => spool.length(),
        }
    }

    /// SHA-256.
    fn digest(&self) -> [u8; 32] {
        match self {
            Self::Held(bytes) => digest::digest(&digest::SHA256, bytes).as_ref().try_into().unwrap_or_default(),
            Self::Spooled(spool) => spool.digest(),
        }
    }
}

/// What the edge read.
pub struct Inbound {
    /// The wire format.
    pub format: FormatName,
    /// What narrows the layouts down.
    pub selector: Selector,
    /// The body.
    pub body: Inbody,
    /// The charset that `Content-Type` declares.
    pub charset: Option<String>,
}

/// How the endpoint narrows the caller's layouts down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The `{domain}` of the URL.
    Domain(String),
    /// The layout named in the URL.
    Layout(LayoutId),
    /// The resource type of the URL.
    ResourceType(String),
}

/// What the sender is told.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// The exchange to quote; an earlier one if this repeats it.
    pub exchange: ExchangeId,
    /// A result for each row, in order; of a spooled body they are only counted.
    pub rows: Vec<RowResult>,
    /// How many rows came to what.
    pub counts: RowCounts,
    /// True if the same body was here before under the same idempotency key.
    pub repeated: bool,
    /// Columns, or members of JSON, that the layout does not know: a misspelt name would otherwise go unnoticed.
    pub unknown_columns: BTreeSet<String>,
}

/// Takes in a payload. When it returns `Ok`, every row has its result on disk. However many rows there are, two chunks
/// of them are held at a time.
pub async fn submit(gateway: &Gateway, call: &Call, inbound: Inbound) -> Result<Submitted, Refusal> {
    let tables = gateway.tables.load_full();
    let registry = gateway.registry.load_full();
    let intake = Intaker::new(gateway, call, tables, registry, &inbound)?;
    let adapter = adapter(&inbound.format).map_err(|_| Refusal::KindUnsupported)?;
    // A sender that declares no charset writes the one of its layout.
    let charset = inbound.charset.clone().or_else(|| intake.only_charset());
    let mut head = ExchangeHead {
        id: call.exchange.clone(),
        sender: call.caller.participant.id.clone(),
        received_at: call.at,
        idempotency_key: call.idempotency_key.clone(),
        digest: inbound.body.digest(),
        layout: intake.only_layout(),
        charset: inbound.charset,
    };
    let is_large = inbound.body.length() > LARGE_BYTES;
    let held;
    let (rows, is_held, most) = match inbound.body {
        Inbody::Held(bytes) => {
            held = bytes;
            let (most, payload) = (gateway.config.edge.max_rows, Payload { bytes: &held, charset: charset.as_deref() });
            // Too many is said before the first is kept. Only a body that has room for so many is read twice.
            let may_be_many = held.len() as u64 / LEAST_ROW_BYTES > most;
            if may_be_many && block_in_place(|| adapter.decode(payload)).is_ok_and(|rows| rows.count() as u64 > most) {
                return Err(Refusal::TooLarge);
            }
            (adapter.decode(payload), true, most)
        }
        Inbody::Spooled(spool) => {
            let rows = block_in_place(|| adapter.decode_source(Box::new(spool), charset.as_deref()));
            (rows, false, gateway.config.edge.max_file_rows)
        }
    };
    let mut rows = rows.map_err(|fault| Refusal::Malformed(fault.reason))?.peekable();

    if rows.peek().is_some_and(|row| intake.knows_no_column(row)) {
        // What stands there is a person's data: it is neither kept nor repeated.
        return Err(Refusal::Malformed(Bilingual::new(
            "1行目が見出しではありません。項目対応表の列名を1行目に書いてください",
            "the first line is no header: write the layout's column names there",
        )));
    }
    let mut unknown = rows.peek().map(|row| intake.unknown_columns(row)).unwrap_or_default();
    let mut submitted = Submitted {
        exchange: call.exchange.clone(),
        rows: Vec::new(),
        counts: RowCounts::default(),
        repeated: false,
        unknown_columns: BTreeSet::new(),
    };
    let mut next_chunk = || {
        let mut take = || {
            let taken = rows.by_ref().take(ROWS_PER_TRANSACTION);
            let noted =
                taken.inspect(|row| row.iter().for_each(|document| intake.note_unknown(document, &mut unknown)));
            let mut chunk: Vec<_> = noted.map(|row| intake.row(row)).collect();
            for (tenant, row) in chunk.iter_mut().filter(|(_, row)| !has_schedule(&intake.tables, row)) {
                // What cannot be done ahead is done, and told, where the row is kept.
                drop(gateway.store.prepare(tenant, &call.exchange, row));
            }
            (chunk, rows.peek().is_none())
        };
        if is_large { block_in_place(take) } else { take() }
    };
    let mut chunk = next_chunk();
    loop {
        let (mut rows, complete) = chunk;
        if submitted.counts.rows() + rows.len() as u64 > most {
            // What was taken in so far stays; sent again in parts it is recognised and costs nothing.
            return Err(Refusal::TooLarge);
        }
        hold_against_schedule(gateway, call, (&intake.tables, &intake.registry), &mut rows).await?;
        let keeping = keep(gateway, &mut head, rows, complete, &mut submitted);
        if complete {
            let kept = keeping.await?;
            submitted.add(kept, is_held);
            break;
        }
        // The store writes these while the next ones are read.
        let (kept, next) = tokio::join!(biased; keeping, async { next_chunk() });
        submitted.add(kept?, is_held);
        if submitted.is_hopeless() {
            return Err(Refusal::Malformed(Bilingual::new(
                format!(
                    "最初の{HOPELESS_ROWS}行がすべて拒否されたので、以降は読んでいません。拒否の理由は交換番号で照会できます"
                ),
                format!(
                    "the first {HOPELESS_ROWS} rows were all refused, so the rest was not read; the exchange tells why"
                ),
            )));
        }
        chunk = next;
    }
    if submitted.counts.rows() > 0 {
        gateway.coordinator.tell(Notice::OutboxGrew);
    }
    if !submitted.repeated {
        gateway.coverage.add(call.today, intake.tally.into_coverage());
    }
    submitted.unknown_columns = unknown;
    Ok(submitted)
}

impl Submitted {
    /// So many rows and not one that could be taken: it is another file than the layout's, or none at all. Each refused
    /// row is kept for its sender to repair; a million of them would only fill the disk.
    fn is_hopeless(&self) -> bool {
        self.counts.rows() >= HOPELESS_ROWS && self.counts.refused == self.counts.rows()
    }

    fn add(&mut self, kept: Vec<RowResult>, is_held: bool) {
        for row in &kept {
            self.counts.add(&row.state);
            metrics::counter!("tsunagi_rows_total", "state" => row.state.as_str()).increment(1);
        }
        if is_held {
            self.rows.extend(kept);
        }
    }
}

/// One transaction for each tenant of the chunk; nearly always that is one. Gives the results in the order of the rows.
async fn keep(
    gateway: &Gateway,
    head: &mut ExchangeHead,
    chunk: Vec<(TenantId, AcceptRow)>,
    complete: bool,
    submitted: &mut Submitted,
) -> Result<Vec<RowResult>, Refusal> {
    let mut by_tenant: BTreeMap<TenantId, Vec<AcceptRow>> = BTreeMap::new();
    for (tenant, row) in chunk {
        by_tenant.entry(tenant).or_default().push(row);
    }
    if by_tenant.is_empty() {
        by_tenant.insert(TenantId::hub(), Vec::new());
    }
    let mut kept = Vec::new();
    let last = by_tenant.len();
    for (index, (tenant, rows)) in by_tenant.into_iter().enumerate() {
        let accept = Accept { head: head.clone(), rows, complete: complete && index + 1 == last };
        match gateway.store.accept(&tenant, accept).await.map_err(refusal_of)? {
            Accepted::Durable { exchange, rows, repeated } => {
                // Later chunks of a repeated exchange join the earlier one.
                head.id = exchange.clone();
                submitted.exchange = exchange;
                submitted.repeated |= repeated;
                kept.extend(rows);
            }
            Accepted::KeyReused => return Err(Refusal::KeyReused),
        }
    }
    kept.sort_by_key(|row| row.row);
    Ok(kept)
}
