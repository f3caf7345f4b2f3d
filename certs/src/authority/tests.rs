use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, PublicKeyData, SanType};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use tempfile::TempDir;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::x509::ReasonCode;
use x509_parser::{parse_x509_certificate, parse_x509_crl};

use super::*;
use crate::chain::{ISSUING, ISSUING_KEY, SERVER_ISSUING_KEY};
use crate::ledger::LEDGER;
use crate::peer::{fingerprint, participant_of};

mod constraints;
mod locked;
mod older_ledger;
mod openssl;
mod renewal;
mod restored;
mod rollover;

/// 2027-01-15T08:00:00Z.
const NOW: i64 = 1_800_000_000;

struct Hub {
    authority: Authority,
    dir: TempDir,
}

impl Hub {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::init(&dir.path().join("ca"), "Hub of the North", NOW).unwrap();
        Self { authority, dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("ca")
    }

    fn list(&self, name: &str) -> Vec<u8> {
        let text = fs::read(self.path().join(name)).unwrap();
        CertificateRevocationListDer::from_pem_slice(&text).unwrap().to_vec()
    }
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn x509(der: &[u8]) -> X509Certificate<'_> {
    parse_x509_certificate(der).unwrap().1
}

fn x509_list(der: &[u8]) -> CertificateRevocationList<'_> {
    parse_x509_crl(der).unwrap().1
}

/// Key identifiers, subject first: (own, of the issuer).
fn key_identifiers(certificate: &X509Certificate<'_>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let mut found = (None, None);
    for extension in certificate.iter_extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => found.0 = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => found.1 = id.key_identifier.as_ref().map(|id| id.0.to_vec()),
            _ => {}
        }
    }
    found
}

#[test]
fn the_authorities_hold_each_other_short() {
    let hub = Hub::new();
    let root = der(&hub.authority.trust_anchors_pem());
    let [participants, servers] = [Usage::Participant, Usage::Server].map(|usage| der(&hub.authority.chain_pem(usage)));
    for (der, path_length) in [(&root, 1), (&participants, 0), (&servers, 0)] {
        let certificate = x509(der);
        let basic = certificate.basic_constraints().unwrap().unwrap();
        assert!(basic.critical && basic.value.ca);
        assert_eq!(basic.value.path_len_constraint, Some(path_length));
        let usage = certificate.key_usage().unwrap().unwrap().value;
        assert!(usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature());
        certificate.verify_signature(Some(x509(&root).public_key())).unwrap();
    }
    assert!(x509(&root).extended_key_usage().unwrap().is_none());
    for (issuing, client) in [(&participants, true), (&servers, false)] {
        let issuing = x509(issuing);
        let usage = issuing.extended_key_usage().unwrap().unwrap().value;
        assert_eq!((usage.client_auth, usage.server_auth), (client, !client));
        assert!(!usage.any && !usage.ocsp_signing && !usage.code_signing && usage.other.is_empty());
        assert!(issuing.name_constraints().unwrap().unwrap().critical);
        assert_eq!(issuing.subject().iter_organization().next().unwrap().as_str().unwrap(), "Hub of the North");
        assert_eq!(hub.authority.not_after(), issuing.validity().not_after.timestamp());
        assert_eq!(key_identifiers(&issuing).1, key_identifiers(&x509(&root)).0);
    }
}

#[test]
fn a_participant_is_named_once_and_is_a_client_only() {
    let mut hub = Hub::new();
    let issued = hub.authority.issue_participant("clinic-a", NOW + 60, 90).unwrap();
    let der = der(&issued.certificate_pem);
    let leaf = x509(&der);

    assert_eq!(participant_of(&der).as_deref(), Some("clinic-a"));
    assert_eq!(leaf.subject().iter_common_name().next().unwrap().as_str().unwrap(), "clinic-a");
    let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(names[..], [GeneralName::URI("urn:tsunagi:participant:clinic-a")]);
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any && usage.other.is_empty());
    assert!(!leaf.is_ca() && leaf.key_usage().unwrap().unwrap().value.digital_signature());
    assert_eq!(leaf.validity().not_before.timestamp(), NOW + 60 - 300);
    assert_eq!(leaf.validity().not_after.timestamp(), NOW + 60 + 90 * DAY);
    assert_eq!(issued.not_after, NOW + 60 + 90 * DAY);
    assert_eq!(crate::serial::hex(leaf.raw_serial()), issued.serial);

    let chain = issued.certificate_pem.strip_suffix(&hub.authority.chain_pem(Usage::Participant)).unwrap();
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 1);
    let key = KeyPair::from_pem(issued.key_pem.as_ref().unwrap()).unwrap();
    assert_eq!(leaf.public_key().raw, key.subject_public_key_info());
}

#[test]
fn a_long_id_is_whole_in_the_uri_and_left_out_of_the_common_name() {
    let mut hub = Hub::new();
    let id = "a".repeat(96);
    let issued = hub.authority.issue_participant(&id, NOW, 1).unwrap();
    let der = der(&issued.certificate_pem);
    assert_eq!(participant_of(&der), Some(id));
    assert_eq!(x509(&der).subject().iter_common_name().count(), 0);
}

#[test]
fn an_id_with_a_dot_is_not_taken_for_a_dns_name() {
    let mut hub = Hub::new();
    let issued = hub.authority.issue_participant("clinic.example", NOW, 1).unwrap();
    let der = der(&issued.certificate_pem);
    assert_eq!(participant_of(&der).as_deref(), Some("clinic.example"));
    assert_eq!(x509(&der).subject().iter_common_name().count(), 0);
    assert_eq!(x509(&der).subject().iter_organization().next().unwrap().as_str().unwrap(), "clinic.example");
}

#[test]
fn a_server_has_its_names_and_names_no_participant() {
    let mut hub = Hub::new();
    let names = ["hub.example.jp", "192.0.2.7", "2001:db8::1"].map(str::to_owned);
    let issued = hub.authority.issue_server(&names, NOW, 90).unwrap();
    let der = der(&issued.certificate_pem);
    let leaf = x509(&der);
    let v6 = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let expected =
        [GeneralName::DNSName("hub.example.jp"), GeneralName::IPAddress(&[192, 0, 2, 7]), GeneralName::IPAddress(&v6)];
    assert_eq!(leaf.subject_alternative_name().unwrap().unwrap().value.general_names[..], expected);
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth && !usage.any);
    assert_eq!(participant_of(&der), None);
    assert_eq!(hub.authority.list().unwrap()[0].usage, Usage::Server);
}

#[test]
fn a_request_brings_its_key_and_nothing_else() {
    let mut hub = Hub::new();
    let key = KeyPair::generate().unwrap();
    let mut wish = CertificateParams::default();
    wish.distinguished_name.push(DnType::CommonName, "clinic-b");
    wish.subject_alt_names = vec![SanType::URI("urn:tsunagi:participant:clinic-b".try_into().unwrap())];
    wish.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    wish.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let csr = wish.serialize_request(&key).unwrap().pem().unwrap();

    let issued = hub.authority.issue_participant_from_csr(csr.as_bytes(), "clinic-a", NOW, 30).unwrap();
    assert!(issued.key_pem.is_none() && hub.authority.list().unwrap()[0].key_from_request);
    let der = der(&issued.certificate_pem);
    let leaf = x509(&der);
    assert_eq!(leaf.public_key().raw, key.subject_public_key_info());
    assert_eq!(participant_of(&der).as_deref(), Some("clinic-a"));
    assert_eq!(leaf.subject().iter_common_name().next().unwrap().as_str().unwrap(), "clinic-a");
    assert!(!leaf.is_ca());
    assert!(!leaf.extended_key_usage().unwrap().unwrap().value.server_auth);
}

#[test]
fn a_request_for_the_key_of_another_is_refused() {
    let mut hub = Hub::new();
    let pair = || KeyPair::generate().unwrap();
    let (own, other) = (pair(), pair());
    let csr = CertificateParams::default().serialize_request(&own).unwrap();
    // The other's public key in place of one's own: both are P-256, so the request stays well formed.
    let (own, other) = (own.subject_public_key_info(), other.subject_public_key_info());
    let mut forged = csr.der().to_vec();
    let at = forged.windows(own.len()).position(|window| window == own).unwrap();
    forged[at..at + own.len()].copy_from_slice(&other);
    let forged = format!(
        "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
        BASE64_STANDARD.encode(&forged)
    );

    let refused = hub.authority.issue_participant_from_csr(forged.as_bytes(), "clinic-a", NOW, 30);
    assert!(matches!(refused, Err(CertsError::Request { why }) if why.contains("not signed by the key")));
    assert!(hub.authority.list().unwrap().is_empty());
}

#[test]
fn what_is_revoked_is_on_the_list_with_date_and_reason() {
    let mut hub = Hub::new();
    let mut issue = |id: &str| hub.authority.issue_participant(id, NOW, 90).unwrap().serial;
    let (kept, stolen, gone) = (issue("clinic-a"), issue("clinic-b"), issue("clinic-c"));
    let colons: Vec<String> =
        stolen.as_bytes().chunks(2).map(|two| String::from_utf8_lossy(two).to_uppercase()).collect();
    hub.authority.revoke(&colons.join(":"), Reason::KeyCompromise, NOW + 10).unwrap();
    hub.authority.revoke(&gone, Reason::Unspecified, NOW + 20).unwrap();

    let der = hub.list(CRL);
    let list = x509_list(&der);
    let found: Vec<_> = list
        .iter_revoked_certificates()
        .map(|entry| {
            let reason = entry.reason_code().map(|(_, reason)| reason);
            (crate::serial::hex(entry.raw_serial()), entry.revocation_date.timestamp(), reason)
        })
        .collect();
    assert_eq!(found, [(stolen.clone(), NOW + 10, Some(ReasonCode::KeyCompromise)), (gone, NOW + 20, None)]);
    let issuing = self::der(&hub.authority.chain_pem(Usage::Participant));
    list.verify_signature(x509(&issuing).public_key()).unwrap();
    let key = list.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
        _ => None,
    });
    assert!(key.is_some());
    assert_eq!(key, key_identifiers(&x509(&issuing)).0);

    let entries = hub.authority.list().unwrap();
    let states: Vec<_> = entries.iter().map(|entry| (entry.revoked_at, entry.reason)).collect();
    let expected =
        [(None, None), (Some(NOW + 10), Some(Reason::KeyCompromise)), (Some(NOW + 20), Some(Reason::Unspecified))];
    assert_eq!(states, expected);
    assert_eq!(entries[0].serial, kept);
}

#[test]
fn a_server_stands_on_the_list_of_servers() {
    let mut hub = Hub::new();
    let serial = hub.authority.issue_server(&["hub.example.jp".to_owned()], NOW, 90).unwrap().serial;
    let before = hub.list(CRL);
    hub.authority.revoke(&serial, Reason::Superseded, NOW + 10).unwrap();
    assert_eq!(hub.list(CRL), before);
    let der = hub.list(SERVER_CRL);
    let found: Vec<_> =
        x509_list(&der).iter_revoked_certificates().map(|e| crate::serial::hex(e.raw_serial())).collect();
    assert_eq!(found, [serial]);
    let issuing = self::der(&hub.authority.chain_pem(Usage::Server));
    x509_list(&der).verify_signature(x509(&issuing).public_key()).unwrap();
}

#[test]
fn a_revocation_counts_once_and_only_for_what_was_issued() {
    let mut hub = Hub::new();
    let serial = hub.authority.issue_participant("clinic-a", NOW, 90).unwrap().serial;
    hub.authority.revoke(&serial, Reason::Superseded, NOW + 10).unwrap();
    // As if the machine had stopped between ledger and list.
    fs::remove_file(hub.path().join(CRL)).unwrap();
    hub.authority.revoke(&serial, Reason::Superseded, NOW + 20).unwrap();
    let der = hub.list(CRL);
    let dates: Vec<_> = x509_list(&der).iter_revoked_certificates().map(|e| e.revocation_date.timestamp()).collect();
    assert_eq!(dates, [NOW + 10]);

    let again = hub.authority.revoke(&serial, Reason::KeyCompromise, NOW + 30);
    assert!(matches!(again, Err(CertsError::AlreadyRevoked { reason: Reason::Superseded, .. })));
    let unknown = hub.authority.revoke(&"5".repeat(32), Reason::Superseded, NOW);
    assert!(matches!(unknown, Err(CertsError::UnknownSerial { .. })));
    assert!(matches!(hub.authority.revoke("5", Reason::Superseded, NOW), Err(CertsError::Serial)));
    assert_eq!(hub.authority.list().unwrap()[0].revoked_at, Some(NOW + 10));
}

#[test]
fn lists_grow_in_number_and_last_as_long_as_asked() {
    let mut hub = Hub::new();
    let facts = |hub: &Hub, name: &str| {
        let der = hub.list(name);
        let list = x509_list(&der);
        let number = u64::try_from(list.crl_number().unwrap()).unwrap();
        (number, list.last_update().timestamp(), list.next_update().unwrap().timestamp())
    };
    let first = [CRL, ROOT_CRL].map(|name| facts(&hub, name));
    assert!(first.iter().all(|list| (list.1, list.2) == (NOW - 300, NOW + 30 * DAY)));

    // Twice in the same second: the time alone would not do as a number.
    hub.authority.publish_crl(NOW, 3).unwrap();
    let second = [CRL, ROOT_CRL].map(|name| facts(&hub, name));
    for (first, second) in first.iter().zip(&second) {
        assert!(second.0 > first.0);
        assert_eq!((second.1, second.2), (NOW - 300, NOW + 3 * DAY));
    }

    let serial = hub.authority.issue_participant("clinic-a", NOW, 90).unwrap().serial;
    hub.authority.revoke(&serial, Reason::Superseded, NOW + 60).unwrap();
    let third = facts(&hub, CRL);
    assert!(third.0 > second[0].0);
    assert_eq!((third.1, third.2), (NOW - 240, NOW + 60 + 3 * DAY));
    assert_eq!(facts(&hub, ROOT_CRL), second[1]);
    let root = der(&hub.authority.trust_anchors_pem());
    let list = hub.list(ROOT_CRL);
    x509_list(&list).verify_signature(x509(&root).public_key()).unwrap();
    assert_eq!(x509_list(&list).iter_revoked_certificates().count(), 0);
    assert_eq!(hub.authority.crls_pem().unwrap().matches("BEGIN X509 CRL").count(), 3);
}

#[test]
fn init_overwrites_nothing() {
    let hub = Hub::new();
    let path = hub.path();
    let Hub { authority, dir } = hub;
    drop(authority);
    let files = || {
        let mut all: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.sort();
        all.into_iter().map(|file| (fs::read(&file).unwrap(), file)).collect::<Vec<_>>()
    };
    let before = files();
    let again = Authority::init(&path, "Another hub", NOW);
    assert!(matches!(again, Err(CertsError::AlreadyInitialised { .. })));
    assert_eq!(files(), before);

    let half = dir.path().join("half");
    fs::create_dir(&half).unwrap();
    fs::write(half.join(ROOT_KEY), "a key").unwrap();
    assert!(matches!(Authority::init(&half, "Hub", NOW), Err(CertsError::AlreadyInitialised { .. })));
    assert_eq!(fs::read_to_string(half.join(ROOT_KEY)).unwrap(), "a key");
}

#[test]
fn reopening_goes_on_where_it_was_left() {
    let mut hub = Hub::new();
    let serial = hub.authority.issue_participant("clinic-a", NOW, 90).unwrap().serial;
    let path = hub.path();
    let second = Folder::open_within(&path, std::time::Duration::ZERO, || {});
    assert!(matches!(second, Err(CertsError::Busy { .. })));
    let (root, issuing) = (hub.authority.trust_anchors_pem(), hub.authority.chain_pem(Usage::Participant));
    let Hub { authority, dir: _dir } = hub;
    drop(authority);

    let mut authority = Authority::open(&path).unwrap();
    assert_eq!((authority.trust_anchors_pem(), authority.chain_pem(Usage::Participant)), (root, issuing.clone()));
    authority.revoke(&serial, Reason::Superseded, NOW + 1).unwrap();
    let second = authority.issue_participant("clinic-a", NOW + 1, 90).unwrap();
    let (leaf, issuing) = (der(&second.certificate_pem), der(&issuing));
    x509(&leaf).verify_signature(Some(x509(&issuing).public_key())).unwrap();
    assert_eq!(key_identifiers(&x509(&leaf)).1, key_identifiers(&x509(&issuing)).0);
    let serials: Vec<_> = authority.list().unwrap().into_iter().map(|entry| entry.serial).collect();
    assert_eq!(serials, [serial, second.serial]);
}

#[test]
fn the_ledger_knows_each_certificate_by_its_fingerprint() {
    let mut hub = Hub::new();
    let issued = hub.authority.issue_participant("clinic-a", NOW, 90).unwrap();
    let expected = LedgerEntry {
        serial: issued.serial,
        usage: Usage::Participant,
        names: vec!["clinic-a".to_owned()],
        fingerprint_sha256: fingerprint(&der(&issued.certificate_pem)),
        not_before: NOW - 300,
        not_after: NOW + 90 * DAY,
        issued_at: NOW,
        key_from_request: false,
        renews: None,
        revoked_at: None,
        reason: None,
    };
    assert_eq!(hub.authority.list().unwrap(), [expected]);
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let (one, two) = (Hub::new(), Hub::new());
    let (path, other) = (one.path(), two.path());
    let Hub { authority, dir: _dir } = one;
    drop(authority);
    for (name, part) in [(ISSUING_KEY, "not the key of the certificate"), (ISSUING, "not signed by root.pem")] {
        let own = fs::read(path.join(name)).unwrap();
        fs::write(path.join(name), fs::read(other.join(name)).unwrap()).unwrap();
        let said = Authority::open(&path).unwrap_err().to_string();
        assert!(said.contains(part), "{said}");
        fs::write(path.join(name), own).unwrap();
    }
    fs::remove_file(path.join(LEDGER)).unwrap();
    assert!(matches!(Authority::open(&path), Err(CertsError::NotInitialised { .. })));
    let nowhere = path.join("nowhere");
    assert!(matches!(Authority::open(&nowhere), Err(CertsError::NotInitialised { .. })));
    assert!(!nowhere.exists());
}

#[test]
fn with_the_root_key_away_all_goes_on_but_the_roots_own_list() {
    let mut hub = Hub::new();
    fs::rename(hub.path().join(ROOT_KEY), hub.dir.path().join("safe")).unwrap();
    let serial = hub.authority.issue_participant("clinic-a", NOW, 90).unwrap().serial;
    hub.authority.revoke(&serial, Reason::Superseded, NOW).unwrap();
    let (issuing, root) = (hub.list(CRL), hub.list(ROOT_CRL));
    let refused = hub.authority.publish_crl(NOW + 5, 7);
    assert!(matches!(refused, Err(CertsError::RootKeyAway { .. })));
    assert_ne!(hub.list(CRL), issuing);
    assert_eq!(hub.list(ROOT_CRL), root);
}

#[test]
fn nothing_outlives_the_authority_or_precedes_it() {
    let mut hub = Hub::new();
    let end = hub.authority.not_after();
    for days in [0, 3_653, u32::MAX] {
        let refused = hub.authority.issue_participant("clinic-a", NOW, days);
        assert!(matches!(refused, Err(CertsError::Lifetime { .. })), "{days}");
        assert!(matches!(hub.authority.publish_crl(NOW, days), Err(CertsError::Lifetime { .. })), "{days}");
    }
    for now in [i64::MIN, 0, NOW - 1, end + 1, i64::MAX] {
        let refused = hub.authority.issue_participant("clinic-a", now, 1);
        assert!(matches!(refused, Err(CertsError::OutsideValidity { .. })), "{now}");
    }
    assert!(hub.authority.issue_participant("clinic-a", end - DAY, 1).is_ok());
    assert_eq!(hub.authority.list().unwrap().len(), 1);
}

#[test]
fn a_list_that_is_none_is_reported_not_replaced() {
    let mut hub = Hub::new();
    fs::write(hub.path().join(CRL), "something else").unwrap();
    assert!(matches!(hub.authority.publish_crl(NOW, 7), Err(CertsError::CrlDamaged { .. })));
    assert_eq!(fs::read_to_string(hub.path().join(CRL)).unwrap(), "something else");
}
