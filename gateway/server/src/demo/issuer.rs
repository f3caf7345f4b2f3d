//! An issuer of citizens' tokens that is made on the spot, for the play and for the self-test.

use std::path::Path;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use crate::gateway::StartFault;

/// Where its key and its JWKS are, and what its tokens say of it.
pub(crate) struct Issuer<'a> {
    /// The folder of `issuer.key` and `jwks.json`.
    pub dir: &'a Path,
    /// `iss`
    pub name: &'a str,
    /// `aud`
    pub audience: &'a str,
}

impl Issuer<'_> {
    /// Makes its P-256 key pair and its JWKS file.
    pub(crate) fn make(&self) -> Result<(), StartFault> {
        std::fs::create_dir_all(self.dir).map_err(fault)?;
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(fault)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(fault)?;
        std::fs::write(self.dir.join("issuer.key"), pkcs8.as_ref()).map_err(fault)?;
        // An uncompressed point: 0x04, then 32 octets of x and 32 of y.
        let point = pair.public_key().as_ref();
        let (x, y) = (point.get(1..33).unwrap_or_default(), point.get(33..65).unwrap_or_default());
        let jwks = json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "kid": "demo", "alg": "ES256", "use": "sig",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        }] });
        std::fs::write(self.dir.join("jwks.json"), jwks.to_string()).map_err(fault)
    }

    /// A token for a citizen, for use with the certificate in this file alone.
    pub(crate) fn token(&self, sub: &str, certificate: &Path, now: i64, secs: i64) -> Result<String, StartFault> {
        let certificates = crate::trust::files::certificates(certificate)?;
        let leaf = certificates.first().ok_or_else(|| StartFault::Setting("the app has no certificate".to_owned()))?;
        let fingerprint = hex::decode(tsunagi_certs::fingerprint(leaf)).map_err(fault)?;
        let claims = json!({
            "iss": self.name, "aud": self.audience, "sub": sub, "iat": now, "exp": now + secs,
            "cnf": { "x5t#S256": URL_SAFE_NO_PAD.encode(fingerprint) },
        });
        let key = std::fs::read(self.dir.join("issuer.key")).map_err(fault)?;
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("demo".to_owned());
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ec_der(&key)).map_err(fault)
    }
}

fn fault(error: impl std::fmt::Display) -> StartFault {
    StartFault::Setting(error.to_string())
}
