//! `[coordinator]`, checked.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tsunagi_store::coordinator::{Address, Form};

use super::raw::RawCoordinator;
use super::{ConfigFault, fault, is_this_machine};

/// Whether this node has others beside it, see `config/default.toml`.
#[derive(Debug, Clone)]
pub enum CoordinatorConfig {
    /// It is the hub.
    InProcess,
    /// It shares a Redis with them.
    Redis(Shared),
}

/// The Redis that nodes share.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Shared {
    pub address: Address,
    pub ca_file: Option<PathBuf>,
    pub username: Option<String>,
    pub password_file: Option<PathBuf>,
    pub prefix: String,
    pub timeout: Duration,
}

/// The longest that a request may be made to wait.
const LONGEST_MS: u64 = 1_000;

impl CoordinatorConfig {
    pub(super) fn check(raw: &RawCoordinator, folder: &Path, faults: &mut Vec<ConfigFault>) -> Option<Self> {
        let file = |path: &Path| (!path.as_os_str().is_empty()).then(|| folder.join(path));
        let (ca_file, password_file) = (file(&raw.ca_file), file(&raw.password_file));
        let username = (!raw.username.is_empty()).then(|| raw.username.clone());
        if username.is_some() && password_file.is_none() {
            faults.push(fault("coordinator.username", "comes with coordinator.password_file"));
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '{' | '}');
        if raw.prefix.is_empty() || !raw.prefix.chars().all(is_plain) {
            faults.push(fault("coordinator.prefix", "is letters, digits, `-`, `_`, `.`, `{` and `}`"));
        }
        if !(1..=LONGEST_MS).contains(&raw.timeout_ms) {
            faults
                .push(fault("coordinator.timeout_ms", format!("is from 1 to {LONGEST_MS}: requests wait for so long")));
        }
        if raw.url.is_empty() {
            if ca_file.is_some() || password_file.is_some() {
                faults.push(fault("coordinator.url", "is empty, but there is a file for it"));
            }
            return Some(Self::InProcess);
        }
        if cfg!(not(feature = "redis")) {
            faults.push(fault("coordinator.url", "this tsunagi was built without the feature `redis`"));
        }
        let address = Address::parse(&raw.url).map_err(|reason| faults.push(fault("coordinator.url", reason))).ok()?;
        if ca_file.is_some() && !address.tls {
            faults.push(fault("coordinator.ca_file", "is for a url that begins with rediss"));
        }
        // What Sentinels and Clusters name in their answers may be anywhere.
        let is_here = address.form == Form::Server && address.servers.iter().all(|(host, _)| is_this_machine(host));
        if !address.tls && !is_here {
            faults.push(fault(
                "coordinator.url",
                "begins with rediss or rediss-…: a server on another machine has to prove its name",
            ));
        }
        let timeout = Duration::from_millis(raw.timeout_ms);
        Some(Self::Redis(Shared { address, ca_file, username, password_file, prefix: raw.prefix.clone(), timeout }))
    }
}
