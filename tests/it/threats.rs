//! The page on threats names tests: every one of them is there and is run, so that no claim outlives what holds it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// `file::test` of each claim, and files that are a test as a whole.
pub(crate) fn named(page: &str) -> Vec<(&str, Option<&str>)> {
    let quoted = page.split('`').skip(1).step_by(2);
    quoted
        .filter(|words| words.contains(".rs"))
        .map(|words| match words.split_once("::") {
            Some((file, test)) => (file, Some(test)),
            None => (words, None),
        })
        .collect()
}

/// What is missing of the tests named: each is a function that the test runner calls, in a file that is compiled.
pub(crate) fn missing(root: &Path, page: &str) -> Vec<String> {
    let is_run = |(file, test): &(&str, Option<&str>)| {
        let places = [root.join("tests/it").join(file), root.join(file)];
        let Some(place) = places.into_iter().find(|place| place.is_file()) else { return false };
        let text = std::fs::read_to_string(&place).unwrap();
        let tests = tests_of(&text);
        is_compiled(&place) && test.map_or(!tests.is_empty(), |test| tests.contains(test))
    };
    named(page).iter().filter(|claim| !is_run(claim)).map(|(file, test)| format!("{file} {test:?}")).collect()
}

/// The functions of a file that are tests and not ignored.
fn tests_of(text: &str) -> BTreeSet<&str> {
    let (mut found, mut attributes) = (BTreeSet::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            attributes.push(line);
            continue;
        }
        let is_test = attributes.iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"));
        let is_ignored = attributes.iter().any(|line| line.contains("ignore"));
        let name =
            line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ").and_then(|rest| rest.split_once("()"));
        found.extend(name.filter(|_| is_test && !is_ignored).map(|(name, _)| name));
        if !line.starts_with("//") {
            attributes.clear();
        }
    }
    found
}

/// True if the module above a file declares it.
fn is_compiled(place: &Path) -> bool {
    let folder = place.parent().unwrap();
    let line = format!("mod {};", place.file_stem().unwrap().to_str().unwrap());
    let above: Vec<PathBuf> = ["main.rs", "lib.rs", "mod.rs"].map(|name| folder.join(name)).into();
    above.into_iter().chain([folder.with_extension("rs")]).any(|above| {
        let text = std::fs::read_to_string(above).unwrap_or_default();
        text.lines().any(|found| found == line || found.ends_with(&format!(" {line}")))
    })
}

/// The rows of the tables of a page, without their heads.
fn rows(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter(|line| line.starts_with("| ") && !line.contains("| held by |"))
}

#[test]
fn every_profile_of_the_page_on_audit_events_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/audit-events.md")).unwrap();
    assert_eq!(missing(&root, &page), Vec::<String>::new());
    for name in tsunagi_tests::profile_names() {
        assert!(page.contains(&format!("| `{name}` |")), "{name}");
    }
}

#[test]
fn every_claim_of_the_page_on_threats_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/threat-model.md")).unwrap();
    assert!(named(&page).len() > 50, "{} tests are named", named(&page).len());
    assert_eq!(missing(&root, &page), Vec::<String>::new());
    // Each attacker has what stops them and what does not.
    for part in page.split("\n## ").skip(1) {
        assert!(part.contains("| held by |") && part.contains("**Not stopped**"), "{}", part.lines().next().unwrap());
    }
    // Each claim is held by a test, and not by a file in which there might be one.
    for row in rows(&page) {
        let tests = named(row);
        assert!(!tests.is_empty() && tests.iter().all(|(_, test)| test.is_some()), "{row}");
    }
    assert!(rows(&page).count() > 30);
}

#[test]
fn what_is_no_test_that_is_run_holds_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let gone = "`threats.rs::nobody_wrote_this` `threats.rs::missing` `nowhere.rs`";
    assert_eq!(missing(&root, gone).len(), 3);
    assert_eq!(missing(&root, "`threats.rs::what_is_no_test_that_is_run_holds_nothing`"), Vec::<String>::new());
    let text = concat!(
        "#[test]\n#[",
        "ignore = \"slow\"]\nfn asleep() {}\n// #[test]\nfn out() {}\n#[test]\nfn real() {}\n",
        "#[tokio::test(flavor = \"multi_thread\")]\n// Why.\nasync fn awaited() {}\nfn helper() {}\n"
    );
    assert_eq!(tests_of(text), BTreeSet::from(["awaited", "real"]));
    // A file that no module declares is not compiled.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("main.rs"), "mod declared;\n").unwrap();
    assert!(is_compiled(&folder.path().join("declared.rs")) && !is_compiled(&folder.path().join("left.rs")));
}
