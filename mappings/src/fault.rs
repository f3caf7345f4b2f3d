//! What is wrong with the data files: where, and why, in both languages.

use std::fmt;

use tsunagi_core::fault::Bilingual;

/// One fault of one file. Checks collect them all; none stops at the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFault {
    /// The file, as its path below the folder of the data: `kinds/vaccination.toml`.
    pub file: String,
    /// The line, from 1, where the fault can be tied to one.
    pub line: Option<usize>,
    /// The key path inside the file: `field.lot_number.type`, `row[3].convert`; empty for the file as a whole.
    pub place: String,
    /// Why, in words.
    pub reason: Bilingual,
}

impl fmt::Display for TableFault {
    /// `file:line: place: reason`, in English, as compilers write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.place.is_empty() {
            write!(f, ": {}", self.place)?;
        }
        write!(f, ": {}", self.reason.en)
    }
}

/// A place in a data file, for the faults found there.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    pub(crate) file: &'a str,
    pub(crate) line: Option<usize>,
    pub(crate) path: String,
}

impl<'a> Place<'a> {
    pub(crate) fn whole(file: &'a str) -> Self {
        Self { file, line: None, path: String::new() }
    }

    /// The same line, one key further down.
    pub(crate) fn key(&self, key: &str) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { file: self.file, line: self.line, path }
    }
}

/// Collects faults while everything is read.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<TableFault>);

impl Faults {
    pub(crate) fn add(&mut self, place: &Place<'_>, reason: Bilingual) {
        self.0.push(TableFault { file: place.file.to_owned(), line: place.line, place: place.path.clone(), reason });
    }

    /// Adds a fault in both languages.
    pub(crate) fn say(&mut self, place: &Place<'_>, ja: impl Into<String>, en: impl Into<String>) {
        self.add(place, Bilingual::new(ja, en));
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// All of them, by file, line and place; `Ok` if there are none.
    pub(crate) fn finish(mut self) -> Result<(), Vec<TableFault>> {
        if self.0.is_empty() {
            return Ok(());
        }
        self.0
            .sort_by(|a, b| (&a.file, a.line, &a.place, &a.reason.en).cmp(&(&b.file, b.line, &b.place, &b.reason.en)));
        self.0.dedup();
        Err(self.0)
    }
}
