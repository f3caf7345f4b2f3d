//! A ledger that was brought back from a backup, or cut short, beside lists that know more.

use super::*;

/// Two certificates revoked, of a participant and of a server, under a ledger from before that.
fn with_the_ledger_of_before() -> (Authority, TempDir, [Issued; 2]) {
    let mut hub = Hub::new();
    let first = hub.authority.issue_participant("clinic-a", NOW, 90).unwrap();
    let backup = fs::read(hub.path().join(LEDGER)).unwrap();
    let second = hub.authority.issue_participant("clinic-b", NOW, 90).unwrap();
    hub.authority.revoke(&first.serial, Reason::KeyCompromise, NOW + 1).unwrap();
    hub.authority.revoke(&second.serial, Reason::Unspecified, NOW + 2).unwrap();
    let path = hub.path();
    let Hub { authority, dir } = hub;
    drop(authority);
    fs::write(path.join(LEDGER), backup).unwrap();
    (Authority::open(&path).unwrap(), dir, [first, second])
}

fn listed(authority: &Authority) -> Vec<(String, i64, Option<ReasonCode>)> {
    let text = fs::read(authority.folder.at(CRL)).unwrap();
    let list = CertificateRevocationListDer::from_pem_slice(&text).unwrap();
    let told = |entry: &x509_parser::revocation_list::RevokedCertificate<'_>| {
        let reason = entry.reason_code().map(|(_, reason)| reason);
        (crate::serial::hex(entry.raw_serial()), entry.revocation_date.timestamp(), reason)
    };
    x509_list(&list).iter_revoked_certificates().map(told).collect()
}

fn lost(refused: Result<impl fmt::Debug, CertsError>) -> String {
    match refused {
        Err(error @ CertsError::RevocationLost { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_signed_that_would_un_revoke() {
    let (mut authority, _dir, [first, second]) = with_the_ledger_of_before();
    let before = fs::read(authority.folder.at(CRL)).unwrap();
    let said = lost(authority.publish_crl(NOW + 9, 7));
    assert!(said.contains(&first.serial) && said.contains("revoke --certificate FILE"), "{said}");
    lost(authority.issue_participant("clinic-c", NOW + 9, 90));
    lost(authority.prepare_renewal(&first.serial, None, 90, NOW + 9));
    assert_eq!(fs::read(authority.folder.at(CRL)).unwrap(), before);
    assert_eq!(authority.list().unwrap().len(), 1);

    // Entered again one by one: the one that the ledger knows, and the one that it does not.
    authority.revoke(&first.serial, Reason::KeyCompromise, NOW + 10).unwrap();
    assert!(lost(authority.publish_crl(NOW + 11, 7)).contains(&second.serial));
    authority.restore(&second.certificate_pem).unwrap();
    authority.revoke(&second.serial, Reason::Unspecified, NOW + 12).unwrap();
    authority.publish_crl(NOW + 13, 7).unwrap();
    assert_eq!(listed(&authority).len(), 2);
}

#[test]
fn another_revocation_does_not_wait_and_takes_none_back() {
    let (mut authority, _dir, [first, second]) = with_the_ledger_of_before();
    authority.revoke(&first.serial, Reason::Superseded, NOW + 20).unwrap();
    let expected = [(first.serial, NOW + 20, Some(ReasonCode::Superseded)), (second.serial.clone(), NOW + 2, None)];
    assert_eq!(listed(&authority), expected);
    assert!(lost(authority.check_revocations()).contains(&second.serial));
}

#[test]
fn a_list_of_another_authority_is_not_taken_for_the_one_before() {
    let (mut hub, mut other) = (Hub::new(), Hub::new());
    let serial = other.authority.issue_participant("clinic-a", NOW, 90).unwrap().serial;
    other.authority.revoke(&serial, Reason::KeyCompromise, NOW).unwrap();
    fs::copy(other.path().join(CRL), hub.path().join(CRL)).unwrap();
    assert!(matches!(hub.authority.publish_crl(NOW, 7), Err(CertsError::CrlDamaged { .. })));
}
