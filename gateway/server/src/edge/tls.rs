//! The edge's TLS: client certificate required, revocation of the whole chain checked, stale CRLs refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use crate::config::EdgeConfig;
use crate::gateway::StartFault;

/// What a handshake needs. Made whole or not at all.
pub struct TlsMaterial {
    /// For the acceptor.
    pub server: Arc<ServerConfig>,
    /// Trusts every CA that handshakes are taken from.
    any: Arc<dyn ClientCertVerifier>,
    /// Trusts the hub's CA alone: only under it does a SAN URI name a participant.
    hub: Arc<dyn ClientCertVerifier>,
    /// Tells this material from what was loaded before and after it.
    pub generation: u64,
    /// When the first CRL goes stale, in Unix seconds; handshakes are refused from then on.
    pub crl_next_update: Option<i64>,
}

impl TlsMaterial {
    /// Reads certificate, key, CAs and CRLs.
    pub fn load(config: &EdgeConfig) -> Result<Self, StartFault> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let crls = read_crls(&config.crl_files)?;
        let hub_roots = roots(std::slice::from_ref(&config.hub_ca_file))?;
        let mut all_files = vec![config.hub_ca_file.clone()];
        all_files.extend(config.foreign_ca_files.iter().cloned());
        let all_roots = roots(&all_files)?;
        let verifier = |roots: RootCertStore| {
            // Without the last call rustls would take a CRL past its date for good.
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .with_crls(crls.iter().cloned())
                .enforce_revocation_expiration()
                .build()
                .map_err(|error| StartFault(format!("client certificates cannot be verified: {error}")))
        };
        let any = verifier(all_roots)?;
        let hub = verifier(hub_roots)?;
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| StartFault(error.to_string()))?
            .with_client_cert_verifier(any.clone())
            .with_single_cert(read_certificates(&config.certificate_file)?, read_key(&config.key_file)?)
            .map_err(|error| StartFault(format!("{}: {error}", config.certificate_file.display())))?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A resumed session would skip the revocation check.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let crl_next_update = crls.iter().filter_map(|crl| next_update(crl)).min();
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        Ok(Self { server: Arc::new(server), any, hub, generation, crl_next_update })
    }

    /// True if the chain stands under the hub's own CA, revocation included.
    pub fn is_of_hub(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> bool {
        verifies(self.hub.as_ref(), chain, now)
    }

    /// True if a handshake with this chain would be taken now.
    pub fn is_trusted(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> bool {
        verifies(self.any.as_ref(), chain, now)
    }
}

fn verifies(verifier: &dyn ClientCertVerifier, chain: &[CertificateDer<'_>], now: UnixTime) -> bool {
    let Some((leaf, intermediates)) = chain.split_first() else { return false };
    verifier.verify_client_cert(leaf, intermediates, now).is_ok()
}

static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// Reads a PEM file of certificates.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StartFault> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(StartFault(format!("{}: holds no certificate", path.display()))),
        Err(error) => Err(StartFault(format!("{}: {error}", path.display()))),
    }
}

/// Reads a PEM file with a private key.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, StartFault> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| StartFault(format!("{}: {error}", path.display())))
}

/// Reads trust anchors.
pub fn roots(paths: &[PathBuf]) -> Result<RootCertStore, StartFault> {
    let mut store = RootCertStore::empty();
    for path in paths {
        for certificate in read_certificates(path)? {
            store.add(certificate).map_err(|error| StartFault(format!("{}: {error}", path.display())))?;
        }
    }
    Ok(store)
}

fn read_crls(paths: &[PathBuf]) -> Result<Vec<CertificateRevocationListDer<'static>>, StartFault> {
    let mut crls = Vec::new();
    for path in paths {
        let read = CertificateRevocationListDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let lists = read.map_err(|error| StartFault(format!("{}: {error}", path.display())))?;
        // A file without a list would leave every status unknown, and every peer refused.
        if lists.is_empty() || lists.iter().any(|list| next_update(list).is_none()) {
            return Err(StartFault(format!(
                "{}: holds no certificate revocation list with a next update",
                path.display()
            )));
        }
        crls.extend(lists);
    }
    Ok(crls)
}

fn next_update(crl: &CertificateRevocationListDer<'_>) -> Option<i64> {
    use x509_parser::prelude::{CertificateRevocationList, FromDer};
    let (_, parsed) = CertificateRevocationList::from_der(crl).ok()?;
    parsed.next_update().map(|time| time.timestamp())
}
