//! Exact numbers as text. Nothing goes through floating point.

use std::borrow::Cow;

use tsunagi_core::fault::Bilingual;

/// Checks a decimal: digits, at most one point, a sign if negative; leading zeros go, trailing ones stay.
pub(super) fn decimal(text: Cow<'_, str>) -> Result<Cow<'_, str>, Bilingual> {
    let body = text.strip_prefix('-').unwrap_or(&text);
    let (whole, fraction) = body.split_once('.').map_or((body, None), |(whole, fraction)| (whole, Some(fraction)));
    if !is_digits(whole) || !fraction.is_none_or(is_digits) {
        return Err(Bilingual::new("数値として読めません", "not a decimal number"));
    }
    Ok(without_leading_zeros(text))
}

/// Checks a whole number.
pub(super) fn integer(text: Cow<'_, str>) -> Result<Cow<'_, str>, Bilingual> {
    if !is_digits(text.strip_prefix('-').unwrap_or(&text)) {
        return Err(Bilingual::new("整数として読めません", "not a whole number"));
    }
    Ok(without_leading_zeros(text))
}

/// From the participant's unit to the field's: the decimal point moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shift {
    /// How far to the right when reading.
    places: i32,
    unit: &'static str,
}

impl Shift {
    /// Parses `g,kg`: the participant's unit, then the field's.
    pub(super) fn parse(arguments: &str) -> Option<Self> {
        let (from, to) = arguments.split_once(',')?;
        let (from, to) = (unit(from.trim())?, unit(to.trim())?);
        (from.quantity == to.quantity).then_some(Self { places: from.exponent - to.exponent, unit: to.name })
    }

    /// The field's unit.
    pub(super) fn unit(&self) -> &str {
        self.unit
    }

    /// How many decimals a value that was written has at least when it is read again.
    pub(crate) fn least_decimals(&self) -> usize {
        usize::try_from(-self.places).unwrap_or(0)
    }

    pub(super) fn read(&self, text: &str) -> String {
        shift(text, self.places)
    }

    pub(super) fn write(&self, text: &str) -> String {
        shift(text, -self.places)
    }
}

struct Unit {
    name: &'static str,
    quantity: char,
    exponent: i32,
}

fn unit(name: &str) -> Option<&'static Unit> {
    UNITS.iter().find(|unit| unit.name == name)
}

/// Moves the decimal point of a checked decimal; every digit stays.
fn shift(text: &str, places: i32) -> String {
    let (sign, body) = text.strip_prefix('-').map_or(("", text), |body| ("-", body));
    let (whole, fraction) = body.split_once('.').unwrap_or((body, ""));
    let mut digits = format!("{whole}{fraction}");
    let mut point = i32::try_from(whole.len()).unwrap_or(i32::MAX).saturating_add(places);
    while point < 1 {
        digits.insert(0, '0');
        point += 1;
    }
    let point = usize::try_from(point).unwrap_or(0);
    while digits.len() < point {
        digits.push('0');
    }
    let (whole, fraction) = digits.split_at_checked(point).unwrap_or((&digits, ""));
    let dot = if fraction.is_empty() { "" } else { "." };
    without_leading_zeros(Cow::Owned(format!("{sign}{whole}{dot}{fraction}"))).into_owned()
}

fn without_leading_zeros(text: Cow<'_, str>) -> Cow<'_, str> {
    let body = text.strip_prefix('-').unwrap_or(&text);
    let zeros = body.bytes().zip(body.bytes().skip(1)).take_while(|(a, b)| *a == b'0' && b.is_ascii_digit()).count();
    if zeros == 0 {
        return text;
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    Cow::Owned(format!("{sign}{}", body.get(zeros..).unwrap_or(body)))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// UCUM units that records of this field are counted in.
const UNITS: [Unit; 9] = [
    Unit { name: "mg", quantity: 'm', exponent: -3 },
    Unit { name: "g", quantity: 'm', exponent: 0 },
    Unit { name: "kg", quantity: 'm', exponent: 3 },
    Unit { name: "mm", quantity: 'l', exponent: -3 },
    Unit { name: "cm", quantity: 'l', exponent: -2 },
    Unit { name: "m", quantity: 'l', exponent: 0 },
    Unit { name: "mL", quantity: 'v', exponent: -3 },
    Unit { name: "dL", quantity: 'v', exponent: -1 },
    Unit { name: "L", quantity: 'v', exponent: 0 },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stay_as_written() {
        for (text, read) in [
            ("3.250", Some("3.250")),
            ("03.5", Some("3.5")),
            ("-0.5", Some("-0.5")),
            ("-007", Some("-7")),
            ("0", Some("0")),
            ("000", Some("0")),
            ("3.", None),
            (".5", None),
            ("+1", None),
            ("1e3", None),
            ("１", None),
            ("1 ", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(decimal(text.into()).ok().as_deref(), read, "{text}");
        }
        assert_eq!(integer("012".into()).ok().as_deref(), Some("12"));
        assert!(integer("1.0".into()).is_err());
    }

    #[test]
    fn units_move_the_point() {
        for (units, theirs, ours) in [
            ("g,kg", "3250", "3.250"),
            ("g,kg", "5", "0.005"),
            ("kg,g", "3.25", "3250"),
            ("kg,g", "3.2505", "3250.5"),
            ("mm,cm", "495", "49.5"),
            ("cm,m", "-49.5", "-0.495"),
            ("mL,mL", "0.5", "0.5"),
        ] {
            let shift = Shift::parse(units).expect("known units");
            assert_eq!(shift.read(theirs), ours, "{units}");
            let back = shift.write(ours);
            assert_eq!(back.trim_end_matches(['0', '.']), theirs.trim_end_matches(['0', '.']), "{units}");
        }
        assert_eq!(Shift::parse("kg,g").expect("known units").write("3250"), "3.250");
        for units in ["g,cm", "g", "stone,kg", ""] {
            assert_eq!(Shift::parse(units), None, "{units}");
        }
    }
}
