//! What the server's errors mean to the caller.

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::error::StoreError;

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(told) = error.as_db_error() else {
            // The connection: whatever was under way may have happened, or not.
            return Self::Unavailable(error.to_string());
        };
        let (code, message) = (told.code(), told.message());
        let is_of_data = code.code().starts_with("23") || code == &SqlState::INSUFFICIENT_PRIVILEGE;
        if is_of_data {
            return Self::Corrupt(format!("a constraint does not hold: {message}"));
        }
        if code == &SqlState::DATA_CORRUPTED || code == &SqlState::INDEX_CORRUPTED {
            return Self::Corrupt(message.to_owned());
        }
        // Locked, full, shutting down, too slow: none of them says anything about the data.
        Self::Unavailable(format!("{message} ({})", code.code()))
    }
}

/// What statements that went out together failed of: those behind the first that failed only say that the transaction is
/// over.
pub(super) fn first_fault(outcomes: impl IntoIterator<Item = Result<(), StoreError>>) -> Result<(), StoreError> {
    let only_follows = |fault: &StoreError| matches!(fault, StoreError::Unavailable(text) if text.ends_with("(25P02)"));
    let mut faults: Vec<StoreError> = outcomes.into_iter().filter_map(Result::err).collect();
    faults.sort_by_key(only_follows);
    faults.into_iter().next().map_or(Ok(()), Err)
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            other => Self::Unavailable(other.to_string()),
        }
    }
}
