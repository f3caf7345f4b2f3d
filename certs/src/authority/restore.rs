//! A certificate that the ledger has lost, back from the certificate itself.

use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::Authority;
use crate::chain::der;
use crate::error::CertsError;
use crate::ledger::{LedgerEntry, Line, Usage};
use crate::peer::{fingerprint, participant_of};
use crate::profile::BACKDATE;
use crate::serial::{Serial, hex};

impl Authority {
    /// The ledger's entry of a certificate in PEM, entered now if the ledger does not have it: without an entry nothing
    /// can be revoked. Refused unless one of the two issuing authorities signed the certificate. Whatever follows the
    /// first certificate of the text is not read.
    ///
    /// What only the ledger knew, such as whose place it took, is lost.
    pub fn restore(&mut self, certificate_pem: &str) -> Result<LedgerEntry, CertsError> {
        let der = der(certificate_pem).ok_or(CertsError::Certificate)?;
        let (_, certificate) = parse_x509_certificate(&der).map_err(|_| CertsError::Certificate)?;
        let usage = self.chain.signer_of(&certificate).ok_or(CertsError::NotIssuedHere)?;
        let serial = Serial::parse(&hex(certificate.raw_serial()))?.to_string();
        let fingerprint_sha256 = fingerprint(&der);
        match self.entry(&serial) {
            Ok(entry) if entry.fingerprint_sha256 == fingerprint_sha256 => return Ok(entry),
            Ok(_) => return Err(CertsError::OtherCertificate { serial }),
            Err(CertsError::UnknownSerial { .. }) => {}
            Err(error) => return Err(error),
        }
        let names = match usage {
            Usage::Participant => participant_of(&der).into_iter().collect(),
            Usage::Server => server_names(&certificate),
        };
        let not_before = certificate.validity().not_before.timestamp();
        let entry = LedgerEntry {
            serial,
            usage,
            names,
            fingerprint_sha256,
            not_before,
            not_after: certificate.validity().not_after.timestamp(),
            issued_at: not_before.saturating_add(BACKDATE),
            // Nobody knows any more; its owner is asked for a request rather than sent a key.
            key_from_request: true,
            renews: None,
            revoked_at: None,
            reason: None,
        };
        self.ledger.append(Line::Restored(entry.clone()))?;
        Ok(entry)
    }

    /// True if the entry of a certificate was made by [`restore`](Self::restore).
    pub fn was_restored(&self, serial: &str) -> Result<bool, CertsError> {
        self.ledger.was_restored(serial)
    }
}

/// DNS names and addresses as the ledger spells them.
fn server_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let named = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from)).ok().map(|address| address.to_string())
        }
        _ => None,
    };
    names.value.general_names.iter().filter_map(named).collect()
}
