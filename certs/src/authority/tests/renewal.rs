use super::*;

#[test]
fn the_new_one_begins_before_the_old_one_ends_and_the_ledger_links_them() {
    let mut hub = Hub::new();
    let old = hub.authority.issue_participant("clinic-a", NOW, 90).unwrap();
    let now = NOW + 60 * DAY;
    let prepared = hub.authority.prepare_renewal(&old.serial, None, 90, now).unwrap();
    assert_eq!(hub.authority.list().unwrap().len(), 1, "what is prepared is not in the ledger");
    let new = hub.authority.record(prepared).unwrap();

    let [first, second] = <[LedgerEntry; 2]>::try_from(hub.authority.list().unwrap()).unwrap();
    assert_eq!(
        (second.renews.as_deref(), second.names.as_slice()),
        (Some(old.serial.as_str()), first.names.as_slice())
    );
    assert!(first.holds_at(now) && second.holds_at(now) && second.not_before < first.not_after);
    assert!(!first.holds_at(second.not_after) && second.holds_at(second.not_after));
    let (old, new) = (der(&old.certificate_pem), der(&new.certificate_pem));
    assert_eq!(participant_of(&new).as_deref(), Some("clinic-a"));
    assert_ne!(x509(&old).public_key().raw, x509(&new).public_key().raw, "the key is a new one");
}

#[test]
fn a_server_keeps_its_names_and_a_request_its_key() {
    let mut hub = Hub::new();
    let names = ["hub.example.jp", "192.0.2.7"].map(str::to_owned);
    let server = hub.authority.issue_server(&names, NOW, 90).unwrap().serial;
    let prepared = hub.authority.prepare_renewal(&server, None, 90, NOW + DAY).unwrap();
    assert_eq!((prepared.entry().usage, &prepared.entry().names[..]), (Usage::Server, &names[..]));

    let key = KeyPair::generate().unwrap();
    let csr = CertificateParams::default().serialize_request(&key).unwrap().pem().unwrap();
    let own = hub.authority.issue_participant_from_csr(csr.as_bytes(), "clinic-a", NOW, 30).unwrap().serial;
    let prepared = hub.authority.prepare_renewal(&own, Some(csr.as_bytes()), 30, NOW + DAY).unwrap();
    assert!(prepared.entry().key_from_request);
    let issued = hub.authority.record(prepared).unwrap();
    let leaf = der(&issued.certificate_pem);
    assert_eq!(x509(&leaf).public_key().raw, key.subject_public_key_info());
    assert!(issued.key_pem.is_none());
}

#[test]
fn what_has_ended_or_is_revoked_is_not_renewed() {
    let mut hub = Hub::new();
    let mut issue = |id: &str| hub.authority.issue_participant(id, NOW, 10).unwrap().serial;
    let (ended, revoked) = (issue("clinic-a"), issue("clinic-b"));
    hub.authority.revoke(&revoked, Reason::KeyCompromise, NOW + DAY).unwrap();
    let renew = |serial: &str, now| hub.authority.prepare_renewal(serial, None, 10, now).map(drop);
    assert!(renew(&ended, NOW + 10 * DAY).is_ok(), "in its last second");
    assert!(matches!(renew(&ended, NOW + 10 * DAY + 1), Err(CertsError::Ended { .. })));
    assert!(matches!(renew(&revoked, NOW + DAY), Err(CertsError::Revoked { .. })));
    assert!(matches!(renew(&"5".repeat(32), NOW), Err(CertsError::UnknownSerial { .. })));
}

#[test]
fn due_is_what_ends_soon_and_has_no_successor() {
    let mut hub = Hub::new();
    let mut issue = |id: &str, days| hub.authority.issue_participant(id, NOW, days).unwrap().serial;
    let (later, soon, revoked, renewed) = (issue("a", 90), issue("b", 20), issue("c", 20), issue("d", 10));
    let terminal = issue("b", 19);
    hub.authority.revoke(&revoked, Reason::Superseded, NOW).unwrap();
    let prepared = hub.authority.prepare_renewal(&renewed, None, 90, NOW + 1).unwrap();
    let successor = hub.authority.record(prepared).unwrap().serial;

    let due = |hub: &Hub, days, now| -> Vec<String> {
        hub.authority.due(days, now).unwrap().into_iter().map(|entry| entry.serial).collect()
    };
    let now = NOW + 2;
    // Each certificate of a participant counts by itself: they are of different terminals.
    assert_eq!(due(&hub, 30, now), [terminal.clone(), soon.clone()]);
    assert_eq!(due(&hub, 5, now), [""; 0]);
    assert_eq!(due(&hub, 90, now), [terminal.clone(), soon.clone(), later.clone(), successor.clone()]);
    assert_eq!(due(&hub, 30, NOW + 25 * DAY), [""; 0], "what has ended is not due");
    // A successor that was revoked is none.
    hub.authority.revoke(&successor, Reason::KeyCompromise, now).unwrap();
    assert_eq!(due(&hub, 30, now), [renewed, terminal, soon]);
}
