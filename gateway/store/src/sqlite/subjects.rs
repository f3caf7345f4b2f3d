//! Subjects and what names them.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, Rows};
use tsunagi_core::id::{RecordId, SubjectKey};

use super::convert::{Columns, count};
use super::session::Tenancy;
use crate::error::StoreError;
use crate::keys::Hash;
use crate::tables::{Name, Subject, moved, open_subject};

impl Tenancy<'_> {
    pub(super) fn has_another_name(&self, subject: &SubjectKey, name: &Name) -> Result<bool, StoreError> {
        let mut other = self.conn.prepare_cached(
            "SELECT 1 FROM identifiers INDEXED BY identifiers_of_subject
             WHERE tenant = ?1 AND subject = ?2 AND system = ?3 AND blind <> ?4 LIMIT 1",
        )?;
        Ok(other.exists((self.tenant.as_str(), subject.as_str(), name.system.as_str(), name.blind))?)
    }

    pub(super) fn named_by(&self, blind: &Hash) -> Result<Option<SubjectKey>, StoreError> {
        self.relies_on(blind);
        let mut select =
            self.conn.prepare_cached("SELECT subject FROM identifiers WHERE tenant = ?1 AND blind = ?2")?;
        Ok(select.query_row((self.tenant.as_str(), blind), |row| row.word(0)).optional()?)
    }

    pub(super) fn insert_names(&self, subject: &SubjectKey, names: &[Name]) -> Result<Vec<Hash>, StoreError> {
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO identifiers (tenant, blind, system, subject) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (tenant, blind) DO NOTHING",
        )?;
        let mut new = Vec::new();
        for name in names {
            if insert.execute((self.tenant.as_str(), name.blind, name.system.as_str(), subject.as_str()))? > 0 {
                self.changes(&name.blind);
                new.push(name.blind);
            }
        }
        Ok(new)
    }

    pub(super) fn select_subject(&self, key: &SubjectKey) -> Result<Option<Subject>, StoreError> {
        self.relies_on(key.as_str().as_bytes());
        let mut select = self.conn.prepare_cached(
            "SELECT subject, version, wrapped, flags FROM subjects WHERE tenant = ?1 AND subject = ?2",
        )?;
        self.read_subject(select.query((self.tenant.as_str(), key.as_str()))?)
    }

    /// The subject that one identifier names.
    pub(super) fn named_subject(&self, blind: &Hash) -> Result<Option<Subject>, StoreError> {
        self.relies_on(blind);
        let mut select = self.conn.prepare_cached(
            "SELECT s.subject, s.version, s.wrapped, s.flags FROM identifiers i
             CROSS JOIN subjects s ON s.tenant = i.tenant AND s.subject = i.subject
             WHERE i.tenant = ?1 AND i.blind = ?2",
        )?;
        let found = self.read_subject(select.query((self.tenant.as_str(), blind))?)?;
        if let Some(subject) = &found {
            self.relies_on(subject.key.as_str().as_bytes());
        }
        Ok(found)
    }

    /// Columns: subject, version, wrapped, flags.
    fn read_subject(&self, mut rows: Rows<'_>) -> Result<Option<Subject>, StoreError> {
        let Some(row) = rows.next()? else { return Ok(None) };
        let (key, version): (SubjectKey, u64) = (row.word(0)?, row.number(1)?);
        // Shredded: there is nobody any more.
        if row.blob(2)?.is_empty() {
            return Ok(None);
        }
        open_subject(self.keyring, &self.keys, key, version, (row.blob(2)?, row.blob(3)?)).map(Some)
    }

    pub(super) fn insert_subject(&self, key: &SubjectKey, wrapped: &[u8], flags: &[u8]) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(
                "INSERT INTO subjects (tenant, subject, wrapped, version, flags) VALUES (?1, ?2, ?3, 1, ?4)",
            )?
            .execute((self.tenant.as_str(), key.as_str(), wrapped, flags))?;
        self.changes(key.as_str().as_bytes());
        Ok(())
    }

    /// The subject's version alone, for the check that a decision still stands.
    pub(super) fn subject_version(&self, key: &SubjectKey) -> Result<Option<u64>, StoreError> {
        let mut select = self.conn.prepare_cached("SELECT version FROM subjects WHERE tenant = ?1 AND subject = ?2")?;
        Ok(select.query_row((self.tenant.as_str(), key.as_str()), |row| row.number(0)).optional()?)
    }

    /// Lets every decision that was made about the subject go stale.
    pub(super) fn moved(&self, subject: &Subject) -> Result<(), StoreError> {
        self.moved_with(subject, &subject.flagged_by)
    }

    /// The same; these records hide it from then on.
    pub(super) fn moved_with(&self, subject: &Subject, flagged_by: &BTreeSet<RecordId>) -> Result<(), StoreError> {
        self.update_subject(subject, &moved(&self.tenant, subject, flagged_by)?)
    }

    pub(super) fn update_subject(&self, subject: &Subject, flags: &[u8]) -> Result<(), StoreError> {
        let (version, next) = (count(subject.version)?, count(subject.version + 1)?);
        let moved = self
            .conn
            .prepare_cached(
                "UPDATE subjects SET version = ?4, flags = ?5 WHERE tenant = ?1 AND subject = ?2 AND version = ?3",
            )?
            .execute((self.tenant.as_str(), subject.key.as_str(), version, next, flags))?;
        if moved == 0 {
            return Err(StoreError::Corrupt("a subject is not of the version that was read".to_owned()));
        }
        self.changes(subject.key.as_str().as_bytes());
        Ok(())
    }
}
