//! A hub of its own for each test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tsunagi_certs::{Authority, Issued};
use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::registry::RegistryEntries;
use tsunagi_gateway::clock::Clock;
use tsunagi_gateway::commands::init::init;
use tsunagi_gateway::config::Config;
use tsunagi_gateway::gateway::{Running, open_signer, open_store};
use tsunagi_store::Storage;
use tsunagi_store::contract::server::Place;

use crate::{AUDIENCE, ISSUER, Log, Partner, TokenIssuer, check_invariants};

/// The registry that tests begin with.
const REGISTRY: &str = include_str!("registry.toml");

/// Everyone in that registry who may call.
pub const ALL_PARTNERS: [&str; 6] =
    ["city-oita", "city-hakodate", "hospital-oita", "hospital-hakodate", "hospital-idle", "app-techo"];

/// How long certificates last unless a test says otherwise.
const DAYS: u32 = 90;

const DAY_SECS: i64 = 86_400;

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

/// Work in the hub's folder before it starts, which may change settings.
type Preparation = Box<dyn FnOnce(&Path, &Clock, &mut Setup) + Send>;

/// What a hub is made with.
pub struct Setup {
    settings: BTreeMap<String, String>,
    registry: RegistryEntries,
    days_ago: i64,
    prepare: Vec<Preparation>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// The defaults on free ports, with the registry of `registry.toml`.
    pub fn new() -> Self {
        let settings = [("edge.listen", "127.0.0.1:0"), ("operations.listen", "127.0.0.1:0")];
        let settings = settings.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let registry = toml::from_str(REGISTRY).expect("registry.toml");
        Self { settings, registry, days_ago: 0, prepare: Vec::new() }
    }

    /// Sets `section.key`, spelled as TOML unless it is a string.
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.put(key, value);
        self
    }

    /// The same for work that [`Setup::prepare`] does.
    pub fn put(&mut self, key: &str, value: impl ToString) {
        self.settings.insert(key.to_owned(), value.to_string());
    }

    /// Changes the registry.
    pub fn registry(mut self, change: impl FnOnce(&mut RegistryEntries)) -> Self {
        change(&mut self.registry);
        self
    }

    /// Adds entries written as in an import file.
    pub fn registered(self, text: &str) -> Self {
        let more: RegistryEntries = toml::from_str(text).expect("registry entries");
        self.registry(|registry| {
            registry.tenant.extend(more.tenant);
            registry.participant.extend(more.participant);
            registry.endpoint.extend(more.endpoint);
            registry.channel.extend(more.channel);
        })
    }

    /// The hub was made, with its CA and CRLs, so many days ago.
    pub fn made_days_ago(mut self, days: i64) -> Self {
        self.days_ago = days;
        self
    }

    /// Does something in the hub's folder once `init` has made it, and may change settings then.
    pub fn prepare(mut self, work: impl FnOnce(&Path, &Clock, &mut Setup) + Send + 'static) -> Self {
        self.prepare.push(Box::new(work));
        self
    }

    /// Makes the hub and starts it in this process.
    pub async fn start(mut self) -> TestGateway {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::system();
        clock.shift(-self.days_ago * DAY_SECS);
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        init(folder.path(), &names, None, &clock).await.unwrap_or_else(|fault| panic!("init: {fault:?}"));
        let jwks = folder.path().join("jwks.json");
        let issuer = TokenIssuer::new(&jwks);
        let listed = format!("[{{ issuer = '{ISSUER}', jwks_file = '{}', audience = '{AUDIENCE}' }}]", jwks.display());
        self.settings.insert("app.issuers".to_owned(), listed);
        for work in std::mem::take(&mut self.prepare) {
            work(folder.path(), &clock, &mut self);
        }
        clock.shift(self.days_ago * DAY_SECS);
        let place = place().await;
        if let Some(place) = &place {
            self.put("store.backend", "postgres");
            self.put("store.postgres_url", &place.url);
            // Many hubs are on one server at once.
            self.put("store.postgres_connections", 6);
        }
        let environment = self.settings.iter().map(|(key, value)| {
            let (section, key) = key.split_once('.').expect("section.key");
            (format!("TSUNAGI__{}__{}", section.to_uppercase(), key.to_uppercase()), value.clone())
        });
        let config = Config::load(Some(&folder.path().join("tsunagi.toml")), environment)
            .unwrap_or_else(|faults| panic!("{faults:?}"));
        {
            let store = open_store(&config).await.expect("the store");
            store.migrate().await.expect("migrated");
            store.import_registry(self.registry.clone(), imported(&clock)).await.expect("imported");
        }
        tsunagi_gateway::telemetry::start_metrics();
        let running = Box::pin(Running::start(config.clone(), clock.clone())).await.expect("the gateway starts");
        TestGateway { folder, clock, config, running, issuer, pairs: Mutex::default(), place }
    }
}

/// A database of its own where the environment says that hubs are to be on a server.
async fn place() -> Option<Place> {
    match std::env::var("TSUNAGI_TEST_STORE").as_deref() {
        Ok("postgres") => Some(Place::database().await.expect("a server, where the tests are to run on one")),
        _ => None,
    }
}

fn imported(clock: &Clock) -> AuditEvent {
    AuditEvent::new(clock.now(), Action::RegistryImported, EventOutcome::Done, Agent::default())
}

/// A hub that runs in this process, in a folder that goes away with it.
pub struct TestGateway {
    /// Its folder.
    pub folder: TempDir,
    /// Its clock, to be moved by `shift`.
    pub clock: Clock,
    /// Its configuration.
    pub config: Config,
    /// The gateway.
    pub running: Running,
    issuer: TokenIssuer,
    pairs: Mutex<BTreeMap<String, Pair>>,
    /// Its database, which goes away with it.
    place: Option<Place>,
}

impl TestGateway {
    /// A hub with all defaults.
    pub async fn start() -> Self {
        Box::pin(Setup::new().start()).await
    }

    /// The store the gateway runs on.
    pub fn store(&self) -> Arc<dyn Storage> {
        self.running.gateway.store.clone()
    }

    /// The hub's CA, to be dropped before anyone else opens it.
    pub fn authority(&self) -> Authority {
        Authority::open(&self.folder.path().join("ca")).expect("the hub's CA")
    }

    /// The certificate of a participant, made at the first call.
    pub fn pair(&self, participant: &str) -> Pair {
        let mut pairs = self.pairs.lock().expect("not poisoned");
        let issue = || {
            let now = self.clock.now().as_second();
            Pair::of(self.authority().issue_participant(participant, now, DAYS).expect("a certificate"))
        };
        pairs.entry(participant.to_owned()).or_insert_with(issue).clone()
    }

    /// The client of a participant.
    pub fn partner(&self, participant: &str) -> Partner {
        self.partner_with(&self.pair(participant))
    }

    /// The client of a participant that comes to another node of the hub.
    pub fn partner_at(&self, participant: &str, node: &Running) -> Partner {
        let pair = self.pair(participant);
        let tls = self.trusting().with_client_auth_cert(pair.chain(), pair.private_key()).expect("a client");
        Partner::new(node.edge, tls)
    }

    /// Another node of the hub, on its store; to be drained before [`TestGateway::finish`].
    pub async fn another_node(&self) -> Running {
        Box::pin(Running::start(self.config.clone(), self.clock.clone())).await.expect("the node starts")
    }

    /// A client that shows this certificate.
    pub fn partner_with(&self, pair: &Pair) -> Partner {
        let tls = self.trusting().with_client_auth_cert(pair.chain(), pair.private_key()).expect("a client");
        Partner::new(self.running.edge, tls)
    }

    /// A client that shows no certificate.
    pub fn stranger(&self) -> Partner {
        Partner::new(self.running.edge, self.trusting().with_no_client_auth())
    }

    fn trusting(&self) -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = rustls::RootCertStore::empty();
        let root = CertificateDer::from_pem_file(self.folder.path().join("ca/root.pem")).expect("the root");
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

    /// Imports entries as `tsunagi registry import` does, and waits until the gateway has taken them over.
    pub async fn import(&self, text: &str) {
        let entries: RegistryEntries = toml::from_str(text).expect("registry entries");
        self.store().import_registry(entries, imported(&self.clock)).await.expect("imported");
        self.running.gateway.refresh_registry().await.expect("taken over");
    }

    /// The audit log of a tenant, or of `hub`.
    pub async fn log(&self, tenant: &str) -> Log {
        Log::read(self.store().as_ref(), tenant).await
    }

    /// `GET` on the operations listener.
    pub async fn operations(&self, path: &str) -> (u16, String) {
        get_plainly(self.running.operations, path).await
    }

    /// Today in Japan, by the hub's clock.
    pub fn today(&self) -> jiff::civil::Date {
        self.clock.today()
    }

    /// The SQLite file.
    pub fn store_path(&self) -> PathBuf {
        self.config.store_path.clone()
    }

    /// Drains the gateway, then reads everything again and fails where a promise was broken.
    /// What it stood on goes away with the answer.
    pub async fn finish(self) -> Option<Place> {
        let Self { folder, config, running, place, .. } = self;
        let store = running.gateway.store.clone();
        running.drain().await;
        let public_key = open_signer(&config).expect("the checkpoint key").public_key();
        check_invariants(store.as_ref(), &public_key).await;
        drop(folder);
        place
    }
}

async fn get_plainly(address: SocketAddr, path: &str) -> (u16, String) {
    let stream = TcpStream::connect(address).await.expect("the operations listener");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("plain HTTP");
    tokio::spawn(connection);
    let request = http::Request::get(path).header("host", "localhost").body(Empty::<bytes::Bytes>::new());
    let response = sender.send_request(request.expect("a request")).await.expect("an answer");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}
