//! The store on a PostgreSQL server.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tsunagi_store::postgres::{PostgresStore, Server};
use tsunagi_store::{Keyring, Storage};

use crate::config::PostgresConfig;
use crate::gateway::StartFault;
use crate::secret::read_password;

/// Opens it. Says so where the server's own wall between tenants does not bind the configured role.
pub(crate) async fn open(config: &PostgresConfig, keyring: Keyring) -> Result<Arc<dyn Storage>, StartFault> {
    let server = server(config)?;
    let failed = |error| StartFault::of_store("store.postgres_url", &error);
    let store = PostgresStore::open(&server, keyring).await.map_err(failed)?;
    if store.sees_through_the_wall().await.map_err(failed)? {
        tracing::warn!(
            "the store's role is a superuser or bypasses row-level security: between tenants stands one wall, not two"
        );
    }
    Ok(Arc::new(store))
}

/// True if there is a store on that server.
pub(crate) async fn is_made(config: &PostgresConfig) -> Result<bool, StartFault> {
    let made = PostgresStore::is_made(&server(config)?).await;
    made.map_err(|error| StartFault::of_store("store.postgres_url", &error))
}

/// The server, with what it takes to be let in.
pub(crate) fn server(config: &PostgresConfig) -> Result<Server, StartFault> {
    Ok(Server {
        url: config.url.clone(),
        password: config.password_file.as_deref().map(read_password).transpose()?,
        schema: None,
        tls: config.root_ca_file.as_deref().map(tls).transpose()?,
        connections: config.connections,
        connect_timeout: config.connect_timeout,
        timeout: config.timeout,
    })
}

fn tls(path: &Path) -> Result<Arc<ClientConfig>, StartFault> {
    let pem = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| unreadable(path, &error))?;
        roots.add(certificate).map_err(|error| unreadable(path, &error))?;
    }
    if roots.is_empty() {
        return Err(StartFault::Setting(format!("{}: there is no certificate in it", path.display())));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unreadable(path, &error))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> StartFault {
    StartFault::Setting(format!("{}: {error}", path.display()))
}
