//! A hub on a PostgreSQL server of the test's own: TLS to it, and a restored backup of it.

use rcgen::ExtendedKeyUsagePurpose;
use serde_json::json;
use tsunagi_core::audit::Action;
use tsunagi_gateway::config::{Config, PostgresConfig};
use tsunagi_gateway::gateway::{Running, open_signer, open_store};
use tsunagi_tests::own_server::OwnServer;
use tsunagi_tests::papers::{Person, entitlement};
use tsunagi_tests::pki::{Ca, Leaf};
use tsunagi_tests::{Log, Setup, TestGateway, check_invariants};

const REGISTER: &str = "/pmh/v1/medicalSubsidy/registrationTasks";

fn on(host: &str, port: u16) -> Setup {
    let url = format!("postgres://postgres@{host}:{port}/postgres");
    Setup::new().set("store.backend", "postgres").set("store.postgres_url", url)
}

/// The hub's configuration with another server.
fn with(config: &Config, change: impl FnOnce(&mut PostgresConfig)) -> Config {
    let mut config = config.clone();
    change(config.postgres.as_mut().unwrap());
    config
}

async fn register(hub: &TestGateway) -> String {
    let person = Person::number(0, hub.today());
    let task = hub.partner("city-oita").post(REGISTER, &json!([entitlement(&person)])).await.expect(202);
    task.exchange().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_proves_its_name_or_is_not_spoken_to() {
    let Some(server) = OwnServer::make("TLS to PostgreSQL") else { return };
    let now = tsunagi_gateway::clock::Clock::system().now().as_second();
    let (ca, other) = (Ca::root("databases", now), Ca::root("other databases", now));
    let server_auth = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let pair = ca.leaf(&Leaf { purposes: server_auth, dns: Some("localhost"), ..Leaf::good(7) });
    let (certificate, key) = (server.write("server.pem", &pair.certificate), server.write("server.key", &pair.key));
    // Nobody gets in without TLS.
    std::fs::write(server.data().join("pg_hba.conf"), "hostssl all all all trust\n").unwrap();
    server.start(&[
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", certificate.display()),
        format!("ssl_key_file={}", key.display()),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let (root, foreign) = (folder.path().join("root.pem"), folder.path().join("foreign.pem"));
    std::fs::write(&root, &ca.pem).unwrap();
    std::fs::write(&foreign, &other.pem).unwrap();

    let hub = Box::pin(on("localhost", server.port).set("store.postgres_root_ca_file", root.display()).start()).await;
    let exchange = register(&hub).await;
    assert_eq!(hub.log("oita").await.acts(&exchange, Action::RecordAccepted).len(), 1);
    let by_address = format!("postgres://postgres@127.0.0.1:{}/postgres", server.port);
    for (why, config) in [
        ("another CA", with(&hub.config, |server| server.root_ca_file = Some(foreign))),
        ("another name", with(&hub.config, |server| server.url = by_address)),
        ("in the clear", with(&hub.config, |server| server.root_ca_file = None)),
    ] {
        assert!(open_store(&config).await.is_err(), "{why}");
    }
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_base_backup_verifies_and_goes_on() {
    let Some(server) = OwnServer::make("backup and restore of PostgreSQL") else { return };
    server.start(&[]);
    let hub = Box::pin(on("127.0.0.1", server.port).start()).await;
    let exchange = register(&hub).await;
    // While the hub runs; what it takes in afterwards is not in it.
    let copy = server.base_backup();
    let later = register(&hub).await;
    let TestGateway { folder, config, clock, running, .. } = hub;
    running.drain().await;
    server.stop();

    copy.start(&[]);
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", copy.port);
    let restored = with(&config, |server| server.url = url);
    let running = Box::pin(Running::start(restored.clone(), clock)).await.unwrap();
    let log = Log::read(running.gateway.store.as_ref(), "oita").await;
    assert_eq!(log.acts(&exchange, Action::RecordAccepted).len(), 1);
    assert!(log.acts(&later, Action::RecordAccepted).is_empty());
    let store = running.gateway.store.clone();
    running.drain().await;
    check_invariants(store.as_ref(), &open_signer(&restored).unwrap().public_key()).await;
    drop(folder);
}
