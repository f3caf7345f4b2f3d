//! The technical log and the metrics. Neither holds personal data: labels are participants' roles, codes and kinds.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use http::StatusCode;
use metrics::{Counter, Histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

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

/// What is counted of the answers of one class with one status.
type Answers = (Counter, Histogram);

/// Kept from the first answer on: to find them by their labels takes longer than to count.
static ANSWERS: RwLock<BTreeMap<(&str, u16), Answers>> = RwLock::new(BTreeMap::new());

/// Counts an answer of a class of endpoints.
pub(crate) fn answered(class: &'static str, status: StatusCode, took: Duration) {
    let count = |(answers, seconds): &Answers| {
        answers.increment(1);
        seconds.record(took.as_secs_f64());
    };
    let key = (class, status.as_u16());
    if let Some(known) = ANSWERS.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return count(known);
    }
    // A handle that is made before the recorder counts nothing, for good.
    recorder();
    let status = status.as_u16().to_string();
    let made = (
        metrics::counter!("tsunagi_requests_total", "class" => class, "status" => status),
        metrics::histogram!("tsunagi_request_seconds", "class" => class),
    );
    count(&made);
    ANSWERS.write().unwrap_or_else(PoisonError::into_inner).insert(key, made);
}

/// How often one kind of line may be in the log where a peer decides how often it is said.
const SAY_AGAIN: Duration = Duration::from_secs(1);

/// When each kind of line was last in the log, so that no peer can fill the disk with them. Metrics count all.
#[derive(Debug)]
pub(crate) struct Said(Mutex<BTreeMap<&'static str, (Instant, u64)>>);

impl Said {
    /// Nothing was said yet.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// If a line of the kind may be said now: how many were not since the last one.
    pub(crate) fn may_say(&self, kind: &'static str) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match said.get_mut(kind) {
            Some((last, unsaid)) if last.elapsed() < SAY_AGAIN => {
                *unsaid += 1;
                None
            }
            before => {
                let unsaid = before.map_or(0, |(_, unsaid)| *unsaid);
                said.insert(kind, (Instant::now(), 0));
                Some(unsaid)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_line_is_said_once_and_the_others_beside_it() {
        let said = Said::new();
        assert_eq!(said.may_say("expired"), Some(0));
        assert_eq!(said.may_say("expired"), None);
        assert_eq!(said.may_say("expired"), None);
        assert_eq!(said.may_say("revoked"), Some(0));
        let a_second_ago = Instant::now().checked_sub(SAY_AGAIN).unwrap();
        said.0.lock().unwrap().get_mut("expired").unwrap().0 = a_second_ago;
        assert_eq!(said.may_say("expired"), Some(2));
        assert_eq!(said.may_say("expired"), None);
    }
}
