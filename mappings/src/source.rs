//! Where data files come from: compiled in, and overlaid by a folder of the same shape.

use std::collections::BTreeMap;
use std::path::Path;

use include_dir::{Dir, include_dir};

use crate::fault::{Faults, Place};

/// All data files by their path below the folder (`kinds/vaccination.toml`), with `/` on every system.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files(BTreeMap<String, String>);

impl Files {
    /// The set that is compiled in.
    pub(crate) fn builtin(faults: &mut Faults) -> Self {
        let mut files = Self::default();
        for (folder, dir) in &BUILTIN {
            files.take_embedded(folder, dir, faults);
        }
        files.0.insert("identifiers.toml".to_owned(), IDENTIFIERS.to_owned());
        files
    }

    /// Lays a folder over: a file of the same name replaces, a new name adds.
    pub(crate) fn overlay(&mut self, folder: &Path, faults: &mut Faults) {
        self.take_folder(folder, "", faults);
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
    }

    /// The files of one folder, with their names below it and without the ending.
    pub(crate) fn within<'a>(
        &'a self,
        folder: &'static str,
        ending: &'static str,
    ) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        self.0.iter().filter_map(move |(file, text)| {
            let stem = file.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(ending)?;
            Some((file.as_str(), stem, text.as_str()))
        })
    }

    /// One file.
    pub(crate) fn one(&self, file: &str) -> Option<&str> {
        self.0.get(file).map(String::as_str)
    }

    /// Files that nothing would read: a typing error in a folder or file name must not go unseen.
    pub(crate) fn report_strays(&self, faults: &mut Faults) {
        for file in self.0.keys() {
            let known = file == "identifiers.toml"
                || file == "policy/default.toml"
                || READ.iter().any(|(folder, ending)| {
                    file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/') && rest.ends_with(ending))
                });
            if !known {
                faults.say(
                    &Place::whole(file),
                    "この場所のファイルは読まれません",
                    "nothing reads a file at this place",
                );
            }
        }
    }

    fn take_embedded(&mut self, prefix: &str, dir: &Dir<'_>, faults: &mut Faults) {
        for file in dir.files() {
            let name = format!("{prefix}/{}", slashes(file.path()));
            self.insert(name, file.contents().to_vec(), faults);
        }
        for below in dir.dirs() {
            self.take_embedded(prefix, below, faults);
        }
    }

    fn take_folder(&mut self, folder: &Path, prefix: &str, faults: &mut Faults) {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return unreadable(&folder.display().to_string(), &error, faults),
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let below = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            if name.starts_with('.') {
                continue;
            }
            if entry.path().is_dir() {
                self.take_folder(&entry.path(), &below, faults);
                continue;
            }
            match std::fs::read(entry.path()) {
                Ok(bytes) => self.insert(below, bytes, faults),
                Err(error) => unreadable(&below, &error, faults),
            }
        }
    }

    fn insert(&mut self, name: String, bytes: Vec<u8>, faults: &mut Faults) {
        if name.ends_with(".md") {
            return;
        }
        match String::from_utf8(bytes) {
            Ok(text) => {
                let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
                self.0.insert(name, text);
            }
            Err(_) => faults.say(&Place::whole(&name), "UTF-8 ではありません", "not UTF-8"),
        }
    }
}

fn unreadable(file: &str, error: &std::io::Error, faults: &mut Faults) {
    faults.say(&Place::whole(file), format!("読めません: {error}"), format!("cannot be read: {error}"));
}

fn slashes(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

const READ: [(&str, &str); 9] = [
    ("calendars", ".toml"),
    ("cases", ".toml"),
    ("characters", ".csv"),
    ("codes", ".csv"),
    ("kinds", ".toml"),
    ("municipalities", ".csv"),
    ("schedules", ".toml"),
    ("schemes", ".csv"),
    ("tables", ".toml"),
];

static BUILTIN: [(&str, Dir<'static>); 10] = [
    ("calendars", include_dir!("$CARGO_MANIFEST_DIR/calendars")),
    ("cases", include_dir!("$CARGO_MANIFEST_DIR/cases")),
    ("characters", include_dir!("$CARGO_MANIFEST_DIR/characters")),
    ("codes", include_dir!("$CARGO_MANIFEST_DIR/codes")),
    ("kinds", include_dir!("$CARGO_MANIFEST_DIR/kinds")),
    ("municipalities", include_dir!("$CARGO_MANIFEST_DIR/municipalities")),
    ("policy", include_dir!("$CARGO_MANIFEST_DIR/policy")),
    ("schedules", include_dir!("$CARGO_MANIFEST_DIR/schedules")),
    ("schemes", include_dir!("$CARGO_MANIFEST_DIR/schemes")),
    ("tables", include_dir!("$CARGO_MANIFEST_DIR/tables")),
];

const IDENTIFIERS: &str = include_str!("../identifiers.toml");
