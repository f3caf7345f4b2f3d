mod columns;
mod faults;
mod migrations;
mod nodes;
mod wall;

use tsunagi_core::sensitive::Sensitive;

use super::PostgresStore;
use crate::contract::server::Place;
use crate::{Keyring, MasterKey};

fn keyring() -> Keyring {
    Keyring::new(MasterKey::from_bytes(Sensitive::new([0x42; 32])))
}

async fn open(place: &Place) -> PostgresStore {
    PostgresStore::open(&place.server(), keyring()).await.unwrap()
}

/// A fresh store and its place; ends the test where there is no server.
macro_rules! fresh {
    () => {{
        let Some(place) = crate::contract::server::Place::schema().await else { return };
        (crate::postgres::tests::open(&place).await, place)
    }};
}
use fresh;

mod contract {
    crate::store_contract!(super::fresh!());
}
