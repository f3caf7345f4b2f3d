//! Fields of each type, for converters that stand alone.

use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::{ClassName, FieldKey};
use tsunagi_core::kind::{CheckDigit, Field, IdentifierRule};
use tsunagi_core::value::ValueType;

/// A field of a type, in kg where it is a number.
pub fn field(value_type: ValueType) -> Field {
    Field {
        key: FieldKey::parse("some").expect("a key"),
        value_type,
        required: false,
        expected: false,
        many: false,
        label: Bilingual::new("項目", "field"),
        class: ClassName::parse("normal").expect("a class"),
        example: String::new(),
        code_system: None,
        unit: (value_type == ValueType::Decimal).then(|| "kg".to_owned()),
        identifier: None,
        max_length: None,
        derived: None,
    }
}

/// The rules of all identifiers, and two without a check digit.
pub fn rules() -> Vec<IdentifierRule> {
    let rule = |min_length, max_length, digits_only, check_digit| IdentifierRule {
        min_length,
        max_length,
        digits_only,
        check_digit,
    };
    vec![
        rule(6, 6, true, Some(CheckDigit::LocalGovernment)),
        rule(10, 10, true, Some(CheckDigit::MedicalInstitution)),
        rule(6, 8, true, Some(CheckDigit::Modulus10)),
        rule(12, 12, true, Some(CheckDigit::MyNumber)),
        rule(0, 40, false, Some(CheckDigit::Modulus10)),
        rule(0, 40, false, Some(CheckDigit::MyNumber)),
        rule(1, 30, false, None),
        rule(1, 30, true, None),
    ]
}

/// Chains as layouts have them: type, format (`f` FHIR, `l` lines, `p` PMH) and converters.
pub const CHAINS: [(ValueType, char, &[&str]); 34] = [
    (ValueType::Bool, 'l', &[]),
    (ValueType::Bool, 'p', &[]),
    (ValueType::Bool, 'l', &["half_width", "bool_2_1"]),
    (ValueType::Date, 'l', &[]),
    (ValueType::Date, 'f', &[]),
    (ValueType::Date, 'l', &["compact_date"]),
    (ValueType::Date, 'p', &["slash_date"]),
    (ValueType::Date, 'l', &["era_date"]),
    (ValueType::Date, 'l', &["trim", "era_date_dotted"]),
    (ValueType::Date, 'l', &["half_width", "iso_date"]),
    (ValueType::DateTime, 'l', &[]),
    (ValueType::DateTime, 'f', &[]),
    (ValueType::DateTime, 'p', &["trim"]),
    (ValueType::Decimal, 'l', &[]),
    (ValueType::Decimal, 'l', &["trim", "half_width", "quantity(g,kg)"]),
    (ValueType::Decimal, 'f', &["quantity(mg,kg)"]),
    (ValueType::Decimal, 'p', &["quantity(kg,kg)"]),
    (ValueType::Decimal, 'l', &["decimal", "quantity(g,kg)"]),
    (ValueType::Integer, 'l', &[]),
    (ValueType::Integer, 'l', &["half_width", "trim"]),
    (ValueType::Integer, 'f', &["decimal"]),
    (ValueType::Text, 'l', &[]),
    (ValueType::Text, 'l', &["kana_full"]),
    (ValueType::Text, 'l', &["trim", "kana_full"]),
    (ValueType::Text, 'l', &["half_width"]),
    (ValueType::Text, 'l', &["full_width"]),
    (ValueType::Text, 'f', &["json_text"]),
    (ValueType::Text, 'f', &["prefix(Patient/)"]),
    (ValueType::Text, 'l', &["left_pad(8,0)"]),
    (ValueType::Text, 'l', &["half_width", "left_pad(8, )"]),
    (ValueType::Text, 'l', &["trim"]),
    (ValueType::Text, 'p', &["trim", "half_width"]),
    (ValueType::Text, 'p', &["json_text", "trim"]),
    (ValueType::Code, 'l', &["trim", "half_width"]),
];
