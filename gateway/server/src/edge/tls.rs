//! The edge's TLS: client certificate required, revocation of the whole chain checked, stale CRLs refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::NoServerSessionStorage;

use crate::config::Config;
use crate::gateway::StartFault;
use crate::trust::clients::{Clients, Taken};
use crate::trust::lists::List;
use crate::trust::pair::{self, Purpose};
use crate::trust::{Terms, Trust};

/// What a handshake needs. Made whole or not at all.
pub struct TlsMaterial {
    /// For the acceptor.
    pub server: Arc<ServerConfig>,
    clients: Arc<Clients>,
    /// Tells this material from what was loaded before and after it.
    pub generation: u64,
    /// The lists that it rests on.
    pub(crate) lists: Arc<Vec<List>>,
    /// The certificate that the edge shows, DER.
    pub(crate) certificate: Vec<u8>,
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
    /// Reads certificate and key, and takes anchors and lists over.
    pub(crate) fn load(config: &Config, trust: &Trust, now: i64, terms: Terms<'_>) -> Result<Self, StartFault> {
        let provider = Arc::new(provider());
        let clients = Arc::new(Clients::new(trust, &provider)?);
        let pair = pair::read(&config.edge.certificate_file, &config.edge.key_file, Purpose::Server, now, terms)?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| StartFault::Setting(error.to_string()))?
            .with_client_cert_verifier(clients.clone())
            .with_cert_resolver(Arc::new(pair.signing));
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        server.ignore_client_order = true;
        // A resumed session would skip the revocation check.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        let lists = trust.lists.clone();
        Ok(Self { server: Arc::new(server), clients, generation, lists, certificate: pair.certificate })
    }

    /// Reads everything from the files of a configuration, as at a start.
    pub fn read(config: &Config, now: i64) -> Result<Self, StartFault> {
        Self::load(config, &Trust::read(config, now, Terms::Start)?, now, Terms::Start)
    }

    /// Until when a handshake with the chain would be taken, in Unix seconds; `None` if it would be refused now.
    pub fn trusted_until(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Option<i64> {
        self.take(chain, now).map(|taken| taken.until)
    }

    /// Whether a handshake with the chain would be taken now.
    pub(crate) fn take(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Option<Taken> {
        self.clients.verify(chain, now).ok()
    }
}

static GENERATIONS: AtomicU64 = AtomicU64::new(1);
