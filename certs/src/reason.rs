//! Why a certificate was revoked, in the words of RFC 5280.

use std::fmt;
use std::str::FromStr;

use rcgen::RevocationReason;
use serde::{Deserialize, Serialize};

/// Reason of a revocation, RFC 5280 section 5.3.1. Only those that fit the certificate of an organisation: a hold
/// that can be lifted again is not among them, for a participant is suspended in the registry, not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// None is given.
    Unspecified,
    /// The private key is, or may be, known to someone else.
    KeyCompromise,
    /// The organisation changed its name or its part in the exchange.
    AffiliationChanged,
    /// A newer certificate has taken its place.
    Superseded,
    /// The organisation no longer takes part.
    CessationOfOperation,
}

/// A text that is none of the five reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a reason: use one of unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation")]
pub struct UnknownReason;

impl Reason {
    /// Every reason, in the order of its RFC 5280 number.
    pub const ALL: [Self; 5] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
    ];

    /// The RFC 5280 word, as in `keyCompromise`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
        }
    }

    /// The reason code of a list entry. RFC 5280 section 5.3.1 wants no code rather than `unspecified`.
    pub(crate) fn code(self) -> Option<RevocationReason> {
        match self {
            Self::Unspecified => None,
            Self::KeyCompromise => Some(RevocationReason::KeyCompromise),
            Self::AffiliationChanged => Some(RevocationReason::AffiliationChanged),
            Self::Superseded => Some(RevocationReason::Superseded),
            Self::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
        }
    }

    /// The reason of a list entry's code.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code().is_some_and(|own| own as u8 == code))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or(UnknownReason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_in_text_and_in_json() {
        for reason in Reason::ALL {
            assert_eq!(reason.to_string().parse(), Ok(reason));
            assert_eq!(serde_json::to_string(&reason).unwrap(), format!("\"{reason}\""));
        }
        assert_eq!("KeyCompromise".parse::<Reason>(), Err(UnknownReason));
        assert_eq!("certificateHold".parse::<Reason>(), Err(UnknownReason));
    }
}
