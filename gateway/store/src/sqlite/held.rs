//! What is held of one subject.

use rusqlite::OptionalExtension;
use tsunagi_core::disclosure::HeldRecord;
use tsunagi_core::id::{KindName, RecordId, SubjectKey, TenantId};

use super::convert::Columns;
use super::session::{Session, Tenancy};
use super::subjects::Subject;
use crate::command::{Held, SubjectRef};
use crate::error::StoreError;

/// See [`crate::Store::held`].
pub(super) fn held(
    session: &Session<'_>,
    tenant: &TenantId,
    who: &SubjectRef,
    kinds: &[KindName],
) -> Result<Option<Held>, StoreError> {
    let Some(tenancy) = session.known(tenant)? else { return Ok(None) };
    let (subject, link) = match who {
        SubjectRef::Identifier(identifier) => (tenancy.named_subject(identifier)?, None),
        SubjectRef::Record(record) => match tenancy.subject_of(record)? {
            Some(key) => (tenancy.subject(&key)?, None),
            None => (None, None),
        },
        SubjectRef::SignIn { issuer, sub, subject } => {
            let sign_in = tenancy.keys.sign_in(issuer, sub);
            let mut links = tenancy.links(&sign_in)?;
            links.retain(|(key, _)| subject.as_ref().is_none_or(|wanted| wanted == key));
            let Some((key, sealed)) = links.pop().filter(|_| links.is_empty()) else { return Ok(None) };
            (tenancy.subject(&key)?, Some((sign_in, sealed)))
        }
    };
    let Some(subject) = subject else { return Ok(None) };
    let link = link.map(|(sign_in, sealed)| tenancy.open_link(&subject, &sign_in, &sealed)).transpose()?;
    Ok(Some(Held {
        directives: tenancy.directives(&subject)?,
        records: tenancy.newest_records(&subject, kinds)?,
        version: subject.version,
        non_disclosure: subject.non_disclosure(),
        subject: subject.key,
        link,
    }))
}

impl Tenancy<'_> {
    fn subject_of(&self, record: &RecordId) -> Result<Option<SubjectKey>, StoreError> {
        self.relies_on(record.as_str().as_bytes());
        let mut select = self.conn.prepare_cached("SELECT subject FROM records WHERE tenant = ?1 AND record = ?2")?;
        Ok(select.query_row((self.tenant.as_str(), record.as_str()), |row| row.word(0)).optional()?)
    }

    fn newest_records(&self, subject: &Subject, kinds: &[KindName]) -> Result<Vec<HeldRecord>, StoreError> {
        let mut select = self.conn.prepare_cached(
            "SELECT v.record, v.version, v.recorded_at, v.sender, v.sealed FROM records r INDEXED BY records_of_subject
             CROSS JOIN record_versions v ON v.tenant = r.tenant AND v.record = r.record AND v.version = r.newest
             WHERE r.tenant = ?1 AND r.subject = ?2 AND r.kind = ?3 AND v.deleted = 0",
        )?;
        let mut records = Vec::new();
        for (at, kind) in kinds.iter().enumerate() {
            if kinds.iter().take(at).any(|before| before == kind) {
                continue;
            }
            let mut rows = select.query((self.tenant.as_str(), subject.key.as_str(), kind.as_str()))?;
            while let Some(row) = rows.next()? {
                records.push(self.held_record(subject, row)?);
            }
        }
        // Ids sort by the time of their making.
        records.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(records)
    }
}
