//! A store that fails. Each write fails in two ways that look the same to whoever called: it did not happen, or it did
//! happen and only the answer was lost. What is asserted afterwards is read from the real store beneath.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::{Timestamp, civil::Date};
use tokio::sync::mpsc;
use tsunagi_core::audit::AuditEvent;
use tsunagi_core::coverage::{Coverage, CoverageLine};
use tsunagi_core::exchange::{DeliveryView, Exchange};
use tsunagi_core::id::{BatchId, DeliveryId, DirectiveId, ExchangeId, KindName, ParticipantId, SubjectKey, TenantId};
use tsunagi_core::merkle::{Hash, Tile};
use tsunagi_core::policy::Directive;
use tsunagi_core::registry::RegistryEntries;
use tsunagi_store::{
    Accept, AcceptRow, Accepted, AuditLog, Checkpoint, ClaimRequest, Claimed, DeliveryFilter, ExchangeView, Held,
    Identifier, KeptSubtree, Leaf, LeafPage, LeavesOf, Link, Note, Outbox, Purge, Purged, Rejection, RowPage,
    Settlement, Shredded, Storage, Store, StoreAdmin, StoreError, SubjectRef, Unsealed, Verdict, WitnessedHead,
};

/// The writes of a gateway that runs; what the operator writes goes through as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// `accept`
    Accept,
    /// `add_coverage`
    AddCoverage,
    /// `append_seal`
    AppendSeal,
    /// `claim_due`
    ClaimDue,
    /// `index_leaves`
    IndexLeaves,
    /// `keep_subtrees`
    KeepSubtrees,
    /// `link_subject`
    LinkSubject,
    /// `note`
    Note,
    /// `purge`
    Purge,
    /// `record_directive`
    RecordDirective,
    /// `settle`
    Settle,
    /// `withdraw_directive`
    WithdrawDirective,
    /// `witness`
    Witness,
}

/// What is true after a write that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failing {
    /// It did happen; only the answer was lost.
    After,
    /// It did not happen.
    Before,
    /// It did not happen: what it rests on has changed meanwhile.
    Stale,
}

impl Failing {
    /// The two that look the same.
    pub const PAIR: [Self; 2] = [Self::Before, Self::After];
}

/// A failure to come.
struct Planned {
    write: Write,
    how: Failing,
    /// So many of its kind go well before.
    after: usize,
}

/// Stands before a real store.
pub struct FaultyStore {
    real: Arc<dyn Storage>,
    plan: Mutex<Vec<Planned>>,
    failed: mpsc::UnboundedSender<Write>,
    /// What lookups have called.
    calls: Mutex<Vec<String>>,
}

impl FaultyStore {
    /// A store that does as `real` does until it is told to fail, and the writes that it has failed, as they fail.
    pub fn before(real: Arc<dyn Storage>) -> (Arc<Self>, mpsc::UnboundedReceiver<Write>) {
        let (failed, failures) = mpsc::unbounded_channel();
        (Arc::new(Self { real, plan: Mutex::default(), failed, calls: Mutex::default() }), failures)
    }

    /// The next `write` fails; once.
    pub fn fail(&self, write: Write, how: Failing) {
        self.fail_after(0, write, how);
    }

    /// As [`FaultyStore::fail`], after `after` that go well.
    pub fn fail_after(&self, after: usize, write: Write, how: Failing) {
        self.plan.lock().expect("not poisoned").push(Planned { write, how, after });
    }

    /// True if every failure that was planned has come.
    pub fn has_failed_all(&self) -> bool {
        self.plan.lock().expect("not poisoned").is_empty()
    }

    /// What lookups have called since the last call of this: reads, and writes with how much each writes.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().expect("not poisoned"))
    }

    fn called(&self, what: impl Into<String>) {
        self.calls.lock().expect("not poisoned").push(what.into());
    }

    fn planned(&self, write: Write) -> Option<Failing> {
        let mut plan = self.plan.lock().expect("not poisoned");
        let at = plan.iter().position(|planned| planned.write == write)?;
        if plan[at].after > 0 {
            plan[at].after -= 1;
            return None;
        }
        Some(plan.remove(at).how)
    }

    /// Does the work, or seems not to.
    async fn write<T>(
        &self,
        write: Write,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let Some(how) = self.planned(write) else { return work.await };
        if how == Failing::After {
            work.await?;
        }
        // Nobody may be listening.
        let _unheard = self.failed.send(write);
        Err(match how {
            Failing::After | Failing::Before => StoreError::Unavailable("the disk was pulled out".to_owned()),
            Failing::Stale => StoreError::Stale,
        })
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn accept(&self, tenant: &TenantId, accept: Accept) -> Result<Accepted, StoreError> {
        self.write(Write::Accept, self.real.accept(tenant, accept)).await
    }

    fn prepare(&self, tenant: &TenantId, exchange: &ExchangeId, row: &mut AcceptRow) -> Result<(), StoreError> {
        self.real.prepare(tenant, exchange, row)
    }

    async fn held(
        &self,
        tenant: &TenantId,
        subject: &SubjectRef,
        kinds: &[KindName],
    ) -> Result<Option<Held>, StoreError> {
        self.called("held");
        self.real.held(tenant, subject, kinds).await
    }

    async fn note(&self, tenant: &TenantId, note: Note) -> Result<Vec<u64>, StoreError> {
        let directives = usize::from(note.directive.is_some());
        self.called(format!("note of {} leaves, {directives} directives", note.events.len()));
        self.write(Write::Note, self.real.note(tenant, note)).await
    }

    async fn record_directive(
        &self,
        tenant: &TenantId,
        directive: Directive,
        event: AuditEvent,
    ) -> Result<u64, StoreError> {
        self.called("record_directive");
        self.write(Write::RecordDirective, self.real.record_directive(tenant, directive, event)).await
    }

    async fn withdraw_directive(
        &self,
        tenant: &TenantId,
        subject: &SubjectKey,
        id: &DirectiveId,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<u64, StoreError> {
        self.write(Write::WithdrawDirective, self.real.withdraw_directive(tenant, subject, id, at, event)).await
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
        self.write(Write::LinkSubject, self.real.link_subject(tenant, identifier, issuer, sub, link, event)).await
    }

    async fn linked(&self, tenant: &TenantId, issuer: &str, sub: &str) -> Result<Vec<SubjectKey>, StoreError> {
        self.called("linked");
        self.real.linked(tenant, issuer, sub).await
    }

    async fn shred(&self, tenant: &TenantId, subject: &SubjectKey, event: AuditEvent) -> Result<Shredded, StoreError> {
        self.real.shred(tenant, subject, event).await
    }

    async fn exchange(
        &self,
        sender: &ParticipantId,
        id: &ExchangeId,
        page: RowPage,
    ) -> Result<Option<ExchangeView>, StoreError> {
        self.real.exchange(sender, id, page).await
    }

    async fn rejections(
        &self,
        sender: &ParticipantId,
        id: &ExchangeId,
        page: RowPage,
    ) -> Result<Vec<Rejection>, StoreError> {
        self.real.rejections(sender, id, page).await
    }
}

#[async_trait]
impl Outbox for FaultyStore {
    async fn claim_due(&self, tenant: &TenantId, claim: ClaimRequest) -> Result<Vec<Claimed>, StoreError> {
        self.write(Write::ClaimDue, self.real.claim_due(tenant, claim)).await
    }

    async fn settle(
        &self,
        tenant: &TenantId,
        batch: &BatchId,
        settlements: Vec<Settlement>,
    ) -> Result<usize, StoreError> {
        self.write(Write::Settle, self.real.settle(tenant, batch, settlements)).await
    }

    async fn batch(&self, tenant: &TenantId, batch: &BatchId) -> Result<Vec<DeliveryView>, StoreError> {
        self.real.batch(tenant, batch).await
    }

    async fn deliveries(&self, tenant: &TenantId, filter: &DeliveryFilter) -> Result<Vec<DeliveryView>, StoreError> {
        self.real.deliveries(tenant, filter).await
    }

    async fn delivery(&self, tenant: &TenantId, id: &DeliveryId) -> Result<Option<DeliveryView>, StoreError> {
        self.real.delivery(tenant, id).await
    }

    async fn redrive(
        &self,
        tenant: &TenantId,
        id: &DeliveryId,
        now: Timestamp,
        event: AuditEvent,
    ) -> Result<(), StoreError> {
        self.real.redrive(tenant, id, now, event).await
    }
}

#[async_trait]
impl AuditLog for FaultyStore {
    async fn unsealed(&self, tenant: &TenantId, limit: usize) -> Result<Unsealed, StoreError> {
        self.real.unsealed(tenant, limit).await
    }

    async fn append_seal(&self, tenant: &TenantId, checkpoint: Checkpoint) -> Result<(), StoreError> {
        self.write(Write::AppendSeal, self.real.append_seal(tenant, checkpoint)).await
    }

    async fn keep_subtrees(&self, tenant: &TenantId, subtrees: Vec<KeptSubtree>) -> Result<(), StoreError> {
        self.write(Write::KeepSubtrees, self.real.keep_subtrees(tenant, subtrees)).await
    }

    async fn tile(&self, tenant: &TenantId, tile: Tile) -> Result<Vec<Hash>, StoreError> {
        self.real.tile(tenant, tile).await
    }

    async fn index_leaves(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        self.write(Write::IndexLeaves, self.real.index_leaves(tenant)).await
    }

    async fn leaves_of(
        &self,
        tenant: &TenantId,
        of: &LeavesOf,
        below: u64,
        limit: usize,
    ) -> Result<LeafPage, StoreError> {
        self.real.leaves_of(tenant, of, below, limit).await
    }

    async fn audit_page(&self, tenant: &TenantId, from: u64, limit: usize) -> Result<Vec<Leaf>, StoreError> {
        self.real.audit_page(tenant, from, limit).await
    }

    async fn newest_checkpoint(&self, tenant: &TenantId) -> Result<Option<Checkpoint>, StoreError> {
        self.real.newest_checkpoint(tenant).await
    }

    async fn checkpoints(&self, tenant: &TenantId) -> Result<Vec<Checkpoint>, StoreError> {
        self.real.checkpoints(tenant).await
    }

    async fn witnessed(&self, log: &str) -> Result<Option<WitnessedHead>, StoreError> {
        self.real.witnessed(log).await
    }

    async fn witness(
        &self,
        log: &str,
        seen: Option<WitnessedHead>,
        head: WitnessedHead,
        event: AuditEvent,
    ) -> Result<u64, StoreError> {
        self.write(Write::Witness, self.real.witness(log, seen, head, event)).await
    }

    async fn verify(
        &self,
        tenant: &TenantId,
        public_key: &[u8; 32],
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Verdict, StoreError> {
        self.real.verify(tenant, public_key, progress).await
    }
}

#[async_trait]
impl StoreAdmin for FaultyStore {
    async fn migrate(&self) -> Result<(), StoreError> {
        self.real.migrate().await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.real.ready().await
    }

    async fn registry(&self) -> Result<(u64, RegistryEntries), StoreError> {
        self.real.registry().await
    }

    async fn import_registry(&self, entries: RegistryEntries, event: AuditEvent) -> Result<u64, StoreError> {
        self.real.import_registry(entries, event).await
    }

    async fn forget(
        &self,
        tenants: Vec<TenantId>,
        senders: Vec<ParticipantId>,
        event: AuditEvent,
    ) -> Result<u64, StoreError> {
        self.real.forget(tenants, senders, event).await
    }

    async fn exchanges(&self, limit: usize) -> Result<Vec<Exchange>, StoreError> {
        self.real.exchanges(limit).await
    }

    async fn logs(&self) -> Result<Vec<TenantId>, StoreError> {
        self.real.logs().await
    }
    async fn purge(&self, tenant: &TenantId, purge: Purge) -> Result<Purged, StoreError> {
        self.write(Write::Purge, self.real.purge(tenant, purge)).await
    }

    async fn add_coverage(&self, day: Date, coverage: Coverage) -> Result<(), StoreError> {
        self.write(Write::AddCoverage, self.real.add_coverage(day, coverage)).await
    }

    async fn coverage(&self, since: Option<Date>) -> Result<Vec<CoverageLine>, StoreError> {
        self.real.coverage(since).await
    }
}
