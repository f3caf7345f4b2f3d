//! Municipality codes (全国地方公共団体コード) and what became of the municipalities that had them.
//!
//! A code is no name of a place for ever: municipalities merge, split, become cities, take over the code of
//! a predecessor. [`History`] answers who is in charge today of what an old code meant.

mod history;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use history::{AreaShare, History, MunicipalityEntry, Resolution};

/// A six-digit code with its check digit, such as `011002` (札幌市). Five-digit codes, as merger data and
/// statistics use them, come in by [`MunicipalityCode::from_five`] alone: `11002` could be either form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MunicipalityCode(Arc<str>);

/// Why a text is not a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MunicipalityFault {
    /// The sixth digit does not follow from the first five. Always an error, unlike other check digits: all codes
    /// ever given out hold, and a wrong one would send personal data to the wrong town.
    #[error("the check digit of the municipality code does not hold")]
    CheckDigit,
    /// Not so many half-width digits as needed. A code that lost its leading zero is this and is never padded.
    #[error("a municipality code has six half-width digits")]
    Shape,
}

impl MunicipalityCode {
    /// Parses six half-width digits, the last of which must be the check digit of the others.
    pub fn parse(text: &str) -> Result<Self, MunicipalityFault> {
        let (five, check) = text.split_at_checked(5).ok_or(MunicipalityFault::Shape)?;
        let expected = check_digit(five)?;
        match check.as_bytes() {
            [digit] if digit.is_ascii_digit() && digit - b'0' == expected => Ok(Self(text.into())),
            [digit] if digit.is_ascii_digit() => Err(MunicipalityFault::CheckDigit),
            _ => Err(MunicipalityFault::Shape),
        }
    }

    /// Makes the six-digit code of a five-digit one (標準地域コード).
    pub fn from_five(text: &str) -> Result<Self, MunicipalityFault> {
        let check = check_digit(text)?;
        Ok(Self(format!("{text}{check}").into()))
    }

    /// All six digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The five digits without the check digit.
    pub fn five(&self) -> &str {
        self.0.get(..5).unwrap_or_default()
    }

    /// The two digits of the prefecture, `01` to `47` in codes that are in use.
    pub fn prefecture(&self) -> &str {
        self.0.get(..2).unwrap_or_default()
    }

    /// False for codes that name an area and no municipality: prefectures (`xx000`) and 特別区部 (`13100`), whose
    /// wards are municipalities by themselves.
    pub fn is_municipality(&self) -> bool {
        !self.five().ends_with("000") && self.five() != "13100"
    }
}

impl fmt::Display for MunicipalityCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MunicipalityCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for MunicipalityCode {
    type Error = MunicipalityFault;
    fn try_from(text: String) -> Result<Self, MunicipalityFault> {
        Self::parse(&text)
    }
}

impl From<MunicipalityCode> for String {
    fn from(code: MunicipalityCode) -> String {
        code.0.as_ref().to_owned()
    }
}

impl std::str::FromStr for MunicipalityCode {
    type Err = MunicipalityFault;
    fn from_str(text: &str) -> Result<Self, MunicipalityFault> {
        Self::parse(text)
    }
}

/// The last digit of 11 − (sum mod 11), with weights 6, 5, 4, 3, 2 on the five digits.
fn check_digit(five: &str) -> Result<u8, MunicipalityFault> {
    if five.len() != 5 || !five.bytes().all(|b| b.is_ascii_digit()) {
        return Err(MunicipalityFault::Shape);
    }
    // At most 9 × (6+5+4+3+2) = 180, so a byte holds the sum.
    let sum: u8 = five.bytes().zip([6, 5, 4, 3, 2]).map(|(digit, weight)| (digit - b'0') * weight).sum();
    Ok((11 - sum % 11) % 10)
}

#[cfg(test)]
mod tests;
