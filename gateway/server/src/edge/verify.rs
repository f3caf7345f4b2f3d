//! Whether a client's certificate is taken: its chain and the revocation of all of it by webpki, and what webpki leaves
//! open by ourselves.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};
use x509_parser::prelude::{FromDer, KeyUsage, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::crls::Crl;
use crate::gateway::StartFault;

/// The most certificates a peer may show. Checking is work for us and none for the peer; the longest chains of the
/// field have three.
const MOST_CERTIFICATES: usize = 6;
/// The largest certificate taken. Real ones have 1 to 3 KiB.
const LARGEST_CERTIFICATE_BYTES: usize = 16 * 1024;
/// RSA keys below have no place in CRYPTREC's list any more.
const LEAST_RSA_BITS: usize = 2048;

/// Why a certificate was refused beyond what rustls has words for.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("the chain is longer or larger than is taken")]
    ChainTooLong,
    #[error("the key may not be used for this")]
    KeyUsage,
    #[error("the key is too weak")]
    WeakKey,
}

impl From<Unfit> for Error {
    fn from(unfit: Unfit) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(unfit))))
    }
}

/// Verifies clients under one set of trust anchors.
#[derive(Debug)]
pub(super) struct Verifier {
    inner: Arc<dyn ClientCertVerifier>,
    crls: Arc<Vec<Crl>>,
    tolerance: i64,
}

impl Verifier {
    /// Trusts `roots`; a status that `crls` do not tell is refused, and so is a list past its date and `tolerance`.
    pub(super) fn new(
        roots: RootCertStore,
        crls: Arc<Vec<Crl>>,
        tolerance: Duration,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, StartFault> {
        // The dates of the lists are looked at below: webpki knows no tolerance, and moving its clock would let
        // certificates live longer too.
        let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .with_crls(crls.iter().map(|crl| crl.der.clone()))
            .build()
            .map_err(|error| StartFault(format!("client certificates cannot be verified: {error}")))?;
        Ok(Self { inner, crls, tolerance: i64::try_from(tolerance.as_secs()).unwrap_or(i64::MAX) })
    }

    /// Until when the chain rests on lists that are in date, in Unix seconds; an error if it is not taken at all.
    pub(super) fn verify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<i64, Error> {
        let (leaf, intermediates) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        if chain.len() > MOST_CERTIFICATES || chain.iter().any(|one| one.len() > LARGEST_CERTIFICATE_BYTES) {
            return Err(Unfit::ChainTooLong.into());
        }
        self.inner.verify_client_cert(leaf, intermediates, now)?;
        let mut until = i64::MAX;
        for (index, certificate) in chain.iter().enumerate() {
            let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
            fit(&parsed, index == 0)?;
            let issuer = parsed.issuer().as_raw();
            let due = self.crls.iter().filter(|crl| crl.issuer == issuer).map(|crl| crl.next_update).min();
            until = until.min(due.unwrap_or(i64::MAX).saturating_add(self.tolerance));
        }
        if until < i64::try_from(now.as_secs()).unwrap_or(i64::MAX) {
            return Err(CertificateError::ExpiredRevocationList.into());
        }
        Ok(until)
    }
}

/// What RFC 5280 section 4.2.1.3 asks and webpki does not look at, and the strength of the key.
fn fit(certificate: &X509Certificate<'_>, is_leaf: bool) -> Result<(), Unfit> {
    let usage = certificate.key_usage().map_err(|_| Unfit::KeyUsage)?;
    // What is neither is a certificate too many, which a peer may show and which nothing rests on.
    let must_sign = (is_leaf, certificate.is_ca());
    let may = |usage: &KeyUsage| match must_sign {
        (true, _) => usage.digital_signature(),
        (false, true) => usage.key_cert_sign(),
        (false, false) => true,
    };
    if usage.is_some_and(|usage| !may(usage.value)) {
        return Err(Unfit::KeyUsage);
    }
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) if key.key_size() < LEAST_RSA_BITS => Err(Unfit::WeakKey),
        // Of the other kinds webpki takes none that is weak: P-256, P-384, P-521 and Ed25519.
        Ok(_) => Ok(()),
        Err(_) => Err(Unfit::WeakKey),
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
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
                // The fingerprint is enough to find it in the registry or at its CA; names stay out of the log.
                let certificate = tsunagi_certs::fingerprint(end_entity);
                tracing::info!(%certificate, reason = reason(&error), "certificate refused");
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
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// One word for why a handshake failed: a metric's label, and all that the log says of it.
pub(super) fn reason(error: &Error) -> &'static str {
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
