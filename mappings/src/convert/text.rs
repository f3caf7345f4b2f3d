//! Widths and kana. Only what a layout asks for is changed: names are never normalised.

use std::borrow::Cow;

use tsunagi_core::fault::Bilingual;
use unicode_normalization::char::{compose, decompose_canonical};

/// Full-width letters, digits and the signs that stand in numbers and dates become half-width.
pub(super) fn half_width(text: Cow<'_, str>) -> Cow<'_, str> {
    map(text, |c| match c {
        '０'..='９' | 'Ａ'..='Ｚ' | 'ａ'..='ｚ' | '－' | '．' | '／' | '：' => offset(c, -WIDTH),
        c => c,
    })
}

/// Half-width letters, digits, signs and the space become full-width.
pub(super) fn full_width(text: Cow<'_, str>) -> Cow<'_, str> {
    map(text, |c| match c {
        ' ' => '\u{3000}',
        '!'..='~' => offset(c, WIDTH),
        c => c,
    })
}

/// Half-width kana become full-width, with their voice marks joined.
pub(super) fn kana_to_full(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains(HALF) {
        return text;
    }
    let mut full = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let base = paired(c, HALF, FULL).unwrap_or(c);
        let joined = match chars.peek() {
            Some('ﾞ') if base != c => compose(base, VOICED),
            Some('ﾟ') if base != c => compose(base, HALF_VOICED),
            _ => None,
        };
        if joined.is_some() {
            chars.next();
        }
        full.push(joined.unwrap_or(base));
    }
    Cow::Owned(full)
}

/// Full-width kana become half-width, with their voice marks apart, and so does the space between them.
pub(super) fn kana_to_half(text: Cow<'_, str>) -> Cow<'_, str> {
    let mut half = String::with_capacity(text.len());
    for c in text.chars() {
        let (mut base, mut mark) = (c, None);
        if ('ァ'..='ヺ').contains(&c) {
            decompose_canonical(c, |part| match part {
                VOICED => mark = Some('ﾞ'),
                HALF_VOICED => mark = Some('ﾟ'),
                part => base = part,
            });
        }
        match paired(base, FULL, HALF) {
            Some(narrow) => {
                half.push(narrow);
                half.extend(mark);
            }
            None if c == '\u{3000}' => half.push(' '),
            None => half.push(c),
        }
    }
    if half == text { text } else { Cow::Owned(half) }
}

/// The text without the space around it.
pub(super) fn trim(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// Fills up to a width from the left.
pub(super) fn left_pad(text: Cow<'_, str>, width: usize, pad: char) -> Cow<'_, str> {
    let missing = width.saturating_sub(text.chars().count());
    if missing == 0 {
        return text;
    }
    Cow::Owned(std::iter::repeat_n(pad, missing).chain(text.chars()).collect())
}

/// The text after what the participant always writes in front.
pub(super) fn without_prefix<'a>(text: Cow<'a, str>, prefix: &str) -> Result<Cow<'a, str>, Bilingual> {
    let rest = match text {
        Cow::Borrowed(text) => text.strip_prefix(prefix).map(Cow::Borrowed),
        Cow::Owned(text) => text.strip_prefix(prefix).map(|rest| Cow::Owned(rest.to_owned())),
    };
    rest.ok_or_else(|| Bilingual::new(format!("{prefix} で始まりません"), format!("does not begin with {prefix}")))
}

fn map(text: Cow<'_, str>, change: impl Fn(char) -> char) -> Cow<'_, str> {
    if text.chars().any(|c| change(c) != c) { Cow::Owned(text.chars().map(change).collect()) } else { text }
}

fn offset(c: char, by: i32) -> char {
    u32::try_from(i32::try_from(u32::from(c)).unwrap_or(0) + by).ok().and_then(char::from_u32).unwrap_or(c)
}

fn paired(c: char, from: &[char], to: &[char]) -> Option<char> {
    to.get(from.iter().position(|candidate| *candidate == c)?).copied()
}

/// From ASCII to the full-width forms.
const WIDTH: i32 = 0xFEE0;
const VOICED: char = '\u{3099}';
const HALF_VOICED: char = '\u{309A}';

const HALF: &[char] = &[
    '｡', '｢', '｣', '､', '･', 'ｦ', 'ｧ', 'ｨ', 'ｩ', 'ｪ', 'ｫ', 'ｬ', 'ｭ', 'ｮ', 'ｯ', 'ｰ', 'ｱ', 'ｲ', 'ｳ', 'ｴ', 'ｵ', 'ｶ', 'ｷ',
    'ｸ', 'ｹ', 'ｺ', 'ｻ', 'ｼ', 'ｽ', 'ｾ', 'ｿ', 'ﾀ', 'ﾁ', 'ﾂ', 'ﾃ', 'ﾄ', 'ﾅ', 'ﾆ', 'ﾇ', 'ﾈ', 'ﾉ', 'ﾊ', 'ﾋ', 'ﾌ', 'ﾍ', 'ﾎ',
    'ﾏ', 'ﾐ', 'ﾑ', 'ﾒ', 'ﾓ', 'ﾔ', 'ﾕ', 'ﾖ', 'ﾗ', 'ﾘ', 'ﾙ', 'ﾚ', 'ﾛ', 'ﾜ', 'ﾝ', 'ﾞ', 'ﾟ',
];
const FULL: &[char] = &[
    '。', '「', '」', '、', '・', 'ヲ', 'ァ', 'ィ', 'ゥ', 'ェ', 'ォ', 'ャ', 'ュ', 'ョ', 'ッ', 'ー', 'ア', 'イ', 'ウ',
    'エ', 'オ', 'カ', 'キ', 'ク', 'ケ', 'コ', 'サ', 'シ', 'ス', 'セ', 'ソ', 'タ', 'チ', 'ツ', 'テ', 'ト', 'ナ', 'ニ',
    'ヌ', 'ネ', 'ノ', 'ハ', 'ヒ', 'フ', 'ヘ', 'ホ', 'マ', 'ミ', 'ム', 'メ', 'モ', 'ヤ', 'ユ', 'ヨ', 'ラ', 'リ', 'ル',
    'レ', 'ロ', 'ワ', 'ン', '゛', '゜',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kana_go_both_ways() {
        for (half, full) in [
            ("ｱｲﾁ ﾊﾅｺ", "アイチ ハナコ"),
            ("ﾊﾟﾋﾟﾌﾟ", "パピプ"),
            ("ｶﾞｷﾞｸﾞｳﾞ", "ガギグヴ"),
            ("ﾜﾞｦﾞ", "ヷヺ"),
            ("ｱﾞ", "ア゛"),
            ("ﾝﾞ", "ン゛"),
            ("ｼﾞｮｰﾝﾞ･ﾞ", "ジョーン゛・゛"),
            ("花子ABC", "花子ABC"),
        ] {
            assert_eq!(kana_to_full(half.into()), full);
            assert_eq!(kana_to_half(full.into()), half);
        }
        assert_eq!(kana_to_half("アイチ　ハナコ".into()), "ｱｲﾁ ﾊﾅｺ");
        assert_eq!(kana_to_half("ひらがな".into()), "ひらがな");
        assert_eq!(HALF.len(), FULL.len());
    }

    #[test]
    fn only_letters_digits_and_their_signs_change_width() {
        assert_eq!(half_width("０１２－３４．５Ａｚ～＊ア".into()), "012-34.5Az～＊ア");
        assert_eq!(full_width("1-2 Aｱ".into()), "１－２　Ａｱ");
    }

    #[test]
    fn names_pass_untouched() {
        for name in ["\u{FA19}", "①㈱", "辻\u{E0100}", "𠮷", "髙﨑"] {
            assert_eq!(half_width(name.into()), name);
            assert_eq!(kana_to_full(name.into()), name);
            assert_eq!(kana_to_half(name.into()), name);
        }
    }

    #[test]
    fn padding_and_prefix() {
        assert_eq!(left_pad("12345".into(), 8, '0'), "00012345");
        assert_eq!(left_pad("123456789".into(), 8, '0'), "123456789");
        assert_eq!(without_prefix("Patient/1".into(), "Patient/").ok().as_deref(), Some("1"));
        assert!(without_prefix("1".into(), "Patient/").is_err());
    }
}
