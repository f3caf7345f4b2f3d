//! What is derived from one tenant's key.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::hkdf::{HKDF_SHA256, Prk};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use tsunagi_core::id::{ExchangeId, IdentifierSystem, ParticipantId, RecordId, SubjectKey, TenantId};
use tsunagi_core::sensitive::Sensitive;
use zeroize::Zeroize;

use super::cipher::{Cipher, framed};
use super::ring::KeyFault;

/// A keyed hash.
pub(crate) type Hash = [u8; 32];

/// The keys of one tenant, each for one use. The hub's own set keeps what belongs to no tenant: the digests and
/// idempotency keys of exchanges, which may hold rows of several tenants.
pub(crate) struct TenantKeys {
    tenant: TenantId,
    source: Prk,
    wrapping: Cipher,
    pending: Cipher,
    business: hmac::Key,
    content: hmac::Key,
    sign_in: hmac::Key,
    audit: hmac::Key,
    trail: hmac::Key,
    exchange: hmac::Key,
    idempotency: hmac::Key,
    // As many as there are identifier systems in the mapping data.
    blind: Mutex<HashMap<IdentifierSystem, hmac::Key>>,
}

impl TenantKeys {
    pub(super) fn derive(tenant: &TenantId, key: &Sensitive<[u8; 32]>) -> Result<Self, KeyFault> {
        let source = Prk::new_less_safe(HKDF_SHA256, key.expose());
        Ok(Self {
            tenant: tenant.clone(),
            wrapping: Cipher::new(&expand(&source, "wrap:subject")?)?,
            pending: Cipher::new(&expand(&source, "pending content")?)?,
            business: mac_key(&source, "business key")?,
            content: mac_key(&source, "content digest")?,
            sign_in: mac_key(&source, "sign-in")?,
            audit: mac_key(&source, "audit leaf")?,
            trail: mac_key(&source, "trail of leaves")?,
            exchange: mac_key(&source, "exchange digest")?,
            idempotency: mac_key(&source, "idempotency key")?,
            blind: Mutex::new(HashMap::new()),
            source,
        })
    }

    /// Whose keys these are.
    pub(crate) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    pub(super) fn wrapping(&self) -> &Cipher {
        &self.wrapping
    }

    /// What an identifier is stored and found by. Each system has a key of its own.
    pub(crate) fn blind_index(&self, system: &IdentifierSystem, value: &str) -> Result<Hash, KeyFault> {
        let mut keys = self.blind.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys.get(system) {
            return Ok(mac(key, &[value.as_bytes()]));
        }
        let key = mac_key(&self.source, &format!("blind:{system}"))?;
        let index = mac(&key, &[value.as_bytes()]);
        keys.insert(system.clone(), key);
        Ok(index)
    }

    /// What "the same record again" is told by, for one subject.
    pub(crate) fn business_key(&self, subject: &SubjectKey, parts: &[String]) -> Hash {
        let mut all = vec![subject.as_str().as_bytes()];
        all.extend(parts.iter().map(String::as_bytes));
        mac(&self.business, &all)
    }

    /// What "the same content again" is told by, for one record.
    pub(crate) fn content_digest(&self, subject: &SubjectKey, record: &RecordId, content: &[u8]) -> Hash {
        mac(&self.content, &[subject.as_str().as_bytes(), record.as_str().as_bytes(), content])
    }

    /// What a sign-in is found by.
    pub(crate) fn sign_in(&self, issuer: &str, sub: &str) -> Hash {
        mac(&self.sign_in, &[issuer.as_bytes(), sub.as_bytes()])
    }

    /// The seal of a leaf: this hash was written at this index of this log.
    pub(crate) fn leaf_seal(&self, index: u64, hash: &Hash) -> Hash {
        mac(&self.audit, &[b"leaf", self.tenant.as_str().as_bytes(), &index.to_be_bytes(), hash])
    }

    /// The seal of a log's length, and of how much of it lies under a checkpoint.
    pub(crate) fn length_seal(&self, size: u64, sealed: u64) -> Hash {
        mac(&self.audit, &[b"length", self.tenant.as_str().as_bytes(), &size.to_be_bytes(), &sealed.to_be_bytes()])
    }

    /// What the leaves that tell of somebody are found by: a number, for it is written once for each of them. Two may have
    /// the same one, so the leaf has to be asked.
    pub(crate) fn trail(&self, what: &str, id: &str) -> u64 {
        let hash = mac(&self.trail, &[what.as_bytes(), id.as_bytes()]);
        hash.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }

    /// The digest of an exchange's body as it is stored and shown.
    pub(crate) fn exchange_digest(&self, digest: &Hash) -> Hash {
        mac(&self.exchange, &[digest])
    }

    /// What an idempotency key is found by.
    pub(crate) fn idempotency(&self, sender: &ParticipantId, key: &str) -> Hash {
        mac(&self.idempotency, &[sender.as_str().as_bytes(), key.as_bytes()])
    }

    /// Encrypts what belongs to no subject yet: a waiting row, or the source of a refused one.
    pub(crate) fn seal_pending(&self, of: &RowPlace<'_>, plain: &[u8]) -> Result<Vec<u8>, KeyFault> {
        self.pending.seal(&of.parts(&self.tenant, &of.row.to_be_bytes()), plain)
    }

    /// Decrypts what [`TenantKeys::seal_pending`] made.
    pub(crate) fn open_pending(&self, of: &RowPlace<'_>, sealed: &[u8]) -> Result<Sensitive<Vec<u8>>, KeyFault> {
        self.pending.open(&of.parts(&self.tenant, &of.row.to_be_bytes()), sealed)
    }
}

/// Which row a pending content is of.
pub(crate) struct RowPlace<'a> {
    pub(crate) what: &'static str,
    pub(crate) exchange: &'a ExchangeId,
    pub(crate) row: u64,
}

impl<'a> RowPlace<'a> {
    fn parts(&self, tenant: &'a TenantId, row: &'a [u8; 8]) -> [&'a [u8]; 4] {
        [self.what.as_bytes(), tenant.as_str().as_bytes(), self.exchange.as_str().as_bytes(), row]
    }
}

fn expand(source: &Prk, label: &str) -> Result<Sensitive<[u8; 32]>, KeyFault> {
    let mut key = [0; 32];
    let info = [label.as_bytes()];
    let okm = source.expand(&info, HKDF_SHA256).map_err(|_| KeyFault::Crypto)?;
    okm.fill(&mut key).map_err(|_| KeyFault::Crypto)?;
    let derived = Sensitive::new(key);
    key.zeroize();
    Ok(derived)
}

fn mac_key(source: &Prk, label: &str) -> Result<hmac::Key, KeyFault> {
    Ok(hmac::Key::new(HMAC_SHA256, expand(source, label)?.expose()))
}

fn mac(key: &hmac::Key, parts: &[&[u8]]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(framed(parts, |joined| hmac::sign(key, joined)).as_ref());
    hash
}
