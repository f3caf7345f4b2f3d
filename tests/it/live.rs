//! Certificates, revocation lists and the registry change while the hub runs: without a signal, without a dropped
//! connection, and never half.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use tsunagi_certs::{Reason, fingerprint};
use tsunagi_tests::pki::{Ca, Leaf, List, list_of, put};
use tsunagi_tests::{Pair, Partner, Setup, TestGateway};

/// It only bounds how long a test that found a bug hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until what is hoped for is so.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) -> Duration {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "{what} did not come to be");
        tokio::task::yield_now().await;
    }
    began.elapsed()
}

fn serials(hub: &TestGateway, participant: &str) -> Vec<String> {
    let entries = hub.authority().list().unwrap().into_iter();
    let own = entries.filter(|entry| entry.names.iter().any(|name| name.ends_with(participant)));
    own.map(|entry| entry.serial).collect()
}

async fn is_served(partner: &Partner) -> bool {
    matches!(partner.try_send(Method::GET, "/fhir/metadata", &[], "").await, Ok(reply) if reply.status == 200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_revoked_while_its_connection_is_open_is_refused_without_a_signal() {
    let hub = TestGateway::start().await;
    let (revoked, other) = (hub.partner("hospital-oita"), hub.partner("hospital-hakodate"));
    revoked.get("/fhir/metadata").await.expect(200);
    other.get("/fhir/metadata").await.expect(200);
    let serial = serials(&hub, "hospital-oita").remove(0);
    // As `tsunagi certs revoke` does it, and nothing else.
    hub.authority().revoke(&serial, Reason::KeyCompromise, hub.clock.now().as_second()).unwrap();
    let took = until("the refusal", || async { !is_served(&revoked).await }).await;
    println!("revoked to refused on the open connection: {took:?}");
    assert!(hub.partner("hospital-oita").refusal().await.is_some_and(|why| why.contains("CertificateRevoked")));
    assert!(is_served(&other).await);
    hub.finish().await;
}

/// The certificate that the hub shows now.
async fn shown(hub: &TestGateway) -> String {
    let stream = hub.partner("city-oita").connect(&[b"h2"]).await.unwrap();
    fingerprint(&stream.get_ref().1.peer_certificates().unwrap()[0])
}

fn new_server_pair(hub: &TestGateway) -> Pair {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    Pair::of(hub.authority().issue_server(&names, hub.clock.now().as_second(), 90).unwrap())
}

/// Puts a pair in place; gives its fingerprint.
fn put_in_place(hub: &TestGateway, pair: &Pair) -> String {
    std::fs::write(&hub.config.edge.certificate_file, &pair.certificate).unwrap();
    std::fs::write(&hub.config.edge.key_file, &pair.key).unwrap();
    fingerprint(&pair.chain()[0])
}

fn renew_server(hub: &TestGateway) -> String {
    put_in_place(hub, &new_server_pair(hub))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_certificate_is_shown_and_open_connections_stay() {
    let hub = TestGateway::start().await;
    let partner = hub.partner("city-oita").over_http1();
    let http2 = hub.partner("city-hakodate");
    partner.get("/fhir/metadata").await.expect(200);
    http2.get("/fhir/metadata").await.expect(200);
    let new = renew_server(&hub);
    until("the new certificate", || async { shown(&hub).await == new }).await;
    http2.get("/fhir/metadata").await.expect(200);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn faulty_files_are_refused_as_a_whole_and_what_was_there_stays() {
    let hub = TestGateway::start().await;
    let old = shown(&hub).await;
    let crl = hub.config.edge.crl_files[0].clone();
    let sound = std::fs::read(&crl).unwrap();
    let pair = new_server_pair(&hub);
    // A new certificate with a list that is none: neither is taken.
    std::fs::write(&crl, "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n").unwrap();
    assert!(hub.running.gateway.reload_trust().is_err());
    let new = put_in_place(&hub, &pair);
    assert!(hub.running.gateway.reload_trust().is_err());
    assert_eq!(shown(&hub).await, old);
    hub.partner("city-oita").get("/fhir/metadata").await.expect(200);
    std::fs::write(&crl, sound).unwrap();
    until("the new certificate", || async { shown(&hub).await == new }).await;
    let (_, metrics) = hub.operations("/metrics").await;
    assert!(metrics.contains("tsunagi_reloads_total{outcome=\"refused\"}"), "{metrics}");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_ca_and_a_new_participant_are_let_in_without_a_restart() {
    let now = tsunagi_gateway::clock::Clock::system().now().as_second();
    let root = Ca::root("Foreign root", now);
    let pair = root.leaf(&Leaf::good(5));
    let stranger = Ca::root("Another root", now);
    let (stranger_pem, known) = (stranger.pem.clone(), format!("{}{}", stranger.pem, root.pem));
    let (root_pem, lists) = (root.pem.clone(), [stranger.list(&List::empty()), root.list(&List::empty())].concat());
    let hub = Setup::new()
        .prepare(move |folder, _, setup| {
            let ca = put(folder, "foreign.pem", &stranger_pem);
            let crls = ["ca/crl.pem", "ca/root-crl.pem", "foreign.crl"].map(|name| folder.join(name));
            put(folder, "foreign.crl", &lists);
            put(folder, "trust/known/cas.pem", &known);
            setup.put("edge.foreign_ca_files", list_of(&[ca]));
            setup.put("edge.crl_files", list_of(&crls));
        })
        .start()
        .await;
    let partner = hub.partner_with(&pair);
    assert!(partner.refusal().await.is_some_and(|why| why.contains("UnknownCA")));
    put(hub.folder.path(), "foreign.pem", &root_pem);
    until("trust in the new CA", || async { partner.refusal().await.is_none() }).await;
    assert_eq!(partner.get("/fhir/metadata").await.expect(403).code(), "peer_unknown");
    let print = fingerprint(&pair.chain()[0]);
    let entry =
        format!("[[participant]]\nid = 'hospital-new'\nrole = 'hospital'\nname = 'New'\nfingerprints = ['{print}']\n");
    // As another process does it: the running hub is not told.
    let entries = toml::from_str(&entry).unwrap();
    let at = hub.clock.now();
    let event = tsunagi_core::audit::AuditEvent::new(
        at,
        tsunagi_core::audit::Action::RegistryImported,
        tsunagi_core::audit::EventOutcome::Done,
        tsunagi_core::audit::Agent::default(),
    );
    hub.store().import_registry(entries, event).await.unwrap();
    until("the new participant", || is_served(&partner)).await;
    hub.finish().await;
}

/// How often certificate, list and registry are exchanged in the suite; `TSUNAGI_RELOADS` asks for more.
const RELOADS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_certificate_list_and_registry_are_exchanged() {
    let reloads = std::env::var("TSUNAGI_RELOADS").ok().and_then(|text| text.parse().ok()).unwrap_or(RELOADS);
    let hub = Arc::new(Setup::new().set("edge.rate_per_second", 100_000).set("edge.rate_burst", 100_000).start().await);
    let (is_over, answered, handshakes) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    for who in ["city-oita", "city-hakodate", "hospital-oita", "hospital-hakodate"] {
        let (steady, hub) = (hub.partner(who), hub.clone());
        let (is_over, answered, handshakes) = (is_over.clone(), answered.clone(), handshakes.clone());
        tasks.spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                // One connection that stays, and one that is new each time.
                steady.get("/fhir/metadata").await.expect(200);
                hub.partner(who).get("/fhir/metadata").await.expect(200);
                answered.fetch_add(2, Ordering::Relaxed);
                handshakes.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let began = Instant::now();
    for number in 0..reloads {
        let new = renew_server(&hub);
        hub.authority().publish_crl(hub.clock.now().as_second(), 30).unwrap();
        let entry = format!("[[participant]]\nid = 'hospital-{number}'\nrole = 'hospital'\nname = 'New'\n");
        hub.import(&entry).await;
        until("the new certificate", || async { shown(&hub).await == new }).await;
    }
    is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a request failed");
    }
    let (answered, handshakes) = (answered.load(Ordering::Relaxed), handshakes.load(Ordering::Relaxed));
    println!("{reloads} reloads in {:?}: {answered} answers, {handshakes} handshakes, 0 failed", began.elapsed());
    assert!(answered > reloads, "there was no load");
    Arc::into_inner(hub).expect("the last one").finish().await;
}
