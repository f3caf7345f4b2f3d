//! Changes that other processes make are noticed here: in the registry, and in the files that trust rests on. A
//! certificate revoked on the command line is refused within a second, on connections that are open too.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tsunagi_store::coordinator::Notice;

use crate::config::Config;
use crate::gateway::Gateway;
use crate::trust::files::files;

/// How often the files are looked at: a few calls of `stat`.
const FILES: Duration = Duration::from_millis(400);
/// How often the registry's version is asked for.
const REGISTRY: Duration = Duration::from_secs(1);
/// How often what is kept of callers who went quiet is given up, and what was not taken over is tried again.
const QUIET: Duration = Duration::from_secs(60);

/// What tells one state of a file from another: where it lies, when it was last changed, how long it is.
type Stamp = (PathBuf, Option<(u64, i64, i64, u64)>);

/// Looks until told to stop.
pub(crate) async fn run(gateway: Arc<Gateway>, seen: Vec<Stamp>, mut stopping: watch::Receiver<bool>) {
    let (mut files, mut registry, mut quiet) =
        (tokio::time::interval(FILES), tokio::time::interval(REGISTRY), tokio::time::interval(QUIET));
    let mut imported = gateway.coordinator.listen(Notice::RegistryChanged);
    let (paths, mut seen) = (paths(&gateway.config), seen);
    loop {
        tokio::select! {
            _ = files.tick() => {
                // Taken before the files are read: what changes while they are is seen the next time.
                let now = stamps(&paths);
                if now != seen {
                    seen = now;
                    gateway.reload_trust_and_log().await;
                }
            }
            _ = registry.tick() => refresh(&gateway).await,
            Ok(()) = imported.changed() => refresh(&gateway).await,
            _ = quiet.tick() => {
                gateway.rates.forget_the_quiet();
                // What was refused for its date may have come of age.
                if gateway.trust_fault().is_some() {
                    gateway.reload_trust_and_log().await;
                }
            }
            _ = stopping.changed() => return,
        }
    }
}

async fn refresh(gateway: &Gateway) {
    if let Err(error) = gateway.refresh_registry().await {
        tracing::warn!(%error, "the registry could not be re-read");
    }
}

/// The state of all files of a configuration, to be taken before they are read for the first time.
pub(crate) fn seen(config: &Config) -> Vec<Stamp> {
    stamps(&paths(config))
}

fn paths(config: &Config) -> Vec<PathBuf> {
    let delivery = &config.delivery;
    let mut paths = config.edge.files();
    paths.extend([delivery.client_certificate_file.clone(), delivery.client_key_file.clone()]);
    paths.extend(delivery.server_ca_files.iter().cloned());
    paths.extend(config.issuers.iter().map(|issuer| issuer.jwks_file.clone()));
    paths
}

fn stamps(paths: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: PathBuf| {
        let metadata = std::fs::metadata(&path).ok();
        (path, metadata.map(|metadata| (metadata.ino(), metadata.ctime(), metadata.ctime_nsec(), metadata.len())))
    };
    // A folder that cannot be read is reported when its files are.
    files(paths).unwrap_or_default().into_iter().map(stamp).collect()
}
