//! The three authorities as they lie in the folder: the root, and an issuing one for each usage.

use rcgen::{Issuer, KeyPair, PublicKeyData};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::parse_x509_certificate;
use zeroize::Zeroizing;

use crate::disk::{Folder, PUBLIC, write_key};
use crate::error::CertsError;
use crate::ledger::Usage;
use crate::peer::fingerprint;
use crate::profile::{self, Validity};
use crate::secret::{Passphrase, decrypt_key, encrypt_key};
use crate::serial::{Serial, hex};

pub(crate) const ROOT: &str = "root.pem";
pub(crate) const ROOT_KEY: &str = "root.key";
pub(crate) const ISSUING: &str = "issuing.pem";
pub(crate) const ISSUING_KEY: &str = "issuing.key";
pub(crate) const SERVER_ISSUING: &str = "server-issuing.pem";
pub(crate) const SERVER_ISSUING_KEY: &str = "server-issuing.key";

/// Lifetime of the root in days: twenty years, because exchanging a trust anchor means a visit to every participant.
const ROOT_DAYS: u32 = 7_305;
/// Lifetime of the issuing authorities in days: ten years, so that others can follow them under the same root.
const ISSUING_DAYS: u32 = 3_652;

/// Root and issuing authorities, checked to belong together.
pub(crate) struct Chain {
    /// Certificate of the root.
    pub(crate) root_pem: String,
    /// For what calls.
    pub(crate) participants: Issuing,
    /// For what is called.
    pub(crate) servers: Issuing,
    passphrase: Option<Passphrase>,
}

/// One issuing authority.
pub(crate) struct Issuing {
    /// Its certificate.
    pub(crate) pem: String,
    /// Signs certificates and the list of the revoked ones.
    pub(crate) signer: Issuer<'static, KeyPair>,
    /// Nothing it signs lasts longer.
    pub(crate) validity: Validity,
}

impl Chain {
    /// Makes the authorities. Keys first: a certificate in the folder then always has its key. The root's certificate
    /// comes last, for where it is missing there is no authority.
    pub(crate) fn create(
        folder: &Folder,
        hub_name: &str,
        now: i64,
        passphrase: Option<&Passphrase>,
    ) -> Result<(), CertsError> {
        let root = profile::root(hub_name, Serial::draw()?, Validity::starting(now, ROOT_DAYS)?)?;
        let root_key = Zeroizing::new(KeyPair::generate()?);
        let root_pem = root.self_signed(&*root_key)?.pem();
        write_locked(folder, ROOT_KEY, &root_key, passphrase)?;
        let signer = Issuer::from_params(&root, &*root_key);
        for (usage, name, key_name) in
            [(Usage::Participant, ISSUING, ISSUING_KEY), (Usage::Server, SERVER_ISSUING, SERVER_ISSUING_KEY)]
        {
            let validity = Validity::starting(now, ISSUING_DAYS)?;
            let issuing = profile::issuing(hub_name, usage, Serial::draw()?, validity)?;
            let key = Zeroizing::new(KeyPair::generate()?);
            let pem = issuing.signed_by(&*key, &signer)?.pem();
            write_locked(folder, key_name, &key, passphrase)?;
            folder.replace(name, &pem, PUBLIC)?;
        }
        folder.replace(ROOT, &root_pem, PUBLIC)
    }

    /// Reads the certificates and the issuing keys, and checks that each belongs to the next. The passphrase is kept
    /// for the root's key.
    pub(crate) fn open(folder: &Folder, passphrase: Option<Passphrase>) -> Result<Self, CertsError> {
        let root_pem = read(folder, ROOT)?;
        let issuing = |name, key| -> Result<Issuing, CertsError> {
            let pem = read(folder, name)?;
            let validity = signed_validity(folder, &root_pem, name, &pem)?;
            let signer = issuer(folder, &pem, key, passphrase.as_ref())?;
            Ok(Issuing { pem, signer, validity })
        };
        let participants = issuing(ISSUING, ISSUING_KEY)?;
        let servers = issuing(SERVER_ISSUING, SERVER_ISSUING_KEY)?;
        Ok(Self { root_pem, participants, servers, passphrase })
    }

    /// The authority for a usage.
    pub(crate) fn issuing(&self, usage: Usage) -> &Issuing {
        match usage {
            Usage::Participant => &self.participants,
            Usage::Server => &self.servers,
        }
    }

    /// The root as a signer. Its key is read here and forgotten with the value.
    pub(crate) fn root(&self, folder: &Folder) -> Result<Issuer<'static, KeyPair>, CertsError> {
        issuer(folder, &self.root_pem, ROOT_KEY, self.passphrase.as_ref())
    }
}

/// One of the authority's own certificates, as others know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCertificate {
    /// The issuing authority of a usage, or the root if none.
    pub usage: Option<Usage>,
    /// Serial number, 32 lower-case hexadecimal digits.
    pub serial: String,
    /// SHA-256 of the certificate's DER, 64 lower-case hexadecimal digits.
    pub fingerprint_sha256: String,
    /// Last second of its validity, in unix seconds.
    pub not_after: i64,
}

impl Chain {
    /// The root's certificate and the two issuing ones.
    pub(crate) fn own_certificates(&self) -> Result<Vec<OwnCertificate>, CertsError> {
        let all = [
            (None, &self.root_pem),
            (Some(Usage::Participant), &self.participants.pem),
            (Some(Usage::Server), &self.servers.pem),
        ];
        let own = all.into_iter().map(|(usage, pem)| {
            let der = der(pem).ok_or(CertsError::Certificate)?;
            let (_, certificate) = parse_x509_certificate(&der).map_err(|_| CertsError::Certificate)?;
            Ok(OwnCertificate {
                usage,
                serial: hex(certificate.raw_serial()),
                fingerprint_sha256: fingerprint(&der),
                not_after: certificate.validity().not_after.timestamp(),
            })
        });
        own.collect()
    }

    /// The usage of the issuing authority whose key signed a certificate, if one did.
    pub(crate) fn signer_of(&self, certificate: &X509Certificate<'_>) -> Option<Usage> {
        [Usage::Participant, Usage::Server].into_iter().find(|usage| {
            let Some(issuing) = der(&self.issuing(*usage).pem) else { return false };
            let Ok((_, issuing)) = parse_x509_certificate(&issuing) else { return false };
            certificate.verify_signature(Some(issuing.public_key())).is_ok()
        })
    }
}

/// A private key as PKCS#8 in PEM, wiped from memory when dropped.
pub(crate) fn key_pem(key: &KeyPair) -> Zeroizing<String> {
    Zeroizing::new(key.serialize_pem())
}

fn write_locked(folder: &Folder, name: &str, key: &KeyPair, passphrase: Option<&Passphrase>) -> Result<(), CertsError> {
    let plain = key_pem(key);
    match passphrase {
        Some(passphrase) => write_key(&folder.at(name), &encrypt_key(&plain, passphrase)?),
        None => write_key(&folder.at(name), &plain),
    }
}

fn read(folder: &Folder, name: &str) -> Result<String, CertsError> {
    folder.read(name)?.ok_or_else(|| CertsError::NotInitialised { file: folder.at(name) })
}

/// Validity of an issuing certificate, once the root's key has been seen to have signed it.
fn signed_validity(folder: &Folder, root_pem: &str, name: &str, issuing_pem: &str) -> Result<Validity, CertsError> {
    let damaged = |name: &str, what| CertsError::Damaged { file: folder.at(name), what };
    let unreadable = "is not a certificate in PEM";
    let root = der(root_pem).ok_or_else(|| damaged(ROOT, unreadable))?;
    let issuing = der(issuing_pem).ok_or_else(|| damaged(name, unreadable))?;
    let (_, root) = parse_x509_certificate(&root).map_err(|_| damaged(ROOT, unreadable))?;
    let (_, issuing) = parse_x509_certificate(&issuing).map_err(|_| damaged(name, unreadable))?;
    issuing.verify_signature(Some(root.public_key())).map_err(|_| damaged(name, "is not signed by root.pem"))?;
    let validity = issuing.validity();
    Ok(Validity { from: validity.not_before.timestamp(), until: validity.not_after.timestamp() })
}

fn issuer(
    folder: &Folder,
    certificate_pem: &str,
    key: &str,
    passphrase: Option<&Passphrase>,
) -> Result<Issuer<'static, KeyPair>, CertsError> {
    let text = folder.read_key(key)?;
    let file = folder.at(key);
    let damaged = |what| CertsError::Damaged { file: file.clone(), what };
    let found = decrypt_key(&text, passphrase).map_err(|error| error.about(&file))?;
    let pair = KeyPair::try_from(&found).map_err(|_| damaged("is not a private key in PEM"))?;
    let certificate = der(certificate_pem).ok_or_else(|| damaged("has no certificate beside it"))?;
    let (_, parsed) = parse_x509_certificate(&certificate).map_err(|_| damaged("has no certificate beside it"))?;
    if parsed.public_key().raw != pair.subject_public_key_info() {
        return Err(damaged("is not the key of the certificate beside it"));
    }
    Ok(Issuer::from_ca_cert_der(&certificate, pair)?)
}

/// The first certificate of a text.
pub(crate) fn der(pem: &str) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(pem.as_bytes()).ok()
}
