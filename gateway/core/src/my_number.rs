//! 個人番号 in texts that are not for it: a run of exactly twelve digits whose check digit holds, in half or full width, as
//! one or in three groups of four, as the card prints it. One number in eleven of that length passes by chance.

use std::ops::Range;

use crate::identifier;

/// Where the numbers stand, as byte ranges in the order of the text.
pub fn runs(text: &str) -> Vec<Range<usize>> {
    // Nearly every text, and it takes no memory to see that.
    if text.chars().filter_map(digit).count() < 12 {
        return Vec::new();
    }
    let digits: Vec<(usize, char, char)> = text.char_indices().filter_map(|(at, c)| Some((at, c, digit(c)?))).collect();
    let mut found = Vec::new();
    let mut rest = digits.as_slice();
    while !rest.is_empty() {
        let length = chain(text, rest);
        let (chained, after) = rest.split_at(length);
        if let Some(run) = number(text, chained) {
            found.push(run);
        } else if let Some(parts) = parts(text, chained) {
            found.extend(parts);
        }
        rest = after;
    }
    found
}

/// True if one stands anywhere in the text.
pub fn stands_in(text: &str) -> bool {
    !runs(text).is_empty()
}

/// How many digits follow each other, with one mark between two of them at most.
fn chain(text: &str, digits: &[(usize, char, char)]) -> usize {
    let joined = digits.windows(2).take_while(|pair| match pair {
        [(at, c, _), (next, ..)] => gap(text, at + c.len_utf8(), *next).is_some(),
        _ => false,
    });
    joined.count() + 1
}

/// What stands between two digits: nothing, or one mark that separates groups. `None` if it is anything else.
fn gap(text: &str, from: usize, to: usize) -> Option<Option<char>> {
    let between = text.get(from..to)?;
    let mut chars = between.chars();
    match (chars.next(), chars.next()) {
        (None, _) => Some(None),
        (Some(mark), None) if is_mark(mark) => Some(Some(mark)),
        _ => None,
    }
}

/// The range of a whole chain, if it is a number.
fn number(text: &str, chained: &[(usize, char, char)]) -> Option<Range<usize>> {
    let [(start, ..), .., (last, c, _)] = chained else { return None };
    if chained.len() != 12 || !is_grouped(text, chained) {
        return None;
    }
    let body: String = chained.iter().take(11).map(|(.., digit)| digit).collect();
    let check = chained.last()?.2.to_digit(10)?;
    (identifier::my_number(&body).map(u32::from) == Some(check)).then(|| *start..last + c.len_utf8())
}

/// No marks at all, or exactly after the fourth and the eighth digit.
fn is_grouped(text: &str, chained: &[(usize, char, char)]) -> bool {
    let marks: Vec<usize> = (1..)
        .zip(chained.windows(2))
        .filter_map(|(place, pair)| match pair {
            [(at, c, _), (next, ..)] => gap(text, at + c.len_utf8(), *next)?.map(|_| place),
            _ => None,
        })
        .collect();
    marks.is_empty() || marks == [4, 8]
}

/// The numbers among the unbroken parts of a chain that is none as a whole: other digits may stand beside it.
fn parts(text: &str, chained: &[(usize, char, char)]) -> Option<Vec<Range<usize>>> {
    let whole = |pair: &(usize, char, char), next: &(usize, char, char)| pair.0 + pair.1.len_utf8() == next.0;
    let parts: Vec<_> = chained.chunk_by(whole).collect();
    if parts.len() < 2 {
        return None;
    }
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = parts.get(at..).filter(|rest| !rest.is_empty()) {
        let grouped = match rest {
            [a, b, c, ..] if [a, b, c].iter().all(|part| part.len() == 4) => number(text, &[*a, *b, *c].concat()),
            _ => None,
        };
        match (grouped, rest.first().and_then(|part| number(text, part))) {
            (Some(run), _) => {
                found.push(run);
                at += 3;
            }
            (None, alone) => {
                found.extend(alone);
                at += 1;
            }
        }
    }
    Some(found)
}

fn is_mark(c: char) -> bool {
    matches!(
        c,
        ' ' | '\u{3000}' | '-' | '\u{2010}'
            ..='\u{2015}' | '\u{2212}' | '\u{FF0D}' | '\u{30FC}' | '\u{FF70}' | '_' | '.' | '/'
    )
}

/// The value of a digit of either width.
fn digit(c: char) -> Option<char> {
    match c {
        '0'..='9' => Some(c),
        '\u{FF10}'..='\u{FF19}' => char::from_digit(u32::from(c) - 0xFF10, 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_in_every_spelling_and_nothing_else_is() {
        for (text, numbers) in [
            ("123456789018", vec!["123456789018"]),
            ("番号は123456789018です", vec!["123456789018"]),
            ("１２３４５６７８９０１８", vec!["１２３４５６７８９０１８"]),
            ("1234-5678-9018", vec!["1234-5678-9018"]),
            ("１２３４　５６７８　９０１８", vec!["１２３４　５６７８　９０１８"]),
            ("1234 5678 9018 2026", vec!["1234 5678 9018"]),
            ("2026 1234 5678 9018", vec!["1234 5678 9018"]),
            ("7-123456789018", vec!["123456789018"]),
            ("123456789018,123456789018", vec!["123456789018", "123456789018"]),
            ("123456789019", vec![]),
            ("1123456789018", vec![]),
            ("12-3456789018", vec![]),
            ("2026-04-01 0012345678", vec![]),
            ("1234--5678-9018", vec![]),
            ("", vec![]),
        ] {
            let found: Vec<&str> = runs(text).into_iter().map(|run| &text[run]).collect();
            assert_eq!(found, numbers, "{text}");
        }
    }
}
