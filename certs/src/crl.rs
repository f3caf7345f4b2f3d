//! Revocation lists: derived from the ledger, replaced as a whole.

use rcgen::{CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevokedCertParams};
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::parse_x509_crl;

use crate::error::CertsError;
use crate::ledger::LedgerEntry;
use crate::profile::{BACKDATE, DAY, date};
use crate::serial::Serial;

/// Lifetime of the lists that `init` makes, and of one signed by `revoke` when there is no list to take it from.
pub(crate) const FIRST_LIFETIME: i64 = 30 * DAY;

/// What the list before this one says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Previous {
    number: u64,
    /// Seconds from when it was signed to `nextUpdate`.
    pub(crate) lifetime: i64,
}

impl Previous {
    /// Reads number and dates of a list in PEM; `None` if it is not a list of ours.
    pub(crate) fn read(pem: &str) -> Option<Self> {
        let der = CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (_, list) = parse_x509_crl(&der).ok()?;
        let number = list.crl_number().and_then(|number| u64::try_from(number).ok())?;
        let signed = list.last_update().timestamp().checked_add(BACKDATE)?;
        let lifetime = list.next_update()?.timestamp().checked_sub(signed)?;
        Some(Self { number, lifetime })
    }
}

/// Signs a list in PEM, valid from `now` for `lifetime` seconds.
///
/// The number is the time in seconds, or one more than the previous number if that is larger: it grows with every
/// list, also after the previous list was lost. Entries stay after their certificates have ended; RFC 5280 section
/// 3.3 asks for at least one more list, and a hub revokes too few for the size to matter.
pub(crate) fn sign(
    issuer: &Issuer<'_, KeyPair>,
    previous: Option<Previous>,
    entries: &[LedgerEntry],
    now: i64,
    lifetime: i64,
) -> Result<String, CertsError> {
    let clock = u64::try_from(now).map_err(|_| CertsError::Time)?;
    let number = previous.map_or(clock, |previous| previous.number.saturating_add(1).max(clock));
    let list = CertificateRevocationListParams {
        this_update: date(now.checked_sub(BACKDATE).ok_or(CertsError::Time)?)?,
        next_update: date(now.checked_add(lifetime).ok_or(CertsError::Time)?)?,
        crl_number: number.into(),
        issuing_distribution_point: None,
        revoked_certs: entries.iter().filter_map(|entry| revoked(entry).transpose()).collect::<Result<_, _>>()?,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    Ok(list.signed_by(issuer)?.pem()?)
}

fn revoked(entry: &LedgerEntry) -> Result<Option<RevokedCertParams>, CertsError> {
    let Some(at) = entry.revoked_at else { return Ok(None) };
    Ok(Some(RevokedCertParams {
        serial_number: Serial::parse(&entry.serial)?.number(),
        revocation_time: date(at)?,
        reason_code: entry.reason.and_then(|reason| reason.code()),
        invalidity_date: None,
    }))
}
