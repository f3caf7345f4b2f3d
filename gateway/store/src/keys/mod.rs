//! Keys: what is encrypted or hashed under what.
//!
//! ```text
//! master key (32 bytes, from a file)
//!   └─ wraps one random tenant key for each tenant, and one for the hub
//!        ├─ derives (HKDF-SHA256, one label each): blind index of each identifier system, business keys, content
//!        │  digests, sign-ins, audit seals, exchange digests, idempotency keys, pending content
//!        └─ derives the key that wraps one random data key for each subject
//!             └─ encrypts the subject's records, directives, links and flags
//! ```
//!
//! Every ciphertext is AES-256-GCM with a random nonce, and its additional data says which thing in which place it is:
//! a ciphertext that is moved to another row cannot be opened there. A keyed hash of one label tells nothing about one
//! of another label, so that equal values in two tenants, or in two identifier systems, look unrelated.

mod cipher;
mod ring;
mod tenant;
#[cfg(test)]
mod tests;

pub(crate) use cipher::Cipher;
pub use ring::{KeyFault, Keyring, MasterKey};
pub(crate) use tenant::{Hash, RowPlace, TenantKeys};
