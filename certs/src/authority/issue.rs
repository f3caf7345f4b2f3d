//! From a wish to a certificate, in two steps with room between them.
//!
//! [`Authority::prepare`] signs and keeps nothing, [`Authority::record`] writes the ledger's line and gives the
//! certificate out. What must be known of it before anybody has it, such as a leaf of an audit log, is written between
//! the two. After a crash at any point there is no certificate in anyone's hands that the ledger does not know; a line
//! whose certificate nobody has harms no one.

use std::fmt;

use rcgen::{KeyPair, PublicKeyData};
use zeroize::Zeroizing;

use super::Authority;
use crate::chain::key_pem;
use crate::error::CertsError;
use crate::ledger::{LedgerEntry, Line, Usage};
use crate::peer::fingerprint;
use crate::profile::{DAY, Leaf, Validity, day};
use crate::request;
use crate::serial::Serial;

/// Whom a certificate is for.
#[derive(Debug, Clone, Copy)]
pub enum Holder<'a> {
    /// A participant, by its id.
    Participant(&'a str),
    /// A server, by its DNS names and IP addresses.
    Server(&'a [String]),
}

/// A certificate that is wished for.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// For whom.
    pub holder: Holder<'a>,
    /// A signing request, PEM or DER, whose key is certified: P-256, P-384, or RSA of 2048 to 4096 bits. Without one a key is
    /// made. Nothing but the key is taken from it, whatever else it asks for, and only if the request is signed by it.
    pub csr: Option<&'a [u8]>,
    /// How long it is to last, from now.
    pub days: u32,
}

/// A certificate that is signed and not yet in the ledger: nobody but the caller has it.
#[derive(Debug)]
pub struct Prepared {
    issued: Issued,
    entry: LedgerEntry,
}

impl Prepared {
    /// The line that the ledger will get.
    pub fn entry(&self) -> &LedgerEntry {
        &self.entry
    }
}

/// A certificate that was just made, on its way to whoever will use it.
pub struct Issued {
    /// The certificate and after it the issuing authority's, in PEM: what a TLS peer presents.
    pub certificate_pem: String,
    /// The private key as PKCS#8 in PEM. `None` if the key came with a request. Nobody keeps a copy; to be written
    /// with [`write_key`](crate::write_key).
    pub key_pem: Option<Zeroizing<String>>,
    /// Serial number, 32 lower-case hexadecimal digits.
    pub serial: String,
    /// Last second of the certificate's validity, in unix seconds.
    pub not_after: i64,
}

impl Authority {
    /// Signs a certificate. Nothing is written: dropped without [`record`](Self::record) it never was. Refused while the
    /// ledger lacks a revocation, so that the wrong one does not grow.
    pub fn prepare(&self, order: &Order<'_>, now: i64) -> Result<Prepared, CertsError> {
        self.check_revocations()?;
        let leaf = match order.holder {
            Holder::Participant(id) => Leaf::participant(id)?,
            Holder::Server(names) => Leaf::server(names)?,
        };
        match order.csr {
            Some(csr) => {
                let mut prepared = self.certify(&leaf, &request::public_key(csr)?, now, order.days)?;
                prepared.entry.key_from_request = true;
                Ok(prepared)
            }
            None => {
                let key = Zeroizing::new(KeyPair::generate()?);
                let mut prepared = self.certify(&leaf, &*key, now, order.days)?;
                prepared.issued.key_pem = Some(key_pem(&key));
                Ok(prepared)
            }
        }
    }

    /// Signs a certificate for the same holder as that of another one, which holds on until its own end.
    ///
    /// The key is a new one, or that of a request, which may be the request of the first time. Refused if the other
    /// certificate has ended or is revoked.
    pub fn prepare_renewal(
        &self,
        serial_hex: &str,
        csr: Option<&[u8]>,
        days: u32,
        now: i64,
    ) -> Result<Prepared, CertsError> {
        let old = self.entry(serial_hex)?;
        if old.revoked_at.is_some() {
            return Err(CertsError::Revoked { serial: old.serial });
        }
        if old.not_after < now {
            return Err(CertsError::Ended { serial: old.serial, day: day(old.not_after) });
        }
        let holder = match (old.usage, old.names.as_slice()) {
            (Usage::Participant, [id, ..]) => Holder::Participant(id),
            (Usage::Participant, []) => return Err(CertsError::ParticipantId),
            (Usage::Server, names) => Holder::Server(names),
        };
        let mut prepared = self.prepare(&Order { holder, csr, days }, now)?;
        prepared.entry.renews = Some(old.serial);
        Ok(prepared)
    }

    /// Certificates that end within so many days from `now` and that nothing has renewed yet, the first to end first.
    pub fn due(&self, days: u32, now: i64) -> Result<Vec<LedgerEntry>, CertsError> {
        let entries = self.list()?;
        let until = now.saturating_add(i64::from(days) * DAY);
        let is_renewed =
            |serial: &str| entries.iter().any(|other| other.renews.as_deref() == Some(serial) && other.holds_at(now));
        let mut due: Vec<LedgerEntry> = entries
            .iter()
            .filter(|entry| entry.holds_at(now) && entry.not_after <= until && !is_renewed(&entry.serial))
            .cloned()
            .collect();
        due.sort_by_key(|entry| entry.not_after);
        Ok(due)
    }

    /// Writes the ledger's line; when it is on disk, gives the certificate out.
    pub fn record(&mut self, prepared: Prepared) -> Result<Issued, CertsError> {
        let Prepared { issued, entry } = prepared;
        self.ledger.append(Line::Issued(entry))?;
        Ok(issued)
    }

    /// Makes a key and a certificate that names a participant, for TLS clients, valid for `days` from `now`.
    pub fn issue_participant(&mut self, id: &str, now: i64, days: u32) -> Result<Issued, CertsError> {
        self.issue(&Order { holder: Holder::Participant(id), csr: None, days }, now)
    }

    /// The same for a key that its owner made.
    pub fn issue_participant_from_csr(
        &mut self,
        csr: &[u8],
        id: &str,
        now: i64,
        days: u32,
    ) -> Result<Issued, CertsError> {
        self.issue(&Order { holder: Holder::Participant(id), csr: Some(csr), days }, now)
    }

    /// Makes a key and a certificate for a server under DNS names and IP addresses, valid for `days` from `now`.
    pub fn issue_server(&mut self, names: &[String], now: i64, days: u32) -> Result<Issued, CertsError> {
        self.issue(&Order { holder: Holder::Server(names), csr: None, days }, now)
    }

    fn issue(&mut self, order: &Order<'_>, now: i64) -> Result<Issued, CertsError> {
        let prepared = self.prepare(order, now)?;
        self.record(prepared)
    }

    fn certify(&self, leaf: &Leaf, key: &impl PublicKeyData, now: i64, days: u32) -> Result<Prepared, CertsError> {
        self.check_now(now)?;
        let validity = Validity::starting(now, days)?;
        let issuing = self.chain.issuing(leaf.usage);
        if days == 0 || validity.until > issuing.validity.until {
            return Err(self.lifetime_error(days));
        }
        let serial = Serial::draw()?;
        let certificate = leaf.params(serial, validity)?.signed_by(key, &issuing.signer)?;
        let entry = LedgerEntry {
            serial: serial.to_string(),
            usage: leaf.usage,
            names: leaf.names.clone(),
            fingerprint_sha256: fingerprint(certificate.der()),
            not_before: validity.from,
            not_after: validity.until,
            issued_at: now,
            key_from_request: false,
            renews: None,
            revoked_at: None,
            reason: None,
        };
        let issued = Issued {
            certificate_pem: certificate.pem() + &issuing.pem,
            key_pem: None,
            serial: serial.to_string(),
            not_after: validity.until,
        };
        Ok(Prepared { issued, entry })
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("serial", &self.serial)
            .field("not_after", &self.not_after)
            .field("key_pem", &self.key_pem.as_ref().map(|_| "[redacted]"))
            .finish_non_exhaustive()
    }
}
