//! The forecast of a running gateway: a metric, a field of `/readyz` and a line in the log when something nears its end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use super::{Line, What, forecast, gather};
use crate::gateway::Gateway;

/// How often files and ledger are looked at.
const INTERVAL: Duration = Duration::from_secs(60);

/// So many days ahead a certificate or CA is warned of.
const DAYS_AHEAD: [u32; 4] = [1, 7, 14, 30];
/// And a revocation list, which is signed anew all the time.
const DAYS_AHEAD_OF_LIST: [u32; 2] = [1, 3];

/// What nears its end, without saying whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expiring {
    /// What ends.
    pub what: What,
    /// Within so many days; 0 once it has ended.
    pub within_days: u32,
    /// How many.
    pub count: usize,
}

/// What was found last.
#[derive(Debug, Default)]
pub struct ExpiryState {
    /// By what and whose: the warning that stands.
    standing: Mutex<BTreeMap<(What, String), u32>>,
}

impl ExpiryState {
    /// For `/readyz`. A hub with something in it is ready all the same: it works until the day.
    pub fn expiring(&self) -> Vec<Expiring> {
        let mut counts: BTreeMap<(u32, What), usize> = BTreeMap::new();
        for ((what, _), within) in self.standing.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            *counts.entry((*within, *what)).or_default() += 1;
        }
        counts.into_iter().map(|((within_days, what), count)| Expiring { what, within_days, count }).collect()
    }

    /// Takes over what the lines say and gives those that have come nearer since the last time, with their warnings.
    pub fn update<'a>(&self, lines: &'a [Line]) -> Vec<(u32, &'a Line)> {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = BTreeMap::new();
        let mut nearer = Vec::new();
        for line in lines {
            let Some(within) = warning(line) else { continue };
            let key = (line.what, line.name.clone());
            if standing.get(&key).is_none_or(|before| within < *before) {
                nearer.push((within, line));
            }
            // Of several in one file the first to end counts.
            now.entry(key).and_modify(|least: &mut u32| *least = within.min(*least)).or_insert(within);
        }
        *standing = now;
        nearer
    }
}

/// The nearest of the marks that the line has passed.
fn warning(line: &Line) -> Option<u32> {
    let marks: &[u32] = if line.what == What::Crl { &DAYS_AHEAD_OF_LIST } else { &DAYS_AHEAD };
    let has_ended = line.is_within(0);
    if has_ended { Some(0) } else { marks.iter().copied().find(|days| line.is_within(*days)) }
}

/// Looks until told to stop.
pub async fn run(gateway: Arc<Gateway>, mut stopping: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => look(&gateway).await,
            _ = stopping.changed() => return,
        }
    }
}

/// Looks once.
pub async fn look(gateway: &Arc<Gateway>) {
    let (reader, registry) = (gateway.clone(), gateway.registry.load().as_ref().clone());
    let facts = match tokio::task::spawn_blocking(move || gather::read(&reader.config, registry)).await {
        Ok(Ok(facts)) => facts,
        Ok(Err(error)) => return tracing::warn!(%error, "what ends when cannot be told"),
        Err(error) => return tracing::warn!(%error, "what ends when was not read"),
    };
    let now = gateway.clock.now();
    let lines = forecast(&facts, now);
    let mut first: BTreeMap<What, i64> = BTreeMap::new();
    for (what, ends) in lines.iter().filter_map(|line| line.ends.map(|ends| (line.what, ends))) {
        let left = ends.as_second() - now.as_second();
        first.entry(what).and_modify(|least| *least = left.min(*least)).or_insert(left);
    }
    for (what, left) in first {
        metrics::gauge!("tsunagi_certificate_expires_seconds", "what" => what.as_str()).set(left as f64);
    }
    for (within, line) in gateway.expiry.update(&lines) {
        let (what, name, channels) = (line.what.as_str(), line.name.as_str(), line.channels.len());
        let day = line.day.map(|day| day.to_string()).unwrap_or_default();
        match within {
            0 => tracing::error!(what, name, day, channels, "has ended"),
            days => tracing::warn!(what, name, day, channels, "ends within {days} days"),
        }
    }
}
