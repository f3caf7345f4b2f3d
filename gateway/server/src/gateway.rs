//! The running gateway: what its parts share, how it starts, reloads and drains.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tsunagi_core::checkpoint::CheckpointSigner;
use tsunagi_core::cosignature::Cosigner;
use tsunagi_core::id::ParticipantId;
use tsunagi_core::registry::{Registry, RegistryEntries};
use tsunagi_mappings::Tables;
use tsunagi_store::coordinator::Coordinator;
use tsunagi_store::sqlite::SqliteStore;
use tsunagi_store::{Keyring, MasterKey, Storage, StoreError};

use crate::clock::Clock;
use crate::config::{Config, WitnessedLog};
use crate::coordination::open_coordinator;
use crate::delivery::send::Transport;
use crate::edge::cursor::Cursors;
use crate::edge::limits::{BodyBudget, Handshakes, Places, RateLimits};
use crate::edge::tls::TlsMaterial;
use crate::edge::token::Issuers;
use crate::forecast::watch::ExpiryState;
use crate::pipeline::Pseudonyms;
use crate::pipeline::coverage::Unwritten;
use crate::retention::RetentionState;
use crate::sealing::SealingState;
use crate::secret::read_key;
use crate::trust::{InForce, Terms, Trust};

/// The name that signs checkpoints, as C2SP signed notes carry it.
pub const CHECKPOINT_KEY_NAME: &str = "tsunagi";

/// What all parts share.
pub struct Gateway {
    /// Settings.
    pub config: Config,
    /// Now.
    pub clock: Clock,
    /// Durable data.
    pub store: Arc<dyn Storage>,
    /// Kinds, layouts, codes, policy.
    pub tables: ArcSwap<Tables>,
    /// Tenants, participants, channels.
    pub registry: ArcSwap<Registry>,
    registry_version: AtomicU64,
    /// TLS material of the edge.
    pub tls: ArcSwap<TlsMaterial>,
    /// Issuers of citizens' tokens.
    pub issuers: ArcSwap<Issuers>,
    /// Requests for each participant.
    pub rates: RateLimits,
    /// Memory for bodies.
    pub bodies: BodyBudget,
    /// Room on disk for files on their way in.
    pub files: BodyBudget,
    /// Connections of each participant.
    pub connections: Arc<Places>,
    /// Requests under way of each participant.
    pub requests: Arc<Places>,
    /// Places for connections in all.
    pub places: Arc<Semaphore>,
    /// Handshakes under way.
    pub handshakes: Arc<Handshakes>,
    /// Whether sealing keeps up.
    pub sealing: SealingState,
    /// How the last sweep ended.
    pub retention: RetentionState,
    /// What could not be mapped, until it is written.
    pub coverage: Unwritten,
    /// What nears its end.
    pub expiry: ExpiryState,
    /// Signs checkpoints.
    pub signer: CheckpointSigner,
    /// What the log calls those who have signed in.
    pub pseudonyms: Pseudonyms,
    /// Where callers' next pages begin.
    pub cursors: Cursors,
    /// Cosigns the checkpoints of others, if this hub is a witness.
    pub witness: Option<Witness>,
    /// The other nodes.
    pub coordinator: Arc<dyn Coordinator>,
    /// Sends deliveries.
    pub transport: ArcSwap<Transport>,
    trust_fault: Mutex<Option<String>>,
    /// Held while files are read again: what was read first must not replace what was read later.
    reloading: Mutex<()>,
}

/// What makes a hub a witness.
pub struct Witness {
    /// Signs.
    pub cosigner: Cosigner,
    logs: Vec<WitnessedLog>,
}

impl Witness {
    /// The log of this origin that this participant may bring checkpoints of.
    pub fn log(&self, origin: &str, participant: &ParticipantId) -> Option<&WitnessedLog> {
        self.logs.iter().find(|log| log.origin == origin && log.participant == *participant)
    }
}

/// Why the gateway does not start or reload. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartFault {
    /// Something is set or made in a way that does not do.
    #[error("{0}")]
    Setting(String),
    /// A service that it needs is not there; it may be in a while.
    #[error("{0}")]
    Unavailable(String),
}

impl StartFault {
    /// A fault of the store, which stands at `place`.
    pub(crate) fn of_store(place: impl std::fmt::Display, error: &StoreError) -> Self {
        let text = format!("{place}: {error}");
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(text),
            _ => Self::Setting(text),
        }
    }
}

impl Gateway {
    /// Opens everything that can fail, before any port is bound.
    async fn open(config: Config, clock: Clock, store: Arc<dyn Storage>) -> Result<Arc<Self>, StartFault> {
        let tables = load_tables(&config)?;
        let failed = |error| StartFault::of_store("store", &error);
        store.migrate().await.map_err(failed)?;
        let (version, entries) = store.registry().await.map_err(failed)?;
        let registry = parsed(entries)?;
        let material = Material::load(&config, clock.now().as_second(), Terms::Start)?;
        let signer = open_signer(&config)?;
        let master = read_key(&config.master_key_file)?;
        let pseudonyms = Pseudonyms::new(&master);
        let cursors = Cursors::new(&master)
            .ok_or_else(|| StartFault::Setting("the cryptographic library makes no key of cursors".to_owned()))?;
        let witness = open_witness(&config)?;
        let coordinator = open_coordinator(&config)?;
        Ok(Arc::new(Self {
            rates: RateLimits::new(&config.edge, &*coordinator),
            places: Arc::new(Semaphore::new(config.edge.max_connections)),
            handshakes: Arc::new(Handshakes::new(config.edge.max_handshakes)),
            reloading: Mutex::default(),
            bodies: BodyBudget::new(config.edge.max_body_bytes_at_once, config.edge.max_body_bytes),
            files: BodyBudget::new(config.edge.max_file_bytes_at_once, config.edge.max_file_bytes),
            connections: Arc::default(),
            requests: Arc::default(),
            sealing: SealingState::default(),
            retention: RetentionState::default(),
            coverage: Unwritten::default(),
            expiry: ExpiryState::default(),
            tables: ArcSwap::from_pointee(tables),
            registry: ArcSwap::from_pointee(registry),
            registry_version: AtomicU64::new(version),
            tls: ArcSwap::from_pointee(material.tls),
            issuers: ArcSwap::from_pointee(material.issuers),
            transport: ArcSwap::from_pointee(material.transport),
            trust_fault: Mutex::default(),
            coordinator,
            signer,
            pseudonyms,
            cursors,
            witness,
            store,
            clock,
            config,
        }))
    }

    /// Reads certificates, CRLs, tables, policy and issuers again, all or nothing: if anything new is faulty,
    /// everything old stays.
    pub fn reload(&self) -> Result<(), StartFault> {
        let _reloading = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let tables = load_tables(&self.config)?;
        self.load_trust()?;
        self.tables.store(Arc::new(tables));
        Ok(())
    }

    /// The same without tables and policy: what is read again by itself when its files change. Connections stay.
    pub fn reload_trust(&self) -> Result<(), StartFault> {
        let _reloading = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        self.load_trust()
    }

    fn load_trust(&self) -> Result<(), StartFault> {
        let held = self.in_force();
        let loaded = Material::load(&self.config, self.clock.now().as_second(), Terms::Against(&held));
        let outcome = if loaded.is_ok() { "done" } else { "refused" };
        metrics::counter!("tsunagi_reloads_total", "outcome" => outcome).increment(1);
        let fault = loaded.as_ref().err().map(ToString::to_string);
        *self.trust_fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        let material = loaded?;
        self.tls.store(Arc::new(material.tls));
        self.issuers.store(Arc::new(material.issuers));
        self.transport.store(Arc::new(material.transport));
        Ok(())
    }

    /// What counts now, to hold new files against.
    fn in_force(&self) -> InForce {
        let (tls, transport) = (self.tls.load(), self.transport.load());
        let (server, client) = (tls.certificate.clone(), transport.certificate().to_vec());
        InForce { lists: tls.lists.clone(), server, client }
    }

    /// Why the files that trust rests on were not taken over the last time, if they were not.
    pub fn trust_fault(&self) -> Option<String> {
        self.trust_fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// [`Gateway::reload_trust`] off the threads that answer, with its outcome in the log.
    pub(crate) async fn reload_trust_and_log(self: &Arc<Self>) {
        let gateway = self.clone();
        match tokio::task::spawn_blocking(move || gateway.reload_trust()).await {
            Ok(Ok(())) => tracing::info!("certificates and revocation lists were read again"),
            Ok(Err(error)) => tracing::error!(%error, "changed files were not taken; what was there stays"),
            Err(error) => tracing::error!(%error, "reading files again ended badly"),
        }
    }

    /// Takes over a registry that another process imported.
    pub async fn refresh_registry(&self) -> Result<(), StoreError> {
        let (version, entries) = self.store.registry().await?;
        // A slower reader must not bring an older registry back.
        if version <= self.registry_version.load(Ordering::Acquire) {
            return Ok(());
        }
        match Registry::parse(entries) {
            Ok(registry) => {
                self.registry.store(Arc::new(registry));
                self.registry_version.store(version, Ordering::Release);
                tracing::info!(version, "registry taken over");
            }
            Err(faults) => tracing::error!(faults = faults.len(), "the stored registry is faulty; the old one stays"),
        }
        Ok(())
    }
}

/// All that trust rests on, read from the files that the configuration names: whole, or not at all.
pub(crate) struct Material {
    tls: TlsMaterial,
    issuers: Issuers,
    transport: Transport,
}

impl Material {
    /// Reads it.
    pub(crate) fn load(config: &Config, now: i64, terms: Terms<'_>) -> Result<Self, StartFault> {
        let trust = Trust::read(config, now, terms)?;
        Ok(Self {
            tls: TlsMaterial::load(config, &trust, now, terms)?,
            issuers: Issuers::load(&config.issuers)?,
            transport: Transport::load(&config.delivery, &trust, now, terms)?,
        })
    }
}

/// A gateway that listens.
pub struct Running {
    /// The shared parts.
    pub gateway: Arc<Gateway>,
    /// Where the edge listens; the port is real even if 0 was configured.
    pub edge: SocketAddr,
    /// Where health and metrics are served.
    pub operations: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Running {
    /// Opens the store that the configuration names and starts on it.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, StartFault> {
        let store = open_store(&config).await?;
        Self::start_on(config, clock, store).await
    }

    /// Binds both listeners and starts the workers on a store that is open already.
    pub async fn start_on(config: Config, clock: Clock, store: Arc<dyn Storage>) -> Result<Self, StartFault> {
        let seen = crate::watch::seen(&config);
        let gateway = Gateway::open(config, clock, store).await?;
        let (mut running, stopping) = Self::listen(gateway.clone()).await?;
        let tasks = &mut running.tasks;
        tasks.spawn(crate::sealing::run(gateway.clone(), stopping.clone()));
        tasks.spawn(crate::indexing::run(gateway.clone(), stopping.clone()));
        tasks.spawn(crate::delivery::push::run(gateway.clone(), stopping.clone()));
        tasks.spawn(crate::pipeline::coverage::run(gateway.clone(), stopping.clone()));
        tasks.spawn(crate::forecast::watch::run(gateway.clone(), stopping.clone()));
        tasks.spawn(crate::trust::fetch::run(gateway.clone(), stopping.clone()));
        tasks.spawn(crate::retention::run(gateway.clone(), stopping.clone()));
        tasks.spawn(crate::coordination::run(gateway.clone(), stopping.clone()));
        tasks.spawn(crate::watch::run(gateway, seen, stopping));
        Ok(running)
    }

    /// Starts the listeners alone, on a registry that is in no store: nothing is pushed, sealed, fetched or watched,
    /// and whoever that registry does not name is nobody here.
    pub async fn start_apart(
        config: Config,
        clock: Clock,
        store: Arc<dyn Storage>,
        registry: RegistryEntries,
    ) -> Result<Self, StartFault> {
        let gateway = Gateway::open(config, clock, store).await?;
        gateway.registry.store(Arc::new(parsed(registry)?));
        let (running, _) = Self::listen(gateway).await?;
        Ok(running)
    }

    async fn listen(gateway: Arc<Gateway>) -> Result<(Self, watch::Receiver<bool>), StartFault> {
        let edge_listener = bind(gateway.config.edge.listen).await?;
        let operations_listener = bind(gateway.config.operations_listen).await?;
        let address =
            |listener: &TcpListener| listener.local_addr().map_err(|error| StartFault::Setting(error.to_string()));
        let (edge, operations) = (address(&edge_listener)?, address(&operations_listener)?);
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(crate::edge::listen::serve(gateway.clone(), edge_listener, stopping.clone()));
        tasks.spawn(crate::edge::operations::serve(gateway.clone(), operations_listener, stopping.clone()));
        Ok((Self { gateway, edge, operations, stop, tasks }, stopping))
    }

    /// Stops taking connections, lets open requests finish, writes what was counted, seals what is unsealed, and returns. What
    /// cannot be sealed is tried again until `edge.drain_timeout_ms` are over.
    pub async fn drain(mut self) {
        let ends = Instant::now() + self.gateway.config.edge.drain_timeout;
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the gateway did not end well");
            }
        }
        crate::pipeline::coverage::write(&self.gateway).await;
        crate::sealing::seal_to_the_end(&self.gateway, ends).await;
    }
}

fn parsed(entries: RegistryEntries) -> Result<Registry, StartFault> {
    Registry::parse(entries)
        .map_err(|faults| StartFault::Setting(faults.into_iter().map(|fault| fault.en).collect::<Vec<_>>().join("; ")))
}

/// Reads the tables that the configuration names.
pub fn load_tables(config: &Config) -> Result<Tables, StartFault> {
    let loaded = match &config.tables_folder {
        Some(folder) => Tables::with_folder(folder),
        None => Tables::builtin(),
    };
    loaded.map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        StartFault::Setting(format!("the tables are faulty:\n{}", lines.join("\n")))
    })
}

/// True if the configured store was made before.
pub async fn has_store(config: &Config) -> Result<bool, StartFault> {
    #[cfg(feature = "postgres")]
    if let Some(server) = &config.postgres {
        return crate::postgres::is_made(server).await;
    }
    Ok(config.store_path.exists())
}

/// Opens the configured store with the master key.
pub async fn open_store(config: &Config) -> Result<Arc<dyn Storage>, StartFault> {
    let keyring = Keyring::new(MasterKey::from_bytes(read_key(&config.master_key_file)?));
    // Files on their way in rest there, whatever the store is.
    if let Some(folder) = config.store_path.parent() {
        make_private_folder(folder).map_err(|error| StartFault::Setting(format!("{}: {error}", folder.display())))?;
    }
    #[cfg(feature = "postgres")]
    if let Some(server) = &config.postgres {
        return crate::postgres::open(server, keyring).await;
    }
    SqliteStore::open(&config.store_path, keyring)
        .map(|store| Arc::new(store) as Arc<dyn Storage>)
        .map_err(|error| StartFault::Setting(format!("{}: {error}", config.store_path.display())))
}

/// Opens the key that signs checkpoints.
pub fn open_signer(config: &Config) -> Result<CheckpointSigner, StartFault> {
    CheckpointSigner::new(read_key(&config.checkpoint_key_file)?, CHECKPOINT_KEY_NAME)
        .map_err(|error| StartFault::Setting(format!("{}: {error}", config.checkpoint_key_file.display())))
}

/// Opens the key that cosigns, where this hub is a witness. It is a key of its own: what it signs says nothing of this
/// hub's own logs.
pub fn open_witness(config: &Config) -> Result<Option<Witness>, StartFault> {
    let Some(witness) = &config.witness else { return Ok(None) };
    let cosigner = Cosigner::new(read_key(&witness.key_file)?, &witness.name)
        .map_err(|error| StartFault::Setting(format!("{}: {error}", witness.key_file.display())))?;
    Ok(Some(Witness { cosigner, logs: witness.logs.clone() }))
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartFault> {
    TcpListener::bind(address)
        .await
        .map_err(|error| StartFault::Setting(format!("cannot listen on {address}: {error}")))
}

/// Makes a folder that only its owner can look into, and those above it where they are missing.
pub fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
