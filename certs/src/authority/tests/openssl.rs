//! The same certificates in the eyes of another implementation.

use std::path::Path;
use std::process::Command;

use super::*;

/// Verdict of `openssl verify` at a time, for a purpose, against the files `init` made. `None` without OpenSSL.
pub(super) fn verify(hub: &Hub, certificate: &Path, purpose: &str, at: i64) -> Option<(bool, String)> {
    let lists = hub.dir.path().join("lists.pem");
    fs::write(&lists, hub.authority.crls_pem().unwrap()).unwrap();
    let root = hub.path().join(ROOT);
    let issuing = hub.dir.path().join("issuing.pem");
    let both = hub.authority.chain_pem(Usage::Participant) + &hub.authority.chain_pem(Usage::Server);
    fs::write(&issuing, both).unwrap();
    let output = Command::new("openssl")
        .args(["verify", "-x509_strict", "-crl_check_all", "-purpose", purpose, "-attime", &at.to_string()])
        .arg("-CAfile")
        .arg(root)
        .arg("-untrusted")
        .arg(issuing)
        .arg("-CRLfile")
        .arg(lists)
        .arg(certificate)
        .output();
    match output {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
        }
        Err(error) => {
            println!("not run: openssl verify ({error})");
            None
        }
    }
}

#[test]
fn openssl_agrees_on_use_date_and_revocation() {
    let mut hub = Hub::new();
    let participant = hub.authority.issue_participant("clinic-a", NOW, 90).unwrap();
    let long = hub.authority.issue_participant(&"a".repeat(96), NOW, 90).unwrap();
    let dotted = hub.authority.issue_participant("clinic.example", NOW, 90).unwrap();
    let server = hub.authority.issue_server(&["hub.example.jp".to_owned()], NOW, 90).unwrap();
    let file = |name: &str, issued: &Issued| {
        let path = hub.dir.path().join(name);
        fs::write(&path, &issued.certificate_pem).unwrap();
        path
    };
    let (client, long, server) =
        (file("client.pem", &participant), file("long.pem", &long), file("server.pem", &server));
    let dotted = file("dotted.pem", &dotted);

    let table = [
        (&client, "sslclient", NOW, "OK"),
        (&client, "sslclient", NOW - 299, "OK"),
        (&client, "sslclient", NOW - 301, "not yet valid"),
        (&client, "sslclient", NOW + 31 * DAY, "CRL has expired"),
        (&client, "sslclient", NOW + 91 * DAY, "certificate has expired"),
        (&client, "sslserver", NOW, "purpose"),
        (&long, "sslclient", NOW, "OK"),
        (&dotted, "sslclient", NOW, "OK"),
        (&server, "sslserver", NOW, "OK"),
        (&server, "sslclient", NOW, "purpose"),
    ];
    for (certificate, purpose, at, expected) in table {
        let Some((good, said)) = verify(&hub, certificate, purpose, at) else { return };
        assert_eq!(good, expected == "OK", "{purpose} at {at}: {said}");
        assert!(said.contains(expected), "{purpose} at {at}: {said}");
    }

    hub.authority.revoke(&participant.serial, Reason::KeyCompromise, NOW + 5).unwrap();
    let Some((good, said)) = verify(&hub, &client, "sslclient", NOW + 6) else { return };
    assert!(!good && said.contains("certificate revoked"), "{said}");
    let Some((good, said)) = verify(&hub, &server, "sslserver", NOW + 6) else { return };
    assert!(good, "{said}");
}
