//! The commands, as users run them: the binary on the hub that the demo leaves, exit codes, words in both languages,
//! and JSON for machines.

mod audit;
mod ca;
mod certs;
mod data;
mod hub;
mod serve;
mod store;

use std::path::Path;

use tsunagi_tests::process::{Ran, run};

/// Every command that does something by itself.
const COMMANDS: [&str; 41] = [
    "audit export",
    "audit key",
    "audit proof",
    "audit show",
    "audit verify",
    "certs bundle",
    "certs crl",
    "certs forecast",
    "certs init",
    "certs issue",
    "certs list",
    "certs renew",
    "certs revoke",
    "check",
    "consent decide",
    "consent explain",
    "consent what-if",
    "deliveries list",
    "deliveries redrive",
    "deliveries show",
    "demo",
    "exchanges list",
    "exchanges rejections",
    "exchanges show",
    "init",
    "kinds list",
    "kinds show",
    "mappings check",
    "mappings coverage",
    "mappings loss",
    "mappings try",
    "municipalities resolve",
    "registry import",
    "registry list",
    "registry show",
    "schedules next",
    "schedules show",
    "self-test isolation",
    "serve",
    "store copy",
    "subjects shred",
];

/// Runs a command line, split at blanks, in English.
fn en(folder: &Path, line: &str) -> Ran {
    run(folder, &[("LANG", "en_US.UTF-8")], &line.split_whitespace().collect::<Vec<_>>())
}

/// The same in Japanese.
fn ja(folder: &Path, line: &str) -> Ran {
    run(folder, &[("LANG", "ja_JP.UTF-8")], &line.split_whitespace().collect::<Vec<_>>())
}

/// The commands that a help page lists below `path`, all the way down.
fn leaves(folder: &Path, path: &str) -> Vec<String> {
    let help = en(folder, &format!("{path} --help")).ended(0).out();
    let Some((_, listed)) = help.split_once("Commands:\n") else { return vec![path.trim().to_owned()] };
    let listed = listed.split("\n\n").next().unwrap();
    let names = listed.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.flat_map(|name| leaves(folder, &format!("{path} {name}"))).collect()
}

#[test]
fn each_command_has_a_help_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut found = leaves(folder, "");
    found.sort();
    for command in COMMANDS {
        assert!(found.iter().any(|name| name == command), "{command} is gone");
    }
    for command in &found {
        let help = en(folder, &format!("{command} --help")).ended(0).out();
        let (_, example) = help.split_once("Example:\n").unwrap_or_else(|| panic!("{command} has no example"));
        assert!(example.trim_start().starts_with("tsunagi "), "{command}: {example}");
        assert!(example.contains(command.as_str()), "{command}: the example is of another command: {example}");
    }
}

#[test]
fn a_command_line_that_cannot_be_read_ends_with_64() {
    let folder = tempfile::tempdir().unwrap();
    for line in ["", "frobnicate", "check --frobnicate", "certs", "kinds show", "--lang fr check", "audit show"] {
        let ran = en(folder.path(), line).ended(64);
        assert!(!ran.stderr.is_empty() && ran.stdout.is_empty(), "{line}");
    }
    assert!(en(folder.path(), "--version").ended(0).out().starts_with("tsunagi "));
    en(folder.path(), "--config nowhere.toml check").ended(64);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a command that failed left something");
}

#[test]
fn the_language_is_chosen_by_flag_and_else_by_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    assert!(en(folder.path(), "check").ended(0).out().contains("no faults"));
    assert!(ja(folder.path(), "check").ended(0).out().contains("誤りはありません"));
    assert!(ja(folder.path(), "--lang en check").ended(0).out().contains("no faults"));
    assert!(en(folder.path(), "check --lang ja").ended(0).out().contains("誤りはありません"));
    let bare = run(folder.path(), &[("LC_ALL", "ja_JP.UTF-8"), ("LANG", "C")], &["check"]);
    assert!(bare.ended(0).out().contains("誤りはありません"));
}
