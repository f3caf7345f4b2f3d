//! From a certificate to a participant. Nothing a body or header says takes part in it.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, UnixTime};
use tsunagi_core::id::ParticipantId;
use tsunagi_core::registry::{Participant, Registry};

use super::tls::TlsMaterial;

/// The other end of one TLS connection (接続相手).
#[derive(Debug)]
pub struct Peer {
    /// SHA-256 of its certificate, in hexadecimal.
    pub fingerprint: String,
    /// The participant that the hub's own CA names in it; `None` for foreign CAs.
    named: Option<ParticipantId>,
    chain: Vec<CertificateDer<'static>>,
    /// The generation of TLS material it was last verified under, and until when it is taken under that.
    verified: Mutex<(u64, i64)>,
}

impl Peer {
    /// Reads a verified chain. A SAN URI counts only under the hub's CA: a foreign CA could write any.
    pub fn of(chain: &[CertificateDer<'_>], material: &TlsMaterial, now: Timestamp) -> Option<Self> {
        let leaf = chain.first()?;
        let taken = material.take(chain, unix(now));
        let named = taken.filter(|taken| taken.of_hub).and_then(|_| tsunagi_certs::participant_of(leaf));
        Some(Self {
            fingerprint: tsunagi_certs::fingerprint(leaf),
            named: named.and_then(|id| ParticipantId::parse(&id).ok()),
            chain: chain.iter().map(|certificate| certificate.clone().into_owned()).collect(),
            verified: Mutex::new((material.generation, taken.map_or(i64::MIN, |taken| taken.until))),
        })
    }

    /// True if a new handshake with the same certificate would be taken now. Asked for every request: a certificate
    /// that expires or is revoked, or a CRL that goes stale, ends what may be done on a connection that is open.
    pub fn is_still_trusted(&self, material: &TlsMaterial, now: Timestamp) -> bool {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.0 != material.generation {
            // Refused once under this material is refused until there is other material.
            *verified = (material.generation, material.trusted_until(&self.chain, unix(now)).unwrap_or(i64::MIN));
        }
        now.as_second() <= verified.1
    }

    /// What its connections are counted under: the participant, so that a second certificate brings no second share.
    pub fn counted_as(&self, registry: &Registry) -> String {
        self.participant(registry).map_or_else(|| self.fingerprint.clone(), |participant| participant.id.to_string())
    }

    /// The participant it is today, if it is one that may act. Asked again for every request.
    pub fn participant(&self, registry: &Registry) -> Option<Arc<Participant>> {
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

fn unix(at: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0)))
}
