//! The technical log and the metrics. Neither holds personal data: labels are participants' roles, codes and kinds.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tsunagi_core::exchange::{RowResult, RowState};

use crate::config::Config;

/// Bounds of the histograms, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0];

static METRICS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Starts the technical log on standard error. Later calls in one process change nothing.
pub fn start_log(config: &Config) {
    let filter = EnvFilter::try_new(&config.log_filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if config.log_json { builder.json().try_init() } else { builder.try_init() };
    if started.is_err() {
        tracing::debug!("a log is running already");
    }
}

/// The metrics in Prometheus' text form. The recorder belongs to the process and is made at the first call.
pub fn render_metrics() -> String {
    recorder().as_ref().map(PrometheusHandle::render).unwrap_or_default()
}

/// Makes the recorder, so that what happens from now on is counted.
pub fn start_metrics() {
    if recorder().is_none() {
        tracing::warn!("another metrics recorder is installed; /metrics stays empty");
    }
}

fn recorder() -> &'static Option<PrometheusHandle> {
    METRICS.get_or_init(|| {
        let builder = PrometheusBuilder::new().set_buckets(&SECONDS).ok()?;
        builder.install_recorder().ok()
    })
}

/// Counts rows by what became of them.
pub fn count_rows(rows: &[RowResult]) {
    for row in rows {
        let state = match row.state {
            RowState::Accepted { .. } => "accepted",
            RowState::Refused => "refused",
            RowState::Unchanged { .. } => "unchanged",
            RowState::Waiting => "waiting",
        };
        metrics::counter!("tsunagi_rows_total", "state" => state).increment(1);
    }
}
