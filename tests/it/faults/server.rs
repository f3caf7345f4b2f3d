//! The PostgreSQL under a live hub ends and comes back, its connections are cut in the middle of commits, and another
//! server takes its place. What nobody knows the outcome of is asked again, and read, not guessed.

use tsunagi_store::contract::line::{Cut, Line};
use tsunagi_store::contract::server::Place;
use tsunagi_tests::own_server::OwnServer;
use tsunagi_tests::process::Served;
use tsunagi_tests::{Dice, Setup};

use super::ledger::{check, same_receipts};
use super::load::{Load, Told};
use super::town::Town;

/// How often the server ends, unless `TSUNAGI_TEST_RESTARTS` says otherwise.
const RESTARTS: u64 = 3;
/// How many commits are cut, unless `TSUNAGI_TEST_CUTS` says otherwise.
const CUTS: u64 = 20;
/// What goes well between two of them.
const SOME: u64 = 60;

pub(super) fn on(url: &str) -> Setup {
    Setup::new().set("store.backend", "postgres").set("store.postgres_url", url).set("store.postgres_connections", 6)
}

/// A load on a hub over a server to which something happens; then everything is settled and read again.
async fn under_load(setup: Setup, what: &str, happens: impl AsyncFnOnce(&Town, &Served, &Load)) -> Told {
    let town = Town::new(setup).await;
    let served = town.serve(&[]).await;
    let senders = town.people(served.edge).await;
    let edge = served.edge;
    let load = Load::begin(senders, |sender, _| town.way(sender, &[edge], 0));
    load.goes_on(SOME).await;
    happens(&town, &served, &load).await;
    town.becomes(&served, 200).await;
    load.goes_on(SOME).await;
    let told = town.settle(load.end().await, &[edge]).await;
    same_receipts(&town, &told, edge, &mut Dice::thrown(what)).await;
    let (code, log) = tokio::task::spawn_blocking(|| served.terminate()).await.unwrap();
    assert_eq!(code, 0, "{log}");
    check(&town, &told, what).await;
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_is_said_and_the_hub_goes_on_when_it_is_back() {
    let restarts = super::number_of("TSUNAGI_TEST_RESTARTS", RESTARTS);
    let Some(server) = OwnServer::make("a restart of PostgreSQL under a live hub") else { return };
    server.start(&[]);
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", server.port);
    let what = format!("{restarts} restarts of PostgreSQL");
    let told = under_load(on(&url), &what, async |town, served, load| {
        for _ in 0..restarts {
            server.stop();
            let (_, told) = town.becomes(served, 503).await;
            assert!(told["ready"] == false && told["store"] != "ok", "{told}");
            server.start(&[]);
            town.becomes(served, 200).await;
            load.goes_on(SOME).await;
        }
    })
    .await;
    assert!(told.refusals > 0, "nobody of the load met the server that was gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_cut_is_asked_again_and_happens_once() {
    let cuts = super::number_of("TSUNAGI_TEST_CUTS", CUTS);
    let Some(place) = Place::database().await else { return };
    let line = Line::to(&place.url).await;
    let what = format!("{cuts} commits cut");
    let told = under_load(on(&line.url), &what, async |_, _, load| {
        for n in 0..cuts {
            // In turn: the server never gets it, and its answer is lost.
            line.cut(Some(if n.is_multiple_of(2) { Cut::Before } else { Cut::After }));
            line.until_cut(n + 1).await;
            line.cut(None);
            load.goes_on(SOME / 10).await;
        }
    })
    .await;
    assert!(told.refusals > 0, "nobody of the load met a cut");
    drop(place);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_a_synchronous_standby_takes_over() {
    let Some(first) = OwnServer::make("a fail-over of PostgreSQL under a live hub") else { return };
    // From now on a commit is one when the standby has it too.
    first.start(&["synchronous_standby_names='*'".to_owned()]);
    let second = first.base_backup();
    second.follow(&first);
    let line = Line::to(&format!("postgres://postgres@127.0.0.1:{}/postgres", first.port)).await;
    let told = under_load(on(&line.url), "a fail-over of PostgreSQL", async |town, served, _| {
        // In the middle of a commit.
        line.cut(Some(Cut::After));
        line.until_cut(1).await;
        first.stop();
        town.becomes(served, 503).await;
        line.cut(None);
        second.promote();
        line.lead_to(second.port);
    })
    .await;
    assert!(told.refusals > 0, "nobody of the load met the fail-over");
}
