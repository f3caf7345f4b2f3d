//! The file as it is written. Unknown keys are refused in every table.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// All of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    /// Always 1.
    pub version: u32,
    /// `[edge]`
    pub edge: RawEdge,
    /// `[operations]`
    pub operations: RawOperations,
    /// `[store]`
    pub store: RawStore,
    /// `[coordinator]`
    pub coordinator: RawCoordinator,
    /// `[keys]`
    pub keys: RawKeys,
    /// `[ca]`
    pub ca: RawCa,
    /// `[tables]`
    pub tables: RawTables,
    /// `[delivery]`
    pub delivery: RawDelivery,
    /// `[retention]`
    pub retention: RawRetention,
    /// `[sealing]`
    pub sealing: RawSealing,
    /// `[witness]`
    pub witness: RawWitness,
    /// `[app]`
    pub app: RawApp,
    /// `[log]`
    pub log: RawLog,
}

/// `[edge]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEdge {
    pub listen: String,
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
    pub hub_ca_files: Vec<PathBuf>,
    pub foreign_ca_files: Vec<PathBuf>,
    pub known_certificate_files: Vec<PathBuf>,
    pub crl_files: Vec<PathBuf>,
    pub crl_sources: Vec<RawCrlSource>,
    pub crl_fetch_interval_secs: u64,
    pub crl_fetch_timeout_ms: u64,
    pub crl_max_bytes: usize,
    pub crl_tolerance_secs: u64,
    pub max_connections: usize,
    pub max_connections_per_peer: usize,
    pub max_requests_per_peer: usize,
    pub max_handshakes: usize,
    pub handshake_timeout_ms: u64,
    pub header_timeout_ms: u64,
    pub body_timeout_ms: u64,
    pub body_min_bytes_per_sec: u64,
    pub request_timeout_ms: u64,
    pub write_timeout_ms: u64,
    pub idle_timeout_ms: u64,
    pub max_body_bytes: u64,
    pub max_body_bytes_at_once: u64,
    pub max_rows: u64,
    pub max_file_bytes: u64,
    pub max_file_bytes_at_once: u64,
    pub max_file_rows: u64,
    pub file_timeout_ms: u64,
    pub drain_timeout_ms: u64,
    pub rate_per_second: u32,
    pub rate_burst: u32,
    #[serde(default)]
    pub rates: BTreeMap<String, RawRate>,
}

/// One of `edge.crl_sources`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCrlSource {
    pub url: String,
    pub issuer_file: PathBuf,
    pub file: PathBuf,
}

/// `[edge.rates.CLASS]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRate {
    pub per_second: u32,
    pub burst: u32,
}

/// `[operations]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOperations {
    pub listen: String,
}

/// `[store]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawStore {
    pub backend: String,
    pub path: PathBuf,
    pub postgres_url: String,
    pub postgres_password_file: PathBuf,
    pub postgres_root_ca_file: PathBuf,
    pub postgres_connections: usize,
    pub postgres_connect_timeout_ms: u64,
    pub postgres_timeout_ms: u64,
}

/// `[coordinator]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCoordinator {
    pub url: String,
    pub ca_file: PathBuf,
    pub username: String,
    pub password_file: PathBuf,
    pub prefix: String,
    pub timeout_ms: u64,
}

/// `[keys]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKeys {
    pub master_key_file: PathBuf,
    pub checkpoint_key_file: PathBuf,
}

/// `[ca]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCa {
    pub folder: PathBuf,
    pub passphrase_file: PathBuf,
    pub earlier_folders: Vec<PathBuf>,
}

/// `[tables]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTables {
    pub folder: PathBuf,
}

/// `[delivery]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDelivery {
    pub poll_interval_ms: u64,
    pub lease_secs: u32,
    pub retry_first_secs: u64,
    pub retry_longest_secs: u64,
    pub retry_attempts: u32,
    pub send_timeout_ms: u64,
    pub client_certificate_file: PathBuf,
    pub client_key_file: PathBuf,
    pub server_ca_files: Vec<PathBuf>,
}

/// `[retention]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRetention {
    pub sweep_interval_secs: u64,
    pub exchanges_days: u32,
}

/// `[sealing]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSealing {
    pub interval_ms: u64,
    pub tolerance_secs: u32,
}

/// `[witness]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWitness {
    pub name: String,
    pub key_file: PathBuf,
    pub logs: Vec<RawWitnessedLog>,
}

/// One of `witness.logs`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWitnessedLog {
    pub origin: String,
    pub key: String,
    pub participant: String,
}

/// `[app]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawApp {
    pub issuers: Vec<RawIssuer>,
}

/// One trusted issuer of citizens' tokens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config/default.toml documents every key")]
pub struct RawIssuer {
    /// The `iss` claim.
    pub issuer: String,
    /// Its keys, a JWKS file.
    pub jwks_file: PathBuf,
    /// The `aud` claim expected.
    pub audience: String,
}

/// `[log]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLog {
    pub format: String,
    pub filter: String,
}
