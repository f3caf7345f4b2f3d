//! Subjects and what names them.

use std::collections::BTreeSet;
use std::sync::Arc;

use tsunagi_core::id::{IdentifierSystem, RecordId, SubjectKey, TenantId};

use super::Tables;
use super::convert::{from_json, to_json};
use crate::command::Identifier;
use crate::error::StoreError;
use crate::keys::{Cipher, Hash, Keyring, TenantKeys};

/// A subject as it is stored.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) key: SubjectKey,
    pub(crate) version: u64,
    /// The records whose newest version sets the non-disclosure flag.
    pub(crate) flagged_by: BTreeSet<RecordId>,
    pub(crate) cipher: Arc<Cipher>,
}

impl Subject {
    /// The non-disclosure flag: one record that sets it is enough.
    pub(crate) fn non_disclosure(&self) -> bool {
        !self.flagged_by.is_empty()
    }
}

/// Opens a subject that was read.
pub(crate) fn open_subject(
    keyring: &Keyring,
    keys: &TenantKeys,
    key: SubjectKey,
    version: u64,
    (wrapped, flags): (&[u8], &[u8]),
) -> Result<Subject, StoreError> {
    let cipher = keyring.subject(keys, &key, wrapped)?;
    let flags = cipher.open(&flags_place(keys.tenant(), &key, &version.to_be_bytes()), flags)?;
    Ok(Subject { key, version, flagged_by: from_json(flags.expose())?, cipher })
}

/// An identifier as it is stored and found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) system: IdentifierSystem,
    /// True if a subject has one value of this system at a time.
    pub(crate) is_single: bool,
    pub(crate) blind: Hash,
}

/// Whom identifiers name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Nobody,
    One(SubjectKey),
    /// More than one, or somebody who cannot have all of them.
    Several,
}

/// Identifiers as names, each once.
pub(crate) fn names(
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
pub(crate) fn seal_flags(
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

/// The flags of a subject's next version.
pub(crate) fn moved(
    tenant: &TenantId,
    subject: &Subject,
    flagged_by: &BTreeSet<RecordId>,
) -> Result<Vec<u8>, StoreError> {
    seal_flags((tenant, &subject.cipher), &subject.key, flagged_by, subject.version + 1)
}

/// The subject that these identifiers name together.
pub(crate) fn who(tables: &impl Tables, names: &[Name]) -> Result<Who, StoreError> {
    let mut found: Option<SubjectKey> = None;
    for name in names {
        match (&found, tables.owner(&name.blind)?) {
            (_, None) => {}
            (None, owner) => found = owner,
            (Some(one), Some(other)) if *one == other => {}
            (Some(_), Some(_)) => return Ok(Who::Several),
        }
    }
    if contradict(tables, names, found.as_ref())? {
        return Ok(Who::Several);
    }
    Ok(found.map_or(Who::Nobody, Who::One))
}

/// True if nobody can have all of these identifiers, or this subject cannot: a system of which there is one value
/// at a time would have two.
fn contradict(tables: &impl Tables, names: &[Name], subject: Option<&SubjectKey>) -> Result<bool, StoreError> {
    for name in names.iter().filter(|name| name.is_single) {
        if names.iter().any(|one| one.system == name.system && one.blind != name.blind) {
            return Ok(true);
        }
        let Some(subject) = subject else { continue };
        if tables.has_another(subject, name)? {
            return Ok(true);
        }
    }
    Ok(false)
}
