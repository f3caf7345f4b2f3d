//! Insured-person identifiers (被保険者): one person's number, written in one way by each interface.

use std::fmt;

/// 保険者番号 in eight digits. Shorter ones are filled up, and each interface fills up with something else: FHIR with
/// zeros, オンライン資格確認 with spaces.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InsurerNumber(String);

/// A member of an insurance, as `insurer:symbol:number:branch` (JP Core): `00012345:あいう:１８７:05`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InsuredId {
    /// 保険者番号
    pub insurer: InsurerNumber,
    /// 記号; some insurers have none.
    pub symbol: Option<String>,
    /// 番号
    pub number: String,
    /// 枝番: two digits. None is not `00`.
    pub branch: Option<String>,
}

/// The text is no such identifier. Holds nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InsuredFault {
    /// 枝番 is two half-width digits, or empty.
    #[error("a branch number has two half-width digits or is empty")]
    Branch,
    /// 保険者番号 is at most eight half-width digits.
    #[error("an insurer number has at most eight half-width digits")]
    Insurer,
    /// Not four parts with a colon between them, or without a number.
    #[error("an insured-person identifier is insurer:symbol:number:branch, each colon required")]
    Shape,
}

impl InsurerNumber {
    /// Parses up to eight half-width digits, filled up on the left with zeros, spaces or nothing.
    pub fn parse(text: &str) -> Result<Self, InsuredFault> {
        let digits = text.trim_start_matches(' ');
        let fits = text.len() <= WIDTH && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| Self(format!("{digits:0>WIDTH$}"))).ok_or(InsuredFault::Insurer)
    }

    /// Eight digits, filled up with zeros: as FHIR has it.
    pub fn zero_padded(&self) -> &str {
        &self.0
    }

    /// Eight characters, filled up with spaces: as the XML of オンライン資格確認 has it. A number that begins with a 法別番号
    /// has all its digits; only those without one (`00…`) were filled up. The last digit is never taken for filling.
    pub fn space_padded(&self) -> String {
        match self.0.strip_prefix("00") {
            Some(rest) => {
                let digits = rest.trim_start_matches('0');
                format!("{:>WIDTH$}", if digits.is_empty() { "0" } else { digits })
            }
            None => self.0.clone(),
        }
    }
}

impl InsuredId {
    /// Parses the four parts. The last colon is required even where there is no branch: `00012345::１８７:`.
    pub fn parse(text: &str) -> Result<Self, InsuredFault> {
        let mut parts = text.split(':');
        let (Some(insurer), Some(symbol), Some(number), Some(branch), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InsuredFault::Shape);
        };
        if number.is_empty() {
            return Err(InsuredFault::Shape);
        }
        let some = |part: &str| (!part.is_empty()).then(|| part.to_owned());
        let is_branch = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        if !branch.is_empty() && !is_branch(branch) {
            return Err(InsuredFault::Branch);
        }
        Ok(Self {
            insurer: InsurerNumber::parse(insurer)?,
            symbol: some(symbol),
            number: number.to_owned(),
            branch: some(branch),
        })
    }

    /// The branch in full-width digits, as `Coverage.dependent` has it.
    pub fn dependent(&self) -> Option<String> {
        let wide = |digit: char| char::from_u32(u32::from(digit) + 0xFEE0).unwrap_or(digit);
        self.branch.as_ref().map(|branch| branch.chars().map(wide).collect())
    }
}

impl fmt::Display for InsuredId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        write!(f, "{}:{}:{}:{}", self.insurer.0, part(&self.symbol), self.number, part(&self.branch))
    }
}

const WIDTH: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insurer_number_is_filled_up_as_each_interface_wants_it() {
        for (given, zeros, spaces) in [
            ("00012345", "00012345", "   12345"),
            ("   12345", "00012345", "   12345"),
            ("12345", "00012345", "   12345"),
            ("138016", "00138016", "  138016"),
            // 06 is a 法別番号: its zero is a digit of the number.
            ("06130488", "06130488", "06130488"),
            ("00000000", "00000000", "       0"),
        ] {
            let insurer = InsurerNumber::parse(given).unwrap();
            assert_eq!((insurer.zero_padded(), &*insurer.space_padded()), (zeros, spaces), "{given}");
            assert_eq!(InsurerNumber::parse(&insurer.space_padded()), Ok(insurer));
        }
        for wrong in ["", "        ", "123456789", "   012345", "０００１２３４５", "1234 567", "0001234X", "12345   "]
        {
            let taken = InsurerNumber::parse(wrong);
            assert_eq!(taken, Err(InsuredFault::Insurer), "{wrong}");
        }
    }

    #[test]
    fn no_branch_is_another_than_branch_00() {
        let without = InsuredId::parse("00012345::１８７:").unwrap();
        let zero = InsuredId::parse("00012345::１８７:00").unwrap();
        assert_ne!(without, zero);
        assert_eq!((without.branch.as_deref(), zero.branch.as_deref()), (None, Some("00")));
        assert_eq!(without.to_string(), "00012345::１８７:", "the last colon stays");
        assert_eq!(zero.to_string(), "00012345::１８７:00");
        assert_eq!(without.dependent(), None);
        assert_eq!(zero.dependent().as_deref(), Some("００"));
    }

    #[test]
    fn four_parts_and_their_shapes() {
        let whole = InsuredId::parse("   12345:あいう:１８７:05").unwrap();
        assert_eq!(whole.to_string(), "00012345:あいう:１８７:05");
        assert_eq!((whole.symbol.as_deref(), &*whole.number), (Some("あいう"), "１８７"));
        assert_eq!(whole.dependent().as_deref(), Some("０５"));
        for (text, fault) in [
            ("00012345::１８７", InsuredFault::Shape),
            ("00012345:::05", InsuredFault::Shape),
            ("00012345:あ:い:１:05", InsuredFault::Shape),
            ("00012345::１８７:5", InsuredFault::Branch),
            ("00012345::１８７:０５", InsuredFault::Branch),
            ("X::１８７:05", InsuredFault::Insurer),
        ] {
            assert_eq!(InsuredId::parse(text), Err(fault), "{text}");
        }
    }
}
