//! The facts as files, ledger and registry have them.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use tsunagi_certs::CertsError;
use tsunagi_core::exchange::DeliveryState;
use tsunagi_core::id::ChannelId;
use tsunagi_core::registry::Registry;
use tsunagi_store::{DeliveryFilter, Storage, StoreError};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::{Facts, FileFact, What};
use crate::config::Config;

/// Reads the files that the configuration names and the ledger of the CA. A file that cannot be read is a fact without
/// a date, but for the client certificate, without which a hub that pushes nothing does well. Blocks.
pub fn read(config: &Config, registry: Registry) -> Result<Facts, CertsError> {
    let ledger = tsunagi_certs::read_ledger(&config.ca_folder)?;
    Ok(Facts { ledger, files: files(config), registry, pending: BTreeMap::new() })
}

/// Counts the deliveries that wait, by channel.
pub async fn pending(store: &dyn Storage, registry: &Registry) -> Result<BTreeMap<ChannelId, u64>, StoreError> {
    let mut pending = BTreeMap::new();
    let filter = DeliveryFilter { state: Some(DeliveryState::Pending), limit: usize::MAX };
    for tenant in registry.tenants() {
        for delivery in store.deliveries(&tenant.id, &filter).await? {
            *pending.entry(delivery.channel).or_default() += 1;
        }
    }
    Ok(pending)
}

fn files(config: &Config) -> Vec<FileFact> {
    let mut facts = Vec::new();
    facts.extend(certificates(What::Server, &config.edge.certificate_file).into_iter().take(1));
    if config.delivery.client_certificate_file.exists() {
        facts.extend(certificates(What::Client, &config.delivery.client_certificate_file).into_iter().take(1));
    }
    facts.extend(certificates(What::RootCa, &config.edge.hub_ca_file));
    for name in ["issuing.pem", "server-issuing.pem"] {
        let file = config.ca_folder.join(name);
        // A hub's CA may be kept on another machine.
        if file.exists() {
            facts.extend(certificates(What::IssuingCa, &file));
        }
    }
    facts.extend(config.edge.foreign_ca_files.iter().flat_map(|file| certificates(What::ForeignCa, file)));
    let known = |file: &Path| file == config.edge.hub_ca_file;
    let destinations = config.delivery.server_ca_files.iter().filter(|file| !known(file));
    facts.extend(destinations.flat_map(|file| certificates(What::DestinationCa, file)));
    facts.extend(config.edge.crl_files.iter().flat_map(|file| lists(file)));
    facts
}

fn certificates(what: What, file: &Path) -> Vec<FileFact> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let facts = read.unwrap_or_default().into_iter().map(|der| {
        let ends = X509Certificate::from_der(&der).ok().map(|(_, certificate)| certificate.validity().not_after);
        FileFact {
            what,
            name: file.display().to_string(),
            ends: ends.and_then(|ends| Timestamp::from_second(ends.timestamp()).ok()),
            fingerprint: Some(tsunagi_certs::fingerprint(&der)),
        }
    });
    or_unreadable(what, file, facts.collect())
}

fn lists(file: &Path) -> Vec<FileFact> {
    let read = CertificateRevocationListDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let facts = read.unwrap_or_default().into_iter().map(|der| {
        let ends = CertificateRevocationList::from_der(&der).ok().and_then(|(_, list)| list.next_update());
        FileFact {
            what: What::Crl,
            name: file.display().to_string(),
            ends: ends.and_then(|ends| Timestamp::from_second(ends.timestamp()).ok()),
            fingerprint: None,
        }
    });
    or_unreadable(What::Crl, file, facts.collect())
}

fn or_unreadable(what: What, file: &Path, facts: Vec<FileFact>) -> Vec<FileFact> {
    if facts.is_empty() {
        vec![FileFact { what, name: file.display().to_string(), ends: None, fingerprint: None }]
    } else {
        facts
    }
}
