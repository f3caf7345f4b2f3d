//! Between the types of the API and the columns of the tables.

use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::Type;

use crate::keys::Hash;
use crate::tables::time;
pub(super) use crate::tables::{count, from_json, limit, nanos, to_json, to_json_text};

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
        time(self.get(column)?).ok_or_else(|| unreadable(column, Type::Integer))
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

fn unreadable(column: usize, kind: Type) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, "not of its form".into())
}
