//! What was changed when. A reader goes on with the state of the database that it has open until something it relies on
//! was changed: SQLite forgets every page it has read as soon as a reader opens a newer state, and most commits are
//! leaves alone, on which no lookup rests. In the same way it is told whether what was read earlier still holds.

use std::hash::{DefaultHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

/// The commits of this process. What another process has committed comes to light with the next commit here, before
/// which nothing that rests on older knowledge is disclosed: see [`crate::Store::note`].
pub(super) struct Changes {
    newest: AtomicU64,
    /// The newest commit before which another process may have changed anything.
    others: AtomicU64,
    /// The newest commit that changed something which has its place here. Two things may share a place: then a reader
    /// opens a newer state for nothing.
    places: Box<[AtomicU64]>,
}

/// Where a thing has its place.
#[derive(Clone, Copy)]
pub(super) struct Place(usize);

impl Changes {
    pub(super) fn new() -> Self {
        Self {
            newest: AtomicU64::new(0),
            others: AtomicU64::new(0),
            places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The place of what is found by these bytes: a keyed hash, a mark or a name.
    pub(super) fn place(&self, of: &[u8]) -> Place {
        let mut hasher = DefaultHasher::new();
        hasher.write(of);
        // The remainder is less than `PLACES`.
        Place(usize::try_from(hasher.finish() % PLACES).unwrap_or(0))
    }

    /// The newest commit: whoever opens the database's state after this was read sees it.
    pub(super) fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// The newest commit that changed something in this place.
    pub(super) fn newest_in(&self, place: Place) -> u64 {
        let here = self.places.get(place.0).map_or(u64::MAX, |place| place.load(Ordering::Acquire));
        here.max(self.others.load(Ordering::Acquire))
    }

    /// A transaction that has changed these is committed. Called by the one thread that writes, before anybody is told.
    pub(super) fn committed(&self, changed: &[Place]) {
        // First of all: whoever sees a place changed and opens a newer state finds that it is new enough.
        let commit = self.newest.fetch_add(1, Ordering::AcqRel) + 1;
        for place in changed.iter().filter_map(|place| self.places.get(place.0)) {
            place.store(commit, Ordering::Release);
        }
    }

    /// Another process has committed, and may have changed anything.
    pub(super) fn others_committed(&self) {
        let commit = self.newest.fetch_add(1, Ordering::AcqRel) + 1;
        self.others.store(commit, Ordering::Release);
    }
}

/// 64 KiB: a thousand changes between two states of a reader let one lookup in eight open a newer one for nothing.
const PLACES: u64 = 8192;
