//! What a store call can fail with.

use crate::keys::KeyFault;

/// Whose turn it is: the caller retries [`StoreError::Stale`] at once and [`StoreError::Unavailable`] later; the others
/// need a person.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// What is stored cannot be read back: wrong key, or damage.
    #[error("stored data cannot be read: {0}")]
    Corrupt(String),
    /// There is no such thing in this tenant.
    #[error("not found")]
    NotFound,
    /// The subject changed between `held` and `note`, or a lease is over: read again.
    #[error("what the call rests on has changed")]
    Stale,
    /// The database is down, full or too slow; nothing of the call is known to have happened.
    #[error("store unavailable: {0}")]
    Unavailable(String),
}

impl From<KeyFault> for StoreError {
    fn from(fault: KeyFault) -> Self {
        match fault {
            KeyFault::Crypto => Self::Unavailable(fault.to_string()),
            KeyFault::Shape | KeyFault::Unreadable => Self::Corrupt(fault.to_string()),
        }
    }
}
