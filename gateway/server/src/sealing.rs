//! Sealing (封印): taking durable leaves into the tenants' Merkle trees under a signed checkpoint.
//!
//! Leaves are durable before any answer that rests on them; sealing follows in batches. If it lags past its tolerance
//! the edge answers 503: a hub that cannot prove what it does must not go on doing it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use jiff::Timestamp;
use tokio::sync::watch;
use tsunagi_core::id::TenantId;
use tsunagi_core::merkle::Frontier;
use tsunagi_store::{Checkpoint, StoreError};

use crate::gateway::Gateway;

/// How many leaves one checkpoint takes in at most.
const BATCH: usize = 10_000;

/// Whether sealing keeps up.
#[derive(Debug, Default)]
pub struct SealingState {
    behind: AtomicBool,
    lag_secs: AtomicI64,
}

impl SealingState {
    /// True if the oldest unsealed leaf is older than the tolerance.
    pub fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    /// Age of the oldest unsealed leaf of any log, in seconds.
    pub fn lag_secs(&self) -> i64 {
        self.lag_secs.load(Ordering::Relaxed)
    }
}

/// Seals until told to stop, and once more then.
pub async fn run(gateway: Arc<Gateway>, mut stopping: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(gateway.config.sealing_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => seal_all(&gateway).await,
            _ = stopping.changed() => {
                seal_all(&gateway).await;
                return;
            }
        }
    }
}

/// Seals every log up to now.
pub async fn seal_all(gateway: &Gateway) {
    let tenants: Vec<TenantId> =
        gateway.registry.load().tenants().map(|t| t.id.clone()).chain([TenantId::hub()]).collect();
    let mut oldest: Option<Timestamp> = None;
    for tenant in tenants {
        match seal(gateway, &tenant).await {
            Ok(None) => {}
            Ok(Some(left)) => oldest = Some(oldest.map_or(left, |o| o.min(left))),
            Err(error) => {
                tracing::error!(%tenant, %error, "sealing failed");
                let unsealed = gateway.store.unsealed(&tenant, 1).await.ok().and_then(|u| u.oldest);
                oldest = oldest.into_iter().chain(unsealed).min();
            }
        }
    }
    let lag = oldest.map_or(0, |since| gateway.clock.now().as_second() - since.as_second());
    let tolerance = i64::try_from(gateway.config.sealing_tolerance.as_secs()).unwrap_or(i64::MAX);
    gateway.sealing.lag_secs.store(lag, Ordering::Relaxed);
    gateway.sealing.behind.store(lag > tolerance, Ordering::Relaxed);
    metrics::gauge!("tsunagi_sealing_lag_seconds").set(lag as f64);
}

/// Seals one log, batch by batch; gives the time of the oldest leaf that is left.
async fn seal(gateway: &Gateway, tenant: &TenantId) -> Result<Option<Timestamp>, StoreError> {
    loop {
        let unsealed = gateway.store.unsealed(tenant, BATCH).await?;
        if unsealed.leaves.is_empty() {
            return Ok(None);
        }
        let mut frontier = Frontier::from_parts(unsealed.sealed, unsealed.frontier)
            .ok_or_else(|| StoreError::Corrupt("the frontier does not fit its size".to_owned()))?;
        for leaf in &unsealed.leaves {
            frontier.push(*leaf);
        }
        let root = frontier.root();
        let note = gateway.signer.sign(&origin(tenant), frontier.size(), &root);
        let checkpoint = Checkpoint {
            size: frontier.size(),
            root,
            frontier: frontier.hashes().to_vec(),
            note,
            sealed_at: gateway.clock.now(),
        };
        match gateway.store.append_seal(tenant, checkpoint).await {
            // Another process sealed meanwhile: read on from where it came to.
            Ok(()) | Err(StoreError::Stale) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The origin line of a tenant's checkpoints.
pub fn origin(tenant: &TenantId) -> String {
    format!("tsunagi/{tenant}")
}
