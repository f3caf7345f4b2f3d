//! The embedded backend: one SQLite file in WAL mode, `synchronous=FULL`.
//!
//! One thread owns the connection that writes. It takes what is waiting, runs each command so that it can be taken back
//! alone, commits them all at once and then answers: under load the cost of one `fsync` is shared, and alone a command
//! waits for nobody. Reads have connections of their own and never wait for the writer; lookups go on with the state they
//! have open as long as nothing they rely on was changed.
//!
//! Several processes may have the same file open (the gateway and an operator's command): each write transaction
//! takes SQLite's write lock first, and nothing that is written rests on what a process remembers.

mod accept;
mod admin;
mod audit;
mod changes;
mod committer;
mod convert;
mod copy;
mod coverage;
mod directives;
mod exchanges;
mod faults;
mod forget;
mod held;
mod links;
mod migrate;
mod outbox;
mod people;
mod readers;
mod records;
mod retention;
mod session;
mod shred;
mod store;
mod subjects;
mod tenancy;
#[cfg(test)]
mod tests;
mod trail;
mod verify;
mod waiting;
mod wal;
mod witness;

pub(crate) use copy::CopyFile;
pub use store::SqliteStore;
