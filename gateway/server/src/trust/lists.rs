//! Certificate revocation lists (RFC 5280 section 5): read, told apart, and held against those that counted before.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::oid_registry::{
    OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER, OID_X509_EXT_DELTA_CRL_INDICATOR, OID_X509_EXT_ISSUER_DISTRIBUTION_POINT,
};
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::authorities::Authorities;
use super::files::{DER, fault, files};
use crate::gateway::StartFault;

/// One list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct List {
    /// The list itself.
    pub(crate) der: CertificateRevocationListDer<'static>,
    /// The name of its issuer, DER.
    pub(crate) issuer: Vec<u8>,
    /// What tells it from other lists of one name: another key, or another part of the certificates.
    part: Vec<u8>,
    /// It speaks of some of the CA's certificates only, or of what changed since another list.
    pub(crate) is_partial: bool,
    /// Its number, big-endian without leading zeros, and when it was made: which of two is the newer one.
    pub(crate) age: (usize, Vec<u8>, i64),
    /// When the next one is due at the latest, in Unix seconds.
    next_update: i64,
    /// The hub's own CA, or one below it, has signed it.
    pub(crate) of_hub: bool,
}

impl List {
    /// Reads one list; `None` if it is none, or has no next update.
    fn of(der: CertificateRevocationListDer<'static>) -> Option<Self> {
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
            of_hub: false,
            der: Vec::new().into(),
        };
        rest.is_empty().then_some(Self { der, ..new })
    }

    /// True if both lists speak of the same certificates, so that only the newer one counts.
    pub(crate) fn replaces(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.part == other.part
    }

    /// The last second at which it is taken.
    pub(crate) fn ends(&self, tolerance: Duration) -> i64 {
        self.next_update.saturating_add(i64::try_from(tolerance.as_secs()).unwrap_or(i64::MAX))
    }
}

/// Lists in PEM or, alone in its file, in DER.
pub(crate) fn parse(bytes: &[u8]) -> Option<Vec<List>> {
    if bytes.first() == Some(&DER) {
        return Some(vec![List::of(CertificateRevocationListDer::from(bytes.to_vec()))?]);
    }
    let lists = CertificateRevocationListDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>().ok()?;
    let lists = lists.into_iter().map(List::of).collect::<Option<Vec<_>>>()?;
    (!lists.is_empty()).then_some(lists)
}

/// Reads the files that must be there, and those of fetched lists, which may not have come yet. Each list must be signed
/// by the authority that it names. Of several that speak of the same certificates the newest is taken.
pub(crate) fn read(paths: &[PathBuf], fetched: &[&Path], authorities: &Authorities) -> Result<Vec<List>, StartFault> {
    let mut taken: Vec<List> = Vec::new();
    let fetched = fetched.iter().filter(|path| path.exists()).map(|path| (*path).to_owned());
    for path in files(paths)?.into_iter().chain(fetched) {
        let bytes = std::fs::read(&path).map_err(|error| fault(&path, error))?;
        // A file without a list would leave every status unknown, and every peer refused.
        let lists =
            parse(&bytes).ok_or_else(|| fault(&path, "holds no certificate revocation list with a next update"))?;
        for mut list in lists {
            list.of_hub = authorities.signs(&list.issuer, &list.der).map_err(|why| fault(&path, why))?;
            match taken.iter_mut().find(|other| list.replaces(other)) {
                Some(other) if other.age < list.age => *other = list,
                Some(_) => {}
                None => taken.push(list),
            }
        }
    }
    // Without any list rustls would ask for none, and every certificate that was ever revoked would be taken.
    if taken.is_empty() {
        return Err(StartFault::Setting("edge.crl_files holds no revocation list".to_owned()));
    }
    Ok(taken)
}

/// Refuses a list that takes the place of a newer one, which would lack the latest revocations; and a new one that is
/// past its date, which would close the door to everybody. One that was held before may grow old in its place.
pub(super) fn check_against(new: &[List], held: &[List], now: i64, tolerance: Duration) -> Result<(), StartFault> {
    for list in new {
        let before = held.iter().find(|before| list.replaces(before));
        if before.is_some_and(|before| before.der == list.der) {
            continue;
        }
        let of = issuer(list);
        if before.is_some_and(|before| list.age < before.age) {
            return Err(StartFault::Setting(format!("the revocation list of {of} is older than the one held")));
        }
        if list.ends(tolerance) < now {
            return Err(StartFault::Setting(format!("the new revocation list of {of} is past its next update")));
        }
    }
    Ok(())
}

/// The issuer's name for people.
fn issuer(list: &List) -> String {
    CertificateRevocationList::from_der(&list.der).map(|(_, list)| list.issuer().to_string()).unwrap_or_default()
}
