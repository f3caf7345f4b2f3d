//! The promises. Every call is one transaction; `Ok` means durable; `Err(Unavailable)` means that nothing is known
//! to have happened, and the caller may send the same again: every call that writes is safe to repeat.
//! Calls may run at once from any task; a backend orders writes itself.

use async_trait::async_trait;
use jiff::{Timestamp, civil::Date};
use tsunagi_core::audit::AuditEvent;
use tsunagi_core::coverage::{Coverage, CoverageLine};
use tsunagi_core::exchange::{DeliveryView, Exchange};
use tsunagi_core::id::{BatchId, DeliveryId, DirectiveId, ExchangeId, KindName, ParticipantId, TenantId};
use tsunagi_core::merkle::{Hash, Tile};
use tsunagi_core::policy::Directive;
use tsunagi_core::registry::RegistryEntries;

use crate::command::{
    Accept, AcceptRow, Accepted, Checkpoint, ClaimRequest, Claimed, DeliveryFilter, ExchangeView, Held, Identifier,
    KeptSubtree, Leaf, LeafPage, LeavesOf, Link, Note, Purge, Purged, Rejection, RowPage, Settlement, Shredded,
    SubjectRef, Unsealed, Verdict, WitnessedHead,
};
use crate::error::StoreError;

/// Records, directives and receipts.
#[async_trait]
pub trait Store: Send + Sync {
    /// Keeps rows: subject, record version, deliveries, row results, idempotency key and audit leaves, all or nothing.
    ///
    /// The subject is the one that the identifiers name. None known: `new_subject`, or the row waits. Several, or one
    /// who has another identifier of a system that is `single_valued`: the row waits. A subject found gains the
    /// record's other identifiers if the sender may also make subjects; otherwise they are matched and not kept. Equal
    /// business key: a new version; equal content and flag too: [`RowState::Unchanged`], and nothing new is written
    /// but the row and its leaf. Rows that wait for a subject that this call makes known are taken up in the same
    /// transaction, and their row results change from waiting to accepted.
    ///
    /// A row is decided once: a row of this exchange that has its result, in this tenant or another, keeps it. Once an
    /// exchange is complete no row is added to it.
    ///
    /// [`RowState::Unchanged`]: tsunagi_core::exchange::RowState::Unchanged
    async fn accept(&self, tenant: &TenantId, accept: Accept) -> Result<Accepted, StoreError>;

    /// Does the part of [`Store::accept`] that needs no transaction and takes time, so that it can be done while other
    /// rows are being written. Rows that nobody has prepared are accepted as well.
    fn prepare(&self, tenant: &TenantId, exchange: &ExchangeId, row: &mut AcceptRow) -> Result<(), StoreError>;

    /// What is held of a subject. `None` where nobody, or more than one, is named so.
    async fn held(
        &self,
        tenant: &TenantId,
        subject: &SubjectRef,
        kinds: &[KindName],
    ) -> Result<Option<Held>, StoreError>;

    /// Writes events, and the directive that came along; gives the leaves' indexes. `Stale` if the subject moved.
    async fn note(&self, tenant: &TenantId, note: Note) -> Result<Vec<u64>, StoreError>;

    /// Keeps a directive with its event.
    async fn record_directive(
        &self,
        tenant: &TenantId,
        directive: Directive,
        event: AuditEvent,
    ) -> Result<u64, StoreError>;

    /// Withdraws a directive from `at` on, with its event. `NotFound` where the subject has no such directive.
    async fn withdraw_directive(
        &self,
        tenant: &TenantId,
        subject: &tsunagi_core::id::SubjectKey,
        id: &DirectiveId,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<u64, StoreError>;

    /// Links a sign-in to the subject that an identifier names, replacing an earlier link of the same sign-in to the
    /// same subject. `NotFound` where nobody, or more than one, is named so.
    async fn link_subject(
        &self,
        tenant: &TenantId,
        identifier: &Identifier,
        issuer: &str,
        sub: &str,
        link: Link,
        event: AuditEvent,
    ) -> Result<u64, StoreError>;

    /// The subjects that a sign-in is linked to: a parent may act for several children.
    async fn linked(
        &self,
        tenant: &TenantId,
        issuer: &str,
        sub: &str,
    ) -> Result<Vec<tsunagi_core::id::SubjectKey>, StoreError>;

    /// Destroys a subject's data key, with its event: what was encrypted under it, directives and links among it, can be
    /// read by nobody any more. What named the subject goes too, rows that wait with it or were refused with it lose what
    /// they were, and its deliveries end, each with a leaf. The log stays. `NotFound` where there is no such subject, or
    /// none any more.
    async fn shred(
        &self,
        tenant: &TenantId,
        subject: &tsunagi_core::id::SubjectKey,
        event: AuditEvent,
    ) -> Result<Shredded, StoreError>;

    /// The receipt of one of the sender's own exchanges, with a page of its rows.
    async fn exchange(
        &self,
        sender: &ParticipantId,
        id: &ExchangeId,
        page: RowPage,
    ) -> Result<Option<ExchangeView>, StoreError>;

    /// A page of the refused rows of one of the sender's own exchanges, in order; a short one is the last.
    async fn rejections(
        &self,
        sender: &ParticipantId,
        id: &ExchangeId,
        page: RowPage,
    ) -> Result<Vec<Rejection>, StoreError>;
}

/// Deliveries that are not settled yet.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Leases due deliveries, oldest first. A later delivery of a subject on a channel is not claimed while an earlier
    /// one is unsettled, leased, dead or held; those rejected or delivered are settled. Within one claim several of a
    /// subject may come, in order.
    async fn claim_due(&self, tenant: &TenantId, claim: ClaimRequest) -> Result<Vec<Claimed>, StoreError>;

    /// Records attempts, each with its event, and ends their leases. Deliveries that are settled already, or that are
    /// no longer leased under `batch`, are passed over; the answer is how many were settled by this call.
    async fn settle(
        &self,
        tenant: &TenantId,
        batch: &BatchId,
        settlements: Vec<Settlement>,
    ) -> Result<usize, StoreError>;

    /// The deliveries leased under a batch, in the order they were claimed.
    async fn batch(&self, tenant: &TenantId, batch: &BatchId) -> Result<Vec<DeliveryView>, StoreError>;

    /// Deliveries, newest first.
    async fn deliveries(&self, tenant: &TenantId, filter: &DeliveryFilter) -> Result<Vec<DeliveryView>, StoreError>;

    /// One delivery.
    async fn delivery(&self, tenant: &TenantId, id: &DeliveryId) -> Result<Option<DeliveryView>, StoreError>;

    /// Puts a dead or held delivery back with a fresh schedule, with its event. `NotFound` where there is none such.
    async fn redrive(
        &self,
        tenant: &TenantId,
        id: &DeliveryId,
        now: Timestamp,
        event: AuditEvent,
    ) -> Result<(), StoreError>;
}

/// The per-tenant Merkle logs (RFC 6962 hashing).
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// What has to be sealed next, at most `limit` leaves.
    async fn unsealed(&self, tenant: &TenantId, limit: usize) -> Result<Unsealed, StoreError>;

    /// Appends a checkpoint. `Stale` if another of the same or a larger size is there.
    async fn append_seal(&self, tenant: &TenantId, checkpoint: Checkpoint) -> Result<(), StoreError>;

    /// Keeps roots of complete subtrees, in the order in which leaves complete them; what is kept already may come again.
    /// They are kept before the checkpoint over them is appended. The other call without an event: they are worked out
    /// from the leaves, and say nothing that those do not.
    async fn keep_subtrees(&self, tenant: &TenantId, subtrees: Vec<KeptSubtree>) -> Result<(), StoreError>;

    /// The hashes of a tile, as many as there are: on level 0 of leaves, sealed or not, above it of kept subtrees.
    async fn tile(&self, tenant: &TenantId, tile: Tile) -> Result<Vec<Hash>, StoreError>;

    /// Leaves in order, from an index on.
    async fn audit_page(&self, tenant: &TenantId, from: u64, limit: usize) -> Result<Vec<Leaf>, StoreError>;

    /// Looks through the next sealed leaves for whom they tell of, so that [`AuditLog::leaves_of`] finds them; false if
    /// there are too few to begin with. Goes on where it ended, in this process or another. Like
    /// [`AuditLog::keep_subtrees`] without an event: it says nothing that the leaves do not.
    async fn index_leaves(&self, tenant: &TenantId) -> Result<bool, StoreError>;

    /// The leaves that tell of somebody, of those below an index, newest first, sealed or not, at most `limit`.
    async fn leaves_of(
        &self,
        tenant: &TenantId,
        of: &LeavesOf,
        below: u64,
        limit: usize,
    ) -> Result<LeafPage, StoreError>;

    /// The newest checkpoint.
    async fn newest_checkpoint(&self, tenant: &TenantId) -> Result<Option<Checkpoint>, StoreError>;

    /// The checkpoints, oldest first.
    async fn checkpoints(&self, tenant: &TenantId) -> Result<Vec<Checkpoint>, StoreError>;

    /// The head of somebody else's log that was cosigned last; `log` is a name that no other log has.
    async fn witnessed(&self, log: &str) -> Result<Option<WitnessedHead>, StoreError>;

    /// Replaces it, with the event in the hub's log. `Stale` unless `seen` is still the one that was cosigned last.
    async fn witness(
        &self,
        log: &str,
        seen: Option<WitnessedHead>,
        head: WitnessedHead,
        event: AuditEvent,
    ) -> Result<u64, StoreError>;

    /// Re-reads the whole log: every leaf against its own seal, every checkpoint against the leaves and the public key,
    /// (Ed25519, 32 bytes).
    /// `progress` is called with the number of leaves read so far.
    async fn verify(
        &self,
        tenant: &TenantId,
        public_key: &[u8; 32],
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Verdict, StoreError>;
}

/// What the operator does.
#[async_trait]
pub trait StoreAdmin: Send + Sync {
    /// Brings the tables up to this version; safe to call at every start. `Corrupt` under another master key than the
    /// one the store was made with.
    async fn migrate(&self) -> Result<(), StoreError>;

    /// Succeeds if a write would, and if the master key is the one this store was made with.
    async fn ready(&self) -> Result<(), StoreError>;

    /// The registry and its version, which grows with every import.
    async fn registry(&self) -> Result<(u64, RegistryEntries), StoreError>;

    /// Adds or replaces entries, with an event in the hub's log.
    async fn import_registry(&self, entries: RegistryEntries, event: AuditEvent) -> Result<u64, StoreError>;

    /// Takes away everything about the people of tenants that the registry does not have, and the exchanges of senders
    /// that it does not have, with one event in the hub's log; gives how many rows that were. What is left of such a
    /// tenant is its audit log with the key that vouches for it. `Stale` where the registry has one of them: what
    /// belongs to somebody is not to be removed like this.
    async fn forget(
        &self,
        tenants: Vec<TenantId>,
        senders: Vec<ParticipantId>,
        event: AuditEvent,
    ) -> Result<u64, StoreError>;

    /// Exchanges of all senders, newest first.
    async fn exchanges(&self, limit: usize) -> Result<Vec<Exchange>, StoreError>;

    /// Every tenant of whose audit log there is any trace, whether the registry knows it or not; the hub among them.
    async fn logs(&self) -> Result<Vec<TenantId>, StoreError>;

    /// Removes a piece of what is over in one tenant, with an event that counts it, and says where the next one begins.
    /// The newest version of a record goes after all others of it. What belongs to a delivery that has not ended stays,
    /// and so does a record that hides its subject, while there is another it hides.
    async fn purge(&self, tenant: &TenantId, purge: Purge) -> Result<Purged, StoreError>;

    /// Adds to what was counted on a day. The one call without an event, for nothing in it is about anybody; and the
    /// one that counts twice when it is repeated, for it is there to rank by, not to prove with.
    async fn add_coverage(&self, day: Date, coverage: Coverage) -> Result<(), StoreError>;

    /// What was counted from a day on, over all days; what holds up the most rows comes first.
    async fn coverage(&self, since: Option<Date>) -> Result<Vec<CoverageLine>, StoreError>;
}

/// All of it; what the gateway holds.
pub trait Storage: Store + Outbox + AuditLog + StoreAdmin {}

impl<T: Store + Outbox + AuditLog + StoreAdmin> Storage for T {}
