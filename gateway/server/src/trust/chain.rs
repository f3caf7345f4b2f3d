//! What webpki leaves open of a chain that it has verified, whoever shows it: how keys may be used and how strong they
//! are, and from when to when the chain is taken.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, Error, OtherError};
use x509_parser::prelude::{FromDer, KeyUsage, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::lists::List;

/// RSA keys below have no place in CRYPTREC's list any more.
const LEAST_RSA_BITS: usize = 2048;

/// Why a certificate was refused beyond what rustls has words for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("the chain is longer or larger than is taken")]
    ChainTooLong,
    #[error("the key may not be used for this")]
    KeyUsage,
    #[error("the key is too weak")]
    WeakKey,
}

impl From<Unfit> for Error {
    fn from(unfit: Unfit) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(unfit))))
    }
}

/// From when to when a chain is taken, in Unix seconds.
pub(super) struct Window {
    pub(super) from: i64,
    pub(super) until: i64,
}

/// As long as all certificates of the chain hold and their lists, with the tolerance, are in date; an error if that is not
/// now, or a key is unfit.
pub(super) fn window(
    chain: &[CertificateDer<'_>],
    lists: &[List],
    tolerance: Duration,
    now: i64,
) -> Result<Window, Error> {
    let (mut from, mut until, mut due) = (i64::MIN, i64::MAX, i64::MAX);
    for (index, certificate) in chain.iter().enumerate() {
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
        fit(&parsed, index == 0)?;
        from = from.max(parsed.validity().not_before.timestamp());
        until = until.min(parsed.validity().not_after.timestamp());
        let issuer = parsed.issuer().as_raw();
        let of_issuer = lists.iter().filter(|list| list.issuer == issuer);
        due = of_issuer.map(|list| list.ends(tolerance)).fold(due, i64::min);
    }
    if due < now {
        return Err(CertificateError::ExpiredRevocationList.into());
    }
    // Only of a certificate that nothing rests on: webpki has seen to the others.
    if until < now {
        return Err(CertificateError::Expired.into());
    }
    Ok(Window { from, until: until.min(due) })
}

/// What RFC 5280 section 4.2.1.3 asks and webpki does not look at, and the strength of the key.
fn fit(certificate: &X509Certificate<'_>, is_leaf: bool) -> Result<(), Unfit> {
    let usage = certificate.key_usage().map_err(|_| Unfit::KeyUsage)?;
    // What is neither is a certificate too many, which a peer may show and which nothing rests on.
    let must_sign = (is_leaf, certificate.is_ca());
    let may = |usage: &KeyUsage| match must_sign {
        (true, _) => usage.digital_signature(),
        (false, true) => usage.key_cert_sign(),
        (false, false) => true,
    };
    if usage.is_some_and(|usage| !may(usage.value)) {
        return Err(Unfit::KeyUsage);
    }
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) if key.key_size() < LEAST_RSA_BITS => Err(Unfit::WeakKey),
        // Of the other kinds webpki takes none that is weak: P-256, P-384, P-521 and Ed25519.
        Ok(_) => Ok(()),
        Err(_) => Err(Unfit::WeakKey),
    }
}
