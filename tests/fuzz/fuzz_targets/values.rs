//! Values: any text through any chain of converters, as a date, an identifier, an insured person's number, a kana key.
//! What is read is written, and what was written reads as the same value, less what the loss certificate says.
//!
//! Input: a byte for the chain, then lines of text.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tsunagi_core::id::{
    BatchId, ChannelId, ExchangeId, FieldKey, FormatName, LayoutId, ParticipantId, SubjectKey, TenantId,
};
use tsunagi_core::identifier::{IdentifierFault, SchemeKey, check, medical_institution, modulus_10, my_number};
use tsunagi_core::insured::{InsuredId, InsurerNumber};
use tsunagi_core::municipality::MunicipalityCode;
use tsunagi_core::partial_date::PartialDate;
use tsunagi_core::schedule::Length;
use tsunagi_core::value::Value;
use tsunagi_fuzz::fields::{CHAINS, field, rules};
use tsunagi_fuzz::{Input, builtin};
use tsunagi_mappings::{Converters, kana_match_key};

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let chain = &chains()[input.below(CHAINS.len())];
    while !input.0.is_empty() {
        let Some(text) = input.text_line() else { continue };
        converted(chain, text);
        date(text);
        identifiers(text);
        names(text);
        kana(text);
    }
});

fn chains() -> &'static Vec<Converters> {
    static CHAINS_PARSED: OnceLock<Vec<Converters>> = OnceLock::new();
    CHAINS_PARSED.get_or_init(|| {
        let parse = |(value_type, format, names): &(_, char, &[&str])| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Converters::parse(&names, field(*value_type), *format == 'f', *format == 'l').expect("a chain")
        };
        CHAINS.iter().map(parse).collect()
    })
}

fn converted(chain: &Converters, text: &str) {
    let Some((value, _)) = chain.read(text) else { return };
    in_the_hubs_form(&value);
    let read_back = |value: &Value| chain.write(value).and_then(|written| chain.read(&written));
    let once = read_back(&value);
    if let Some((after, true)) = &once {
        panic!("{after:?} is written in an era that had ended");
    }
    let once = once.map(|(value, _)| value);
    assert!(chain.explain(&value, once.as_ref()), "{text:?} read as {value:?} comes back as {once:?}");
    let Some(once) = once else { return };
    let twice = read_back(&once).map(|(value, _)| value);
    assert_eq!(twice.as_ref(), Some(&once), "what is lost is lost the first time");
}

/// What a value looks like whatever it was made of.
fn in_the_hubs_form(value: &Value) {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match value {
        Value::Date(date) => bounds(date),
        Value::DateTime(text) => {
            assert!(matches!(text.len(), 16 | 19) && text.as_bytes().get(10) == Some(&b'T'), "{text}");
            assert!(value.date().and_then(|date| date.full()).is_some(), "{text} is of no day");
        }
        Value::Decimal(text) => {
            let body = text.strip_prefix('-').unwrap_or(text);
            let (whole, fraction) = body.split_once('.').map_or((body, "0"), |parts| parts);
            assert!(digits(whole) && digits(fraction), "{text}");
            assert!(whole == "0" || !whole.starts_with('0'), "{text}");
        }
        Value::Bool(_) | Value::Code(_) | Value::Integer(_) | Value::MyNumber(_) | Value::Text(_) => {}
    }
}

fn bounds(date: &PartialDate) {
    match (date.earliest(), date.latest()) {
        (Some(earliest), Some(latest)) => assert!(earliest <= latest, "{date:?}"),
        (None, None) => assert!(date.known().is_none(), "{date:?}"),
        halves => panic!("{date:?} has {halves:?}"),
    }
    if let Some(day) = date.full() {
        assert_eq!((date.earliest(), date.latest()), (Some(day), Some(day)));
    }
}

fn date(text: &str) {
    let date = PartialDate::read_iso(text);
    bounds(&date);
    if date.full().is_none() {
        assert_eq!(date.to_string(), text, "the spelling is kept");
    }
    assert_eq!(PartialDate::read_iso(&date.to_string()), date);
    if let Some(known) = date.known() {
        let again = PartialDate::read_iso(&known);
        assert_eq!((again.earliest(), again.latest()), (date.earliest(), date.latest()), "{known} of {text:?}");
        assert_eq!(again.known(), Some(known));
    }
    // A day that does not exist is of no shape, and what has none is no whole date.
    assert!(date.full().is_none() || PartialDate::is_date_shaped(text), "{text:?}");
    if let Ok(length) = Length::parse(text) {
        let births = [jiff::civil::Date::MIN, tsunagi_fuzz::TODAY, jiff::civil::Date::MAX];
        for birth in births {
            assert!(length.last_day_under(birth) <= length.first_day(birth));
            assert!(length.first_day_after(birth) >= birth);
        }
        assert!(!length.as_age().ja.is_empty() && !length.as_interval().en.is_empty());
    }
}

fn identifiers(text: &str) {
    for rule in rules() {
        match check(&rule, text) {
            Ok(_) => {
                let length = text.chars().count();
                assert!((rule.min_length..=rule.max_length).contains(&length));
                let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
                assert!(is_plain || !(rule.digits_only || rule.check_digit.is_some()));
            }
            Err(IdentifierFault::CheckDigit | IdentifierFault::Characters | IdentifierFault::Length) => {}
        }
    }
    for digit in [modulus_10(text), medical_institution(text), my_number(text)].into_iter().flatten() {
        assert!(digit < 10);
    }
    if let Some(key) = SchemeKey::of(text) {
        assert_eq!(format!("{}{}", key.category, key.prefecture), text[..4]);
    }
    builtin().scheme(text, tsunagi_fuzz::TODAY);
    if let Ok(insurer) = InsurerNumber::parse(text) {
        assert_eq!((insurer.zero_padded().len(), insurer.space_padded().len()), (8, 8));
        assert_eq!(InsurerNumber::parse(insurer.zero_padded()).as_ref(), Ok(&insurer));
        assert_eq!(InsurerNumber::parse(&insurer.space_padded()).as_ref(), Ok(&insurer));
    }
    if let Ok(insured) = InsuredId::parse(text) {
        assert_eq!(InsuredId::parse(&insured.to_string()).as_ref(), Ok(&insured));
        assert_eq!(insured.dependent().is_some(), insured.branch.is_some());
    }
    if let Ok(code) = MunicipalityCode::parse(text) {
        assert_eq!(code.as_str(), text);
        assert_eq!(MunicipalityCode::from_five(code.five()), Ok(code));
    }
}

fn names(text: &str) {
    macro_rules! comes_back {
        ($($name:ident)*) => {$(
            if let Ok(id) = $name::parse(text) {
                assert_eq!(id.as_str(), text);
                assert!(text.is_ascii() && text.len() <= 96);
            }
        )*};
    }
    comes_back!(BatchId ChannelId ExchangeId FieldKey FormatName LayoutId ParticipantId SubjectKey TenantId);
}

/// A key is a fixed point, and the widths of a name make no difference to it.
fn kana(text: &str) {
    let key = kana_match_key(text);
    assert_eq!(kana_match_key(&key), key, "{text:?}");
    assert_eq!(kana_match_key(&format!(" {text}　")), key, "{text:?}");
}
