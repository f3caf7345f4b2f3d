//! Two nodes over one store and one Redis, which may be flushed, slow or gone at any moment. Each test has a Redis of its
//! own, and prints that it was not run where none is installed.

mod forms;
mod run;

use std::time::{Duration, Instant};

use http::Method;
use tsunagi_gateway::gateway::Running;
use tsunagi_store::contract::coordination::until_reached;
use tsunagi_store::contract::redis_server::RedisServer;
use tsunagi_tests::process::{KeptHub, Served, partner};
use tsunagi_tests::{Partner, Setup, TestGateway};

/// A hub of two nodes, once both have reached the Redis.
async fn two_nodes(setup: Setup, redis: &RedisServer) -> (TestGateway, Running) {
    let hub = setup.set("coordinator.url", format!("redis://127.0.0.1:{}", redis.port)).start().await;
    let node = hub.another_node().await;
    until_reached(&*hub.running.gateway.coordinator).await;
    until_reached(&*node.gateway.coordinator).await;
    (hub, node)
}

/// How many of forty requests, of which every other goes to the other node, are let through; and how many seconds it took,
/// for each of which a permit may have come back.
async fn let_through(nodes: [&Partner; 2]) -> (u64, u64) {
    let began = Instant::now();
    let mut granted = 0;
    for n in 0..40 {
        let reply = nodes[n % 2].get("/fhir/metadata").await;
        match reply.status.as_u16() {
            200 => granted += 1,
            _ => {
                let limited = reply.expect(429);
                assert!(limited.header("retry-after").parse::<u32>().unwrap() >= 1);
                assert!(limited.header("ratelimit").starts_with("\"default\";r=0;"));
            }
        }
    }
    (granted, began.elapsed().as_secs() + 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_shared_and_each_node_keeps_it_alone_when_redis_is_gone_or_slow() {
    let Some(mut redis) = RedisServer::start("shared rates", &[]) else { return };
    let setup =
        Setup::new().set("edge.rate_per_second", 1).set("edge.rate_burst", 8).set("coordinator.timeout_ms", 500);
    let (hub, node) = two_nodes(setup, &redis).await;
    let at_both = |who: &str| [hub.partner(who), hub.partner_at(who, &node)];

    let city = at_both("city-oita");
    let (granted, came_back) = let_through([&city[0], &city[1]]).await;
    assert!((8..=8 + came_back).contains(&granted), "{granted} of a burst of 8 over two nodes");

    // It says nothing any more: the first who asks on each node waits for half a second, and nobody after that.
    redis.signal("STOP");
    let (began, hospital) = (Instant::now(), at_both("hospital-oita"));
    let (granted, came_back) = let_through([&hospital[0], &hospital[1]]).await;
    assert!((16..=16 + 2 * came_back).contains(&granted), "{granted} of a burst of 8 on each node");
    assert!(began.elapsed() < Duration::from_secs(8), "forty requests took {:?}", began.elapsed());
    redis.signal("CONT");
    until_reached(&*hub.running.gateway.coordinator).await;
    until_reached(&*node.gateway.coordinator).await;

    redis.kill();
    let app = at_both("app-techo");
    let (granted, came_back) = let_through([&app[0], &app[1]]).await;
    assert!((16..=16 + 2 * came_back).contains(&granted), "{granted} of a burst of 8 on each node");

    redis.restart();
    until_reached(&*hub.running.gateway.coordinator).await;
    until_reached(&*node.gateway.coordinator).await;
    let other = at_both("city-hakodate");
    let (granted, came_back) = let_through([&other[0], &other[1]]).await;
    assert!((8..=8 + came_back).contains(&granted), "{granted} of a burst of 8 over two nodes");
    node.drain().await;
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_holds_nobodys_name_and_nothing_but_numbers_that_go_away() {
    let Some(redis) = RedisServer::start("what Redis holds", &[]) else { return };
    let setup = Setup::new().set("edge.rate_per_second", 1).set("edge.rate_burst", 1_000);
    let (hub, node) = two_nodes(setup.set("coordinator.prefix", "hub-a"), &redis).await;
    hub.partner("city-oita").get("/fhir/metadata").await.expect(200);
    hub.partner_at("hospital-oita", &node).get("/v1/exchanges/none").await.expect(404);
    let listed = redis.say(&["KEYS", "*"]);
    let keys: Vec<&str> = listed.lines().filter(|key| !key.is_empty()).collect();
    let limits: Vec<&&str> = keys.iter().filter(|key| key.starts_with("hub-a:limit:default:")).collect();
    assert_eq!(limits.len(), 2, "one for each caller: {keys:?}");
    for key in &keys {
        assert!(key.starts_with("hub-a:"), "{key}");
        assert!(!key.contains("oita") && !key.contains("city") && !key.contains("hospital"), "{key}");
        let value = redis.say(&["GET", key]);
        assert!(value.trim().parse::<u64>().is_ok(), "{key}: {value}");
        assert!(redis.say(&["PTTL", key]).trim().parse::<i64>().unwrap() > 0, "{key} stays");
    }
    node.drain().await;
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_redis_is_gone_is_said_once() {
    let Some(mut redis) = RedisServer::start("what the log says", &[]) else { return };
    let hub = KeptHub::shared().copy();
    let url = format!("redis://127.0.0.1:{}", redis.port);
    let mut served = Served::start(hub.path(), &[("TSUNAGI__COORDINATOR__URL", &url)]);
    served.wait_for("the coordinator is reached");
    redis.kill();
    served.wait_for("the coordinator is not reached");
    let hospital = partner(hub.path(), "hospital-oita", served.edge);
    for _ in 0..50 {
        hospital.send(Method::GET, "/fhir/metadata", &[], "").await.expect(200);
    }
    redis.restart();
    served.wait_for("the coordinator is reached");
    let (code, log) = served.terminate();
    assert_eq!((code, log.matches("the coordinator is not reached").count()), (0, 1), "{log}");
}
