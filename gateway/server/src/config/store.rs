//! `[store]`: which backend, and what a server needs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::raw::RawStore;
use super::{ConfigFault, fault, is_this_machine};

/// A PostgreSQL server, see `config/default.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct PostgresConfig {
    pub url: String,
    pub password_file: Option<PathBuf>,
    pub root_ca_file: Option<PathBuf>,
    pub connections: usize,
    pub connect_timeout: Duration,
    pub timeout: Duration,
}

impl PostgresConfig {
    /// `None` where the store is a file.
    pub(super) fn check(raw: &RawStore, at: &impl Fn(&Path) -> PathBuf, faults: &mut Vec<ConfigFault>) -> Option<Self> {
        match raw.backend.as_str() {
            "postgres" => {}
            "sqlite" => {
                if !raw.postgres_url.is_empty() {
                    faults.push(fault("store.postgres_url", "names a server, but store.backend is \"sqlite\""));
                }
                return None;
            }
            _ => {
                faults.push(fault("store.backend", "is `sqlite` or `postgres`"));
                return None;
            }
        }
        if cfg!(not(feature = "postgres")) {
            faults.push(fault("store.backend", "this build has no `postgres`"));
        }
        let file = |path: &Path| (!path.as_os_str().is_empty()).then(|| at(path));
        let root_ca_file = file(&raw.postgres_root_ca_file);
        match host(&raw.postgres_url) {
            Err(reason) => faults.push(fault("store.postgres_url", reason)),
            Ok(host) if root_ca_file.is_none() && !is_this_machine(host) => faults.push(fault(
                "store.postgres_root_ca_file",
                "is missing: a server on another machine has to prove its name",
            )),
            Ok(_) => {}
        }
        let zero = [
            ("store.postgres_connections", raw.postgres_connections == 0),
            ("store.postgres_connect_timeout_ms", raw.postgres_connect_timeout_ms == 0),
            ("store.postgres_timeout_ms", raw.postgres_timeout_ms == 0),
        ];
        for (key, _) in zero.into_iter().filter(|(_, is_zero)| *is_zero) {
            faults.push(fault(key, "must be more than 0"));
        }
        Some(Self {
            url: raw.postgres_url.clone(),
            password_file: file(&raw.postgres_password_file),
            root_ca_file,
            connections: raw.postgres_connections,
            connect_timeout: Duration::from_millis(raw.postgres_connect_timeout_ms),
            timeout: Duration::from_millis(raw.postgres_timeout_ms),
        })
    }
}

/// The host that a URL names. What is wrong with it is said without the URL: it may hold a password.
fn host(url: &str) -> Result<&str, &'static str> {
    const FORM: &str = "is not of the form postgres://USER@HOST:PORT/DATABASE";
    let rest = url.strip_prefix("postgres://").ok_or(FORM)?;
    let (server, database) = rest.split_once('/').ok_or(FORM)?;
    let (user, address) = server.rsplit_once('@').ok_or(FORM)?;
    if user.contains(':') || database.contains("password") {
        return Err("holds a password: it belongs into the file that store.postgres_password_file names");
    }
    if user.is_empty() || database.is_empty() || database.contains('?') || address.contains(',') {
        return Err(FORM);
    }
    let host = match address.strip_prefix('[') {
        Some(v6) => v6.split_once(']').ok_or(FORM)?.0,
        None => address.split_once(':').map_or(address, |(host, _)| host),
    };
    if host.is_empty() { Err(FORM) } else { Ok(host) }
}
