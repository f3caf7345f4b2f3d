//! `tsunagi store copy`, from the demo's hub to a server and back.

use std::path::Path;

use serde_json::json;
use tsunagi_store::contract::server::Place;
use tsunagi_tests::process::{KeptHub, Served, partner};

use super::{en, ja};

/// A configuration beside the hub's own, with another store.
fn with_store(hub: &Path, name: &str, store: &[(&str, &str)]) {
    let text = std::fs::read_to_string(hub.join("tsunagi.toml")).unwrap();
    let mut config: toml::Table = text.parse().unwrap();
    let store = store.iter().map(|(key, value)| ((*key).to_owned(), toml::Value::from(*value)));
    config.insert("store".to_owned(), toml::Value::Table(store.collect()));
    std::fs::write(hub.join(name), config.to_string()).unwrap();
}

/// What a hub answers at the desk, and what its municipality finds in the mailbox: each was left for it by another hub.
async fn goes_on(hub: &Path, served: &Served) -> (String, String) {
    let hospital = partner(hub, "hospital-oita", served.edge);
    let asked = std::fs::read(hub.join("samples/eligibility.json")).unwrap();
    let headers = [("content-type", "application/fhir+json")];
    let path = "/fhir/CoverageEligibilityRequest/$submit";
    let mut answer = hospital.send(http::Method::POST, path, &headers, asked).await.expect(200).json();
    assert_eq!(answer["insurance"][0]["inforce"], true, "{answer}");
    for of_this_answer in ["id", "created", "meta", "request"] {
        answer.as_object_mut().unwrap().remove(of_this_answer);
    }
    let city = partner(hub, "city-oita", served.edge);
    let pulled = city.get("/v1/mailbox").await.expect(200);
    let rows = pulled.header("tsunagi-batch-rows").to_owned();
    let settled = city.post("/v1/mailbox/ack", &json!({ "batch": pulled.header("tsunagi-batch") })).await.expect(200);
    assert_eq!(settled.json()["settled"].to_string(), rows);
    city.get("/v1/mailbox").await.expect(204);
    (answer.to_string(), rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_goes_to_a_server_and_back_and_hubs_go_on_with_it() {
    let Some(place) = Place::database().await else { return };
    let copy = tokio::task::spawn_blocking(|| KeptHub::shared().copy()).await.unwrap();
    let hub = copy.path().to_owned();
    with_store(&hub, "server.toml", &[("backend", "postgres"), ("postgres_url", &place.url)]);
    with_store(&hub, "back.toml", &[("path", "back/tsunagi.db")]);
    let served = {
        let hub = hub.clone();
        tokio::task::spawn_blocking(move || Served::start(&hub, &[])).await.unwrap()
    };
    // Something waits for its municipality.
    let hospital = partner(&hub, "hospital-oita", served.edge);
    let sample = std::fs::read(hub.join("samples/immunization.json")).unwrap();
    let headers = [("content-type", "application/fhir+json")];
    hospital.send(http::Method::POST, "/fhir/Immunization", &headers, sample).await.expect(201);

    let work = {
        let hub = hub.clone();
        move || {
            // Not while the hub runs.
            let refused = en(&hub, "store copy --to server.toml").ended(1);
            assert!(refused.err().contains("the source open"), "{}", refused.err());
            assert!(ja(&hub, "store copy --to server.toml").ended(1).err().contains("コピー元"));
            assert_eq!(served.terminate().0, 0);

            let there = en(&hub, "store copy --to server.toml --json").ended(0).json();
            let back = ja(&hub, "--config server.toml store copy --to back.toml").ended(0).out();
            assert!(back.contains("一致しています") && back.contains("audit_leaves"), "{back}");
            assert!(there["rows"].as_u64().unwrap() > 100, "{there}");
            let logs: Vec<&str> =
                there["logs"].as_array().unwrap().iter().map(|log| log["tenant"].as_str().unwrap()).collect();
            assert_eq!(logs, ["hakodate", "hub", "oita"]);

            let verified = en(&hub, "audit verify --json").ended(0).json();
            for config in ["server.toml", "back.toml"] {
                let line = |line: &str| en(&hub, &format!("--config {config} {line}")).ended(0).json();
                assert_eq!(line("audit verify --json"), verified, "{config}");
                assert_eq!(
                    line("exchanges list --json"),
                    en(&hub, "exchanges list --json").ended(0).json(),
                    "{config}"
                );
                assert_eq!(
                    line("deliveries list --json"),
                    en(&hub, "deliveries list --json").ended(0).json(),
                    "{config}"
                );
            }
            // What is there stays.
            for (line, says) in [
                ("store copy --to server.toml", "not empty"),
                ("store copy --to back.toml", "not empty"),
                ("store copy --to tsunagi.toml", "same store"),
                ("--config back.toml store copy --to back.toml", "same store"),
                ("store copy --to nowhere.toml", "nowhere.toml"),
            ] {
                let refused = en(&hub, line);
                assert!([1, 64].contains(&refused.code) && refused.err().contains(says), "{line}: {}", refused.err());
            }
        }
    };
    tokio::task::spawn_blocking(work).await.unwrap();

    let url = place.url.clone();
    let on_server = [("TSUNAGI__STORE__BACKEND", "postgres"), ("TSUNAGI__STORE__POSTGRES_URL", url.as_str())];
    let mut went_on = Vec::new();
    for settings in [&[][..], &on_server[..], &[("TSUNAGI__STORE__PATH", "back/tsunagi.db")][..]] {
        let served = tokio::task::block_in_place(|| Served::start(&hub, settings));
        went_on.push(goes_on(&hub, &served).await);
        let (code, log) = tokio::task::block_in_place(|| served.terminate());
        assert_eq!(code, 0, "{log}");
    }
    assert_eq!(went_on[0], went_on[1]);
    assert_eq!(went_on[0], went_on[2]);
    for config in ["tsunagi.toml", "server.toml", "back.toml"] {
        tokio::task::block_in_place(|| en(&hub, &format!("--config {config} audit verify")).ended(0));
    }
}

#[test]
fn a_copy_needs_the_same_keys_and_a_store_to_copy() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    en(folder, "init one --name hub.example.jp").ended(0);
    let one = folder.join("one");
    with_store(&one, "to.toml", &[("path", "other/tsunagi.db")]);
    tsunagi_certs::write_key(&one.join("keys/other.key"), &"77".repeat(32)).unwrap();
    for key in ["master", "checkpoint"] {
        let file = one.join(format!("keys/{key}.key"));
        let kept = std::fs::read(&file).unwrap();
        let text = std::fs::read_to_string(one.join("to.toml")).unwrap();
        let mut config: toml::Table = text.parse().unwrap();
        config.insert(
            "keys".to_owned(),
            toml::Table::from_iter([(format!("{key}_key_file"), "keys/other.key".into())]).into(),
        );
        std::fs::write(one.join("wrong.toml"), config.to_string()).unwrap();
        let refused = en(&one, "store copy --to wrong.toml").ended(64);
        assert!(refused.err().contains(&format!("keys.{key}_key_file")), "{}", refused.err());
        assert!(!one.join("other/tsunagi.db").exists());
        assert_eq!(std::fs::read(&file).unwrap(), kept);
    }
    with_store(&one, "nowhere.toml", &[("path", "nowhere/tsunagi.db")]);
    let refused = en(&one, "--config nowhere.toml store copy --to to.toml").ended(69);
    assert!(refused.err().contains("no store"), "{}", refused.err());
    assert!(!one.join("nowhere").exists() && !one.join("other").exists());
    en(&one, "store copy --to to.toml").ended(0);
    en(&one, "--config to.toml audit verify").ended(0);
}

/// A server that does not answer may do so in a while: that is no fault of the configuration, at which a unit would give up.
/// And only what makes a store makes one: whoever looks into an empty database by mistake is told so.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_there_is_said_and_not_made() {
    let Some(place) = Place::database().await else { return };
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("postgres://postgres@{closed}/postgres");
    let work = move || {
        let copy = KeptHub::shared().copy();
        let hub = copy.path();
        with_store(hub, "away.toml", &[("backend", "postgres"), ("postgres_url", &nobody)]);
        with_store(hub, "empty.toml", &[("backend", "postgres"), ("postgres_url", &place.url)]);
        for line in ["serve", "audit verify", "store purge --dry-run"] {
            let said = en(hub, &format!("--config away.toml {line}")).ended(69).err();
            assert!(said.contains("store.postgres_url"), "{line}: {said}");
        }
        for line in ["audit verify", "store purge --dry-run", "deliveries list"] {
            for _ in 0..2 {
                let said = en(hub, &format!("--config empty.toml {line}")).ended(69).err();
                assert!(said.contains("there is no store at"), "{line}: {said}");
            }
        }
        // The CA's own acts are in the log of a hub on a server as in that of one on a file.
        let registry = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway/server/src/demo/registry.toml");
        en(hub, &format!("--config empty.toml registry import {registry}")).ended(0);
        let before = en(hub, "--config empty.toml audit verify --json").ended(0).out();
        let said = en(hub, "--config empty.toml certs issue --participant nobody-yet --out nobody-yet").ended(0);
        assert!([said.out(), said.err()].concat().contains("not in the registry yet"));
        let after = en(hub, "--config empty.toml audit verify --json").ended(0).out();
        assert_ne!(before, after, "a certificate was issued and no leaf tells of it");
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}
