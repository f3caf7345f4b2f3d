//! Reads columns by their place.

use std::str::FromStr;

use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::error::StoreError;
use crate::keys::Hash;
use crate::tables::time;

/// What is not of its form is damage.
pub(super) trait Columns {
    /// A column as the driver reads it.
    fn of<'a, T: FromSql<'a>>(&'a self, column: usize) -> Result<T, StoreError>;

    /// An id, a name or a state.
    fn word<T: FromStr>(&self, column: usize) -> Result<T, StoreError> {
        self.of::<&str>(column)?.parse().map_err(|_| unreadable(column))
    }

    /// The same, where there may be none.
    fn word_or_none<T: FromStr>(&self, column: usize) -> Result<Option<T>, StoreError> {
        self.of::<Option<&str>>(column)?.map(|text| text.parse().map_err(|_| unreadable(column))).transpose()
    }

    /// A time.
    fn time(&self, column: usize) -> Result<Timestamp, StoreError> {
        time(self.of(column)?).ok_or_else(|| unreadable(column))
    }

    /// A count.
    fn number<T: TryFrom<i64>>(&self, column: usize) -> Result<T, StoreError> {
        T::try_from(self.of::<i64>(column)?).map_err(|_| unreadable(column))
    }

    /// A hash; what is not 32 bytes long is not readable.
    fn hash(&self, column: usize) -> Result<Hash, StoreError> {
        Hash::try_from(self.of::<&[u8]>(column)?).map_err(|_| unreadable(column))
    }
}

impl Columns for Row {
    fn of<'a, T: FromSql<'a>>(&'a self, column: usize) -> Result<T, StoreError> {
        self.try_get(column).map_err(|_| unreadable(column))
    }
}

fn unreadable(column: usize) -> StoreError {
    StoreError::Corrupt(format!("column {column} of an answer is not of its form"))
}
