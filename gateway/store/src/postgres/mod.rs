//! The backend that many nodes share: PostgreSQL.
//!
//! Every write of one tenant locks the head of the tenant's log first and is decided under that lock: leaves are dense
//! whoever writes them, and a disclosure and a withdrawal on two nodes have an order. What waits at the same time on one
//! node shares a transaction, and its rows go out in one statement for each table; a command that is alone waits for
//! nobody. Claims lock deliveries instead, and skip those that another node is just claiming.
//!
//! Every transaction says whose it is, and the server's row-level security shows it nothing else: a query that forgets
//! its tenant finds nothing.

mod admin;
mod audit;
mod columns;
mod copy;
mod coverage;
mod directives;
mod exchanges;
mod faults;
mod flush;
mod forget;
mod group;
mod held;
mod links;
mod load;
mod migrate;
mod outbox;
mod picture;
mod pool;
mod retention;
mod shred;
mod store;
mod tenancy;
#[cfg(test)]
mod tests;
mod tls;
mod trail;
mod witness;

pub(crate) use copy::CopyServer;
pub use pool::Server;
pub use store::PostgresStore;
