//! The store itself: where each call goes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{Timestamp, civil::Date};
use rusqlite::Connection;
use tsunagi_core::audit::AuditEvent;
use tsunagi_core::coverage::{Coverage, CoverageLine};
use tsunagi_core::exchange::{DeliveryView, Exchange};
use tsunagi_core::id::{BatchId, DeliveryId, DirectiveId, ExchangeId, KindName, ParticipantId, SubjectKey, TenantId};
use tsunagi_core::merkle::{Hash, Tile};
use tsunagi_core::policy::Directive;
use tsunagi_core::registry::RegistryEntries;

use super::committer::Committer;
use super::readers::{BUSY, Readers, prepare_once};
use super::session::{Batch, Common, Session};
use super::{
    accept, admin, audit, coverage, directives, exchanges, forget, held, links, migrate, outbox, retention, shred,
    trail, verify, wal, witness,
};
use crate::command::{
    Accept, AcceptRow, Accepted, Checkpoint, ClaimRequest, Claimed, DeliveryFilter, ExchangeView, Held, Identifier,
    KeptSubtree, Leaf, LeafPage, LeavesOf, Link, Note, Purge, Purged, Rejection, RowPage, Settlement, Shredded,
    SubjectRef, Unsealed, Verdict, WitnessedHead,
};
use crate::error::StoreError;
use crate::keys::Keyring;
use crate::tables::{self, Check, Finding, LeafContent, SEGMENT, Segment};
use crate::traits::{AuditLog, Outbox, Store, StoreAdmin};

/// The embedded store. Its calls need a tokio runtime. Dropping it finishes the commands that are waiting.
pub struct SqliteStore {
    // Closed before the writer, so that the writer's connection is the last one and leaves no WAL behind.
    readers: Option<Arc<Readers>>,
    committer: Committer,
    common: Arc<Common>,
}

impl SqliteStore {
    /// Opens a database file, or makes it. A new file gets its tables at once; an older one is left as it is until
    /// [`StoreAdmin::migrate`]; one that a newer release has written, or that was made with another master key, is
    /// refused.
    pub fn open(path: &Path, keyring: Keyring) -> Result<Self, StoreError> {
        let conn = connect(path)?;
        migrate::refuse_unfinished(&conn)?;
        Self::with_readers(path, conn, Arc::new(Common::new(keyring)))
    }

    /// Opens a copy before it is said to be whole.
    pub(super) fn open_unfinished(path: &Path, common: Arc<Common>) -> Result<Self, StoreError> {
        Self::with_readers(path, connect(path)?, common)
    }

    /// Opens a store that ends with this value.
    pub fn open_in_memory(keyring: Keyring) -> Result<Self, StoreError> {
        Self::start(Connection::open_in_memory()?, Arc::new(Common::new(keyring)), None)
    }

    /// How many write transactions were committed since the store was opened. Under load it grows more slowly than
    /// the number of calls: they share transactions.
    pub fn commits(&self) -> u64 {
        self.committer.commits()
    }

    fn with_readers(path: &Path, conn: Connection, common: Arc<Common>) -> Result<Self, StoreError> {
        let readers = Readers::new(path.to_path_buf(), Arc::clone(&common));
        Self::start(conn, common, Some(Arc::new(readers)))
    }

    pub(super) fn start(
        conn: Connection,
        common: Arc<Common>,
        readers: Option<Arc<Readers>>,
    ) -> Result<Self, StoreError> {
        conn.execute_batch("PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;")?;
        // What a command that fails would have to take back is small, and nothing of it belongs into a file of its own.
        conn.execute_batch("PRAGMA temp_store = MEMORY;")?;
        // In KiB. Large enough that the upper pages of every index stay in memory between two transactions.
        conn.execute_batch("PRAGMA cache_size = -16384;")?;
        prepare_once(&conn)?;
        if migrate::refuse_newer(&conn)? == 0 {
            conn.execute_batch("BEGIN IMMEDIATE")?;
            let batch = Batch::default();
            migrate::migrate(&Session::new(&conn, &common, &batch))?;
            batch.close(&conn)?;
            conn.execute_batch("COMMIT")?;
        }
        migrate::check_master_key(&Session::new(&conn, &common, &Batch::default()))?;
        let committer = Committer::start(conn, Arc::clone(&common), readers.as_ref().map(Arc::downgrade))?;
        Ok(Self { readers, committer, common })
    }

    pub(super) async fn write<T, F>(&self, command: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.committer.write(command).await
    }

    pub(super) async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        match &self.readers {
            Some(readers) => readers.read(query).await,
            // A database in memory belongs to its one connection.
            None => self.committer.read(query).await,
        }
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let conn = Connection::open(path)?;
    conn.busy_timeout(BUSY)?;
    conn.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    Ok(conn)
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("commits", &self.commits()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn accept(&self, tenant: &TenantId, mut accept: Accept) -> Result<Accepted, StoreError> {
        for row in &mut accept.rows {
            self.prepare(tenant, &accept.head.id, row)?;
        }
        let tenant = tenant.clone();
        self.write(move |session| accept::accept(session, &tenant, accept)).await
    }

    fn prepare(&self, tenant: &TenantId, exchange: &ExchangeId, row: &mut AcceptRow) -> Result<(), StoreError> {
        let (Some(readers), None) = (&self.readers, &row.draft) else { return Ok(()) };
        let keys = readers.look(|session| Ok(session.known(tenant)?.map(|tenancy| tenancy.keys)))?;
        // A tenant of which nothing was written yet gets its keys in the transaction.
        keys.map_or(Ok(()), |keys| tables::prepare(&self.common.keyring, &keys, exchange, row))
    }

    async fn held(
        &self,
        tenant: &TenantId,
        subject: &SubjectRef,
        kinds: &[KindName],
    ) -> Result<Option<Held>, StoreError> {
        match &self.readers {
            Some(readers) => readers.look(|session| held::held(session, tenant, subject, kinds)),
            None => {
                let (tenant, subject, kinds) = (tenant.clone(), subject.clone(), kinds.to_vec());
                self.read(move |session| held::held(session, &tenant, &subject, &kinds)).await
            }
        }
    }

    async fn note(&self, tenant: &TenantId, note: Note) -> Result<Vec<u64>, StoreError> {
        let tenant = tenant.clone();
        let contents = note.events.iter().map(LeafContent::of).collect::<Result<Vec<_>, _>>()?;
        let makes_a_directive = note.directive.is_some();
        // What was noted comes back, to be dropped by whoever asked: memory that the writing thread frees is slow to be
        // had again by the one that it came from, and that thread has others to serve.
        let command = move |session: &Session<'_>| {
            let leaves = directives::note(session, &tenant, &note, &contents)?;
            Ok((leaves, (tenant, note, contents)))
        };
        let noted = match makes_a_directive {
            true => self.committer.write(command).await,
            false => self.committer.append(command).await,
        };
        Ok(noted?.0)
    }

    async fn record_directive(
        &self,
        tenant: &TenantId,
        directive: Directive,
        event: AuditEvent,
    ) -> Result<u64, StoreError> {
        let tenant = tenant.clone();
        self.write(move |session| directives::record(session, &tenant, &directive, &event)).await
    }

    async fn withdraw_directive(
        &self,
        tenant: &TenantId,
        subject: &SubjectKey,
        id: &DirectiveId,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<u64, StoreError> {
        let (tenant, subject, id) = (tenant.clone(), subject.clone(), id.clone());
        self.write(move |session| directives::withdraw(session, &tenant, &subject, &id, at, &event)).await
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
        let (tenant, identifier) = (tenant.clone(), identifier.clone());
        let (issuer, sub) = (issuer.to_owned(), sub.to_owned());
        self.write(move |session| links::link_subject(session, &tenant, &identifier, (&issuer, &sub), &link, event))
            .await
    }

    async fn linked(&self, tenant: &TenantId, issuer: &str, sub: &str) -> Result<Vec<SubjectKey>, StoreError> {
        match &self.readers {
            Some(readers) => readers.look(|session| links::linked(session, tenant, (issuer, sub))),
            None => {
                let (tenant, issuer, sub) = (tenant.clone(), issuer.to_owned(), sub.to_owned());
                self.read(move |session| links::linked(session, &tenant, (&issuer, &sub))).await
            }
        }
    }

    async fn shred(&self, tenant: &TenantId, subject: &SubjectKey, event: AuditEvent) -> Result<Shredded, StoreError> {
        let (tenant, subject) = (tenant.clone(), subject.clone());
        let done = self.write(move |session| shred::shred(session, &tenant, &subject, &event)).await?;
        // It is destroyed; what is left are copies of how it was: in memory, and in pages of the write-ahead log.
        self.common.forget_people();
        if let Some(readers) = &self.readers {
            readers.close_views();
        }
        let log_is_empty = self.committer.read(|session| wal::empty(session.conn)).await?;
        Ok(Shredded { log_is_empty, ..done })
    }

    async fn exchange(
        &self,
        sender: &ParticipantId,
        id: &ExchangeId,
        page: RowPage,
    ) -> Result<Option<ExchangeView>, StoreError> {
        let (sender, id) = (sender.clone(), id.clone());
        self.read(move |session| exchanges::view(session, &sender, &id, page)).await
    }

    async fn rejections(
        &self,
        sender: &ParticipantId,
        id: &ExchangeId,
        page: RowPage,
    ) -> Result<Vec<Rejection>, StoreError> {
        let (sender, id) = (sender.clone(), id.clone());
        self.read(move |session| exchanges::rejections(session, &sender, &id, page)).await
    }
}

#[async_trait]
impl Outbox for SqliteStore {
    async fn claim_due(&self, tenant: &TenantId, claim: ClaimRequest) -> Result<Vec<Claimed>, StoreError> {
        let (for_write, for_read) = (tenant.clone(), tenant.clone());
        let batch = claim.batch.clone();
        self.write(move |session| outbox::claim(session, &for_write, &claim)).await?;
        // Decrypting is left to a reader: the writer has others to serve. The subject's version that is read here is
        // checked again when the disclosure is noted.
        self.read(move |session| outbox::claimed(session, &for_read, &batch)).await
    }

    async fn settle(
        &self,
        tenant: &TenantId,
        batch: &BatchId,
        settlements: Vec<Settlement>,
    ) -> Result<usize, StoreError> {
        let (tenant, batch) = (tenant.clone(), batch.clone());
        self.write(move |session| outbox::settle(session, &tenant, &batch, &settlements)).await
    }

    async fn batch(&self, tenant: &TenantId, batch: &BatchId) -> Result<Vec<DeliveryView>, StoreError> {
        let (tenant, batch) = (tenant.clone(), batch.clone());
        self.read(move |session| outbox::of_batch(session, &tenant, &batch)).await
    }

    async fn deliveries(&self, tenant: &TenantId, filter: &DeliveryFilter) -> Result<Vec<DeliveryView>, StoreError> {
        let (tenant, filter) = (tenant.clone(), filter.clone());
        self.read(move |session| outbox::list(session, &tenant, &filter)).await
    }

    async fn delivery(&self, tenant: &TenantId, id: &DeliveryId) -> Result<Option<DeliveryView>, StoreError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.read(move |session| outbox::one(session, &tenant, &id)).await
    }

    async fn redrive(
        &self,
        tenant: &TenantId,
        id: &DeliveryId,
        now: Timestamp,
        event: AuditEvent,
    ) -> Result<(), StoreError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.write(move |session| outbox::redrive(session, &tenant, &id, now, &event)).await
    }
}

#[async_trait]
impl AuditLog for SqliteStore {
    async fn unsealed(&self, tenant: &TenantId, limit: usize) -> Result<Unsealed, StoreError> {
        let tenant = tenant.clone();
        self.read(move |session| audit::unsealed(session, &tenant, limit)).await
    }

    async fn append_seal(&self, tenant: &TenantId, checkpoint: Checkpoint) -> Result<(), StoreError> {
        let tenant = tenant.clone();
        self.write(move |session| audit::append_seal(session, &tenant, &checkpoint)).await
    }

    async fn keep_subtrees(&self, tenant: &TenantId, subtrees: Vec<KeptSubtree>) -> Result<(), StoreError> {
        let tenant = tenant.clone();
        self.write(move |session| audit::keep_subtrees(session, &tenant, &subtrees)).await
    }

    async fn tile(&self, tenant: &TenantId, tile: Tile) -> Result<Vec<Hash>, StoreError> {
        let tenant = tenant.clone();
        self.read(move |session| audit::tile(session, &tenant, tile)).await
    }

    async fn audit_page(&self, tenant: &TenantId, from: u64, limit: usize) -> Result<Vec<Leaf>, StoreError> {
        let tenant = tenant.clone();
        self.read(move |session| audit::page(session, &tenant, from, limit)).await
    }

    async fn index_leaves(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        let of = tenant.clone();
        let Some(number) = self.read(move |session| trail::next(session, &of)).await? else { return Ok(false) };
        let mut segment = Segment::default();
        for piece in 0..SEGMENT / PIECE {
            let (of, piece) = (tenant.clone(), piece * PIECE..(piece + 1) * PIECE);
            segment.join(self.read(move |session| trail::read(session, &of, number, piece)).await?);
            // Nobody waits for the index, and everybody for an answer: read in one go, a segment would take one of two
            // cores for a tenth of a second.
            tokio::time::sleep(BREATH).await;
        }
        let (of, made) = (tenant.clone(), (number, segment.into_buckets()));
        self.write(move |session| trail::keep(session, &of, &made)).await?;
        Ok(true)
    }

    async fn leaves_of(
        &self,
        tenant: &TenantId,
        of: &LeavesOf,
        below: u64,
        limit: usize,
    ) -> Result<LeafPage, StoreError> {
        let (tenant, of) = (tenant.clone(), of.clone());
        self.read(move |session| trail::leaves_of(session, &tenant, &of, below, limit)).await
    }

    async fn newest_checkpoint(&self, tenant: &TenantId) -> Result<Option<Checkpoint>, StoreError> {
        let tenant = tenant.clone();
        self.read(move |session| audit::newest_checkpoint(session, &tenant)).await
    }

    async fn checkpoints(&self, tenant: &TenantId) -> Result<Vec<Checkpoint>, StoreError> {
        let tenant = tenant.clone();
        self.read(move |session| audit::checkpoints(session, &tenant)).await
    }

    async fn witnessed(&self, log: &str) -> Result<Option<WitnessedHead>, StoreError> {
        let log = log.to_owned();
        self.read(move |session| witness::witnessed(session, &log)).await
    }

    async fn witness(
        &self,
        log: &str,
        seen: Option<WitnessedHead>,
        head: WitnessedHead,
        event: AuditEvent,
    ) -> Result<u64, StoreError> {
        let log = log.to_owned();
        self.write(move |session| witness::witness(session, &log, seen, head, &event)).await
    }

    async fn verify(
        &self,
        tenant: &TenantId,
        public_key: &[u8; 32],
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Verdict, StoreError> {
        let of = tenant.clone();
        let said = self.read(move |session| verify::said(session, &of)).await?;
        let mut check = Check::begin(tenant, *public_key, said)?;
        loop {
            let (of, from, end) = (tenant.clone(), check.read(), check.last());
            let leaves = self.read(move |session| verify::page(session, &of, from, end)).await?;
            if leaves.is_empty() {
                break;
            }
            for leaf in leaves {
                let fault = match check.leaf(leaf) {
                    None => continue,
                    Some(Finding::Fault(fault)) => fault,
                    Some(Finding::Stranger(stranger)) => {
                        let of = tenant.clone();
                        self.read(move |session| verify::explain(session, &of, &stranger)).await?
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
impl StoreAdmin for SqliteStore {
    async fn migrate(&self) -> Result<(), StoreError> {
        self.write(migrate::migrate).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.write(admin::ready).await
    }

    async fn registry(&self) -> Result<(u64, RegistryEntries), StoreError> {
        self.read(admin::registry).await
    }

    async fn import_registry(&self, entries: RegistryEntries, event: AuditEvent) -> Result<u64, StoreError> {
        self.write(move |session| admin::import(session, &entries, &event)).await
    }

    async fn forget(
        &self,
        tenants: Vec<TenantId>,
        senders: Vec<ParticipantId>,
        event: AuditEvent,
    ) -> Result<u64, StoreError> {
        self.write(move |session| forget::forget(session, &tenants, &senders, &event)).await
    }

    async fn exchanges(&self, limit: usize) -> Result<Vec<Exchange>, StoreError> {
        self.read(move |session| exchanges::list(session, limit)).await
    }

    async fn logs(&self) -> Result<Vec<TenantId>, StoreError> {
        self.read(audit::logs).await
    }

    async fn purge(&self, tenant: &TenantId, purge: Purge) -> Result<Purged, StoreError> {
        let tenant = tenant.clone();
        let is_rehearsal = purge.is_rehearsal;
        let command = move |session: &Session<'_>| retention::purge(session, &tenant, &purge);
        if is_rehearsal { self.read(command).await } else { self.write(command).await }
    }

    async fn add_coverage(&self, day: Date, coverage: Coverage) -> Result<(), StoreError> {
        self.write(move |session| coverage::add(session, day, &coverage)).await
    }

    async fn coverage(&self, since: Option<Date>) -> Result<Vec<CoverageLine>, StoreError> {
        self.read(move |session| coverage::list(session, since)).await
    }
}

/// How many leaves are read at once to be indexed, a part of a segment, and how long others have the processor then.
const PIECE: u64 = 512;
const BREATH: Duration = Duration::from_millis(10);
const _: () = assert!(SEGMENT.is_multiple_of(PIECE), "a rest of a segment would be left out");
