//! `[edge]`, checked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tsunagi_store::coordinator::Rate;

use super::raw::{RawEdge, RawRate};
use super::{ConfigFault, address, fault};

/// The edge's settings, see `config/default.toml`.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct EdgeConfig {
    pub listen: SocketAddr,
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
    pub hub_ca_files: Vec<PathBuf>,
    pub foreign_ca_files: Vec<PathBuf>,
    pub known_certificate_files: Vec<PathBuf>,
    pub crl_files: Vec<PathBuf>,
    pub crl_sources: Vec<CrlSource>,
    pub crl_fetch_interval: Duration,
    pub crl_fetch_timeout: Duration,
    pub crl_max_bytes: usize,
    pub crl_tolerance: Duration,
    pub max_connections: usize,
    pub max_connections_per_peer: usize,
    pub max_requests_per_peer: usize,
    pub max_handshakes: usize,
    pub handshake_timeout: Duration,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub body_min_bytes_per_sec: u64,
    pub request_timeout: Duration,
    pub write_timeout: Duration,
    pub idle_timeout: Duration,
    pub max_body_bytes: u64,
    pub max_body_bytes_at_once: u64,
    pub max_rows: u64,
    pub max_file_bytes: u64,
    pub max_file_bytes_at_once: u64,
    pub max_file_rows: u64,
    pub file_timeout: Duration,
    pub drain_timeout: Duration,
    pub rate: Rate,
    pub rates: BTreeMap<String, Rate>,
}

/// A revocation list that the gateway fetches by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlSource {
    /// Where it is, `http://`: it is signed, and who signs it is in `issuer_file`.
    pub url: http::Uri,
    /// The certificate of the CA that signs it, PEM.
    pub issuer_file: PathBuf,
    /// Where it is kept, so that a restart has it.
    pub file: PathBuf,
}

/// The words of `[edge.rates]`: the classes of endpoints, as the metrics name them.
pub const RATE_CLASSES: [&str; 9] =
    ["app", "exchanges", "fhir", "files", "links", "mailbox", "other", "pmh", "requests"];

impl EdgeConfig {
    pub(super) fn check(raw: &RawEdge, folder: &Path, faults: &mut Vec<ConfigFault>) -> Option<Self> {
        let at = |path: &Path| if path.is_absolute() { path.to_owned() } else { folder.join(path) };
        let all = |paths: &[PathBuf]| paths.iter().map(|path| at(path)).collect::<Vec<_>>();
        let millis = Duration::from_millis;
        let listen = address("edge.listen", &raw.listen, faults);
        let rate = rate("edge.rate_", &RawRate { per_second: raw.rate_per_second, burst: raw.rate_burst }, faults);
        let rates = raw.rates.iter().filter_map(|(class, each)| {
            let key = format!("edge.rates.{class}.");
            if !RATE_CLASSES.contains(&class.as_str()) {
                faults.push(fault(&key, format!("is none of {}", RATE_CLASSES.join(", "))));
            }
            Some((class.clone(), self::rate(&key, each, faults)?))
        });
        let rates = rates.collect();
        let sources = raw.crl_sources.iter().filter_map(|source| {
            let url = source.url.parse::<http::Uri>().ok();
            let url = url.filter(|url| url.scheme_str() == Some("http") && url.host().is_some());
            if url.is_none() {
                faults.push(fault("edge.crl_sources", format!("{}: the url begins with http://", source.url)));
            }
            Some(CrlSource { url: url?, issuer_file: at(&source.issuer_file), file: at(&source.file) })
        });
        let crl_sources: Vec<CrlSource> = sources.collect();
        check_numbers(raw, faults);
        Some(Self {
            listen: listen?,
            certificate_file: at(&raw.certificate_file),
            key_file: at(&raw.key_file),
            hub_ca_files: all(&raw.hub_ca_files),
            foreign_ca_files: all(&raw.foreign_ca_files),
            known_certificate_files: all(&raw.known_certificate_files),
            crl_files: all(&raw.crl_files),
            crl_sources,
            crl_fetch_interval: Duration::from_secs(raw.crl_fetch_interval_secs),
            crl_fetch_timeout: millis(raw.crl_fetch_timeout_ms),
            crl_max_bytes: raw.crl_max_bytes,
            crl_tolerance: Duration::from_secs(raw.crl_tolerance_secs),
            max_connections: raw.max_connections,
            max_connections_per_peer: raw.max_connections_per_peer,
            max_requests_per_peer: raw.max_requests_per_peer,
            max_handshakes: raw.max_handshakes,
            handshake_timeout: millis(raw.handshake_timeout_ms),
            header_timeout: millis(raw.header_timeout_ms),
            body_timeout: millis(raw.body_timeout_ms),
            body_min_bytes_per_sec: raw.body_min_bytes_per_sec,
            request_timeout: millis(raw.request_timeout_ms),
            write_timeout: millis(raw.write_timeout_ms),
            idle_timeout: millis(raw.idle_timeout_ms),
            max_body_bytes: raw.max_body_bytes,
            max_body_bytes_at_once: raw.max_body_bytes_at_once,
            max_rows: raw.max_rows,
            max_file_bytes: raw.max_file_bytes,
            max_file_bytes_at_once: raw.max_file_bytes_at_once,
            max_file_rows: raw.max_file_rows,
            file_timeout: millis(raw.file_timeout_ms),
            drain_timeout: millis(raw.drain_timeout_ms),
            rate: rate?,
            rates,
        })
    }

    /// Every file, and folder of files, that is read again when it changes.
    pub fn files(&self) -> Vec<PathBuf> {
        let fetched = self.crl_sources.iter().flat_map(|source| [&source.file, &source.issuer_file]);
        let lists = [&self.hub_ca_files, &self.foreign_ca_files, &self.known_certificate_files, &self.crl_files];
        let pair = [&self.certificate_file, &self.key_file];
        pair.into_iter().chain(lists.into_iter().flatten()).chain(fetched).cloned().collect()
    }
}

fn rate(key: &str, raw: &RawRate, faults: &mut Vec<ConfigFault>) -> Option<Rate> {
    let mut positive = |name: &str, number: u32| {
        let parsed = NonZeroU32::new(number);
        if parsed.is_none() {
            faults.push(fault(format!("{key}{name}"), "must be more than 0"));
        }
        parsed
    };
    let (per_second, burst) = (positive("per_second", raw.per_second), positive("burst", raw.burst));
    Some(Rate { per_second: per_second?, burst: burst? })
}

fn check_numbers(raw: &RawEdge, faults: &mut Vec<ConfigFault>) {
    let zero = [
        ("max_connections", raw.max_connections == 0),
        ("max_connections_per_peer", raw.max_connections_per_peer == 0),
        ("max_requests_per_peer", raw.max_requests_per_peer == 0),
        ("max_handshakes", raw.max_handshakes == 0),
        ("max_body_bytes", raw.max_body_bytes == 0),
        ("max_file_bytes", raw.max_file_bytes == 0),
        ("max_file_rows", raw.max_file_rows == 0),
        ("file_timeout_ms", raw.file_timeout_ms == 0),
        ("max_rows", raw.max_rows == 0),
        ("handshake_timeout_ms", raw.handshake_timeout_ms == 0),
        ("header_timeout_ms", raw.header_timeout_ms == 0),
        ("body_timeout_ms", raw.body_timeout_ms == 0),
        ("request_timeout_ms", raw.request_timeout_ms == 0),
        ("write_timeout_ms", raw.write_timeout_ms == 0),
        ("idle_timeout_ms", raw.idle_timeout_ms == 0),
        ("crl_fetch_interval_secs", raw.crl_fetch_interval_secs == 0),
        ("crl_fetch_timeout_ms", raw.crl_fetch_timeout_ms == 0),
        ("crl_max_bytes", raw.crl_max_bytes == 0),
    ];
    for (key, _) in zero.into_iter().filter(|(_, is_zero)| *is_zero) {
        faults.push(fault(format!("edge.{key}"), "must be more than 0"));
    }
    if raw.max_body_bytes_at_once < raw.max_body_bytes {
        faults.push(fault("edge.max_body_bytes_at_once", "is less than edge.max_body_bytes"));
    }
    if raw.max_file_bytes_at_once < raw.max_file_bytes {
        faults.push(fault("edge.max_file_bytes_at_once", "is less than edge.max_file_bytes"));
    }
}
