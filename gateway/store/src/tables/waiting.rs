//! Rows that wait for their subject.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tsunagi_core::audit::AuditEvent;
use tsunagi_core::exchange::RowState;
use tsunagi_core::fault::{Bilingual, RowCode, RowFault};
use tsunagi_core::id::{ExchangeId, ParticipantId, SubjectKey};

use super::Tables;
use super::accept::tell;
use super::convert::{from_json, to_json};
use super::leaves::Leaves;
use super::records::{Incoming, Origin, keep as keep_record};
use super::subjects::{Name, Who, who};
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

/// A row that waits, as it is stored.
#[derive(Clone)]
pub(crate) struct WaitingRow {
    /// Grows in the order they came.
    pub(crate) ordinal: i64,
    pub(crate) exchange: ExchangeId,
    pub(crate) row: u64,
    pub(crate) sender: ParticipantId,
    pub(crate) sealed: Vec<u8>,
}

/// Keeps a row until one of its identifiers becomes known.
pub(super) fn keep(
    tables: &impl Tables,
    origin: &Origin,
    names: &[Name],
    incoming: &Incoming,
    event: &AuditEvent,
) -> Result<(), StoreError> {
    let place = RowPlace { what: WAITING, exchange: &origin.exchange, row: origin.row };
    let sealed = tables.keys().seal_pending(&place, &to_json(&ToWait { incoming, event })?)?;
    tables.write_waiting(origin, names, &sealed)
}

/// Takes up the rows that name exactly one subject now that these identifiers are known; gives the number of rows that
/// stand otherwise now.
///
/// A row that is taken up makes no identifier known, whoever sent it: a row of a sender who may do that waits only
/// where its identifiers contradict each other, and they never name one subject afterwards.
pub(super) fn take_up<T: Tables>(
    tables: &T,
    leaves: &mut Leaves<'_, T>,
    known: Vec<Hash>,
    at: Timestamp,
) -> Result<usize, StoreError> {
    let mut changed = 0;
    for blind in known {
        for row in tables.waiting_for(&blind)? {
            match who(tables, &tables.names_of(row.ordinal)?)? {
                Who::Nobody => {}
                Who::One(subject) => {
                    take(tables, leaves, &subject, row, at)?;
                    changed += 1;
                }
                Who::Several => changed += usize::from(waits_for_good(tables, &row)?),
            }
        }
    }
    Ok(changed)
}

/// Lets go of the rows that carry an identifier: they are refused, and nothing of them is kept.
pub(crate) fn drop_rows(tables: &impl Tables, blind: &Hash) -> Result<u64, StoreError> {
    let mut dropped = 0;
    for row in tables.waiting_for(blind)? {
        let mut result = tables.row_result(&row.sender, &row.exchange, row.row)?.ok_or_else(lost)?;
        result.state = RowState::Refused;
        tables.rewrite_row(&row.sender, &row.exchange, &result)?;
        tables.end_wait(row.ordinal)?;
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
fn waits_for_good(tables: &impl Tables, row: &WaitingRow) -> Result<bool, StoreError> {
    let mut result = tables.row_result(&row.sender, &row.exchange, row.row)?.ok_or_else(lost)?;
    if !result.faults.iter().any(|fault| fault.code == RowCode::SubjectUnknown) {
        return Ok(false);
    }
    result.faults.retain(|fault| !is_wait(fault));
    result.faults.push(fault(row.row, RowCode::SubjectAmbiguous));
    tables.rewrite_row(&row.sender, &row.exchange, &result)?;
    Ok(true)
}

fn lost() -> StoreError {
    StoreError::Corrupt("a waiting row has lost what it belongs to".to_owned())
}

fn take<T: Tables>(
    tables: &T,
    leaves: &mut Leaves<'_, T>,
    subject: &SubjectKey,
    row: WaitingRow,
    at: Timestamp,
) -> Result<(), StoreError> {
    let place = RowPlace { what: WAITING, exchange: &row.exchange, row: row.row };
    let Waited { incoming, mut event } = from_json(tables.keys().open_pending(&place, &row.sealed)?.expose())?;
    // Read anew for each row: the row before may have moved the flag.
    let subject = tables.subject(subject)?.ok_or_else(lost)?;
    let mut result = tables.row_result(&row.sender, &row.exchange, row.row)?.ok_or_else(lost)?;
    tables.end_wait(row.ordinal)?;

    let origin = Origin { exchange: row.exchange, sender: row.sender, row: row.row, at };
    let content = to_json(&incoming.record)?;
    let kept = keep_record(tables, &subject, &incoming, &content, &origin)?;
    event.at = at;
    event.reason = None;
    tell(&mut event, &subject.key, &kept, incoming.deleted);
    result.leaf = Some(leaves.append(&event)?);
    result.state = kept.state();
    result.faults.retain(|fault| !is_wait(fault));
    tables.rewrite_row(&origin.sender, &origin.exchange, &result)
}
