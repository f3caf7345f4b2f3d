//! What commands print: aligned tables for people, one JSON document for machines.

use serde::Serialize;
use tsunagi_core::fault::{Bilingual, Lang};

use super::CommandFault;

/// Language and form of what is printed.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// For words.
    pub lang: Lang,
    /// For data.
    pub json: bool,
}

impl Output {
    /// One of two texts.
    pub fn say(&self, ja: &str, en: &str) -> String {
        match self.lang {
            Lang::En => en.to_owned(),
            Lang::Ja => ja.to_owned(),
        }
    }

    /// A bilingual text in the language chosen.
    pub fn pick<'a>(&self, text: &'a Bilingual) -> &'a str {
        text.pick(self.lang)
    }

    /// Prints `value` as JSON, or what `people` makes of it.
    pub fn print<T: Serialize>(&self, value: &T, people: impl FnOnce(&T) -> String) -> Result<(), CommandFault> {
        let text = if self.json {
            serde_json::to_string_pretty(value).map_err(|error| CommandFault::Failed(error.to_string()))?
        } else {
            people(value)
        };
        write_line(&text)
    }

    /// Prints a line of words; nothing with `--json`, where only data is printed.
    pub fn line(&self, ja: &str, en: &str) -> Result<(), CommandFault> {
        if self.json { Ok(()) } else { write_line(&self.say(ja, en)) }
    }
}

/// Prints a text and a line end. A reader that has gone away ends the command quietly.
pub fn write_line(text: &str) -> Result<(), CommandFault> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(CommandFault::Failed(String::new())),
        other => Ok(other?),
    }
}

/// Rows under a header, columns aligned; full-width characters count as two.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| width(cell)).collect();
    for row in rows {
        for (at, cell) in widths.iter_mut().zip(row) {
            *at = (*at).max(width(cell));
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width_wanted) in cells.zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width_wanted.saturating_sub(width(cell)) + 2));
        }
        text.trim_end().to_owned()
    };
    let mut lines = vec![line(&mut header.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

fn width(text: &str) -> usize {
    text.chars().map(|c| if u32::from(c) >= 0x1100 && !(0xFF61..=0xFF9F).contains(&u32::from(c)) { 2 } else { 1 }).sum()
}

/// The member at a JSON pointer; null where there is none.
pub fn at<'a>(value: &'a serde_json::Value, pointer: &str) -> &'a serde_json::Value {
    value.pointer(pointer).unwrap_or(&serde_json::Value::Null)
}
