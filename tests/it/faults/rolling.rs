//! Three nodes over one PostgreSQL and one Redis are restarted one after the other, under load.

use std::net::SocketAddr;

use tsunagi_store::contract::redis_server::{RedisServer, free_port};
use tsunagi_store::contract::server::Place;
use tsunagi_tests::process::Served;
use tsunagi_tests::{Dice, Setup};

use super::ledger::{check, same_receipts};
use super::load::Load;
use super::town::Town;

const NODES: usize = 3;

/// How often each node is restarted, unless `TSUNAGI_TEST_ROUNDS` says otherwise.
const ROUNDS: u64 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_three_nodes_are_restarted_one_after_the_other() {
    let rounds = super::number_of("TSUNAGI_TEST_ROUNDS", ROUNDS);
    let Some(redis) = RedisServer::start("a rolling restart of three nodes", &[]) else { return };
    let Some(place) = Place::database().await else { return };
    let mut dice = Dice::thrown("rolling restart");
    let setup = Setup::new()
        .set("store.backend", "postgres")
        .set("store.postgres_url", &place.url)
        .set("store.postgres_connections", 6)
        .set("coordinator.url", format!("redis://127.0.0.1:{}", redis.port));
    let town = Town::new(setup).await;
    // Each keeps its port, as behind one name.
    let edges: Vec<SocketAddr> = (0..NODES).map(|_| SocketAddr::from(([127, 0, 0, 1], free_port()))).collect();
    let start = async |node: usize| {
        let listen = edges[node].to_string();
        town.serve(&[("TSUNAGI__EDGE__LISTEN", &listen)]).await
    };
    let mut nodes: Vec<Served> = Vec::new();
    for node in 0..NODES {
        nodes.push(start(node).await);
    }
    let senders = town.people(edges[0]).await;
    let load = Load::begin(senders, |sender, place| town.way(sender, &edges, place));
    for _ in 0..rounds {
        for node in 0..NODES {
            let old = nodes.remove(node);
            let (code, log) = tokio::task::spawn_blocking(|| old.terminate()).await.unwrap();
            assert_eq!(code, 0, "{log}");
            nodes.insert(node, start(node).await);
            load.goes_on(40).await;
        }
    }
    let senders = load.end().await;
    let told = town.settle(senders, &edges).await;
    same_receipts(&town, &told, edges[NODES - 1], &mut dice).await;
    for node in nodes {
        let (code, log) = tokio::task::spawn_blocking(|| node.terminate()).await.unwrap();
        assert_eq!(code, 0, "{log}");
    }
    check(&town, &told, &format!("{rounds} rolling restarts of {NODES} nodes")).await;
    drop((town, place));
}
