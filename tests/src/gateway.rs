//! A hub of its own for each test, in this process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tsunagi_certs::Authority;
use tsunagi_core::registry::RegistryEntries;
use tsunagi_gateway::clock::Clock;
use tsunagi_gateway::config::Config;
use tsunagi_gateway::gateway::{Running, open_signer};
use tsunagi_store::Storage;
use tsunagi_store::contract::server::Place;

use crate::setup::imported;
use crate::{Identities, Log, Pair, Partner, Setup, check_invariants};

/// Everyone in the registry that tests begin with who may call.
pub const ALL_PARTNERS: [&str; 6] =
    ["city-oita", "city-hakodate", "hospital-oita", "hospital-hakodate", "hospital-idle", "app-techo"];

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
    pub(crate) identities: Identities,
    /// Its database, which goes away with it.
    pub(crate) place: Option<Place>,
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
        self.identities.authority()
    }

    /// The certificate of a participant, made at the first call.
    pub fn pair(&self, participant: &str) -> Pair {
        self.identities.pair(participant)
    }

    /// The client of a participant.
    pub fn partner(&self, participant: &str) -> Partner {
        self.identities.partner(participant, self.running.edge)
    }

    /// The client of a participant that comes to another node of the hub.
    pub fn partner_at(&self, participant: &str, node: &Running) -> Partner {
        self.identities.partner(participant, node.edge)
    }

    /// Another node of the hub, on its store; to be drained before [`TestGateway::finish`].
    pub async fn another_node(&self) -> Running {
        Box::pin(Running::start(self.config.clone(), self.clock.clone())).await.expect("the node starts")
    }

    /// A client that shows this certificate.
    pub fn partner_with(&self, pair: &Pair) -> Partner {
        self.identities.partner_with(pair, self.running.edge)
    }

    /// A client that shows no certificate.
    pub fn stranger(&self) -> Partner {
        self.identities.stranger(self.running.edge)
    }

    /// `Authorization` of a citizen who uses the app `participant`.
    pub fn bearer(&self, sub: &str, participant: &str) -> String {
        self.identities.bearer(sub, participant)
    }

    /// `Authorization` with these claims.
    pub fn bearer_of(&self, claims: &serde_json::Value) -> String {
        self.identities.bearer_of(claims)
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

/// `GET` without TLS, as the operations listener is asked.
pub async fn get_plainly(address: SocketAddr, path: &str) -> (u16, String) {
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
