//! Why a row is refused or warned about: which row, which column, which code, in Japanese and English,
//! and never the value itself.

use serde::{Deserialize, Serialize};

/// A text in both languages of the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bilingual {
    /// Japanese
    pub ja: String,
    /// English
    pub en: String,
}

impl Bilingual {
    /// Both texts.
    pub fn new(ja: impl Into<String>, en: impl Into<String>) -> Self {
        Self { ja: ja.into(), en: en.into() }
    }

    /// The text in one language.
    pub fn pick(&self, lang: Lang) -> &str {
        match lang {
            Lang::En => &self.en,
            Lang::Ja => &self.ja,
        }
    }
}

/// The language a message is shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lang {
    /// English
    En,
    /// Japanese, the default of the field
    #[default]
    Ja,
}

/// The closed set of reasons a row can be refused or warned for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowCode {
    /// A check digit does not fit; a warning unless the channel makes it an error.
    CheckDigit,
    /// The municipality has several successors.
    DestinationAmbiguous,
    /// The municipality was never heard of, or is not on this hub.
    DestinationUnknown,
    /// The date is written in an era that had ended; accepted with a warning.
    EraOverlong,
    /// A required item is missing.
    Incomplete,
    /// Wrong length or characters of an identifier.
    InvalidIdentifier,
    /// The value is not of the field's type.
    InvalidValue,
    /// No layout of an open channel fits this content.
    KindUnsupported,
    /// The row cannot be read at all.
    Malformed,
    /// Nothing permits this row's record to be submitted there by this sender.
    NotPermitted,
    /// The dose breaks a rule of its schedule; a warning, for it happened.
    ScheduleBroken,
    /// No table names the subsidy scheme of the payer number; a warning, for there are more than any table has.
    SchemeUnknown,
    /// Several subjects carry these identifiers; the row waits for review.
    SubjectAmbiguous,
    /// No subject carries these identifiers; the row waits for review.
    SubjectUnknown,
    /// A character that the receiver's character set cannot hold.
    Unmappable,
    /// A code no table covers.
    Unmapped,
}

impl RowCode {
    /// The code as users see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CheckDigit => "check_digit",
            Self::DestinationAmbiguous => "destination_ambiguous",
            Self::DestinationUnknown => "destination_unknown",
            Self::EraOverlong => "era_overlong",
            Self::Incomplete => "incomplete",
            Self::InvalidIdentifier => "invalid_identifier",
            Self::InvalidValue => "invalid_value",
            Self::KindUnsupported => "kind_unsupported",
            Self::Malformed => "malformed",
            Self::NotPermitted => "not_permitted",
            Self::ScheduleBroken => "schedule_broken",
            Self::SchemeUnknown => "scheme_unknown",
            Self::SubjectAmbiguous => "subject_ambiguous",
            Self::SubjectUnknown => "subject_unknown",
            Self::Unmappable => "unmappable",
            Self::Unmapped => "unmapped",
        }
    }
}

/// One fault of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowFault {
    /// The row, from 1; 0 where the payload as a whole is at fault.
    pub row: u64,
    /// The column or path in the sender's own layout; empty where the whole row is at fault.
    pub column: String,
    /// The reason.
    pub code: RowCode,
    /// The reason in words, without any value from the row.
    pub reason: Bilingual,
}
