//! A hub made from nothing in the test's own process: a folder as `tsunagi init` makes it, partners with certificates,
//! a registry, and a clock that the test moves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a support module of tests")]

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tsunagi_certs::Authority;
use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::exchange::DeliveryView;
use tsunagi_core::id::{DeliveryId, TenantId};
use tsunagi_gateway::clock::Clock;
use tsunagi_gateway::commands::init::{init, write_pair};
use tsunagi_gateway::config::Config;
use tsunagi_gateway::gateway::{Running, open_signer, open_store};
use tsunagi_store::{AuditLog, DeliveryFilter, Outbox, StoreAdmin};

use crate::wire::Wire;

/// Days that a partner's certificate lasts: longer than any test moves its clock.
const DAYS: u32 = 397;

/// A hub's folder with its clock.
pub struct OwnHub {
    folder: TempDir,
    /// The hub's time.
    pub clock: Clock,
}

impl OwnHub {
    /// A hub with a certificate for each partner and an empty registry.
    pub fn new(partners: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::system();
        init(folder.path(), &["localhost".to_owned()], &clock).expect("a new hub");
        let hub = Self { folder, clock };
        for partner in partners {
            let mut authority = Authority::open(&hub.path().join("ca")).expect("the hub's CA");
            let issued = authority.issue_participant(partner, hub.now(), DAYS).expect("a certificate");
            let dir = hub.path().join("partners").join(partner);
            std::fs::create_dir_all(&dir).expect("a folder can be made");
            write_pair(&dir, partner, &issued).expect("a pair can be written");
        }
        hub
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A server certificate for `name` by the hub's own CA; gives the place of the pair, without its extension.
    pub fn issue_server(&self, name: &str) -> PathBuf {
        let mut authority = Authority::open(&self.path().join("ca")).expect("the hub's CA");
        let issued = authority.issue_server(&[name.to_owned()], self.now(), DAYS).expect("a certificate");
        write_pair(self.path(), name, &issued).expect("a pair can be written");
        self.path().join(name)
    }

    /// Adds entries to the registry, while the hub does not run.
    pub async fn import(&self, registry: &str) {
        let entries = toml::from_str(registry).expect("a registry");
        let store = open_store(&self.config(&[])).expect("the store");
        store.migrate().await.expect("the store's tables");
        let event = AuditEvent::new(self.clock.now(), Action::RegistryImported, EventOutcome::Done, Agent::default());
        store.import_registry(entries, event).await.expect("a registry that holds together");
    }

    /// The configuration of the hub's folder with some settings changed, on ports that are free.
    pub fn config(&self, settings: &[(&str, &str)]) -> Config {
        config_of(self.path(), settings)
    }

    /// Starts the hub.
    pub async fn start(&self, settings: &[(&str, &str)]) -> Running {
        Box::pin(Running::start(self.config(settings), self.clock.clone())).await.expect("the hub starts")
    }

    /// A partner's connection.
    pub fn wire(&self, partner: &str, running: &Running) -> Wire {
        Wire::of(self.path(), partner, running.edge)
    }

    /// All deliveries of a tenant, oldest first.
    pub async fn deliveries(&self, tenant: &str) -> Vec<DeliveryView> {
        let store = open_store(&self.config(&[])).expect("the store");
        let filter = DeliveryFilter { state: None, limit: 10_000 };
        let mut all = store.deliveries(&tenant_id(tenant), &filter).await.expect("the deliveries");
        all.reverse();
        all
    }

    /// One delivery of a tenant.
    pub async fn delivery(&self, tenant: &str, id: &str) -> DeliveryView {
        let store = open_store(&self.config(&[])).expect("the store");
        let id = DeliveryId::parse(id).expect("a delivery's id");
        store.delivery(&tenant_id(tenant), &id).await.expect("the store reads").expect("there is such a delivery")
    }

    /// Fails the test unless every log of the hub verifies.
    pub async fn assert_logs_verify(&self) {
        assert_logs_verify(&self.config(&[])).await;
    }

    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }
}

/// The configuration of a hub's folder with some settings changed, on ports that are free.
pub fn config_of(hub: &Path, settings: &[(&str, &str)]) -> Config {
    let all = crate::process::FREE_PORTS.iter().chain(settings);
    let all = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(Some(&hub.join("tsunagi.toml")), all).expect("a configuration that holds together")
}

/// Fails the test unless every log of a hub verifies: each leaf, each checkpoint.
pub async fn assert_logs_verify(config: &Config) {
    let store = open_store(config).expect("the store");
    let public_key = open_signer(config).expect("the key of checkpoints").public_key();
    let (_, entries) = store.registry().await.expect("the registry");
    for tenant in entries.tenant.into_iter().map(|tenant| tenant.id).chain([TenantId::hub()]) {
        let verdict = store.verify(&tenant, &public_key, &|_| {}).await.expect("the log reads");
        assert_eq!(verdict.fault, None, "{tenant}");
    }
}

/// A tenant's id.
pub fn tenant_id(tenant: &str) -> TenantId {
    TenantId::parse(tenant).expect("a tenant's id")
}
