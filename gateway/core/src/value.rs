//! What a field of a record can hold.

use serde::{Deserialize, Serialize, Serializer};

use crate::partial_date::PartialDate;
use crate::sensitive::Sensitive;

/// One value in the hub's own form: dates as [`PartialDate`], codes in the hub's codes, decimals as
/// exact text in the unit that the kind file names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A code of the field's own code system.
    Code(String),
    /// A date, possibly partial.
    Date(PartialDate),
    /// A local date and time in Japan, `YYYY-MM-DDThh:mm[:ss]`.
    DateTime(String),
    /// An exact decimal as text: `3.25` stays `3.25`, `3.250` stays `3.250`.
    Decimal(String),
    /// A whole number.
    Integer(i64),
    /// 個人番号. Never serialised: it must have become a pseudonym before anything is stored or sent.
    #[serde(serialize_with = "refuse_my_number", skip_deserializing)]
    MyNumber(Sensitive<String>),
    /// Text as the sender wrote it; never normalised.
    Text(String),
}

impl Value {
    /// The value as a plain text, as it enters identifiers, business keys and comparisons. `None` for 個人番号.
    pub fn plain(&self) -> Option<String> {
        Some(match self {
            Self::Bool(b) => b.to_string(),
            Self::Code(s) | Self::Text(s) | Self::Decimal(s) | Self::DateTime(s) => s.clone(),
            Self::Date(d) => d.to_string(),
            Self::Integer(n) => n.to_string(),
            Self::MyNumber(_) => return None,
        })
    }

    /// The date, if this is one; a date and time counts by its day.
    pub fn date(&self) -> Option<PartialDate> {
        match self {
            Self::Date(d) => Some(d.clone()),
            Self::DateTime(s) => s.get(..10).map(PartialDate::read_iso),
            _ => None,
        }
    }
}

/// The type a kind file gives a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    /// [`Value::Bool`]
    Bool,
    /// [`Value::Code`]
    Code,
    /// [`Value::Date`]
    Date,
    /// [`Value::DateTime`]
    DateTime,
    /// [`Value::Decimal`]
    Decimal,
    /// [`Value::Integer`]
    Integer,
    /// [`Value::MyNumber`]
    MyNumber,
    /// [`Value::Text`]
    Text,
}

fn refuse_my_number<S: Serializer>(_: &Sensitive<String>, _: S) -> Result<S::Ok, S::Error> {
    Err(serde::ser::Error::custom("an individual number is never serialised"))
}
