//! What each issuing authority cannot certify, in the eyes of rustls and of OpenSSL.

use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, GeneralSubtree, Issuer, NameConstraints};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;

use super::*;
use crate::profile::date;

const URN: &str = "urn:tsunagi:participant:clinic-a";
const DNS: &str = "hub.example.jp";

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

/// A certificate as somebody would make it who has an issuing authority's key.
fn forged(signer: &Issuer<'static, KeyPair>, usage: Usage, names: &[SanType]) -> Certificate {
    let mut params = CertificateParams::default();
    params.not_before = date(NOW).unwrap();
    params.not_after = date(NOW + DAY).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "somebody");
    params.subject_alt_names = names.to_vec();
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![match usage {
        Usage::Participant => ExtendedKeyUsagePurpose::ClientAuth,
        Usage::Server => ExtendedKeyUsagePurpose::ServerAuth,
    }];
    params.signed_by(&KeyPair::generate().unwrap(), signer).unwrap()
}

/// What rustls says of a leaf under an issuing certificate.
fn rustls_says(root_pem: &str, issuing_pem: &str, leaf: &Certificate, usage: Usage) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    roots.add(der(root_pem)).unwrap();
    let (roots, provider) = (Arc::new(roots), Arc::new(aws_lc_rs::default_provider()));
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW as u64 + 60));
    let above = [der(issuing_pem)];
    let verdict = match usage {
        Usage::Participant => WebPkiClientVerifier::builder_with_provider(roots, provider)
            .build()
            .unwrap()
            .verify_client_cert(leaf.der(), &above, now)
            .map(drop),
        Usage::Server => WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .unwrap()
            .verify_server_cert(leaf.der(), &above, &ServerName::try_from(DNS).unwrap(), &[], now)
            .map(drop),
    };
    verdict.map_err(|error| format!("{error:?}"))
}

#[test]
fn neither_authority_can_certify_what_is_the_others() {
    let hub = Hub::new();
    let address = SanType::IpAddress([192, 0, 2, 7].into());
    let table: [(Usage, &[SanType], bool); 7] = [
        (Usage::Participant, &[uri(URN)], true),
        (Usage::Participant, &[uri(URN), dns(DNS)], false),
        (Usage::Participant, &[uri(URN), address.clone()], false),
        (Usage::Participant, &[uri(URN), SanType::IpAddress([0; 16].into())], false),
        (Usage::Server, &[dns(DNS), address], true),
        (Usage::Server, &[dns(DNS), uri(URN)], false),
        (Usage::Server, &[dns(DNS), uri("https://hub.example.jp/")], true),
    ];
    for (usage, names, good) in table {
        let leaf = forged(&hub.authority.chain.issuing(usage).signer, usage, names);
        let root = hub.authority.trust_anchors_pem();
        let said = rustls_says(&root, &hub.authority.chain_pem(usage), &leaf, usage);
        // rustls goes further than it must: it refuses every URI where any URI is constrained.
        let good_for_rustls = good && !names.contains(&uri("https://hub.example.jp/"));
        assert_eq!(said.is_ok(), good_for_rustls, "{usage:?} {names:?}: {said:?}");
        assert!(said.is_ok() || said.as_ref().unwrap_err().contains("NameConstraintViolation"), "{said:?}");

        let file = hub.dir.path().join("leaf.pem");
        fs::write(&file, leaf.pem()).unwrap();
        let purpose = if usage == Usage::Participant { "sslclient" } else { "sslserver" };
        let Some((accepted, said)) = openssl::verify(&hub, &file, purpose, NOW + 60) else { continue };
        assert_eq!(accepted, good, "{usage:?} {names:?}: {said}");
        let reasons = ["excluded subtree violation", "unsupported or invalid name syntax"];
        assert!(good || reasons.iter().any(|reason| said.contains(reason)), "{said}");
    }
}

/// Why nothing is said of what *is* permitted: a chain with such a constraint is refused, whatever it permits.
#[test]
fn rustls_takes_no_chain_in_which_a_directory_name_is_permitted() {
    let hub = Hub::new();
    let root = hub.authority.chain.root(&hub.authority.folder).unwrap();
    let mut subject = rcgen::DistinguishedName::new();
    subject.push(DnType::OrganizationName, "somebody");
    for (permitted, good) in [(None, true), (Some(GeneralSubtree::DirectoryName(subject.clone())), false)] {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.distinguished_name.push(DnType::OrganizationName, "Hub of the North");
        params.name_constraints = permitted
            .map(|subtree| NameConstraints { permitted_subtrees: vec![subtree], excluded_subtrees: Vec::new() });
        let key = KeyPair::generate().unwrap();
        let issuing = params.signed_by(&key, &root).unwrap().pem();
        let leaf = forged(&Issuer::new(params, key), Usage::Participant, &[uri(URN)]);
        let said = rustls_says(&hub.authority.trust_anchors_pem(), &issuing, &leaf, Usage::Participant);
        assert_eq!(said.is_ok(), good, "{said:?}");
    }
}
