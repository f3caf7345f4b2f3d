//! kill -9 at random moments, also while it starts: what was acknowledged is there, once; what was disclosed has its leaf.

use std::future::pending;
use std::time::Duration;

use tsunagi_tests::{Dice, Setup};

use super::ledger::{check, same_receipts};
use super::load::Load;
use super::town::Town;

/// How often it is killed, unless `TSUNAGI_TEST_KILLS` says otherwise.
const KILLS: u64 = 10;

/// One in so many kills comes before it is ready.
const WHILE_STARTING: u64 = 8;

/// The log is verified after so many.
const VERIFIED: u64 = 25;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_and_what_was_disclosed_outlives_every_kill() {
    let kills = super::number_of("TSUNAGI_TEST_KILLS", KILLS);
    let mut dice = Dice::thrown("kills");
    let town = Town::new(Setup::new()).await;
    let mut served = town.serve(&[]).await;
    let mut senders = town.people(served.edge).await;
    for kill in 1..=kills {
        let edge = served.edge;
        let load = Load::begin(senders, |sender, _| town.way(sender, &[edge], 0));
        moment(&mut dice, 1_200).await;
        tokio::task::spawn_blocking(|| served.kill()).await.unwrap();
        senders = load.end().await;
        if kill.is_multiple_of(VERIFIED) {
            town.hub.run(&["audit", "verify"]).ended(0);
        }
        if dice.below(WHILE_STARTING) == 0 {
            let starting = town.hub.launch(&[]);
            moment(&mut dice, 400).await;
            tokio::task::spawn_blocking(|| starting.kill()).await.unwrap();
        }
        // What is on the disk is all there is; recovery is the ordinary start.
        served = town.serve(&[]).await;
    }
    let told = town.settle(senders, &[served.edge]).await;
    assert!(told.silences > 0, "no kill came in the middle of anything");
    assert!(told.receipts.len() as u64 > kills / 2, "{} receipts are no load", told.receipts.len());
    same_receipts(&town, &told, served.edge, &mut dice).await;
    let (code, log) = tokio::task::spawn_blocking(|| served.terminate()).await.unwrap();
    assert_eq!(code, 0, "{log}");
    check(&town, &told, &format!("{kills} kills on {}", super::backend())).await;
}

/// Lets a part of so many milliseconds pass: nothing that could be waited for marks a moment of chance.
pub(super) async fn moment(dice: &mut Dice, most: u64) {
    let micros = Duration::from_micros(dice.below(most * 1_000));
    tokio::time::timeout(micros, pending::<()>()).await.unwrap_err();
}
