//! The hub's own certificates with their keys: what the edge shows, and what deliveries are pushed with.

use std::path::Path;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tsunagi_core::sensitive::Sensitive;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Terms;
use super::files::{certificates, fault};
use crate::gateway::StartFault;

/// What the pair is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be called.
    Server,
    /// To call.
    Client,
}

/// A pair, and its certificate in DER.
#[derive(Debug)]
pub(crate) struct Pair {
    /// For the library, which alone has the key.
    pub(crate) signing: SingleCertAndKey,
    /// To tell a new one from the one before.
    pub(crate) certificate: Vec<u8>,
}

/// Reads a certificate with its chain and its key. They must belong together, be for the purpose, and each certificate
/// must be signed by the next. A new pair must hold today.
pub(crate) fn read(
    certificate: &Path,
    key: &Path,
    purpose: Purpose,
    now: i64,
    terms: Terms<'_>,
) -> Result<Pair, StartFault> {
    let chain = certificates(certificate)?;
    let leaf = chain.first().map(|leaf| leaf.to_vec()).unwrap_or_default();
    check_chain(&chain, purpose).map_err(|why| fault(certificate, why))?;
    if let Terms::Against(held) = terms {
        let before = match purpose {
            Purpose::Server => &held.server,
            Purpose::Client => &held.client,
        };
        if *before != leaf {
            check_dates(&leaf, now).map_err(|why| fault(certificate, why))?;
        }
    }
    let der = Sensitive::new(read_key(key)?);
    let signing = any_supported_type(der.expose()).map_err(|error| fault(key, error))?;
    let pair = CertifiedKey::new(chain, signing);
    pair.keys_match().map_err(|_| fault(certificate, format!("does not belong to the key in {}", key.display())))?;
    Ok(Pair { signing: SingleCertAndKey::from(pair), certificate: leaf })
}

/// Reads a PEM file with a private key. What is read on the way is wiped.
pub(crate) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, StartFault> {
    let pem = Sensitive::new(std::fs::read(path).map_err(|error| fault(path, error))?);
    PrivateKeyDer::from_pem_slice(pem.expose()).map_err(|error| fault(path, error))
}

fn check_chain(chain: &[CertificateDer<'_>], purpose: Purpose) -> Result<(), String> {
    let read = |der| X509Certificate::from_der(der).map(|(_, certificate)| certificate);
    let chain: Vec<X509Certificate<'_>> =
        chain.iter().map(|der| read(der)).collect::<Result<_, _>>().map_err(|_| "cannot be read".to_owned())?;
    let leaf = chain.first().ok_or("holds no certificate")?;
    let usage = leaf.extended_key_usage().map_err(|error| error.to_string())?.map(|usage| usage.value);
    let (is_for, word) = match purpose {
        Purpose::Server => (usage.is_none_or(|usage| usage.any || usage.server_auth), "servers"),
        Purpose::Client => (usage.is_none_or(|usage| usage.any || usage.client_auth), "clients"),
    };
    if leaf.is_ca() || !is_for {
        return Err(format!("is no certificate for {word}"));
    }
    for (certificate, issuer) in chain.iter().zip(chain.iter().skip(1)) {
        if certificate.verify_signature(Some(issuer.public_key())).is_err() {
            return Err("holds a certificate that the next one in the file has not signed".to_owned());
        }
    }
    Ok(())
}

fn check_dates(leaf: &[u8], now: i64) -> Result<(), String> {
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|error| error.to_string())?;
    let validity = leaf.validity();
    let (from, until) = (validity.not_before, validity.not_after);
    match (from.timestamp()..=until.timestamp()).contains(&now) {
        true => Ok(()),
        false => Err(format!("holds from {from} to {until}, which is not now")),
    }
}
