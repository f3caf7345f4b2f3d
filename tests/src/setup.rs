//! What a hub of a test is made with.

use std::collections::BTreeMap;
use std::path::Path;

use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::registry::RegistryEntries;
use tsunagi_gateway::clock::Clock;
use tsunagi_gateway::commands::init::init;
use tsunagi_gateway::config::Config;
use tsunagi_gateway::gateway::open_store;
use tsunagi_store::contract::server::Place;

use crate::{AUDIENCE, ISSUER, Identities, MadeHub, TestGateway, TokenIssuer};

/// The registry that tests begin with.
const REGISTRY: &str = include_str!("registry.toml");

const DAY_SECS: i64 = 86_400;

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
    pub async fn start(self) -> TestGateway {
        self.make().await.start().await
    }

    /// Makes the hub, with its registry in its store; nothing runs.
    pub async fn make(mut self) -> MadeHub {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::system();
        clock.shift(-self.days_ago * DAY_SECS);
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        init(folder.path(), &names, None, &clock).await.unwrap_or_else(|fault| panic!("init: {fault:?}"));
        let jwks = folder.path().join("jwks.json");
        let identities = Identities::of(folder.path(), &clock, TokenIssuer::new(&jwks));
        let listed = format!("[{{ issuer = '{ISSUER}', jwks_file = '{}', audience = '{AUDIENCE}' }}]", jwks.display());
        self.settings.insert("app.issuers".to_owned(), listed);
        for work in std::mem::take(&mut self.prepare) {
            work(folder.path(), &clock, &mut self);
        }
        clock.shift(self.days_ago * DAY_SECS);
        // Who names a server has one.
        let place = if self.settings.contains_key("store.backend") { None } else { place().await };
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
        let environment: Vec<(String, String)> = environment.collect();
        let config = Config::load(Some(&folder.path().join("tsunagi.toml")), environment.iter().cloned())
            .unwrap_or_else(|faults| panic!("{faults:?}"));
        {
            let store = open_store(&config).await.expect("the store");
            store.migrate().await.expect("migrated");
            store.import_registry(self.registry.clone(), imported(&clock)).await.expect("imported");
        }
        MadeHub { folder, clock, config, identities, environment, place }
    }
}

/// A database of its own where the environment says that hubs are to be on a server.
async fn place() -> Option<Place> {
    match std::env::var("TSUNAGI_TEST_STORE").as_deref() {
        Ok("postgres") => Some(Place::database().await.expect("a server, where the tests are to run on one")),
        _ => None,
    }
}

pub(crate) fn imported(clock: &Clock) -> AuditEvent {
    AuditEvent::new(clock.now(), Action::RegistryImported, EventOutcome::Done, Agent::default())
}
