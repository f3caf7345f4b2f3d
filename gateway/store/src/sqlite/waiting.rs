//! Rows that wait for their subject.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tsunagi_core::audit::AuditEvent;
use tsunagi_core::fault::RowCode;
use tsunagi_core::id::{ExchangeId, ParticipantId, SubjectKey};

use super::accept::tell;
use super::audit::Leaves;
use super::convert::{Columns, count, from_json, to_json};
use super::records::{Incoming, Origin};
use super::session::Tenancy;
use super::subjects::Who;
use crate::error::StoreError;
use crate::keys::{Hash, RowPlace};

/// What the content of a waiting row is sealed as.
const WAITING: &str = "waiting row";

#[derive(Serialize)]
struct ToWait<'a> {
    incoming: &'a Incoming,
    event: &'a AuditEvent,
}

#[derive(Deserialize)]
struct Waited {
    incoming: Incoming,
    event: AuditEvent,
}

struct WaitingRow {
    ordinal: i64,
    exchange: ExchangeId,
    row: u64,
    sender: ParticipantId,
    sealed: Vec<u8>,
}

/// Keeps a row until one of its identifiers becomes known.
pub(super) fn keep(
    tenancy: &Tenancy<'_>,
    origin: &Origin,
    blinds: &[Hash],
    incoming: &Incoming,
    event: &AuditEvent,
) -> Result<(), StoreError> {
    let place = RowPlace { what: WAITING, exchange: &origin.exchange, row: origin.row };
    let sealed = tenancy.keys.seal_pending(&place, &to_json(&ToWait { incoming, event })?)?;
    tenancy
        .conn
        .prepare_cached("INSERT INTO waiting_rows (tenant, exchange, row, sender, sealed) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute((
            tenancy.tenant.as_str(),
            origin.exchange.as_str(),
            count(origin.row)?,
            origin.sender.as_str(),
            sealed,
        ))?;
    let ordinal = tenancy.conn.last_insert_rowid();
    let mut insert =
        tenancy.conn.prepare_cached("INSERT INTO waiting_identifiers (tenant, blind, ordinal) VALUES (?1, ?2, ?3)")?;
    for blind in blinds {
        insert.execute((tenancy.tenant.as_str(), blind, ordinal))?;
    }
    Ok(())
}

/// Takes up the rows that name exactly one subject now that these identifiers are known. A row that is taken up may
/// make further identifiers known, and so on.
pub(super) fn take_up(
    tenancy: &Tenancy<'_>,
    leaves: &mut Leaves<'_, '_>,
    known: Vec<Hash>,
    at: Timestamp,
) -> Result<usize, StoreError> {
    let mut taken = 0;
    let mut known = VecDeque::from(known);
    while let Some(blind) = known.pop_front() {
        for row in waiting_for(tenancy, &blind)? {
            let blinds = identifiers_of(tenancy, row.ordinal)?;
            let Who::One(subject) = tenancy.who(&blinds)? else { continue };
            known.extend(tenancy.name(&subject, &blinds)?);
            take(tenancy, leaves, &subject, row, at)?;
            taken += 1;
        }
    }
    Ok(taken)
}

fn take(
    tenancy: &Tenancy<'_>,
    leaves: &mut Leaves<'_, '_>,
    subject: &SubjectKey,
    row: WaitingRow,
    at: Timestamp,
) -> Result<(), StoreError> {
    let place = RowPlace { what: WAITING, exchange: &row.exchange, row: row.row };
    let Waited { incoming, mut event } = from_json(tenancy.keys.open_pending(&place, &row.sealed)?.expose())?;
    let missing = || StoreError::Corrupt("a waiting row has lost what it belongs to".to_owned());
    // Read anew for each row: the row before may have moved the flag.
    let subject = tenancy.subject(subject)?.ok_or_else(missing)?;
    let mut result = tenancy.row_result(&row.exchange, row.row)?.ok_or_else(missing)?;
    tenancy.conn.prepare_cached("DELETE FROM waiting_rows WHERE ordinal = ?1")?.execute([row.ordinal])?;

    let origin = Origin { exchange: row.exchange, sender: row.sender, row: row.row, at };
    let kept = tenancy.keep(&subject, &incoming, &origin)?;
    event.at = at;
    event.reason = None;
    tell(&mut event, &subject.key, &kept, incoming.deleted);
    result.leaf = Some(leaves.append(&event)?);
    result.state = kept.state();
    result.faults.retain(|fault| !matches!(fault.code, RowCode::SubjectAmbiguous | RowCode::SubjectUnknown));
    tenancy.rewrite_row(&origin.exchange, &result)
}

/// The rows that carry an identifier, in the order they came.
fn waiting_for(tenancy: &Tenancy<'_>, blind: &Hash) -> Result<Vec<WaitingRow>, StoreError> {
    let mut select = tenancy.conn.prepare_cached(
        "SELECT w.ordinal, w.exchange, w.row, w.sender, w.sealed FROM waiting_identifiers i
         JOIN waiting_rows w ON w.ordinal = i.ordinal
         WHERE i.tenant = ?1 AND i.blind = ?2 ORDER BY i.ordinal",
    )?;
    let rows = select.query_map((tenancy.tenant.as_str(), blind), |row| {
        Ok(WaitingRow {
            ordinal: row.get(0)?,
            exchange: row.word(1)?,
            row: row.number(2)?,
            sender: row.word(3)?,
            sealed: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn identifiers_of(tenancy: &Tenancy<'_>, ordinal: i64) -> Result<Vec<Hash>, StoreError> {
    let mut select = tenancy.conn.prepare_cached("SELECT blind FROM waiting_identifiers WHERE ordinal = ?1")?;
    let blinds = select.query_map([ordinal], |row| row.hash(0))?;
    Ok(blinds.collect::<Result<_, _>>()?)
}
