//! Who talks to a hub of a test: certificates of its CA and citizens' tokens, made at the first call.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tsunagi_certs::{Authority, Issued};
use tsunagi_gateway::clock::Clock;

use crate::{Partner, TokenIssuer};

/// How long certificates last unless a test says otherwise.
const DAYS: u32 = 90;

/// A certificate with its chain, and its key.
#[derive(Clone)]
pub struct Pair {
    /// PEM, leaf first.
    pub certificate: String,
    /// PKCS#8, PEM.
    pub key: String,
}

impl Pair {
    /// Takes over what an authority made.
    pub fn of(issued: Issued) -> Self {
        let key = issued.key_pem.expect("the authority made the key").to_string();
        Self { certificate: issued.certificate_pem, key }
    }

    /// The certificates, leaf first.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect::<Result<_, _>>().expect("certificates")
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key")
    }
}

/// All who may call one hub.
pub struct Identities {
    folder: PathBuf,
    clock: Clock,
    issuer: TokenIssuer,
    pairs: Mutex<BTreeMap<String, Pair>>,
}

impl Identities {
    /// Of the hub in a folder.
    pub fn of(folder: &Path, clock: &Clock, issuer: TokenIssuer) -> Self {
        Self { folder: folder.to_owned(), clock: clock.clone(), issuer, pairs: Mutex::default() }
    }

    /// The hub's CA, to be dropped before anyone else opens it.
    pub fn authority(&self) -> Authority {
        Authority::open(&self.folder.join("ca")).expect("the hub's CA")
    }

    /// The certificate of a participant.
    pub fn pair(&self, participant: &str) -> Pair {
        let mut pairs = self.pairs.lock().expect("not poisoned");
        let issue = || {
            let now = self.clock.now().as_second();
            Pair::of(self.authority().issue_participant(participant, now, DAYS).expect("a certificate"))
        };
        pairs.entry(participant.to_owned()).or_insert_with(issue).clone()
    }

    /// The client of a participant.
    pub fn partner(&self, participant: &str, edge: SocketAddr) -> Partner {
        self.partner_with(&self.pair(participant), edge)
    }

    /// A client that shows this certificate.
    pub fn partner_with(&self, pair: &Pair, edge: SocketAddr) -> Partner {
        let tls = self.trusting().with_client_auth_cert(pair.chain(), pair.private_key()).expect("a client");
        Partner::new(edge, tls)
    }

    /// A client that shows no certificate.
    pub fn stranger(&self, edge: SocketAddr) -> Partner {
        Partner::new(edge, self.trusting().with_no_client_auth())
    }

    fn trusting(&self) -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = rustls::RootCertStore::empty();
        let root = CertificateDer::from_pem_file(self.folder.join("ca/root.pem")).expect("the root");
        roots.add(root).expect("a trust anchor");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
    }

    /// `Authorization` of a citizen who uses the app `participant`.
    pub fn bearer(&self, sub: &str, participant: &str) -> String {
        let exp = self.clock.now().as_second() + 3_600;
        self.bearer_of(&TokenIssuer::claims(sub, &self.pair(participant).chain()[0], exp))
    }

    /// `Authorization` with these claims.
    pub fn bearer_of(&self, claims: &serde_json::Value) -> String {
        format!("Bearer {}", self.issuer.sign(claims))
    }
}
