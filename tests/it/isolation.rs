//! `tsunagi self-test isolation`: nobody sees what is not theirs, the test leaves nothing behind, and it finds a leak.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tsunagi_certs::Authority;
use tsunagi_core::audit::EventOutcome;
use tsunagi_core::registry::RegistryEntries;
use tsunagi_gateway::clock::Clock;
use tsunagi_gateway::gateway::open_store;
use tsunagi_gateway::isolation::{Certificates, Trial, registry};
use tsunagi_store::Storage;
use tsunagi_tests::process::{KeptHub, Ran, Served, config_of, partner, run};

fn self_test(hub: &Path, more: &[&str]) -> Ran {
    run(hub, &[("LANG", "en_US.UTF-8")], &[&["self-test", "isolation"], more].concat())
}

/// Every table's rows of the test's tenants, but for the logs, which only grow, and the keys that verify them.
fn left_behind(hub: &Path) -> Vec<String> {
    let store = rusqlite::Connection::open(hub.join("data/tsunagi.db")).unwrap();
    let mut tables = store.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let tables: Vec<String> = tables.query_map((), |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let only_grow = ["audit_leaves", "audit_lengths", "audit_subtrees", "checkpoints", "tenant_keys"];
    let mut found = Vec::new();
    for table in tables.iter().filter(|table| !only_grow.contains(&table.as_str())) {
        let mut select = store.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
        let columns = select.column_count();
        let mut rows = select.query(()).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let texts = (0..columns).filter_map(|column| match row.get_ref(column).unwrap() {
                rusqlite::types::ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
                _ => None,
            });
            found.extend(texts.filter(|text| text.contains("self-test")).map(|text| format!("{table}: {text}")));
        }
    }
    found
}

#[test]
fn nobody_sees_what_is_not_theirs_and_nothing_is_left_behind() {
    let copy = KeptHub::shared().copy();
    let hub = copy.path();
    let registry = run(hub, &[], &["registry", "list", "--json"]).ended(0).out();
    let report = self_test(hub, &["--json"]).ended(0).json();
    assert_eq!((&report["leaks"], &report["not_seen"]), (&0.into(), &0.into()));
    let cells = report["cells"].as_array().unwrap();
    // Eleven who ask, fifteen paths, two tenants.
    assert_eq!(cells.len(), 330);
    // No path shows nothing to everybody: somebody has to see it, and does.
    let mut seen_on: BTreeMap<(&str, &str), bool> = BTreeMap::new();
    for cell in cells {
        let place = (cell["path"].as_str().unwrap(), cell["tenant"].as_str().unwrap());
        *seen_on.entry(place).or_default() |= cell["expected"] == true && cell["seen"] == true;
    }
    let blind: Vec<_> = seen_on.iter().filter(|(_, seen)| !**seen).collect();
    assert!(blind.is_empty() && seen_on.len() == 30, "{blind:?}");
    let seen = |participant: &str, path: &str, tenant: &str| {
        let mut one = cells.iter().filter(|cell| {
            cell["participant"] == participant
                && cell["path"] == path
                && cell["tenant"] == format!("self-test-{tenant}")
        });
        one.next().unwrap_or_else(|| panic!("{participant} {path} {tenant}"))["seen"].as_bool().unwrap()
    };
    // Those whose it is do see it: a test that saw nothing would find no leak.
    for (participant, path) in [
        ("hospital-a", "/fhir/{resource_type}"),
        ("hospital-a", "/fhir/{resource_type}/{id}"),
        ("hospital-a", "/fhir/CoverageEligibilityRequest/$submit"),
        ("hospital-a", "/v1/exchanges/{id}?leaf"),
        ("city-a", "/v1/mailbox"),
        ("city-a", "/v1/exchanges/{id}/rejections"),
        ("app-a", "/app/v1/records"),
        ("app-a", "/app/v1/consents"),
        ("hospital-a", "/fhir/AuditEvent"),
        ("city-a", "/fhir/AuditEvent"),
        ("app-a", "/fhir/AuditEvent"),
        ("hospital-a", "/fhir/Consent"),
        ("app-a", "/fhir/Consent"),
    ] {
        assert!(seen(participant, path, "a") && !seen(participant, path, "b"), "{participant} {path}");
        let other = participant.replace("-a", "-b");
        assert!(seen(&other, path, "b") && !seen(&other, path, "a"), "{other} {path}");
    }
    // The one whose channels lead to both sees both, where it asks, and nothing anywhere else.
    for cell in cells.iter().filter(|cell| cell["participant"] == "city-c") {
        assert_eq!(cell["seen"], cell["path"] == "/v1/requests", "{cell}");
    }
    for nobody in ["operator", "stranger", "app-a+token-b", "app-a-no-token"] {
        assert!(
            cells.iter().filter(|cell| cell["participant"] == nobody).all(|cell| cell["seen"] == false),
            "{nobody}"
        );
    }

    assert!(report["removed"].as_u64().unwrap() > 20 && report["revoked"] == 10, "{report}");
    assert_eq!(left_behind(hub), Vec::<String>::new());
    assert_eq!(run(hub, &[], &["registry", "list", "--json"]).ended(0).out(), registry);
    let certificates = run(hub, &[], &["certs", "list", "--json"]).ended(0).json();
    let own = certificates.as_array().unwrap().iter().filter(|one| one["names"].to_string().contains("self-test"));
    let states: Vec<_> = own.map(|one| one["revoked_at"].is_null()).collect();
    assert_eq!(states, [false; 9], "{certificates}");
    let verified = run(hub, &[], &["audit", "verify", "--json"]).ended(0).out();
    for tenant in ["self-test-a", "self-test-b", "self-test-c"] {
        assert!(verified.contains(tenant), "its log is verified, with its key: {verified}");
    }
    let log = run(hub, &[], &["audit", "show", "--tenant", "hub", "--json"]).ended(0).out();
    assert!(log.contains("SelfTestEnded"));
}

/// Beside a hub that serves: it goes on, for whom it did, and knows nothing of the canaries.
#[tokio::test(flavor = "multi_thread")]
async fn it_runs_beside_a_hub_that_serves() {
    let copy = tokio::task::spawn_blocking(|| KeptHub::shared().copy()).await.unwrap();
    let hub = copy.path().to_owned();
    let served = tokio::task::spawn_blocking({
        let hub = hub.clone();
        move || Served::start(&hub, &[])
    });
    let served = served.await.unwrap();
    let edge = served.edge;
    let ran = tokio::task::spawn_blocking({
        let hub = hub.clone();
        move || self_test(&hub, &[])
    });
    let said = ran.await.unwrap().ended(0).out();
    assert!(said.contains(" 0 leaks") && said.contains("hospital-a"), "{said}");
    let city = partner(&hub, "city-oita", edge);
    city.get("/fhir/metadata").await.expect(200);
    let (code, log) = tokio::task::spawn_blocking(|| served.terminate()).await.unwrap();
    assert_eq!(code, 0, "{log}");
    assert_eq!(left_behind(&hub), Vec::<String>::new());
}

/// A store that gives one municipality's exchanges to the other, as a query without its sender would.
#[test]
fn a_leak_of_the_store_is_found() {
    let copy = KeptHub::shared().copy();
    let hub = copy.path();
    let store = rusqlite::Connection::open(hub.join("data/tsunagi.db")).unwrap();
    store
        .execute_batch(
            "CREATE TRIGGER leak AFTER UPDATE OF complete ON exchanges WHEN NEW.sender = 'self-test-city-a' BEGIN
                UPDATE exchanges SET sender = 'self-test-city-b' WHERE exchange = NEW.exchange;
             END;
             CREATE TRIGGER leak_at_once AFTER INSERT ON exchanges WHEN NEW.sender = 'self-test-city-a' BEGIN
                UPDATE exchanges SET sender = 'self-test-city-b' WHERE exchange = NEW.exchange;
             END;",
        )
        .unwrap();
    drop(store);
    let ran = self_test(hub, &[]).ended(1);
    assert!(!ran.err().is_empty(), "{}", ran.out());
    assert_eq!(left_behind(hub), Vec::<String>::new(), "a test that fails cleans up too");
}

#[test]
fn a_registry_that_sends_one_municipalitys_records_to_another_is_found() {
    let copy = KeptHub::shared().copy();
    let hub = copy.path();
    let wrong = "[[channel]]\nid = \"wrong\"\nparticipant = \"city-hakodate\"\ntenant = \"oita\"\nkind = \"vaccination\"\n\
                 mode = \"deliver\"\nlayout = \"municipal_csv/vaccination_legacy\"\npurpose = \"PUBHLTH\"\nfrom = \"2026-01-01\"\n";
    std::fs::write(hub.join("wrong.toml"), wrong).unwrap();
    run(hub, &[], &["registry", "import", "wrong.toml"]).ended(0);
    let ran = self_test(hub, &[]).ended(1);
    assert!(ran.err().contains("wrong"), "{}", ran.err());
}

#[test]
fn names_that_belong_to_somebody_are_left_alone() {
    let copy = KeptHub::shared().copy();
    let hub = copy.path();
    let namesake = "[[participant]]\nid = \"self-test-city-a\"\nrole = \"hospital\"\nname = \"同名\"\n";
    std::fs::write(hub.join("namesake.toml"), namesake).unwrap();
    run(hub, &[], &["registry", "import", "namesake.toml"]).ended(0);
    assert!(self_test(hub, &[]).ended(64).err().contains("self-test-city-a"));
}

/// The registry of the test, with one channel too many: a hospital looks into the other tenant.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_too_many_is_found() {
    let copy = tokio::task::spawn_blocking(|| KeptHub::shared().copy()).await.unwrap();
    let config = config_of(copy.path(), &[]);
    let clock = Clock::system();
    let store: Arc<dyn Storage> = open_store(&config).await.unwrap();
    store.migrate().await.unwrap();
    let mut authority = Authority::open(&config.ca_folder).unwrap();
    let papers = Certificates::issue(&mut authority, store.as_ref(), &clock).await.unwrap();
    let mut entries = registry().unwrap();
    let more: RegistryEntries = toml::from_str(
        "[[channel]]\nid = \"too-many\"\nparticipant = \"self-test-hospital-b\"\ntenant = \"self-test-a\"\n\
         kind = \"vaccination\"\nmode = \"lookup\"\nlayout = \"fhir_r4/vaccination\"\npurpose = \"TREAT\"\nfrom = \"2026-01-01\"\n",
    )
    .unwrap();
    entries.channel.extend(more.channel);
    let trial = Trial::start(&config, &clock, store.clone(), papers.folder(), entries).await.unwrap();
    let matrix = trial.play(&mut |_, _| {}).await.unwrap();
    let leaks: Vec<String> =
        matrix.leaks().map(|cell| format!("{} {} {}", cell.participant, cell.path, cell.tenant)).collect();
    for path in ["/fhir/{resource_type}", "/fhir/{resource_type}/{id}"] {
        assert!(leaks.contains(&format!("hospital-b {path} self-test-a")), "{leaks:?}");
    }
    assert!(leaks.iter().all(|leak| leak.starts_with("hospital-b ") && leak.ends_with(" self-test-a")), "{leaks:?}");
    trial.end(EventOutcome::Failed).await.unwrap();
    papers.revoke(&mut authority, store.as_ref(), &clock).await.unwrap();
}
