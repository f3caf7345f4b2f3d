//! Length, characters and check digits of the field's identifiers.
//!
//! Lengths and characters are errors. A wrong check digit is a warning, because real numbers in use and even the
//! official samples fail their own; only the municipality code, which decides where data goes, is held to it.

use crate::kind::{CheckDigit, IdentifierRule};
use crate::municipality::{MunicipalityCode, MunicipalityFault};

/// The check digit does not follow from the digits before it; the value is taken all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckWarning;

/// Why a text cannot be this identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierFault {
    /// Something else than half-width digits.
    #[error("the identifier has characters other than half-width digits")]
    Characters,
    /// The check digit of a municipality code.
    #[error("the check digit of the identifier does not hold")]
    CheckDigit,
    /// Too short or too long, in characters.
    #[error("the identifier has the wrong length")]
    Length,
}

/// Checks a text against the rule of its field. Full-width digits are not digits here: normalising is for the layout.
pub fn check(rule: &IdentifierRule, text: &str) -> Result<Option<CheckWarning>, IdentifierFault> {
    let length = text.chars().count();
    if length < rule.min_length || length > rule.max_length {
        return Err(IdentifierFault::Length);
    }
    let needs_digits = rule.digits_only || rule.check_digit.is_some();
    if needs_digits && !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(IdentifierFault::Characters);
    }
    let holds = match rule.check_digit {
        None => true,
        Some(CheckDigit::LocalGovernment) => match MunicipalityCode::parse(text) {
            Ok(_) => true,
            Err(MunicipalityFault::CheckDigit) => return Err(IdentifierFault::CheckDigit),
            Err(MunicipalityFault::Shape) => return Err(IdentifierFault::Length),
        },
        Some(CheckDigit::MedicalInstitution) => ends_with(text, medical_institution),
        Some(CheckDigit::Modulus10) => ends_with(text, modulus_10),
        Some(CheckDigit::MyNumber) => ends_with(text, my_number),
    };
    Ok((!holds).then_some(CheckWarning))
}

/// The check digit for the digits before it, of 保険者番号, 公費負担者番号, 受給者番号: from the right they count
/// 2, 1, 2, 1 …, the decimal digits of each product are added, and the sum is filled up to the next ten. `None` if
/// there are none, or others than half-width digits.
pub fn modulus_10(body: &str) -> Option<u8> {
    let sum: u32 = digits(body)?
        .iter()
        .rev()
        .zip([2, 1].into_iter().cycle())
        .map(|(digit, weight)| digit * weight)
        .map(|product| product / 10 + product % 10)
        .sum();
    u8::try_from((10 - sum % 10) % 10).ok()
}

/// The check digit of a 医療機関コード for the nine digits before it. In 埼玉, 千葉, 東京 and 神奈川 (11 to 14) it covers
/// the last six of them only, in the others all nine: of 97,024 published codes 27 keep to neither. `None` if there
/// are not nine half-width digits.
pub fn medical_institution(body: &str) -> Option<u8> {
    if body.len() != 9 {
        return None;
    }
    let covered = match body.get(..2)? {
        "11" | "12" | "13" | "14" => body.get(3..)?,
        _ => body,
    };
    modulus_10(covered)
}

/// The check digit of a 個人番号 for the eleven digits before it: from the right they count 2 to 7 and then 2 to 6;
/// 11 less the sum modulo 11, or 0 where that has two digits. `None` if there are not eleven half-width digits.
pub fn my_number(body: &str) -> Option<u8> {
    let digits = digits(body).filter(|digits| digits.len() == 11)?;
    let weights = (2..=7).chain(2..=6);
    let sum: u32 = digits.iter().rev().zip(weights).map(|(digit, weight)| digit * weight).sum();
    match sum % 11 {
        0 | 1 => Some(0),
        rest => u8::try_from(11 - rest).ok(),
    }
}

/// Under which scheme a 公費負担者番号 is: 法別番号 and prefecture together, for local schemes use the same 法別番号 with
/// another meaning in each prefecture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemeKey {
    /// The first two digits (法別番号).
    pub category: String,
    /// The two digits of the prefecture.
    pub prefecture: String,
}

impl SchemeKey {
    /// The key of a number of eight half-width digits; `None` for anything else.
    pub fn of(payer_number: &str) -> Option<Self> {
        digits(payer_number).filter(|digits| digits.len() == 8)?;
        Some(Self { category: payer_number.get(..2)?.to_owned(), prefecture: payer_number.get(2..4)?.to_owned() })
    }
}

fn digits(text: &str) -> Option<Vec<u32>> {
    if text.is_empty() { None } else { text.chars().map(|c| c.to_digit(10)).collect() }
}

/// True if the last digit is the one that `expected` gives for those before it.
fn ends_with(text: &str, expected: fn(&str) -> Option<u8>) -> bool {
    let Some((body, last)) = text.len().checked_sub(1).and_then(|at| text.split_at_checked(at)) else { return false };
    expected(body).is_some_and(|digit| last.parse() == Ok(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(min: usize, max: usize, check_digit: CheckDigit) -> IdentifierRule {
        IdentifierRule { min_length: min, max_length: max, digits_only: true, check_digit: Some(check_digit) }
    }

    const RIGHT: Result<Option<CheckWarning>, IdentifierFault> = Ok(None);
    const DOUBTFUL: Result<Option<CheckWarning>, IdentifierFault> = Ok(Some(CheckWarning));

    #[test]
    fn numbers_of_insurers_and_recipients() {
        let rule = rule(6, 8, CheckDigit::Modulus10);
        for (text, expected) in [
            ("06130488", RIGHT),
            ("54016027", RIGHT),
            ("1234566", RIGHT),
            ("0000018", RIGHT),
            ("87654321", DOUBTFUL),
            ("0000002", DOUBTFUL),
            ("06130480", DOUBTFUL),
            ("00000", Err(IdentifierFault::Length)),
            ("000000000", Err(IdentifierFault::Length)),
            ("０６１３０４８８", Err(IdentifierFault::Characters)),
            ("0613048X", Err(IdentifierFault::Characters)),
            ("0613-488", Err(IdentifierFault::Characters)),
        ] {
            assert_eq!(check(&rule, text), expected, "{text}");
        }
    }

    #[test]
    fn codes_of_medical_institutions() {
        let rule = rule(10, 10, CheckDigit::MedicalInstitution);
        for (text, expected) in [
            ("3410712362", RIGHT),
            ("2714206386", RIGHT),
            ("2319929994", RIGHT),
            ("4419929999", RIGHT),
            ("4019929993", RIGHT),
            // The four prefectures of the other rule; 6 would be right by the common one.
            ("1319929993", RIGHT),
            ("1119929993", RIGHT),
            ("1219929993", RIGHT),
            ("1419929993", RIGHT),
            ("1319929996", DOUBTFUL),
            ("1312345676", RIGHT),
            ("1312345670", DOUBTFUL),
            ("1312345679", DOUBTFUL),
            ("2319929993", DOUBTFUL),
            ("341071236", Err(IdentifierFault::Length)),
            ("341071236２", Err(IdentifierFault::Characters)),
        ] {
            assert_eq!(check(&rule, text), expected, "{text}");
        }
    }

    #[test]
    fn codes_of_municipalities_must_hold() {
        let rule = rule(6, 6, CheckDigit::LocalGovernment);
        for (text, expected) in [
            ("011002", RIGHT),
            ("442011", RIGHT),
            ("010005", Err(IdentifierFault::CheckDigit)),
            ("01100", Err(IdentifierFault::Length)),
            ("1100", Err(IdentifierFault::Length)),
            ("０１１００２", Err(IdentifierFault::Characters)),
        ] {
            assert_eq!(check(&rule, text), expected, "{text}");
        }
        let wide = IdentifierRule { min_length: 1, max_length: 9, ..rule };
        assert_eq!(check(&wide, "11002"), Err(IdentifierFault::Length), "whatever the rule of the field allows");
    }

    #[test]
    fn individual_numbers() {
        let rule = rule(12, 12, CheckDigit::MyNumber);
        for (text, expected) in [
            ("123456789018", RIGHT),
            ("111111111118", RIGHT),
            ("987654321093", RIGHT),
            ("000000000000", RIGHT),
            ("210987654320", RIGHT),
            ("210987654321", DOUBTFUL),
            ("123456789019", DOUBTFUL),
            ("12345678901", Err(IdentifierFault::Length)),
            ("１２３４５６７８９０１８", Err(IdentifierFault::Characters)),
        ] {
            assert_eq!(check(&rule, text), expected, "a number of {} characters", text.chars().count());
        }
    }

    #[test]
    fn one_wrong_digit_is_noticed_by_each_rule() {
        for (right, rule) in [
            ("06130488", rule(8, 8, CheckDigit::Modulus10)),
            ("3410712362", rule(10, 10, CheckDigit::MedicalInstitution)),
        ] {
            for at in 0..right.len() {
                let digit = right.as_bytes()[at] - b'0';
                let other = format!("{}{}{}", &right[..at], (digit + 1) % 10, &right[at + 1..]);
                assert_eq!(check(&rule, &other), DOUBTFUL, "{other}");
            }
        }
    }

    #[test]
    fn bodies_of_the_wrong_length_have_no_check_digit() {
        assert_eq!(modulus_10("0613048"), Some(8));
        assert_eq!(modulus_10(""), None);
        assert_eq!(modulus_10("06130x8"), None);
        assert_eq!(medical_institution("131992999"), Some(3));
        assert_eq!(medical_institution("1992999"), None);
        assert_eq!(my_number("12345678901"), Some(8));
        assert_eq!(my_number("1234567890"), None);
    }

    #[test]
    fn a_scheme_is_known_by_category_and_prefecture() {
        let key = |payer: &str| SchemeKey::of(payer).map(|key| (key.category, key.prefecture));
        let pair = |category: &str, prefecture: &str| Some((category.to_owned(), prefecture.to_owned()));
        assert_eq!(key("41130001"), pair("41", "13"));
        assert_eq!(key("41270009"), pair("41", "27"));
        assert_ne!(SchemeKey::of("41130001"), SchemeKey::of("41270009"));
        for text in ["", "4113000", "411300011", "４１１３０００１", "41-13001"] {
            assert_eq!(SchemeKey::of(text), None, "{text}");
        }
    }

    #[test]
    fn without_a_check_digit_letters_may_be_allowed() {
        let rule = IdentifierRule { min_length: 1, max_length: 30, digits_only: false, check_digit: None };
        assert_eq!(check(&rule, &"受".repeat(30)), RIGHT);
        assert_eq!(check(&rule, &"受".repeat(31)), Err(IdentifierFault::Length));
        assert_eq!(check(&rule, ""), Err(IdentifierFault::Length));
    }
}
