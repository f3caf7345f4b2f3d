//! `tsunagi certs`: the hub's CA.

use std::path::Path;
use std::process::Command;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tsunagi_tests::process::KeptHub;

use super::{en, ja};

fn names_of(pem: &Path) -> Option<String> {
    let leaf = CertificateDer::pem_file_iter(pem).unwrap().next().unwrap().unwrap();
    tsunagi_certs::participant_of(&leaf)
}

#[test]
fn a_certificate_is_issued_listed_and_revoked() {
    let kept = KeptHub::shared();
    let copy = kept.copy();
    let hub = copy.path();
    let issued = en(hub, "certs issue --participant hospital-new --out new --days 30 --json").ended(0).json();
    let serial = issued["serial"].as_str().unwrap().to_owned();
    let pem = hub.join("new/hospital-new.pem");
    assert_eq!(names_of(&pem).as_deref(), Some("hospital-new"));
    assert!(std::fs::read_to_string(hub.join("new/hospital-new.key")).unwrap().contains("PRIVATE KEY"));

    let entry = |serial: &str| {
        let list = en(hub, "certs list --json").ended(0).json();
        let found = list.as_array().unwrap().iter().find(|entry| entry["serial"] == serial).cloned();
        found.unwrap_or_else(|| panic!("{serial} is not listed"))
    };
    let listed = entry(&serial);
    let seconds = listed["not_after"].as_i64().unwrap() - listed["issued_at"].as_i64().unwrap();
    assert!((29 * 86_400..=31 * 86_400).contains(&seconds), "{listed}");
    assert!(listed["revoked_at"].is_null() && listed["names"].to_string().contains("hospital-new"), "{listed}");
    assert!(en(hub, "certs list").ended(0).out().contains(&serial));

    let crl = std::fs::read(hub.join("ca/crl.pem")).unwrap();
    en(hub, &format!("certs revoke {serial} --reason bored")).ended(64);
    assert!(entry(&serial)["revoked_at"].is_null());
    assert!(ja(hub, &format!("certs revoke {serial} --reason keyCompromise")).ended(0).out().contains("SIGHUP"));
    let listed = entry(&serial);
    assert_eq!((listed["reason"].as_str(), listed["revoked_at"].is_i64()), (Some("keyCompromise"), true));
    let revoked = std::fs::read(hub.join("ca/crl.pem")).unwrap();
    assert_ne!(revoked, crl, "no new list was written");
    en(hub, "certs revoke 00").ended(1);
    en(hub, "certs crl --days 3").ended(0);
    assert_ne!(std::fs::read(hub.join("ca/crl.pem")).unwrap(), revoked);

    let log = en(hub, "audit show --tenant hub --limit 1000 --json").ended(0).out();
    for action in ["CertificateIssued", "CertificateRevoked"] {
        assert!(log.contains(action) && log.contains(&serial), "the log does not say {action}");
    }
    en(hub, "audit verify").ended(0);
}

#[test]
fn servers_get_certificates_and_wrong_wishes_get_none() {
    let kept = KeptHub::shared();
    let copy = kept.copy();
    let hub = copy.path();
    en(hub, "certs issue --server hub.example.jp --server 192.0.2.1 --out server").ended(0);
    assert_eq!(names_of(&hub.join("server/server.pem")), None, "a server's certificate names a participant");
    en(hub, "certs issue --participant Hospital_NEW!").ended(64);
    en(hub, "certs issue").ended(64);
    en(hub, "certs issue --participant a --server b").ended(64);
    assert!(en(hub, "certs init").ended(1).err().contains("ca"));
    let fresh = tempfile::tempdir().unwrap();
    en(fresh.path(), "certs list").ended(1);
    en(fresh.path(), "certs init").ended(0);
    assert_eq!(en(fresh.path(), "certs list --json").ended(0).json(), serde_json::json!([]));
}

#[test]
fn a_key_that_never_left_its_owner_gets_a_certificate() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("not run: there is no openssl command to make a signing request with");
        return;
    }
    let kept = KeptHub::shared();
    let copy = kept.copy();
    let hub = copy.path();
    let request =
        "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key -out own.csr -subj /CN=ignored";
    let made = Command::new("openssl").args(request.split(' ')).current_dir(hub).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    en(hub, "certs issue --participant hospital-own --csr own.csr --out own").ended(0);
    let pem = hub.join("own/hospital-own.pem");
    assert_eq!(
        names_of(&pem).as_deref(),
        Some("hospital-own"),
        "the name comes from the operator, not from the request"
    );
    assert!(!hub.join("own/hospital-own.key").exists(), "a key was made for somebody who has one");
    // The certificate is of the request's key.
    let key_of = |arguments: &str| {
        let out = Command::new("openssl").args(arguments.split(' ')).current_dir(hub).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    };
    assert_eq!(key_of("x509 -in own/hospital-own.pem -noout -pubkey"), key_of("req -in own.csr -noout -pubkey"));
    std::fs::write(
        hub.join("broken.csr"),
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
    )
    .unwrap();
    let refused = en(hub, "certs issue --participant hospital-own --csr broken.csr --out broken");
    assert!([1, 65].contains(&refused.code) && !hub.join("broken/hospital-own.pem").exists(), "{}", refused.code);
}
