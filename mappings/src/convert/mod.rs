//! Converters: from the participant's spelling to the hub's and back, in a chain that is applied left to right when
//! reading and right to left when writing.

mod chain;
mod date;
mod datetime;
mod era;
mod number;
mod text;

use std::borrow::Cow;

use tsunagi_core::fault::Bilingual;
use tsunagi_core::partial_date::PartialDate;

pub(crate) use chain::{Chain, Setting};
pub(crate) use date::DateForm;
use number::Shift;

/// A value on its way through a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Carried<'a> {
    Date(PartialDate),
    Text(Cow<'a, str>),
}

impl Carried<'_> {
    /// True for `YYYY-MM-DDThh:mm[:ss]`, the hub's form of a time.
    pub(crate) fn is_local_time(text: &str) -> bool {
        datetime::read(text).is_ok_and(|local| local == text)
    }

    /// True for a decimal in the hub's form.
    pub(crate) fn is_decimal(text: &str) -> bool {
        number::decimal(Cow::Borrowed(text)).is_ok_and(|decimal| decimal == text)
    }
}

/// One converter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Converter {
    /// Yes and no in the participant's words.
    Bool { yes: &'static str, no: &'static str },
    /// A date in one notation.
    Date(DateForm),
    /// A date and time; with seconds and the offset of Japan when written, where the format wants an instant.
    DateTime { offset: bool },
    /// An exact decimal.
    Decimal,
    /// Reads half-width letters and digits as full-width ones.
    FullWidth,
    /// Reads full-width letters and digits as half-width ones.
    HalfWidth,
    /// A whole number.
    Integer,
    /// A subtree of JSON as compact text.
    JsonText,
    /// The participant writes half-width kana.
    KanaFull,
    /// Padded to a width when written.
    LeftPad { width: usize, pad: char },
    /// The participant writes this text in front.
    Prefix(String),
    /// The participant counts in another unit.
    Quantity(Shift),
    /// Space around the text is not part of it.
    Trim,
}

/// What comes out of a converter when reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Yields {
    Bool,
    Date,
    DateTime,
    Decimal,
    Integer,
    Text,
}

/// What reading a value gave besides the value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Noted {
    /// The date was written in an era that had ended.
    pub(crate) era_overlong: bool,
}

impl Converter {
    pub(super) const ONE_ZERO: Self = Self::Bool { yes: "1", no: "0" };
    pub(super) const TRUE_FALSE: Self = Self::Bool { yes: "true", no: "false" };

    /// Parses `name` or `name(arguments)`. `is_fhir`: dates and times are written as FHIR wants them.
    pub(crate) fn parse(text: &str, is_fhir: bool) -> Result<Self, Bilingual> {
        let (name, arguments) = match text.split_once('(') {
            Some((name, rest)) => (name, Some(rest.strip_suffix(')').ok_or_else(|| unknown(text))?)),
            None => (text, None),
        };
        let converter = match (name, arguments) {
            ("bool_1_0", None) => Self::ONE_ZERO,
            ("bool_2_1", None) => Self::Bool { yes: "2", no: "1" },
            ("bool_true_false", None) => Self::TRUE_FALSE,
            ("compact_date", None) => Self::Date(DateForm::Compact),
            ("decimal", None) => Self::Decimal,
            ("era_date", None) => Self::Date(DateForm::Era),
            ("era_date_dotted", None) => Self::Date(DateForm::EraDotted),
            ("full_width", None) => Self::FullWidth,
            ("half_width", None) => Self::HalfWidth,
            ("integer", None) => Self::Integer,
            ("iso_date", None) => Self::Date(if is_fhir { DateForm::Fhir } else { DateForm::Iso }),
            ("iso_datetime", None) => Self::DateTime { offset: is_fhir },
            ("json_text", None) => Self::JsonText,
            ("kana_full", None) => Self::KanaFull,
            ("left_pad", Some(arguments)) => left_pad(arguments).ok_or_else(|| unknown(text))?,
            ("prefix", Some(prefix)) if !prefix.is_empty() => Self::Prefix(prefix.to_owned()),
            ("quantity", Some(arguments)) => Self::Quantity(Shift::parse(arguments).ok_or_else(|| unknown(text))?),
            ("slash_date", None) => Self::Date(DateForm::Slash),
            ("trim", None) => Self::Trim,
            _ => return Err(unknown(text)),
        };
        Ok(converter)
    }

    pub(crate) fn yields(&self) -> Yields {
        match self {
            Self::Bool { .. } => Yields::Bool,
            Self::Date(_) => Yields::Date,
            Self::DateTime { .. } => Yields::DateTime,
            Self::Decimal | Self::Quantity(_) => Yields::Decimal,
            Self::FullWidth
            | Self::HalfWidth
            | Self::JsonText
            | Self::KanaFull
            | Self::LeftPad { .. }
            | Self::Prefix(_)
            | Self::Trim => Yields::Text,
            Self::Integer => Yields::Integer,
        }
    }

    /// From the participant's spelling towards the hub's.
    fn read<'a>(&self, value: Carried<'a>, noted: &mut Noted) -> Result<Carried<'a>, Bilingual> {
        let Carried::Text(text) = value else { return Ok(value) };
        let text = match self {
            Self::Bool { yes, no } => return bool_from(&text, yes, no),
            Self::Date(form) => return form.read(&text, noted).map(Carried::Date),
            Self::DateTime { .. } => Cow::Owned(datetime::read(&text)?),
            Self::Decimal => number::decimal(text)?,
            Self::FullWidth => text::full_width(text),
            Self::HalfWidth => text::half_width(text),
            Self::Integer => number::integer(text)?,
            Self::JsonText | Self::LeftPad { .. } => text,
            Self::KanaFull => text::kana_to_full(text),
            Self::Prefix(prefix) => text::without_prefix(text, prefix)?,
            Self::Quantity(shift) => Cow::Owned(shift.read(number::decimal(text)?.as_ref())),
            Self::Trim => text::trim(text),
        };
        Ok(Carried::Text(text))
    }

    /// From the hub's spelling towards the participant's; `None` where nothing can be said.
    fn write<'a>(&self, value: Carried<'a>) -> Option<Carried<'a>> {
        let text = match (self, value) {
            (Self::Date(form), Carried::Date(date)) => Cow::Owned(form.write(&date)?),
            (_, Carried::Date(date)) => return Some(Carried::Date(date)),
            (Self::Bool { yes, no }, Carried::Text(text)) => Cow::Borrowed(if text == "true" { *yes } else { *no }),
            (Self::DateTime { offset: true }, Carried::Text(text)) => Cow::Owned(datetime::with_offset(&text)),
            (Self::KanaFull, Carried::Text(text)) => text::kana_to_half(text),
            (Self::LeftPad { width, pad }, Carried::Text(text)) => text::left_pad(text, *width, *pad),
            (Self::Prefix(prefix), Carried::Text(text)) => Cow::Owned(format!("{prefix}{text}")),
            (Self::Quantity(shift), Carried::Text(text)) => Cow::Owned(shift.write(&text)),
            (
                Self::Date(_)
                | Self::DateTime { offset: false }
                | Self::Decimal
                | Self::FullWidth
                | Self::HalfWidth
                | Self::Integer
                | Self::JsonText
                | Self::Trim,
                Carried::Text(text),
            ) => text,
        };
        Some(Carried::Text(text))
    }
}

fn bool_from<'a>(text: &str, yes: &str, no: &str) -> Result<Carried<'a>, Bilingual> {
    if text == yes {
        Ok(Carried::Text(Cow::Borrowed("true")))
    } else if text == no {
        Ok(Carried::Text(Cow::Borrowed("false")))
    } else {
        Err(Bilingual::new(format!("{yes} か {no} ではありません"), format!("neither {yes} nor {no}")))
    }
}

fn left_pad(arguments: &str) -> Option<Converter> {
    let (width, pad) = arguments.split_once(',')?;
    let mut pad = pad.chars();
    match (pad.next(), pad.next()) {
        (Some(pad), None) => Some(Converter::LeftPad { width: width.trim().parse().ok()?, pad }),
        _ => None,
    }
}

fn unknown(text: &str) -> Bilingual {
    Bilingual::new(format!("変換 {text} はありません"), format!("there is no converter {text}"))
}
