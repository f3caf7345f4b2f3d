//! The page on threats names tests: every one of them is there, so that no claim outlives what holds it.

use std::path::Path;

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

/// What is missing of the tests named.
pub(crate) fn missing(root: &Path, page: &str) -> Vec<String> {
    let is_there = |(file, test): &(&str, Option<&str>)| {
        let text = std::fs::read_to_string(root.join("tests/it").join(file))
            .or_else(|_| std::fs::read_to_string(root.join(file)))
            .unwrap_or_default();
        match test {
            None => text.contains("#[test]") || text.contains("#[tokio::test"),
            Some(test) => {
                let head = format!("fn {test}()");
                let mut parts = text.split(&head);
                // The attribute stands right before it.
                parts.next().is_some_and(|before| {
                    before
                        .lines()
                        .rev()
                        .take(3)
                        .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
                }) && parts.next().is_some()
            }
        }
    };
    named(page).iter().filter(|claim| !is_there(claim)).map(|(file, test)| format!("{file} {test:?}")).collect()
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
    // A test that is gone is missed, and so is a function that is none.
    let gone = "`threats.rs::nobody_wrote_this` `threats.rs::missing` `nowhere.rs`";
    assert_eq!(missing(&root, gone).len(), 3);
}
