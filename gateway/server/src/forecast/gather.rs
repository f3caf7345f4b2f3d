//! The facts as files, ledger and registry have them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tsunagi_certs::{CertsError, LedgerEntry};
use tsunagi_core::exchange::DeliveryState;
use tsunagi_core::id::ChannelId;
use tsunagi_core::registry::Registry;
use tsunagi_store::{DeliveryFilter, Storage, StoreError};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Facts, FileFact, What};
use crate::config::Config;
use crate::trust::files::{certificates as read_certificates, files as files_of};
use crate::trust::lists;

/// Reads the files that the configuration names and the ledgers of the CAs. A file that cannot be read is a fact without
/// a date, but for the client certificate, without which a hub that pushes nothing does well. Blocks.
pub fn read(config: &Config, registry: Registry) -> Result<Facts, CertsError> {
    let mut ledger = tsunagi_certs::read_ledger(&config.ca_folder)?;
    for folder in &config.ca_earlier_folders {
        ledger.extend(tsunagi_certs::read_ledger(folder)?);
    }
    Ok(Facts { files: files(config, &ledger), ledger, registry, pending: BTreeMap::new() })
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

fn files(config: &Config, ledger: &[LedgerEntry]) -> Vec<FileFact> {
    let (edge, delivery) = (&config.edge, &config.delivery);
    let mut facts = own(What::Server, &edge.certificate_file, ledger);
    if delivery.client_certificate_file.exists() {
        facts.extend(own(What::Client, &delivery.client_certificate_file, ledger));
    }
    facts.extend(all(What::RootCa, &edge.hub_ca_files));
    facts.extend(all(What::ForeignCa, &edge.foreign_ca_files));
    facts.extend(all(What::IssuingCa, &edge.known_certificate_files));
    let is_known = |fact: &FileFact| facts.iter().any(|known| known.fingerprint == fact.fingerprint);
    let destinations: Vec<FileFact> = all(What::DestinationCa, &delivery.server_ca_files);
    let destinations: Vec<FileFact> = destinations.into_iter().filter(|fact| !is_known(fact)).collect();
    facts.extend(destinations);
    let fetched = edge.crl_sources.iter().map(|source| source.file.clone()).filter(|file| file.exists());
    facts.extend(each_file(&edge.crl_files).into_iter().chain(fetched).flat_map(|file| of_list(&file)));
    facts
}

/// A certificate of the hub itself. One that is revoked is as good as ended.
fn own(what: What, file: &Path, ledger: &[LedgerEntry]) -> Vec<FileFact> {
    let mut facts: Vec<FileFact> = certificates(what, file).into_iter().take(1).collect();
    for fact in &mut facts {
        let entry = ledger.iter().find(|entry| fact.fingerprint.as_deref() == Some(entry.fingerprint_sha256.as_str()));
        let revoked = entry.and_then(|entry| Timestamp::from_second(entry.revoked_at?).ok());
        fact.ends = fact.ends.min(revoked).or(fact.ends);
    }
    facts
}

fn all(what: What, paths: &[PathBuf]) -> Vec<FileFact> {
    each_file(paths).iter().flat_map(|file| certificates(what, file)).collect()
}

/// The files that the paths name; a folder that cannot be read stands for itself.
fn each_file(paths: &[PathBuf]) -> Vec<PathBuf> {
    paths.iter().flat_map(|path| files_of(std::slice::from_ref(path)).unwrap_or_else(|_| vec![path.clone()])).collect()
}

fn certificates(what: What, file: &Path) -> Vec<FileFact> {
    let facts = read_certificates(file).unwrap_or_default().into_iter().map(|der| {
        let parsed = X509Certificate::from_der(&der).ok().map(|(_, certificate)| certificate);
        let ends = parsed.as_ref().map(|certificate| certificate.validity().not_after.timestamp());
        // What is known and is no CA is a partner's certificate, whose line is the participant's.
        let is_partners = what == What::IssuingCa && parsed.is_some_and(|certificate| !certificate.is_ca());
        FileFact {
            what: if is_partners { What::Participant } else { what },
            name: file.display().to_string(),
            ends: ends.and_then(|ends| Timestamp::from_second(ends).ok()),
            fingerprint: Some(tsunagi_certs::fingerprint(&der)),
        }
    });
    or_unreadable(what, file, facts.collect())
}

fn of_list(file: &Path) -> Vec<FileFact> {
    let parsed = std::fs::read(file).ok().and_then(|bytes| lists::parse(&bytes)).unwrap_or_default();
    let facts = parsed.iter().map(|list| FileFact {
        what: What::Crl,
        name: file.display().to_string(),
        ends: Timestamp::from_second(list.ends(Duration::ZERO)).ok(),
        fingerprint: None,
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
