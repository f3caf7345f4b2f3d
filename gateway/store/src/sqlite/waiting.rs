//! Rows that wait for their subject.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tsunagi_core::audit::AuditEvent;
use tsunagi_core::exchange::RowState;
use tsunagi_core::fault::{Bilingual, RowCode, RowFault};
use tsunagi_core::id::{ExchangeId, ParticipantId, SubjectKey};

use super::accept::tell;
use super::audit::Leaves;
use super::convert::{Columns, count, from_json, to_json};
use super::exchanges;
use super::records::{Incoming, Origin};
use super::session::Tenancy;
use super::subjects::{Name, Who};
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
    names: &[Name],
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
    let mut insert = tenancy.conn.prepare_cached(
        "INSERT INTO waiting_identifiers (tenant, blind, system, single_valued, ordinal) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for name in names {
        insert.execute((tenancy.tenant.as_str(), name.blind, name.system.as_str(), name.is_single, ordinal))?;
    }
    Ok(())
}

/// True if rows of this tenant wait for somebody.
pub(super) fn is_any(tenancy: &Tenancy<'_>) -> Result<bool, StoreError> {
    let mut select = tenancy.conn.prepare_cached("SELECT 1 FROM waiting_identifiers WHERE tenant = ?1 LIMIT 1")?;
    Ok(select.exists([tenancy.tenant.as_str()])?)
}

/// Takes up the rows that name exactly one subject now that these identifiers are known; gives the number of rows that
/// stand otherwise now.
///
/// A row that is taken up makes no identifier known, whoever sent it: a row of a sender who may do that waits only
/// where its identifiers contradict each other, and they never name one subject afterwards.
pub(super) fn take_up(
    tenancy: &Tenancy<'_>,
    leaves: &mut Leaves<'_, '_>,
    known: Vec<Hash>,
    at: Timestamp,
) -> Result<usize, StoreError> {
    let mut changed = 0;
    for blind in known {
        for row in waiting_for(tenancy, &blind)? {
            match tenancy.who(&names_of(tenancy, row.ordinal)?)? {
                Who::Nobody => {}
                Who::One(subject) => {
                    take(tenancy, leaves, &subject, row, at)?;
                    changed += 1;
                }
                Who::Several => changed += usize::from(waits_for_good(tenancy, &row)?),
            }
        }
    }
    Ok(changed)
}

/// Lets go of the rows that carry an identifier: they are refused, and nothing of them is kept.
pub(super) fn drop_rows(tenancy: &Tenancy<'_>, blind: &Hash) -> Result<u64, StoreError> {
    let mut dropped = 0;
    for row in waiting_for(tenancy, blind)? {
        let mut result = exchanges::row_result(tenancy.conn, &row.exchange, row.row)?.ok_or_else(lost)?;
        result.state = RowState::Refused;
        exchanges::rewrite_row(tenancy.conn, &row.exchange, &result)?;
        tenancy.conn.prepare_cached("DELETE FROM waiting_rows WHERE ordinal = ?1")?.execute([row.ordinal])?;
        dropped += 1;
    }
    Ok(dropped)
}

/// Why a row waits.
pub(super) fn fault(row: u64, code: RowCode) -> RowFault {
    let reason = if code == RowCode::SubjectAmbiguous {
        Bilingual::new(
            "識別子が一人の対象者に定まりません。行は保留されますが、自動では取り込まれません。市町村が自らの登録の識別子を\
             訂正するか、送信者が一人だけを指す識別子で行を送り直してください",
            "the identifiers do not name one subject; the row is kept but is not taken up by itself: the municipality \
             has to correct the identifiers in its own registration, or the sender to send the row again with \
             identifiers that name one person",
        )
    } else {
        Bilingual::new(
            "この識別子の対象者がまだ登録されていません。行は保留され、市町村が対象者を登録すると取り込まれます",
            "no subject with these identifiers is registered yet; the row waits and is taken up when the municipality \
             registers the person",
        )
    };
    RowFault { row, column: String::new(), code, reason }
}

fn is_wait(fault: &RowFault) -> bool {
    matches!(fault.code, RowCode::SubjectAmbiguous | RowCode::SubjectUnknown)
}

/// Takes back the promise that a row will be taken up; true if there was one.
fn waits_for_good(tenancy: &Tenancy<'_>, row: &WaitingRow) -> Result<bool, StoreError> {
    let mut result = exchanges::row_result(tenancy.conn, &row.exchange, row.row)?.ok_or_else(lost)?;
    if !result.faults.iter().any(|fault| fault.code == RowCode::SubjectUnknown) {
        return Ok(false);
    }
    result.faults.retain(|fault| !is_wait(fault));
    result.faults.push(fault(row.row, RowCode::SubjectAmbiguous));
    exchanges::rewrite_row(tenancy.conn, &row.exchange, &result)?;
    Ok(true)
}

fn lost() -> StoreError {
    StoreError::Corrupt("a waiting row has lost what it belongs to".to_owned())
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
    // Read anew for each row: the row before may have moved the flag.
    let subject = tenancy.subject(subject)?.ok_or_else(lost)?;
    let mut result = exchanges::row_result(tenancy.conn, &row.exchange, row.row)?.ok_or_else(lost)?;
    tenancy.conn.prepare_cached("DELETE FROM waiting_rows WHERE ordinal = ?1")?.execute([row.ordinal])?;

    let origin = Origin { exchange: row.exchange, sender: row.sender, row: row.row, at };
    let content = to_json(&incoming.record)?;
    let kept = tenancy.keep(&subject, &incoming, &content, &origin)?;
    event.at = at;
    event.reason = None;
    tell(&mut event, &subject.key, &kept, incoming.deleted);
    result.leaf = Some(leaves.append(&event)?);
    result.state = kept.state();
    result.faults.retain(|fault| !is_wait(fault));
    exchanges::rewrite_row(tenancy.conn, &origin.exchange, &result)
}

/// The rows that carry an identifier, in the order they came.
fn waiting_for(tenancy: &Tenancy<'_>, blind: &Hash) -> Result<Vec<WaitingRow>, StoreError> {
    let mut select = tenancy.conn.prepare_cached(
        "SELECT w.ordinal, w.exchange, w.row, w.sender, w.sealed FROM waiting_identifiers i
         CROSS JOIN waiting_rows w ON w.ordinal = i.ordinal
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

fn names_of(tenancy: &Tenancy<'_>, ordinal: i64) -> Result<Vec<Name>, StoreError> {
    let mut select = tenancy
        .conn
        .prepare_cached("SELECT system, single_valued, blind FROM waiting_identifiers WHERE ordinal = ?1")?;
    let names = select
        .query_map([ordinal], |row| Ok(Name { system: row.word(0)?, is_single: row.get(1)?, blind: row.hash(2)? }))?;
    Ok(names.collect::<Result<_, _>>()?)
}
