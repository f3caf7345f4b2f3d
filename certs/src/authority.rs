//! Issuing, revoking and publishing.

use std::fmt;
use std::path::Path;

use rcgen::{KeyPair, PublicKeyData};
use zeroize::Zeroizing;

use crate::chain::{Chain, ROOT, ROOT_KEY, key_pem};
use crate::crl::{self, FIRST_LIFETIME, Previous};
use crate::disk::{Folder, PUBLIC};
use crate::error::CertsError;
use crate::ledger::{Ledger, LedgerEntry, Line};
use crate::peer::fingerprint;
use crate::profile::{BACKDATE, DAY, Leaf, Validity, day};
use crate::reason::Reason;
use crate::request;
use crate::serial::Serial;

const CRL: &str = "crl.pem";
const ROOT_CRL: &str = "root-crl.pem";

/// The hub's certificate authority, open and locked until dropped. See the crate's front page for the folder.
pub struct Authority {
    folder: Folder,
    chain: Chain,
    ledger: Ledger,
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
    /// Makes an authority in a new or empty folder, with a revocation list for each of root and issuing CA.
    ///
    /// The lists are valid for 30 days from `now_unix`. `hub_name` is what people read in the certificates of the two
    /// authorities. Nothing is ever overwritten: a folder that holds any other file is refused and left as it is.
    pub fn init(dir: &Path, hub_name: &str, now_unix: i64) -> Result<Self, CertsError> {
        let folder = Folder::create(dir)?;
        Chain::create(&folder, hub_name, now_unix)?;
        Ledger::create(&folder)?;
        let mut authority = Self::assemble(folder)?;
        authority.publish(now_unix, FIRST_LIFETIME)?;
        Ok(authority)
    }

    /// Opens an authority and checks that its files belong together. Refused while another process has it open.
    ///
    /// The root's key is not read, and the folder may do without it until the next [`publish_crl`](Self::publish_crl).
    pub fn open(dir: &Path) -> Result<Self, CertsError> {
        let root = dir.join(ROOT);
        if !root.exists() {
            return Err(CertsError::NotInitialised { file: root });
        }
        Self::assemble(Folder::open(dir)?)
    }

    /// Certificate of the root in PEM: what others are told to trust.
    pub fn trust_anchors_pem(&self) -> String {
        self.chain.root_pem.clone()
    }

    /// Certificate of the issuing authority in PEM: what goes between a certificate and the trust anchor.
    pub fn chain_pem(&self) -> String {
        self.chain.issuing_pem.clone()
    }

    /// Both revocation lists in PEM, the issuing authority's first: what checking a whole chain needs.
    pub fn crls_pem(&self) -> Result<String, CertsError> {
        let read =
            |name| self.folder.read(name)?.ok_or_else(|| CertsError::NotInitialised { file: self.folder.at(name) });
        Ok(read(CRL)? + &read(ROOT_CRL)?)
    }

    /// Last second in which the authority can issue, in unix seconds; no certificate of it lasts longer.
    pub fn not_after(&self) -> i64 {
        self.chain.validity.until
    }

    /// Makes a key and a certificate that names a participant, for TLS clients, valid for `days` from `now`.
    pub fn issue_participant(&mut self, id: &str, now: i64, days: u32) -> Result<Issued, CertsError> {
        let leaf = Leaf::participant(id)?;
        self.issue_with_new_key(&leaf, now, days)
    }

    /// The same for a key that its owner made: P-256, P-384, or RSA of 2048 to 4096 bits.
    ///
    /// Only the key is taken from the request, whatever else it asks for, and only if the request is signed by it.
    pub fn issue_participant_from_csr(
        &mut self,
        csr_pem: &str,
        id: &str,
        now: i64,
        days: u32,
    ) -> Result<Issued, CertsError> {
        let leaf = Leaf::participant(id)?;
        let key = request::public_key(csr_pem)?;
        self.certify(&leaf, &key, now, days)
    }

    /// Makes a key and a certificate for a server under DNS names and IP addresses, valid for `days` from `now`.
    pub fn issue_server(&mut self, names: &[String], now: i64, days: u32) -> Result<Issued, CertsError> {
        let leaf = Leaf::server(names)?;
        self.issue_with_new_key(&leaf, now, days)
    }

    /// Revokes a certificate: a line in the ledger, then a new list that lasts as long as the one before did.
    ///
    /// If the line was written but the list was not, the same call again makes the list; date and reason stay as they
    /// were. The serial number may be spelled as OpenSSL does.
    pub fn revoke(&mut self, serial_hex: &str, reason: Reason, now: i64) -> Result<(), CertsError> {
        self.check_now(now)?;
        let serial = Serial::parse(serial_hex)?.to_string();
        let entries = self.ledger.entries()?;
        let entry = entries.iter().find(|entry| entry.serial == serial);
        let entry = entry.ok_or_else(|| CertsError::UnknownSerial { serial: serial.clone() })?;
        match entry.reason {
            Some(standing) if standing != reason => {
                return Err(CertsError::AlreadyRevoked { serial, reason: standing });
            }
            Some(_) => {}
            // From here on the certificate is revoked, whatever becomes of the list.
            None => self.ledger.append(&Line::Revoked { serial, at: now, reason })?,
        }
        let lifetime = self.previous(CRL)?.map_or(FIRST_LIFETIME, |previous| previous.lifetime);
        self.publish_issuing(now, lifetime)
    }

    /// Signs both revocation lists anew, valid for `days` from `now`. The issuing authority's list comes first: if
    /// the root's key is away, that list is out before the error.
    pub fn publish_crl(&mut self, now: i64, days: u32) -> Result<(), CertsError> {
        self.check_now(now)?;
        let until = now.saturating_add(i64::from(days) * DAY);
        if days == 0 || until > self.chain.validity.until {
            return Err(self.lifetime_error(days));
        }
        self.publish(now, i64::from(days) * DAY)
    }

    /// Every certificate that was issued, in order, with its revocation if there was one.
    pub fn list(&self) -> Result<Vec<LedgerEntry>, CertsError> {
        self.ledger.entries()
    }

    fn assemble(folder: Folder) -> Result<Self, CertsError> {
        let chain = Chain::open(&folder)?;
        let ledger = Ledger::open(&folder)?;
        Ok(Self { folder, chain, ledger })
    }

    fn issue_with_new_key(&mut self, leaf: &Leaf, now: i64, days: u32) -> Result<Issued, CertsError> {
        let key = KeyPair::generate()?;
        let issued = self.certify(leaf, &key, now, days)?;
        Ok(Issued { key_pem: Some(key_pem(&key)), ..issued })
    }

    /// Signs, records, hands out, in this order. After a crash in between the ledger knows a certificate that nobody
    /// has, which harms no one; the other way round there would be one that cannot be revoked.
    fn certify(&mut self, leaf: &Leaf, key: &impl PublicKeyData, now: i64, days: u32) -> Result<Issued, CertsError> {
        self.check_now(now)?;
        let validity = Validity::starting(now, days)?;
        if days == 0 || validity.until > self.chain.validity.until {
            return Err(self.lifetime_error(days));
        }
        let serial = Serial::draw()?;
        let certificate = leaf.params(serial, validity)?.signed_by(key, &self.chain.issuing)?;
        self.ledger.append(&Line::Issued(LedgerEntry {
            serial: serial.to_string(),
            usage: leaf.usage,
            names: leaf.names.clone(),
            fingerprint_sha256: fingerprint(certificate.der()),
            not_before: validity.from,
            not_after: validity.until,
            issued_at: now,
            revoked_at: None,
            reason: None,
        }))?;
        Ok(Issued {
            certificate_pem: certificate.pem() + &self.chain.issuing_pem,
            key_pem: None,
            serial: serial.to_string(),
            not_after: validity.until,
        })
    }

    fn publish(&mut self, now: i64, lifetime: i64) -> Result<(), CertsError> {
        self.publish_issuing(now, lifetime)?;
        let file = self.folder.at(ROOT_KEY);
        if !file.exists() {
            return Err(CertsError::RootKeyAway { file });
        }
        let root = self.chain.root(&self.folder)?;
        let list = crl::sign(&root, self.previous(ROOT_CRL)?, &[], now, lifetime)?;
        self.folder.replace(ROOT_CRL, &list, PUBLIC)
    }

    fn publish_issuing(&mut self, now: i64, lifetime: i64) -> Result<(), CertsError> {
        let entries = self.ledger.entries()?;
        let list = crl::sign(&self.chain.issuing, self.previous(CRL)?, &entries, now, lifetime)?;
        self.folder.replace(CRL, &list, PUBLIC)
    }

    /// A list that is gone is no loss, for the next one is made from the ledger. One that cannot be read is reported:
    /// something other than this program wrote it.
    fn previous(&self, name: &str) -> Result<Option<Previous>, CertsError> {
        let Some(text) = self.folder.read(name)? else { return Ok(None) };
        Previous::read(&text).map(Some).ok_or_else(|| CertsError::CrlDamaged { file: self.folder.at(name) })
    }

    fn check_now(&self, now: i64) -> Result<(), CertsError> {
        let Validity { from, until } = self.chain.validity;
        // What is signed now begins BACKDATE earlier, and that must not lie before the authority's own beginning.
        if (from.saturating_add(BACKDATE)..=until).contains(&now) {
            Ok(())
        } else {
            Err(CertsError::OutsideValidity { from: day(from), limit: day(until) })
        }
    }

    fn lifetime_error(&self, days: u32) -> CertsError {
        CertsError::Lifetime { days, limit: day(self.chain.validity.until) }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("folder", &self.folder.path()).finish_non_exhaustive()
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

#[cfg(test)]
mod tests;
