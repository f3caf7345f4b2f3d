//! The ways to a Redis: one server, a Cluster, a master that Sentinels watch over; each in the clear and over TLS. The
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

/// What servers over TLS have: a certificate with its key, another as whom they call each other, and the root above both.
struct Papers {
    certificate: String,
    key: String,
    caller: String,
    its_key: String,
    root: String,
}

impl Papers {
    /// Of a hub's CA, in its folder.
    fn of(hub: &TestGateway) -> Self {
        let now = hub.clock.now().as_second();
        let pair = Pair::of(hub.authority().issue_server(&["127.0.0.1".to_owned()], now, 90).unwrap());
        let calls = hub.pair("city-oita");
        let file = |name: &str, content: &str| {
            let path = hub.folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.display().to_string()
        };
        Self {
            certificate: file("redis.pem", &pair.certificate),
            key: file("redis.key", &pair.key),
            caller: file("caller.pem", &calls.certificate),
            its_key: file("caller.key", &calls.key),
            root: hub.folder.path().join("ca/root.pem").display().to_string(),
        }
    }

    fn arguments(&self) -> Vec<&str> {
        let Self { certificate, key, caller, its_key, root } = self;
        let mut arguments = vec!["--port", "0", "--tls-port", "PORT", "--tls-auth-clients", "no"];
        arguments.extend(["--tls-replication", "yes", "--tls-cluster", "yes"]);
        arguments.extend(["--tls-client-cert-file", caller, "--tls-client-key-file", its_key]);
        arguments.extend(["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", root]);
        arguments
    }

    /// Settings for servers that show them.
    fn settings(&self, url: &str) -> Settings {
        Settings { ca_pem: Some(std::fs::read(&self.root).unwrap()), ..settings(url) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_with_a_name_and_a_password() {
    let hub = TestGateway::start().await;
    let papers = Papers::of(&hub);
    let mut arguments = papers.arguments();
    let user = format!("tsunagi {RIGHTS}");
    arguments.push("--user");
    arguments.extend(user.split(' ').chain(["--user", "default", "off"]));
    let Some(redis) = RedisServer::start("the coordinator over TLS", &arguments) else { return };
    let named = papers.settings(&format!("rediss://127.0.0.1:{}", redis.port));
    let (username, password) = (Some("tsunagi".to_owned()), Some(Sensitive::new("open-sesame".to_owned())));
    let good = Settings { username, password, ..named };
    every_promise(&nodes_of(&good, ()).await).await;

    // Whom nobody vouches for is not spoken to, and says nothing without the password.
    for bad in [Settings { ca_pem: None, ..good.clone() }, Settings { password: None, username: None, ..good }] {
        is_not_reached(bad).await;
    }
    hub.finish().await;
}

async fn is_not_reached(settings: Settings) {
    let coordinator = RedisCoordinator::start(settings).unwrap();
    let mut reach = coordinator.reach();
    reach.changed().await.unwrap();
    assert!(matches!(&*reach.borrow(), Reach::Lost(_)), "{:?}", reach.borrow());
}

/// Three servers that are a Cluster, and two of them to begin with.
fn cluster(arguments: &[&str], client: &[&str]) -> Option<([RedisServer; 3], String)> {
    let start = || {
        let bus = free_port().to_string();
        let all: Vec<&str> =
            arguments.iter().chain(&["--cluster-enabled", "yes", "--cluster-port", &bus]).copied().collect();
        RedisServer::start("the coordinator over a Cluster", &all)
    };
    let servers = [start()?, start()?, start()?];
    let names = servers.each_ref().map(|server| format!("127.0.0.1:{}", server.port));
    // It waits for as long as they do not find each other.
    let mut made = Command::new("timeout");
    made.args(["60", "redis-cli"]).args(client).args(["--cluster", "create"]).args(&names).arg("--cluster-yes");
    let made = made.output().expect("redis-cli runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    Some((servers, format!("{},{}", names[0], names[1])))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_three() {
    let Some((_servers, names)) = cluster(&[], &[]) else { return };
    every_promise(&nodes_of(&settings(&format!("redis-cluster://{names}")), ()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_three_over_tls() {
    let hub = TestGateway::start().await;
    let papers = Papers::of(&hub);
    let client = ["--tls", "--cacert", &papers.root];
    let Some((_servers, names)) = cluster(&papers.arguments(), &client) else { return };
    let good = papers.settings(&format!("rediss-cluster://{names}"));
    every_promise(&nodes_of(&good, ()).await).await;
    is_not_reached(Settings { ca_pem: None, ..good }).await;
    hub.finish().await;
}

/// The contract on a master, a fail-over, and the one that took over.
async fn replaced(arguments: &[&str], settings: impl Fn(u16) -> Settings) {
    let what = "the coordinator over Sentinels";
    let Some(mut first) = RedisServer::start(what, arguments) else { return };
    let port = first.port.to_string();
    let follows = ["--replicaof", "127.0.0.1", &port];
    let all: Vec<&str> = arguments.iter().chain(&follows).copied().collect();
    let second = RedisServer::start(what, &all).unwrap();
    let synced = || second.say(&["INFO", "replication"]).contains("master_link_status:up");
    while !synced() {}
    let sentinel = RedisServer::sentinel_of(&first);
    while !sentinel.say(&["SENTINEL", "REPLICAS", "main"]).contains(&second.port.to_string()) {}
    let settings = settings(sentinel.port);
    every_promise(&nodes_of(&settings, ()).await).await;

    let coordinator = Arc::new(RedisCoordinator::start(settings).unwrap());
    until_reached(&*coordinator).await;
    let mut reach = coordinator.reach();
    first.kill();
    reach.wait_for(|reach| matches!(reach, Reach::Lost(_))).await.unwrap();
    until_reached(&*coordinator).await;
    assert!(second.say(&["INFO", "replication"]).contains("role:master"), "the replica took over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_a_sentinel_replaces() {
    replaced(&[], |sentinel| settings(&format!("redis-sentinel://127.0.0.1:{sentinel}#main"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_a_sentinel_replaces_over_tls() {
    let hub = TestGateway::start().await;
    let papers = Papers::of(&hub);
    let over_tls = |sentinel| papers.settings(&format!("rediss-sentinel://127.0.0.1:{sentinel}#main"));
    replaced(&papers.arguments(), over_tls).await;
    hub.finish().await;
}
