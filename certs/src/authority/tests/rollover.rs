//! An old and a new CA of one hub, trusted side by side.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::UnixTime;
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, RootCertStore};

use super::*;

#[test]
fn each_is_held_against_its_own_lists() {
    let mut hubs = [Hub::new(), Hub::new()];
    let mut issue = |at: usize, id: &str| hubs[at].authority.issue_participant(id, NOW, 90).unwrap();
    let good = [issue(0, "clinic-a"), issue(1, "clinic-a")];
    let bad = [issue(0, "clinic-b"), issue(1, "clinic-b")];
    for (hub, revoked) in hubs.iter_mut().zip(&bad) {
        hub.authority.revoke(&revoked.serial, Reason::KeyCompromise, NOW + 1).unwrap();
    }
    let mut roots = RootCertStore::empty();
    let mut lists = Vec::new();
    for hub in &hubs {
        roots.add(der(&hub.authority.trust_anchors_pem())).unwrap();
        lists.extend([CRL, ROOT_CRL].map(|name| CertificateRevocationListDer::from(hub.list(name))));
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(aws_lc_rs::default_provider()))
            .with_crls(lists)
            .enforce_revocation_expiration()
            .build()
            .unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW as u64 + 2));
    let verdict = |issued: &Issued| {
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(issued.certificate_pem.as_bytes()).map(Result::unwrap).collect();
        verifier.verify_client_cert(&chain[0], &chain[1..], now).map(drop)
    };
    for issued in &good {
        assert_eq!(verdict(issued), Ok(()));
    }
    for issued in &bad {
        assert_eq!(verdict(issued), Err(rustls::Error::InvalidCertificate(CertificateError::Revoked)));
    }
}
