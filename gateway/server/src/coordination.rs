//! The other nodes of the hub: how they are reached, and what the log and the metrics say of it.

use std::sync::Arc;

use tokio::sync::watch;
use tsunagi_store::coordinator::{Coordinator, InProcess, Notice, Reach};

use crate::config::{Config, CoordinatorConfig};
use crate::gateway::{Gateway, StartFault};

/// The coordinator that the configuration names. It need not answer yet.
pub(crate) fn open_coordinator(config: &Config) -> Result<Arc<dyn Coordinator>, StartFault> {
    match &config.coordinator {
        CoordinatorConfig::InProcess => Ok(Arc::new(InProcess::new())),
        CoordinatorConfig::Redis(shared) => over_redis::open(config, shared),
    }
}

/// Tells the nodes what a command has done. They find it by themselves where this does not reach them.
pub(crate) async fn tell_others(config: &Config, notice: Notice) {
    if let CoordinatorConfig::Redis(shared) = &config.coordinator
        && let Err(error) = over_redis::tell_once(config, shared, notice).await
    {
        tracing::warn!(%error, "the nodes were not told; they look by themselves");
    }
}

/// Says when the other nodes are lost and when they are reached again, once each, until told to stop.
pub(crate) async fn run(gateway: Arc<Gateway>, mut stopping: watch::Receiver<bool>) {
    let mut reach = gateway.coordinator.reach();
    if *reach.borrow() == Reach::Alone {
        return;
    }
    let reached = metrics::gauge!("tsunagi_coordinator_reached");
    let losses = metrics::counter!("tsunagi_coordinator_losses_total");
    reached.set(0.0);
    losses.absolute(0);
    let mut was_reached = None;
    loop {
        let now = reach.borrow_and_update().clone();
        match now {
            Reach::Lost(why) if was_reached != Some(false) => {
                was_reached = Some(false);
                reached.set(0.0);
                losses.increment(1);
                tracing::warn!(%why, "the coordinator is not reached; this node keeps the limits by itself");
            }
            Reach::Reached if was_reached != Some(true) => {
                was_reached = Some(true);
                reached.set(1.0);
                tracing::info!("the coordinator is reached; limits are shared");
            }
            Reach::Alone | Reach::Lost(_) | Reach::Reached | Reach::Reaching => {}
        }
        tokio::select! {
            Ok(()) = reach.changed() => {}
            _ = stopping.changed() => return,
        }
    }
}

/// In a word, for `/readyz`.
pub(crate) fn told(reach: &Reach) -> String {
    match reach {
        Reach::Alone => "none".to_owned(),
        Reach::Lost(why) => why.clone(),
        Reach::Reached => "ok".to_owned(),
        Reach::Reaching => "not reached yet".to_owned(),
    }
}

#[cfg(feature = "redis")]
mod over_redis {
    use std::path::Path;
    use std::sync::Arc;

    use aws_lc_rs::hmac;
    use tsunagi_core::sensitive::Sensitive;
    use tsunagi_store::coordinator::redis::{RedisCoordinator, Settings};
    use tsunagi_store::coordinator::{Coordinator, Notice};

    use crate::config::{Config, Shared};
    use crate::gateway::StartFault;
    use crate::secret::{read_key, read_password};

    pub(super) fn open(config: &Config, shared: &Shared) -> Result<Arc<dyn Coordinator>, StartFault> {
        let coordinator = RedisCoordinator::start(settings(config, shared)?);
        Ok(Arc::new(coordinator.map_err(|fault| StartFault::Setting(format!("coordinator.url: {fault}")))?))
    }

    pub(super) async fn tell_once(config: &Config, shared: &Shared, notice: Notice) -> Result<(), StartFault> {
        let told = RedisCoordinator::tell_once(settings(config, shared)?, notice).await;
        told.map_err(|fault| StartFault::Setting(format!("coordinator.url: {fault}")))
    }

    fn settings(config: &Config, shared: &Shared) -> Result<Settings, StartFault> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| StartFault::Setting(format!("{}: {error}", path.display())))
        };
        let password = shared.password_file.as_deref().map(read_password).transpose()?;
        // Who called is hashed under a key that all nodes have and that opens nothing.
        let master = read_key(&config.master_key_file)?;
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, master.expose()), b"tsunagi coordinator");
        let mut key = [0; 32];
        key.copy_from_slice(tag.as_ref());
        Ok(Settings {
            address: shared.address.clone(),
            ca_pem: shared.ca_file.as_deref().map(read).transpose()?,
            username: shared.username.clone(),
            password,
            prefix: shared.prefix.clone(),
            timeout: shared.timeout,
            key: Sensitive::new(key),
        })
    }
}

/// A configuration with a coordinator is refused before it comes here.
#[cfg(not(feature = "redis"))]
mod over_redis {
    use std::sync::Arc;

    use tsunagi_store::coordinator::{Coordinator, Notice};

    use crate::config::{Config, Shared};
    use crate::gateway::StartFault;

    pub(super) fn open(_: &Config, _: &Shared) -> Result<Arc<dyn Coordinator>, StartFault> {
        Err(StartFault::Setting("coordinator.url: this tsunagi was built without the feature `redis`".to_owned()))
    }

    pub(super) async fn tell_once(_: &Config, _: &Shared, _: Notice) -> Result<(), StartFault> {
        Err(StartFault::Setting("coordinator.url: this tsunagi was built without the feature `redis`".to_owned()))
    }
}
