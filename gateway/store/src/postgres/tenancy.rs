//! One tenant inside a transaction that writes: its head is locked.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use tsunagi_core::audit::AuditEvent;
use tsunagi_core::id::{RecordId, SubjectKey, TenantId};

use super::columns::Columns;
use super::pool::{Connections, Tx};
use crate::error::StoreError;
use crate::keys::{Keyring, TenantKeys};
use crate::tables::{LeafContent, Length, Subject, count, moved, open_subject};

/// What all transactions of one process have in common.
pub(super) struct Common {
    pub(super) connections: Connections,
    pub(super) keyring: Keyring,
    hub: OnceLock<Arc<TenantKeys>>,
    /// A tenant's key is made once and never exchanged.
    known: RwLock<HashMap<TenantId, Arc<TenantKeys>>>,
    /// The newest moment at which a leaf was written here, in nanoseconds: one that has passed for certain.
    past: AtomicI64,
    /// How often the rules were asked in vain because something had not been read.
    #[cfg(test)]
    pub(super) asked_in_vain: std::sync::atomic::AtomicU64,
}

impl Common {
    pub(super) fn new(connections: Connections, keyring: Keyring) -> Self {
        let past = AtomicI64::new(i64::MIN);
        Self {
            connections,
            keyring,
            hub: OnceLock::new(),
            known: RwLock::default(),
            past,
            #[cfg(test)]
            asked_in_vain: Default::default(),
        }
    }

    /// The hub's keys; they are read when the store is opened.
    pub(super) fn hub(&self) -> Result<&Arc<TenantKeys>, StoreError> {
        self.hub.get().ok_or_else(|| StoreError::Corrupt("the hub's key is gone".to_owned()))
    }

    pub(super) fn set_hub(&self, keys: Arc<TenantKeys>) {
        self.hub.get_or_init(|| keys);
    }

    /// The keys of a tenant that was met before.
    pub(super) fn met(&self, tenant: &TenantId) -> Option<Arc<TenantKeys>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned()
    }

    /// The keys of a tenant about which something was written before.
    pub(super) async fn keys(&self, tx: &Tx, tenant: &TenantId) -> Result<Option<Arc<TenantKeys>>, StoreError> {
        if let Some(keys) = self.met(tenant) {
            return Ok(Some(keys));
        }
        let keys = self.read_keys(tx, tenant).await?;
        if let Some(keys) = &keys {
            self.known.write().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone(), Arc::clone(keys));
        }
        Ok(keys)
    }

    /// The same, from the table itself.
    pub(super) async fn read_keys(&self, tx: &Tx, tenant: &TenantId) -> Result<Option<Arc<TenantKeys>>, StoreError> {
        let found = tx.one("SELECT wrapped FROM tenant_keys WHERE tenant = $1", &[&tenant.as_str()]).await?;
        found.map(|row| Ok(self.keyring.tenant(tenant, row.of(0)?)?)).transpose()
    }

    /// A moment that has passed for certain: something was written to a log then. Long ago, until something is.
    pub(super) fn past(&self) -> i64 {
        self.past.load(Ordering::Relaxed)
    }

    /// This moment has passed.
    pub(super) fn has_passed(&self, nanos: i64) {
        self.past.fetch_max(nanos, Ordering::Relaxed);
    }
}

/// The tenant's part. While it is there nobody else writes to the tenant.
pub(super) struct Tenancy<'t> {
    pub(super) tx: &'t Tx,
    pub(super) common: &'t Common,
    pub(super) tenant: TenantId,
    pub(super) keys: Arc<TenantKeys>,
    /// The length of the log, and the next ordinal of a delivery or of a row that waits.
    pub(super) head: Head,
    before: Head,
}

/// What the tenant's row of `audit_lengths` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: Length,
    pub(super) ordinal: i64,
}

impl<'t> Tenancy<'t> {
    /// Locks the head of a tenant about which something was written before.
    pub(super) async fn lock(
        tx: &'t Tx,
        common: &'t Common,
        tenant: &TenantId,
    ) -> Result<Option<Tenancy<'t>>, StoreError> {
        let Some(keys) = common.keys(tx, tenant).await? else { return Ok(None) };
        Self::lock_with(tx, common, tenant, keys).await.map(Some)
    }

    /// The same; the tenant's key is made with the first thing that is written.
    pub(super) async fn enter(tx: &'t Tx, common: &'t Common, tenant: &TenantId) -> Result<Self, StoreError> {
        if let Some(known) = Self::lock(tx, common, tenant).await? {
            return Ok(known);
        }
        let wrapped = common.keyring.make_tenant_key(tenant)?;
        // Another node may be making it just now; then this waits until it has, and goes on with that one.
        let made = tx
            .execute(
                "INSERT INTO tenant_keys (tenant, wrapped) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                &[&tenant.as_str(), &wrapped],
            )
            .await?;
        let keys = common.read_keys(tx, tenant).await?;
        let keys = keys.ok_or_else(|| StoreError::Corrupt("a tenant's key is gone".to_owned()))?;
        if made > 0 {
            // From here on the log is there, if only with no leaf in it: it can be missed.
            let mac = Length::EMPTY.seal(&keys);
            tx.execute(
                "INSERT INTO audit_lengths (tenant, size, sealed, mac, ordinal) VALUES ($1, 0, 0, $2, 0)",
                &[&tenant.as_str(), &&mac[..]],
            )
            .await?;
        }
        Self::lock_with(tx, common, tenant, keys).await
    }

    async fn lock_with(
        tx: &'t Tx,
        common: &'t Common,
        tenant: &TenantId,
        keys: Arc<TenantKeys>,
    ) -> Result<Self, StoreError> {
        let found = tx
            .one(
                "SELECT size, sealed, mac, ordinal FROM audit_lengths WHERE tenant = $1 FOR UPDATE",
                &[&tenant.as_str()],
            )
            .await?;
        let ordinal = found.as_ref().map_or(Ok(0), |row| row.of(3))?;
        let said = found.map(|row| Ok::<_, StoreError>((row.number(0)?, row.number(1)?, row.of(2)?))).transpose()?;
        let head = Head { length: Length::checked(&keys, said)?, ordinal };
        Ok(Self { tx, common, tenant: tenant.clone(), keys, head, before: head })
    }

    /// Writes leaves; their indexes are dense because the head is locked.
    pub(super) async fn append(&mut self, contents: &[LeafContent]) -> Result<Vec<u64>, StoreError> {
        let first = self.head.length.size;
        let indexes: Vec<u64> = (first..).take(contents.len()).collect();
        let seals: Vec<_> =
            indexes.iter().zip(contents).map(|(index, leaf)| self.keys.leaf_seal(*index, &leaf.hash)).collect();
        let places = indexes.iter().map(|index| count(*index)).collect::<Result<Vec<_>, _>>()?;
        let bytes: Vec<&[u8]> = contents.iter().map(|leaf| leaf.bytes.as_slice()).collect();
        let hashes: Vec<&[u8]> = contents.iter().map(|leaf| leaf.hash.as_slice()).collect();
        let macs: Vec<&[u8]> = seals.iter().map(|seal| seal.as_slice()).collect();
        let times: Vec<i64> = contents.iter().map(|leaf| leaf.at).collect();
        self.tx
            .execute(
                "INSERT INTO audit_leaves (tenant, idx, bytes, hash, mac, written_at)
                 SELECT $1, * FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bigint[])",
                &[&self.tenant.as_str(), &places, &bytes, &hashes, &macs, &times],
            )
            .await?;
        times.into_iter().for_each(|at| self.common.has_passed(at));
        self.head.length.size += indexes.len() as u64;
        Ok(indexes)
    }

    /// Writes one leaf.
    pub(super) async fn append_one(&mut self, event: &AuditEvent) -> Result<u64, StoreError> {
        let indexes = self.append(&[LeafContent::of(event)?]).await?;
        indexes.first().copied().ok_or_else(|| StoreError::Corrupt("a leaf has no index".to_owned()))
    }

    /// Writes the head, if it is another: the last thing before the commit.
    pub(super) async fn close(self) -> Result<(), StoreError> {
        if self.head == self.before {
            return Ok(());
        }
        let Head { length, ordinal } = self.head;
        let mac = length.seal(&self.keys);
        self.tx
            .execute(
                "UPDATE audit_lengths SET size = $2, sealed = $3, mac = $4, ordinal = $5 WHERE tenant = $1",
                &[&self.tenant.as_str(), &count(length.size)?, &count(length.sealed)?, &&mac[..], &ordinal],
            )
            .await?;
        Ok(())
    }

    /// The subject with this key.
    pub(super) async fn subject(&self, key: &SubjectKey) -> Result<Option<Subject>, StoreError> {
        let found = self
            .tx
            .one(
                "SELECT subject, version, wrapped, flags FROM subjects WHERE tenant = $1 AND subject = $2",
                &[&self.tenant.as_str(), &key.as_str()],
            )
            .await?;
        found.map_or(Ok(None), |row| read_subject(self.common, &self.keys, &row))
    }

    /// Lets every decision that was made about the subject go stale.
    pub(super) async fn moved(&self, subject: &Subject) -> Result<(), StoreError> {
        self.moved_with(subject, &subject.flagged_by).await
    }

    /// The same; these records hide it from then on.
    pub(super) async fn moved_with(
        &self,
        subject: &Subject,
        flagged_by: &BTreeSet<RecordId>,
    ) -> Result<(), StoreError> {
        let flags = moved(&self.tenant, subject, flagged_by)?;
        let (before, after) = (count(subject.version)?, count(subject.version + 1)?);
        let moved = self
            .tx
            .execute(
                "UPDATE subjects SET version = $4, flags = $5 WHERE tenant = $1 AND subject = $2 AND version = $3",
                &[&self.tenant.as_str(), &subject.key.as_str(), &before, &after, &flags],
            )
            .await?;
        if moved == 0 {
            return Err(StoreError::Corrupt("a subject is not of the version that was read".to_owned()));
        }
        Ok(())
    }
}

/// Columns: subject, version, wrapped, flags.
pub(super) fn read_subject(
    common: &Common,
    keys: &TenantKeys,
    row: &tokio_postgres::Row,
) -> Result<Option<Subject>, StoreError> {
    // Shredded: there is nobody any more.
    if row.of::<&[u8]>(2)?.is_empty() {
        return Ok(None);
    }
    open_subject(&common.keyring, keys, row.word(0)?, row.number(1)?, (row.of(2)?, row.of(3)?)).map(Some)
}
