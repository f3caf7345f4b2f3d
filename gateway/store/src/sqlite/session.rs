//! What a command works with: a connection inside a transaction, and keys.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rusqlite::{Connection, OptionalExtension};
use tsunagi_core::id::{KindName, TenantId};

use super::audit::{read_length, write_length};
use super::changes::{Changes, Place};
use super::people::People;
use crate::error::StoreError;
use crate::keys::{Hash, Keyring, TenantKeys};
use crate::tables::{Length, SealedHeld};

/// What all connections of one process have in common.
pub(super) struct Common {
    pub(super) keyring: Keyring,
    pub(super) changes: Changes,
    people: People,
    /// The newest moment at which a leaf was written here, in nanoseconds: one that has passed for certain.
    past: AtomicI64,
}

impl Common {
    pub(super) fn new(keyring: Keyring) -> Self {
        Self { keyring, changes: Changes::new(), people: People::default(), past: AtomicI64::new(i64::MIN) }
    }
}

impl Common {
    /// Forgets what is remembered of people, and the keys it was read with.
    pub(super) fn forget_people(&self) {
        self.people.forget();
        self.keyring.forget_subjects();
    }
}

/// What the commands of one transaction have in common: read once, and where it grew with each of them, written once
/// by [`Batch::close`]. The write lock is held meanwhile, so that nobody else changes it. Of a view: what it shows.
#[derive(Default)]
pub(super) struct Batch {
    known: RefCell<BTreeMap<TenantId, Known>>,
    changed: RefCell<Vec<Place>>,
    /// The newest commit that changed what the running query relies on.
    relied_on: Cell<u64>,
    /// The newest commit of this process that is seen for certain, where nothing is written.
    as_of: Option<u64>,
}

/// A tenant that the transaction has met.
struct Known {
    keys: Arc<TenantKeys>,
    log: Log,
    /// As it was when the running command began.
    before: Log,
}

/// How long a tenant's log is, once it was asked for.
#[derive(Clone, Copy, Default)]
struct Log {
    length: Option<Length>,
    /// True if the length is not written yet.
    is_longer: bool,
}

impl Batch {
    /// What the queries of one view have in common.
    pub(super) fn of_view(commit: u64) -> Self {
        Self { as_of: Some(commit), ..Self::default() }
    }

    /// A command has begun.
    pub(super) fn begin(&self) {
        for known in self.known.borrow_mut().values_mut() {
            known.before = known.log;
        }
    }

    /// The running command is taken back: lengths are what they were, and what it may have made is forgotten.
    pub(super) fn take_back(&self) {
        self.known.borrow_mut().retain(|_, known| {
            known.log = known.before;
            known.log.is_longer
        });
    }

    /// What the commands have changed, as far as lookups rest on it.
    pub(super) fn changed(&self) -> Vec<Place> {
        self.changed.take()
    }

    /// The commit that the query since the last call of this needs to see.
    pub(super) fn relied_on(&self) -> u64 {
        self.relied_on.take()
    }

    /// Writes what is left to be written, before the commit.
    pub(super) fn close(&self, conn: &Connection) -> Result<(), StoreError> {
        for (tenant, known) in self.known.borrow().iter() {
            if let Log { length: Some(length), is_longer: true } = known.log {
                write_length(conn, tenant, &known.keys, length)?;
            }
        }
        Ok(())
    }
}

/// One command's view of the database.
pub(super) struct Session<'c> {
    pub(super) conn: &'c Connection,
    common: &'c Common,
    batch: &'c Batch,
}

/// The part of one tenant. Everything that touches personal data starts from here, so no query is without a tenant.
pub(super) struct Tenancy<'c> {
    pub(super) conn: &'c Connection,
    pub(super) keyring: &'c Keyring,
    pub(super) tenant: TenantId,
    pub(super) keys: Arc<TenantKeys>,
    common: &'c Common,
    batch: &'c Batch,
}

impl<'c> Session<'c> {
    pub(super) fn new(conn: &'c Connection, common: &'c Common, batch: &'c Batch) -> Self {
        Self { conn, common, batch }
    }

    /// A tenant about which something was written before.
    pub(super) fn known(&self, tenant: &TenantId) -> Result<Option<Tenancy<'c>>, StoreError> {
        let met = self.batch.known.borrow().get(tenant).map(|known| Arc::clone(&known.keys));
        if let Some(keys) = met {
            return Ok(Some(self.tenancy(tenant, keys)));
        }
        self.relies_on(tenant.as_str().as_bytes());
        let mut select = self.conn.prepare_cached("SELECT wrapped FROM tenant_keys WHERE tenant = ?1")?;
        let wrapped: Option<Vec<u8>> = select.query_row([tenant.as_str()], |row| row.get(0)).optional()?;
        let Some(wrapped) = wrapped else { return Ok(None) };
        Ok(Some(self.meet(tenant, &wrapped)?))
    }

    /// A tenant to write about; its key is made with the first thing that is written.
    pub(super) fn enter(&self, tenant: &TenantId) -> Result<Tenancy<'c>, StoreError> {
        if let Some(known) = self.known(tenant)? {
            return Ok(known);
        }
        let wrapped = self.common.keyring.make_tenant_key(tenant)?;
        self.conn
            .prepare_cached("INSERT INTO tenant_keys (tenant, wrapped) VALUES (?1, ?2)")?
            .execute((tenant.as_str(), &wrapped))?;
        self.changes(tenant.as_str().as_bytes());
        let made = self.meet(tenant, &wrapped)?;
        // From here on the log is there, if only with no leaf in it: it can be missed.
        write_length(self.conn, tenant, &made.keys, Length::EMPTY)?;
        Ok(made)
    }

    fn meet(&self, tenant: &TenantId, wrapped: &[u8]) -> Result<Tenancy<'c>, StoreError> {
        let keys = self.common.keyring.tenant(tenant, wrapped)?;
        let known = Known { keys: Arc::clone(&keys), log: Log::default(), before: Log::default() };
        self.batch.known.borrow_mut().insert(tenant.clone(), known);
        Ok(self.tenancy(tenant, keys))
    }

    fn tenancy(&self, tenant: &TenantId, keys: Arc<TenantKeys>) -> Tenancy<'c> {
        let Self { conn, common, batch } = self;
        Tenancy { conn, keyring: &common.keyring, tenant: tenant.clone(), keys, common, batch }
    }

    fn relies_on(&self, found_by: &[u8]) {
        let changes = &self.common.changes;
        let commit = changes.newest_in(changes.place(found_by));
        self.batch.relied_on.set(self.batch.relied_on.get().max(commit));
    }

    fn changes(&self, found_by: &[u8]) {
        self.batch.changed.borrow_mut().push(self.common.changes.place(found_by));
    }
}

impl<'c> Tenancy<'c> {
    /// What is found by these bytes is read now, by a query that must see its newest commit.
    pub(super) fn relies_on(&self, found_by: &[u8]) {
        self.session().relies_on(found_by);
    }

    /// What is found by these bytes is changed. Whatever a lookup starts from has to be told here: tenants, identifiers,
    /// sign-ins, records and subjects; all else moves its subject.
    pub(super) fn changes(&self, found_by: &[u8]) {
        self.session().changes(found_by);
    }

    /// What was read of somebody of late, if it still is so.
    pub(super) fn remembered(&self, blind: &Hash, kinds: &[KindName]) -> Option<Arc<SealedHeld>> {
        self.batch.as_of?;
        self.common.people.find(&self.tenant, blind, kinds, &self.common.changes)
    }

    /// Remembers what a view shows of somebody.
    pub(super) fn remember(&self, blind: &Hash, kinds: &[KindName], held: &Arc<SealedHeld>) {
        if let Some(as_of) = self.batch.as_of {
            self.common.people.keep((&self.tenant, blind), kinds, held, (as_of, &self.common.changes));
        }
    }

    fn session(&self) -> Session<'c> {
        Session::new(self.conn, self.common, self.batch)
    }

    /// A moment that has passed for certain: something was written to a log then. Long ago, until something is.
    pub(super) fn past(&self) -> i64 {
        self.common.past.load(Ordering::Relaxed)
    }

    /// This moment has passed.
    pub(super) fn has_passed(&self, nanos: i64) {
        self.common.past.fetch_max(nanos, Ordering::Relaxed);
    }

    pub(super) fn known_length(&self) -> Result<Length, StoreError> {
        let met = self.batch.known.borrow().get(&self.tenant).and_then(|known| known.log.length);
        if let Some(length) = met {
            return Ok(length);
        }
        let length = read_length(self)?;
        if let Some(known) = self.batch.known.borrow_mut().get_mut(&self.tenant) {
            known.log.length = Some(length);
        }
        Ok(length)
    }

    /// The new length counts for the commands after this one and is written with the last.
    pub(super) fn keep_length(&self, length: Length) {
        if let Some(known) = self.batch.known.borrow_mut().get_mut(&self.tenant) {
            known.log = Log { length: Some(length), is_longer: true };
        }
    }
}
