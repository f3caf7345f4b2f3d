//! Between the types of the API and the columns of the tables.

use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::Type;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StoreError;
use crate::keys::Hash;

/// A time as a column. Times outside the years 1678 to 2261 are moved to the nearest that fits: such a time can only be
/// a deadline that means "never" or "always".
pub(super) fn nanos(at: Timestamp) -> i64 {
    let nanos = at.as_nanosecond();
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

/// A count as a column.
pub(super) fn count(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Corrupt("a number is out of range".to_owned()))
}

/// A limit as a parameter.
pub(super) fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

/// Reads columns by their place.
pub(super) trait Columns {
    /// An id, a name or a state.
    fn word<T: FromStr>(&self, column: usize) -> rusqlite::Result<T>;
    /// The same, where there may be none.
    fn word_or_none<T: FromStr>(&self, column: usize) -> rusqlite::Result<Option<T>>;
    /// A time.
    fn time(&self, column: usize) -> rusqlite::Result<Timestamp>;
    /// A count.
    fn number<T: TryFrom<i64>>(&self, column: usize) -> rusqlite::Result<T>;
    /// A hash; what is not 32 bytes long is not readable.
    fn hash(&self, column: usize) -> rusqlite::Result<Hash>;
    /// Text where it lies.
    fn text(&self, column: usize) -> rusqlite::Result<&str>;
    /// Bytes where they lie.
    fn blob(&self, column: usize) -> rusqlite::Result<&[u8]>;
}

impl Columns for Row<'_> {
    fn word<T: FromStr>(&self, column: usize) -> rusqlite::Result<T> {
        self.text(column)?.parse().map_err(|_| unreadable(column, Type::Text))
    }

    fn word_or_none<T: FromStr>(&self, column: usize) -> rusqlite::Result<Option<T>> {
        let text = self.get_ref(column)?.as_str_or_null().map_err(|_| unreadable(column, Type::Text))?;
        text.map(|text| text.parse().map_err(|_| unreadable(column, Type::Text))).transpose()
    }

    fn time(&self, column: usize) -> rusqlite::Result<Timestamp> {
        Timestamp::from_nanosecond(i128::from(self.get::<_, i64>(column)?))
            .map_err(|_| unreadable(column, Type::Integer))
    }

    fn number<T: TryFrom<i64>>(&self, column: usize) -> rusqlite::Result<T> {
        T::try_from(self.get::<_, i64>(column)?).map_err(|_| unreadable(column, Type::Integer))
    }

    fn hash(&self, column: usize) -> rusqlite::Result<Hash> {
        Hash::try_from(self.blob(column)?).map_err(|_| unreadable(column, Type::Blob))
    }

    fn text(&self, column: usize) -> rusqlite::Result<&str> {
        self.get_ref(column)?.as_str().map_err(|_| unreadable(column, Type::Text))
    }

    fn blob(&self, column: usize) -> rusqlite::Result<&[u8]> {
        self.get_ref(column)?.as_blob().map_err(|_| unreadable(column, Type::Blob))
    }
}

/// JSON of one of our own types. The error leaves out what serde says, which may quote a value.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|_| StoreError::Corrupt("this content must not be stored".to_owned()))
}

/// What [`to_json`] wrote.
pub(super) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|_| StoreError::Corrupt("stored content cannot be parsed".to_owned()))
}

/// The same as a text column.
pub(super) fn to_json_text<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Corrupt("this content must not be stored".to_owned()))
}

fn unreadable(column: usize, kind: Type) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, "not of its form".into())
}
