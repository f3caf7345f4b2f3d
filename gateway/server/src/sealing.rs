//! Sealing (封印): taking durable leaves into the tenants' Merkle trees under a signed checkpoint.
//!
//! Leaves are durable before any answer that rests on them; sealing follows in batches. If it lags past its tolerance
//! the edge answers 503: a hub that cannot prove what it does must not go on doing it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use tokio::sync::watch;
use tsunagi_core::id::TenantId;
use tsunagi_core::merkle::Frontier;
use tsunagi_store::{Checkpoint, StoreError};

use crate::gateway::Gateway;

/// How many leaves one checkpoint takes in at most.
const BATCH: usize = 10_000;

/// How many checkpoints one log gets in a row.
const CHECKPOINTS_AT_A_TIME: usize = 8;

/// Whether sealing keeps up.
#[derive(Debug, Default)]
pub struct SealingState {
    /// Unix seconds of the last moment at which every log was known to be sealed up to then; 0 before the first.
    sealed_up_to: AtomicI64,
}

impl SealingState {
    /// Seconds since every log was last sealed. It grows by itself where the sealing task hangs or has died.
    pub fn lag_secs(&self, now: Timestamp) -> i64 {
        match self.sealed_up_to.load(Ordering::Relaxed) {
            0 => 0,
            sealed => (now.as_second() - sealed).max(0),
        }
    }

    /// True if the lag is past what is tolerated.
    pub fn is_behind(&self, now: Timestamp, tolerance: std::time::Duration) -> bool {
        self.lag_secs(now) > i64::try_from(tolerance.as_secs()).unwrap_or(i64::MAX)
    }
}

/// Seals until told to stop. The last seal comes when everything else has ended: see [`crate::gateway::Running::drain`].
pub async fn run(gateway: Arc<Gateway>, mut stopping: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(gateway.config.sealing_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => seal_all(&gateway).await,
            _ = stopping.changed() => return,
        }
    }
}

/// Seals every log once, up to what it holds now.
pub async fn seal_all(gateway: &Gateway) {
    let began = gateway.clock.now();
    let tenants: Vec<TenantId> =
        gateway.registry.load().tenants().map(|t| t.id.clone()).chain([TenantId::hub()]).collect();
    let mut all_done = true;
    for tenant in tenants {
        match seal(gateway, &tenant, began).await {
            Ok(done) => all_done &= done,
            Err(error) => {
                all_done = false;
                tracing::error!(%tenant, %error, "sealing failed");
            }
        }
    }
    if all_done {
        gateway.sealing.sealed_up_to.store(began.as_second(), Ordering::Relaxed);
    }
    metrics::gauge!("tsunagi_sealing_lag_seconds").set(gateway.sealing.lag_secs(gateway.clock.now()) as f64);
}

/// Seals one log; true if no leaf from before `began` is left. At most a few checkpoints at a time, so that a busy log
/// does not keep the others waiting.
async fn seal(gateway: &Gateway, tenant: &TenantId, began: Timestamp) -> Result<bool, StoreError> {
    for _ in 0..CHECKPOINTS_AT_A_TIME {
        let unsealed = gateway.store.unsealed(tenant, BATCH).await?;
        if unsealed.leaves.is_empty() || unsealed.oldest.is_none_or(|oldest| began < oldest) {
            return Ok(true);
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
    Ok(false)
}

/// The origin line of a tenant's checkpoints.
pub fn origin(tenant: &TenantId) -> String {
    format!("tsunagi/{tenant}")
}
