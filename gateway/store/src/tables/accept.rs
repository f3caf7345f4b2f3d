//! Rows come in.

use std::collections::BTreeSet;

use tsunagi_core::audit::{Action, AuditEvent};
use tsunagi_core::document::Document;
use tsunagi_core::exchange::{RowResult, RowState};
use tsunagi_core::fault::{RowCode, RowFault};
use tsunagi_core::id::{ExchangeId, KindName, ParticipantId, SubjectKey};

use super::Tables;
use super::convert::to_json;
use super::drafts::{Draft, First};
use super::exchanges::REFUSED;
use super::leaves::Leaves;
use super::records::{Incoming, Kept, Origin, keep, keep_first};
use super::subjects::{Name, Who, who};
use super::waiting;
use crate::command::{AcceptRow, Intake, NewRecord};
use crate::error::StoreError;
use crate::keys::RowPlace;

/// Keeps the rows of one call. `decided` are those of them that have their results already.
pub(crate) fn keep_rows<T: Tables>(
    tables: &T,
    (sender, exchange): (ParticipantId, ExchangeId),
    decided: BTreeSet<u64>,
    rows: Vec<AcceptRow>,
) -> Result<Vec<RowResult>, StoreError> {
    let somebody_waits = tables.is_anybody_awaited()?;
    let leaves = Leaves::open(tables)?;
    let mut desk = Desk { decided, somebody_waits, tables, leaves, exchange, sender, changed: 0 };
    let mut results = Vec::with_capacity(rows.len());
    for row in rows {
        results.push(desk.row(row)?);
    }
    let Desk { leaves, exchange, sender, changed, .. } = desk;
    leaves.close();
    if changed > 0 {
        // A row of this very call may have waited for a later one.
        for row in results.iter_mut().filter(|row| row.state == RowState::Waiting) {
            if let Some(now) = tables.row_result(&sender, &exchange, row.row)? {
                *row = now;
            }
        }
    }
    Ok(results)
}

struct Desk<'t, T> {
    tables: &'t T,
    leaves: Leaves<'t, T>,
    exchange: ExchangeId,
    sender: ParticipantId,
    /// The rows of this call that have their results.
    decided: BTreeSet<u64>,
    /// False if no row of the tenant waits for anybody.
    somebody_waits: bool,
    /// How many rows that waited stand otherwise now.
    changed: usize,
}

impl<T: Tables> Desk<'_, T> {
    fn row(&mut self, row: AcceptRow) -> Result<RowResult, StoreError> {
        if !self.decided.insert(row.row)
            && let Some(decided) = self.tables.row_result(&self.sender, &self.exchange, row.row)?
        {
            return Ok(decided);
        }
        let AcceptRow { row, faults, intake, mut event, draft } = row;
        let is_elsewhere = event.exchange.as_ref() != Some(&self.exchange);
        event.exchange = Some(self.exchange.clone());
        let line = Line { row, faults, event };
        match intake {
            Intake::Record(new) => {
                let draft = match draft {
                    // Its leaf tells of another exchange.
                    Some(mut draft) if is_elsewhere => {
                        draft.first = None;
                        *draft
                    }
                    Some(draft) => *draft,
                    None => Draft::of(self.tables.keys(), &new)?,
                };
                self.record(line, *new, draft)
            }
            Intake::Refused { kind, source } => self.refused(line, kind, &source),
        }
    }

    fn refused(&mut self, mut line: Line, kind: Option<KindName>, source: &Document) -> Result<RowResult, StoreError> {
        line.event.action = Action::RecordRefused;
        let result = self.write(line, kind, RowState::Refused)?;
        let place = RowPlace { what: REFUSED, exchange: &self.exchange, row: result.row };
        let sealed = self.tables.keys().seal_pending(&place, &to_json(source)?)?;
        self.tables.write_source(&self.sender, &self.exchange, result.row, &sealed)?;
        Ok(result)
    }

    fn record(&mut self, mut line: Line, new: NewRecord, draft: Draft) -> Result<RowResult, StoreError> {
        if self.tables.tenant().is_hub() {
            // The hub has a log and no records; a caller that says otherwise has lost the tenant on the way.
            return Err(StoreError::NotFound);
        }
        let kind = new.record.kind().clone();
        let Draft { names, content, first } = draft;
        let origin = self.origin(&line);
        let (result, named) = match who(self.tables, &names)? {
            Who::One(key) => {
                let subject = self.tables.subject(&key)?;
                let subject =
                    subject.ok_or_else(|| StoreError::Corrupt("an identifier names no subject".to_owned()))?;
                // What a sender says who may not make subjects only finds: else it could plant an identifier, and a
                // later registration of somebody else under it would make two people one.
                let named =
                    if new.new_subject.is_some() { self.tables.name(&subject.key, &names)? } else { Vec::new() };
                let incoming = Incoming::from(new);
                let kept = keep(self.tables, &subject, &incoming, &content, &origin)?;
                tell(&mut line.event, &subject.key, &kept, incoming.deleted);
                (self.write(line, Some(kind), kept.state())?, named)
            }
            Who::Nobody => {
                let first = match first {
                    None => First::of(self.tables.keyring(), self.tables.keys(), &mut line.event, &new, &content)?,
                    made => made,
                };
                let Some(first) = first else {
                    return self.wait(line, &names, &new.into(), RowCode::SubjectUnknown);
                };
                let kept = keep_first(self.tables, &first, &new.into(), &origin)?;
                let named = self.tables.name(&first.subject, &names)?;
                let leaf = self.leaves.write(&first.leaf)?;
                (self.result(line, Some(kind), kept.state(), leaf)?, named)
            }
            Who::Several => return self.wait(line, &names, &new.into(), RowCode::SubjectAmbiguous),
        };
        if self.somebody_waits {
            self.changed += waiting::take_up(self.tables, &mut self.leaves, named, origin.at)?;
        }
        Ok(result)
    }

    fn wait(
        &mut self,
        mut line: Line,
        names: &[Name],
        incoming: &Incoming,
        code: RowCode,
    ) -> Result<RowResult, StoreError> {
        self.somebody_waits = true;
        line.event.action = Action::RecordWaiting;
        // A draft may have named the subject that this row would have made.
        line.event.subject = None;
        line.event.records = Vec::new();
        line.event.reason = Some(code.as_str().to_owned());
        line.faults.push(waiting::fault(line.row, code));
        waiting::keep(self.tables, &self.origin(&line), names, incoming, &line.event)?;
        self.write(line, Some(incoming.record.kind().clone()), RowState::Waiting)
    }

    /// Writes the leaf and the result that quotes it.
    fn write(&mut self, line: Line, kind: Option<KindName>, state: RowState) -> Result<RowResult, StoreError> {
        let leaf = self.leaves.append(&line.event)?;
        self.result(line, kind, state, leaf)
    }

    fn result(&self, line: Line, kind: Option<KindName>, state: RowState, leaf: u64) -> Result<RowResult, StoreError> {
        let tenant = (!self.tables.tenant().is_hub()).then(|| self.tables.tenant().clone());
        let result = RowResult { row: line.row, tenant, kind, state, faults: line.faults, leaf: Some(leaf) };
        self.tables.write_row(&self.sender, &self.exchange, &result)?;
        Ok(result)
    }

    fn origin(&self, line: &Line) -> Origin {
        Origin { exchange: self.exchange.clone(), sender: self.sender.clone(), row: line.row, at: line.event.at }
    }
}

/// A row without what it brings.
struct Line {
    row: u64,
    faults: Vec<RowFault>,
    event: AuditEvent,
}

impl Kept {
    pub(crate) fn state(&self) -> RowState {
        let (record, version) = (self.record.clone(), self.version);
        if self.is_new { RowState::Accepted { record, version } } else { RowState::Unchanged { record, version } }
    }
}

/// Fills in what the store has found out.
pub(crate) fn tell(event: &mut AuditEvent, subject: &SubjectKey, kept: &Kept, deleted: bool) {
    event.action = if deleted { Action::RecordDeleted } else { Action::RecordAccepted };
    event.subject = Some(subject.clone());
    event.records = vec![(kept.record.clone(), kept.version)];
}
