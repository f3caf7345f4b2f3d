//! The hub's certificate authority: who may open a connection to the gateway, and under which name.
//!
//! An [`Authority`] is a folder. A root signs two issuing authorities and is then needed only for its own revocation
//! list; one of them signs what participants use, the other what servers use. Everything that was ever issued or revoked
//! is a line in an append-only ledger, and the revocation lists are derived from it.
//!
//! | file | what it is | mode |
//! |---|---|---|
//! | `root.pem`, `root.key` | trust anchor and its key | 0644, 0600 |
//! | `issuing.pem`, `issuing.key` | the participants' issuing authority and its key | 0644, 0600 |
//! | `server-issuing.pem`, `server-issuing.key` | the servers' issuing authority and its key | 0644, 0600 |
//! | `crl.pem` | which participants' certificates are revoked | 0644 |
//! | `server-crl.pem` | which servers' certificates are revoked | 0644 |
//! | `root-crl.pem` | what the root has revoked: nothing, but checking a whole chain needs it | 0644 |
//! | `ledger.jsonl` | one line for each issue and each revocation, chained | 0600 |
//! | `lock` | held while an [`Authority`] is open | 0600 |
//!
//! The modes are those of Unix, and so is the lock; the crate builds nowhere else. The keys may be kept under a
//! [`Passphrase`].
//!
//! # What a certificate says
//!
//! A participant's certificate names the participant once, as the URI `urn:tsunagi:participant:ID`; the common name
//! repeats it for people and decides nothing. It is good for TLS clients only, a server's certificate for TLS servers
//! only, so that neither can stand in for the other.
//!
//! The authorities hold each other short by path length (1 and 0), and each issuing one by extended key usage and by name
//! constraints: the participants' can certify no DNS name and no address, the servers' no participant. Whoever gets hold
//! of one of the two keys has nothing of what the other is for.
//!
//! # Time
//!
//! Nothing here reads a clock. Times are seconds since 1970-01-01T00:00:00Z, handed in by the caller.

mod authority;
mod chain;
mod constraints;
mod crl;
mod disk;
mod error;
mod ledger;
mod pbes;
mod peer;
mod pem;
mod pkcs12;
mod profile;
mod reason;
mod request;
mod secret;
mod serial;

pub use authority::{Authority, Holder, Issued, Order, Prepared};
pub use chain::OwnCertificate;
pub use disk::{write_key, write_private};
pub use error::CertsError;
pub use ledger::{LedgerEntry, Usage, read_ledger};
pub use peer::{PARTICIPANT_URN, fingerprint, participant_of};
pub use pkcs12::{Bundle, BundleForm};
pub use reason::{Reason, UnknownReason};
pub use secret::{Passphrase, encrypt_key};
