//! The two authorities as they lie in the folder: root and issuing.

use rcgen::{Issuer, KeyPair, PublicKeyData};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::parse_x509_certificate;

use crate::disk::{Folder, PUBLIC, write_key};
use crate::error::CertsError;
use crate::profile::{self, Validity};
use crate::serial::Serial;

pub(crate) const ROOT: &str = "root.pem";
pub(crate) const ROOT_KEY: &str = "root.key";
pub(crate) const ISSUING: &str = "issuing.pem";
pub(crate) const ISSUING_KEY: &str = "issuing.key";

/// Lifetime of the root in days: twenty years, because exchanging a trust anchor means a visit to every participant.
const ROOT_DAYS: u32 = 7_305;
/// Lifetime of the issuing authority in days: ten years, so that it can be followed by another under the same root.
const ISSUING_DAYS: u32 = 3_652;

/// Root and issuing authority, checked to belong together.
pub(crate) struct Chain {
    /// Certificate of the root.
    pub(crate) root_pem: String,
    /// Certificate of the issuing authority.
    pub(crate) issuing_pem: String,
    /// Signs certificates and the list of the revoked ones.
    pub(crate) issuing: Issuer<'static, KeyPair>,
    /// Of the issuing authority; nothing it signs lasts longer.
    pub(crate) validity: Validity,
}

impl Chain {
    /// Makes both authorities. Keys first: a certificate in the folder then always has its key.
    pub(crate) fn create(folder: &Folder, hub_name: &str, now: i64) -> Result<(), CertsError> {
        let root = profile::root(hub_name, Serial::draw()?, Validity::starting(now, ROOT_DAYS)?)?;
        let issuing = profile::issuing(hub_name, Serial::draw()?, Validity::starting(now, ISSUING_DAYS)?)?;
        let root_key = KeyPair::generate()?;
        let issuing_key = KeyPair::generate()?;
        let root_pem = root.self_signed(&root_key)?.pem();
        let issuing_pem = issuing.signed_by(&issuing_key, &Issuer::from_params(&root, &root_key))?.pem();
        write_key(&folder.at(ROOT_KEY), &key_pem(&root_key))?;
        write_key(&folder.at(ISSUING_KEY), &key_pem(&issuing_key))?;
        folder.replace(ISSUING, &issuing_pem, PUBLIC)?;
        folder.replace(ROOT, &root_pem, PUBLIC)
    }

    /// Reads both certificates and the issuing key, and checks that each belongs to the next.
    pub(crate) fn open(folder: &Folder) -> Result<Self, CertsError> {
        let read = |name: &str| folder.read(name)?.ok_or_else(|| CertsError::NotInitialised { file: folder.at(name) });
        let (root_pem, issuing_pem) = (read(ROOT)?, read(ISSUING)?);
        let validity = signed_validity(folder, &root_pem, &issuing_pem)?;
        let issuing = issuer(folder, &issuing_pem, ISSUING_KEY)?;
        Ok(Self { root_pem, issuing_pem, issuing, validity })
    }

    /// The root as a signer. Its key is read here and forgotten with the value.
    pub(crate) fn root(&self, folder: &Folder) -> Result<Issuer<'static, KeyPair>, CertsError> {
        issuer(folder, &self.root_pem, ROOT_KEY)
    }
}

/// A private key as PKCS#8 in PEM, wiped from memory when dropped.
pub(crate) fn key_pem(key: &KeyPair) -> zeroize::Zeroizing<String> {
    zeroize::Zeroizing::new(key.serialize_pem())
}

/// Validity of the issuing certificate, once the root's key has been seen to have signed it.
fn signed_validity(folder: &Folder, root_pem: &str, issuing_pem: &str) -> Result<Validity, CertsError> {
    let damaged = |name: &str, what| CertsError::Damaged { file: folder.at(name), what };
    let unreadable = "is not a certificate in PEM";
    let root = der(root_pem).ok_or_else(|| damaged(ROOT, unreadable))?;
    let issuing = der(issuing_pem).ok_or_else(|| damaged(ISSUING, unreadable))?;
    let (_, root) = parse_x509_certificate(&root).map_err(|_| damaged(ROOT, unreadable))?;
    let (_, issuing) = parse_x509_certificate(&issuing).map_err(|_| damaged(ISSUING, unreadable))?;
    issuing.verify_signature(Some(root.public_key())).map_err(|_| damaged(ISSUING, "is not signed by root.pem"))?;
    let validity = issuing.validity();
    Ok(Validity { from: validity.not_before.timestamp(), until: validity.not_after.timestamp() })
}

fn issuer(folder: &Folder, certificate_pem: &str, key: &str) -> Result<Issuer<'static, KeyPair>, CertsError> {
    let text = folder.read_key(key)?;
    let damaged = |what| CertsError::Damaged { file: folder.at(key), what };
    let pair = KeyPair::from_pem(&text).map_err(|_| damaged("is not a private key in PEM"))?;
    let certificate = der(certificate_pem).ok_or_else(|| damaged("has no certificate beside it"))?;
    let (_, parsed) = parse_x509_certificate(&certificate).map_err(|_| damaged("has no certificate beside it"))?;
    if parsed.public_key().raw != pair.subject_public_key_info() {
        return Err(damaged("is not the key of the certificate beside it"));
    }
    Ok(Issuer::from_ca_cert_der(&certificate, pair)?)
}

fn der(pem: &str) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).ok()
}
