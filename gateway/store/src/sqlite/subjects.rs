//! Subjects and what names them.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{OptionalExtension, Rows};
use tsunagi_core::id::{IdentifierSystem, RecordId, SubjectKey, TenantId};

use super::convert::{Columns, count, from_json, to_json};
use super::session::Tenancy;
use crate::command::Identifier;
use crate::error::StoreError;
use crate::keys::{Cipher, Hash, TenantKeys};

/// A subject as it is stored.
pub(super) struct Subject {
    pub(super) key: SubjectKey,
    pub(super) version: u64,
    /// The records whose newest version sets the non-disclosure flag.
    pub(super) flagged_by: BTreeSet<RecordId>,
    pub(super) cipher: Arc<Cipher>,
}

impl Subject {
    /// The non-disclosure flag: one record that sets it is enough.
    pub(super) fn non_disclosure(&self) -> bool {
        !self.flagged_by.is_empty()
    }
}

/// An identifier as it is stored and found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) system: IdentifierSystem,
    /// True if a subject has one value of this system at a time.
    pub(super) is_single: bool,
    pub(super) blind: Hash,
}

/// Whom identifiers name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Who {
    Nobody,
    One(SubjectKey),
    /// More than one, or somebody who cannot have all of them.
    Several,
}

/// Identifiers as names, each once.
pub(super) fn names(
    keys: &TenantKeys,
    identifiers: &[Identifier],
    single_valued: &BTreeSet<IdentifierSystem>,
) -> Result<Vec<Name>, StoreError> {
    let mut names: Vec<Name> = Vec::with_capacity(identifiers.len());
    for identifier in identifiers {
        let blind = keys.blind_index(&identifier.system, identifier.value.expose())?;
        if names.iter().all(|name| name.blind != blind) {
            let is_single = single_valued.contains(&identifier.system);
            names.push(Name { system: identifier.system.clone(), is_single, blind });
        }
    }
    Ok(names)
}

/// Seals what flags a subject, for one version of it: so neither can be changed or put back alone.
pub(super) fn seal_flags(
    (tenant, cipher): (&TenantId, &Cipher),
    subject: &SubjectKey,
    flagged_by: &BTreeSet<RecordId>,
    version: u64,
) -> Result<Vec<u8>, StoreError> {
    Ok(cipher.seal(&flags_place(tenant, subject, &version.to_be_bytes()), &to_json(flagged_by)?)?)
}

fn flags_place<'a>(tenant: &'a TenantId, subject: &'a SubjectKey, version: &'a [u8; 8]) -> [&'a [u8]; 4] {
    [b"flags", tenant.as_str().as_bytes(), subject.as_str().as_bytes(), version]
}

impl Tenancy<'_> {
    /// The subject that these identifiers name together.
    pub(super) fn who(&self, names: &[Name]) -> Result<Who, StoreError> {
        let mut found: Option<SubjectKey> = None;
        for name in names {
            match (&found, self.owner(&name.blind)?) {
                (_, None) => {}
                (None, owner) => found = owner,
                (Some(one), Some(other)) if *one == other => {}
                (Some(_), Some(_)) => return Ok(Who::Several),
            }
        }
        if self.contradict(names, found.as_ref())? {
            return Ok(Who::Several);
        }
        Ok(found.map_or(Who::Nobody, Who::One))
    }

    /// True if nobody can have all of these identifiers, or this subject cannot: a system of which there is one value
    /// at a time would have two.
    fn contradict(&self, names: &[Name], subject: Option<&SubjectKey>) -> Result<bool, StoreError> {
        let mut other = self.conn.prepare_cached(
            "SELECT 1 FROM identifiers INDEXED BY identifiers_of_subject
             WHERE tenant = ?1 AND subject = ?2 AND system = ?3 AND blind <> ?4 LIMIT 1",
        )?;
        for name in names.iter().filter(|name| name.is_single) {
            if names.iter().any(|one| one.system == name.system && one.blind != name.blind) {
                return Ok(true);
            }
            let Some(subject) = subject else { continue };
            if other.exists((self.tenant.as_str(), subject.as_str(), name.system.as_str(), name.blind))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn owner(&self, blind: &Hash) -> Result<Option<SubjectKey>, StoreError> {
        self.relies_on(blind);
        let mut select =
            self.conn.prepare_cached("SELECT subject FROM identifiers WHERE tenant = ?1 AND blind = ?2")?;
        Ok(select.query_row((self.tenant.as_str(), blind), |row| row.word(0)).optional()?)
    }

    /// Adds to what names the subject; gives back the identifiers that were not known before.
    pub(super) fn name(&self, subject: &SubjectKey, names: &[Name]) -> Result<Vec<Hash>, StoreError> {
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

    /// The subject with this key.
    pub(super) fn subject(&self, key: &SubjectKey) -> Result<Option<Subject>, StoreError> {
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
        let cipher = self.keyring.subject(&self.keys, &key, row.blob(2)?)?;
        let flags = cipher.open(&flags_place(&self.tenant, &key, &version.to_be_bytes()), row.blob(3)?)?;
        Ok(Some(Subject { key, version, flagged_by: from_json(flags.expose())?, cipher }))
    }

    /// Writes a new subject.
    pub(super) fn write_subject(
        &self,
        key: &SubjectKey,
        version: u64,
        wrapped: &[u8],
        flags: &[u8],
    ) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(
                "INSERT INTO subjects (tenant, subject, wrapped, version, flags) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((self.tenant.as_str(), key.as_str(), wrapped, count(version)?, flags))?;
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

    /// The same, and from now on these records set the flag. The flags are sealed for the version, so that neither can
    /// be changed or put back alone.
    pub(super) fn moved_with(&self, subject: &Subject, flagged_by: &BTreeSet<RecordId>) -> Result<(), StoreError> {
        let version = subject.version + 1;
        let flags = seal_flags((&self.tenant, &subject.cipher), &subject.key, flagged_by, version)?;
        let moved = self
            .conn
            .prepare_cached(
                "UPDATE subjects SET version = ?4, flags = ?5 WHERE tenant = ?1 AND subject = ?2 AND version = ?3",
            )?
            .execute((self.tenant.as_str(), subject.key.as_str(), count(subject.version)?, count(version)?, flags))?;
        if moved == 0 {
            return Err(StoreError::Corrupt("a subject is not of the version that was read".to_owned()));
        }
        self.changes(subject.key.as_str().as_bytes());
        Ok(())
    }
}
