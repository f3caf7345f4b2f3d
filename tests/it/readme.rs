//! What the README prints is what happens: its commands run as they stand there, and what it names is there.
//!
//! A fenced block `sh` is run by bash, all of them one after another in one shell and one empty folder; a block `text` after
//! it says what must come back. There `…` is any text, space counts once, and lines may be left out. A block `bash` is not
//! run: it is the test command itself. The operator's pages on certificates are played in the same way. A `cargo` that stands first on the PATH gives `cargo run --release --` the binary
//! of this test run, so that nothing is built twice, and a `tsunagi` beside it is that binary; everything else is as the
//! reader has it.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tsunagi_core::id::KindName;
use tsunagi_gateway::config::Config;
use tsunagi_mappings::Tables;
use tsunagi_tests::process::binary;

const ENGLISH: &str = include_str!("../../README.md");
const JAPANESE: &str = include_str!("../../README.ja.md");

/// The ports of `config/default.toml`, which the README's commands use.
const PORTS: [u16; 2] = [8443, 9464];

/// A fenced block.
pub(crate) struct Block<'a> {
    pub(crate) language: &'a str,
    line: usize,
    pub(crate) text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn blocks(markdown: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(markdown.lines()) {
        match (inside, line.strip_prefix("```")) {
            (false, Some(language)) => blocks.push(Block { language, line: number, text: String::new() }),
            (true, None) => {
                let block = blocks.last_mut().expect("a fence was opened");
                block.text.push_str(line);
                block.text.push('\n');
            }
            (false, None) => continue,
            (true, Some(_)) => {}
        }
        inside = inside != line.starts_with("```");
    }
    assert!(!inside, "a fence is not closed");
    blocks
}

/// Each block that is run, with the block that says what comes back.
fn steps(markdown: &str) -> Vec<(Block<'_>, Block<'_>)> {
    let mut steps = Vec::new();
    let mut all = blocks(markdown).into_iter();
    while let Some(block) = all.next() {
        if block.language == "sh" {
            let says = all.next().filter(|next| next.language == "text");
            let says = says.unwrap_or_else(|| panic!("line {}: nothing says what comes back", block.line));
            steps.push((block, says));
        }
    }
    steps
}

#[test]
fn commands_work_as_printed() {
    let taken = PORTS.into_iter().find(|port| TcpListener::bind(("127.0.0.1", *port)).is_err());
    let curl = Command::new("curl").arg("--version").stdout(Stdio::null()).status();
    let missing = match (taken, curl) {
        (Some(port), _) => Some(format!("port {port} is taken, and the README's commands use it")),
        (None, Ok(status)) if status.success() => None,
        (None, _) => Some("curl is not installed".to_owned()),
    };
    if let Some(missing) = missing {
        assert!(std::env::var_os("CI").is_none(), "the README's commands were not run: {missing}");
        println!("not run: the README's commands ({missing})");
        return;
    }
    for (readme, markdown, lang) in [("README.md", ENGLISH, "C.UTF-8"), ("README.ja.md", JAPANESE, "ja_JP.UTF-8")] {
        let steps = steps(markdown);
        assert!(steps.len() > 10, "{readme} has only {} blocks of commands", steps.len());
        play(readme, &steps, lang);
    }
}

/// The page has ports of its own, so that it can be played beside the README.
#[test]
fn a_mother_looks_who_has_read_about_her() {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("not run: the commands of docs/walk-through.md (curl is not installed)");
        return;
    }
    let text = std::fs::read_to_string(root().join("docs/walk-through.md")).expect("the page is there");
    let steps = steps(&text);
    assert!(steps.len() > 7, "docs/walk-through.md has only {} blocks of commands", steps.len());
    play("docs/walk-through.md", &steps, "C.UTF-8");
}

#[test]
fn commands_of_the_pages_on_certificates_work_as_printed() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("not run: the commands of docs/rotation.md and the pages beside it (openssl is not installed)");
        return;
    }
    for page in ["rotation", "compromise", "ca-rollover", "clock"] {
        let name = format!("docs/{page}.md");
        let text = std::fs::read_to_string(root().join(&name)).expect("the page is there");
        let steps = steps(&text);
        assert!(steps.len() > 3, "{name} has only {} blocks of commands", steps.len());
        play(&name, &steps, "C.UTF-8");
    }
}

/// Runs one README from its first command to its last.
fn play(readme: &str, steps: &[(Block<'_>, Block<'_>)], lang: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let (work, shims) = (folder.path().join("work"), folder.path().join("shims"));
    let said = folder.path().join("said");
    for made in [&work, &shims, &said] {
        std::fs::create_dir(made).expect("a folder can be made");
    }
    write_cargo(&shims.join("cargo"));
    std::os::unix::fs::symlink(binary(), shims.join("tsunagi")).expect("a link can be made");
    let script = folder.path().join("script");
    std::fs::write(&script, script_of(steps, &said)).expect("a script can be written");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut bash = Command::new("timeout");
    bash.args(["--kill-after=10", "300", "bash"]).arg(&script).current_dir(&work);
    bash.env("PATH", format!("{}:{path}", shims.display())).env("LANG", lang);
    bash.env("TSUNAGI", binary()).env_remove("LC_ALL").env_remove("LC_MESSAGES").stdin(Stdio::null());
    let status = bash.status().expect("bash runs");

    for (at, (commands, says)) in steps.iter().enumerate() {
        let output = std::fs::read_to_string(said.join(at.to_string())).unwrap_or_default();
        let place = format!("{readme}:{} (LANG={lang})", commands.line);
        if let Err(line) = comes_back(&says.text, &output) {
            panic!("{place}: `{line}` did not come back, or not in this order; what did:\n{output}");
        }
    }
    assert!(status.success(), "{readme}: a command ended with {status}, though all that is printed came back");
}

/// One script for all blocks: what one leaves, a later one uses. What each says goes to a file of its own.
fn script_of(steps: &[(Block<'_>, Block<'_>)], said: &Path) -> String {
    let mut script = String::from("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || :; wait' EXIT\n");
    for (at, (commands, _)) in steps.iter().enumerate() {
        script.push_str(&format!("{{\n{}}} >{} 2>&1\n", commands.text, said.join(at.to_string()).display()));
    }
    script
}

/// `cargo run --release -- ARGUMENTS` by the binary of this test run, in place of the shell that called, as cargo does.
fn write_cargo(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let text = "#!/bin/sh\n[ \"$1 $2 $3\" = 'run --release --' ] || { echo \"cargo $*: not in the README\" >&2; exit 64; }\n\
                shift 3\nexec \"$TSUNAGI\" \"$@\"\n";
    std::fs::write(path, text).expect("a script can be written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("modes can be set");
}

/// The first line of `says` that `output` does not hold after the ones before it.
fn comes_back<'a>(says: &'a str, output: &str) -> Result<(), &'a str> {
    let mut lines = output.lines();
    for pattern in says.lines().filter(|line| !line.trim().is_empty()) {
        let words = squeezed(pattern);
        if !lines.any(|line| fits(&words, &squeezed(line))) {
            return Err(pattern);
        }
    }
    Ok(())
}

fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// True if `line` is `pattern`, where `…` is any text.
fn fits(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.split_at(at + part.len()).1,
            None => return false,
        }
        last = Some(part);
    }
    match last {
        None => rest.is_empty(),
        // The last part was found at its first place; what counts is that the line ends with it.
        Some(part) => line.ends_with(part),
    }
}

#[test]
fn what_comes_back_is_held_against_every_part_of_a_line() {
    assert!(
        comes_back("HTTP/2 201\n{…\"a\":1,…}", "HTTP/2 201 \r\ndate: x\r\n\r\n{\"b\":2,\"a\":1,\"c\":3}\n").is_ok()
    );
    assert!(comes_back("a …", "a b").is_ok());
    assert!(comes_back("… b", "b a  b").is_ok());
    for (says, output) in [("b\na", "a\nb"), ("HTTP/2 201", "HTTP/2 2010"), ("a…c", "abd"), ("a…c", "acd"), ("a", "")]
    {
        assert!(comes_back(says, output).is_err(), "{says:?} {output:?}");
    }
}

#[test]
fn both_languages_print_the_same_commands() {
    let commands = |markdown| {
        let run = blocks(markdown).into_iter().filter(|block| matches!(block.language, "bash" | "sh"));
        run.map(|block| block.text).collect::<Vec<_>>()
    };
    assert_eq!(commands(ENGLISH), commands(JAPANESE));
}

#[test]
fn every_example_configuration_holds_together() {
    let examples = root().join("config/examples");
    let mut read = 0;
    for entry in std::fs::read_dir(examples).expect("there are examples") {
        let path = entry.expect("a folder's entry").path();
        let loaded = Config::load(Some(&path), std::iter::empty());
        assert!(loaded.is_ok(), "{}: {:?}", path.display(), loaded.err());
        // Several nodes with a store each would be several logs under one key.
        let shares = ["nodes.toml", "postgres.toml"].iter().any(|name| path.ends_with(name));
        assert_eq!(loaded.is_ok_and(|config| config.postgres.is_some()), shares, "{}", path.display());
        read += 1;
    }
    assert!(read > 0, "there is no example");
}

#[test]
fn the_files_of_the_page_on_data_are_in_order() {
    let page = std::fs::read_to_string(root().join("docs/data.md")).expect("the page on data");
    let folder = tempfile::tempdir().expect("a folder");
    let mut cases = 0;
    for block in blocks(&page) {
        if let Some(name) = block.language.strip_prefix("toml ") {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder can be made");
            std::fs::write(path, &block.text).expect("a file can be written");
            cases += block.text.matches("[[case]]").count();
        }
    }
    assert!(cases > 1, "the page shows no cases");
    let tables = Tables::with_folder(folder.path()).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert!(tables.kind(&KindName::parse("growth_measurement").expect("a name")).is_some());
    let failed: Vec<String> =
        tables.run_cases().into_iter().map(|f| format!("{} {}: {}", f.file, f.case, f.reason)).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn everything_has_its_place() {
    for markdown in [ENGLISH, JAPANESE] {
        let tree = blocks(markdown).into_iter().find(|block| block.text.starts_with("config/default.toml"));
        let tree = tree.expect("the block that says where things live");
        for line in tree.text.lines() {
            let mut words = line.split_whitespace();
            let place = root().join(words.next().expect("a place"));
            assert!(place.exists(), "{line}");
            let folder = if place.is_dir() { place } else { place.parent().expect("a folder").to_owned() };
            for word in words.map(|word| word.trim_end_matches([',', ';', '、'])) {
                let is_path = word.is_ascii() && (word.ends_with('/') || word.ends_with(".md"));
                assert!(!is_path || folder.join(word).exists(), "{word} in: {line}");
            }
        }
    }
}

#[test]
fn no_link_leads_nowhere() {
    let pages = std::fs::read_dir(root().join("docs")).expect("there are documents");
    let pages = pages.map(|entry| entry.expect("a folder's entry").path());
    let own = ["README.md", "README.ja.md", "CHANGELOG.md", "tests/README.md"].map(|name| root().join(name));
    for page in pages.filter(|path| path.extension().is_some_and(|e| e == "md")).chain(own) {
        let text = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = page.parent().expect("a folder").join(link.split('#').next().unwrap_or(link));
            assert!(link.starts_with("https://") || target.exists(), "{}: {link}", page.display());
        }
    }
}

#[test]
fn the_metrics_that_are_written_down_are_the_metrics_there_are() {
    let written = std::fs::read_to_string(root().join("docs/operating.md")).expect("the operator's page");
    let mut written: BTreeSet<String> = names(&written).collect();
    // The names of crates are of the same make.
    written.retain(|name| name != "tsunagi_gateway");
    assert_eq!(written, metrics_of_the_gateway());
}

/// Every metric that the sources count.
pub(crate) fn metrics_of_the_gateway() -> BTreeSet<String> {
    let mut there = BTreeSet::new();
    let mut folders = vec![root().join("gateway")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder can be read") {
            let path = entry.expect("a folder's entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(path).expect("sources are UTF-8");
                for call in ["counter!(", "gauge!(", "histogram!("] {
                    there.extend(text.split(call).skip(1).filter_map(|rest| names(rest.split(',').next()?).next()));
                }
            }
        }
    }
    assert!(!there.is_empty());
    there
}

/// Words that begin like the name of a metric.
pub(crate) fn names(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("tsunagi_")).map(str::to_owned)
}
