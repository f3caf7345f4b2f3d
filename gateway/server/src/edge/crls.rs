//! Certificate revocation lists (RFC 5280 section 5): read, told apart, and how long each chain may rest on them.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::oid_registry::{
    OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER, OID_X509_EXT_DELTA_CRL_INDICATOR, OID_X509_EXT_ISSUER_DISTRIBUTION_POINT,
};
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use crate::gateway::StartFault;

/// One list, as far as the gateway looks into it; whether it is signed rightly is seen where it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Crl {
    /// The list itself.
    pub(super) der: CertificateRevocationListDer<'static>,
    /// The name of its issuer, DER.
    pub(super) issuer: Vec<u8>,
    /// What tells it from other lists of one name: another key, or another part of the certificates.
    part: Vec<u8>,
    /// It speaks of some of the CA's certificates only, or of what changed since another list.
    pub(super) is_partial: bool,
    /// Its number, big-endian without leading zeros, and when it was made: which of two is the newer one.
    pub(super) age: (usize, Vec<u8>, i64),
    /// When the next one is due at the latest, in Unix seconds.
    pub(super) next_update: i64,
}

impl Crl {
    /// Reads one list; `None` if it is none, or has no next update.
    pub(super) fn of(der: CertificateRevocationListDer<'static>) -> Option<Self> {
        let (rest, list) = CertificateRevocationList::from_der(&der).ok()?;
        let next_update = list.next_update()?.timestamp();
        let of_part =
            |oid: &_| *oid == OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER || *oid == OID_X509_EXT_ISSUER_DISTRIBUTION_POINT;
        let part = list.extensions().iter().filter(|extension| of_part(&extension.oid)).flat_map(|e| e.value.to_vec());
        let number = list.crl_number().map(|number| number.to_bytes_be()).unwrap_or_default();
        let new = Self {
            issuer: list.tbs_cert_list.issuer.as_raw().to_vec(),
            part: part.collect(),
            is_partial: list.extensions().iter().any(|extension| {
                [OID_X509_EXT_DELTA_CRL_INDICATOR, OID_X509_EXT_ISSUER_DISTRIBUTION_POINT].contains(&extension.oid)
            }),
            age: (number.len(), number, list.last_update().timestamp()),
            next_update,
            der: Vec::new().into(),
        };
        rest.is_empty().then_some(Self { der, ..new })
    }

    /// True if both lists speak of the same certificates, so that only the newer one counts.
    pub(super) fn replaces(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.part == other.part
    }
}

/// Lists in PEM or, alone in its file, in DER.
pub(super) fn parse(bytes: &[u8]) -> Option<Vec<Crl>> {
    const SEQUENCE: u8 = 0x30;
    if bytes.first() == Some(&SEQUENCE) {
        return Some(vec![Crl::of(CertificateRevocationListDer::from(bytes.to_vec()))?]);
    }
    let lists = CertificateRevocationListDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>().ok()?;
    let lists = lists.into_iter().map(Crl::of).collect::<Option<Vec<_>>>()?;
    (!lists.is_empty()).then_some(lists)
}

/// Reads the files that must be there, and those of fetched lists, which may not have come yet. Of several lists that
/// speak of the same certificates the newest is taken.
pub(super) fn read(files: &[PathBuf], fetched: &[&Path]) -> Result<Vec<Crl>, StartFault> {
    let fault = |path: &Path, why: &dyn std::fmt::Display| StartFault(format!("{}: {why}", path.display()));
    let mut taken: Vec<Crl> = Vec::new();
    let fetched = fetched.iter().copied().filter(|path| path.exists());
    for path in files.iter().map(PathBuf::as_path).chain(fetched) {
        let bytes = std::fs::read(path).map_err(|error| fault(path, &error))?;
        // A file without a list would leave every status unknown, and every peer refused.
        let lists =
            parse(&bytes).ok_or_else(|| fault(path, &"holds no certificate revocation list with a next update"))?;
        for list in lists {
            match taken.iter_mut().find(|other| list.replaces(other)) {
                Some(other) if other.age < list.age => *other = list,
                Some(_) => {}
                None => taken.push(list),
            }
        }
    }
    Ok(taken)
}
