//! Looking for what must not be there: in texts and in every file of a hub's folder.

use std::path::{Path, PathBuf};

/// True if the bytes hold the needle.
pub fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && haystack.windows(needle.len()).any(|window| window == needle)
}

/// Every file below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

/// The files below a folder that hold any of the texts, in UTF-8 or CP932, each with the text it holds.
pub fn places_of(folder: &Path, texts: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for file in files_below(folder) {
        let bytes = std::fs::read(&file).expect("a file");
        for text in texts {
            let (cp932, _, _) = encoding_rs::SHIFT_JIS.encode(text);
            if holds(&bytes, text.as_bytes()) || holds(&bytes, &cp932) {
                found.push((file.clone(), (*text).to_owned()));
            }
        }
    }
    found
}
