//! The edge's TLS: client certificate required, revocation of the whole chain checked, stale CRLs refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};
use tsunagi_core::sensitive::Sensitive;

use super::crls;
use super::verify::Verifier;
use crate::config::EdgeConfig;
use crate::gateway::StartFault;

/// What a handshake needs. Made whole or not at all.
pub struct TlsMaterial {
    /// For the acceptor.
    pub server: Arc<ServerConfig>,
    /// Trusts every CA that handshakes are taken from.
    any: Arc<Verifier>,
    /// Trusts the hub's CA alone: only under it does a SAN URI name a participant.
    hub: Verifier,
    /// Tells this material from what was loaded before and after it.
    pub generation: u64,
    /// When the first CRL goes stale, in Unix seconds; chains that rest on it are refused from then on.
    pub crl_next_update: Option<i64>,
}

/// The suites and groups of the edge, in its own order: ECDHE with AES-GCM or ChaCha20-Poly1305 and SHA-2 only, all of
/// them on CRYPTREC's list and in the high-security profile of its TLS guideline. The hybrid of X25519 and ML-KEM-768
/// comes first: what is recorded today should not be readable to a quantum computer later.
pub fn provider() -> CryptoProvider {
    use aws_lc_rs::{cipher_suite as suite, kx_group as group};
    CryptoProvider {
        cipher_suites: vec![
            suite::TLS13_AES_256_GCM_SHA384,
            suite::TLS13_AES_128_GCM_SHA256,
            suite::TLS13_CHACHA20_POLY1305_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![group::X25519MLKEM768, group::X25519, group::SECP256R1, group::SECP384R1],
        ..aws_lc_rs::default_provider()
    }
}

impl TlsMaterial {
    /// Reads certificate, key, CAs and CRLs.
    pub fn load(config: &EdgeConfig) -> Result<Self, StartFault> {
        let provider = Arc::new(provider());
        let fetched: Vec<&Path> = config.crl_sources.iter().map(|source| source.file.as_path()).collect();
        let crls = Arc::new(crls::read(&config.crl_files, &fetched)?);
        let hub_roots = roots(std::slice::from_ref(&config.hub_ca_file))?;
        let mut all_files = vec![config.hub_ca_file.clone()];
        all_files.extend(config.foreign_ca_files.iter().cloned());
        let all_roots = roots(&all_files)?;
        let verifier = |roots| Verifier::new(roots, crls.clone(), config.crl_tolerance, provider.clone());
        let any = Arc::new(verifier(all_roots)?);
        let hub = verifier(hub_roots)?;
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| StartFault(error.to_string()))?
            .with_client_cert_verifier(any.clone())
            .with_cert_resolver(Arc::new(read_pair(&config.certificate_file, &config.key_file)?));
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        server.ignore_client_order = true;
        // A resumed session would skip the revocation check.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let crl_next_update = crls.iter().map(|crl| crl.next_update).min();
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        Ok(Self { server: Arc::new(server), any, hub, generation, crl_next_update })
    }

    /// As [`TlsMaterial::trusted_until`], under the hub's own CA alone.
    pub fn of_hub_until(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Option<i64> {
        self.hub.verify(chain, now).ok()
    }

    /// Until when a chain rests on lists in date, in Unix seconds; `None` if a handshake with it would be refused now.
    pub fn trusted_until(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Option<i64> {
        self.any.verify(chain, now).ok()
    }
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

/// Reads a PEM file with a private key. What is read on the way is wiped.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, StartFault> {
    let fault = |error: &dyn std::fmt::Display| StartFault(format!("{}: {error}", path.display()));
    let pem = Sensitive::new(std::fs::read(path).map_err(|error| fault(&error))?);
    PrivateKeyDer::from_pem_slice(pem.expose()).map_err(|error| fault(&error))
}

/// Reads a certificate with its chain and its key, which belong together; the key is then in the library alone.
pub fn read_pair(certificate: &Path, key: &Path) -> Result<SingleCertAndKey, StartFault> {
    let chain = read_certificates(certificate)?;
    let der = Sensitive::new(read_key(key)?);
    let signing =
        any_supported_type(der.expose()).map_err(|error| StartFault(format!("{}: {error}", key.display())))?;
    let pair = CertifiedKey::new(chain, signing);
    match pair.keys_match() {
        Ok(()) => Ok(SingleCertAndKey::from(pair)),
        Err(error) => Err(StartFault(format!("{}: {error}", certificate.display()))),
    }
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
