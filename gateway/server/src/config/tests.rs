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

#[test]
fn a_coordinator_is_in_process_unless_a_url_says_where_it_is() {
    use super::CoordinatorConfig;
    assert!(matches!(parse("", &[]).expect("sound").coordinator, CoordinatorConfig::InProcess));
    let text = "version = 1\n[coordinator]\nurl = \"rediss-sentinel://a,b/0#main\"\nca_file = \"trust/redis.pem\"\n";
    let CoordinatorConfig::Redis(shared) = parse(text, &[]).expect("sound").coordinator else { panic!("in process") };
    assert_eq!(shared.ca_file.as_deref(), Some(Path::new("/hub/trust/redis.pem")));
    assert!(shared.address.tls && shared.address.servers.len() == 2);
    for here in ["127.0.0.1:6379", "[::1]", "localhost/1"] {
        parse(&format!("version = 1\n[coordinator]\nurl = \"redis://{here}\"\n"), &[]).expect("in the clear to itself");
    }
}

#[test]
fn a_coordinator_that_contradicts_itself_is_named() {
    for (lines, place) in [
        ("url = \"redis://me:secret@a\"", "coordinator.url"),
        ("password_file = \"keys/redis\"", "coordinator.url"),
        ("url = \"redis://localhost\"\nca_file = \"ca.pem\"", "coordinator.ca_file"),
        ("url = \"redis://[::1]\"\nusername = \"me\"", "coordinator.username"),
        // In the clear to this machine alone; who names other servers may name others.
        ("url = \"redis://cache.example\"", "coordinator.url"),
        ("url = \"redis-cluster://127.0.0.1\"", "coordinator.url"),
        ("url = \"redis-sentinel://localhost#main\"", "coordinator.url"),
        ("prefix = \"a b\"", "coordinator.prefix"),
        ("timeout_ms = 0", "coordinator.timeout_ms"),
        ("timeout_ms = 1001", "coordinator.timeout_ms"),
    ] {
        let faults = parse(&format!("version = 1\n[coordinator]\n{lines}\n"), &[]).expect_err(lines);
        assert!(matches!(&faults[..], [one] if one.starts_with(&format!("{place}: "))), "{lines}: {faults:?}");
        assert!(!faults[0].contains("secret"));
    }
}

fn on_a_server(lines: &str) -> Result<Config, Vec<String>> {
    parse(&format!("version = 1\n[store]\nbackend = \"postgres\"\n{lines}\n"), &[])
}

#[test]
fn a_server_is_named_without_a_password_and_proves_its_name_unless_it_is_here() {
    let here = on_a_server("postgres_url = \"postgres://hub@127.0.0.1:5432/hub\"").expect("sound");
    assert_eq!(here.postgres.expect("a server").root_ca_file, None);
    let there = "postgres_url = \"postgres://hub@db.example/hub\"";
    assert!(on_a_server(there).expect_err("no CA")[0].starts_with("store.postgres_root_ca_file"));
    let proven = on_a_server(&format!("{there}\npostgres_root_ca_file = \"ca.pem\"")).expect("sound");
    assert_eq!(proven.postgres.expect("a server").root_ca_file.as_deref(), Some(Path::new("/hub/ca.pem")));
    for url in [
        "",
        "mysql://hub@127.0.0.1/hub",
        "postgres://127.0.0.1/hub",
        "postgres://hub@127.0.0.1",
        "postgres://hub@127.0.0.1/hub?sslmode=disable",
        "postgres://hub@127.0.0.1,db.example/hub",
    ] {
        let faults = on_a_server(&format!("postgres_url = \"{url}\"")).expect_err(url);
        assert!(faults[0].starts_with("store.postgres_url: is not of the form"), "{faults:?}");
    }
    let faults = on_a_server("postgres_url = \"postgres://hub:hunter2@127.0.0.1/hub\"").expect_err("a password");
    assert!(faults[0].contains("store.postgres_password_file") && !faults[0].contains("hunter2"), "{faults:?}");
}

#[test]
fn a_store_is_in_one_place() {
    let both = "version = 1\n[store]\npostgres_url = \"postgres://hub@127.0.0.1/hub\"\n";
    assert!(parse(both, &[]).expect_err("a file and a server")[0].starts_with("store.postgres_url"));
    let neither = parse("version = 1\n[store]\nbackend = \"oracle\"\n", &[]).expect_err("no such backend");
    assert!(neither[0].starts_with("store.backend"));
    let zero = "postgres_url = \"postgres://hub@localhost/hub\"\npostgres_connections = 0\npostgres_timeout_ms = 0";
    assert_eq!(on_a_server(zero).expect_err("two faults").len(), 2);
}
