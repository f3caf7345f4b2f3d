//! Issuing, revoking and publishing.

mod issue;
mod restore;

use std::fmt;
use std::path::Path;

pub use self::issue::{Holder, Issued, Order, Prepared};
use crate::chain::{Chain, OwnCertificate, ROOT, ROOT_KEY};
use crate::crl::{self, FIRST_LIFETIME, Previous};
use crate::disk::{Folder, PUBLIC};
use crate::error::CertsError;
use crate::ledger::{Ledger, LedgerEntry, Line, Usage};
use crate::profile::{BACKDATE, DAY, Validity, day};
use crate::reason::Reason;
use crate::secret::Passphrase;
use crate::serial::Serial;

const CRL: &str = "crl.pem";
const SERVER_CRL: &str = "server-crl.pem";
const ROOT_CRL: &str = "root-crl.pem";

/// The hub's certificate authority, open and locked until dropped. See the crate's front page for the folder.
pub struct Authority {
    folder: Folder,
    chain: Chain,
    ledger: Ledger,
}

impl Authority {
    /// Makes an authority in a new or empty folder, with a revocation list for each of root and issuing CAs.
    ///
    /// The lists are valid for 30 days from `now_unix`. `hub_name` is what people read in the certificates of the
    /// authorities. Nothing is ever overwritten: a folder that holds any other file is refused and left as it is.
    pub fn init(dir: &Path, hub_name: &str, now_unix: i64) -> Result<Self, CertsError> {
        Self::init_under(dir, hub_name, now_unix, None)
    }

    /// The same, with the keys under a passphrase if there is one. It is needed from then on to open the authority.
    pub fn init_under(
        dir: &Path,
        hub_name: &str,
        now_unix: i64,
        passphrase: Option<Passphrase>,
    ) -> Result<Self, CertsError> {
        let folder = Folder::create(dir)?;
        Chain::create(&folder, hub_name, now_unix, passphrase.as_ref())?;
        Ledger::create(&folder)?;
        let mut authority = Self::assemble(folder, passphrase)?;
        authority.publish(now_unix, FIRST_LIFETIME)?;
        Ok(authority)
    }

    /// Opens an authority and checks that its files belong together. Another process that has it open is waited for, five
    /// seconds at most.
    ///
    /// The root's key is not read, and the folder may do without it until the next [`publish_crl`](Self::publish_crl).
    pub fn open(dir: &Path) -> Result<Self, CertsError> {
        Self::open_under(dir, None)
    }

    /// The same for keys that may be kept under a passphrase.
    pub fn open_under(dir: &Path, passphrase: Option<Passphrase>) -> Result<Self, CertsError> {
        let root = dir.join(ROOT);
        if !root.exists() {
            return Err(CertsError::NotInitialised { file: root });
        }
        Self::assemble(Folder::open(dir)?, passphrase)
    }

    /// Certificate of the root in PEM: what others are told to trust.
    pub fn trust_anchors_pem(&self) -> String {
        self.chain.root_pem.clone()
    }

    /// Certificate of an issuing authority in PEM: what goes between a certificate and the trust anchor.
    pub fn chain_pem(&self, usage: Usage) -> String {
        self.chain.issuing(usage).pem.clone()
    }

    /// The authority's own certificates, the root's first: what to write down when it is made.
    pub fn own_certificates(&self) -> Result<Vec<OwnCertificate>, CertsError> {
        self.chain.own_certificates()
    }

    /// The revocation lists in PEM, the issuing authorities' first: what checking whole chains needs.
    pub fn crls_pem(&self) -> Result<String, CertsError> {
        let read =
            |name| self.folder.read(name)?.ok_or_else(|| CertsError::NotInitialised { file: self.folder.at(name) });
        Ok(read(CRL)? + &read(SERVER_CRL)? + &read(ROOT_CRL)?)
    }

    /// Last second in which the authority can issue, in unix seconds; no certificate of it lasts longer.
    pub fn not_after(&self) -> i64 {
        self.validity().until
    }

    /// Revokes a certificate: a line in the ledger, then a new list that lasts as long as the one before did.
    ///
    /// If the line was written but the list was not, the same call again makes the list; date and reason stay as they
    /// were. The serial number may be spelled as OpenSSL does.
    ///
    /// It does not wait for a ledger that has lost other revocations: they stay on the list, and
    /// [`check_revocations`](Self::check_revocations) tells of them.
    pub fn revoke(&mut self, serial_hex: &str, reason: Reason, now: i64) -> Result<(), CertsError> {
        self.check_now(now)?;
        let LedgerEntry { serial, usage, reason: standing, .. } = self.entry(serial_hex)?;
        match standing {
            Some(standing) if standing != reason => {
                return Err(CertsError::AlreadyRevoked { serial, reason: standing });
            }
            Some(_) => {}
            // From here on the certificate is revoked, whatever becomes of the list.
            None => self.ledger.append(Line::Revoked { serial, at: now, reason })?,
        }
        let lifetime = self.previous(Some(usage))?.map_or(FIRST_LIFETIME, |previous| previous.lifetime);
        self.publish_issuing(usage, now, lifetime)
    }

    /// Refuses a ledger that lacks a revocation of the lists beside it: it is an older one, or it was cut short. What is
    /// written on from there would un-revoke.
    pub fn check_revocations(&self) -> Result<(), CertsError> {
        let entries = self.ledger.entries()?;
        let is_revoked =
            |serial: &str| entries.iter().any(|entry| entry.serial == serial && entry.revoked_at.is_some());
        for usage in [Usage::Participant, Usage::Server] {
            let lost = self
                .previous(Some(usage))?
                .and_then(|list| list.revoked.into_iter().find(|listed| !is_revoked(&listed.serial)));
            if let Some(lost) = lost {
                return Err(CertsError::RevocationLost {
                    file: self.folder.at(list_of(Some(usage))),
                    serial: lost.serial,
                });
            }
        }
        Ok(())
    }

    /// Signs all revocation lists anew, valid for `days` from `now`. The root's comes last: if its key is away, the others
    /// are out before the error.
    pub fn publish_crl(&mut self, now: i64, days: u32) -> Result<(), CertsError> {
        self.check_now(now)?;
        let until = now.saturating_add(i64::from(days) * DAY);
        if days == 0 || until > self.not_after() {
            return Err(self.lifetime_error(days));
        }
        self.check_revocations()?;
        self.publish(now, i64::from(days) * DAY)
    }

    /// Every certificate that was issued, in order, with its revocation if there was one.
    pub fn list(&self) -> Result<Vec<LedgerEntry>, CertsError> {
        self.ledger.entries()
    }

    /// The ledger's entry of a certificate, its serial number spelled as OpenSSL does or as here.
    pub fn entry(&self, serial_hex: &str) -> Result<LedgerEntry, CertsError> {
        let serial = Serial::parse(serial_hex)?.to_string();
        let mut entries = self.ledger.entries()?.into_iter();
        entries.find(|entry| entry.serial == serial).ok_or(CertsError::UnknownSerial { serial })
    }

    fn assemble(folder: Folder, passphrase: Option<Passphrase>) -> Result<Self, CertsError> {
        let chain = Chain::open(&folder, passphrase)?;
        let ledger = Ledger::open(&folder)?;
        Ok(Self { folder, chain, ledger })
    }

    /// While both issuing authorities hold.
    fn validity(&self) -> Validity {
        let (one, other) = (self.chain.participants.validity, self.chain.servers.validity);
        Validity { from: one.from.max(other.from), until: one.until.min(other.until) }
    }

    fn publish(&mut self, now: i64, lifetime: i64) -> Result<(), CertsError> {
        self.publish_issuing(Usage::Participant, now, lifetime)?;
        self.publish_issuing(Usage::Server, now, lifetime)?;
        let file = self.folder.at(ROOT_KEY);
        if !file.exists() {
            return Err(CertsError::RootKeyAway { file });
        }
        let root = self.chain.root(&self.folder)?;
        let list = crl::sign(&root, self.previous(None)?.as_ref(), &[], now, lifetime)?;
        self.folder.replace(ROOT_CRL, &list, PUBLIC)
    }

    fn publish_issuing(&mut self, usage: Usage, now: i64, lifetime: i64) -> Result<(), CertsError> {
        let mut entries = self.ledger.entries()?;
        entries.retain(|entry| entry.usage == usage);
        let previous = self.previous(Some(usage))?;
        let list = crl::sign(&self.chain.issuing(usage).signer, previous.as_ref(), &entries, now, lifetime)?;
        self.folder.replace(list_of(Some(usage)), &list, PUBLIC)
    }

    /// A list that is gone is no loss, for the next one is made from the ledger. One that cannot be read is reported:
    /// something other than this program wrote it.
    fn previous(&self, of: Option<Usage>) -> Result<Option<Previous>, CertsError> {
        let name = list_of(of);
        let Some(text) = self.folder.read(name)? else { return Ok(None) };
        let issuer = of.map_or(&self.chain.root_pem, |usage| &self.chain.issuing(usage).pem);
        Previous::read(&text, issuer).map(Some).ok_or_else(|| CertsError::CrlDamaged { file: self.folder.at(name) })
    }

    fn check_now(&self, now: i64) -> Result<(), CertsError> {
        let Validity { from, until } = self.validity();
        // What is signed now begins BACKDATE earlier, and that must not lie before the authority's own beginning.
        if (from.saturating_add(BACKDATE)..=until).contains(&now) {
            Ok(())
        } else {
            Err(CertsError::OutsideValidity { from: day(from), limit: day(until) })
        }
    }

    fn lifetime_error(&self, days: u32) -> CertsError {
        CertsError::Lifetime { days, limit: day(self.not_after()) }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

/// The list of the issuing authority for a usage, or the root's if none.
fn list_of(usage: Option<Usage>) -> &'static str {
    match usage {
        Some(Usage::Participant) => CRL,
        Some(Usage::Server) => SERVER_CRL,
        None => ROOT_CRL,
    }
}

#[cfg(test)]
mod tests;
