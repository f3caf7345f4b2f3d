//! Configuration in two phases: what is written (`raw`), then what has been checked ([`Config`]). Checking is pure but
//! for reading the file itself: it touches no key, certificate, store or socket.

mod coordinator;
mod edge;
mod raw;
mod store;
#[cfg(test)]
mod tests;
mod witness;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tsunagi_core::delivery::Schedule;

pub use coordinator::{CoordinatorConfig, Shared};
pub use edge::{CrlSource, EdgeConfig, RATE_CLASSES};
use raw::RawConfig;
pub use raw::RawIssuer;
pub use store::PostgresConfig;
pub use witness::{WitnessConfig, WitnessedLog};

/// `config/default.toml`, the reference.
pub const DEFAULT: &str = include_str!("../../../../config/default.toml");

/// One fault of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// Which key, or which file and line.
    pub place: String,
    /// What is wrong, in words.
    pub reason: String,
}

/// A configuration that holds together.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder that relative paths are meant from.
    pub folder: PathBuf,
    /// The edge.
    pub edge: EdgeConfig,
    /// Where health, readiness and metrics are served.
    pub operations_listen: SocketAddr,
    /// The SQLite file; its folder is this node's own whatever the store is.
    pub store_path: PathBuf,
    /// The server, where the store is on one.
    pub postgres: Option<PostgresConfig>,
    /// What the nodes of the hub have in common beside the store.
    pub coordinator: CoordinatorConfig,
    /// Key files.
    pub master_key_file: PathBuf,
    /// The seed that signs checkpoints.
    pub checkpoint_key_file: PathBuf,
    /// The CA's folder.
    pub ca_folder: PathBuf,
    /// The passphrase of the CA's keys, if they are under one.
    pub ca_passphrase_file: Option<PathBuf>,
    /// The folders of CAs that are being let go.
    pub ca_earlier_folders: Vec<PathBuf>,
    /// The folder laid over the built-in tables.
    pub tables_folder: Option<PathBuf>,
    /// Deliveries.
    pub delivery: DeliveryConfig,
    /// What is removed when.
    pub retention: RetentionConfig,
    /// How often leaves are sealed.
    pub sealing_interval: Duration,
    /// How old an unsealed leaf may become.
    pub sealing_tolerance: Duration,
    /// The logs of others that this hub is a witness of.
    pub witness: Option<WitnessConfig>,
    /// Trusted issuers of citizens' tokens.
    pub issuers: Vec<RawIssuer>,
    /// JSON or text.
    pub log_json: bool,
    /// What is logged.
    pub log_filter: String,
}

/// The deliveries' settings, see `config/default.toml`.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct DeliveryConfig {
    pub poll_interval: Duration,
    pub lease: Duration,
    pub schedule: Schedule,
    pub send_timeout: Duration,
    pub client_certificate_file: PathBuf,
    pub client_key_file: PathBuf,
    pub server_ca_files: Vec<PathBuf>,
}

/// The retention's settings, see `config/default.toml`. How long records are kept is in their kinds.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct RetentionConfig {
    pub sweep_interval: Duration,
    pub exchanges: Duration,
}

impl Config {
    /// The folder of the store, which holds what is as private as the store itself.
    pub fn store_folder(&self) -> &Path {
        self.store_path.parent().unwrap_or(&self.folder)
    }

    /// Reads the file at `path` (or nothing), lays it and `TSUNAGI__SECTION__KEY` from `environment` over the
    /// defaults, and checks the result; all faults at once.
    pub fn load(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Vec<ConfigFault>> {
        let (text, folder) = match path {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| vec![fault(path.display(), format!("cannot be read: {error}"))])?;
                let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
                (text, folder.to_owned())
            }
            None => (String::new(), PathBuf::from(".")),
        };
        let name = path.map_or_else(|| "configuration".to_owned(), |p| p.display().to_string());
        Self::parse(&text, &name, &folder, environment)
    }

    /// As [`Config::load`], from a text.
    pub fn parse(
        text: &str,
        name: &str,
        folder: &Path,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Vec<ConfigFault>> {
        let mut merged: toml::Table =
            DEFAULT.parse().map_err(|error: toml::de::Error| vec![fault("default.toml", error.message())])?;
        let over: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(0, |span| text.get(..span.start).unwrap_or("").matches('\n').count() + 1);
            vec![fault(format!("{name}:{line}"), error.message())]
        })?;
        if !text.is_empty() && !over.contains_key("version") {
            return Err(vec![fault(name, "`version = 1` is missing")]);
        }
        lay_over(&mut merged, over);
        let mut faults = overlay_environment(&mut merged, environment);
        let raw: RawConfig = match merged.try_into() {
            Ok(raw) => raw,
            Err(error) => {
                faults.push(fault(name, error.to_string().trim_end()));
                return Err(faults);
            }
        };
        check(raw, folder, faults)
    }
}

fn fault(place: impl ToString, reason: impl ToString) -> ConfigFault {
    ConfigFault { place: place.to_string(), reason: reason.to_string() }
}

/// True for a host to which nothing leaves this machine.
fn is_this_machine(host: &str) -> bool {
    matches!(host, "127.0.0.1" | "::1" | "localhost")
}

fn lay_over(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(over)) => lay_over(inner, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn overlay_environment(
    base: &mut toml::Table,
    environment: impl Iterator<Item = (String, String)>,
) -> Vec<ConfigFault> {
    let mut faults = Vec::new();
    for (name, text) in environment {
        let Some(path) = name.strip_prefix("TSUNAGI__") else { continue };
        let mut parts = path.split("__");
        let (Some(section), Some(key), None) = (parts.next(), parts.next(), parts.next()) else {
            faults.push(fault(&name, "expected TSUNAGI__SECTION__KEY"));
            continue;
        };
        let (section, key) = (section.to_lowercase(), key.to_lowercase());
        let Some(toml::Value::Table(table)) = base.get_mut(&section) else {
            faults.push(fault(&name, format!("there is no section [{section}]")));
            continue;
        };
        // A value that reads as TOML is taken as such, anything else as a string.
        let value = match table.get(&key) {
            Some(toml::Value::String(_)) => toml::Value::String(text),
            _ => format!("v = {text}")
                .parse::<toml::Table>()
                .ok()
                .and_then(|mut parsed| parsed.remove("v"))
                .unwrap_or(toml::Value::String(text)),
        };
        table.insert(key, value);
    }
    faults
}

fn check(raw: RawConfig, folder: &Path, mut faults: Vec<ConfigFault>) -> Result<Config, Vec<ConfigFault>> {
    if raw.version != 1 {
        faults.push(fault("version", "this gateway reads version 1"));
    }
    let at = |path: &Path| if path.is_absolute() { path.to_owned() } else { folder.join(path) };
    let all = |paths: &[PathBuf]| paths.iter().map(|path| at(path)).collect::<Vec<_>>();
    let edge = EdgeConfig::check(&raw.edge, folder, &mut faults);
    let operations_listen = address("operations.listen", &raw.operations.listen, &mut faults);
    let coordinator = CoordinatorConfig::check(&raw.coordinator, folder, &mut faults);
    check_numbers(&raw, &mut faults);
    let postgres = PostgresConfig::check(&raw.store, &at, &mut faults);
    let witness = WitnessConfig::check(&raw.witness, folder, &mut faults);
    for (index, issuer) in raw.app.issuers.iter().enumerate() {
        if raw.app.issuers.iter().take(index).any(|earlier| earlier.issuer == issuer.issuer) {
            faults.push(fault("app.issuers", format!("{} is listed twice", issuer.issuer)));
        }
    }
    let (Some(edge), Some(operations_listen), Some(coordinator), true) =
        (edge, operations_listen, coordinator, faults.is_empty())
    else {
        return Err(faults);
    };
    Ok(Config {
        folder: folder.to_owned(),
        edge,
        operations_listen,
        store_path: at(&raw.store.path),
        postgres,
        coordinator,
        master_key_file: at(&raw.keys.master_key_file),
        checkpoint_key_file: at(&raw.keys.checkpoint_key_file),
        ca_folder: at(&raw.ca.folder),
        ca_earlier_folders: all(&raw.ca.earlier_folders),
        ca_passphrase_file: (!raw.ca.passphrase_file.as_os_str().is_empty()).then(|| at(&raw.ca.passphrase_file)),
        tables_folder: (!raw.tables.folder.as_os_str().is_empty()).then(|| at(&raw.tables.folder)),
        delivery: DeliveryConfig {
            poll_interval: Duration::from_millis(raw.delivery.poll_interval_ms),
            lease: Duration::from_secs(raw.delivery.lease_secs.into()),
            schedule: Schedule {
                first: Duration::from_secs(raw.delivery.retry_first_secs),
                longest: Duration::from_secs(raw.delivery.retry_longest_secs),
                attempts: raw.delivery.retry_attempts,
            },
            send_timeout: Duration::from_millis(raw.delivery.send_timeout_ms),
            client_certificate_file: at(&raw.delivery.client_certificate_file),
            client_key_file: at(&raw.delivery.client_key_file),
            server_ca_files: all(&raw.delivery.server_ca_files),
        },
        retention: RetentionConfig {
            sweep_interval: Duration::from_secs(raw.retention.sweep_interval_secs),
            exchanges: Duration::from_secs(u64::from(raw.retention.exchanges_days) * 86_400),
        },
        sealing_interval: Duration::from_millis(raw.sealing.interval_ms),
        sealing_tolerance: Duration::from_secs(raw.sealing.tolerance_secs.into()),
        witness,
        issuers: raw
            .app
            .issuers
            .iter()
            .map(|issuer| RawIssuer { jwks_file: at(&issuer.jwks_file), ..issuer.clone() })
            .collect(),
        log_json: raw.log.format == "json",
        log_filter: raw.log.filter,
    })
}

fn check_numbers(raw: &RawConfig, faults: &mut Vec<ConfigFault>) {
    let zero = [
        ("delivery.poll_interval_ms", raw.delivery.poll_interval_ms == 0),
        ("delivery.lease_secs", raw.delivery.lease_secs == 0),
        ("delivery.retry_attempts", raw.delivery.retry_attempts == 0),
        ("retention.sweep_interval_secs", raw.retention.sweep_interval_secs == 0),
        ("retention.exchanges_days", raw.retention.exchanges_days == 0),
        ("sealing.interval_ms", raw.sealing.interval_ms == 0),
        ("sealing.tolerance_secs", raw.sealing.tolerance_secs == 0),
    ];
    for (key, _) in zero.into_iter().filter(|(_, is_zero)| *is_zero) {
        faults.push(fault(key, "must be more than 0"));
    }
    if raw.delivery.retry_longest_secs < raw.delivery.retry_first_secs {
        faults.push(fault("delivery.retry_longest_secs", "is less than delivery.retry_first_secs"));
    }
    if u64::from(raw.delivery.lease_secs) * 1000 <= raw.delivery.send_timeout_ms {
        faults.push(fault("delivery.lease_secs", "must outlast delivery.send_timeout_ms, or two workers send at once"));
    }
    if u64::from(raw.sealing.tolerance_secs) * 1000 <= raw.sealing.interval_ms {
        faults.push(fault("sealing.tolerance_secs", "must outlast sealing.interval_ms"));
    }
    if !matches!(raw.log.format.as_str(), "json" | "text") {
        faults.push(fault("log.format", "is `text` or `json`"));
    }
}

fn address(key: &str, text: &str, faults: &mut Vec<ConfigFault>) -> Option<SocketAddr> {
    let parsed = text.parse().ok();
    if parsed.is_none() {
        faults.push(fault(key, "is not an address and port, like 127.0.0.1:8443"));
    }
    parsed
}
