//! Rows come in.

use tsunagi_core::audit::{Action, AuditEvent};
use tsunagi_core::document::Document;
use tsunagi_core::exchange::{RowResult, RowState};
use tsunagi_core::fault::{RowCode, RowFault};
use tsunagi_core::id::{ExchangeId, KindName, ParticipantId, SubjectKey, TenantId};

use super::audit::Leaves;
use super::convert::to_json;
use super::exchanges::{self, Entered};
use super::records::{Incoming, Kept, Origin};
use super::session::{Session, Tenancy};
use super::subjects::{Name, Subject, Who};
use super::waiting;
use crate::command::{Accept, AcceptRow, Accepted, Intake, NewRecord};
use crate::error::StoreError;
use crate::keys::Hash;

/// See [`crate::Store::accept`].
pub(super) fn accept(session: &Session<'_>, tenant: &TenantId, accept: Accept) -> Result<Accepted, StoreError> {
    let hub = session.enter(&TenantId::hub())?;
    let (exchange, repeated) = match exchanges::enter(&hub, &accept.head)? {
        Entered::Exchange { id, repeated, is_complete: false } => (id, repeated),
        Entered::Exchange { id: exchange, repeated, is_complete: true } => {
            let rows = accept.rows.iter().map(|row| exchanges::row_result(session.conn, &exchange, row.row));
            let rows = rows.filter_map(Result::transpose).collect::<Result<_, _>>()?;
            return Ok(Accepted::Durable { exchange, rows, repeated });
        }
        Entered::Reused => return Ok(Accepted::KeyReused),
    };
    let tenancy = session.enter(tenant)?;
    let mut desk =
        Desk { tenancy: &tenancy, leaves: Leaves::open(&tenancy)?, exchange, sender: accept.head.sender, changed: 0 };
    let mut rows = Vec::with_capacity(accept.rows.len());
    for row in accept.rows {
        rows.push(desk.row(row)?);
    }
    let Desk { leaves, exchange, changed, .. } = desk;
    leaves.close();
    if changed > 0 {
        // A row of this very call may have waited for a later one.
        for row in rows.iter_mut().filter(|row| row.state == RowState::Waiting) {
            if let Some(now) = exchanges::row_result(session.conn, &exchange, row.row)? {
                *row = now;
            }
        }
    }
    if accept.complete {
        exchanges::complete(session, &exchange)?;
    }
    Ok(Accepted::Durable { exchange, rows, repeated })
}

struct Desk<'t, 'c> {
    tenancy: &'t Tenancy<'c>,
    leaves: Leaves<'t, 'c>,
    exchange: ExchangeId,
    sender: ParticipantId,
    /// How many rows that waited stand otherwise now.
    changed: usize,
}

impl Desk<'_, '_> {
    fn row(&mut self, row: AcceptRow) -> Result<RowResult, StoreError> {
        if let Some(decided) = exchanges::row_result(self.tenancy.conn, &self.exchange, row.row)? {
            return Ok(decided);
        }
        let AcceptRow { row, faults, intake, mut event } = row;
        event.exchange = Some(self.exchange.clone());
        let line = Line { row, faults, event };
        match intake {
            Intake::Record(new) => self.record(line, *new),
            Intake::Refused { kind, source } => self.refused(line, kind, &source),
        }
    }

    fn refused(&mut self, mut line: Line, kind: Option<KindName>, source: &Document) -> Result<RowResult, StoreError> {
        line.event.action = Action::RecordRefused;
        let result = self.write(line, kind, RowState::Refused)?;
        self.tenancy.write_source(&self.exchange, result.row, &to_json(source)?)?;
        Ok(result)
    }

    fn record(&mut self, mut line: Line, new: NewRecord) -> Result<RowResult, StoreError> {
        if self.tenancy.tenant.is_hub() {
            // The hub has a log and no records; a caller that says otherwise has lost the tenant on the way.
            return Err(StoreError::NotFound);
        }
        let kind = new.record.kind().clone();
        let names = self.tenancy.names(&new.identifiers, &new.single_valued)?;
        let (subject, named) = match self.subject(&names, new.new_subject.as_ref())? {
            Found::Subject(subject, named) => (subject, named),
            Found::Wait(code) => return self.wait(line, &names, &new.into(), code),
        };
        let incoming = Incoming::from(new);
        let origin = self.origin(&line);
        let kept = self.tenancy.keep(&subject, &incoming, &origin)?;
        tell(&mut line.event, &subject.key, &kept, incoming.deleted);
        let result = self.write(line, Some(kind), kept.state())?;
        self.changed += waiting::take_up(self.tenancy, &mut self.leaves, named, origin.at)?;
        Ok(result)
    }

    /// Finds or makes the subject, and says which identifiers became known by that.
    fn subject(&self, names: &[Name], new: Option<&SubjectKey>) -> Result<Found, StoreError> {
        let subject = match (self.tenancy.who(names)?, new) {
            (Who::One(key), _) => self
                .tenancy
                .subject(&key)?
                .ok_or_else(|| StoreError::Corrupt("an identifier names no subject".to_owned()))?,
            (Who::Nobody, Some(key)) => self.tenancy.make_subject(key)?,
            (Who::Nobody, None) => return Ok(Found::Wait(RowCode::SubjectUnknown)),
            (Who::Several, _) => return Ok(Found::Wait(RowCode::SubjectAmbiguous)),
        };
        // What a sender says who may not make subjects only finds: else it could plant an identifier, and a later
        // registration of somebody else under it would make two people one.
        let named = if new.is_some() { self.tenancy.name(&subject.key, names)? } else { Vec::new() };
        Ok(Found::Subject(subject, named))
    }

    fn wait(
        &mut self,
        mut line: Line,
        names: &[Name],
        incoming: &Incoming,
        code: RowCode,
    ) -> Result<RowResult, StoreError> {
        line.event.action = Action::RecordWaiting;
        line.event.reason = Some(code.as_str().to_owned());
        line.faults.push(waiting::fault(line.row, code));
        waiting::keep(self.tenancy, &self.origin(&line), names, incoming, &line.event)?;
        self.write(line, Some(incoming.record.kind().clone()), RowState::Waiting)
    }

    /// Writes the leaf and the result that quotes it.
    fn write(&mut self, line: Line, kind: Option<KindName>, state: RowState) -> Result<RowResult, StoreError> {
        let tenant = (!self.tenancy.tenant.is_hub()).then(|| self.tenancy.tenant.clone());
        let leaf = Some(self.leaves.append(&line.event)?);
        let result = RowResult { row: line.row, tenant, kind, state, faults: line.faults, leaf };
        self.tenancy.write_row(&self.exchange, &result)?;
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

enum Found {
    Subject(Subject, Vec<Hash>),
    Wait(RowCode),
}

impl Kept {
    pub(super) fn state(&self) -> RowState {
        let (record, version) = (self.record.clone(), self.version);
        if self.is_new { RowState::Accepted { record, version } } else { RowState::Unchanged { record, version } }
    }
}

/// Fills in what the store has found out.
pub(super) fn tell(event: &mut AuditEvent, subject: &SubjectKey, kept: &Kept, deleted: bool) {
    event.action = if deleted { Action::RecordDeleted } else { Action::RecordAccepted };
    event.subject = Some(subject.clone());
    event.records = vec![(kept.record.clone(), kept.version)];
}
