//! Does the time of a refusal tell its cause? Run by `tests/bench/uniform`. Ends with 0 if on no surface it does, with
//! 1 if it does, and with 2 if this run could not have told: it must see that an answer takes another time than a
//! refusal.
//!
//! `uniform [REQUESTS [SURFACE…]]`: 10,000 requests for each surface unless said, on all surfaces unless some are
//! named.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::ExitCode;
use std::time::Instant;

use tsunagi_tests::apart::tell_apart;
use tsunagi_tests::refusals::{Ask, Cast, Surface};
use tsunagi_tests::{Dice, Setup, TestGateway};

/// For each surface, over all its causes.
const REQUESTS: usize = 10_000;
/// Rounds before anything is measured, for each hundred that are.
const WARM_UP: usize = 8;
/// One run in so many tells something apart where there is nothing to be told, over all its surfaces.
const FALSE_ALARMS: f64 = 0.01;
/// Whose answer is held against a refusal, to see that the run can tell.
const CONTROL: &str = "search";

#[tokio::main(flavor = "multi_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let requests = arguments.next().map_or(REQUESTS, |text| text.parse().expect("how many requests"));
    let named: Vec<String> = arguments.collect();
    let hub = Setup::new().set("edge.rate_per_second", 1_000_000).set("edge.rate_burst", 1_000_000).start().await;
    let cast = Cast::assemble(&hub).await;
    let all = cast.surfaces();
    assert!(named.iter().all(|name| all.iter().any(|surface| surface.name == name)), "no such surface");
    let control = all.iter().find(|surface| surface.name == CONTROL).expect("the control").clone();
    let chosen: Vec<&Surface> =
        all.iter().filter(|surface| named.is_empty() || named.iter().any(|name| name == surface.name)).collect();
    let level = FALSE_ALARMS / chosen.len() as f64;
    let mut told = false;
    for surface in chosen {
        let asks = surface.refused.iter().map(|one| (one.cause, one.ask.clone())).collect::<Vec<_>>();
        told |= is_told(&hub, surface, &asks, (requests, level)).await;
    }
    let asks = [("refused", control.refused[0].ask.clone()), ("answered", control.granted.clone().expect("an answer"))];
    println!("The control, which must be told apart:");
    let can_tell = is_told(&hub, &control, &asks, (requests, level)).await;
    hub.finish().await;
    match (told, can_tell) {
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::from(2),
    }
}

/// Measures one surface and prints it; true if its causes are told apart.
async fn is_told(hub: &TestGateway, surface: &Surface, asks: &[(&str, Ask)], (requests, level): (usize, f64)) -> bool {
    let rounds = measure(hub, surface, asks, requests.div_ceil(asks.len())).await;
    for (cause, (name, _)) in asks.iter().enumerate() {
        let mut times: Vec<u64> = rounds.iter().map(|round| round[cause] / 1_000).collect();
        times.sort_unstable();
        let at = |part: usize| times[times.len() * part / 100];
        println!("{:<32} {name:<16} p10 {:>6} µs  p50 {:>6} µs  p90 {:>6} µs", surface.name, at(10), at(50), at(90));
    }
    let found = tell_apart(&rounds, level, &mut Dice::new(0xD1B5_4A32_D192_ED03));
    let is_told = found.chance <= level;
    println!(
        "{:<32} D {:.4}, by chance up to {:.4}; chance {:.4}, told apart at {level:.4}: {}",
        surface.name,
        found.distance,
        found.by_chance,
        found.chance,
        if is_told { "TOLD APART" } else { "alike" }
    );
    is_told
}

/// The times of each cause in each round, in nanoseconds.
async fn measure(hub: &TestGateway, surface: &Surface, asks: &[(&str, Ask)], rounds: usize) -> Vec<Vec<u64>> {
    let caller = hub.partner(surface.caller);
    let headers: Vec<_> = asks.iter().map(|(_, ask)| ask.headers(hub)).collect();
    let mut dice = Dice::new(0x9E37_79B9_7F4A_7C15);
    let warm_up = (rounds * WARM_UP).div_ceil(100);
    let mut measured = Vec::new();
    for round in 0..warm_up + rounds {
        let mut order: Vec<usize> = (0..asks.len()).collect();
        dice.shuffle(&mut order);
        let mut times = vec![0; asks.len()];
        for cause in order {
            let started = Instant::now();
            let reply = asks[cause].1.send(&caller, &headers[cause]).await;
            times[cause] = u64::try_from(started.elapsed().as_nanos()).unwrap();
            assert!(matches!(reply.status.as_u16(), 200 | 404), "{}: {}", asks[cause].0, reply.text());
        }
        if round >= warm_up {
            measured.push(times);
        }
    }
    measured
}
