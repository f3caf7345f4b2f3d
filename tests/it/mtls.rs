//! Who gets in: the certificate alone says who calls, and a bad one ends in the handshake.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tsunagi_certs::{Authority, Reason, fingerprint, participant_of};
use tsunagi_core::audit::Action;
use tsunagi_tests::pki::put;
use tsunagi_tests::{Pair, Setup, TestGateway};

const DAY: i64 = 86_400;

async fn refused(hub: &TestGateway, pair: &Pair) -> String {
    let refusal = hub.partner_with(pair).refusal().await;
    refusal.expect("the hub took a certificate that it must refuse in the handshake")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_nobody_gets_past_the_handshake() {
    let hub = TestGateway::start().await;
    let refusal = hub.stranger().refusal().await.expect("the hub took a caller without a certificate");
    assert!(refusal.contains("CertificateRequired"), "{refusal}");
    assert!(hub.stranger().try_send(http::Method::GET, "/fhir/metadata", &[], "").await.is_err());
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_ca_that_is_not_trusted_is_refused() {
    let hub = TestGateway::start().await;
    let folder = tempfile::tempdir().unwrap();
    let now = hub.clock.now().as_second();
    let mut other = Authority::init(&folder.path().join("ca"), "tsunagi", now).unwrap();
    let pair = Pair::of(other.issue_participant("city-oita", now, 30).unwrap());
    let refusal = refused(&hub, &pair).await;
    assert!(refusal.contains("UnknownCA") || refusal.contains("DecryptError"), "{refusal}");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_refused() {
    let hub = Setup::new().made_days_ago(10).start().await;
    let now = hub.clock.now().as_second();
    let pair = Pair::of(hub.authority().issue_participant("hospital-oita", now - 9 * DAY, 1).unwrap());
    let refusal = refused(&hub, &pair).await;
    assert!(refusal.contains("CertificateExpired"), "{refusal}");
    hub.partner("hospital-oita").get("/fhir/metadata").await.expect(200);
    hub.finish().await;
}

/// Revokes the only certificate of a participant and publishes the list.
fn revoke(hub: &TestGateway, participant: &str) {
    let mut authority = hub.authority();
    let entries = authority.list().unwrap().into_iter();
    let own = entries.filter(|entry| entry.names.iter().any(|name| name.ends_with(participant)));
    let serials: Vec<String> = own.map(|entry| entry.serial).collect();
    let [serial] = serials.as_slice() else { panic!("one certificate expected: {serials:?}") };
    authority.revoke(serial, Reason::KeyCompromise, hub.clock.now().as_second()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_refused_from_the_reload_on() {
    let hub = TestGateway::start().await;
    hub.partner("hospital-oita").get("/fhir/metadata").await.expect(200);
    revoke(&hub, "hospital-oita");
    hub.running.gateway.reload().unwrap();
    let refusal = refused(&hub, &hub.pair("hospital-oita")).await;
    assert!(refusal.contains("CertificateRevoked"), "{refusal}");
    hub.partner("hospital-hakodate").get("/fhir/metadata").await.expect(200);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_not_served_on_a_connection_that_was_open_before() {
    let hub = TestGateway::start().await;
    let partner = hub.partner("hospital-oita");
    partner.get("/fhir/metadata").await.expect(200);
    revoke(&hub, "hospital-oita");
    hub.running.gateway.reload().unwrap();
    let served = partner.try_send(http::Method::GET, "/fhir/metadata", &[], "").await;
    assert!(served.is_err() || served.as_ref().is_ok_and(|reply| reply.status == 403), "{served:?}");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_stale_revocation_list_nobody_gets_in() {
    let hub = Setup::new().made_days_ago(31).start().await;
    let refusal = refused(&hub, &hub.pair("hospital-oita")).await;
    assert!(refusal.contains("alert"), "{refusal}");
    let now = hub.clock.now().as_second();
    hub.authority().publish_crl(now, 30).unwrap();
    hub.running.gateway.reload().unwrap();
    hub.partner("hospital-oita").get("/fhir/metadata").await.expect(200);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_servers_certificate_is_not_a_clients() {
    let hub = TestGateway::start().await;
    let now = hub.clock.now().as_second();
    let issued = hub.authority().issue_server(&["localhost".to_owned()], now, 30).unwrap();
    let refusal = refused(&hub, &Pair::of(issued)).await;
    assert!(refusal.contains("alert"), "{refusal}");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_that_is_not_registered_is_unknown_and_noted() {
    let hub = TestGateway::start().await;
    let stranger = hub.partner("hospital-nowhere");
    for path in ["/fhir/metadata", "/v1/mailbox"] {
        let reply = stranger.get(path).await.expect(403);
        assert_eq!(reply.code(), "peer_unknown");
        let log = hub.log("hub").await;
        let [event] = log.acts(reply.exchange(), Action::PeerRefused)[..] else { panic!("one leaf") };
        assert_eq!(event.agent.participant.as_ref().map(|id| id.as_str()), Some("hospital-nowhere"));
        assert_eq!(event.agent.certificate, Some(fingerprint(&hub.pair("hospital-nowhere").chain()[0])));
    }
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_participant_is_unknown_from_the_next_request_on() {
    let hub = TestGateway::start().await;
    let partner = hub.partner("hospital-hakodate");
    partner.get("/fhir/metadata").await.expect(200);
    let entry = r#"
        [[participant]]
        id = "hospital-hakodate"
        role = "hospital"
        name = "試験函館病院"
    "#;
    hub.import(&format!("{entry}suspended = true\n")).await;
    assert_eq!(partner.get("/fhir/metadata").await.expect(403).code(), "peer_unknown");
    hub.import(entry).await;
    partner.get("/fhir/metadata").await.expect(200);
    hub.finish().await;
}

/// A hub that trusts a second CA, and a certificate of it that claims to be `city-oita`.
async fn with_foreign_ca() -> (TestGateway, Pair) {
    let hub = Setup::new()
        .prepare(|folder, clock, setup| {
            let now = clock.now().as_second();
            let foreign = folder.join("foreign");
            Authority::init(&foreign, "Another hub", now).unwrap();
            let files = |names: &[std::path::PathBuf]| {
                let quoted: Vec<String> = names.iter().map(|path| format!("'{}'", path.display())).collect();
                format!("[{}]", quoted.join(", "))
            };
            let ca = folder.join("ca");
            setup.put("edge.foreign_ca_files", files(&[foreign.join("root.pem")]));
            put(folder, "trust/known/foreign.pem", &std::fs::read_to_string(foreign.join("issuing.pem")).unwrap());
            let crls = ["crl.pem", "root-crl.pem"];
            let crls: Vec<_> = [&ca, &foreign].iter().flat_map(|dir| crls.map(|name| dir.join(name))).collect();
            setup.put("edge.crl_files", files(&crls));
        })
        .start()
        .await;
    let mut foreign = Authority::open(&hub.folder.path().join("foreign")).unwrap();
    let pair = Pair::of(foreign.issue_participant("city-oita", hub.clock.now().as_second(), 30).unwrap());
    (hub, pair)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_ca_that_writes_a_participants_name_does_not_make_that_participant() {
    let (hub, pair) = with_foreign_ca().await;
    assert_eq!(participant_of(&pair.chain()[0]).as_deref(), Some("city-oita"), "it does claim the name");
    let reply = hub.partner_with(&pair).get("/v1/mailbox").await.expect(403);
    assert_eq!(reply.code(), "peer_unknown");
    assert_eq!(hub.partner("city-oita").get("/v1/mailbox").await.status, 204, "the true one gets in");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_fingerprint_of_a_foreign_ca_is_who_the_registry_says() {
    let (hub, pair) = with_foreign_ca().await;
    let print = fingerprint(&pair.chain()[0]);
    let (first, rest) = print.split_at(8);
    let upper = format!("{}{rest}", first.to_uppercase());
    hub.import(&format!(
        r#"
        [[participant]]
        id = "hospital-foreign"
        role = "hospital"
        name = "他の認証局の病院"
        fingerprints = ["{upper}"]
        "#
    ))
    .await;
    let partner = hub.partner_with(&pair);
    partner.get("/fhir/metadata").await.expect(200);
    // It is a hospital now, not the municipality that its certificate names.
    let reply = partner.get("/v1/mailbox").await.expect(403);
    assert_eq!(reply.code(), "not_permitted");
    let log = hub.log("hub").await;
    let events = log.of(reply.exchange());
    assert_eq!(events[0].agent.participant.as_ref().map(|id| id.as_str()), Some("hospital-foreign"));
    hub.finish().await;
}

/// What answers the ClientHello of an old client that offers no version above this one.
async fn answer_to(hub: &TestGateway, version: [u8; 2]) -> [u8; 7] {
    let mut hello = vec![version[0], version[1]];
    hello.extend([7; 32]);
    // No session, three ciphers with ECDSA, no compression; then P-256, uncompressed, ECDSA with SHA-256, extended
    // master secret.
    hello.extend([0, 0, 6, 0xC0, 0x2B, 0xC0, 0x09, 0xC0, 0x0A, 1, 0]);
    let extensions = [0, 10, 0, 4, 0, 2, 0, 0x17, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3, 0, 0x17, 0, 0];
    hello.extend([0, u8::try_from(extensions.len()).unwrap()]);
    hello.extend(extensions);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![0x16, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(&hello);
    let mut stream = TcpStream::connect(hub.running.edge).await.unwrap();
    stream.write_all(&record).await.unwrap();
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_1_and_older_are_not_offered() {
    const ALERT: u8 = 0x15;
    const HANDSHAKE: u8 = 0x16;
    const PROTOCOL_VERSION: u8 = 70;
    let hub = TestGateway::start().await;
    for version in [[3, 0], [3, 1], [3, 2]] {
        let answer = answer_to(&hub, version).await;
        assert_eq!((answer[0], answer[6]), (ALERT, PROTOCOL_VERSION), "{version:?}");
    }
    assert_eq!(answer_to(&hub, [3, 3]).await[0], HANDSHAKE, "the same hello for TLS 1.2 is answered");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_and_http_1_1_both_work() {
    let hub = TestGateway::start().await;
    let new = hub.partner("city-oita").get("/fhir/metadata").await.expect(200);
    assert_eq!(new.version, http::Version::HTTP_2);
    let old = hub.partner("city-oita").over_http1().get("/fhir/metadata").await.expect(200);
    assert_eq!(old.version, http::Version::HTTP_11);
    assert_eq!(new.body, old.body);
    hub.finish().await;
}
