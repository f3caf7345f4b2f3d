//! Whether a client's certificate is taken: its chain and the revocation of all of it by webpki, and what webpki leaves
//! open by ourselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};

use super::Trust;
use super::chain::{Unfit, Window, window};
use super::lists::List;
use crate::gateway::StartFault;
use crate::telemetry::Said;

/// The most certificates a peer may show. Checking is work for us and none for the peer; the longest chains of the
/// field have three.
const MOST_CERTIFICATES: usize = 6;
/// The largest certificate taken. Real ones have 1 to 3 KiB.
const LARGEST_CERTIFICATE_BYTES: usize = 16 * 1024;
/// So many chains are known at once; a hub has far fewer partners.
const MOST_KNOWN: usize = 4096;

/// Anybody can have certificates refused as often as they like.
static SAID: Said = Said::new();

/// What is known of a chain that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    /// It stands under the hub's own CA, where a SAN URI names a participant.
    pub(crate) of_hub: bool,
    /// From when to when it is taken, in Unix seconds: as long as all its certificates hold and its lists are in date.
    from: i64,
    pub(crate) until: i64,
}

/// Verifies clients under one set of trust anchors and lists.
#[derive(Debug)]
pub(crate) struct Clients {
    hub: Arc<dyn ClientCertVerifier>,
    any: Arc<dyn ClientCertVerifier>,
    lists: Arc<Vec<List>>,
    tolerance: Duration,
    /// Chains that were taken, by their digest. Under the same anchors and lists nothing but time can change that.
    taken: Mutex<HashMap<[u8; 32], Taken>>,
}

impl Clients {
    /// A status that the lists do not tell is refused, and so is a list past its date and the tolerance.
    pub(crate) fn new(trust: &Trust, provider: &Arc<CryptoProvider>) -> Result<Self, StartFault> {
        // The dates of the lists are looked at below: webpki knows no tolerance, and moving its clock would let
        // certificates live longer too.
        let verifier = |roots: &Arc<RootCertStore>| {
            WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
                .with_crls(trust.lists.iter().map(|list| list.der.clone()))
                .build()
                .map_err(|error| StartFault::Setting(format!("client certificates cannot be verified: {error}")))
        };
        let (hub, any) = (verifier(&trust.hub)?, verifier(&trust.clients)?);
        Ok(Self { hub, any, lists: trust.lists.clone(), tolerance: trust.tolerance, taken: Mutex::default() })
    }

    /// Whether a chain is taken now, and for how long; an error if it is not.
    pub(crate) fn verify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<Taken, Error> {
        if chain.len() > MOST_CERTIFICATES || chain.iter().any(|one| one.len() > LARGEST_CERTIFICATE_BYTES) {
            return Err(Unfit::ChainTooLong.into());
        }
        let digest = digest(chain);
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let known = self.taken().get(&digest).copied();
        if let Some(taken) = known.filter(|taken| (taken.from..=taken.until).contains(&seconds)) {
            return Ok(taken);
        }
        let taken = self.look_at(chain, now, seconds)?;
        let mut all = self.taken();
        if all.len() >= MOST_KNOWN {
            all.clear();
        }
        all.insert(digest, taken);
        Ok(taken)
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<[u8; 32], Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_at(&self, chain: &[CertificateDer<'_>], now: UnixTime, seconds: i64) -> Result<Taken, Error> {
        let (leaf, intermediates) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        self.any.verify_client_cert(leaf, intermediates, now)?;
        let of_hub = self.hub.verify_client_cert(leaf, intermediates, now).is_ok();
        let Window { from, until } = window(chain, &self.lists, self.tolerance, seconds)?;
        Ok(Taken { of_hub, from, until })
    }
}

fn digest(chain: &[CertificateDer<'_>]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for certificate in chain {
        // With the lengths, no two chains are the same text.
        context.update(&(certificate.len() as u64).to_be_bytes());
        context.update(certificate);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.any.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain: Vec<CertificateDer<'_>> = std::iter::once(end_entity).chain(intermediates).cloned().collect();
        match self.verify(&chain, now) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(error) => {
                let reason = reason(&error);
                if let Some(unsaid) = SAID.may_say(reason) {
                    // The fingerprint is enough to find it in the registry or at its CA; names stay out of the log.
                    let certificate = tsunagi_certs::fingerprint(end_entity);
                    tracing::info!(%certificate, reason, unsaid, "certificate refused");
                }
                Err(error)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.any.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.any.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.any.supported_verify_schemes()
    }
}

/// One word for why a handshake failed: a metric's label, and all that the log says of it.
pub(crate) fn reason(error: &Error) -> &'static str {
    use CertificateError as C;
    match error {
        Error::NoCertificatesPresented => "no_certificate",
        Error::InvalidCertificate(certificate) => match certificate {
            C::Expired | C::ExpiredContext { .. } => "expired",
            C::NotValidYet | C::NotValidYetContext { .. } => "not_yet_valid",
            C::Revoked => "revoked",
            C::UnknownIssuer => "unknown_issuer",
            C::UnknownRevocationStatus => "unknown_status",
            C::ExpiredRevocationList | C::ExpiredRevocationListContext { .. } => "stale_crl",
            C::BadSignature => "bad_signature",
            C::BadEncoding => "bad_encoding",
            C::InvalidPurpose | C::InvalidPurposeContext { .. } => "wrong_purpose",
            C::Other(OtherError(inner)) => match inner.downcast_ref::<Unfit>() {
                Some(Unfit::ChainTooLong) => "chain_too_long",
                Some(Unfit::KeyUsage) => "wrong_key_usage",
                Some(Unfit::WeakKey) => "weak_key",
                // webpki's own: path length, name constraints, critical extensions it does not know.
                None => "bad_chain",
            },
            _ => "bad_certificate",
        },
        Error::InvalidCertRevocationList(_) => "bad_crl",
        Error::PeerIncompatible(_) => "incompatible",
        Error::AlertReceived(_) => "peer_alert",
        _ => "protocol",
    }
}
