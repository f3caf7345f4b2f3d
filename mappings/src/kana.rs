//! A key under which two spellings of one reading are equal. Names themselves are never changed.

use unicode_normalization::UnicodeNormalization;

/// The match key of a name in kana: width, hiragana or katakana, spaces, middle dots and the kind of dash make no
/// difference, so that `ｱｲﾁ ﾊﾅｺ` and `アイチハナコ` are equal. Small kana stay small. Two equal keys are a candidate and
/// never by themselves one person.
pub fn kana_match_key(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    // NFKC makes a voice mark that stands alone a space and a joining mark: without the space the two can be joined.
    for c in name.nfkc().filter(|c| !c.is_whitespace() && *c != '・') {
        let c = katakana(c);
        let follows_kana =
            key.chars().next_back().is_some_and(|before| matches!(before, 'ァ'..='ヺ' | 'ー' | VOICED..=HALF_VOICED));
        key.push(if follows_kana && DASHES.contains(&c) { 'ー' } else { c });
    }
    key.nfc().collect()
}

fn katakana(c: char) -> char {
    match c {
        'ぁ'..='ゖ' | 'ゝ' | 'ゞ' => char::from_u32(u32::from(c) + 0x60).unwrap_or(c),
        c => c,
    }
}

/// What is written for ー after a kana; the full-width forms have become these before.
const DASHES: [char; 4] = ['\u{2010}', '\u{2212}', '-', 'ｰ'];
const VOICED: char = '\u{3099}';
const HALF_VOICED: char = '\u{309A}';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_reading_have_one_key() {
        for (key, spellings) in [
            ("アイチハナコ", ["ｱｲﾁ ﾊﾅｺ", "アイチ　ハナコ", "あいち はなこ", "アイチ・ハナコ"].as_slice()),
            ("パ", &["ﾊﾟ", "ハ゜", "は\u{309A}", "ぱ"]),
            ("ヴ", &["ウ゛", "ｳﾞ", "う゛", "ゔ", "ウ\u{3099}"]),
            ("ガ", &["ｶﾞ", "カ゛", "か\u{3099}", "が"]),
            ("ジョーンズ", &["ジョ‐ンズ", "ジョ−ンズ", "ジョ－ンズ", "ジョ-ンズ", "ｼﾞｮｰﾝｽﾞ", "じょーんず"]),
            ("ガーガー", &["カ゛－カ゛－", "ｶﾞ-ｶﾞ-"]),
            ("ミヽ", &["みゝ"]),
        ] {
            for spelling in spellings {
                assert_eq!(kana_match_key(spelling), key, "{spelling}");
            }
            assert_eq!(kana_match_key(key), key);
        }
    }

    #[test]
    fn different_readings_stay_apart() {
        for (one, other) in
            [("キヤノン", "キャノン"), ("ユウコ", "ユーコ"), ("ハナコ", "バナコ"), ("ヂ", "ジ"), ("ヲ", "オ")]
        {
            assert_ne!(kana_match_key(one), kana_match_key(other), "{one} {other}");
        }
        assert_eq!(kana_match_key("A-B"), "A-B", "a dash that no kana is before is one");
        assert_eq!(kana_match_key(""), "");
    }
}
