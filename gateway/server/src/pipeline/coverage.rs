//! What live traffic could not map (対応漏れ), counted as it passes; see [`tsunagi_core::coverage`].
//!
//! Counts are kept in memory and written every few seconds and at drain, so that no request waits for them or fails by
//! them. A crash loses those of the last seconds: they are there to rank by, not to prove with.

mod tally;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::civil::Date;
use tokio::sync::watch;
use tsunagi_adapters::{Adapter, Shape};
use tsunagi_core::coverage::Coverage;
use tsunagi_core::document::Document;
use tsunagi_core::id::ChannelId;
use tsunagi_core::record::Record;
use tsunagi_mappings::{Layout, Tables};

pub use tally::{Passing, Tally};

use crate::gateway::Gateway;

/// How often counts are written.
const INTERVAL: Duration = Duration::from_secs(5);

/// Counts that are not in the store yet, by the day in Japan on which they were met. Of each channel and day there are
/// as many as [`Coverage`] tells apart, whoever sends what.
#[derive(Debug, Default)]
pub struct Unwritten(Mutex<BTreeMap<Date, Coverage>>);

impl Unwritten {
    /// Adds what was met on a day, to the metric too.
    pub fn add(&self, day: Date, met: Coverage) {
        if met.is_empty() {
            return;
        }
        for (gap, rows) in met.iter() {
            let (kind, channel) = (gap.kind.as_str(), gap.channel.to_string());
            metrics::counter!("tsunagi_unmapped_rows_total", "kind" => kind, "channel" => channel).increment(rows);
        }
        self.keep(day, met);
    }

    /// Adds the hub's codes for which a record could not be written in the layout of a channel.
    pub fn add_unwritable(
        &self,
        day: Date,
        channel: &ChannelId,
        (tables, layout): (&Tables, &Layout),
        record: &Record,
    ) {
        let mut met = Coverage::default();
        for one in tables.unwritable_codes(layout, record, day) {
            met.code(channel, &one.column, one.code.as_deref());
        }
        self.add(day, met);
    }

    /// Adds the characters for which documents could not be written in the charset of a channel's layout.
    pub fn add_unmappable(
        &self,
        day: Date,
        channel: &ChannelId,
        adapter: &dyn Adapter,
        (documents, shape): (&[Document], &Shape),
    ) {
        let mut met = Coverage::default();
        for one in adapter.unmappable(documents, shape) {
            met.character(channel, &one.column, one.character);
        }
        self.add(day, met);
    }

    fn keep(&self, day: Date, met: Coverage) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(day).or_default().merge(met);
    }

    fn take(&self) -> BTreeMap<Date, Coverage> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes until told to stop. The last write comes when everything else has ended: see [`crate::gateway::Running::drain`].
pub async fn run(gateway: Arc<Gateway>, mut stopping: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => write(&gateway).await,
            _ = stopping.changed() => return,
        }
    }
}

/// Writes what was counted. What cannot be written is kept for the next time.
pub async fn write(gateway: &Gateway) {
    for (day, met) in gateway.coverage.take() {
        if let Err(error) = gateway.store.add_coverage(day, met.clone()).await {
            tracing::warn!(%error, "counts of what could not be mapped are not written yet");
            gateway.coverage.keep(day, met);
        }
    }
}
