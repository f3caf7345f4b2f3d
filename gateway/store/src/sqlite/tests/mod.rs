mod columns;
mod commits;
mod drafts;
mod files;
mod flags;
mod plans;
mod tampering;
mod views;

use std::path::Path;

use tsunagi_core::sensitive::Sensitive;

use super::SqliteStore;
use crate::{Keyring, MasterKey};

fn keyring() -> Keyring {
    Keyring::new(MasterKey::from_bytes(Sensitive::new([0x42; 32])))
}

fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, keyring()).unwrap()
}

mod in_memory {
    crate::store_contract!((super::SqliteStore::open_in_memory(super::keyring()).unwrap(), ()));
}

mod on_file {
    fn make() -> (super::SqliteStore, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (super::open(&folder.path().join("store.db")), folder)
    }

    crate::store_contract!(make());
}
