//! Between the types of the API and what columns can hold.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StoreError;

/// A time as a column. Times outside the years 1678 to 2261 are moved to the nearest that fits: such a time can only be
/// a deadline that means "never" or "always".
pub(crate) fn nanos(at: Timestamp) -> i64 {
    let nanos = at.as_nanosecond();
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

/// What [`nanos`] made.
pub(crate) fn time(nanos: i64) -> Option<Timestamp> {
    Timestamp::from_nanosecond(i128::from(nanos)).ok()
}

/// A count as a column.
pub(crate) fn count(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Corrupt("a number is out of range".to_owned()))
}

/// A limit as a parameter.
pub(crate) fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

/// JSON of one of our own types. The error leaves out what serde says, which may quote a value.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|_| StoreError::Corrupt("this content must not be stored".to_owned()))
}

/// What [`to_json`] wrote.
pub(crate) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|_| StoreError::Corrupt("stored content cannot be parsed".to_owned()))
}

/// The same as a text column.
pub(crate) fn to_json_text<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Corrupt("this content must not be stored".to_owned()))
}
