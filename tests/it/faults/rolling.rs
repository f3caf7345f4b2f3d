//! Three nodes over one PostgreSQL and one Redis, under load: restarted one after the other, and killed.

use std::net::SocketAddr;

use tsunagi_store::contract::redis_server::{RedisServer, free_port};
use tsunagi_store::contract::server::Place;
use tsunagi_tests::process::Served;
use tsunagi_tests::{Dice, Setup};

use super::kills::moment;
use super::ledger::{check, same_receipts};
use super::load::{Load, Told};
use super::town::Town;

const NODES: usize = 3;

/// How often each node is restarted or killed, unless `TSUNAGI_TEST_ROUNDS` says otherwise.
const ROUNDS: u64 = 2;

/// What goes well between two of them.
const SOME: u64 = 40;

/// The nodes, each with a port that it keeps, as behind one name.
struct Nodes {
    town: Town,
    edges: Vec<SocketAddr>,
    served: Vec<Option<Served>>,
}

impl Nodes {
    async fn start(&mut self, node: usize) {
        let listen = self.edges[node].to_string();
        self.served[node] = Some(self.town.serve(&[("TSUNAGI__EDGE__LISTEN", &listen)]).await);
    }

    /// Ends one as it should end.
    async fn terminate(&mut self, node: usize) {
        let served = self.served[node].take().unwrap();
        let (code, log) = tokio::task::spawn_blocking(|| served.terminate()).await.unwrap();
        assert_eq!(code, 0, "{log}");
    }

    async fn kill(&mut self, node: usize) {
        let served = self.served[node].take().unwrap();
        tokio::task::spawn_blocking(|| served.kill()).await.unwrap();
    }
}

/// A load on three nodes to which something happens, one at a time; then everything is settled and read again. Nothing
/// where there is no PostgreSQL or no Redis.
async fn under_load(
    what: &str,
    seen: &str,
    happens: impl AsyncFn(&mut Nodes, usize, &Load, &mut Dice),
) -> Option<Told> {
    let redis = RedisServer::start(what, &[])?;
    let place = Place::database().await?;
    let rounds = super::number_of("TSUNAGI_TEST_ROUNDS", ROUNDS);
    let mut dice = Dice::thrown(what);
    let setup = Setup::new()
        .set("store.backend", "postgres")
        .set("store.postgres_url", &place.url)
        .set("store.postgres_connections", 6)
        .set("coordinator.url", format!("redis://127.0.0.1:{}", redis.port));
    let town = Town::new(setup).await;
    let edges: Vec<SocketAddr> = (0..NODES).map(|_| SocketAddr::from(([127, 0, 0, 1], free_port()))).collect();
    let mut nodes = Nodes { town, edges: edges.clone(), served: (0..NODES).map(|_| None).collect() };
    for node in 0..NODES {
        nodes.start(node).await;
    }
    let senders = nodes.town.people(edges[0]).await;
    let load = Load::begin(senders, |sender, place| nodes.town.way(sender, &edges, place));
    for _ in 0..rounds {
        for node in 0..NODES {
            happens(&mut nodes, node, &load, &mut dice).await;
            load.goes_on(SOME).await;
        }
    }
    let senders = load.end().await;
    let told = nodes.town.settle(senders, &edges).await;
    same_receipts(&nodes.town, &told, edges[NODES - 1], &mut dice).await;
    for node in 0..NODES {
        nodes.terminate(node).await;
    }
    check(&nodes.town, &told, &format!("{} {seen} of {NODES} nodes", rounds * NODES as u64)).await;
    drop((nodes, place));
    Some(told)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_three_nodes_are_restarted_one_after_the_other() {
    under_load("a rolling restart of three nodes", "restarts", async |nodes, node, _, _| {
        nodes.terminate(node).await;
        nodes.start(node).await;
    })
    .await;
}

/// What a node has locked, leased or begun when it is killed holds the others up for a while, and no longer.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_one_of_three_nodes_is_killed_under_load() {
    let told = under_load("kills of one of three nodes", "kills", async |nodes, node, load, dice| {
        moment(dice, 500).await;
        nodes.kill(node).await;
        // The others go on without it.
        load.goes_on(SOME).await;
        nodes.start(node).await;
    })
    .await;
    assert!(told.is_none_or(|told| told.silences > 0), "no kill came in the middle of anything");
}
