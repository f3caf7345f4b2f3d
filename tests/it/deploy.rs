//! The files that a hub is run with: each is held against the product, and read by the program it is for where that is
//! installed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tsunagi_tests::process::binary;

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file)
}

fn text(file: &str) -> String {
    std::fs::read_to_string(deploy(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// What a program says to a file; `None`, which is printed, where it is not installed.
fn said_by(program: &str, arguments: &[&str], file: &Path) -> Option<Output> {
    let is_there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if is_there.is_err() {
        println!("not run: {program} on {} (it is not installed)", file.file_name().unwrap().display());
        return None;
    }
    Some(Command::new(program).args(arguments).arg(file).output().expect("it runs"))
}

/// Names of metrics as a query has them, without what a histogram adds.
fn metrics_of(text: &str) -> BTreeSet<String> {
    let plain = |name: String| {
        let endings = ["_bucket", "_count", "_sum"].iter();
        endings.fold(name, |name, ending| name.strip_suffix(ending).map(str::to_owned).unwrap_or(name))
    };
    crate::readme::names(text).map(plain).collect()
}

#[test]
fn alerts_and_dashboard_name_metrics_that_there_are() {
    let there = crate::readme::metrics_of_the_gateway();
    let alerts = text("prometheus/tsunagi.yml");
    let rules = alerts.lines().filter(|line| !line.trim_start().starts_with('#') && !line.contains("annotations"));
    let mut named = metrics_of(&rules.collect::<Vec<_>>().join("\n"));
    let dashboard: Value = serde_json::from_str(&text("grafana/tsunagi.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    for panel in panels {
        let targets = panel["targets"].as_array().expect("targets");
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            let query = metrics_of(target["expr"].as_str().expect("a query"));
            assert!(!query.is_empty(), "{target}");
            named.extend(query);
        }
    }
    let unknown: Vec<_> = named.difference(&there).collect();
    assert!(unknown.is_empty(), "no such metric: {unknown:?}");
    let unseen: Vec<_> = there.difference(&named).collect();
    assert!(unseen.is_empty(), "neither an alert nor a panel shows {unseen:?}");
}

#[test]
fn the_alerts_are_rules() {
    let file = deploy("prometheus/tsunagi.yml");
    let Some(said) = said_by("promtool", &["check", "rules"], &file) else { return };
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}

#[test]
fn the_balancer_reads_its_configuration() {
    let file = deploy("haproxy/haproxy.cfg");
    let Some(said) = said_by("haproxy", &["-c", "-f"], &file) else { return };
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[test]
fn the_unit_is_one_and_lets_the_service_do_little() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("tsunagi.service");
    let here = binary().display().to_string();
    std::fs::write(&unit, text("systemd/tsunagi.service").replace("/usr/bin/tsunagi", &here)).unwrap();
    let Some(said) = said_by("systemd-analyze", &["verify", "--man=no"], &unit) else { return };
    let complaints = String::from_utf8_lossy(&said.stderr).into_owned();
    let ours: Vec<_> = complaints.lines().filter(|line| line.contains("tsunagi")).collect();
    assert!(ours.is_empty(), "{complaints}");
    // From 0, nothing allowed, to 10: everything.
    let said = said_by("systemd-analyze", &["security", "--offline=true", "--threshold=20"], &unit).unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}

#[test]
fn the_package_has_files_that_there_are() {
    let gateway = deploy("../gateway/server");
    let manifest: toml::Table = std::fs::read_to_string(gateway.join("Cargo.toml")).unwrap().parse().unwrap();
    let package = &manifest["package"]["metadata"]["deb"];
    for asset in package["assets"].as_array().unwrap() {
        let from = asset[0].as_str().unwrap();
        let is_built = from.starts_with("target/release/");
        assert!(is_built || gateway.join(from).exists(), "{from}");
    }
    for key in ["maintainer-scripts", "license-file"] {
        let named = package[key].as_str().or_else(|| package[key][0].as_str()).unwrap();
        assert!(gateway.join(named).exists(), "{named}");
    }
    assert!(text("debian/postinst").starts_with("#!/bin/sh\n"));
}
