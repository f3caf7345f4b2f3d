//! Figures on abuse: what a normal caller feels while others attack the edge, and what hostile chains cost. Run by
//! `tests/bench/abuse`; ratios of one run on one machine are what can be compared. The attackers' own handshakes run in
//! this process too: without `--release` they are most of what is measured.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, Instant};

use rustls::pki_types::UnixTime;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tsunagi_gateway::edge::tls::TlsMaterial;
use tsunagi_tests::pki::{Ca, Leaf, List, list_of, put};
use tsunagi_tests::{Setup, TestGateway};

/// Connections of the attacker.
const ATTACKERS: usize = 1_000;
/// Requests of the normal caller in each round, and its new connections.
const REQUESTS: usize = 2_000;
const HANDSHAKES: usize = 200;

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let hub = Setup::new().set("edge.rate_per_second", 1_000_000).set("edge.rate_burst", 1_000_000).start().await;
    let quiet = measure(&hub).await;
    println!("{:<44} {quiet}", "quiet");
    for kind in [Attack::Silent, Attack::HalfHello, Attack::SlowHead] {
        let mut attackers = JoinSet::new();
        for number in 0..ATTACKERS {
            attackers.spawn(attack(kind, hub.running.edge, hub.partner(WHO[number % WHO.len()])));
        }
        // Once around for all of them before anything is measured.
        pause(3).await;
        let under = measure(&hub).await;
        println!(
            "{:<44} {under} | p99 x{:.1}, handshake p99 x{:.1}",
            format!("{kind:?}, {ATTACKERS} connections"),
            under.request_99.as_secs_f64() / quiet.request_99.as_secs_f64(),
            under.handshake_99.as_secs_f64() / quiet.handshake_99.as_secs_f64()
        );
        attackers.shutdown().await;
    }
    hub.finish().await;
    chains().await;
}

/// So many seconds go by.
async fn pause(secs: u64) {
    let mut beats = tokio::time::interval(Duration::from_secs(secs));
    beats.tick().await;
    beats.tick().await;
}

const WHO: [&str; 5] = ["city-hakodate", "hospital-oita", "hospital-hakodate", "hospital-idle", "app-techo"];

#[derive(Debug, Clone, Copy)]
enum Attack {
    /// TCP, and not a byte.
    Silent,
    /// A ClientHello that does not end.
    HalfHello,
    /// With a certificate: a request's head, byte by byte.
    SlowHead,
}

/// One connection of an attacker, opened again whenever the hub closes it.
async fn attack(kind: Attack, edge: std::net::SocketAddr, partner: tsunagi_tests::Partner) {
    let pause = || pause(1);
    loop {
        if let Attack::SlowHead = kind {
            let Ok(mut stream) = partner.connect(&[b"http/1.1"]).await else {
                pause().await;
                continue;
            };
            for byte in b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter().chain([b'x'; 1_000].iter())
            {
                if stream.write_all(&[*byte]).await.is_err() {
                    break;
                }
                pause().await;
            }
        } else {
            let Ok(mut stream) = TcpStream::connect(edge).await else {
                pause().await;
                continue;
            };
            let hello: &[u8] = if let Attack::HalfHello = kind { &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC] } else { &[] };
            for byte in hello.iter().chain([3; 600].iter()) {
                if !hello.is_empty() && stream.write_all(&[*byte]).await.is_err() {
                    break;
                }
                pause().await;
                if stream.try_read(&mut [0; 1]).is_ok_and(|read| read == 0) {
                    break;
                }
            }
        }
    }
}

struct Figures {
    request_50: Duration,
    request_99: Duration,
    handshake_50: Duration,
    handshake_99: Duration,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { request_50, request_99, handshake_50, handshake_99 } = self;
        write!(
            f,
            "request p50 {request_50:.1?} p99 {request_99:.1?} | new connection p50 {handshake_50:.1?} p99 {handshake_99:.1?}"
        )
    }
}

async fn measure(hub: &TestGateway) -> Figures {
    let steady = hub.partner("city-oita");
    let (mut requests, mut handshakes) = (Vec::new(), Vec::new());
    for number in 0..REQUESTS {
        let began = Instant::now();
        steady.get("/fhir/metadata").await.expect(200);
        requests.push(began.elapsed());
        if number % (REQUESTS / HANDSHAKES) == 0 {
            let began = Instant::now();
            hub.partner("city-oita").get("/fhir/metadata").await.expect(200);
            handshakes.push(began.elapsed());
        }
    }
    let at = |times: &mut Vec<Duration>, per_cent: usize| {
        times.sort();
        times[times.len() * per_cent / 100]
    };
    Figures {
        request_50: at(&mut requests, 50),
        request_99: at(&mut requests, 99),
        handshake_50: at(&mut handshakes, 50),
        handshake_99: at(&mut handshakes, 99),
    }
}

/// What verifying costs for chains that were made to cost much.
async fn chains() {
    let now = tsunagi_gateway::clock::Clock::system().now().as_second();
    let root = Ca::root("Foreign root", now);
    let good = root.below("CA", 10, 7);
    // Authorities of one name: each could have signed each.
    let same: Vec<Ca> = (0..40).map(|serial| good.below("Same", 100 + serial, 7)).collect();
    let leaf = same[0].leaf(&Leaf::good(5));
    let (root_pem, lists) = (root.pem.clone(), [root.list(&List::empty()), good.list(&List::empty())].concat());
    let lists = format!("{lists}{}", same[0].list(&List::empty()));
    let known = format!("{}{}", good.pem, same[0].pem);
    let hub = Setup::new()
        .prepare(move |folder, _, setup| {
            let ca = put(folder, "foreign.pem", &root_pem);
            let crls = ["ca/crl.pem", "ca/root-crl.pem", "foreign.crl"].map(|name| folder.join(name));
            put(folder, "foreign.crl", &lists);
            setup.put("edge.foreign_ca_files", list_of(&[ca]));
            setup.put("edge.crl_files", list_of(&crls));
            put(folder, "trust/known/cas.pem", &known);
        })
        .start()
        .await;
    let now = hub.clock.now().as_second();
    let cost = |what: &str, pair: &tsunagi_tests::Pair| {
        let chain = pair.chain();
        let bytes: usize = chain.iter().map(|one| one.len()).sum();
        // A chain that was taken is known from then on: each time counts as the first.
        let times = 20;
        let fresh: Vec<TlsMaterial> = (0..times).map(|_| TlsMaterial::read(&hub.config, now).unwrap()).collect();
        let began = Instant::now();
        let is_taken = fresh.iter().all(|material| material.trusted_until(&chain, UnixTime::now()).is_some());
        println!(
            "{what:<44} {} certificates, {bytes} bytes: {:.1?} each, taken: {is_taken}",
            chain.len(),
            began.elapsed() / times
        );
    };
    cost("a chain of the hub", &hub.pair("city-oita"));
    cost("a chain of three", &leaf);
    let more = |count: usize| {
        let mut pair = leaf.clone();
        pair.certificate.push_str(&same[1..count].iter().map(|ca| ca.pem.as_str()).collect::<String>());
        pair
    };
    cost("three more that could have signed", &more(4));
    cost("39 more that could have signed", &more(40));
    let mut shuffled = more(4);
    let stranger = Ca::root("Stranger", now);
    shuffled.certificate = format!(
        "{}{}",
        stranger.leaf(&Leaf::good(9)).certificate,
        same[..5].iter().map(|ca| ca.pem.as_str()).collect::<String>()
    );
    cost("five authorities that lead nowhere", &shuffled);
    hub.finish().await;
}
