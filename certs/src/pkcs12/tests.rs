//! Bundles in the eyes of OpenSSL and of Java.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::*;
use crate::secret::encrypt_key;
use crate::{Authority, Issued};

const NOW: i64 = 1_800_000_000;
const PASSWORD: &str = "correct horse";

fn issued(dir: &Path) -> Issued {
    let mut authority = Authority::init(&dir.join("ca"), "Hub of the North", NOW).unwrap();
    authority.issue_participant("clinic-a", NOW, 90).unwrap()
}

fn password() -> Passphrase {
    Passphrase::parse(PASSWORD).unwrap()
}

fn bundled(issued: &Issued, form: BundleForm) -> Vec<u8> {
    let bundle = Bundle {
        certificates_pem: &issued.certificate_pem,
        root_pem: None,
        key_pem: issued.key_pem.as_ref().unwrap(),
        key_passphrase: None,
        name: "clinic-a",
    };
    bundle.to_pkcs12(&password(), form).unwrap()
}

/// Runs a program in a folder; `None`, with a line that says so, where it is not installed.
fn ran(dir: &Path, program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program).args(arguments).current_dir(dir).output() {
        Ok(output) => Some(output),
        Err(error) => {
            println!("not run: {program} ({error})");
            None
        }
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn openssl_opens_both_forms_and_finds_what_went_in() {
    let dir = tempfile::tempdir().unwrap();
    let issued = issued(dir.path());
    let key = decrypt_key(issued.key_pem.as_ref().unwrap(), None).unwrap();
    let forms = [
        (BundleForm::Modern, "PBES2, PBKDF2, AES-256-CBC, Iteration 100000, PRF hmacWithSHA256", "MAC: sha256"),
        (BundleForm::Legacy, "pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 2048", "MAC: sha1"),
    ];
    for (form, encryption, mac) in forms {
        fs::write(dir.path().join("a.p12"), bundled(&issued, form)).unwrap();
        let pass = format!("pass:{PASSWORD}");
        let read = ["pkcs12", "-in", "a.p12", "-info", "-nodes", "-passin", &pass];
        let Some(output) = ran(dir.path(), "openssl", &read) else { return };
        let text = said(&output);
        assert!(output.status.success(), "{text}");
        assert_eq!(text.matches(encryption).count(), 2, "{text}");
        assert!(text.contains(mac) && text.contains("friendlyName: clinic-a"), "{text}");
        let found: Vec<_> = CertificateDer::pem_slice_iter(&output.stdout).map(Result::unwrap).collect();
        let sent: Vec<_> =
            CertificateDer::pem_slice_iter(issued.certificate_pem.as_bytes()).map(Result::unwrap).collect();
        assert_eq!(found, sent);
        let found = rustls_pki_types::PrivateKeyDer::from_pem_slice(&output.stdout).unwrap();
        let pair = |key| KeyPair::try_from(key).unwrap().subject_public_key_info();
        assert_eq!(pair(&found), pair(&key));
        let wrong = ran(dir.path(), "openssl", &["pkcs12", "-in", "a.p12", "-nodes", "-passin", "pass:wrong"]);
        assert!(!wrong.unwrap().status.success());
    }
}

#[test]
fn java_opens_both_forms() {
    let dir = tempfile::tempdir().unwrap();
    let issued = issued(dir.path());
    for form in [BundleForm::Modern, BundleForm::Legacy] {
        fs::write(dir.path().join("a.p12"), bundled(&issued, form)).unwrap();
        let list = ["-J-Duser.language=en", "-list", "-v", "-storetype", "PKCS12", "-keystore", "a.p12", "-storepass"];
        let Some(output) = ran(dir.path(), "keytool", &[&list[..], &[PASSWORD]].concat()) else { return };
        let text = said(&output);
        assert!(output.status.success(), "{text}");
        for part in ["Alias name: clinic-a", "Entry type: PrivateKeyEntry", "Certificate chain length: 2"] {
            assert!(text.contains(part), "{form:?}: {part} is not in {text}");
        }
        // Listing reads certificates; only taking the key out shows that it opens.
        let change = ["-storepasswd", "-storetype", "PKCS12", "-keystore", "a.p12", "-storepass", PASSWORD, "-new"];
        let changed = ran(dir.path(), "keytool", &[&change[..], &["battery staple"]].concat()).unwrap();
        assert!(changed.status.success(), "{}", said(&changed));
    }
}

#[test]
fn what_openssl_encrypts_is_read_and_the_other_way_round() {
    let dir = tempfile::tempdir().unwrap();
    let issued = issued(dir.path());
    let plain = issued.key_pem.as_ref().unwrap();
    fs::write(dir.path().join("ours.key"), encrypt_key(plain, &password()).unwrap()).unwrap();
    fs::write(dir.path().join("plain.key"), plain).unwrap();
    let pass = format!("pass:{PASSWORD}");
    let read = ["pkey", "-in", "ours.key", "-passin", &pass, "-outform", "DER", "-out", "ours.der"];
    let Some(output) = ran(dir.path(), "openssl", &read) else { return };
    assert!(output.status.success(), "{}", said(&output));
    let write = ["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256", "-in", "plain.key", "-passout"];
    let output = ran(dir.path(), "openssl", &[&write[..], &[&pass, "-out", "theirs.key"]].concat()).unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let theirs = fs::read_to_string(dir.path().join("theirs.key")).unwrap();
    let bundle = Bundle {
        certificates_pem: &issued.certificate_pem,
        root_pem: None,
        key_pem: &theirs,
        key_passphrase: Some(&password()),
        name: "clinic-a",
    };
    assert!(bundle.to_pkcs12(&password(), BundleForm::Modern).is_ok());
    let other = ["pkcs8", "-topk8", "-v2", "aes-128-cbc", "-in", "plain.key", "-passout", &pass, "-out", "other.key"];
    assert!(ran(dir.path(), "openssl", &other).unwrap().status.success());
    let other = fs::read_to_string(dir.path().join("other.key")).unwrap();
    let refused = decrypt_key(&other, Some(&password())).unwrap_err().to_string();
    assert!(refused.contains("openssl pkcs8 -topk8"), "{refused}");
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let issued = issued(dir.path());
    let other = KeyPair::generate().unwrap().serialize_pem();
    let refused = |certificates_pem: &str, key_pem: &str| {
        let bundle = Bundle { certificates_pem, root_pem: None, key_pem, key_passphrase: None, name: "clinic-a" };
        bundle.to_pkcs12(&password(), BundleForm::Modern).unwrap_err().to_string()
    };
    assert!(refused(&issued.certificate_pem, &other).contains("not the key of the certificate"));
    assert!(refused("", &other).contains("certificate"));
    assert!(refused(&issued.certificate_pem, "").contains("not a private key"));
}

/// Expected values made with `openssl kdf … PKCS12KDF`.
#[test]
fn octets_from_a_password_are_those_of_openssl() {
    let salt = [0x0a, 0x58, 0xcf, 0x64, 0x53, 0x0d, 0x82, 0x3f];
    let table = [
        (&SHA1_FOR_LEGACY_USE_ONLY, Purpose::Key, 1, 24, "e9477b1247e60698f484259cda6f11d2011ff39c3f099adf"),
        (&SHA256, Purpose::Mac, 1000, 32, "5e0ea061ac1e852c98dd054b52db6af95f60a1d62d3124dbff90ccbe14609f7d"),
        (&SHA1_FOR_LEGACY_USE_ONLY, Purpose::Iv, 2048, 8, "e2c37ec28691849a"),
    ];
    for (algorithm, purpose, rounds, length, expected) in table {
        let made = derived(algorithm, purpose, &password(), &salt, rounds, length);
        assert_eq!(crate::serial::hex(&made), expected);
    }
}

#[test]
fn the_trust_anchor_comes_along_where_it_belongs() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let issued = issued(dir.path());
    let root = fs::read_to_string(dir.path().join("ca/root.pem")).unwrap();
    let bundle = |root_pem| Bundle {
        certificates_pem: &issued.certificate_pem,
        root_pem,
        key_pem: issued.key_pem.as_ref().unwrap(),
        key_passphrase: None,
        name: "clinic-a",
    };
    assert_eq!(bundle(None).certificates().unwrap().len(), 2);
    assert_eq!(bundle(Some(&root)).certificates().unwrap().len(), 3);
    self::issued(other.path());
    let stranger = fs::read_to_string(other.path().join("ca/root.pem")).unwrap();
    assert_eq!(bundle(Some(&stranger)).certificates().unwrap().len(), 2);
}
