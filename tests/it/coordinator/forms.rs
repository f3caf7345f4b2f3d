//! The ways to a Redis: over TLS with a certificate and a password, a Cluster, a master that Sentinels watch over. The
//! coordinator's whole contract holds on each.

use std::process::Command;
use std::sync::Arc;

use tsunagi_core::sensitive::Sensitive;
use tsunagi_store::contract::coordination::{every_promise, until_reached};
use tsunagi_store::contract::redis_server::{RedisServer, free_port, nodes_of, settings};
use tsunagi_store::coordinator::redis::{RedisCoordinator, Settings};
use tsunagi_store::coordinator::{Coordinator, Reach};
use tsunagi_tests::{Pair, TestGateway};

/// All that a node may do there, as docs/nodes.md says it.
const RIGHTS: &str = "on >open-sesame ~tsunagi* &tsunagi* -@all +hello +ping +eval +get +set +time +publish +subscribe";

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_with_a_name_and_a_password() {
    let hub = TestGateway::start().await;
    let now = hub.clock.now().as_second();
    let pair = Pair::of(hub.authority().issue_server(&["127.0.0.1".to_owned()], now, 90).unwrap());
    let [certificate, key] = ["redis.pem", "redis.key"].map(|name| hub.folder.path().join(name).display().to_string());
    std::fs::write(&certificate, &pair.certificate).unwrap();
    std::fs::write(&key, &pair.key).unwrap();
    let root = hub.folder.path().join("ca/root.pem");
    let mut arguments = vec!["--port", "0", "--tls-port", "PORT", "--tls-auth-clients", "no"];
    let root_name = root.display().to_string();
    arguments.extend(["--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &root_name]);
    let user = format!("tsunagi {RIGHTS}");
    arguments.push("--user");
    arguments.extend(user.split(' ').chain(["--user", "default", "off"]));
    let Some(redis) = RedisServer::start("the coordinator over TLS", &arguments) else { return };
    let named = settings(&format!("rediss://127.0.0.1:{}", redis.port));
    let ca_pem = Some(std::fs::read(&root).unwrap());
    let (username, password) = (Some("tsunagi".to_owned()), Some(Sensitive::new("open-sesame".to_owned())));
    let good = Settings { ca_pem, username, password, ..named.clone() };
    every_promise(&nodes_of(&good, ()).await).await;

    // Whom nobody vouches for is not spoken to, and says nothing without the password.
    for bad in [Settings { ca_pem: None, ..good.clone() }, Settings { password: None, username: None, ..good }] {
        let coordinator = RedisCoordinator::start(bad).unwrap();
        let mut reach = coordinator.reach();
        reach.changed().await.unwrap();
        assert!(matches!(&*reach.borrow(), Reach::Lost(_)), "{:?}", reach.borrow());
    }
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_three() {
    let start = || {
        let bus = free_port().to_string();
        let arguments = ["--cluster-enabled", "yes", "--cluster-port", &bus];
        RedisServer::start("the coordinator over a Cluster", &arguments)
    };
    let (Some(one), Some(two), Some(three)) = (start(), start(), start()) else { return };
    let servers = [&one, &two, &three].map(|server| format!("127.0.0.1:{}", server.port));
    let made = Command::new("redis-cli").args(["--cluster", "create"]).args(&servers).arg("--cluster-yes").output();
    let made = made.expect("redis-cli runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    let settings = settings(&format!("redis-cluster://{},{}", servers[0], servers[1]));
    every_promise(&nodes_of(&settings, ()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_a_sentinel_replaces() {
    let Some(mut first) = RedisServer::start("the coordinator over Sentinels", &[]) else { return };
    let (host, port) = ("127.0.0.1", first.port.to_string());
    let second = RedisServer::start("the coordinator over Sentinels", &["--replicaof", host, &port]).unwrap();
    let synced = || second.say(&["INFO", "replication"]).contains("master_link_status:up");
    while !synced() {}
    let sentinel = RedisServer::sentinel_of(&first);
    while !sentinel.say(&["SENTINEL", "REPLICAS", "main"]).contains(&second.port.to_string()) {}
    let settings = settings(&format!("redis-sentinel://127.0.0.1:{}#main", sentinel.port));
    every_promise(&nodes_of(&settings, ()).await).await;

    let coordinator = Arc::new(RedisCoordinator::start(settings).unwrap());
    until_reached(&*coordinator).await;
    let mut reach = coordinator.reach();
    first.kill();
    reach.wait_for(|reach| matches!(reach, Reach::Lost(_))).await.unwrap();
    until_reached(&*coordinator).await;
    assert!(second.say(&["INFO", "replication"]).contains("role:master"), "the replica took over");
}
