//! From a certificate to a participant. Nothing a body or header says takes part in it.

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, UnixTime};
use tsunagi_core::id::ParticipantId;
use tsunagi_core::registry::{Participant, Registry};

use super::tls::TlsMaterial;

/// The other end of one TLS connection (接続相手).
#[derive(Debug, Clone)]
pub struct Peer {
    /// SHA-256 of its certificate, in hexadecimal.
    pub fingerprint: String,
    /// The participant that the hub's own CA names in it; `None` for foreign CAs.
    named: Option<ParticipantId>,
}

impl Peer {
    /// Reads a verified chain. A SAN URI counts only under the hub's CA: a foreign CA could write any.
    pub fn of(chain: &[CertificateDer<'_>], material: &TlsMaterial, now: Timestamp) -> Option<Self> {
        let leaf = chain.first()?;
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let named = if material.is_of_hub(chain, now) {
            tsunagi_certs::participant_of(leaf).and_then(|id| ParticipantId::parse(&id).ok())
        } else {
            None
        };
        Some(Self { fingerprint: tsunagi_certs::fingerprint(leaf), named })
    }

    /// The participant it is today, if it is one that may act. Asked again for every request.
    pub fn participant(&self, registry: &Registry) -> Option<Participant> {
        let found = match &self.named {
            Some(id) => registry.participant(id),
            None => registry.participant_by_fingerprint(&self.fingerprint),
        };
        found.filter(|participant| !participant.suspended).cloned()
    }

    /// The id in the certificate, registered or not, for the audit log.
    pub fn named(&self) -> Option<&ParticipantId> {
        self.named.as_ref()
    }
}
