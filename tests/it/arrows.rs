//! The house as the design draws it: which member may use which, who may read a clock, how large a file may be, and that
//! what varies is data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tsunagi_tests::files_below;

/// Who may use whom; the tests may use all.
const ARROWS: [(&str, &[&str]); 7] = [
    ("tsunagi-core", &[]),
    ("tsunagi-certs", &[]),
    ("tsunagi-mappings", &["tsunagi-core"]),
    ("tsunagi-adapters", &["tsunagi-core"]),
    ("tsunagi-store", &["tsunagi-core"]),
    ("tsunagi-gateway", &["tsunagi-core", "tsunagi-mappings", "tsunagi-adapters", "tsunagi-store", "tsunagi-certs"]),
    (
        "tsunagi-tests",
        &["tsunagi-core", "tsunagi-mappings", "tsunagi-adapters", "tsunagi-store", "tsunagi-certs", "tsunagi-gateway"],
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn manifest(path: &Path) -> toml::Table {
    std::fs::read_to_string(path).expect("a manifest").parse().expect("TOML")
}

/// Name, and for each kind of dependency what is named, of every member.
fn members() -> BTreeMap<String, BTreeMap<&'static str, BTreeSet<String>>> {
    let workspace = manifest(&root().join("Cargo.toml"));
    let folders = workspace["workspace"]["members"].as_array().expect("members").iter();
    let folders = folders.map(|folder| root().join(folder.as_str().expect("a path")));
    folders
        .map(|folder| {
            let manifest = manifest(&folder.join("Cargo.toml"));
            assert!(!manifest.contains_key("target"), "{}: dependencies by target are not looked at", folder.display());
            let named = |section: &'static str| {
                let table = manifest.get(section).and_then(toml::Value::as_table);
                let names = table.into_iter().flatten().map(|(alias, value)| {
                    value.get("package").and_then(toml::Value::as_str).unwrap_or(alias).to_owned()
                });
                (section, names.collect())
            };
            let name = manifest["package"]["name"].as_str().expect("a name").to_owned();
            (name, ["dependencies", "dev-dependencies", "build-dependencies"].into_iter().map(named).collect())
        })
        .collect()
}

#[test]
fn only_the_arrows_of_the_design_exist() {
    let members = members();
    let names: BTreeSet<&str> = members.keys().map(String::as_str).collect();
    assert_eq!(names, ARROWS.iter().map(|(name, _)| *name).collect());
    for (name, allowed) in ARROWS {
        let used: BTreeSet<&str> =
            members[name].values().flatten().map(String::as_str).filter(|used| names.contains(used)).collect();
        let forbidden: Vec<_> = used.iter().filter(|used| !allowed.contains(used)).collect();
        assert!(forbidden.is_empty(), "{name} must not use {forbidden:?}");
    }
}

#[test]
fn core_adapters_and_mappings_can_reach_no_network_runtime_or_database() {
    let members = members();
    let forbidden =
        ["tokio", "hyper", "axum", "rustls", "rusqlite", "tracing", "metrics", "async-trait", "futures-util"];
    for name in ["tsunagi-core", "tsunagi-adapters", "tsunagi-mappings"] {
        for used in &members[name]["dependencies"] {
            assert!(!forbidden.contains(&used.as_str()), "{name} must not use {used}");
        }
    }
    for name in ["tsunagi-core", "tsunagi-adapters"] {
        assert!(!members[name]["dependencies"].contains("serde_json"), "{name} must not use serde_json");
    }
}

/// Sources of the product: without tests, suites for tests, and what stands behind `#[cfg(test)]`.
fn product() -> Vec<(PathBuf, String)> {
    let folders =
        ["gateway/core/src", "gateway/store/src", "gateway/server/src", "adapters/src", "mappings/src", "certs/src"];
    let files = folders.iter().flat_map(|folder| files_below(&root().join(folder)));
    files
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .map(|path| path.strip_prefix(root()).expect("below the root").to_owned())
        .filter(|path| {
            !path.iter().any(|part| ["tests", "tests.rs", "contract", "contract.rs"].iter().any(|name| part == *name))
        })
        .map(|path| {
            let text = std::fs::read_to_string(root().join(&path)).expect("a source");
            let code = without_comments(text.split("#[cfg(test)]\nmod").next().expect("a beginning"));
            (path, code)
        })
        .collect()
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

fn says(sources: &[(PathBuf, String)], words: &[&str], may: impl Fn(&Path) -> bool) -> Vec<String> {
    let found = sources.iter().filter(|(path, _)| !may(path)).flat_map(|(path, code)| {
        words.iter().filter(|word| code.contains(**word)).map(|word| format!("{}: {word}", path.display()))
    });
    found.collect()
}

#[test]
fn time_is_a_parameter_and_one_file_reads_the_clock() {
    let sources = product();
    let clock = Path::new("gateway/server/src/clock.rs");
    let wall = ["SystemTime::now", "Timestamp::now", "Zoned::now", "Utc::now", "OffsetDateTime::now"];
    assert_eq!(says(&sources, &wall, |path| path == clock), Vec::<String>::new());
    assert_eq!(says(&sources, &["Timestamp::now"], |_| false), ["gateway/server/src/clock.rs: Timestamp::now"]);
    // How long something took may be measured where requests are handled and counted, and nowhere that a rule is decided.
    let may = ["gateway/server/src", "gateway/store/src/coordinator"].map(Path::new);
    let measures = |path: &Path| may.iter().any(|folder| path.starts_with(folder));
    assert_eq!(says(&sources, &["Instant::now"], measures), Vec::<String>::new());
}

#[test]
fn core_and_adapters_do_no_io() {
    let pure = |path: &Path| !path.starts_with("gateway/core/src") && !path.starts_with("adapters/src");
    let words = ["std::fs", "std::net", "std::process", "std::env", "std::thread", "async fn", "println!", "eprintln!"];
    assert_eq!(says(&product(), &words, pure), Vec::<String>::new());
}

#[test]
fn no_test_sleeps() {
    let mut sources = Vec::new();
    for folder in ["gateway", "adapters", "mappings", "certs", "tests"] {
        let files = files_below(&root().join(folder)).into_iter();
        for path in files.filter(|path| path.extension().is_some_and(|ending| ending == "rs")) {
            let is_test =
                path.starts_with(root().join("tests")) || path.iter().any(|p| p == "tests" || p == "tests.rs");
            let text = without_comments(&std::fs::read_to_string(&path).expect("a source"));
            let tests = if is_test { text } else { text.split("#[cfg(test)]").skip(1).collect() };
            sources.push((path, tests));
        }
    }
    let words = [concat!("thread::", "sleep"), concat!("time::", "sleep"), concat!("#[", "ignore")];
    assert_eq!(says(&sources, &words, |_| false), Vec::<String>::new());
}

/// String literals that are nothing but a kind's name: what an `if` or a `match` over kinds would need.
fn kind_literals(code: &str, kinds: &[String]) -> Vec<String> {
    kinds.iter().filter(|kind| code.contains(&format!("\"{kind}\""))).cloned().collect()
}

#[test]
fn no_rust_of_the_product_knows_a_record_kind() {
    let files = files_below(&root().join("mappings/kinds"));
    let kinds: Vec<String> =
        files.iter().map(|path| path.file_stem().expect("a name").to_str().expect("ASCII").to_owned()).collect();
    assert!(kinds.len() >= 5, "{kinds:?}");
    let planted = format!("match kind.as_str() {{ \"{}\" => 1, _ => 2 }}", kinds[0]);
    assert_eq!(kind_literals(&planted, &kinds), [kinds[0].clone()]);
    for (path, code) in product().iter().filter(|(path, _)| !path.starts_with("gateway/server/src/demo")) {
        assert_eq!(kind_literals(code, &kinds), Vec::<String>::new(), "{}", path.display());
    }
}

#[test]
fn files_are_of_a_size_that_reads_well() {
    let mut sizes = Vec::new();
    for folder in ["gateway", "adapters", "mappings", "certs", "tests"] {
        for path in files_below(&root().join(folder)) {
            if path.extension().is_none_or(|ending| ending != "rs") || path.iter().any(|part| part == "target") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source");
            let lines = text.lines().count();
            let gives_reason = text.lines().take(10).any(|line| line.contains("Longer than 600 lines because"));
            assert!(lines <= 600 || gives_reason, "{}: {lines} lines and no reason at its head", path.display());
            sizes.push(lines);
        }
    }
    sizes.sort_unstable();
    let median = sizes[sizes.len() / 2];
    assert!(median < 250, "the median file has {median} lines");
}
