//! CSV data files, line by line.

use serde::de::DeserializeOwned;

use crate::fault::{Faults, Place};
use crate::toml_file::Entry;

/// Reads all lines; one that does not fit is a fault and left out. Columns other than `header` are a fault.
pub(crate) fn lines<T: DeserializeOwned>(
    file: &str,
    text: &str,
    header: &[&str],
    faults: &mut Faults,
) -> Vec<Entry<T>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    match reader.headers() {
        Ok(found) if found.iter().eq(header.iter().copied()) => {}
        Ok(_) | Err(_) => {
            let place = Place { file, line: Some(1), path: String::new() };
            let wanted = header.join(",");
            faults.say(&place, format!("見出しは {wanted} です"), format!("the header must be {wanted}"));
            return Vec::new();
        }
    }
    let headers = reader.headers().cloned().unwrap_or_default();
    let mut entries = Vec::new();
    for record in reader.into_records() {
        let (line, parsed) = match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                (line, record.deserialize::<T>(Some(&headers)))
            }
            Err(error) => (error.position().map_or(0, csv::Position::line), Err(error)),
        };
        let line = usize::try_from(line).unwrap_or(usize::MAX);
        match parsed {
            Ok(value) => entries.push(Entry { line, path: String::new(), value }),
            Err(error) => {
                let place = Place { file, line: Some(line), path: String::new() };
                let message = why(&error);
                faults.say(
                    &place,
                    format!("この行は読めません: {message}"),
                    format!("this line cannot be read: {message}"),
                );
            }
        }
    }
    entries
}

fn why(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => err.to_string(),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => format!("{len} columns, not {expected_len}"),
        _ => error.to_string(),
    }
}
