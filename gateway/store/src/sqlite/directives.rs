//! Consent directives, and events that rest on what was read.

use jiff::Timestamp;
use rusqlite::OptionalExtension;
use tsunagi_core::audit::AuditEvent;
use tsunagi_core::id::{DirectiveId, SubjectKey, TenantId};
use tsunagi_core::policy::Directive;

use super::session::{Session, Tenancy};
use crate::command::Note;
use crate::error::StoreError;
use crate::tables::{
    ENDED, LeafContent, Leaves, SealedDirective, Subject, Tables, append_one, ends_at, open_directive, seal_directive,
};

/// See [`crate::Store::note`].
pub(super) fn note(
    session: &Session<'_>,
    tenant: &TenantId,
    Note { rests_on, directive, .. }: &Note,
    contents: &[LeafContent],
) -> Result<Vec<u64>, StoreError> {
    // A tenant that holds what a decision rests on is not made now.
    let tenancy = match rests_on.is_empty() {
        true => session.enter(tenant)?,
        false => session.known(tenant)?.ok_or(StoreError::Stale)?,
    };
    for (subject, version) in rests_on {
        if tenancy.subject_version(subject)? != Some(*version) {
            return Err(StoreError::Stale);
        }
    }
    if let Some(directive) = directive {
        tenancy.write_directive(directive)?;
    }
    let mut leaves = Leaves::open(&tenancy)?;
    let indexes = contents.iter().map(|content| leaves.write(content)).collect::<Result<_, _>>()?;
    leaves.close();
    Ok(indexes)
}

/// See [`crate::Store::record_directive`].
pub(super) fn record(
    session: &Session<'_>,
    tenant: &TenantId,
    directive: &Directive,
    event: &AuditEvent,
) -> Result<u64, StoreError> {
    let tenancy = session.known(tenant)?.ok_or(StoreError::NotFound)?;
    tenancy.write_directive(directive)?;
    append_one(&tenancy, event)
}

/// See [`crate::Store::withdraw_directive`].
pub(super) fn withdraw(
    session: &Session<'_>,
    tenant: &TenantId,
    subject: &SubjectKey,
    id: &DirectiveId,
    at: Timestamp,
    event: &AuditEvent,
) -> Result<u64, StoreError> {
    let tenancy = session.known(tenant)?.ok_or(StoreError::NotFound)?;
    let subject = tenancy.subject(subject)?.ok_or(StoreError::NotFound)?;
    let mut directive = tenancy.directive(&subject, id)?.ok_or(StoreError::NotFound)?;
    // A withdrawal is never put off by a later one: the call may be repeated.
    if directive.withdrawn_at.is_none_or(|earlier| at < earlier) {
        directive.withdrawn_at = Some(at);
        let sealed = seal_directive(tenant, &subject, &directive)?;
        tenancy
            .conn
            .prepare_cached(
                "UPDATE directives SET sealed = ?4, ends_at = ?5
                 WHERE tenant = ?1 AND subject = ?2 AND directive = ?3",
            )?
            .execute((tenant.as_str(), subject.key.as_str(), id.as_str(), sealed, ends_at(&directive)))?;
        tenancy.moved(&subject)?;
    }
    append_one(&tenancy, event)
}

impl Tenancy<'_> {
    /// The directives of a subject: all that may still be in force, and the newest of those that have ended. A subject
    /// with a consent for every visit would otherwise make each lookup slower than the one before.
    pub(super) fn directives(&self, subject: &Subject) -> Result<Vec<SealedDirective>, StoreError> {
        let past = self.past();
        let mut newest_end_first = self.conn.prepare_cached(
            "SELECT directive, ends_at, sealed FROM directives INDEXED BY directives_by_end
             WHERE tenant = ?1 AND subject = ?2 ORDER BY ends_at DESC",
        )?;
        let mut rows = newest_end_first.query((self.tenant.as_str(), subject.key.as_str()))?;
        let (mut all, mut ended) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let ends_at = row.get(1)?;
            ended += usize::from(ends_at <= past);
            if ended > ENDED {
                break;
            }
            all.push(SealedDirective { id: row.get(0)?, ends_at, sealed: row.get(2)? });
        }
        Ok(all)
    }

    /// Keeps a directive. One that is there already stays as it is, withdrawn or not, so that a repeated call can
    /// never bring a withdrawn consent back.
    fn write_directive(&self, directive: &Directive) -> Result<(), StoreError> {
        let subject = self.subject(&directive.subject)?.ok_or(StoreError::NotFound)?;
        let sealed = seal_directive(&self.tenant, &subject, directive)?;
        let written = self
            .conn
            .prepare_cached(
                "INSERT INTO directives (tenant, subject, directive, sealed, ends_at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (tenant, subject, directive) DO NOTHING",
            )?
            .execute((self.tenant.as_str(), subject.key.as_str(), directive.id.as_str(), sealed, ends_at(directive)))?;
        if written > 0 { self.moved(&subject) } else { Ok(()) }
    }

    fn directive(&self, subject: &Subject, id: &DirectiveId) -> Result<Option<Directive>, StoreError> {
        let mut select = self
            .conn
            .prepare_cached("SELECT sealed FROM directives WHERE tenant = ?1 AND subject = ?2 AND directive = ?3")?;
        let sealed: Option<Vec<u8>> =
            select.query_row((self.tenant.as_str(), subject.key.as_str(), id.as_str()), |row| row.get(0)).optional()?;
        sealed.map(|sealed| open_directive(&self.tenant, subject, id.as_str(), &sealed)).transpose()
    }
}
