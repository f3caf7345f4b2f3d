//! Subjects and what names them.

use std::sync::Arc;

use rusqlite::OptionalExtension;
use tsunagi_core::id::SubjectKey;

use super::convert::Columns;
use super::session::Tenancy;
use crate::command::Identifier;
use crate::error::StoreError;
use crate::keys::{Cipher, Hash};

/// A subject as it is stored.
pub(super) struct Subject {
    pub(super) key: SubjectKey,
    pub(super) version: u64,
    pub(super) non_disclosure: bool,
    pub(super) cipher: Arc<Cipher>,
}

/// Whom identifiers name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Who {
    Nobody,
    One(SubjectKey),
    Several,
}

impl Tenancy<'_> {
    /// The blind indexes of identifiers, each once.
    pub(super) fn blind(&self, identifiers: &[Identifier]) -> Result<Vec<Hash>, StoreError> {
        let mut blinds = Vec::with_capacity(identifiers.len());
        for identifier in identifiers {
            let blind = self.keys.blind_index(&identifier.system, identifier.value.expose())?;
            if !blinds.contains(&blind) {
                blinds.push(blind);
            }
        }
        Ok(blinds)
    }

    /// The subject that these identifiers name together.
    pub(super) fn who(&self, blinds: &[Hash]) -> Result<Who, StoreError> {
        let mut select =
            self.conn.prepare_cached("SELECT subject FROM identifiers WHERE tenant = ?1 AND blind = ?2")?;
        let mut found: Option<SubjectKey> = None;
        for blind in blinds {
            let named: Option<SubjectKey> =
                select.query_row((self.tenant.as_str(), blind), |row| row.word(0)).optional()?;
            match (&found, named) {
                (_, None) => {}
                (None, named) => found = named,
                (Some(one), Some(other)) if *one == other => {}
                (Some(_), Some(_)) => return Ok(Who::Several),
            }
        }
        Ok(found.map_or(Who::Nobody, Who::One))
    }

    /// Adds to what names the subject; gives back the identifiers that were not known before.
    pub(super) fn name(&self, subject: &SubjectKey, blinds: &[Hash]) -> Result<Vec<Hash>, StoreError> {
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO identifiers (tenant, blind, subject) VALUES (?1, ?2, ?3) ON CONFLICT (tenant, blind) DO NOTHING",
        )?;
        let mut new = Vec::new();
        for blind in blinds {
            if insert.execute((self.tenant.as_str(), blind, subject.as_str()))? > 0 {
                new.push(*blind);
            }
        }
        Ok(new)
    }

    /// The subject with this key.
    pub(super) fn subject(&self, key: &SubjectKey) -> Result<Option<Subject>, StoreError> {
        let mut select = self.conn.prepare_cached(
            "SELECT version, non_disclosure, wrapped FROM subjects WHERE tenant = ?1 AND subject = ?2",
        )?;
        let found = select
            .query_row((self.tenant.as_str(), key.as_str()), |row| {
                Ok((row.number(0)?, row.get::<_, bool>(1)?, row.get::<_, Vec<u8>>(2)?))
            })
            .optional()?;
        let Some((version, non_disclosure, wrapped)) = found else { return Ok(None) };
        let cipher = self.keyring.subject(&self.keys, key, &wrapped)?;
        Ok(Some(Subject { key: key.clone(), version, non_disclosure, cipher }))
    }

    /// Makes a subject with a data key of its own.
    pub(super) fn make_subject(&self, key: &SubjectKey) -> Result<Subject, StoreError> {
        let wrapped = self.keyring.make_subject_key(&self.keys, key)?;
        self.conn
            .prepare_cached(
                "INSERT INTO subjects (tenant, subject, wrapped, version, non_disclosure) VALUES (?1, ?2, ?3, 0, 0)",
            )?
            .execute((self.tenant.as_str(), key.as_str(), &wrapped))?;
        let cipher = self.keyring.subject(&self.keys, key, &wrapped)?;
        Ok(Subject { key: key.clone(), version: 0, non_disclosure: false, cipher })
    }

    /// The subject's version alone, for the check that a decision still stands.
    pub(super) fn subject_version(&self, key: &SubjectKey) -> Result<Option<u64>, StoreError> {
        let mut select = self.conn.prepare_cached("SELECT version FROM subjects WHERE tenant = ?1 AND subject = ?2")?;
        Ok(select.query_row((self.tenant.as_str(), key.as_str()), |row| row.number(0)).optional()?)
    }

    /// Lets every decision that was made about the subject go stale.
    pub(super) fn moved(&self, subject: &SubjectKey) -> Result<(), StoreError> {
        self.conn
            .prepare_cached("UPDATE subjects SET version = version + 1 WHERE tenant = ?1 AND subject = ?2")?
            .execute((self.tenant.as_str(), subject.as_str()))?;
        Ok(())
    }

    /// Sets or clears the non-disclosure flag.
    pub(super) fn flag(&self, subject: &Subject, non_disclosure: bool) -> Result<(), StoreError> {
        if subject.non_disclosure == non_disclosure {
            return Ok(());
        }
        self.conn
            .prepare_cached("UPDATE subjects SET non_disclosure = ?3 WHERE tenant = ?1 AND subject = ?2")?
            .execute((self.tenant.as_str(), subject.key.as_str(), non_disclosure))?;
        self.moved(&subject.key)
    }
}
