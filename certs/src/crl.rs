//! Revocation lists: derived from the ledger, replaced as a whole.

use rcgen::{CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, RevokedCertParams};
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::revocation_list::RevokedCertificate;
use x509_parser::{parse_x509_certificate, parse_x509_crl};

use crate::chain::der;
use crate::error::CertsError;
use crate::ledger::LedgerEntry;
use crate::profile::{BACKDATE, DAY, date};
use crate::reason::Reason;
use crate::serial::{Serial, hex};

/// Lifetime of the lists that `init` makes, and of one signed by `revoke` when there is no list to take it from.
pub(crate) const FIRST_LIFETIME: i64 = 30 * DAY;

/// What the list before this one says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Previous {
    number: u64,
    /// Seconds from when it was signed to `nextUpdate`.
    pub(crate) lifetime: i64,
    /// What stands on it.
    pub(crate) revoked: Vec<Standing>,
}

/// One certificate on a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Serial number, 32 lower-case hexadecimal digits.
    pub(crate) serial: String,
    /// When it was revoked, in unix seconds.
    at: i64,
    reason: Reason,
}

impl Previous {
    /// Reads a list in PEM; `None` if it is not one that the authority with this certificate signed.
    pub(crate) fn read(pem: &str, issuer_pem: &str) -> Option<Self> {
        let list = CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (_, list) = parse_x509_crl(&list).ok()?;
        let issuer = der(issuer_pem)?;
        let (_, issuer) = parse_x509_certificate(&issuer).ok()?;
        list.verify_signature(issuer.public_key()).ok()?;
        let number = list.crl_number().and_then(|number| u64::try_from(number).ok())?;
        let signed = list.last_update().timestamp().checked_add(BACKDATE)?;
        let lifetime = list.next_update()?.timestamp().checked_sub(signed)?;
        let revoked = list.iter_revoked_certificates().map(standing).collect();
        Some(Self { number, lifetime, revoked })
    }
}

/// Signs a list in PEM, valid from `now` for `lifetime` seconds.
///
/// The number is the time in seconds, or one more than the previous number if that is larger: it grows with every
/// list, also after the previous list was lost. Entries stay after their certificates have ended; RFC 5280 section
/// 3.3 asks for at least one more list, and a hub revokes too few for the size to matter. What stood on the previous list
/// stays on this one, also if the entries know nothing of it: a list takes no revocation back.
pub(crate) fn sign(
    issuer: &Issuer<'_, KeyPair>,
    previous: Option<&Previous>,
    entries: &[LedgerEntry],
    now: i64,
    lifetime: i64,
) -> Result<String, CertsError> {
    let clock = u64::try_from(now).map_err(|_| CertsError::Time)?;
    let number = previous.map_or(clock, |previous| previous.number.saturating_add(1).max(clock));
    let own: Vec<Standing> = entries.iter().filter_map(of_entry).collect();
    let is_own = |other: &Standing| own.iter().any(|own| own.serial == other.serial);
    let others = previous.into_iter().flat_map(|previous| &previous.revoked).filter(|other| !is_own(other));
    let list = CertificateRevocationListParams {
        this_update: date(now.checked_sub(BACKDATE).ok_or(CertsError::Time)?)?,
        next_update: date(now.checked_add(lifetime).ok_or(CertsError::Time)?)?,
        crl_number: number.into(),
        issuing_distribution_point: None,
        revoked_certs: own.iter().chain(others).map(listed).collect::<Result<_, _>>()?,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    Ok(list.signed_by(issuer)?.pem()?)
}

fn of_entry(entry: &LedgerEntry) -> Option<Standing> {
    let (at, reason) = (entry.revoked_at?, entry.reason.unwrap_or(Reason::Unspecified));
    Some(Standing { serial: entry.serial.clone(), at, reason })
}

fn standing(listed: &RevokedCertificate<'_>) -> Standing {
    let code = listed.reason_code().map(|(_, code)| code.0);
    Standing {
        serial: hex(listed.raw_serial()),
        at: listed.revocation_date.timestamp(),
        reason: code.and_then(Reason::from_code).unwrap_or(Reason::Unspecified),
    }
}

fn listed(standing: &Standing) -> Result<RevokedCertParams, CertsError> {
    Ok(RevokedCertParams {
        serial_number: Serial::parse(&standing.serial)?.number(),
        revocation_time: date(standing.at)?,
        reason_code: standing.reason.code(),
        invalidity_date: None,
    })
}
