//! Durable records, outbox and audit log.
//!
//! One set of traits ([`Store`], [`Outbox`], [`AuditLog`], [`StoreAdmin`]), one contract suite, and a backend for each
//! database. Every call is one transaction and is durable when it returns `Ok`; no call discloses or changes
//! anything without an audit event in that same transaction. The tenant is the first argument of whatever touches
//! personal data; there is no query without it.

mod command;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod coordinator;
pub mod copy;
mod error;
mod keys;
#[cfg(feature = "postgres")]
pub mod postgres;
mod recent;
#[cfg(feature = "sqlite")]
pub mod sqlite;
mod tables;
mod traits;

pub use command::{
    Accept, AcceptRow, Accepted, Checkpoint, ClaimRequest, Claimed, DeliveryFilter, Draft, ExchangeHead, ExchangeView,
    Held, Identifier, Intake, KeptSubtree, Leaf, LeafPage, LeavesOf, Link, NewDelivery, NewRecord, Note, Purge,
    PurgePlace, Purged, Rejection, Relationship, Retention, RowPage, SettledState, Settlement, Shredded, SubjectRef,
    Unsealed, Verdict, VerifyFault, WitnessedHead,
};
pub use error::StoreError;
pub use keys::{KeyFault, Keyring, MasterKey};
pub use traits::{AuditLog, Outbox, Storage, Store, StoreAdmin};
