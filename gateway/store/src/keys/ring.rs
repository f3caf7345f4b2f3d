//! The master key and what it opens.

use std::sync::{Arc, Mutex, PoisonError};

use tsunagi_core::id::{SubjectKey, TenantId};
use tsunagi_core::sensitive::Sensitive;
use zeroize::Zeroize;

use super::cipher::{Cipher, frame};
use super::tenant::TenantKeys;
use crate::recent::Recent;

/// The key that wraps all others: 32 bytes, never stored beside what it protects.
pub struct MasterKey(Sensitive<[u8; 32]>);

impl MasterKey {
    /// Reads a key file: 64 hexadecimal digits, with white space around them or not, or exactly 32 bytes.
    pub fn parse(file: Sensitive<Vec<u8>>) -> Result<Self, KeyFault> {
        if let Ok(raw) = <[u8; 32]>::try_from(file.expose().as_slice()) {
            return Ok(Self(Sensitive::new(raw)));
        }
        let mut key = [0; 32];
        let read = hex::decode_to_slice(file.expose().trim_ascii(), &mut key);
        let parsed = read.map(|()| Self(Sensitive::new(key))).map_err(|_| KeyFault::Shape);
        key.zeroize();
        parsed
    }

    /// Takes 32 bytes as they are.
    pub fn from_bytes(key: Sensitive<[u8; 32]>) -> Self {
        Self(key)
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey([redacted])")
    }
}

/// Why a key cannot be used. Holds nothing of a key or of what is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The cryptographic library failed: no randomness, or no memory.
    #[error("the cryptographic library failed")]
    Crypto,
    /// The file is neither 32 bytes nor 64 hexadecimal digits.
    #[error("a master key is 32 bytes or 64 hexadecimal digits")]
    Shape,
    /// What was stored cannot be opened: another key, or it was changed or moved.
    #[error("what is stored does not open under this key in this place")]
    Unreadable,
}

/// Opens the keys of tenants and subjects, and keeps those in memory that were used of late.
///
/// A cached key is found by its wrapped form, which is read from the database with what it opens. What is remembered of
/// people holds their keys open: whoever replaces or destroys a subject's key has to move the subject's version with it.
pub struct Keyring {
    master: Result<Cipher, KeyFault>,
    tenants: Mutex<Recent<Vec<u8>, TenantKeys>>,
    subjects: Mutex<Recent<Vec<u8>, Cipher>>,
}

impl Keyring {
    /// A keyring on a master key.
    pub fn new(master: MasterKey) -> Self {
        Self {
            master: Cipher::new(&master.0),
            tenants: Mutex::new(Recent::new(TENANTS_CACHED)),
            subjects: Mutex::new(Recent::new(SUBJECTS_CACHED)),
        }
    }

    /// A fresh tenant key, wrapped.
    pub(crate) fn make_tenant_key(&self, tenant: &TenantId) -> Result<Vec<u8>, KeyFault> {
        self.master()?.seal(&tenant_place(tenant), fresh()?.expose())
    }

    /// The tenant's keys.
    pub(crate) fn tenant(&self, tenant: &TenantId, wrapped: &[u8]) -> Result<Arc<TenantKeys>, KeyFault> {
        let known = frame(&[tenant.as_str().as_bytes(), wrapped]);
        if let Some(keys) = self.tenants.lock().unwrap_or_else(PoisonError::into_inner).find(&known) {
            return Ok(keys);
        }
        let key = key_of(&self.master()?.open(&tenant_place(tenant), wrapped)?)?;
        let keys = Arc::new(TenantKeys::derive(tenant, &key)?);
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).keep(known, Arc::clone(&keys), 1);
        Ok(keys)
    }

    /// A fresh data key for a subject: wrapped, and ready for use. It is not cached: most people who are made are not
    /// read at once.
    pub(crate) fn make_subject_key(
        &self,
        tenant: &TenantKeys,
        subject: &SubjectKey,
    ) -> Result<(Vec<u8>, Cipher), KeyFault> {
        let key = fresh()?;
        Ok((tenant.wrapping().seal(&subject_place(tenant, subject), key.expose())?, Cipher::new(&key)?))
    }

    /// Forgets the keys of subjects that are in memory: one of them may have been destroyed.
    pub(crate) fn forget_subjects(&self) {
        self.subjects.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The subject's data key.
    pub(crate) fn subject(
        &self,
        tenant: &TenantKeys,
        subject: &SubjectKey,
        wrapped: &[u8],
    ) -> Result<Arc<Cipher>, KeyFault> {
        let place = subject_place(tenant, subject);
        let known = frame(&[place[1], place[2], wrapped]);
        if let Some(cipher) = self.subjects.lock().unwrap_or_else(PoisonError::into_inner).find(&known) {
            return Ok(cipher);
        }
        let key = key_of(&tenant.wrapping().open(&place, wrapped)?)?;
        let cipher = Arc::new(Cipher::new(&key)?);
        self.subjects.lock().unwrap_or_else(PoisonError::into_inner).keep(known, Arc::clone(&cipher), 1);
        Ok(cipher)
    }

    fn master(&self) -> Result<&Cipher, KeyFault> {
        self.master.as_ref().map_err(|fault| *fault)
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keyring([redacted])")
    }
}

fn tenant_place(tenant: &TenantId) -> [&[u8]; 2] {
    [b"tenant key", tenant.as_str().as_bytes()]
}

fn subject_place<'a>(tenant: &'a TenantKeys, subject: &'a SubjectKey) -> [&'a [u8]; 3] {
    [b"subject key", tenant.tenant().as_str().as_bytes(), subject.as_str().as_bytes()]
}

fn fresh() -> Result<Sensitive<[u8; 32]>, KeyFault> {
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| KeyFault::Crypto)?;
    let fresh = Sensitive::new(key);
    key.zeroize();
    Ok(fresh)
}

fn key_of(bytes: &Sensitive<Vec<u8>>) -> Result<Sensitive<[u8; 32]>, KeyFault> {
    <[u8; 32]>::try_from(bytes.expose().as_slice()).map(Sensitive::new).map_err(|_| KeyFault::Unreadable)
}

/// Half of what may stand in memory: more than there are municipalities in Japan, so that all of a nation-wide hub fit.
const TENANTS_CACHED: usize = 1024;
/// Half of what may stand in memory; a cipher takes about a kilobyte.
const SUBJECTS_CACHED: usize = 1024;
