//! Each kind of bad certificate is refused in the handshake, and its twin without the one defect gets in.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose, PKCS_RSA_SHA256, PublicKeyData, SignatureAlgorithm};
use tsunagi_tests::pki::{Ca, Leaf, List, list_of, put};
use tsunagi_tests::{Pair, Setup, TestGateway};

/// The serial number that lists revoke.
const REVOKED: u64 = 666;
/// The serial number of an authority that its root revokes.
const REVOKED_AUTHORITY: u64 = 13;

/// A hub that trusts a foreign root, and the authorities under it, each with the list that its name says.
struct World {
    hub: TestGateway,
    good: Ca,
    revoked: Ca,
    stale: Ca,
    unlisted: Ca,
    shortest: Ca,
    short: Ca,
    deep: Ca,
    constrained: Ca,
    stranger: Ca,
}

async fn world(tolerance_secs: i64) -> World {
    let now = tsunagi_gateway::clock::Clock::system().now().as_second();
    let root = Ca::root("Foreign root", now);
    let good = root.below("Good CA", 10, 0);
    let revoked = root.below("Revoked CA", REVOKED_AUTHORITY, 0);
    let stale = root.below("Stale CA", 11, 0);
    let unlisted = root.below("Unlisted CA", 12, 0);
    let (short, deep) = (root.below("Short CA", 15, 0), root.below("Deep CA", 16, 1));
    let (below_short, below_deep) = (short.below("Below short CA", 17, 0), deep.below("Below deep CA", 18, 0));
    let constrained = root.constrained("Constrained CA", 19, 0, Some("example.jp"));
    let stranger = Ca::root("Stranger root", now);

    let hours_stale = List { secs: (-7_200, -3_600), ..List::empty() };
    let revokes = List { revoked: &[REVOKED], ..List::empty() };
    let lists = [
        root.list(&List { revoked: &[REVOKED_AUTHORITY], ..List::empty() }),
        good.list(&revokes),
        revoked.list(&List::empty()),
        stale.list(&hours_stale),
        short.list(&List::empty()),
        deep.list(&List::empty()),
        below_short.list(&List::empty()),
        below_deep.list(&List::empty()),
        constrained.list(&List::empty()),
    ];
    let root_pem = root.pem.clone();
    let below = [&good, &revoked, &stale, &unlisted, &short, &deep, &below_short, &below_deep, &constrained];
    let known: String = below.iter().map(|ca| ca.pem.as_str()).collect();
    let hub = Setup::new()
        .set("edge.crl_tolerance_secs", tolerance_secs)
        .prepare(move |folder, _, setup| {
            let foreign = folder.join("foreign");
            let named = |name: &str| folder.join("ca").join(name);
            let mut crls = vec![named("crl.pem"), named("root-crl.pem")];
            crls.extend(lists.iter().enumerate().map(|(n, list)| put(&foreign, &format!("{n}.crl"), list)));
            setup.put("edge.foreign_ca_files", list_of(&[put(&foreign, "root.pem", &root_pem)]));
            setup.put("edge.crl_files", list_of(&crls));
            put(folder, "trust/known/cas.pem", &known);
        })
        .start()
        .await;
    World { hub, good, revoked, stale, unlisted, shortest: below_short, short, deep: below_deep, constrained, stranger }
}

/// How many handshakes were refused for a reason so far, in this process.
async fn refused_for(hub: &TestGateway, reason: &str) -> u64 {
    let (_, metrics) = hub.operations("/metrics").await;
    let line = format!("tsunagi_handshakes_refused_total{{reason=\"{reason}\"}} ");
    metrics.lines().find_map(|text| text.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_certificate_is_refused_and_its_good_twin_is_not() {
    let w = world(0).await;
    let good = |serial| Leaf::good(serial);
    let with = |change: fn(&mut Leaf)| {
        let mut leaf = Leaf::good(50);
        change(&mut leaf);
        leaf
    };
    let server = |leaf: &mut Leaf| leaf.purposes = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let signs_only = |leaf: &mut Leaf| leaf.usages = vec![KeyUsagePurpose::KeyEncipherment];
    let named = |name: &'static str| Leaf { dns: Some(name), ..Leaf::good(51) };
    let both = |pair: Pair, more: &Ca, times: usize| Pair {
        certificate: format!("{}{}", pair.certificate, more.pem.repeat(times)),
        ..pair
    };
    // What it is, the alert the caller gets, the word in metrics and log, the bad one, its good twin.
    let rows: Vec<(&str, &str, &str, Pair, Pair)> = vec![
        ("unknown CA", "UnknownCA", "unknown_issuer", w.stranger.leaf(&good(1)), w.good.leaf(&good(1))),
        (
            "expired",
            "CertificateExpired",
            "expired",
            w.good.leaf(&with(|l| l.days = (-3, -1))),
            w.good.leaf(&with(|l| l.days = (-3, 1))),
        ),
        (
            "not yet valid",
            "CertificateExpired|BadCertificate|CertificateUnknown",
            "not_yet_valid",
            w.good.leaf(&with(|l| l.days = (1, 3))),
            w.good.leaf(&with(|l| l.days = (-1, 3))),
        ),
        ("revoked", "CertificateRevoked", "revoked", w.good.leaf(&good(REVOKED)), w.good.leaf(&good(REVOKED + 1))),
        ("revoked intermediate", "CertificateRevoked", "revoked", w.revoked.leaf(&good(2)), w.good.leaf(&good(2))),
        ("stale list", "", "stale_crl", w.stale.leaf(&good(3)), w.good.leaf(&good(3))),
        ("no list", "", "unknown_status", w.unlisted.leaf(&good(4)), w.good.leaf(&good(4))),
        (
            "server's purpose",
            "UnsupportedCertificate",
            "wrong_purpose",
            w.good.leaf(&with(server)),
            w.good.leaf(&good(50)),
        ),
        ("wrong key usage", "", "wrong_key_usage", w.good.leaf(&with(signs_only)), w.good.leaf(&good(50))),
        ("path too long", "", "bad_chain", w.shortest.leaf(&good(6)), w.deep.leaf(&good(6))),
        ("not below the short authority", "", "bad_chain", w.shortest.leaf(&good(7)), w.short.leaf(&good(7))),
        (
            "name constraint",
            "",
            "bad_chain",
            w.constrained.leaf(&named("hub.example.com")),
            w.constrained.leaf(&named("hub.example.jp")),
        ),
        (
            "too many certificates",
            "",
            "chain_too_long",
            both(w.good.leaf(&good(8)), &w.good, 5),
            both(w.good.leaf(&good(8)), &w.good, 4),
        ),
    ];
    for (what, alert, reason, bad, twin) in rows {
        let before = refused_for(&w.hub, reason).await;
        let refusal = w.hub.partner_with(&bad).refusal().await;
        let refusal = refusal.unwrap_or_else(|| panic!("{what}: the hub took it"));
        assert!(refusal.contains("alert") && alert.split('|').any(|word| refusal.contains(word)), "{what}: {refusal}");
        // The caller may hear of it a moment before it is counted.
        let counted = async { while refused_for(&w.hub, reason).await <= before {} };
        let counted = tokio::time::timeout(Duration::from_secs(20), counted).await;
        assert!(counted.is_ok(), "{what}: not counted as {reason}");
        assert_eq!(w.hub.partner_with(&twin).refusal().await, None, "{what}: the twin was refused");
    }
    let none = w.hub.stranger().refusal().await.expect("a caller without a certificate got in");
    assert!(none.contains("CertificateRequired"), "{none}");
    let now = w.hub.clock.now().as_second();
    let server = w.hub.authority().issue_server(&["localhost".to_owned()], now, 30).unwrap();
    assert!(w.hub.partner_with(&Pair::of(server)).refusal().await.is_some(), "a server's certificate is no client's");
    assert_eq!(w.hub.partner("city-oita").refusal().await, None);
    w.hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tolerance_lets_lists_live_longer_and_certificates_not() {
    let w = world(2 * 3_600).await;
    assert_eq!(w.hub.partner_with(&w.stale.leaf(&Leaf::good(1))).refusal().await, None);
    let expired = Leaf { days: (-3, -1), ..Leaf::good(2) };
    let refusal = w.hub.partner_with(&w.stale.leaf(&expired)).refusal().await.expect("an expired certificate got in");
    assert!(refusal.contains("CertificateExpired"), "{refusal}");
    let revoked = w.hub.partner_with(&w.good.leaf(&Leaf::good(REVOKED))).refusal().await;
    assert!(revoked.is_some_and(|refusal| refusal.contains("CertificateRevoked")));
    w.hub.finish().await;
    // An hour past its date is more than half an hour of tolerance.
    let w = world(1_800).await;
    assert!(w.hub.partner_with(&w.stale.leaf(&Leaf::good(1))).refusal().await.is_some());
    assert_eq!(w.hub.partner_with(&w.good.leaf(&Leaf::good(1))).refusal().await, None, "other lists are in date");
    w.hub.finish().await;
}

/// An RSA key that openssl made.
struct RsaKey {
    public: Vec<u8>,
}

impl PublicKeyData for RsaKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

fn openssl(arguments: &[&str]) -> Option<Vec<u8>> {
    let ran = Command::new("openssl").args(arguments).stdin(Stdio::null()).output().ok()?;
    ran.status.success().then_some(ran.stdout)
}

/// What `openssl s_client` hears with an RSA key of so many bits.
fn with_rsa(w: &World, folder: &std::path::Path, bits: &str) -> Option<String> {
    let key: PathBuf = folder.join(format!("{bits}.key"));
    let key = key.to_str()?;
    openssl(&["genrsa", "-out", key, bits])?;
    let public = openssl(&["rsa", "-in", key, "-RSAPublicKey_out", "-outform", "DER"])?;
    let certificate = w.good.certificate(&Leaf::good(70), &RsaKey { public });
    let path = put(folder, &format!("{bits}.pem"), &certificate);
    let address = w.hub.running.edge.to_string();
    let mut client = Command::new("openssl");
    client.args(["s_client", "-connect", &address, "-servername", "localhost", "-quiet", "-alpn", "http/1.1"]);
    client.args(["-cipher", "DEFAULT@SECLEVEL=0", "-key", key]);
    client.arg("-cert").arg(&path).arg("-cert_chain").arg(&path);
    let mut child = client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().ok()?;
    let request = b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    // A hub that refuses may have closed before.
    let _written = std::io::Write::write_all(child.stdin.as_mut()?, request);
    let out = child.wait_with_output().ok()?;
    Some(format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weak_key_is_refused() {
    if openssl(&["version"]).is_none() {
        println!("not run: a certificate with an RSA key of 1024 bits (no openssl)");
        return;
    }
    let w = world(0).await;
    let folder = tempfile::tempdir().unwrap();
    let before = refused_for(&w.hub, "weak_key").await;
    let weak = tokio::task::block_in_place(|| with_rsa(&w, folder.path(), "1024")).expect("openssl ran");
    assert!(weak.contains("alert") && !weak.contains("HTTP/1.1"), "{weak}");
    assert!(refused_for(&w.hub, "weak_key").await > before);
    let strong = tokio::task::block_in_place(|| with_rsa(&w, folder.path(), "2048")).expect("openssl ran");
    // It gets past the handshake; that nobody registered it is another matter.
    assert!(strong.contains("HTTP/1.1 403"), "{strong}");
    w.hub.finish().await;
}
