//! Copies between a file and a server.
#![cfg(all(feature = "postgres", feature = "sqlite"))]

mod dump;
mod given;
mod interrupted;
mod refused;
mod whole;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tsunagi_core::sensitive::Sensitive;

use super::run::{Watch, in_pages_of};
use super::{Copied, CopyFault, End, Site};
use crate::contract::given::{Shared, signer};
use crate::contract::server::Place;
use crate::postgres::{PostgresStore, Server};
use crate::sqlite::SqliteStore;
use crate::{Keyring, MasterKey};

/// Where a test's store is.
#[derive(Clone, Copy)]
enum At<'a> {
    File(&'a Path),
    Server(&'a Place),
}

impl At<'_> {
    fn end(self) -> End {
        let site = match self {
            At::File(path) => Site::File(path.to_owned()),
            At::Server(place) => Site::Server(place.server()),
        };
        End { site, keyring: keyring(0x42) }
    }

    async fn open(self) -> Shared {
        match self {
            At::File(path) => Arc::new(SqliteStore::open(path, keyring(0x42)).unwrap()),
            At::Server(place) => Arc::new(PostgresStore::open(&place.server(), keyring(0x42)).await.unwrap()),
        }
    }

    async fn refuses_to_open(self) {
        let error = match self {
            At::File(path) => SqliteStore::open(path, keyring(0x42)).unwrap_err(),
            At::Server(place) => PostgresStore::open(&place.server(), keyring(0x42)).await.unwrap_err(),
        };
        assert!(error.to_string().contains("unfinished copy"), "{error}");
    }
}

fn keyring(key: u8) -> Keyring {
    Keyring::new(MasterKey::from_bytes(Sensitive::new([key; 32])))
}

/// A copy that nobody watches, in pages of so many rows.
async fn copy(rows: i64, from: At<'_>, to: At<'_>) -> Result<Copied, CopyFault> {
    copy_until(rows, from, to, &|_| true).await
}

async fn copy_until(rows: i64, from: At<'_>, to: At<'_>, watch: &Watch<'_>) -> Result<Copied, CopyFault> {
    in_pages_of(rows, from.end(), to.end(), &signer().public_key(), watch).await
}

async fn run_with(from: End, to: End) -> Result<Copied, CopyFault> {
    in_pages_of(1000, from, to, &signer().public_key(), &|_| true).await
}

/// An end whose server does not wait for others to go.
fn impatient(at: At<'_>) -> End {
    match at.end() {
        End { site: Site::Server(server), keyring } => {
            let connect_timeout = Duration::from_millis(300);
            End { site: Site::Server(Server { connect_timeout, ..server }), keyring }
        }
        file => file,
    }
}

/// A database of the test's own; ends the test where there is no server.
macro_rules! server {
    () => {{
        let Some(place) = crate::contract::server::Place::database().await else { return };
        place
    }};
}
use server;
