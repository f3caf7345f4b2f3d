//! Certificate authorities as they are read from files: trust anchors, and those below them that are known.

use std::path::PathBuf;

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::files::{certificates, fault, files};
use crate::gateway::StartFault;

/// One authority.
struct Authority {
    der: CertificateDer<'static>,
    /// Its name, DER.
    subject: Vec<u8>,
    /// It is an authority of the hub, or stands below one.
    of_hub: bool,
}

/// Every authority whose certificate is known; whether anything is trusted for standing below one is another question.
#[derive(Default)]
pub(crate) struct Authorities(Vec<Authority>);

impl Authorities {
    /// Takes trust anchors in and gives them back.
    pub(super) fn anchors(
        &mut self,
        paths: &[PathBuf],
        of_hub: bool,
    ) -> Result<Vec<CertificateDer<'static>>, StartFault> {
        let mut anchors = Vec::new();
        for file in files(paths)? {
            for der in certificates(&file)? {
                let parsed = parsed(&der).ok_or_else(|| fault(&file, "holds a certificate that cannot be read"))?;
                if !is_authority(&parsed) {
                    return Err(fault(
                        &file,
                        "holds a certificate that is no CA's; one that shall only be known belongs into \
                         edge.known_certificate_files",
                    ));
                }
                let subject = parsed.subject().as_raw().to_vec();
                self.0.push(Authority { der: der.clone(), subject, of_hub });
                anchors.push(der);
            }
        }
        Ok(anchors)
    }

    /// Takes in what is known and trusted for nothing: authorities below the anchors, which must be signed by one that
    /// is known, and participants' certificates, of which only the dates are of use.
    pub(super) fn known(&mut self, paths: &[PathBuf]) -> Result<(), StartFault> {
        let mut open = Vec::new();
        for file in files(paths)? {
            for der in certificates(&file)? {
                let parsed = parsed(&der).ok_or_else(|| fault(&file, "holds a certificate that cannot be read"))?;
                if is_authority(&parsed) {
                    open.push((file.clone(), der.clone()));
                }
            }
        }
        // One below another may be read before it.
        loop {
            let before = open.len();
            open.retain(|(_, der)| !self.join(der));
            if open.len() == before {
                break;
            }
        }
        match open.first() {
            Some((file, _)) => Err(fault(file, "holds a CA that no known CA has signed")),
            None => Ok(()),
        }
    }

    /// Takes an authority in if one that is known has signed it, or it itself.
    fn join(&mut self, der: &CertificateDer<'static>) -> bool {
        let Some(certificate) = parsed(der) else { return false };
        let issuer = certificate.issuer().as_raw();
        let by = |authority: &&Authority| {
            authority.subject == issuer
                && parsed(&authority.der).is_some_and(|ca| certificate.verify_signature(Some(ca.public_key())).is_ok())
        };
        let of_hub = match self.0.iter().find(by) {
            Some(authority) => authority.of_hub,
            None if certificate.verify_signature(None).is_ok() => false,
            None => return false,
        };
        self.0.push(Authority { der: der.clone(), subject: certificate.subject().as_raw().to_vec(), of_hub });
        true
    }

    /// Whether the list is one of the hub's; an error, in words, unless the authority that it names has signed it.
    pub(super) fn signs(&self, issuer: &[u8], list: &[u8]) -> Result<bool, &'static str> {
        let mut named = self.0.iter().filter(|authority| authority.subject == issuer).peekable();
        if named.peek().is_none() {
            return Err("holds a revocation list of a CA that is not known: put the CA's certificate into \
                        edge.known_certificate_files");
        }
        let (_, list) = CertificateRevocationList::from_der(list).map_err(|_| "holds no revocation list")?;
        let signer = named.find(|authority| {
            parsed(&authority.der).is_some_and(|ca| {
                let may_sign = ca.key_usage().is_ok_and(|usage| usage.is_none_or(|usage| usage.value.crl_sign()));
                may_sign && list.verify_signature(ca.public_key()).is_ok()
            })
        });
        signer.map(|authority| authority.of_hub).ok_or("holds a revocation list that its CA has not signed")
    }
}

fn parsed<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    X509Certificate::from_der(der).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, certificate)| certificate)
}

fn is_authority(certificate: &X509Certificate<'_>) -> bool {
    let may_sign = certificate.key_usage().is_ok_and(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()));
    certificate.is_ca() && may_sign
}
