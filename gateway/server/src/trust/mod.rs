//! Whose certificates are taken: trust anchors, the authorities below them and their revocation lists, read from files,
//! held against each other and taken as a whole or not at all.
//!
//! Nothing that is read is believed for where it lies. Every authority must be signed by one that is known, every list
//! by its authority; and while the gateway runs nothing may take the place of something newer.

pub(crate) mod authorities;
mod chain;
pub(crate) mod clients;
pub(crate) mod destinations;
pub mod fetch;
pub(crate) mod files;
pub(crate) mod lists;
pub(crate) mod pair;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::config::Config;
use crate::gateway::StartFault;
use authorities::Authorities;
use lists::List;

/// What counts until something else is taken whole. Nothing is held where everything is looked at for the first time.
#[derive(Debug, Clone, Default)]
pub struct InForce {
    /// The lists.
    pub(crate) lists: Arc<Vec<List>>,
    /// The certificate of the edge, DER.
    pub(crate) server: Vec<u8>,
    /// The certificate that the hub pushes with, DER; empty if there is none.
    pub(crate) client: Vec<u8>,
}

/// What makes a paper a fault: how strictly its dates count.
#[derive(Debug, Clone, Copy)]
pub enum Terms<'a> {
    /// At a start there is nothing else to go by: what is past its date is said so in the log and in `/readyz`, and
    /// whatever rests on it is refused, but the gateway runs.
    Start,
    /// Of what is new, nothing may be past its date or older than what is held.
    Against(&'a InForce),
}

/// Trust anchors and lists.
pub(crate) struct Trust {
    /// The hub's own CAs, under which a SAN URI names a participant.
    pub(crate) hub: Arc<RootCertStore>,
    /// Those and the foreign ones.
    pub(crate) clients: Arc<RootCertStore>,
    /// What destinations' certificates must stand under.
    pub(crate) destinations: Arc<RootCertStore>,
    /// One list for each authority, all of them signed by it.
    pub(crate) lists: Arc<Vec<List>>,
    /// How long past its date a list is still taken.
    pub(crate) tolerance: Duration,
}

impl Trust {
    /// Reads all that the configuration names.
    pub(crate) fn read(config: &Config, now: i64, terms: Terms<'_>) -> Result<Self, StartFault> {
        let (edge, delivery) = (&config.edge, &config.delivery);
        let mut authorities = Authorities::default();
        let hub = authorities.anchors(&edge.hub_ca_files, true)?;
        let foreign = authorities.anchors(&edge.foreign_ca_files, false)?;
        let destinations = authorities.anchors(&delivery.server_ca_files, false)?;
        if hub.is_empty() {
            return Err(StartFault::Setting("edge.hub_ca_files holds no certificate".to_owned()));
        }
        let sources = edge.crl_sources.iter().map(|source| source.issuer_file.clone());
        let known: Vec<_> = edge.known_certificate_files.iter().cloned().chain(sources).collect();
        authorities.known(&known)?;
        let fetched: Vec<&Path> = edge.crl_sources.iter().map(|source| source.file.as_path()).collect();
        let lists = lists::read(&edge.crl_files, &fetched, &authorities)?;
        if let Terms::Against(held) = terms {
            lists::check_against(&lists, &held.lists, now, edge.crl_tolerance)?;
        }
        let store = |groups: &[&[CertificateDer<'static>]]| {
            let mut store = RootCertStore::empty();
            for certificate in groups.iter().copied().flatten() {
                store.add(certificate.clone()).map_err(|error| StartFault::Setting(error.to_string()))?;
            }
            Ok::<_, StartFault>(Arc::new(store))
        };
        Ok(Self {
            hub: store(&[&hub])?,
            clients: store(&[&hub, &foreign])?,
            destinations: store(&[&destinations])?,
            lists: Arc::new(lists),
            tolerance: edge.crl_tolerance,
        })
    }
}
