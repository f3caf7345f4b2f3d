//! Revocation lists that the gateway fetches over HTTP and keeps in a file, so that a restart has them. The transport
//! is not trusted and need not be: a list is taken only if the CA it is expected of signed it, and never an older one
//! than the one held.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::watch;

use super::authorities::Authorities;
use super::files::read_if_there;
use super::lists;
use crate::config::CrlSource;
use crate::gateway::{Gateway, StartFault};

/// The longest wait after a failure.
const RETRY: std::time::Duration = std::time::Duration::from_secs(60);

/// Why a list was not taken.
#[derive(Debug, thiserror::Error)]
enum FetchFault {
    /// The file of the list held, or of the CA's certificate.
    #[error("{0}")]
    File(String),
    /// No answer, not in time, or not 200.
    #[error("no list came: {0}")]
    NoList(String),
    /// Not exactly one list.
    #[error("what came is not one revocation list with a next update")]
    NotOne,
    /// Older than the one held: a list that lacks the latest revocations.
    #[error("the list that came is older than the one held")]
    Older,
    /// Past its next update already.
    #[error("the list that came is past its next update")]
    Stale,
    /// Not signed by the CA it is expected of.
    #[error("the list that came is not signed by the CA in {0}")]
    Signature(String),
}

impl FetchFault {
    /// The metric's label.
    fn word(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::NoList(_) => "no_list",
            Self::NotOne => "not_one",
            Self::Older => "older",
            Self::Signature(_) => "signature",
            Self::Stale => "stale",
        }
    }
}

impl From<StartFault> for FetchFault {
    fn from(fault: StartFault) -> Self {
        Self::File(fault.to_string())
    }
}

/// Fetches until told to stop: at once, and then as often as the configuration says.
pub(crate) async fn run(gateway: Arc<Gateway>, mut stopping: watch::Receiver<bool>) {
    let interval = gateway.config.edge.crl_fetch_interval;
    while !gateway.config.edge.crl_sources.is_empty() {
        let wait = if all(&gateway).await { interval } else { interval.min(RETRY) };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stopping.changed() => return,
        }
    }
}

/// Fetches each list once and takes the new ones into use; false if one of them failed.
pub async fn all(gateway: &Arc<Gateway>) -> bool {
    let (mut any_new, mut all_well) = (false, true);
    for source in &gateway.config.edge.crl_sources {
        let outcome = match one(source, gateway).await {
            Ok(true) => {
                any_new = true;
                "new"
            }
            Ok(false) => "same",
            Err(fault) => {
                tracing::warn!(url = %source.url, %fault, "a revocation list was not taken; the one held stays");
                all_well = false;
                fault.word()
            }
        };
        metrics::counter!("tsunagi_crl_fetches_total", "outcome" => outcome).increment(1);
    }
    if any_new {
        gateway.reload_trust_and_log().await;
    }
    all_well
}

/// Fetches one list; true if it is newer than the one held and now in its place. Nothing is put there that would then
/// not be taken into use.
async fn one(source: &CrlSource, gateway: &Gateway) -> Result<bool, FetchFault> {
    let edge = &gateway.config.edge;
    let fetching = tokio::time::timeout(edge.crl_fetch_timeout, get(&source.url, edge.crl_max_bytes));
    let bytes = fetching.await.map_err(|_| FetchFault::NoList("not in time".to_owned()))??;
    let lists = lists::parse(&bytes).unwrap_or_default();
    // A list of some certificates, or of changes, does not stand for the one list of its CA that a chain is held against.
    let [new] = lists.as_slice() else { return Err(FetchFault::NotOne) };
    if new.is_partial {
        return Err(FetchFault::NotOne);
    }
    let mut issuers = Authorities::default();
    issuers.anchors(std::slice::from_ref(&source.issuer_file), false)?;
    if issuers.signs(&new.issuer, &new.der).is_err() {
        return Err(FetchFault::Signature(source.issuer_file.display().to_string()));
    }
    if new.ends(edge.crl_tolerance) < gateway.clock.now().as_second() {
        return Err(FetchFault::Stale);
    }
    let held = read_if_there(&source.file)?.and_then(|bytes| lists::parse(&bytes)).unwrap_or_default();
    let in_use = gateway.tls.load().lists.clone();
    if held.iter().chain(in_use.iter()).any(|held| new.replaces(held) && new.age < held.age) {
        return Err(FetchFault::Older);
    }
    if held.iter().any(|held| new.der == held.der) {
        return Ok(false);
    }
    keep(&source.file, &bytes).map_err(|error| FetchFault::File(format!("{}: {error}", source.file.display())))?;
    Ok(true)
}

async fn get(url: &http::Uri, most: usize) -> Result<Bytes, FetchFault> {
    let no_list = |error: &dyn std::fmt::Display| FetchFault::NoList(error.to_string());
    let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let response = client.get(url.clone()).await.map_err(|error| no_list(&error))?;
    if response.status() != http::StatusCode::OK {
        return Err(no_list(&response.status()));
    }
    let body = Limited::new(response.into_body(), most).collect().await.map_err(|error| no_list(&error))?;
    Ok(body.to_bytes())
}

/// The file is the old one or the new one, whole, whatever happens meanwhile.
fn keep(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    std::fs::File::open(folder)?.sync_all()
}
