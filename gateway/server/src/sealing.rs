//! Sealing (封印): taking durable leaves into the tenants' Merkle trees under a signed checkpoint.
//!
//! Leaves are durable before any answer that rests on them; sealing follows in batches. If it lags past its tolerance
//! the edge answers 503: a hub that cannot prove what it does must not go on doing it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tsunagi_core::id::TenantId;
use tsunagi_core::merkle::{Frontier, Hash, Plan, Subtree, TILE, Tile};
use tsunagi_store::coordinator::Notice;
use tsunagi_store::{Checkpoint, KeptSubtree, StoreError};

use crate::gateway::Gateway;
use crate::receipts::Tiles;

/// How many leaves one checkpoint takes in at most.
const BATCH: usize = 10_000;

/// How many tiles of leaves are read at once for subtrees that were not kept when they were sealed.
const TILES_AT_A_TIME: u64 = 40;

/// How many checkpoints one log gets in a row.
const CHECKPOINTS_AT_A_TIME: usize = 8;

/// Whether sealing keeps up. Measured by the machine's steady clock: a wall clock that jumps says nothing about it.
#[derive(Debug)]
pub struct SealingState {
    /// When the last pass began that left nothing unsealed from before it; at first, when the gateway started.
    all_sealed: Mutex<Instant>,
}

impl Default for SealingState {
    fn default() -> Self {
        Self { all_sealed: Mutex::new(Instant::now()) }
    }
}

impl SealingState {
    /// Time since every log was last sealed. It grows by itself where the sealing task hangs or has died.
    pub fn lag(&self) -> Duration {
        self.all_sealed.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    fn all_sealed_since(&self, began: Instant) {
        *self.all_sealed.lock().unwrap_or_else(PoisonError::into_inner) = began;
    }
}

/// What one pass over all logs came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pass {
    /// Every leaf that was there when it began is sealed.
    All,
    /// A log has more leaves than it gets checkpoints in a row.
    Behind,
    /// A log could not be sealed.
    Unable,
}

/// Seals until told to stop. The last seals come when everything else has ended: see [`seal_to_the_end`].
pub async fn run(gateway: Arc<Gateway>, mut stopping: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(gateway.config.sealing_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut calls = gateway.coordinator.listen(Notice::LeavesWait);
    loop {
        tokio::select! {
            _ = ticks.tick() => if seal_all(&gateway).await == Pass::Unable {
                // Whoever can does it now; whoever was called does not call in turn.
                gateway.coordinator.tell(Notice::LeavesWait);
                calls.mark_unchanged();
            },
            Ok(()) = calls.changed() => {
                seal_all(&gateway).await;
            }
            _ = stopping.changed() => return,
        }
    }
}

/// The last seals of a gateway that has nothing else to do: again until every leaf is under a checkpoint, or until
/// `ends`. What is left then is on the disk like all leaves, and is sealed by another node or the next start.
pub async fn seal_to_the_end(gateway: &Gateway, ends: Instant) {
    let mut ticks = tokio::time::interval(gateway.config.sealing_interval);
    loop {
        ticks.tick().await;
        match seal_all(gateway).await {
            Pass::All => return,
            Pass::Behind | Pass::Unable if Instant::now() < ends => {}
            Pass::Behind | Pass::Unable => {
                tracing::error!("leaves were left unsealed; another node or the next start seals them");
                return;
            }
        }
    }
}

/// Seals every log once, up to what it holds now.
pub async fn seal_all(gateway: &Gateway) -> Pass {
    let began = Instant::now();
    let mut pass = Pass::All;
    for tenant in gateway.registry.load_full().logs() {
        match seal(gateway, &tenant).await {
            Ok(true) => {}
            Ok(false) => pass = pass.max(Pass::Behind),
            Err(error) => {
                pass = Pass::Unable;
                tracing::error!(%tenant, %error, "sealing failed");
            }
        }
    }
    if pass == Pass::All {
        gateway.sealing.all_sealed_since(began);
    }
    pass
}

/// Seals one log; true if no leaf that was there before is left. At most a few checkpoints at a time, so that a busy
/// log does not keep the others waiting. The time of a leaf has no say: a clock that went back left some of a later hour.
async fn seal(gateway: &Gateway, tenant: &TenantId) -> Result<bool, StoreError> {
    for _ in 0..CHECKPOINTS_AT_A_TIME {
        if !keep_missing(gateway, tenant).await? {
            break;
        }
    }
    for _ in 0..CHECKPOINTS_AT_A_TIME {
        let unsealed = gateway.store.unsealed(tenant, BATCH).await?;
        // Subtrees are kept without a gap: where earlier ones are missing, these come after them.
        let has_all = unsealed.subtrees >= unsealed.sealed / TILE;
        if unsealed.leaves.is_empty() {
            return Ok(true);
        }
        let is_last = unsealed.leaves.len() < BATCH;
        let mut frontier = Frontier::from_parts(unsealed.sealed, unsealed.frontier)
            .ok_or_else(|| StoreError::Corrupt("the frontier does not fit its size".to_owned()))?;
        let mut completed = Vec::new();
        for leaf in &unsealed.leaves {
            push(&mut frontier, *leaf, &mut completed);
        }
        if has_all && !completed.is_empty() {
            gateway.store.keep_subtrees(tenant, completed).await?;
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
            Ok(()) if is_last => return Ok(true),
            // Another process sealed meanwhile: read on from where it came to.
            Ok(()) | Err(StoreError::Stale) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Keeps the next subtrees of a log that an older version sealed without keeping them; false if none are missing. It goes
/// on where it ended, in this process or another.
async fn keep_missing(gateway: &Gateway, tenant: &TenantId) -> Result<bool, StoreError> {
    let unsealed = gateway.store.unsealed(tenant, 0).await?;
    let (from, all) = (unsealed.subtrees, unsealed.sealed / TILE);
    if from >= all {
        return Ok(false);
    }
    let corrupt = || StoreError::Corrupt(format!("the log {tenant} has gaps"));
    let mut tiles = Tiles::of(gateway.store.as_ref(), tenant);
    let edge = tiles.prove(&Plan::frontier(from * TILE)).await?.ok_or_else(corrupt)?;
    let mut frontier = Frontier::from_parts(from * TILE, edge).ok_or_else(corrupt)?;
    let mut completed = Vec::new();
    for index in from..all.min(from + TILES_AT_A_TIME) {
        let leaves = gateway.store.tile(tenant, Tile { level: 0, index }).await?;
        if leaves.len() as u64 != TILE {
            return Err(corrupt());
        }
        leaves.into_iter().for_each(|leaf| push(&mut frontier, leaf, &mut completed));
    }
    gateway.store.keep_subtrees(tenant, completed).await?;
    Ok(true)
}

/// Adds a leaf, and to what is to be kept the subtrees that it completes.
fn push(frontier: &mut Frontier, leaf: Hash, completed: &mut Vec<KeptSubtree>) {
    frontier.push_noting(leaf, |subtree: Subtree, root| {
        completed.extend(subtree.kept().map(|(level, index)| KeptSubtree { level, index, root }));
    });
}

/// The origin line of a tenant's checkpoints.
pub fn origin(tenant: &TenantId) -> String {
    format!("tsunagi/{tenant}")
}
