//! The hub's certificate authority: who may open a connection to the gateway, and under which name.
//!
//! An [`Authority`] is a folder. A root signs one issuing authority and is then needed only for its own revocation
//! list; the issuing authority signs what participants and servers use. Everything that was ever issued or revoked is
//! a line in an append-only ledger, and the revocation list is derived from it.
//!
//! | file | what it is | mode |
//! |---|---|---|
//! | `root.pem`, `root.key` | trust anchor and its key | 0644, 0600 |
//! | `issuing.pem`, `issuing.key` | issuing authority and its key | 0644, 0600 |
//! | `crl.pem` | what the issuing authority has revoked | 0644 |
//! | `root-crl.pem` | what the root has revoked: nothing, but checking a whole chain needs it | 0644 |
//! | `ledger.jsonl` | one line for each issue and each revocation | 0600 |
//! | `lock` | held while an [`Authority`] is open | 0600 |
//!
//! The modes are those of Unix, and so is the lock; the crate builds nowhere else.
//!
//! # What a certificate says
//!
//! A participant's certificate names the participant once, as the URI `urn:tsunagi:participant:ID`; the common name
//! repeats it for people and decides nothing. It is good for TLS clients only, a server's certificate for TLS servers
//! only, so that neither can stand in for the other.
//!
//! The authorities hold each other short by path length (1 and 0), and the issuing one by extended key usage: it can
//! make certificates for TLS clients and servers and nothing else. They carry **no name constraints**. rustls refuses
//! any chain in which a URI or a directory name is constrained, URI constraints speak of host names, which a `urn:`
//! does not have (RFC 5280 section 4.2.1.10), and the DNS names of the hub are not known when its authority is made.
//!
//! # Time
//!
//! Nothing here reads a clock. Times are seconds since 1970-01-01T00:00:00Z, handed in by the caller.

mod authority;
mod chain;
mod crl;
mod disk;
mod error;
mod ledger;
mod peer;
mod profile;
mod reason;
mod request;
mod serial;

pub use authority::{Authority, Issued};
pub use disk::write_key;
pub use error::CertsError;
pub use ledger::{LedgerEntry, Usage};
pub use peer::{PARTICIPANT_URN, fingerprint, participant_of};
pub use reason::{Reason, UnknownReason};
