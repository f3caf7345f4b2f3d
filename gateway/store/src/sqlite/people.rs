//! What was read of people of late, as it is stored: encrypted. Whoever was asked about a moment ago is often asked about
//! again: before the visit, at the desk, and when the visit is written down.

use std::sync::{Arc, Mutex, PoisonError};

use tsunagi_core::id::{KindName, TenantId};

use super::changes::Changes;
use crate::keys::Hash;
use crate::recent::Recent;
use crate::tables::SealedHeld;

/// A bounded cache. What is found here was true at the newest commit that changed anything of it, as far as this process
/// can know; whoever discloses by it has the subject's version checked once more.
pub(super) struct People {
    recent: Mutex<Recent<(TenantId, Hash), Remembered>>,
}

struct Remembered {
    kinds: Box<[KindName]>,
    held: Arc<SealedHeld>,
    /// The newest commit that it is certain to show.
    as_of: u64,
}

impl Remembered {
    /// True if no commit since has changed anything of it.
    fn holds(&self, blind: &Hash, changes: &Changes) -> bool {
        let subject = self.held.subject.key.as_str().as_bytes();
        let newest = changes.newest_in(changes.place(blind)).max(changes.newest_in(changes.place(subject)));
        newest <= self.as_of
    }
}

impl Default for People {
    fn default() -> Self {
        Self { recent: Mutex::new(Recent::new(HALF_BYTES)) }
    }
}

impl People {
    /// What is held of the one who is named so, if that was read for the same kinds and has not changed since.
    pub(super) fn find(
        &self,
        tenant: &TenantId,
        blind: &Hash,
        kinds: &[KindName],
        changes: &Changes,
    ) -> Option<Arc<SealedHeld>> {
        let key = (tenant.clone(), *blind);
        let found = self.recent.lock().unwrap_or_else(PoisonError::into_inner).find(&key)?;
        (*found.kinds == *kinds && found.holds(blind, changes)).then(|| Arc::clone(&found.held))
    }

    /// Forgets everybody.
    pub(super) fn forget(&self) {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Keeps what a view shows, unless it has changed since: whoever is forgotten is not brought back by a view of before.
    pub(super) fn keep(
        &self,
        (tenant, blind): (&TenantId, &Hash),
        kinds: &[KindName],
        held: &Arc<SealedHeld>,
        (as_of, changes): (u64, &Changes),
    ) {
        let bytes = held.bytes();
        if bytes <= MOST_BYTES_EACH {
            let remembered = Remembered { kinds: kinds.into(), held: Arc::clone(held), as_of };
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if remembered.holds(blind, changes) {
                recent.keep((tenant.clone(), *blind), Arc::new(remembered), bytes);
            }
        }
    }
}

/// Half of what may stand in memory: some twenty thousand people with a record and a directive each, in all.
const HALF_BYTES: usize = 32 * 1024 * 1024;
/// Of one person: more is kept by nobody but those who would push out all others.
const MOST_BYTES_EACH: usize = 64 * 1024;
