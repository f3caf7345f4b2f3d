//! What is held of one subject.

use std::sync::Arc;

use rusqlite::OptionalExtension;
use tsunagi_core::id::{KindName, RecordId, SubjectKey, TenantId};

use super::convert::Columns;
use super::records::read_record;
use super::session::{Session, Tenancy};
use crate::command::{Held, Identifier, SubjectRef};
use crate::error::StoreError;
use crate::tables::{SealedHeld, SealedRecord, Subject, Tables};

impl SealedHeld {
    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let sealed = self.directives.iter().map(|directive| &directive.sealed);
        let sealed = sealed.chain(self.records.iter().map(|record| &record.sealed));
        SUBJECT_BYTES + sealed.map(|bytes| bytes.len() + ROW_BYTES).sum::<usize>()
    }
}

/// A subject with its cipher, and its place in a cache.
const SUBJECT_BYTES: usize = 1400;
/// A row without its content.
const ROW_BYTES: usize = 200;

/// See [`crate::Store::held`].
pub(super) fn held(
    session: &Session<'_>,
    tenant: &TenantId,
    who: &SubjectRef,
    kinds: &[KindName],
) -> Result<Option<Held>, StoreError> {
    let Some(tenancy) = session.known(tenant)? else { return Ok(None) };
    match who {
        SubjectRef::Identifier(identifier) => {
            tenancy.named_held(identifier, kinds)?.map(|held| held.open(tenant)).transpose()
        }
        SubjectRef::Record(record) => {
            let Some(key) = tenancy.subject_of(record)? else { return Ok(None) };
            let Some(subject) = tenancy.subject(&key)? else { return Ok(None) };
            Ok(Some(tenancy.read_held(subject, kinds)?.open(tenant)?))
        }
        SubjectRef::Subject(key) => {
            let Some(subject) = tenancy.subject(key)? else { return Ok(None) };
            Ok(Some(tenancy.read_held(subject, kinds)?.open(tenant)?))
        }
        SubjectRef::SignIn { issuer, sub, subject } => {
            let sign_in = tenancy.keys.sign_in(issuer, sub);
            let mut links = tenancy.links(&sign_in)?;
            links.retain(|(key, _)| subject.as_ref().is_none_or(|wanted| wanted == key));
            let Some((key, sealed)) = links.pop().filter(|_| links.is_empty()) else { return Ok(None) };
            let Some(subject) = tenancy.subject(&key)? else { return Ok(None) };
            let link = tenancy.open_link(&subject, &sign_in, &sealed)?;
            Ok(Some(Held { link: Some(link), ..tenancy.read_held(subject, kinds)?.open(tenant)? }))
        }
    }
}

impl Tenancy<'_> {
    fn named_held(&self, identifier: &Identifier, kinds: &[KindName]) -> Result<Option<Arc<SealedHeld>>, StoreError> {
        let blind = self.keys.blind_index(&identifier.system, identifier.value.expose())?;
        if let Some(held) = self.remembered(&blind, kinds) {
            return Ok(Some(held));
        }
        let Some(subject) = self.named_subject(&blind)? else { return Ok(None) };
        let held = Arc::new(self.read_held(subject, kinds)?);
        self.remember(&blind, kinds, &held);
        Ok(Some(held))
    }

    fn subject_of(&self, record: &RecordId) -> Result<Option<SubjectKey>, StoreError> {
        self.relies_on(record.as_str().as_bytes());
        let mut select = self.conn.prepare_cached("SELECT subject FROM records WHERE tenant = ?1 AND record = ?2")?;
        Ok(select.query_row((self.tenant.as_str(), record.as_str()), |row| row.word(0)).optional()?)
    }

    fn read_held(&self, subject: Subject, kinds: &[KindName]) -> Result<SealedHeld, StoreError> {
        let (directives, records) = (self.directives(&subject)?, self.newest_records(&subject, kinds)?);
        Ok(SealedHeld { subject, directives, records })
    }

    fn newest_records(&self, subject: &Subject, kinds: &[KindName]) -> Result<Vec<SealedRecord>, StoreError> {
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
                records.push(read_record(row)?);
            }
        }
        // Ids sort by the time of their making.
        records.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(records)
    }
}
