//! Does the time of a refusal tell its cause? Run by `tests/bench/uniform`; ends with 1 if it does.
//!
//! The causes are asked for in turn, in an order that is shuffled anew in each round, by one caller over one connection: what the
//! machine does meanwhile falls on all of them alike. The statistic is that of Kolmogorov and Smirnov, the largest distance
//! between the distributions of two causes. How large it is where there is nothing to be told is learnt from the same
//! times: the two causes are thrown together and split at random, again and again. What is larger than all but one in a
//! thousand of those, for any pair, is told apart. No absolute time counts.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Instant;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tsunagi_tests::papers::{Person, RECIPIENT_SYSTEM, consent, eligibility, entitlement};
use tsunagi_tests::{Dice, ISSUER, Partner, Setup, TestGateway};

/// Of each cause.
const REQUESTS: usize = 2_500;
/// Before anything is measured.
const WARM_UP: usize = 200;
/// Random splits of each pair.
const SPLITS: usize = 1_000;
/// One in so many is told apart where there is nothing to be told; over all pairs of a run.
const FALSE_ALARMS: f64 = 0.01;

const ELIGIBILITY: &str = "/fhir/CoverageEligibilityRequest/$submit";

/// The causes of a refusal.
const CAUSES: [&str; 4] = ["no record", "no consent", "non-disclosure", "denied"];

#[tokio::main(flavor = "multi_thread")]
async fn main() -> std::process::ExitCode {
    let hub = Setup::new().set("edge.rate_per_second", 1_000_000).set("edge.rate_burst", 1_000_000).start().await;
    let people = cast(&hub).await;
    let hospital = hub.partner("hospital-oita");
    let mut told = false;
    for surface in ["eligibility", "search"] {
        let times = measure(&hub, &hospital, surface, &people).await;
        told |= report(surface, &times);
    }
    hub.finish().await;
    std::process::ExitCode::from(u8::from(told))
}

/// A person for each cause.
async fn cast(hub: &TestGateway) -> Vec<Person> {
    let mut people: Vec<Person> = (0..CAUSES.len()).map(|n| Person::number(n, hub.today())).collect();
    people[2].is_not_disclosed = true;
    let (city, app) = (hub.partner("city-oita"), hub.partner("app-techo"));
    let known: Vec<Value> = people[1..].iter().map(entitlement).collect();
    city.post("/pmh/v1/medicalSubsidy/registrationTasks", &json!(known)).await.expect(202);
    let link = json!({
        "system": "recipient", "value": people[3].joined(), "issuer": ISSUER, "sub": "denying", "relationship": "subject",
    });
    city.post("/v1/links", &link).await.expect(201);
    let bearer = hub.bearer("denying", "app-techo");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let deny = json!({ "effect": "deny", "recipient": { "participant": "hospital-oita" } });
    app.send(http::Method::POST, "/app/v1/consents", &headers, deny.to_string()).await.expect(201);
    people
}

/// The times of each cause, in nanoseconds.
async fn measure(hub: &TestGateway, hospital: &Partner, surface: &str, people: &[Person]) -> Vec<Vec<u64>> {
    let now = hub.clock.now();
    let ask = async |cause: usize| {
        let joined = people[cause].joined();
        let started;
        let reply = if surface == "search" {
            let path = format!("/fhir/Immunization?patient.identifier={RECIPIENT_SYSTEM}%7C{joined}");
            started = Instant::now();
            hospital.get(&path).await
        } else {
            let given = (CAUSES[cause] != "no consent").then(|| consent(now, now + SignedDuration::from_mins(30)));
            // As long as the others: what differs is the answer's cause, not the question's length.
            let mut asked = eligibility(&joined, given);
            if CAUSES[cause] == "no consent" {
                let over = consent(now - SignedDuration::from_mins(60), now - SignedDuration::from_mins(30));
                asked = eligibility(&joined, Some(over));
            }
            started = Instant::now();
            hospital.post(ELIGIBILITY, &asked).await
        };
        let took = started.elapsed();
        let is_refused = if surface == "search" { reply.json()["total"] == 0 } else { reply.status == 404 };
        assert!(is_refused, "{}: {}", CAUSES[cause], reply.text());
        u64::try_from(took.as_nanos()).unwrap()
    };
    let mut dice = Dice::new(0x9E37_79B9_7F4A_7C15);
    let mut times = vec![Vec::new(); CAUSES.len()];
    for round in 0..WARM_UP + REQUESTS {
        let mut order: Vec<usize> = (0..CAUSES.len()).collect();
        dice.shuffle(&mut order);
        for cause in order {
            let took = ask(cause).await;
            if round >= WARM_UP {
                times[cause].push(took);
            }
        }
    }
    times
}

/// Prints every pair; true if any is told apart.
fn report(surface: &str, times: &[Vec<u64>]) -> bool {
    let mut dice = Dice::new(0xD1B5_4A32_D192_ED03);
    let pairs = CAUSES.len() * (CAUSES.len() - 1) / 2;
    let level = 1.0 - FALSE_ALARMS / pairs as f64;
    for (cause, of) in CAUSES.iter().zip(times) {
        let mut sorted = of.clone();
        sorted.sort_unstable();
        let at = |part: usize| sorted[sorted.len() * part / 100] / 1_000;
        println!("{surface:<12} {cause:<16} p10 {:>6} µs  p50 {:>6} µs  p90 {:>6} µs", at(10), at(50), at(90));
    }
    let mut told = false;
    for one in 0..CAUSES.len() {
        for other in one + 1..CAUSES.len() {
            let found = distance(&times[one], &times[other]);
            let mut both = [times[one].as_slice(), &times[other]].concat();
            let mut by_chance: Vec<f64> = (0..SPLITS)
                .map(|_| {
                    dice.shuffle(&mut both);
                    distance(&both[..times[one].len()], &both[times[one].len()..])
                })
                .collect();
            by_chance.sort_by(f64::total_cmp);
            let most = by_chance[((SPLITS as f64 * level) as usize).min(SPLITS - 1)];
            let verdict = if found > most { "TOLD APART" } else { "alike" };
            told |= found > most;
            println!(
                "{surface:<12} {:<16} {:<16} D {found:.4}, by chance up to {most:.4}: {verdict}",
                CAUSES[one], CAUSES[other]
            );
        }
    }
    told
}

/// The largest distance between two empirical distributions.
fn distance(one: &[u64], other: &[u64]) -> f64 {
    let (mut one, mut other) = (one.to_vec(), other.to_vec());
    one.sort_unstable();
    other.sort_unstable();
    let (mut i, mut j, mut most) = (0, 0, 0.0_f64);
    while i < one.len() && j < other.len() {
        let at = one[i].min(other[j]);
        while i < one.len() && one[i] == at {
            i += 1;
        }
        while j < other.len() && other[j] == at {
            j += 1;
        }
        most = most.max((i as f64 / one.len() as f64 - j as f64 / other.len() as f64).abs());
    }
    most
}
