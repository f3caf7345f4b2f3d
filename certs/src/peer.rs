//! What a peer's certificate says about who it is.

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use crate::serial::hex;

/// Beginning of the URI that names a participant; the id follows.
pub const PARTICIPANT_URN: &str = "urn:tsunagi:participant:";

/// The participant that a certificate names: the id after [`PARTICIPANT_URN`] among its subject alternative names.
///
/// `None` unless there is exactly one such URI and what follows is an id. Two names in one certificate would leave
/// open which of them acts, so such a certificate names nobody. Says nothing about trust: the chain, dates, usage and
/// revocation are checked in the TLS handshake, before this is asked.
pub fn participant_of(der: &[u8]) -> Option<String> {
    let (rest, certificate) = parse_x509_certificate(der).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let names = certificate.subject_alternative_name().ok()??;
    let mut ids = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => uri.strip_prefix(PARTICIPANT_URN),
        _ => None,
    });
    let id = ids.next().filter(|id| is_participant_id(id))?;
    ids.next().is_none().then(|| id.to_owned())
}

/// SHA-256 of a certificate's DER, as 64 lower-case hexadecimal digits.
pub fn fingerprint(der: &[u8]) -> String {
    hex(digest(&SHA256, der).as_ref())
}

/// The shape of a participant id: as in the registry, 1 to 96 characters of `a-z 0-9 - _ .`, the first a letter or
/// digit. None of them needs escaping in a URI.
pub(crate) fn is_participant_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.len() <= 96
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(|b| plain(b) || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(uris: &[&str]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn exactly_one_name_of_the_right_shape_counts() {
        let table: [(&[&str], Option<&str>); 9] = [
            (&["urn:tsunagi:participant:clinic-a"], Some("clinic-a")),
            (&["urn:example:other", "urn:tsunagi:participant:clinic-a"], Some("clinic-a")),
            (&["urn:tsunagi:participant:clinic-a", "urn:tsunagi:participant:clinic-b"], None),
            (&["urn:tsunagi:participant:clinic-a", "urn:tsunagi:participant:clinic-a"], None),
            (&["urn:tsunagi:participant:clinic-a", "urn:tsunagi:participant:"], None),
            (&["urn:tsunagi:participant:"], None),
            (&["urn:tsunagi:participant:Clinic A"], None),
            (&["URN:tsunagi:participant:clinic-a"], None),
            (&[], None),
        ];
        for (uris, expected) in table {
            assert_eq!(participant_of(&certificate(uris)).as_deref(), expected, "{uris:?}");
        }
    }

    #[test]
    fn what_is_not_one_certificate_names_nobody() {
        let mut der = certificate(&["urn:tsunagi:participant:clinic-a"]);
        assert!(participant_of(&der[1..]).is_none());
        der.push(0);
        assert!(participant_of(&der).is_none());
    }

    #[test]
    fn fingerprint_is_sha_256() {
        assert_eq!(fingerprint(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
