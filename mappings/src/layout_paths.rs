//! Places of one layout that cannot all be written or read: the same place twice, or one inside another.

use crate::fault::{Faults, Place};
use crate::layout_file::RawRow;
use crate::path::{Path, TreePath};
use crate::toml_file::Entry;

/// Everything that a layout puts somewhere, with where its file says so.
#[derive(Debug, Default)]
pub(crate) struct Placed<'a> {
    places: Vec<Taken<'a>>,
    also: Vec<Taken<'a>>,
}

#[derive(Debug)]
struct Taken<'a> {
    path: Path,
    place: Place<'a>,
}

impl<'a> Placed<'a> {
    /// A place that is written.
    pub(crate) fn writes(&mut self, path: &Path, place: Place<'a>) {
        self.places.push(Taken { path: path.clone(), place });
    }

    /// A place that is read where nothing stands at the first.
    pub(crate) fn reads(&mut self, path: &Path, place: Place<'a>) {
        self.also.push(Taken { path: path.clone(), place });
    }

    /// Reports what can never be written together, or would be read for something else.
    pub(crate) fn report(&self, faults: &mut Faults) {
        for (at, one) in self.places.iter().enumerate() {
            for earlier in self.places.iter().take(at) {
                let line = earlier.place.line.unwrap_or(0);
                match relation(&earlier.path, &one.path) {
                    Relation::Apart => {}
                    Relation::Same => faults.say(
                        &one.place,
                        format!("{line} 行目と同じ場所です"),
                        format!("line {line} has the same place"),
                    ),
                    Relation::Inside => faults.say(
                        &one.place,
                        format!("{line} 行目の場所と、一方が他方の中にあります。両方は書けません"),
                        format!(
                            "one of this place and that of line {line} is inside the other: both cannot be written"
                        ),
                    ),
                }
            }
        }
        for (at, one) in self.also.iter().enumerate() {
            let others = self.places.iter().chain(self.also.iter().take(at));
            for other in others.filter(|other| relation(&other.path, &one.path) == Relation::Same) {
                let line = other.place.line.unwrap_or(0);
                faults.say(
                    &one.place,
                    format!("{line} 行目が読む場所です"),
                    format!("line {line} reads this place already"),
                );
            }
        }
    }
}

/// Reports columns that are said to be ignored more than once.
pub(crate) fn report_twins<'r, T: 'r>(
    file: &str,
    entries: impl Iterator<Item = &'r Entry<T>>,
    name: impl Fn(&T) -> &str,
    faults: &mut Faults,
) {
    let mut seen: Vec<(String, usize)> = Vec::new();
    for entry in entries {
        let text = name(&entry.value);
        match seen.iter().find(|(known, _)| known == text) {
            Some((_, line)) => faults.say(
                &entry.place(file).key("path"),
                format!("{line} 行目と同じ列です"),
                format!("line {line} names the same column"),
            ),
            None => seen.push((text.to_owned(), entry.line)),
        }
    }
}

/// True if a row is required and has a default: it can never be missing.
pub(crate) fn report_idle_requirement(file: &str, raw: &Entry<RawRow>, faults: &mut Faults) {
    if raw.value.required && raw.value.default.is_some() {
        faults.say(
            &raw.place(file).key("required"),
            "既定値があるので、欠けることはありません",
            "the row has a default and can never be missing",
        );
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Apart,
    Inside,
    Same,
}

fn relation(one: &Path, other: &Path) -> Relation {
    match (one, other) {
        (Path::Column(one), Path::Column(other)) if one.name() == other.name() => Relation::Same,
        (Path::Tree(one), Path::Tree(other)) => tree_relation(one, other),
        _ => Relation::Apart,
    }
}

fn tree_relation(one: &TreePath, other: &TreePath) -> Relation {
    match (one.begins(other), other.begins(one)) {
        (true, true) => Relation::Same,
        (true, false) | (false, true) => Relation::Inside,
        (false, false) => Relation::Apart,
    }
}

#[cfg(test)]
mod tests;
