//! TOML read piece by piece, so that one wrong entry does not hide the faults of the others.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error, ValueDeserializer};

use crate::fault::{Faults, Place};

/// One `[[entry]]` of a file with the line it begins on.
#[derive(Debug, Clone)]
pub(crate) struct Entry<T> {
    pub(crate) line: usize,
    pub(crate) path: String,
    pub(crate) value: T,
}

impl<T> Entry<T> {
    pub(crate) fn place<'a>(&self, file: &'a str) -> Place<'a> {
        Place { file, line: Some(self.line), path: self.path.clone() }
    }
}

/// A parsed file whose lists are taken out one by one; what is left is its head.
pub(crate) struct TomlFile<'a> {
    file: &'a str,
    lines: Lines,
    root: Spanned<DeTable<'a>>,
}

impl<'a> TomlFile<'a> {
    /// Parses; the first syntax error becomes a fault with its line, for those after it mostly follow from it.
    pub(crate) fn parse(file: &'a str, text: &'a str, faults: &mut Faults) -> Option<Self> {
        let lines = Lines::of(text);
        match DeTable::parse(text) {
            Ok(root) => Some(Self { file, lines, root }),
            Err(error) => {
                let line = error.span().map(|span| lines.at(span.start));
                report(file, &lines, "", &error, line, faults);
                None
            }
        }
    }

    /// Takes out an array of tables; entries that do not fit are faults and left out.
    pub(crate) fn list<T: DeserializeOwned>(&mut self, key: &str, faults: &mut Faults) -> Vec<Entry<T>> {
        let Some(list) = self.root.get_mut().remove(key) else { return Vec::new() };
        let line = self.lines.at(list.span().start);
        let DeValue::Array(items) = list.into_inner() else {
            let place = Place { file: self.file, line: Some(line), path: key.to_owned() };
            faults.say(&place, format!("[[{key}]] の並びではありません"), format!("not a list of [[{key}]]"));
            return Vec::new();
        };
        let mut entries = Vec::new();
        for (at, item) in items.into_iter().enumerate() {
            let line = self.lines.at(item.span().start);
            let path = format!("{key}[{}]", at + 1);
            match T::deserialize(ValueDeserializer::from(item)) {
                Ok(value) => entries.push(Entry { line, path, value }),
                Err(error) => report(self.file, &self.lines, &path, &error, Some(line), faults),
            }
        }
        entries
    }

    /// Reads what has not been taken out.
    pub(crate) fn head<T: DeserializeOwned>(self, faults: &mut Faults) -> Option<T> {
        let span = self.root.span();
        let table = Spanned::new(span, DeValue::Table(self.root.into_inner()));
        match T::deserialize(ValueDeserializer::from(table)) {
            Ok(head) => Some(head),
            Err(error) => {
                report(self.file, &self.lines, "", &error, None, faults);
                None
            }
        }
    }
}

/// The first key of every file but the policy: the version of the syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct SyntaxVersion;

impl TryFrom<i64> for SyntaxVersion {
    type Error = &'static str;
    fn try_from(version: i64) -> Result<Self, &'static str> {
        if version == 1 { Ok(Self) } else { Err("this build reads `version = 1`") }
    }
}

fn report(file: &str, lines: &Lines, path: &str, error: &Error, line: Option<usize>, faults: &mut Faults) {
    let span = error.span().filter(|span| !span.is_empty());
    let line = span.map(|span| lines.at(span.start)).or(line);
    let message = error.message().trim_end();
    let place = Place { file, line, path: path.to_owned() };
    faults.say(&place, format!("書式の誤り: {message}"), message);
}

/// Where the lines of a text end: looked up for every entry, so not counted anew for each.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect())
    }

    /// The number of the line in which an offset is, from 1.
    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|end| *end < offset) + 1
    }
}
