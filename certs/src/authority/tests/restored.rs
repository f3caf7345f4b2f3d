//! Certificates whose line is gone from the ledger.

use super::*;

/// The hub again after its ledger lost the last line, which the chain cannot show.
fn without_the_last_line(hub: Hub) -> (Authority, TempDir) {
    let path = hub.path();
    let Hub { authority, dir } = hub;
    drop(authority);
    let text = fs::read_to_string(path.join(LEDGER)).unwrap();
    let (kept, _) = text.trim_end().rsplit_once('\n').unwrap();
    fs::write(path.join(LEDGER), format!("{kept}\n")).unwrap();
    (Authority::open(&path).unwrap(), dir)
}

fn revoked(authority: &Authority, name: &str) -> Vec<String> {
    let text = fs::read(authority.folder.at(name)).unwrap();
    let list = CertificateRevocationListDer::from_pem_slice(&text).unwrap();
    x509_list(&list).iter_revoked_certificates().map(|entry| crate::serial::hex(entry.raw_serial())).collect()
}

#[test]
fn a_participants_certificate_is_entered_again_and_can_be_revoked() {
    let mut hub = Hub::new();
    hub.authority.issue_participant("clinic-a", NOW, 90).unwrap();
    let lost = hub.authority.issue_participant("clinic-b", NOW + 7, 90).unwrap();
    let before = hub.authority.list().unwrap().pop().unwrap();
    let (mut authority, _dir) = without_the_last_line(hub);
    let unknown = authority.revoke(&lost.serial, Reason::KeyCompromise, NOW + 9);
    assert!(matches!(unknown, Err(CertsError::UnknownSerial { .. })));

    let entry = authority.restore(&lost.certificate_pem).unwrap();
    assert_eq!(entry, LedgerEntry { key_from_request: true, ..before });
    authority.revoke(&entry.serial, Reason::KeyCompromise, NOW + 9).unwrap();
    assert_eq!(revoked(&authority, CRL), std::slice::from_ref(&lost.serial));
    // A second time nothing is entered.
    let entry = authority.restore(&lost.certificate_pem).unwrap();
    assert_eq!(entry.reason, Some(Reason::KeyCompromise));
    let first = authority.list().unwrap()[0].serial.clone();
    assert_eq!([&entry.serial, &first].map(|serial| authority.was_restored(serial).unwrap()), [true, false]);
    assert_eq!(authority.list().unwrap().len(), 2);
}

#[test]
fn a_servers_certificate_comes_back_with_its_names_and_onto_the_list_of_servers() {
    let mut hub = Hub::new();
    let names = ["hub.example.jp", "192.0.2.7", "2001:db8::1"].map(str::to_owned);
    hub.authority.issue_participant("clinic-a", NOW, 90).unwrap();
    let lost = hub.authority.issue_server(&names, NOW, 90).unwrap();
    let (mut authority, _dir) = without_the_last_line(hub);
    let entry = authority.restore(&lost.certificate_pem).unwrap();
    assert_eq!((entry.usage, &entry.names[..]), (Usage::Server, &names[..]));
    authority.revoke(&entry.serial, Reason::Superseded, NOW + 9).unwrap();
    assert_eq!((revoked(&authority, SERVER_CRL), revoked(&authority, CRL)), (vec![lost.serial], vec![]));
}

#[test]
fn what_was_not_issued_here_is_not_entered() {
    let (mut hub, mut other) = (Hub::new(), Hub::new());
    let foreign = other.authority.issue_participant("clinic-a", NOW, 90).unwrap().certificate_pem;
    let root = hub.authority.trust_anchors_pem();
    let issuing = hub.authority.chain_pem(Usage::Participant);
    for pem in [&foreign, &root, &issuing] {
        assert!(matches!(hub.authority.restore(pem), Err(CertsError::NotIssuedHere)));
    }
    assert!(matches!(hub.authority.restore("no certificate"), Err(CertsError::Certificate)));
    // Signed by the authority's key, with the serial number of another.
    let known = hub.authority.issue_participant("clinic-a", NOW, 90).unwrap();
    let leaf = crate::profile::Leaf::participant("clinic-b").unwrap();
    let serial = Serial::parse(&known.serial).unwrap();
    let params = leaf.params(serial, Validity { from: NOW, until: NOW + DAY }).unwrap();
    let twin = params.signed_by(&KeyPair::generate().unwrap(), &hub.authority.chain.participants.signer).unwrap();
    assert!(matches!(hub.authority.restore(&twin.pem()), Err(CertsError::OtherCertificate { .. })));
    assert_eq!(hub.authority.list().unwrap().len(), 1);
}

#[test]
fn the_authority_knows_its_own_certificates() {
    let hub = Hub::new();
    let issuing = |usage| hub.authority.chain_pem(usage);
    let pems = [hub.authority.trust_anchors_pem(), issuing(Usage::Participant), issuing(Usage::Server)];
    let own = hub.authority.own_certificates().unwrap();
    assert_eq!(
        own.iter().map(|own| own.usage).collect::<Vec<_>>(),
        [None, Some(Usage::Participant), Some(Usage::Server)]
    );
    for (own, pem) in own.iter().zip(&pems) {
        let der = der(pem);
        let certificate = x509(&der);
        assert_eq!(
            (own.fingerprint_sha256.clone(), own.not_after),
            (fingerprint(&der), certificate.validity().not_after.timestamp())
        );
        assert_eq!(own.serial, crate::serial::hex(certificate.raw_serial()));
    }
}
