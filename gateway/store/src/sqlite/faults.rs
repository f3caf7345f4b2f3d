//! What SQLite's errors mean to the caller.

use rusqlite::ErrorCode;

use crate::error::StoreError;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::ConstraintViolation => Self::Corrupt(format!("a constraint does not hold: {error}")),
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Corrupt(error.to_string()),
                // Locked, full, read-only, out of memory, input and output: none of them says anything about the data.
                _ => Self::Unavailable(error.to_string()),
            },
            rusqlite::Error::FromSqlConversionFailure(column, ..)
            | rusqlite::Error::IntegralValueOutOfRange(column, _)
            | rusqlite::Error::InvalidColumnType(column, ..) => {
                Self::Corrupt(format!("column {column} of an answer is not of its form"))
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}
