//! Proofs of leaves for those whom they concern: hashes alone, and the checkpoint they lead to. Whoever holds one can
//! check it without this hub.

use std::collections::BTreeMap;

use serde::Serialize;
use tsunagi_core::id::TenantId;
use tsunagi_core::merkle::{Hash, Plan, Subtree, TILE, Tile, verify_consistency, verify_inclusion};
use tsunagi_core::tlog::{Growth, InclusionProof};
use tsunagi_store::{Checkpoint, Storage, StoreError};

use crate::sealing::origin;

/// What somebody is told of a leaf that concerns them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeafReceipt {
    /// The log it is in.
    pub origin: String,
    /// Its index.
    pub leaf: u64,
    /// Its hash, in hexadecimal.
    pub hash: String,
    /// Once it is sealed: the proof with its signed checkpoint, see [`InclusionProof`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

/// The tiles of one log, each read once.
pub struct Tiles<'s> {
    store: &'s dyn Storage,
    tenant: TenantId,
    read: BTreeMap<Tile, Vec<Hash>>,
    /// Worked out from tiles: neighbours share nearly all of them.
    roots: BTreeMap<Subtree, Hash>,
}

impl<'s> Tiles<'s> {
    /// Of a log; nothing is read yet.
    pub fn of(store: &'s dyn Storage, tenant: &TenantId) -> Self {
        Self { store, tenant: tenant.clone(), read: BTreeMap::new(), roots: BTreeMap::new() }
    }

    /// The hashes of a plan; `None` where a subtree is not kept yet.
    pub async fn prove(&mut self, plan: &Plan) -> Result<Option<Vec<Hash>>, StoreError> {
        for part in plan.subtrees() {
            if !self.roots.contains_key(&part)
                && let Some(root) = part.root_in(self.tile(part.tile()).await?)
            {
                self.roots.insert(part, root);
            }
        }
        Ok(plan.prove(|part| self.roots.get(&part).copied()))
    }

    /// The hash of a leaf, sealed or not.
    pub async fn leaf(&mut self, index: u64) -> Result<Option<Hash>, StoreError> {
        let hashes = self.tile(Tile { level: 0, index: index / TILE }).await?;
        Ok(usize::try_from(index % TILE).ok().and_then(|at| hashes.get(at)).copied())
    }

    /// Lets go of what proofs of leaves from here on do not need.
    fn forget_before(&mut self, leaf: u64) {
        self.read.retain(|tile, _| tile.level > 0 || tile.index >= leaf / TILE);
        self.roots.clear();
    }

    async fn tile(&mut self, tile: Tile) -> Result<&[Hash], StoreError> {
        if !self.read.contains_key(&tile) {
            let hashes = self.store.tile(&self.tenant, tile).await?;
            self.read.insert(tile, hashes);
        }
        Ok(self.read.get(&tile).map_or(&[], Vec::as_slice))
    }
}

/// Proves leaves of one log under its newest checkpoint.
pub struct Prover<'s> {
    tiles: Tiles<'s>,
    checkpoint: Option<Checkpoint>,
}

impl<'s> Prover<'s> {
    /// Reads the newest checkpoint; tiles are read after it, so that they reach as far.
    pub async fn open(store: &'s dyn Storage, tenant: &TenantId) -> Result<Self, StoreError> {
        let checkpoint = store.newest_checkpoint(tenant).await?;
        Ok(Self { tiles: Tiles::of(store, tenant), checkpoint })
    }

    /// The checkpoint that proofs lead to.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    /// Lets go of what was read for leaves before this one: a whole log is more than memory should hold.
    pub fn forget_leaves_before(&mut self, leaf: u64) {
        self.tiles.forget_before(leaf);
    }

    /// What is told of a leaf; `NotFound` where there is none.
    pub async fn receipt(&mut self, leaf: u64) -> Result<LeafReceipt, StoreError> {
        let hash = self.tiles.leaf(leaf).await?.ok_or(StoreError::NotFound)?;
        let proof = self.proof(leaf).await?.map(|proof| proof.to_string());
        Ok(LeafReceipt { origin: origin(&self.tiles.tenant), leaf, hash: hex::encode(hash), proof })
    }

    /// The proof of a leaf; `None` until it is sealed. One that does not hold is not given out.
    pub async fn proof(&mut self, index: u64) -> Result<Option<InclusionProof>, StoreError> {
        let Some(checkpoint) = &self.checkpoint else { return Ok(None) };
        let (size, root, note) = (checkpoint.size, checkpoint.root, checkpoint.note.clone());
        let Some(plan) = Plan::inclusion(index, size) else { return Ok(None) };
        let Some(hashes) = self.tiles.prove(&plan).await? else { return Ok(None) };
        let leaf = self.tiles.leaf(index).await?.ok_or(StoreError::NotFound)?;
        if !verify_inclusion(&leaf, index, size, &hashes, &root) {
            return Err(StoreError::Corrupt(format!("leaf {index} of {} is not as it was sealed", self.tiles.tenant)));
        }
        Ok(Some(InclusionProof { leaf, index, hashes, checkpoint: note }))
    }
}

/// The proof that a log only grew between two of its checkpoints; `None` where subtrees are not kept yet.
pub async fn growth(
    store: &dyn Storage,
    tenant: &TenantId,
    older: &Checkpoint,
    newer: &Checkpoint,
) -> Result<Option<Growth>, StoreError> {
    let plan = Plan::consistency(older.size, newer.size).ok_or(StoreError::NotFound)?;
    let Some(hashes) = Tiles::of(store, tenant).prove(&plan).await? else { return Ok(None) };
    if !verify_consistency(older.size, &older.root, newer.size, &newer.root, &hashes) {
        let (older, newer) = (older.size, newer.size);
        return Err(StoreError::Corrupt(format!("the log {tenant} did not only grow from {older} to {newer}")));
    }
    Ok(Some(Growth { old: older.size, hashes, checkpoint: newer.note.clone() }))
}

/// Proves leaves of several logs, each under its newest checkpoint.
pub struct Provers<'s> {
    store: &'s dyn Storage,
    open: BTreeMap<TenantId, Prover<'s>>,
}

impl<'s> Provers<'s> {
    /// Nothing is read yet.
    pub fn of(store: &'s dyn Storage) -> Self {
        Self { store, open: BTreeMap::new() }
    }

    /// See [`Prover::receipt`].
    pub async fn receipt(&mut self, tenant: &TenantId, leaf: u64) -> Result<LeafReceipt, StoreError> {
        if !self.open.contains_key(tenant) {
            self.open.insert(tenant.clone(), Prover::open(self.store, tenant).await?);
        }
        self.open.get_mut(tenant).ok_or(StoreError::NotFound)?.receipt(leaf).await
    }
}
