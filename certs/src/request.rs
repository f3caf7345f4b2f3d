//! Certificate signing requests: the key is taken from them, and nothing else.

use rcgen::SubjectPublicKeyInfo;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::{PublicKey, RSAPublicKey};
use x509_parser::x509;

use crate::error::CertsError;

/// The public key of a request in PEM or DER, after its signature has shown that the asker holds the private key.
///
/// Subject, extensions and attributes are not read: who the participant is and what the certificate is good for are
/// ours to say.
pub(crate) fn public_key(csr: &[u8]) -> Result<SubjectPublicKeyInfo, CertsError> {
    let pem;
    // DER begins with a SEQUENCE, PEM with a dash or with words before it.
    let der = if csr.first() == Some(&0x30) {
        csr
    } else {
        (_, pem) = parse_x509_pem(csr).map_err(|_| not_readable())?;
        // The second label is what Java's keytool writes.
        if !matches!(pem.label.as_str(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
            return Err(not_readable());
        }
        &pem.contents
    };
    let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| not_readable())?;
    if !rest.is_empty() {
        return Err(not_readable());
    }
    let key = &request.certification_request_info.subject_pki;
    if !is_accepted(key) {
        return Err(CertsError::Request {
            why: "has a key we do not certify: use P-256, P-384, or RSA of 2048 to 4096 bits with 65537 as exponent",
        });
    }
    request.verify_signature().map_err(|_| CertsError::Request {
        why: "is not signed by the key it holds: make a new one with the participant's own key",
    })?;
    SubjectPublicKeyInfo::from_der(key.raw).map_err(|_| not_readable())
}

fn is_accepted(key: &x509::SubjectPublicKeyInfo<'_>) -> bool {
    let algorithm = &key.algorithm.algorithm;
    if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
        curve.is_some_and(|curve| curve == OID_EC_P256 || curve == OID_NIST_EC_P384)
    } else if *algorithm == OID_PKCS1_RSAENCRYPTION {
        // 2048 bits are what Java's keytool and the systems of many hospitals make unasked; good until 2030 (CRYPTREC).
        let fits = |rsa: &RSAPublicKey<'_>| {
            (2048..=4096).contains(&rsa.key_size()) && rsa.try_exponent().is_ok_and(|exponent| exponent == 65_537)
        };
        matches!(key.parsed(), Ok(PublicKey::RSA(rsa)) if fits(&rsa))
    } else {
        false
    }
}

fn not_readable() -> CertsError {
    CertsError::Request {
        why: "cannot be read: send PKCS#10 in DER, or in PEM, beginning with BEGIN CERTIFICATE REQUEST",
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData, SignatureAlgorithm};

    use super::*;

    fn request(algorithm: &'static SignatureAlgorithm) -> (String, Vec<u8>) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let csr = CertificateParams::default().serialize_request(&key).unwrap();
        (csr.pem().unwrap(), key.subject_public_key_info())
    }

    #[test]
    fn the_key_is_read_whatever_the_label_and_without_one() {
        let (pem, spki) = request(&PKCS_ECDSA_P384_SHA384);
        let keytool = pem.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST");
        let der = parse_x509_pem(pem.as_bytes()).unwrap().1.contents;
        for csr in [pem.as_bytes(), keytool.as_bytes(), &der] {
            assert_eq!(public_key(csr).unwrap().subject_public_key_info(), spki);
        }
        assert!(public_key(&[&der[..], b"more"].concat()).is_err());
    }

    #[test]
    fn other_keys_and_other_texts_are_refused() {
        let (ed25519, _) = request(&PKCS_ED25519);
        let (good, _) = request(&PKCS_ECDSA_P384_SHA384);
        for (text, part) in [
            (ed25519, "P-256"),
            (good.replace("CERTIFICATE REQUEST", "CERTIFICATE"), "PKCS#10"),
            (String::new(), "PKCS#10"),
        ] {
            let said = public_key(text.as_bytes()).unwrap_err().to_string();
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn weak_keys_are_refused_in_words_that_say_what_to_use() {
        let dir = tempfile::tempdir().unwrap();
        let table = [
            ("rsa:1024", None, false),
            ("rsa:2048", None, true),
            ("rsa:2048", Some("rsa_keygen_pubexp:3"), false),
            ("ec", Some("ec_paramgen_curve:P-224"), false),
            ("ec", Some("ec_paramgen_curve:secp256k1"), false),
            ("ec", Some("ec_paramgen_curve:P-384"), true),
        ];
        for (key, option, good) in table {
            let mut openssl = std::process::Command::new("openssl");
            openssl.args(["req", "-new", "-nodes", "-subj", "/CN=a", "-keyout", "a.key", "-newkey", key]);
            if let Some(option) = option {
                openssl.args(["-pkeyopt", option]);
            }
            let Ok(made) = openssl.current_dir(dir.path()).output() else {
                println!("not run: requests by openssl (it is not installed)");
                return;
            };
            assert!(made.status.success(), "{key} {option:?}: {}", String::from_utf8_lossy(&made.stderr));
            match public_key(&made.stdout) {
                Ok(_) => assert!(good, "{key} {option:?} was taken"),
                Err(error) => {
                    assert!(!good, "{key} {option:?}: {error}");
                    assert!(error.to_string().contains("P-256, P-384, or RSA"), "{error}");
                }
            }
        }
    }
}
