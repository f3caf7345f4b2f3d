//! What becomes of the keys.

use super::*;
use crate::secret::decrypt_key;

fn passphrase(text: &str) -> Passphrase {
    Passphrase::parse(text).unwrap()
}

#[test]
fn keys_under_a_passphrase_open_with_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca");
    let right = passphrase("correct horse");
    let mut authority = Authority::init_under(&path, "Hub of the North", NOW, Some(right.clone())).unwrap();
    let serial = authority.issue_participant("clinic-a", NOW, 90).unwrap().serial;
    drop(authority);
    for name in [ROOT_KEY, ISSUING_KEY, SERVER_ISSUING_KEY] {
        let text = fs::read_to_string(path.join(name)).unwrap();
        assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), "{name}");
        assert!(matches!(decrypt_key(&text, None), Err(CertsError::Key { .. })));
    }

    for (passphrase, part) in
        [(None, "is under a passphrase"), (Some(passphrase("battery staple")), "not the passphrase")]
    {
        let said = Authority::open_under(&path, passphrase).unwrap_err().to_string();
        assert!(said.contains(part) && said.contains(ISSUING_KEY), "{said}");
        assert!(!said.contains("battery") && !said.contains("horse"), "{said}");
    }
    let mut authority = Authority::open_under(&path, Some(right)).unwrap();
    assert!(!format!("{authority:?}").contains("horse"));
    authority.revoke(&serial, Reason::Superseded, NOW + 1).unwrap();
    authority.publish_crl(NOW + 2, 7).unwrap();
}

#[test]
fn keys_without_one_open_with_or_without() {
    let hub = Hub::new();
    let path = hub.path();
    let Hub { authority, dir: _dir } = hub;
    drop(authority);
    assert!(Authority::open_under(&path, Some(passphrase("correct horse"))).is_ok());
}

#[test]
fn keys_are_for_the_owner_only() {
    let hub = Hub::new();
    let path = hub.path();
    let mode = |file: &PathBuf| fs::metadata(file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for name in [ROOT_KEY, ISSUING_KEY, SERVER_ISSUING_KEY, LEDGER] {
        assert_eq!(mode(&path.join(name)), 0o600, "{name}");
    }
    let Hub { authority, dir: _dir } = hub;
    drop(authority);
    fs::set_permissions(path.join(ISSUING_KEY), PermissionsExt::from_mode(0o640)).unwrap();
    assert!(matches!(Authority::open(&path), Err(CertsError::Exposed { .. })));
}

#[test]
fn debug_output_holds_no_key() {
    let mut hub = Hub::new();
    let issued = hub.authority.issue_participant("clinic-a", NOW, 90).unwrap();
    let secret = issued.key_pem.as_ref().unwrap().lines().nth(1).unwrap().to_owned();
    let root = fs::read_to_string(hub.path().join(ROOT_KEY)).unwrap().lines().nth(1).unwrap().to_owned();
    let printed = format!("{issued:?} {:?}", hub.authority);
    assert!(printed.contains("[redacted]"));
    assert!(!printed.contains("PRIVATE KEY") && !printed.contains(&secret) && !printed.contains(&root));
}
