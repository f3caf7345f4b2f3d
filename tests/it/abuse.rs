//! Callers with a certificate who take more than their share, on purpose or not.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tsunagi_core::audit::Action;
use tsunagi_tests::frames::{self, frame};
use tsunagi_tests::{Pair, Setup, TestGateway};

/// It only bounds how long a test that found a bug hangs.
const PATIENCE: Duration = Duration::from_secs(60);

const GET: &str = "GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Reads until the hub closes the connection.
async fn to_the_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    assert!(read.is_ok(), "the connection stayed open");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Writes until the hub closes the connection, at most so often; how often it was.
async fn write_until_closed(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8], most: usize) -> usize {
    for times in 0..most {
        match tokio::time::timeout(PATIENCE, async {
            stream.write_all(bytes).await?;
            stream.flush().await
        })
        .await
        {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return times,
            Err(_) => panic!("the connection stayed open and took nothing"),
        }
    }
    most
}

/// The error code of the GOAWAY that ends a connection.
async fn goaway(stream: &mut (impl AsyncRead + Unpin)) -> Option<u32> {
    while let Some((kind, _, payload)) = tokio::time::timeout(PATIENCE, frames::next(stream)).await.expect("an end") {
        if kind == frames::GOAWAY {
            return payload.get(4..8).map(|code| u32::from_be_bytes(code.try_into().unwrap()));
        }
    }
    None
}

const ENHANCE_YOUR_CALM: u32 = 0xB;

#[tokio::test(flavor = "multi_thread")]
async fn rapid_resets_end_the_connection() {
    let hub = TestGateway::start().await;
    let mut stream = hub.partner("city-oita").connect(&[b"h2"]).await.unwrap();
    stream.write_all(&frames::preface()).await.unwrap();
    let mut flood = Vec::new();
    for number in 0..2_000u32 {
        let id = number * 2 + 1;
        flood.extend(frame(frames::HEADERS, frames::END_STREAM_AND_HEADERS, id, &frames::get("/fhir/metadata")));
        flood.extend(frame(frames::RST_STREAM, 0, id, &8u32.to_be_bytes()));
    }
    // The hub may have closed before all of it was written.
    let _written = stream.write_all(&flood).await;
    let code = goaway(&mut stream).await;
    assert!(code.is_none() || code == Some(ENHANCE_YOUR_CALM), "{code:?}");
    hub.partner("city-oita").get("/fhir/metadata").await.expect(200);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_end_ends_the_connection() {
    let hub = TestGateway::start().await;
    for piece in [1, 1_000] {
        let mut stream = hub.partner("city-oita").connect(&[b"h2"]).await.unwrap();
        stream.write_all(&frames::preface()).await.unwrap();
        stream.write_all(&frame(frames::HEADERS, 1, 1, &frames::get("/fhir/metadata"))).await.unwrap();
        // A literal header field, again and again, and never END_HEADERS.
        let field = [&[0x00, 1, b'x', 100][..], &[b'y'; 100]].concat();
        let payload = if piece == 1 { Vec::new() } else { field.repeat(piece / field.len()) };
        let times = write_until_closed(&mut stream, &frame(frames::CONTINUATION, 0, 1, &payload), 100_000).await;
        assert!(times < 100_000, "the hub took all of it");
    }
    hub.partner("city-oita").get("/fhir/metadata").await.expect(200);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_opens_more_streams_than_allowed_gets_no_more() {
    let hub = TestGateway::start().await;
    let mut stream = hub.partner("city-oita").connect(&[b"h2"]).await.unwrap();
    stream.write_all(&frames::preface()).await.unwrap();
    // SETTINGS_MAX_CONCURRENT_STREAMS
    let (kind, _, payload) = frames::next(&mut stream).await.unwrap();
    assert_eq!(kind, frames::SETTINGS);
    let most = payload.chunks(6).find(|setting| setting[..2] == [0, 3]).map(|setting| setting[5]);
    assert_eq!(most, Some(64));
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_does_not_read_its_answers_is_cut_off() {
    let hub = Setup::new().set("edge.write_timeout_ms", 300).set("edge.idle_timeout_ms", 600_000).start().await;
    // HTTP/2: a window of nothing (SETTINGS_INITIAL_WINDOW_SIZE), and never more.
    let mut stream = hub.partner("city-oita").connect(&[b"h2"]).await.unwrap();
    stream.write_all(&frames::preface_with(&[(4, 0)])).await.unwrap();
    let request = frame(frames::HEADERS, frames::END_STREAM_AND_HEADERS, 1, &frames::get("/fhir/metadata"));
    stream.write_all(&request).await.unwrap();
    to_the_end(&mut stream).await;
    // HTTP/1.1: requests without end, and not one answer read.
    let mut stream = hub.partner("city-oita").connect(&[b"http/1.1"]).await.unwrap();
    write_until_closed(&mut stream, GET.repeat(100).as_bytes(), usize::MAX).await;
    hub.partner("city-oita").get("/fhir/metadata").await.expect(200);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_silence_and_idleness_end_a_connection() {
    let hub = Setup::new().set("edge.header_timeout_ms", 300).set("edge.idle_timeout_ms", 600).start().await;
    let city = hub.partner("city-oita");
    for protocol in [&b"http/1.1"[..], b"h2"] {
        let mut silent = city.connect(&[protocol]).await.unwrap();
        let _said = to_the_end(&mut silent).await;
    }
    let mut slow = city.connect(&[b"http/1.1"]).await.unwrap();
    slow.write_all(b"GET /fhir/metadata HTTP/1.1\r\nHost: loc").await.unwrap();
    assert_eq!(to_the_end(&mut slow).await, "");
    let mut idle = city.connect(&[b"http/1.1"]).await.unwrap();
    idle.write_all(GET.as_bytes()).await.unwrap();
    let answer = to_the_end(&mut idle).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut idle = city.connect(&[b"h2"]).await.unwrap();
    idle.write_all(&frames::preface()).await.unwrap();
    to_the_end(&mut idle).await;
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_too_slowly_is_504() {
    let hub = Setup::new()
        .set("edge.header_timeout_ms", 300)
        .set("edge.body_min_bytes_per_sec", 1_000_000)
        .set("edge.write_timeout_ms", 60_000)
        .start()
        .await;
    let mut stream = hub.partner("city-oita").connect(&[b"http/1.1"]).await.unwrap();
    let head = "POST /v1/mailbox/ack HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = to_the_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 504") && answer.contains("\"timeout\""), "{answer}");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_participant_has_so_many_connections_whatever_certificates_it_shows() {
    let hub = Setup::new().set("edge.max_connections_per_peer", 2).start().await;
    let now = hub.clock.now().as_second();
    let renewed = Pair::of(hub.authority().issue_participant("city-oita", now, 30).unwrap());
    // Two certificates at once are how a renewal goes: both get in.
    let (old, new) = (hub.partner("city-oita"), hub.partner_with(&renewed));
    old.get("/fhir/metadata").await.expect(200);
    new.get("/fhir/metadata").await.expect(200);
    for third in [hub.partner("city-oita"), hub.partner_with(&renewed)] {
        assert!(third.try_send(Method::GET, "/fhir/metadata", &[], "").await.is_err());
    }
    hub.partner("city-hakodate").get("/fhir/metadata").await.expect(200);
    old.get("/fhir/metadata").await.expect(200);
    let (_, metrics) = hub.operations("/metrics").await;
    assert!(metrics.contains("tsunagi_connections_refused_total{reason=\"participant\"}"), "{metrics}");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_participant_has_so_many_requests_under_way() {
    let hub = Setup::new().set("edge.max_requests_per_peer", 2).start().await;
    let city = hub.partner("city-oita");
    let head = "POST /v1/mailbox/ack HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{";
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = city.connect(&[b"http/1.1"]).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        open.push(stream);
    }
    // As soon as the hub has read both heads.
    let crowded = loop {
        let reply = city.get("/fhir/metadata").await;
        if reply.status == 429 {
            break reply;
        }
    };
    assert_eq!(crowded.header("retry-after"), "1");
    hub.partner("city-hakodate").get("/fhir/metadata").await.expect(200);
    for mut stream in open {
        stream.write_all(b"\"batch\": null}").await.unwrap();
        let answer = to_the_end(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    city.get("/fhir/metadata").await.expect(200);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_again_and_again_does_not_fill_the_log() {
    let hub = Setup::new().set("edge.rate_per_second", 100_000).set("edge.rate_burst", 100_000).start().await;
    let city = std::sync::Arc::new(hub.partner("city-oita"));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let city = city.clone();
        tasks.spawn(async move {
            let mut later = 0;
            for _ in 0..200 {
                let reply = city.send(Method::POST, "/v1/requests", &[("content-type", "application/json")], "{").await;
                later += usize::from(reply.status == 429);
            }
            later
        });
    }
    let later: usize = tasks.join_all().await.into_iter().sum();
    let kept = hub.log("hub").await.events.iter().filter(|event| event.action == Action::ExchangeRefused).count();
    assert_eq!(kept + later, 1_600);
    assert!(later > 400, "only {later} were told to come later");
    city.get("/v1/mailbox").await.expect(204);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_so_many_connections_in_all() {
    let hub = Setup::new().set("edge.max_connections", 2).start().await;
    let (one, two) = (hub.partner("city-oita"), hub.partner("hospital-oita"));
    one.get("/fhir/metadata").await.expect(200);
    two.get("/fhir/metadata").await.expect(200);
    assert!(hub.partner("city-hakodate").try_send(Method::GET, "/fhir/metadata", &[], "").await.is_err());
    one.get("/fhir/metadata").await.expect(200);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_handshakes_keep_nobody_out() {
    let hub = Setup::new().set("edge.max_handshakes", 8).set("edge.handshake_timeout_ms", 600_000).start().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(hub.running.edge).await.unwrap());
    }
    hub.partner("city-oita").get("/fhir/metadata").await.expect(200);
    assert_eq!(to_the_end(&mut silent[0]).await, "", "the oldest one made room");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_415_and_not_unpacked() {
    let hub = TestGateway::start().await;
    let city = hub.partner("city-oita").speaking("en");
    let ack = |coding: &'static str| [("content-type", "application/json"), ("content-encoding", coding)];
    for coding in ["gzip", "br", "deflate", "identity, gzip"] {
        let reply = city.send(Method::POST, "/v1/mailbox/ack", &ack(coding), "x").await.expect(415);
        assert_eq!(reply.code(), "coding_unsupported");
        assert!(reply.text().contains("Content-Encoding"), "{}", reply.text());
    }
    let plain = city.send(Method::POST, "/v1/mailbox/ack", &ack("identity"), r#"{"x": 1}"#).await;
    assert_ne!(plain.status, 415, "{}", plain.text());
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_that_is_nested_without_end_is_400() {
    let hub = TestGateway::start().await;
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let deeper = format!("{}1{}", "{\"a\":".repeat(200_000), "}".repeat(200_000));
    for (who, path) in [
        ("city-oita", "/pmh/v1/medicalSubsidy/registrationTasks"),
        ("city-oita", "/v1/mailbox/ack"),
        ("city-oita", "/v1/requests"),
        ("hospital-oita", "/fhir/Immunization"),
        ("hospital-oita", "/fhir/Bundle"),
        ("hospital-oita", "/fhir/Consent"),
        ("hospital-oita", "/fhir/CoverageEligibilityRequest/$submit"),
    ] {
        let partner = hub.partner(who);
        for body in [&deep, &deeper] {
            let reply = partner.send(Method::POST, path, &[("content-type", "application/json")], body.clone()).await;
            assert_eq!(reply.expect(400).code(), "malformed", "{path}");
        }
    }
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_of_endpoints_may_have_a_rate_of_its_own() {
    let hub = Setup::new()
        .set("edge.rate_per_second", 500)
        .set("edge.rate_burst", 1_000)
        .set("edge.rates", "{ mailbox = { per_second = 1, burst = 2 } }")
        .start()
        .await;
    let city = hub.partner("city-oita");
    let first = city.get("/fhir/metadata").await.expect(200);
    assert_eq!(first.header("ratelimit-policy"), "\"default\";q=1000;w=2");
    assert_eq!(first.header("ratelimit"), "\"default\";r=999;t=1");
    let mailbox = city.get("/v1/mailbox").await.expect(204);
    assert_eq!(mailbox.header("ratelimit-policy"), "\"mailbox\";q=2;w=2");
    assert_eq!(mailbox.header("ratelimit"), "\"mailbox\";r=1;t=1");
    let mut limited = None;
    for _ in 0..50 {
        let reply = city.get("/v1/mailbox").await;
        if reply.status == 429 {
            limited = Some(reply);
            break;
        }
    }
    let limited = limited.expect("no limit was met");
    assert_eq!(limited.header("ratelimit"), "\"mailbox\";r=0;t=2");
    assert!((1..=2).contains(&limited.header("retry-after").parse::<u32>().unwrap()));
    city.get("/fhir/metadata").await.expect(200);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_noisy_participant_costs_a_quiet_one_no_answer() {
    let hub = Setup::new().set("edge.rate_per_second", 5).set("edge.rate_burst", 40).start().await;
    let noisy = std::sync::Arc::new(hub.partner("city-hakodate"));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let noisy = noisy.clone();
        tasks.spawn(async move {
            let mut limited = 0;
            for _ in 0..50 {
                limited += usize::from(noisy.get("/fhir/metadata").await.status == 429);
            }
            limited
        });
    }
    let quiet = hub.partner("city-oita");
    for _ in 0..30 {
        quiet.get("/fhir/metadata").await.expect(200);
    }
    let limited: usize = tasks.join_all().await.into_iter().sum();
    assert!(limited > 100, "the noisy one was hardly limited: {limited}");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_config_of_rates_is_named() {
    let text = "version = 1\n[edge.rates.mail]\nper_second = 1\nburst = 0\n";
    let config =
        tsunagi_gateway::config::Config::parse(text, "test.toml", std::path::Path::new("."), std::iter::empty());
    let faults = config.expect_err("two faults");
    let places: Vec<&str> = faults.iter().map(|fault| fault.place.as_str()).collect();
    assert_eq!(places, ["edge.rates.mail.", "edge.rates.mail.burst"], "{}", json!(places));
}
