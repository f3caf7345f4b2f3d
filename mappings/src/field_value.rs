//! Values of fields: from a converted text to a checked value and back.

use std::borrow::Cow;

use tsunagi_core::fault::{Bilingual, RowCode};
use tsunagi_core::identifier::{self, IdentifierFault};
use tsunagi_core::kind::Field;
use tsunagi_core::partial_date::PartialDate;
use tsunagi_core::sensitive::Sensitive;
use tsunagi_core::value::{Value, ValueType};

use crate::convert::Carried;

/// Why a value is not one of its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValueFault {
    pub(crate) code: RowCode,
    pub(crate) reason: Bilingual,
}

impl ValueFault {
    pub(crate) fn new(code: RowCode, ja: impl Into<String>, en: impl Into<String>) -> Self {
        Self { code, reason: Bilingual::new(ja, en) }
    }
}

/// Makes the value of a field and checks it against what the kind says. The flag says that a check digit is wrong.
pub(crate) fn value(field: &Field, carried: Carried<'_>) -> Result<(Value, bool), ValueFault> {
    let text = match carried {
        Carried::Date(date) => return Ok((Value::Date(date), false)),
        Carried::Text(text) => text,
    };
    let wrong_check_digit = check_text(field, &text)?;
    let value = match field.value_type {
        ValueType::Bool => Value::Bool(text == "true"),
        ValueType::Code => Value::Code(text.into_owned()),
        ValueType::Date => Value::Date(PartialDate::read_iso(&text)),
        ValueType::DateTime => Value::DateTime(text.into_owned()),
        ValueType::Decimal => Value::Decimal(text.into_owned()),
        ValueType::Integer => Value::Integer(
            whole(&text)
                .ok_or_else(|| ValueFault::new(RowCode::InvalidValue, "整数として読めません", "not a whole number"))?,
        ),
        ValueType::MyNumber => Value::MyNumber(Sensitive::new(text.into_owned())),
        ValueType::Text => Value::Text(text.into_owned()),
    };
    Ok((value, wrong_check_digit))
}

/// A value as its chain takes it. `None` for 個人番号, which never goes out.
pub(crate) fn carried(value: &Value) -> Option<Carried<'_>> {
    Some(match value {
        Value::Bool(flag) => Carried::Text(Cow::Borrowed(if *flag { "true" } else { "false" })),
        Value::Code(text) | Value::DateTime(text) | Value::Decimal(text) | Value::Text(text) => {
            Carried::Text(Cow::Borrowed(text))
        }
        Value::Date(date) => Carried::Date(date.clone()),
        Value::Integer(number) => Carried::Text(Cow::Owned(number.to_string())),
        Value::MyNumber(_) => return None,
    })
}

/// Reads a value in the hub's own form, as examples and cases write it.
pub(crate) fn from_hub_text(field: &Field, text: &str) -> Result<Value, Bilingual> {
    let not = |ja: &str, en: &str| Bilingual::new(format!("{ja}ではありません"), format!("not {en}"));
    let fits = match field.value_type {
        ValueType::Bool => matches!(text, "true" | "false"),
        ValueType::Date => PartialDate::is_date_shaped(text),
        ValueType::DateTime => Carried::is_local_time(text),
        ValueType::Decimal => Carried::is_decimal(text),
        ValueType::Integer => text.parse::<i64>().is_ok(),
        ValueType::Code | ValueType::MyNumber | ValueType::Text => !text.is_empty(),
    };
    if !fits {
        return Err(match field.value_type {
            ValueType::Bool => not("true / false ", "true or false"),
            ValueType::Date => not("日付", "a date"),
            ValueType::DateTime => not("日時", "a date and time"),
            ValueType::Decimal => not("数値", "a decimal number"),
            ValueType::Integer => not("整数", "a whole number"),
            ValueType::Code | ValueType::MyNumber | ValueType::Text => not("空でない文字列", "a text"),
        });
    }
    value(field, Carried::Text(Cow::Borrowed(text))).map(|(value, _)| value).map_err(|fault| fault.reason)
}

fn check_text(field: &Field, text: &str) -> Result<bool, ValueFault> {
    if let Some(rule) = &field.identifier {
        return match identifier::check(rule, text) {
            Ok(warning) => Ok(warning.is_some()),
            Err(fault) => Err(identifier_fault(fault)),
        };
    }
    match field.max_length {
        Some(most) if text.chars().count() > most => Err(ValueFault::new(
            RowCode::InvalidValue,
            format!("{most} 文字を超えています"),
            format!("longer than {most} characters"),
        )),
        _ => Ok(false),
    }
}

fn identifier_fault(fault: IdentifierFault) -> ValueFault {
    let code = RowCode::InvalidIdentifier;
    match fault {
        IdentifierFault::Characters => ValueFault::new(
            code,
            "使えない文字があります（半角数字のみ）",
            "has characters other than half-width digits",
        ),
        IdentifierFault::CheckDigit => ValueFault::new(code, "検査数字が合いません", "the check digit is wrong"),
        IdentifierFault::Length => ValueFault::new(code, "桁数が合いません", "has the wrong length"),
    }
}

/// A whole number, also where its point is followed by zeros only.
fn whole(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.bytes().all(|b| b == b'0') { whole.parse().ok() } else { None }
}
