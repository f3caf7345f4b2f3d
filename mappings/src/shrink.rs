//! `characters/<name>.csv`: what may be written for a character that a receiver's charset has no place for (縮退).
//!
//! A layout names such a table with `shrink`; one that names none has its deliveries held instead. What no line covers is
//! held all the same: a character is never replaced by a mark that says nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::csv_file;
use crate::fault::Faults;

/// The lines of one table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShrinkTable {
    name: String,
    single: BTreeMap<char, String>,
    /// Variation selectors and the like, first to last, all of which become the same.
    ranges: Vec<(char, char, String)>,
}

#[derive(Debug, Deserialize)]
struct Line {
    from: String,
    to: String,
}

impl ShrinkTable {
    /// Reads a table. A character that is replaced twice, or by one that is itself replaced, is a fault.
    pub(crate) fn read(file: &str, name: &str, text: &str, faults: &mut Faults) -> Self {
        let mut table = Self { name: name.to_owned(), ..Self::default() };
        let lines = csv_file::lines::<Line>(file, text, &["from", "to"], faults);
        for line in &lines {
            let place = line.place(file);
            let Some((first, last)) = span(&line.value.from) else {
                faults.say(
                    &place,
                    "from は1文字、U+XXXX、U+XXXX-U+YYYY のどれかです",
                    "from is one character, U+XXXX or U+XXXX-U+YYYY",
                );
                continue;
            };
            if first.is_ascii() || table.of(first).is_some() || table.of(last).is_some() {
                faults.say(
                    &place,
                    "ASCII の文字か、すでに置き換えのある文字です",
                    "a character of ASCII, or one that is replaced already",
                );
            }
            let to = line.value.to.clone();
            if first == last {
                table.single.insert(first, to);
            } else {
                table.ranges.push((first, last, to));
            }
        }
        for line in &lines {
            if line.value.to.chars().any(|c| table.of(c).is_some()) {
                let place = line.place(file);
                faults.say(&place, "置き換え先がさらに置き換えられます", "what it becomes is replaced itself");
            }
        }
        table
    }

    /// Its name, as layouts give it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text with every character of the table replaced; borrowed where there is none.
    pub fn shrunk<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if text.is_ascii() || text.chars().all(|c| self.of(c).is_none()) {
            return Cow::Borrowed(text);
        }
        let mut shrunk = String::with_capacity(text.len());
        for c in text.chars() {
            match self.of(c) {
                Some(to) => shrunk.push_str(to),
                None => shrunk.push(c),
            }
        }
        Cow::Owned(shrunk)
    }

    fn of(&self, c: char) -> Option<&str> {
        let in_range =
            || self.ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&c)).map(|(_, _, to)| to);
        self.single.get(&c).or_else(in_range).map(String::as_str)
    }
}

/// The first and the last character that a line is about.
fn span(text: &str) -> Option<(char, char)> {
    if let Some((first, last)) = text.split_once('-').filter(|_| text.starts_with("U+")) {
        return Some((code_point(first)?, code_point(last)?)).filter(|(first, last)| first < last);
    }
    if text.starts_with("U+") {
        return code_point(text).map(|c| (c, c));
    }
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none()).map(|c| (c, c))
}

fn code_point(text: &str) -> Option<char> {
    u32::from_str_radix(text.strip_prefix("U+")?, 16).ok().and_then(char::from_u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_of_the_table_are_replaced_and_no_others() {
        let mut faults = Faults::default();
        let text = include_str!("../characters/cp932.csv");
        let table = ShrinkTable::read("characters/cp932.csv", "cp932", text, &mut faults);
        faults.finish().expect("sound");
        for (from, to) in
            [("𠮷岡", "吉岡"), ("辻\u{e0100}", "辻"), ("髙﨑①", "髙﨑①"), ("名\u{10de92}", "名\u{10de92}")]
        {
            assert_eq!(table.shrunk(from), to);
        }
        assert!(matches!(table.shrunk("〜"), Cow::Borrowed(_)));
    }

    #[test]
    fn faults_of_a_table_are_found() {
        for (lines, words) in [
            ("ab,c", "one character"),
            ("U+110000,c", "one character"),
            ("U+E01EF-U+E0100,", "one character"),
            ("a,b", "ASCII"),
            ("髙,高\n髙,吉", "replaced already"),
            ("髙,﨑\n﨑,崎", "replaced itself"),
            ("髙", "cannot be read"),
        ] {
            let mut faults = Faults::default();
            ShrinkTable::read("characters/x.csv", "x", &format!("from,to\n{lines}\n"), &mut faults);
            let found =
                faults.finish().expect_err("faulty").iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            assert!(found.contains(words) && found.contains("characters/x.csv"), "{lines}: {found}");
        }
    }
}
