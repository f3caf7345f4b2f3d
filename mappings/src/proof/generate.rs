//! Records from a kind's own definition: every type, every cardinality, the codes of the hub's lists, identifiers with
//! right check digits, dates with unknown parts in every spelling, and text of all the sorts that Japanese data has.

use std::collections::BTreeMap;

use jiff::civil::Date;
use tsunagi_core::id::FieldKey;
use tsunagi_core::identifier;
use tsunagi_core::kind::{Field, IdentifierRule, Kind};
use tsunagi_core::partial_date::PartialDate;
use tsunagi_core::record::Record;
use tsunagi_core::sensitive::Sensitive;
use tsunagi_core::value::{Value, ValueType};

use super::tape::Tape;
use crate::canonicalize::assert_record;
use crate::convert::{DateForm, Noted};
use crate::tables::Tables;

/// What is asked of a field besides being one of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// It holds JSON, most of the time.
    Json,
    /// It is there, most of the time.
    There,
}

impl Tables {
    /// Makes a record of a kind. It holds at least one complete identifier and everything that the kind requires.
    pub fn generate(&self, kind: &Kind, tape: &mut Tape<'_>, wishes: &[(FieldKey, Wish)]) -> Record {
        let mut maker = Maker { tables: self, tape, is_exotic: false, is_headstrong: false };
        maker.is_exotic = maker.tape.once_in(4);
        maker.is_headstrong = maker.tape.once_in(8);
        let wish = |key: &FieldKey| wishes.iter().find(|(of, _)| of == key).map(|(_, wish)| *wish);
        let identifier = kind.subject.identifiers.get(maker.index(kind.subject.identifiers.len()));
        let mut fields: BTreeMap<FieldKey, Vec<Value>> = BTreeMap::new();
        for field in kind.fields.iter().filter(|field| field.derived.is_none()) {
            let wished = wish(&field.key).filter(|_| !maker.is_headstrong);
            let names = identifier.is_some_and(|identifier| identifier.fields.contains(&field.key));
            if field.required || names || wished == Some(Wish::There) || maker.tape.below(4) != 0 {
                fields.insert(field.key.clone(), maker.values(field, wished));
            }
        }
        self.derive(kind, &mut fields);
        assert_record(kind, fields)
    }
}

struct Maker<'a, 't> {
    tables: &'a Tables,
    tape: &'a mut Tape<'t>,
    /// Text may hold characters that no legacy charset has.
    is_exotic: bool,
    /// Wishes are not heard.
    is_headstrong: bool,
}

impl Maker<'_, '_> {
    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.tape.below(u64::try_from(length).unwrap_or(u64::MAX))).unwrap_or(0)
    }

    fn values(&mut self, field: &Field, wish: Option<Wish>) -> Vec<Value> {
        let more = if field.many { self.index(3) } else { 0 };
        (0..=more).map(|_| self.value(field, wish)).collect()
    }

    fn value(&mut self, field: &Field, wish: Option<Wish>) -> Value {
        match field.value_type {
            ValueType::Bool => Value::Bool(self.tape.below(2) == 1),
            ValueType::Code => Value::Code(self.code(field)),
            ValueType::Date => Value::Date(self.date()),
            ValueType::DateTime => Value::DateTime(self.date_time()),
            ValueType::Decimal => Value::Decimal(self.decimal()),
            ValueType::Integer => Value::Integer(self.integer()),
            ValueType::MyNumber => Value::MyNumber(Sensitive::new(self.identifier(field))),
            ValueType::Text if field.identifier.is_some() => Value::Text(self.identifier(field)),
            ValueType::Text if wish == Some(Wish::Json) => Value::Text(self.json()),
            ValueType::Text => Value::Text(self.text(field)),
        }
    }

    fn code(&mut self, field: &Field) -> String {
        let list = field.code_system.as_ref().and_then(|name| self.tables.code_list(name));
        let codes: Vec<&str> = list.into_iter().flat_map(|list| list.codes()).map(|(code, _)| code).collect();
        self.tape.pick(&codes).unwrap_or(&field.example).to_owned()
    }

    /// Whole, at the edges of the eras, or with parts unknown, in any spelling that some layout reads.
    fn date(&mut self) -> PartialDate {
        match self.tape.below(8) {
            0..=2 => PartialDate::Full(self.day(2015, 15)),
            3 => PartialDate::Full(self.day(1868, 260)),
            4 => PartialDate::Full(self.tape.pick(&EDGES).unwrap_or_default()),
            _ => {
                let spelling = self.tape.pick(&SPELLINGS).unwrap_or("0000-00-00");
                let year = 26 + self.tape.below(38);
                let text = spelling.replace("{W}", &(1925 + year).to_string()).replace("{E}", &year.to_string());
                // Read as the layout of the sender would have read it.
                let read = DateForm::Era.read(&text, &mut Noted::default());
                read.unwrap_or(PartialDate::Unknown { raw: text })
            }
        }
    }

    fn day(&mut self, first: i16, years: u64) -> Date {
        let year = first + i16::try_from(self.tape.below(years)).unwrap_or(0);
        let month = 1 + i8::try_from(self.tape.below(12)).unwrap_or(0);
        let day = 1 + i8::try_from(self.tape.below(31)).unwrap_or(0);
        Date::new(year, month, day).or_else(|_| Date::new(year, month, 28)).unwrap_or_default()
    }

    fn date_time(&mut self) -> String {
        let (day, hour, minute) = (self.day(2015, 15), self.tape.below(24), self.tape.below(60));
        let seconds = if self.tape.below(2) == 1 { format!(":{:02}", self.tape.below(60)) } else { String::new() };
        format!("{day}T{hour:02}:{minute:02}{seconds}")
    }

    /// Zeros at the end count: 3.250 is not 3.25.
    fn decimal(&mut self) -> String {
        let sign = if self.tape.once_in(16) { "-" } else { "" };
        let end = self.tape.pick(&[10, 1_000, 1_000_000_000]).unwrap_or(10);
        let (whole, places) = (self.tape.below(end), self.index(6));
        if places == 0 {
            return format!("{sign}{whole}");
        }
        let fraction: String = (0..places).map(|_| self.digit_or_zero()).collect();
        format!("{sign}{whole}.{fraction}")
    }

    fn digit_or_zero(&mut self) -> char {
        if self.tape.below(2) == 0 { '0' } else { self.digit() }
    }

    fn digit(&mut self) -> char {
        u32::try_from(self.tape.below(10)).ok().and_then(|digit| char::from_digit(digit, 10)).unwrap_or('0')
    }

    fn integer(&mut self) -> i64 {
        match self.tape.below(8) {
            0 => 0,
            1 => i64::MAX,
            2 => -i64::try_from(self.tape.below(1_000)).unwrap_or(0),
            3 => i64::try_from(self.tape.below(1_000_000_000_000)).unwrap_or(0),
            _ => i64::try_from(self.tape.below(5_000)).unwrap_or(0),
        }
    }

    fn identifier(&mut self, field: &Field) -> String {
        let Some(rule) = &field.identifier else { return field.example.clone() };
        if rule.check_digit.is_none() && !rule.digits_only {
            return self.text(field);
        }
        for _ in 0..TRIES {
            let found = self.digits(rule);
            if matches!(identifier::check(rule, &found), Ok(None)) {
                return found;
            }
        }
        field.example.clone()
    }

    /// Digits of the length of a rule, the last of them the one that makes the check digit right.
    fn digits(&mut self, rule: &IdentifierRule) -> String {
        let span = rule.max_length.saturating_sub(rule.min_length);
        let length = rule.min_length + self.index(span + 1);
        let body: String = (0..length.saturating_sub(1)).map(|_| self.digit()).collect();
        if rule.check_digit.is_none() {
            return format!("{body}{}", self.digit());
        }
        let right = ('0'..='9').map(|last| format!("{body}{last}"));
        let mut right = right.filter(|text| matches!(identifier::check(rule, text), Ok(None)));
        right.next().unwrap_or_default()
    }

    fn text(&mut self, field: &Field) -> String {
        let most = field.identifier.as_ref().map(|rule| rule.max_length).or(field.max_length).unwrap_or(400);
        let length = match self.tape.below(16) {
            0 | 1 => return field.example.clone(),
            2 => most,
            _ => (1 + self.index(12)).min(most),
        };
        let legacy = POOLS.split_last().map_or(POOLS.as_slice(), |(_, legacy)| legacy);
        let pools = if self.is_exotic { POOLS.as_slice() } else { legacy };
        let mut text: Vec<char> = Vec::new();
        while text.len() < length {
            let pool = self.tape.pick(pools).unwrap_or("a");
            let pool: Vec<&str> = pool.split('\u{1F}').collect();
            let piece = self.tape.pick(&pool).unwrap_or("a");
            text.extend(piece.chars().take(length - text.len()));
        }
        text.into_iter().collect()
    }

    fn json(&mut self) -> String {
        let text = self.tape.pick(&JSON).unwrap_or("{}");
        let number = self.decimal();
        text.replace("{N}", &number)
    }
}

/// How often an identifier is drawn until its check digit can be made right.
const TRIES: usize = 40;

/// First and last days of eras, the Gregorian calendar, leap days, and days without an era of two digits.
const EDGES: [Date; 14] = [
    jiff::civil::date(2019, 5, 1),
    jiff::civil::date(2019, 4, 30),
    jiff::civil::date(1989, 1, 8),
    jiff::civil::date(1989, 1, 7),
    jiff::civil::date(1926, 12, 25),
    jiff::civil::date(1926, 12, 24),
    jiff::civil::date(1912, 7, 30),
    jiff::civil::date(1912, 7, 29),
    jiff::civil::date(1873, 1, 1),
    jiff::civil::date(1872, 12, 31),
    jiff::civil::date(2024, 2, 29),
    jiff::civil::date(2000, 2, 29),
    jiff::civil::date(2118, 1, 1),
    jiff::civil::date(9999, 12, 31),
];

/// `{W}` is a year of the western calendar and `{E}` the same one counted in 昭和.
const SPELLINGS: [&str; 25] = [
    "{W}-03-00",
    "{W}-00-00",
    "{W}",
    "{W}-03",
    "{W}-A1-00",
    "{W}-A4-A1",
    "{W}-03-A2",
    "0000-00-00",
    "0000-03-01",
    "{W}/03/00",
    "{W}/A2/00",
    "{W}0300",
    "{W}A100",
    "00000000",
    "昭和{E}年3月",
    "昭和{E}年3月上旬",
    "昭和{E}年",
    "昭和{E}年春",
    "S{E}.03.00",
    "S{E}.00.00",
    "S{E}-03-00",
    "昭和81年3月上旬",
    "3{E}0300",
    "不明",
    "明治5年12月2日",
];

const JSON: [&str; 7] = [
    "{}",
    "{\"a\":{N}}",
    "[{\"項目\":\"値\",\"n\":{N}},null,true]",
    "\"text\"",
    " { \"a\" : [ 1 , {N} ] } ",
    "[]",
    "{\"引用\":\"\\\"\\\\\\n\"}",
];

/// Pools of pieces, apart by U+001F. The last one fits no legacy charset; [`BEYOND_CP932`] tells its characters.
const POOLS: [&str; 9] = [
    "a\u{1F}Z\u{1F}0\u{1F}9\u{1F}-\u{1F}.\u{1F} \u{1F}(\u{1F})\u{1F}_\u{1F}:\u{1F}~",
    "架空\u{1F}花子\u{1F}大分市\u{1F}接種\u{1F}歳\u{1F}々\u{1F}〆",
    // The second byte of each in CP932 is 5C, the backslash, or another sign that means something somewhere.
    "予\u{1F}表\u{1F}能\u{1F}申\u{1F}ソ\u{1F}ポ\u{1F}十\u{1F}構\u{1F}円\u{1F}ー\u{1F}畠\u{1F}―",
    "あ\u{1F}ん\u{1F}が\u{1F}ぱ\u{1F}ゃ\u{1F}ア\u{1F}ン\u{1F}ガ\u{1F}パ\u{1F}ヴ\u{1F}ャ\u{1F}・\u{1F}\u{3000}\u{1F}゛",
    "ｱ\u{1F}ﾝ\u{1F}ｶﾞ\u{1F}ﾊﾟ\u{1F}ｰ\u{1F}ﾞ\u{1F}｡\u{1F}･",
    "髙\u{1F}﨑\u{1F}①\u{1F}㈱\u{1F}Ⅳ\u{1F}℡\u{1F}１\u{1F}Ａ\u{1F}－\u{1F}～\u{1F}∥\u{1F}￥",
    "〜\u{1F}−\u{1F}‖\u{1F}—\u{1F}¢\u{1F}£\u{1F}¥\u{1F}¬\u{1F}‾",
    "\"\u{1F},\u{1F}\r\n\u{1F}\n\u{1F}\t\u{1F}'\u{1F}\\\u{1F}\"\"\u{1F}=\u{1F}|\u{1F};\u{1F}<\u{1F}&\u{1F}%",
    "𠮷\u{1F}辻\u{E0100}\u{1F}萊\u{1F}龢\u{1F}彤\u{1F}é\u{1F}한\u{1F}\u{10DE92}\u{1F}\u{E000}\u{1F}👶",
];

/// The other characters of the generator that JIS X 0208 has no place for.
pub(super) const BEYOND_JIS: [char; 16] =
    ['髙', '﨑', '①', '㈱', 'Ⅳ', '℡', 'ｱ', 'ﾝ', 'ｶ', 'ﾞ', 'ﾊ', 'ﾟ', 'ｰ', '｡', '･', 'ﾂ'];

/// The characters of the generator that CP932 has no place for.
pub(super) const BEYOND_CP932: [char; 10] =
    ['𠮷', '\u{E0100}', '萊', '龢', '彤', 'é', '한', '\u{10DE92}', '\u{E000}', '👶'];
