use proptest::prelude::*;

use super::*;

fn setting(value_type: ValueType) -> Setting<'static> {
    Setting { value_type, unit: None, is_fhir: false, is_line: true }
}

fn chain(names: &[&str], setting: Setting<'_>) -> Result<Chain, Vec<Bilingual>> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    Chain::parse((!names.is_empty()).then_some(names.as_slice()), setting)
}

fn read_then_write(chain: &Chain, text: &str) -> Option<String> {
    let read = chain.read(Cow::Borrowed(text), &mut Noted::default()).ok()?;
    chain.write(read).map(Cow::into_owned)
}

#[test]
fn the_usual_converter_of_the_type_is_added() {
    let fhir = |value_type| Setting { is_fhir: true, is_line: false, ..setting(value_type) };
    for (names, setting, text, back) in [
        (&[][..], setting(ValueType::Bool), "1", Some("1")),
        (&[], setting(ValueType::Bool), "true", None),
        (&[], fhir(ValueType::Bool), "true", Some("true")),
        (&[], fhir(ValueType::Bool), "1", None),
        (&[], setting(ValueType::Date), "1950-A1-00", Some("1950-A1-00")),
        (&[], fhir(ValueType::Date), "1950-03", Some("1950-03")),
        (&[], fhir(ValueType::Date), "1950-A1-00", None),
        (&[], fhir(ValueType::Date), "2026-03-31T20:00:00Z", Some("2026-04-01")),
        (&[], fhir(ValueType::DateTime), "2026-04-01T10:20:30+09:00", Some("2026-04-01T10:20:30+09:00")),
        (&["trim"], setting(ValueType::Date), " 2026-04-01 ", Some("2026-04-01")),
        (&["half_width"], setting(ValueType::Integer), "３８", Some("38")),
        (&["era_date"], setting(ValueType::Date), "R8.4.1", Some("令和8年4月1日")),
        (&["era_date"], setting(ValueType::Date), "昭和25年春", Some("昭和25年春")),
        (&["era_date"], setting(ValueType::Date), "平成31年6月", Some("令和元年6月")),
        (&["era_date"], setting(ValueType::Date), "明治5年1月1日", Some("明治5年1月1日")),
        (&["era_date_dotted"], setting(ValueType::Date), "平成31年5月1日", Some("R01.05.01")),
        (&["compact_date"], setting(ValueType::Date), "1950A100", Some("1950A100")),
        (&["compact_date"], setting(ValueType::Date), "2026-04-01", None),
        (&["slash_date"], setting(ValueType::Date), "2026/04/01", Some("2026/04/01")),
        (&["iso_date"], setting(ValueType::Date), "20260401", None),
        (&["iso_date"], setting(ValueType::Date), "1950", Some("1950")),
        (&["kana_full"], setting(ValueType::Text), "ｱｲﾁ", Some("ｱｲﾁ")),
        (&["left_pad(8,0)"], setting(ValueType::Text), "12345", Some("00012345")),
        (&["prefix(Patient/)"], setting(ValueType::Text), "Patient/1", Some("Patient/1")),
        (&["prefix(Patient/)"], setting(ValueType::Text), "1", None),
    ] {
        let chain = chain(names, setting).unwrap_or_else(|faults| panic!("{names:?}: {faults:?}"));
        assert_eq!(read_then_write(&chain, text).as_deref(), back, "{names:?} {text}");
    }
}

#[test]
fn a_chain_that_does_not_lead_to_the_type_is_refused() {
    let kilograms = Setting { unit: Some("kg"), ..setting(ValueType::Decimal) };
    for (names, setting) in [
        (&["iso_date"][..], setting(ValueType::Text)),
        (&["bool_1_0"], setting(ValueType::Code)),
        (&["decimal"], setting(ValueType::Date)),
        (&["iso_date", "trim"], setting(ValueType::Date)),
        (&["quantity(g,kg)"], setting(ValueType::Decimal)),
        (&["quantity(kg,g)"], kilograms),
        (&["quantity(g,cm)"], kilograms),
        (&["json_text"], setting(ValueType::Text)),
        (&["sparkle"], setting(ValueType::Text)),
        (&["left_pad(8)"], setting(ValueType::Text)),
        (&["left_pad(8,00)"], setting(ValueType::Text)),
        (&["prefix()"], setting(ValueType::Text)),
        (&["prefix(x"], setting(ValueType::Text)),
        (&["trim(1)"], setting(ValueType::Text)),
    ] {
        assert!(chain(names, setting).is_err(), "{names:?}");
    }
    assert!(chain(&["half_width", "quantity(g,kg)"], kilograms).is_ok());
    assert!(chain(&["decimal", "quantity(g,kg)"], kilograms).is_ok());
}

proptest! {
    #[test]
    fn every_notation_reads_back_what_it_writes(days in 0_i32..100_000) {
        let start = jiff::civil::date(1873, 1, 1);
        let day = start.saturating_add(jiff::Span::new().days(days));
        for name in ["era_date", "era_date_dotted", "iso_date", "compact_date", "slash_date"] {
            let chain = chain(&[name], setting(ValueType::Date)).expect("a chain");
            let date = tsunagi_core::partial_date::PartialDate::Full(day);
            let written = chain.write(Carried::Date(date.clone())).expect("written");
            let mut noted = Noted::default();
            prop_assert_eq!(chain.read(written, &mut noted), Ok(Carried::Date(date)));
            prop_assert!(!noted.era_overlong);
        }
    }

    #[test]
    fn no_text_breaks_a_converter(text in "\\PC{0,24}") {
        for name in ["era_date", "iso_date", "compact_date", "slash_date", "half_width", "full_width", "kana_full", "trim"] {
            let kind = if name.ends_with("date") { ValueType::Date } else { ValueType::Text };
            let chain = chain(&[name], setting(kind)).expect("a chain");
            let _ = read_then_write(&chain, &text);
        }
    }
}
