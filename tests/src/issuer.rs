//! The issuer of citizens' tokens.

use std::path::Path;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// `iss`
pub const ISSUER: &str = "https://sign-in.example.jp";
/// `aud`
pub const AUDIENCE: &str = "tsunagi-test";

const KEY_ID: &str = "test-1";

/// A P-256 key with its JWKS file.
pub struct TokenIssuer {
    key: EncodingKey,
}

impl TokenIssuer {
    /// Makes the key and writes the JWKS file.
    pub fn new(jwks_file: &Path) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        // An uncompressed point: 0x04, then 32 octets of x and 32 of y.
        let point = pair.public_key().as_ref();
        let jwks = json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": KEY_ID,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
        }] });
        std::fs::write(jwks_file, jwks.to_string()).expect("the JWKS file");
        Self { key: EncodingKey::from_ec_der(pair.to_pkcs8v1().expect("PKCS#8").as_ref()) }
    }

    /// The claims of a token for `sub`, bound to a certificate (DER), that ends at `exp`.
    pub fn claims(sub: &str, certificate: &[u8], exp: i64) -> Value {
        let thumbprint = digest::digest(&digest::SHA256, certificate);
        json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": sub, "exp": exp,
            "cnf": { "x5t#S256": URL_SAFE_NO_PAD.encode(thumbprint.as_ref()) },
        })
    }

    /// Signs claims.
    pub fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(KEY_ID.to_owned());
        jsonwebtoken::encode(&header, claims, &self.key).expect("a token")
    }
}
