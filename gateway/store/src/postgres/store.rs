//! The store itself: where each call goes.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{Timestamp, civil::Date};
use tsunagi_core::audit::AuditEvent;
use tsunagi_core::coverage::{Coverage, CoverageLine};
use tsunagi_core::exchange::{DeliveryView, Exchange};
use tsunagi_core::id::{BatchId, DeliveryId, DirectiveId, ExchangeId, KindName, ParticipantId, SubjectKey, TenantId};
use tsunagi_core::merkle::{Hash, Tile};
use tsunagi_core::policy::Directive;
use tsunagi_core::registry::RegistryEntries;

use super::columns::Columns;
use super::group::{Answer, Command, Group};
use super::pool::{Connections, EVERY_LOG, Scope, Server};
use super::tenancy::Common;
use super::{
    admin, audit, coverage, directives, exchanges, forget, held, links, migrate, outbox, retention, shred, trail,
    witness,
};
use crate::command::{
    Accept, AcceptRow, Accepted, Checkpoint, ClaimRequest, Claimed, DeliveryFilter, ExchangeView, Held, Identifier,
    KeptSubtree, Leaf, LeafPage, LeavesOf, Link, Note, Purge, Purged, Rejection, RowPage, Settlement, Shredded,
    SubjectRef, Unsealed, Verdict, WitnessedHead,
};
use crate::error::StoreError;
use crate::keys::Keyring;
use crate::tables::{self, Check, Finding, LeafContent};
use crate::traits::{AuditLog, Outbox, Store, StoreAdmin};

/// A store that many nodes share. Its calls need a tokio runtime.
pub struct PostgresStore {
    common: Arc<Common>,
    group: Arc<Group>,
}

/// A transaction that writes in one tenant, with a deadline.
macro_rules! write {
    ($store:expr, $scope:expr, $tx:ident => $work:expr) => {{
        let connections = &$store.common.connections;
        connections
            .within(async {
                let $tx = connections.begin($scope).await?;
                let outcome = $work.await;
                $tx.end(outcome).await
            })
            .await
    }};
}

/// A transaction that reads one state, with a deadline.
macro_rules! read {
    ($store:expr, $scope:expr, $tx:ident => $work:expr) => {{
        let connections = &$store.common.connections;
        connections
            .within(async {
                let $tx = connections.look($scope).await?;
                let outcome = $work.await;
                $tx.end(outcome).await
            })
            .await
    }};
}

impl PostgresStore {
    /// Opens the tables on a server. An empty database gets its tables at once; older ones are left as they are until
    /// [`StoreAdmin::migrate`]; tables that this release would misread, or that were made with another master key, are
    /// refused.
    pub async fn open(server: &Server, keyring: Keyring) -> Result<Self, StoreError> {
        let store = Self::on(Common::new(Connections::new(server)?, keyring));
        let version = read!(store, Scope::default(), tx => async {
            migrate::refuse_unfinished(&tx).await?;
            migrate::version(&tx).await
        })?;
        match version {
            0 => store.migrate().await?,
            _ => migrate::check_master_key(&store.common).await?,
        }
        Ok(store)
    }

    /// True if there is a store on that server.
    pub async fn is_made(server: &Server) -> Result<bool, StoreError> {
        let connections = Connections::new(server)?;
        let work = async {
            let tx = connections.look(Scope::default()).await?;
            let version = migrate::version(&tx).await;
            tx.end(version).await
        };
        Ok(connections.within(work).await? != 0)
    }

    pub(super) fn on(common: Common) -> Self {
        let common = Arc::new(common);
        Self { group: Arc::new(Group::new(Arc::clone(&common))), common }
    }

    /// True if the server shows this role every tenant's rows whatever a transaction says: the second wall is then not
    /// there.
    pub async fn sees_through_the_wall(&self) -> Result<bool, StoreError> {
        let found = read!(self, Scope::default(), tx => tx.one(
            "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user", &[]
        ))?;
        found.map_or(Ok(true), |row| row.of(0))
    }

    /// How many transactions of commands that can share one were committed since the store was opened. Under load it
    /// grows more slowly than the number of calls.
    pub fn commits(&self) -> u64 {
        self.group.commits()
    }

    pub(super) fn common(&self) -> &Common {
        &self.common
    }
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("commits", &self.commits()).finish_non_exhaustive()
    }
}

fn of(tenant: &TenantId) -> Scope<'_> {
    Scope { tenant: tenant.as_str(), senders: "" }
}

#[async_trait]
impl Store for PostgresStore {
    async fn accept(&self, tenant: &TenantId, mut accept: Accept) -> Result<Accepted, StoreError> {
        for row in &mut accept.rows {
            self.prepare(tenant, &accept.head.id, row)?;
        }
        match self.group.run(tenant, Command::Accept(Box::new(accept))).await? {
            Answer::Accepted(accepted) => Ok(accepted),
            Answer::Noted(_) => Err(StoreError::Corrupt("a command was answered as another".to_owned())),
        }
    }

    fn prepare(&self, tenant: &TenantId, exchange: &ExchangeId, row: &mut AcceptRow) -> Result<(), StoreError> {
        // A tenant that was not met yet is met in the transaction.
        self.common.met(tenant).map_or(Ok(()), |keys| tables::prepare(&self.common.keyring, &keys, exchange, row))
    }

    async fn held(
        &self,
        tenant: &TenantId,
        subject: &SubjectRef,
        kinds: &[KindName],
    ) -> Result<Option<Held>, StoreError> {
        read!(self, of(tenant), tx => held::held(&tx, &self.common, tenant, subject, kinds))
    }

    async fn note(&self, tenant: &TenantId, note: Note) -> Result<Vec<u64>, StoreError> {
        let contents = note.events.iter().map(LeafContent::of).collect::<Result<Vec<_>, _>>()?;
        if note.directive.is_some() {
            return write!(self, of(tenant), tx => directives::note(&tx, &self.common, tenant, &note, &contents));
        }
        match self.group.run(tenant, Command::Note { contents, rests_on: note.rests_on }).await? {
            Answer::Noted(indexes) => Ok(indexes),
            Answer::Accepted(_) => Err(StoreError::Corrupt("a command was answered as another".to_owned())),
        }
    }

    async fn record_directive(
        &self,
        tenant: &TenantId,
        directive: Directive,
        event: AuditEvent,
    ) -> Result<u64, StoreError> {
        write!(self, of(tenant), tx => directives::record(&tx, &self.common, tenant, &directive, &event))
    }

    async fn withdraw_directive(
        &self,
        tenant: &TenantId,
        subject: &SubjectKey,
        id: &DirectiveId,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<u64, StoreError> {
        write!(self, of(tenant), tx => directives::withdraw(&tx, &self.common, tenant, (subject, id), at, &event))
    }

    async fn link_subject(
        &self,
        tenant: &TenantId,
        identifier: &Identifier,
        issuer: &str,
        sub: &str,
        link: Link,
        event: AuditEvent,
    ) -> Result<u64, StoreError> {
        let link = (&link, event);
        write!(self, of(tenant), tx => links::link_subject(&tx, &self.common, tenant, identifier, (issuer, sub), link))
    }

    async fn linked(&self, tenant: &TenantId, issuer: &str, sub: &str) -> Result<Vec<SubjectKey>, StoreError> {
        let found = read!(self, of(tenant), tx => async {
            match self.common.keys(&tx, tenant).await? {
                Some(keys) => links::links(&tx, tenant, &keys.sign_in(issuer, sub)).await,
                None => Ok(Vec::new()),
            }
        })?;
        Ok(found.into_iter().map(|(key, _)| key).collect())
    }

    async fn shred(&self, tenant: &TenantId, subject: &SubjectKey, event: AuditEvent) -> Result<Shredded, StoreError> {
        let done = write!(self, of(tenant), tx => shred::shred(&tx, &self.common, tenant, subject, &event));
        self.common.keyring.forget_subjects();
        done
    }

    async fn exchange(
        &self,
        sender: &ParticipantId,
        id: &ExchangeId,
        page: RowPage,
    ) -> Result<Option<ExchangeView>, StoreError> {
        let connections = &self.common.connections;
        connections.within(exchanges::view(connections, sender, id, page)).await
    }

    async fn rejections(
        &self,
        sender: &ParticipantId,
        id: &ExchangeId,
        page: RowPage,
    ) -> Result<Vec<Rejection>, StoreError> {
        self.common.connections.within(exchanges::rejections(&self.common, sender, id, page)).await
    }
}

#[async_trait]
impl Outbox for PostgresStore {
    async fn claim_due(&self, tenant: &TenantId, claim: ClaimRequest) -> Result<Vec<Claimed>, StoreError> {
        write!(self, of(tenant), tx => outbox::claim(&tx, tenant, &claim))?;
        // Decrypting is done when the rows are no longer locked. The subject's version that is read here is checked
        // again when the disclosure is noted.
        read!(self, of(tenant), tx => outbox::claimed(&tx, &self.common, tenant, &claim.batch))
    }

    async fn settle(
        &self,
        tenant: &TenantId,
        batch: &BatchId,
        settlements: Vec<Settlement>,
    ) -> Result<usize, StoreError> {
        write!(self, of(tenant), tx => outbox::settle(&tx, &self.common, tenant, batch, &settlements))
    }

    async fn batch(&self, tenant: &TenantId, batch: &BatchId) -> Result<Vec<DeliveryView>, StoreError> {
        read!(self, of(tenant), tx => outbox::of_batch(&tx, tenant, batch))
    }

    async fn deliveries(&self, tenant: &TenantId, filter: &DeliveryFilter) -> Result<Vec<DeliveryView>, StoreError> {
        read!(self, of(tenant), tx => outbox::list(&tx, tenant, filter))
    }

    async fn delivery(&self, tenant: &TenantId, id: &DeliveryId) -> Result<Option<DeliveryView>, StoreError> {
        read!(self, of(tenant), tx => outbox::one(&tx, tenant, id))
    }

    async fn redrive(
        &self,
        tenant: &TenantId,
        id: &DeliveryId,
        now: Timestamp,
        event: AuditEvent,
    ) -> Result<(), StoreError> {
        write!(self, of(tenant), tx => outbox::redrive(&tx, &self.common, tenant, id, (now, &event)))
    }
}

#[async_trait]
impl AuditLog for PostgresStore {
    async fn unsealed(&self, tenant: &TenantId, limit: usize) -> Result<Unsealed, StoreError> {
        read!(self, of(tenant), tx => audit::unsealed(&tx, tenant, limit))
    }

    async fn append_seal(&self, tenant: &TenantId, checkpoint: Checkpoint) -> Result<(), StoreError> {
        write!(self, of(tenant), tx => audit::append_seal(&tx, &self.common, tenant, &checkpoint))
    }

    async fn keep_subtrees(&self, tenant: &TenantId, subtrees: Vec<KeptSubtree>) -> Result<(), StoreError> {
        write!(self, of(tenant), tx => audit::keep_subtrees(&tx, tenant, &subtrees))
    }

    async fn tile(&self, tenant: &TenantId, tile: Tile) -> Result<Vec<Hash>, StoreError> {
        read!(self, of(tenant), tx => audit::tile(&tx, tenant, tile))
    }

    async fn index_leaves(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        write!(self, of(tenant), tx => trail::index(&tx, &self.common, tenant))
    }

    async fn leaves_of(
        &self,
        tenant: &TenantId,
        whose: &LeavesOf,
        below: u64,
        limit: usize,
    ) -> Result<LeafPage, StoreError> {
        read!(self, of(tenant), tx => trail::leaves_of(&tx, &self.common, tenant, whose, (below, limit)))
    }

    async fn newest_checkpoint(&self, tenant: &TenantId) -> Result<Option<Checkpoint>, StoreError> {
        read!(self, of(tenant), tx => audit::newest_checkpoint(&tx, tenant))
    }

    async fn witnessed(&self, log: &str) -> Result<Option<WitnessedHead>, StoreError> {
        read!(self, Scope::default(), tx => witness::witnessed(&tx, log))
    }

    async fn witness(
        &self,
        log: &str,
        seen: Option<WitnessedHead>,
        head: WitnessedHead,
        event: AuditEvent,
    ) -> Result<u64, StoreError> {
        let hub = TenantId::hub();
        write!(self, of(&hub), tx => witness::witness(&tx, &self.common, log, (seen, head), &event))
    }

    async fn audit_page(&self, tenant: &TenantId, from: u64, limit: usize) -> Result<Vec<Leaf>, StoreError> {
        read!(self, of(tenant), tx => audit::page(&tx, tenant, from, limit))
    }

    async fn checkpoints(&self, tenant: &TenantId) -> Result<Vec<Checkpoint>, StoreError> {
        read!(self, of(tenant), tx => audit::checkpoints(&tx, tenant))
    }

    async fn verify(
        &self,
        tenant: &TenantId,
        public_key: &[u8; 32],
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Verdict, StoreError> {
        let said = read!(self, of(tenant), tx => audit::said(&tx, &self.common, tenant))?;
        let mut check = Check::begin(tenant, *public_key, said)?;
        loop {
            let leaves = read!(self, of(tenant), tx => audit::found(&tx, tenant, check.read(), check.last()))?;
            if leaves.is_empty() {
                break;
            }
            for leaf in leaves {
                let fault = match check.leaf(leaf) {
                    None => continue,
                    Some(Finding::Fault(fault)) => fault,
                    Some(Finding::Stranger(stranger)) => {
                        read!(self, of(tenant), tx => audit::explain(&tx, &self.common, tenant, &stranger))?
                    }
                };
                return Ok(check.verdict(Some(fault)));
            }
            progress(check.read());
        }
        let fault = check.end();
        Ok(check.verdict(fault))
    }
}

#[async_trait]
impl StoreAdmin for PostgresStore {
    async fn migrate(&self) -> Result<(), StoreError> {
        // Making tables may take longer than a transaction may; each statement has its own limit.
        migrate::migrate(&self.common).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        write!(self, Scope::default(), tx => admin::ready(&tx))?;
        self.common.connections.within(migrate::check_master_key(&self.common)).await
    }

    async fn registry(&self) -> Result<(u64, RegistryEntries), StoreError> {
        read!(self, Scope::default(), tx => admin::registry(&tx))
    }

    async fn import_registry(&self, entries: RegistryEntries, event: AuditEvent) -> Result<u64, StoreError> {
        write!(self, of(&TenantId::hub()), tx => admin::import(&tx, &self.common, &entries, &event))
    }

    async fn forget(
        &self,
        tenants: Vec<TenantId>,
        senders: Vec<ParticipantId>,
        event: AuditEvent,
    ) -> Result<u64, StoreError> {
        let hub = TenantId::hub();
        let names = senders.iter().map(ParticipantId::as_str).collect::<Vec<_>>().join(",");
        let scope = Scope { tenant: hub.as_str(), senders: &names };
        write!(self, scope, tx => forget::forget(&tx, &self.common, &tenants, &senders, &event))
    }

    async fn exchanges(&self, limit: usize) -> Result<Vec<Exchange>, StoreError> {
        read!(self, Scope::default(), tx => exchanges::list(&tx, limit))
    }

    async fn logs(&self) -> Result<Vec<TenantId>, StoreError> {
        read!(self, Scope { tenant: EVERY_LOG, senders: "" }, tx => audit::logs(&tx))
    }

    async fn purge(&self, tenant: &TenantId, purge: Purge) -> Result<Purged, StoreError> {
        write!(self, of(tenant), tx => retention::purge(&tx, &self.common, tenant, &purge))
    }

    async fn add_coverage(&self, day: Date, coverage: Coverage) -> Result<(), StoreError> {
        write!(self, Scope::default(), tx => coverage::add(&tx, day, &coverage))
    }

    async fn coverage(&self, since: Option<Date>) -> Result<Vec<CoverageLine>, StoreError> {
        read!(self, Scope::default(), tx => coverage::list(&tx, since))
    }
}
