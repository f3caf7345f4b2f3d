//! The certificates of the test: of the hub's own CA, for a day at most, in a folder that goes away, and revoked when the
//! test is over.

use std::path::Path;

use tempfile::TempDir;
use tsunagi_certs::{Authority, Holder, Order, Reason};
use tsunagi_store::Storage;

use super::HOLDERS;
use crate::clock::Clock;
use crate::commands::CommandFault;
use crate::commands::certs::leaves;
use crate::commands::init::{failed, write_pair};

/// They are revoked within seconds; if the test is killed, they end by themselves.
const DAYS: u32 = 1;

/// Certificates with their keys, on disk for as long as this is kept.
pub struct Certificates {
    folder: TempDir,
    serials: Vec<String>,
}

impl Certificates {
    /// Issues one to everybody who plays, and one to the test's own edge. Each has its leaf before it is there.
    pub async fn issue(authority: &mut Authority, store: &dyn Storage, clock: &Clock) -> Result<Self, CommandFault> {
        let mut made = Self { folder: tempfile::tempdir()?, serials: Vec::new() };
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let holders = HOLDERS.iter().map(|id| (*id, Holder::Participant(id)));
        for (name, holder) in holders.chain([("server", Holder::Server(&names))]) {
            let now = clock.now();
            let prepared = authority.prepare(&Order { holder, csr: None, days: DAYS }, now.as_second());
            let prepared = prepared.map_err(failed)?;
            made.serials.push(prepared.entry().serial.clone());
            leaves::write(store, vec![leaves::issued(prepared.entry(), now)]).await?;
            let issued = authority.record(prepared).map_err(failed)?;
            write_pair(made.folder.path(), name, &issued)?;
        }
        Ok(made)
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Revokes them all, whatever came of one of them, and removes the keys.
    pub async fn revoke(
        self,
        authority: &mut Authority,
        store: &dyn Storage,
        clock: &Clock,
    ) -> Result<usize, CommandFault> {
        let (mut events, mut outcome) = (Vec::new(), Ok(()));
        for serial in &self.serials {
            let now = clock.now();
            let reason = Reason::CessationOfOperation;
            let revoked = authority.revoke(serial, reason, now.as_second()).map_err(failed);
            let told = revoked.and_then(|()| {
                let entry = authority.entry(serial).map_err(failed)?;
                leaves::revoked(authority, &entry, reason, now)
            });
            match told {
                Ok(event) => events.push(event),
                Err(fault) => outcome = Err(fault),
            }
        }
        leaves::write(store, events).await?;
        self.folder.close()?;
        outcome.map(|()| self.serials.len())
    }
}
