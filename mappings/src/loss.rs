//! What a layout loses of a value that it carries: computed from the layout, and what is equal once it is lost.

use std::sync::Arc;

use serde::Serialize;
use tsunagi_core::partial_date::PartialDate;
use tsunagi_core::value::Value;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::compose;

use crate::convert::{DateForm, Noted};
use crate::json;
use crate::shrink::ShrinkTable;

/// One loss. What it does not explain must come back exactly as it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "loss")]
pub enum LossKind {
    /// Nothing at the place is read as this, in the participant's form.
    Absent {
        /// The default
        default: String,
    },
    /// The charset has not every character: some are written as their twins, a record with others is held.
    Charset {
        /// As layouts name it
        charset: String,
    },
    /// Two of the hub's codes are one of the participant's.
    CodeMerged {
        /// The hub's code that is written
        code: String,
        /// The hub's code that comes back
        becomes: String,
    },
    /// The participant has no counterpart of this code: a record with it is held.
    CodeUnwritable {
        /// The hub's code
        code: String,
    },
    /// Of a date that is not whole, what is known stays; the sender's own spelling stays only where this notation has it.
    DateSpelling {
        /// `compact`, `fhir`, `iso` or `slash`
        notation: &'static str,
    },
    /// A date of which nothing is known is left out.
    DateUnknown,
    /// Computed by the gateway: written, and computed again when read.
    Derived,
    /// A date that is not whole and was written in an era that had ended comes back in the era of its time.
    EraOverlong,
    /// 個人番号 is read and never written.
    IndividualNumber,
    /// Only JSON can stand here, and it comes back without the space between its parts. Other text is held.
    JsonText,
    /// Half-width kana come back as full-width ones, the wide space as the narrow one.
    Kana,
    /// A text shorter than this comes back filled up.
    Padding {
        /// In characters
        width: usize,
        /// With this
        pad: char,
    },
    /// A number with fewer decimals comes back with so many: the participant counts in a smaller unit.
    Places {
        /// Decimals
        places: usize,
    },
    /// A time without seconds comes back with zero seconds.
    Seconds,
    /// Two of the participant's codes are one of the hub's.
    SenderCodeMerged {
        /// The participant's code that is read
        code: String,
        /// The participant's code that is written back
        becomes: String,
    },
    /// Characters that the charset has no place for are written as others, by a table; of a delivery with one the log says so.
    Shrunk {
        /// `characters/<table>.csv`
        table: String,
        /// Its lines
        #[serde(skip)]
        characters: Arc<ShrinkTable>,
    },
    /// The space around a text is not part of it.
    Space,
    /// A text that is one of the participant's codes comes back as what that code stands for.
    TextAsCode,
    /// A record with more values than this is held.
    Values {
        /// Columns there are
        most: usize,
    },
    /// Letters and digits of the other width come back in this one.
    Width,
}

impl LossKind {
    /// The value with what is lost taken away; `None` if nothing is left of it. Two values that are equal then may
    /// become each other.
    pub(crate) fn fold(&self, value: Value) -> Option<Value> {
        Some(match (self, value) {
            (Self::CodeMerged { code, becomes }, Value::Code(found)) if found == *code => Value::Code(becomes.clone()),
            (Self::DateUnknown, Value::Date(PartialDate::Unknown { .. })) => return None,
            (Self::Places { places }, Value::Decimal(text)) => Value::Decimal(with_decimals(&text, *places)),
            (Self::Seconds, Value::DateTime(text)) if text.len() == MINUTES => Value::DateTime(format!("{text}:00")),
            (_, Value::Text(text)) => Value::Text(self.fold_text(text)?),
            (_, value) => value,
        })
    }

    fn fold_text(&self, text: String) -> Option<String> {
        let folded = match self {
            Self::Charset { charset } if is_limited(charset) => text.chars().map(cp932_twin).collect(),
            Self::JsonText => match json::parse(&text) {
                Ok(node) => Some(json::compact(&node)).filter(|text| !matches!(text.as_str(), "null" | "\"\""))?,
                Err(_) => text,
            },
            Self::Kana => with_wide_kana(&text),
            Self::Width => text.chars().map(narrow).collect(),
            Self::Padding { width, pad } => {
                let missing = width.saturating_sub(text.chars().count());
                std::iter::repeat_n(*pad, missing).chain(text.chars()).collect()
            }
            Self::Shrunk { characters, .. } => characters.shrunk(&text).into_owned(),
            Self::Space => text.trim().to_owned(),
            Self::Absent { .. }
            | Self::Charset { .. }
            | Self::CodeMerged { .. }
            | Self::CodeUnwritable { .. }
            | Self::DateSpelling { .. }
            | Self::DateUnknown
            | Self::Derived
            | Self::EraOverlong
            | Self::IndividualNumber
            | Self::Places { .. }
            | Self::Seconds
            | Self::SenderCodeMerged { .. }
            | Self::TextAsCode
            | Self::Values { .. } => text,
        };
        (!folded.is_empty()).then_some(folded)
    }

    /// True if a record with these values of the field is held: the participant's form has no place for them.
    pub(crate) fn holds(&self, values: &[Value]) -> bool {
        match self {
            Self::CodeUnwritable { code } => values.iter().any(|value| matches!(value, Value::Code(c) if c == code)),
            Self::JsonText => {
                values.iter().any(|value| matches!(value, Value::Text(text) if json::parse(text).is_err()))
            }
            Self::Values { most } => values.len() > *most,
            _ => false,
        }
    }

    /// True if this loss explains how a date that is not whole came back.
    pub(crate) fn explains_date(&self, before: &Value, after: &Value) -> bool {
        let (Value::Date(before), Value::Date(after)) = (before, after) else { return false };
        let is_same_day = before.known() == after.known() && before.earliest() == after.earliest();
        let is_lost = match self {
            Self::DateSpelling { notation } => !has_spelling(notation, before),
            Self::EraOverlong => is_overlong(before),
            _ => false,
        };
        before.full().is_none() && is_same_day && is_lost
    }
}

/// True if the spelling that a date keeps is of an era that had ended.
fn is_overlong(date: &PartialDate) -> bool {
    let mut noted = Noted::default();
    DateForm::Era.read(&date.to_string(), &mut noted).is_ok() && noted.era_overlong
}

/// True if a notation has the spelling that a date of the hub keeps, told by its shape alone.
fn has_spelling(notation: &str, date: &PartialDate) -> bool {
    let raw = date.to_string();
    let is_plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric());
    // Four digits first: with the letter of an era in front the same signs part another notation.
    let is_parted = |by: char| {
        let mut parts = raw.split(by);
        let year = parts.next().is_some_and(|year| year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit()));
        year && parts.all(|part| is_plain(part) && matches!(part.len(), 0 | 2))
    };
    match notation {
        "compact" => is_plain(&raw) && matches!(raw.len(), 4 | 6 | 8),
        "fhir" => date.known().as_deref() == Some(&raw),
        "iso" => is_parted('-'),
        "slash" => is_parted('/'),
        _ => true,
    }
}

/// True for a charset that has not every character.
pub(crate) fn is_limited(charset: &str) -> bool {
    matches!(charset, "cp932" | "iso-2022-jp")
}

/// The character of CP932 that stands for this one: systems differ in which of the two they read from the same bytes.
pub(crate) fn cp932_twin(c: char) -> char {
    TWINS.iter().find(|(from, _)| *from == c).map_or(c, |(_, to)| *to)
}

/// Half-width kana and the space in their other form, and nothing else: another sign that becomes a similar one is a
/// loss. Voice marks that stand alone become the joining ones, since half-width kana cannot tell them apart.
fn with_wide_kana(text: &str) -> String {
    let mut wide = String::with_capacity(text.len());
    for c in text.chars() {
        let c = match c {
            '゛' | 'ﾞ' => '\u{3099}',
            '゜' | 'ﾟ' => '\u{309A}',
            '｡'..='ﾝ' => std::iter::once(c).nfkc().next().unwrap_or(c),
            '\u{3000}' => ' ',
            c => c,
        };
        let before = wide.chars().next_back().filter(|_| matches!(c, '\u{3099}' | '\u{309A}'));
        match before.and_then(|before| compose(before, c)) {
            Some(joined) => {
                wide.pop();
                wide.push(joined);
            }
            None => wide.push(c),
        }
    }
    wide
}

/// The half-width form of a full-width letter, digit, sign or space.
fn narrow(c: char) -> char {
    match c {
        '！'..='～' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        '\u{3000}' => ' ',
        c => c,
    }
}

fn with_decimals(text: &str, least: usize) -> String {
    let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let missing = least.saturating_sub(decimals);
    let dot = if decimals == 0 && missing > 0 { "." } else { "" };
    format!("{text}{dot}{}", "0".repeat(missing))
}

/// `YYYY-MM-DDThh:mm`
const MINUTES: usize = 16;

/// What the certificate says of CP932, pair by pair.
pub(crate) const TWINS: [(char, char); 9] = [
    ('〜', '～'),
    ('−', '－'),
    ('‖', '∥'),
    ('—', '―'),
    ('¢', '￠'),
    ('£', '￡'),
    ('¥', '￥'),
    ('¬', '￢'),
    ('‾', '￣'),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn what_is_lost_is_taken_away_and_nothing_else() {
        let decimal = |text: &str| Value::Decimal(text.to_owned());
        let unknown = Value::Date(PartialDate::Unknown { raw: "不明".to_owned() });
        for (loss, before, after) in [
            (LossKind::Places { places: 3 }, decimal("3.2"), Some(decimal("3.200"))),
            (LossKind::Places { places: 3 }, decimal("3"), Some(decimal("3.000"))),
            (LossKind::Places { places: 3 }, decimal("3.2500"), Some(decimal("3.2500"))),
            (LossKind::Kana, text("ｶﾞ　ア"), Some(text("ガ ア"))),
            (LossKind::Kana, text("カ゛"), Some(text("ガ"))),
            (LossKind::Kana, text("①\u{FA19}㈱Ａ"), Some(text("①\u{FA19}㈱Ａ"))),
            (LossKind::Width, text("Ａ－１　①\u{FA19}ｱ"), Some(text("A-1 ①\u{FA19}ｱ"))),
            (LossKind::Padding { width: 8, pad: '0' }, text("12345"), Some(text("00012345"))),
            (LossKind::Charset { charset: "cp932".to_owned() }, text("1〜2"), Some(text("1～2"))),
            (LossKind::Charset { charset: "utf-8".to_owned() }, text("1〜2"), Some(text("1〜2"))),
            (LossKind::JsonText, text("{ \"a\" : 1 }"), Some(text("{\"a\":1}"))),
            (LossKind::JsonText, text("null"), None),
            (LossKind::Space, text("  "), None),
            (LossKind::DateUnknown, unknown.clone(), None),
            (LossKind::Seconds, unknown.clone(), Some(unknown)),
        ] {
            assert_eq!(loss.fold(before), after, "{loss:?}");
        }
    }

    #[test]
    fn a_spelling_that_the_notation_has_must_come_back() {
        let date = |raw: &str| Value::Date(PartialDate::read_iso(raw));
        let iso = LossKind::DateSpelling { notation: "iso" };
        assert!(iso.explains_date(&date("19500300"), &date("1950-03-00")));
        assert!(!iso.explains_date(&date("1950-03-A1"), &date("1950-03-00")), "ISO has this spelling");
        assert!(!iso.explains_date(&date("19500300"), &date("1950-04-00")), "another month");
        assert!(!iso.explains_date(&date("1950-03-01"), &date("1950-03-00")), "a whole date");
        let of_era = |raw: &str| Value::Date(DateForm::Era.read(raw, &mut Noted::default()).expect("a date"));
        assert!(iso.explains_date(&of_era("S50-03-00"), &date("1975-03-00")), "parted alike, and another notation");
        assert!(LossKind::EraOverlong.explains_date(&of_era("昭和81年3月上旬"), &of_era("H18.03.00")));
        assert!(
            !LossKind::EraOverlong.explains_date(&of_era("昭和50年3月上旬"), &of_era("S50.03.00")),
            "it had not ended"
        );
        let fhir = LossKind::DateSpelling { notation: "fhir" };
        assert!(fhir.explains_date(&date("1950-A1-00"), &date("1950")));
    }
}
