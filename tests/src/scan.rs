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

/// The bytes of a text as the field writes it: UTF-8, CP932, UTF-16 either way round.
pub fn spellings(text: &str) -> [Vec<u8>; 4] {
    let (cp932, _, _) = encoding_rs::SHIFT_JIS.encode(text);
    let wide: Vec<u16> = text.encode_utf16().collect();
    [
        text.as_bytes().to_vec(),
        cp932.into_owned(),
        wide.iter().flat_map(|unit| unit.to_le_bytes()).collect(),
        wide.iter().flat_map(|unit| unit.to_be_bytes()).collect(),
    ]
}
