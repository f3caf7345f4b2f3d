//! What trust rests on changes while the hub runs: what is sound counts at once, what is not is refused as a whole.

use std::path::{Path, PathBuf};

use http::Method;
use tsunagi_certs::{Authority, Reason};
use tsunagi_core::audit::Action;
use tsunagi_tests::pki::{Ca, Leaf, List, put};
use tsunagi_tests::{Pair, Setup, TestGateway};

/// A list that is a day old and has a higher number than any that the hub's CA signs.
fn newest(number: u64) -> List<'static> {
    List { number, ..List::empty() }
}

/// What a case changes: a file, and what is then in it.
type Change = Box<dyn Fn(&TestGateway) -> Vec<(PathBuf, String)>>;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_material_is_refused_as_a_whole_with_its_reason() {
    let now = tsunagi_gateway::clock::Clock::system().now().as_second();
    let foreign = Ca::root("Foreign root", now);
    let below = foreign.below("Foreign issuing", 20, 0);
    let (root_pem, below_pem) = (foreign.pem.clone(), below.pem.clone());
    let lists = [foreign.list(&newest(7)), below.list(&newest(7))];
    let hub = Setup::new()
        .prepare(move |folder, _, _| {
            put(folder, "trust/foreign-ca/root.pem", &root_pem);
            put(folder, "trust/known/issuing.pem", &below_pem);
            put(folder, "trust/crl/root.pem", &lists[0]);
            put(folder, "trust/crl/issuing.pem", &lists[1]);
        })
        .made_days_ago(5)
        .start()
        .await;
    let at = |name: &str| hub.folder.path().join(name);
    let one = |name: &str, text: String| -> Change {
        let path = at(name);
        Box::new(move |_| vec![(path.clone(), text.clone())])
    };
    let server = |names: &[&str], days: u32, ago: i64| {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let pair = Pair::of(hub.authority().issue_server(&names, now - ago, days).unwrap());
        let files = vec![(at("certs/server.pem"), pair.certificate), (at("certs/server.key"), pair.key)];
        Box::new(move |_: &TestGateway| files.clone()) as Change
    };
    let client = Pair::of(hub.authority().issue_participant("hub", now, 30).unwrap());
    let client = vec![(at("certs/server.pem"), client.certificate), (at("certs/server.key"), client.key)];
    let hours = 3_600;
    let stale = List { number: 8, secs: (-48 * hours, -24 * hours), ..List::empty() };
    let leaf = foreign.leaf(&Leaf::good(9)).certificate;
    let stranger = Ca::root("Another root", now);
    let rows: Vec<(&str, &str, Change)> = vec![
        ("a forged list", "has not signed", one("trust/crl/issuing.pem", below.forged_list(&newest(8)))),
        ("an older list", "older than the one held", one("trust/crl/issuing.pem", below.list(&newest(6)))),
        ("a stale list", "past its next update", one("trust/crl/issuing.pem", below.list(&stale))),
        ("the list of a stranger", "is not known", one("trust/crl/issuing.pem", stranger.list(&newest(8)))),
        ("no list at all", "no certificate revocation list", one("trust/crl/issuing.pem", String::new())),
        ("a certificate as list", "no certificate revocation list", one("trust/crl/issuing.pem", below.pem.clone())),
        ("another root", "no known CA has signed", one("ca/root.pem", stranger.pem.clone())),
        ("a leaf as CA", "no CA's", one("trust/foreign-ca/leaf.pem", leaf)),
        ("a CA that nobody signed", "no known CA", one("trust/known/more.pem", stranger.below("X", 2, 0).pem)),
        ("a server's pair that is over", "which is not now", server(&["localhost"], 1, 3 * 24 * hours)),
        ("a server's pair to come", "which is not now", server(&["localhost"], 1, -24 * hours)),
        ("a client's pair as server", "no certificate for servers", Box::new(move |_| client.clone())),
        ("no key", "server.key", one("certs/server.key", String::new())),
        ("the key of another", "does not belong to the key", one("certs/server.key", read(&at("certs/operator.key")))),
        ("a server's pair to push with", "no certificate for clients", {
            let pair = (read(&at("certs/server.pem")), read(&at("certs/server.key")));
            let files = vec![(at("certs/server-client.pem"), pair.0), (at("certs/server-client.key"), pair.1)];
            Box::new(move |_| files.clone())
        }),
    ];
    // One with a connection that stays, and one with a handshake each time.
    let (partner, anew) = (hub.partner("city-oita"), hub.partner("hospital-oita").over_http1());
    for (what, why, change) in rows {
        let changed = change(&hub);
        let before: Vec<_> = changed.iter().map(|(path, _)| std::fs::read(path).ok()).collect();
        for (path, text) in &changed {
            std::fs::write(path, text).unwrap();
        }
        let fault = hub.running.gateway.reload_trust().expect_err(what).to_string();
        assert!(fault.contains(why), "{what}: {fault}");
        let (status, ready) = hub.operations("/readyz").await;
        assert!(status == 200 && ready.contains(why), "{what}: {status} {ready}");
        partner.get("/fhir/metadata").await.expect(200);
        anew.get("/fhir/metadata").await.expect(200);
        for ((path, _), before) in changed.iter().zip(before) {
            match before {
                Some(bytes) => std::fs::write(path, bytes).unwrap(),
                None => std::fs::remove_file(path).unwrap(),
            }
        }
        hub.running.gateway.reload_trust().unwrap_or_else(|fault| panic!("{what}: {fault}"));
        assert!(hub.operations("/readyz").await.1.contains("\"trust\":\"ok\""));
    }
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_not_taken_back_by_the_list_from_before() {
    let hub = TestGateway::start().await;
    let pair = hub.pair("hospital-oita");
    let list = hub.folder.path().join("ca/crl.pem");
    let before = read(&list);
    let serial =
        hub.authority().list().unwrap().into_iter().find(|entry| entry.names == ["hospital-oita"]).unwrap().serial;
    hub.authority().revoke(&serial, Reason::KeyCompromise, hub.clock.now().as_second()).unwrap();
    hub.running.gateway.reload_trust().unwrap();
    assert!(hub.partner_with(&pair).refusal().await.is_some());
    std::fs::write(&list, before).unwrap();
    hub.running.gateway.reload_trust().expect_err("an older list");
    assert!(hub.partner_with(&pair).refusal().await.is_some());
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_grew_old_in_its_place_does_not_keep_newer_ones_out() {
    // The lists of the foreign CA end an hour from now.
    let now = tsunagi_gateway::clock::Clock::system().now().as_second();
    let foreign = Ca::root("Foreign root", now);
    let short = List { secs: (-3_600, 3_600), ..newest(1) };
    let (pem, list) = (foreign.pem.clone(), foreign.list(&short));
    let hub = Setup::new()
        .prepare(move |folder, _, _| {
            put(folder, "trust/foreign-ca/root.pem", &pem);
            put(folder, "trust/crl/root.pem", &list);
        })
        .start()
        .await;
    let revoked = hub.pair("hospital-oita");
    hub.clock.shift(2 * 3_600);
    let (status, ready) = hub.operations("/readyz").await;
    assert!(status == 200 && ready.contains("\"stale_lists\":1"), "others still get in: {status} {ready}");
    let serial =
        hub.authority().list().unwrap().into_iter().find(|entry| entry.names == ["hospital-oita"]).unwrap().serial;
    hub.authority().revoke(&serial, Reason::KeyCompromise, hub.clock.now().as_second()).unwrap();
    hub.running.gateway.reload_trust().unwrap();
    assert!(hub.partner_with(&revoked).refusal().await.is_some_and(|why| why.contains("CertificateRevoked")));
    // The hub's own lists are what its readiness rests on.
    hub.clock.shift(40 * 86_400);
    let (status, ready) = hub.operations("/readyz").await;
    assert!(status == 503 && ready.contains("\"crl_seconds_left\":-"), "{status} {ready}");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_ca_of_the_hub_is_let_in_by_files_alone() {
    let hub = TestGateway::start().await;
    let folder = hub.folder.path();
    let now = hub.clock.now().as_second();
    let mut second = Authority::init(&folder.join("ca-2"), "tsunagi", now).unwrap();
    let pair = Pair::of(second.issue_participant("city-oita", now, 30).unwrap());
    drop(second);
    assert!(hub.partner_with(&pair).refusal().await.is_some());
    for (from, to) in [("root.pem", "hub-ca"), ("issuing.pem", "known"), ("server-issuing.pem", "known")] {
        std::fs::create_dir_all(folder.join("trust").join(to)).unwrap();
        std::fs::copy(folder.join("ca-2").join(from), folder.join("trust").join(to).join(from)).unwrap();
    }
    // As links, so that what the new CA revokes later counts as well.
    std::fs::create_dir_all(folder.join("trust/crl")).unwrap();
    for list in ["crl.pem", "server-crl.pem", "root-crl.pem"] {
        std::os::unix::fs::symlink(folder.join("ca-2").join(list), folder.join("trust/crl").join(list)).unwrap();
    }
    hub.running.gateway.reload_trust().unwrap();
    hub.partner_with(&pair).get("/fhir/metadata").await.expect(200);
    hub.partner("city-oita").get("/fhir/metadata").await.expect(200);
    // A link that leads nowhere is a file that is missing: nothing is taken over, and nobody is locked out.
    std::fs::rename(folder.join("ca-2"), folder.join("elsewhere")).unwrap();
    hub.running.gateway.reload_trust().expect_err("a dangling link");
    assert_eq!(hub.partner_with(&pair).refusal().await, None);
    std::fs::rename(folder.join("elsewhere"), folder.join("ca-2")).unwrap();
    let mut second = Authority::open(&folder.join("ca-2")).unwrap();
    let serial = second.list().unwrap()[0].serial.clone();
    second.revoke(&serial, Reason::Superseded, now).unwrap();
    hub.running.gateway.reload_trust().unwrap();
    assert!(hub.partner_with(&pair).refusal().await.is_some_and(|why| why.contains("CertificateRevoked")));
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_act_gets_one_answer_for_each_handshake() {
    let hub = TestGateway::start().await;
    for (partner, version) in [(hub.partner("hospital-nowhere"), "h2"), (hub.partner("hospital-nowhere"), "http/1.1")] {
        let mut stream = partner.connect(&[version.as_bytes()]).await.unwrap();
        let answer = match version {
            "h2" => two_streams(stream).await,
            _ => {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let two = "GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2);
                stream.write_all(two.as_bytes()).await.unwrap();
                let mut all = String::new();
                // A connection that is cut instead of closed has said what it had to say as well.
                let _end = stream.read_to_string(&mut all).await;
                all.matches("HTTP/1.1 403").count()
            }
        };
        assert_eq!(answer, 1, "{version}");
    }
    let log = hub.log("hub").await;
    let leaves = log.events.iter().filter(|event| event.action == Action::PeerRefused).count();
    assert_eq!(leaves, 2);
    // And not as often as it likes.
    let mut statuses = Vec::new();
    for _ in 0..20 {
        let reply = hub.partner("hospital-nowhere").try_send(Method::GET, "/fhir/metadata", &[], "").await.unwrap();
        statuses.push(reply.status.as_u16());
    }
    assert!(statuses.contains(&429) && statuses.iter().all(|status| [403, 429].contains(status)), "{statuses:?}");
    hub.partner("hospital-oita").get("/fhir/metadata").await.expect(200);
    hub.finish().await;
}

/// Two requests, one after the other, on one HTTP/2 connection: how many are answered.
async fn two_streams(stream: tokio_rustls::client::TlsStream<tokio::net::TcpStream>) -> usize {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let ended = tokio::spawn(connection);
    let request = || {
        let empty = http_body_util::Empty::<bytes::Bytes>::new();
        http::Request::get("https://localhost/fhir/metadata").body(empty).unwrap()
    };
    let first = sender.send_request(request()).await.unwrap();
    assert_eq!(first.status(), 403);
    // The hub says that it will take no more, and closes when the answer is out.
    drop(first);
    let _end = ended.await.unwrap();
    1 + usize::from(sender.send_request(request()).await.is_ok())
}
