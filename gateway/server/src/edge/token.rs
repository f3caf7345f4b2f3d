//! The citizen behind an app: a JWT of a configured issuer, bound to the app's own certificate (RFC 8705).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, header};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use tsunagi_core::refusal::Refusal;

use crate::config::RawIssuer;
use crate::gateway::{Gateway, StartFault};
use crate::pipeline::{Call, SignIn, turned_away};

/// Algorithms that are taken: signatures only. A token under a shared secret or none at all is refused.
const ALGORITHMS: [Algorithm; 4] = [Algorithm::ES256, Algorithm::EdDSA, Algorithm::PS256, Algorithm::RS256];

/// The issuers this hub trusts, with their keys.
#[derive(Default)]
pub struct Issuers {
    by_name: BTreeMap<String, (String, JwkSet)>,
}

impl Issuers {
    /// Reads the JWKS files.
    pub fn load(issuers: &[RawIssuer]) -> Result<Self, StartFault> {
        let mut by_name = BTreeMap::new();
        for issuer in issuers {
            let fault = |error: String| StartFault::Setting(format!("{}: {error}", issuer.jwks_file.display()));
            let text = std::fs::read_to_string(&issuer.jwks_file).map_err(|error| fault(error.to_string()))?;
            let keys: JwkSet = serde_json::from_str(&text).map_err(|error| fault(error.to_string()))?;
            by_name.insert(issuer.issuer.clone(), (issuer.audience.clone(), keys));
        }
        Ok(Self { by_name })
    }

    /// True if tokens of this issuer are taken.
    pub fn knows(&self, issuer: &str) -> bool {
        self.by_name.contains_key(issuer)
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    exp: i64,
    nbf: Option<i64>,
    cnf: Confirmation,
}

#[derive(Deserialize)]
struct Confirmation {
    #[serde(rename = "x5t#S256")]
    thumbprint: String,
}

/// Reads the bearer token of a request. A token that is missing, foreign, expired or bound to another certificate gives
/// the one answer that a lookup gives when it yields nothing.
pub async fn sign_in(gateway: &Gateway, call: &Call, headers: &HeaderMap) -> Result<SignIn, Refusal> {
    match read(gateway, call, headers) {
        Some(sign_in) => Ok(sign_in),
        None => Err(turned_away(gateway, call, "token_refused").await),
    }
}

fn read(gateway: &Gateway, call: &Call, headers: &HeaderMap) -> Option<SignIn> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = Some(token.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer"))?;
    let head = decode_header(token).ok().filter(|head| ALGORITHMS.contains(&head.alg))?;
    let issuers = gateway.issuers.load();
    let (issuer, (audience, keys)) = issuers.by_name.iter().find(|(name, _)| claims_issuer(token, name))?;
    let jwk = match &head.kid {
        Some(kid) => keys.find(kid)?,
        None => keys.keys.first()?,
    };
    let key = DecodingKey::from_jwk(jwk).ok()?;
    let mut validation = Validation::new(head.alg);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "sub", "aud"]);
    // Expiry is judged by the gateway's own clock below.
    validation.validate_exp = false;
    let claims = decode::<Claims>(token, &key, &validation).ok()?.claims;
    let now = call.at.as_second();
    if claims.exp <= now || claims.nbf.is_some_and(|nbf| now < nbf) {
        return None;
    }
    let certificate = hex::decode(&call.caller.certificate).ok()?;
    let bound = URL_SAFE_NO_PAD.decode(&claims.cnf.thumbprint).ok()?;
    (bound == certificate).then_some(SignIn { issuer: claims.iss, sub: claims.sub })
}

/// Which issuer's keys to try: read without trust, and verified by the signature right after.
fn claims_issuer(token: &str, name: &str) -> bool {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let issuer = payload.and_then(|bytes| serde_json::from_slice::<Issuer>(&bytes).ok());
    issuer.is_some_and(|issuer| issuer.iss == name)
}
