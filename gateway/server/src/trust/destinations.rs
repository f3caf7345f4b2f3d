//! Whether a destination's certificate is taken before anything is pushed to it: as strictly as a caller's.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::Trust;
use super::chain::window;
use super::lists::List;
use crate::gateway::StartFault;

/// Verifies destinations' servers under one set of trust anchors and lists.
#[derive(Debug)]
pub(crate) struct Destinations {
    inner: Arc<WebPkiServerVerifier>,
    lists: Arc<Vec<List>>,
    tolerance: Duration,
}

impl Destinations {
    /// A status that the lists do not tell is refused, and so is a list past its date and the tolerance.
    pub(crate) fn new(trust: &Trust, provider: Arc<CryptoProvider>) -> Result<Self, StartFault> {
        let inner = WebPkiServerVerifier::builder_with_provider(trust.destinations.clone(), provider)
            .with_crls(trust.lists.iter().map(|list| list.der.clone()))
            .build()
            .map_err(|error| StartFault::Setting(format!("delivery.server_ca_files: {error}")))?;
        Ok(Self { inner, lists: trust.lists.clone(), tolerance: trust.tolerance })
    }
}

impl ServerCertVerifier for Destinations {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        let chain: Vec<CertificateDer<'_>> = std::iter::once(end_entity).chain(intermediates).cloned().collect();
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        window(&chain, &self.lists, self.tolerance, seconds)?;
        Ok(verified)
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
