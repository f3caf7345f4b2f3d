//! Chains of converters, checked against the type of the field they lead to.

use std::borrow::Cow;

use tsunagi_core::fault::Bilingual;
use tsunagi_core::value::ValueType;

use super::date::DateForm;
use super::{Carried, Converter, Noted, Yields};

/// The converters of one layout row, in reading order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain(Vec<Converter>);

/// What a chain depends on besides what the row says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    /// The type of the field.
    pub(crate) value_type: ValueType,
    /// The unit of the field.
    pub(crate) unit: Option<&'a str>,
    /// The format is FHIR: dates lose what cannot be said, times have an offset.
    pub(crate) is_fhir: bool,
    /// The document is a table line, where everything is text.
    pub(crate) is_line: bool,
}

impl Chain {
    /// Parses what a row says and adds the usual converter of the type where none of the named ones leads to it.
    pub(crate) fn parse(names: Option<&[String]>, setting: Setting<'_>) -> Result<Self, Vec<Bilingual>> {
        let mut converters = Vec::new();
        let mut faults = Vec::new();
        for name in names.unwrap_or_default() {
            match Converter::parse(name, setting.is_fhir) {
                Ok(converter) => converters.push(converter),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() {
            check(&mut converters, setting, &mut faults);
        }
        if faults.is_empty() { Ok(Self(converters)) } else { Err(faults) }
    }

    /// The converters, in reading order.
    pub(crate) fn converters(&self) -> &[Converter] {
        &self.0
    }

    /// True if the chain takes a subtree of JSON as it is.
    pub(crate) fn takes_subtree(&self) -> bool {
        matches!(self.0.first(), Some(Converter::JsonText))
    }

    /// True if the participant's form is a JSON boolean.
    pub(crate) fn takes_bool(&self) -> bool {
        self.0.first() == Some(&Converter::TRUE_FALSE)
    }

    /// From the participant's spelling to the hub's.
    pub(crate) fn read<'a>(&self, text: Cow<'a, str>, noted: &mut Noted) -> Result<Carried<'a>, Bilingual> {
        self.0.iter().try_fold(Carried::Text(text), |value, converter| converter.read(value, noted))
    }

    /// From the hub's spelling to the participant's; `None` where nothing can be said: the value is left out.
    pub(crate) fn write<'a>(&self, value: Carried<'a>) -> Option<Cow<'a, str>> {
        match self.0.iter().rev().try_fold(value, |value, converter| converter.write(value))? {
            Carried::Date(date) => date.known().map(Cow::Owned),
            Carried::Text(text) => Some(text),
        }
    }
}

fn check(converters: &mut Vec<Converter>, setting: Setting<'_>, faults: &mut Vec<Bilingual>) {
    let mut state = Yields::Text;
    for (at, converter) in converters.iter().enumerate() {
        let follows_number = state == Yields::Decimal && converter.yields() == Yields::Decimal;
        if state != Yields::Text && !follows_number {
            faults.push(Bilingual::new(
                "型を決める変換の後に別の変換があります",
                "a converter stands after the one that settles the type",
            ));
        }
        state = converter.yields();
        match converter {
            Converter::Quantity(shift) if setting.unit != Some(shift.unit()) => faults.push(Bilingual::new(
                "quantity の単位が項目の単位と一致しません",
                "the unit of quantity is not the unit of the field",
            )),
            Converter::JsonText if at > 0 || setting.is_line => faults.push(Bilingual::new(
                "json_text は JSON の形式で先頭にだけ置けます",
                "json_text stands first, and in JSON formats only",
            )),
            _ => {}
        }
    }
    let wanted = wanted(setting.value_type);
    if state == Yields::Text {
        converters.extend(usual(wanted, setting));
    } else if state != wanted && !(wanted == Yields::Integer && state == Yields::Decimal) {
        faults
            .push(Bilingual::new("変換が項目の型に合いません", "the converters do not lead to the type of the field"));
    }
}

fn wanted(value_type: ValueType) -> Yields {
    match value_type {
        ValueType::Bool => Yields::Bool,
        ValueType::Date => Yields::Date,
        ValueType::DateTime => Yields::DateTime,
        ValueType::Decimal => Yields::Decimal,
        ValueType::Integer => Yields::Integer,
        ValueType::Code | ValueType::MyNumber | ValueType::Text => Yields::Text,
    }
}

fn usual(wanted: Yields, setting: Setting<'_>) -> Option<Converter> {
    Some(match wanted {
        Yields::Bool if setting.is_line => Converter::ONE_ZERO,
        Yields::Bool => Converter::TRUE_FALSE,
        Yields::Date if setting.is_fhir => Converter::Date(DateForm::Fhir),
        Yields::Date => Converter::Date(DateForm::Iso),
        Yields::DateTime => Converter::DateTime { offset: setting.is_fhir },
        Yields::Decimal => Converter::Decimal,
        Yields::Integer => Converter::Integer,
        Yields::Text => return None,
    })
}

#[cfg(test)]
mod tests;
