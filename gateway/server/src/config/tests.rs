use std::path::Path;

use super::Config;

fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::parse(text, "test.toml", Path::new("/hub"), environment)
        .map_err(|faults| faults.into_iter().map(|f| format!("{}: {}", f.place, f.reason)).collect())
}

#[test]
fn the_defaults_hold_together_and_listen_on_loopback_only() {
    let config = parse("", &[]).expect("the reference is sound");
    assert!(config.edge.listen.ip().is_loopback() && config.operations_listen.ip().is_loopback());
    assert_eq!(config.store_path, Path::new("/hub/data/tsunagi.db"));
}

#[test]
fn all_faults_come_at_once() {
    let faults = parse(
        "version = 1\n[edge]\nlisten = \"here\"\nrate_burst = 0\n[delivery]\nlease_secs = 1\nretry_first_secs = 7200\n",
        &[],
    )
    .expect_err("four faults");
    let places: Vec<_> = faults.iter().filter_map(|f| f.split(':').next()).collect();
    assert_eq!(places, ["edge.listen", "edge.rate_burst", "delivery.retry_longest_secs", "delivery.lease_secs"]);
}

#[test]
fn unknown_keys_and_a_missing_version_are_refused() {
    assert!(parse("version = 1\n[edge]\nlisen = \"x\"\n", &[]).expect_err("a typo")[0].contains("lisen"));
    assert!(parse("[edge]\n", &[]).expect_err("no version")[0].contains("version"));
    assert!(parse("version = 1\n[edge\n", &[]).expect_err("no TOML")[0].starts_with("test.toml:2"));
}

#[test]
fn the_environment_wins_and_passes_the_same_checks() {
    let config = parse("version = 1\n[edge]\nrate_burst = 7\n", &[("TSUNAGI__EDGE__RATE_BURST", "9")]).expect("sound");
    assert_eq!(config.edge.rate.burst.get(), 9);
    assert!(parse("", &[("TSUNAGI__EDGE__RATE_BURST", "0")]).is_err());
    assert!(parse("", &[("TSUNAGI__EGDE__RATE_BURST", "9")]).is_err());
}
