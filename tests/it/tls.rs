//! What the edge offers in the handshake, seen by real clients.

use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{self, cipher_suite as suite, kx_group as group};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{HandshakeKind, NamedGroup, ProtocolVersion};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tsunagi_tests::TestGateway;
use tsunagi_tests::pki::put;

/// A client with a certificate that offers just this.
fn client(hub: &TestGateway, provider: rustls::crypto::CryptoProvider, alpn: &[&[u8]]) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(hub.folder.path().join("ca/root.pem")).unwrap()).unwrap();
    let pair = hub.pair("city-oita");
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let is_1_2 = provider.cipher_suites.iter().all(|suite| suite.tls13().is_none());
    let versions: &[_] = if is_1_2 { &[&rustls::version::TLS12] } else { rustls::ALL_VERSIONS };
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(pair.chain(), key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

async fn connect(hub: &TestGateway, config: &Arc<rustls::ClientConfig>) -> Result<TlsStream<TcpStream>, String> {
    let stream = TcpStream::connect(hub.running.edge).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(config.clone()).connect(name, stream).await.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_suite_of_the_list_is_spoken_and_the_strongest_is_chosen() {
    let hub = TestGateway::start().await;
    let all = aws_lc_rs::default_provider();
    let listed = tsunagi_gateway::edge::tls::provider().cipher_suites;
    for one in [
        suite::TLS13_AES_256_GCM_SHA384,
        suite::TLS13_AES_128_GCM_SHA256,
        suite::TLS13_CHACHA20_POLY1305_SHA256,
        suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ] {
        assert!(listed.contains(&one));
        let provider = rustls::crypto::CryptoProvider { cipher_suites: vec![one], ..all.clone() };
        let stream = connect(&hub, &client(&hub, provider, &[b"h2"])).await.unwrap();
        let (_, session) = stream.get_ref();
        assert_eq!(session.negotiated_cipher_suite(), Some(one));
        let version = if one.tls13().is_some() { ProtocolVersion::TLSv1_3 } else { ProtocolVersion::TLSv1_2 };
        assert_eq!(session.protocol_version(), Some(version));
    }
    // The hub's order counts, not the caller's.
    let mut backwards = all.clone();
    backwards.cipher_suites.reverse();
    let stream = connect(&hub, &client(&hub, backwards, &[b"h2"])).await.unwrap();
    assert_eq!(stream.get_ref().1.negotiated_cipher_suite(), Some(suite::TLS13_AES_256_GCM_SHA384));
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hybrid_exchange_is_chosen_where_the_caller_knows_it() {
    let hub = TestGateway::start().await;
    let all = aws_lc_rs::default_provider();
    let cases = [
        (vec![group::X25519MLKEM768, group::X25519], NamedGroup::X25519MLKEM768),
        // No second round is asked of a caller that has begun with another one that is taken.
        (vec![group::X25519, group::X25519MLKEM768], NamedGroup::X25519),
        (vec![group::SECP256R1], NamedGroup::secp256r1),
        (vec![group::SECP384R1], NamedGroup::secp384r1),
    ];
    for (kx_groups, expected) in cases {
        let provider = rustls::crypto::CryptoProvider { kx_groups, ..all.clone() };
        let stream = connect(&hub, &client(&hub, provider, &[b"h2"])).await.unwrap();
        let chosen = stream.get_ref().1.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(chosen, expected);
    }
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_is_resumed_so_that_none_outlives_a_revocation() {
    let hub = TestGateway::start().await;
    for tls_1_2 in [false, true] {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|suite| suite.tls13().is_some() != tls_1_2);
        let config = client(&hub, provider, &[b"h2"]);
        for _ in 0..3 {
            let mut stream = connect(&hub, &config).await.unwrap();
            // The hub's first bytes: a ticket would have come with them.
            stream.read_u8().await.unwrap();
            let kind = stream.get_ref().1.handshake_kind();
            assert!(matches!(kind, Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)), "{kind:?}");
        }
    }
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_protocol_is_agreed_on_in_the_handshake() {
    let hub = TestGateway::start().await;
    let all = aws_lc_rs::default_provider();
    let chosen = |stream: &TlsStream<TcpStream>| stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    for (offered, expected) in [
        (&[&b"http/1.1"[..], b"h2"][..], Some(b"h2".to_vec())),
        (&[b"http/1.1"], Some(b"http/1.1".to_vec())),
        (&[], None),
    ] {
        let stream = connect(&hub, &client(&hub, all.clone(), offered)).await.unwrap();
        assert_eq!(chosen(&stream), expected);
    }
    assert!(connect(&hub, &client(&hub, all, &[b"spdy/3"])).await.is_err());
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_agrees_on_what_is_offered() {
    let hub = TestGateway::start().await;
    let pair = hub.pair("city-oita");
    let certificate = put(hub.folder.path(), "client.pem", &pair.certificate);
    let key = put(hub.folder.path(), "client.key", &pair.key);
    let address = hub.running.edge.to_string();
    let said = |arguments: &[&str]| {
        let mut client = Command::new("openssl");
        client.args(["s_client", "-connect", &address, "-servername", "localhost", "-brief"]).args(arguments);
        client.arg("-cert").arg(&certificate).arg("-key").arg(&key).arg("-cert_chain").arg(&certificate);
        let ran = tokio::task::block_in_place(|| client.stdin(Stdio::null()).output().ok())?;
        Some(String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned())
    };
    let Some(modern) = said(&["-tls1_3"]) else {
        println!("not run: openssl s_client against the edge (no openssl)");
        return;
    };
    assert!(modern.contains("TLSv1.3") && modern.contains("TLS_AES_256_GCM_SHA384"), "{modern}");
    let older = said(&["-tls1_2"]).unwrap();
    assert!(older.contains("TLSv1.2") && older.contains("ECDHE-ECDSA-AES256-GCM-SHA384"), "{older}");
    for weak in [
        &["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"][..],
        &["-tls1", "-cipher", "DEFAULT@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AES256-GCM-SHA384"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384"],
        &["-tls1_2", "-cipher", "DHE-RSA-AES256-GCM-SHA384"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-CCM:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "NULL:@SECLEVEL=0"],
    ] {
        let answer = said(weak).unwrap();
        assert!(!answer.contains("CONNECTION ESTABLISHED"), "{weak:?}: {answer}");
    }
    hub.finish().await;
}
