//! Retention (保存期間): what has been kept for as long as its kind says goes, in pieces, with an event that counts it.
//!
//! A sweep runs when a node starts and once a day from then on, and by `tsunagi store purge`. On several nodes each sweeps;
//! the later ones find nothing. A sweep that fails is an alarm: a metric, a word in `/readyz`, a line in the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{Timestamp, ToSpan};
use tokio::sync::watch;
use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::id::TenantId;
use tsunagi_mappings::Tables;
use tsunagi_store::{Purge, PurgePlace, Purged, Retention, Storage, StoreError};

use crate::clock::{date_in_japan, start_in_japan};
use crate::config::RetentionConfig;
use crate::gateway::Gateway;

/// Records, rows or deliveries that one transaction looks at: others write between two of them.
const PIECE: usize = 100;
/// How long others have for that at least.
const PAUSE: Duration = Duration::from_millis(5);

/// How the last sweep ended.
#[derive(Debug, Default)]
pub struct RetentionState(Mutex<Option<String>>);

impl RetentionState {
    /// Why it failed, if it did.
    pub fn fault(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a sweep goes by.
pub struct Sweep<'s> {
    /// The store.
    pub store: &'s dyn Storage,
    /// The kinds.
    pub tables: &'s Tables,
    /// How long what is of no kind is kept.
    pub config: &'s RetentionConfig,
    /// Now.
    pub now: Timestamp,
    /// Counts, and changes nothing.
    pub is_rehearsal: bool,
}

impl Sweep<'_> {
    /// Goes through all tenants, to the end or until `goes_on` says no; gives what was over of each.
    pub async fn run(&self, goes_on: impl Fn(&Purged) -> bool) -> Result<BTreeMap<TenantId, Purged>, StoreError> {
        let mut of_tenants = BTreeMap::new();
        for tenant in self.store.logs().await? {
            let mut all = Purged::default();
            let mut place = Some(PurgePlace::Deliveries(None));
            while let Some(from) = place {
                all.add(self.store.purge(&tenant, self.piece(from)).await?);
                place = all.next.clone();
                if !goes_on(&all) {
                    of_tenants.insert(tenant, all);
                    return Ok(of_tenants);
                }
                tokio::time::sleep(PAUSE).await;
            }
            of_tenants.insert(tenant, all);
        }
        Ok(of_tenants)
    }

    fn piece(&self, place: PurgePlace) -> Purge {
        let today = date_in_japan(self.now);
        let kinds = self.tables.kinds().filter_map(|kind| {
            let happened_before = today.checked_sub(i32::from(kind.retention_years).years()).ok()?;
            let recorded_before = start_in_japan(happened_before)?;
            let (kind, occurrence) = (kind.name.clone(), kind.occurrence.clone());
            Some(Retention { kind, occurrence, happened_before, recorded_before })
        });
        let kept = jiff::SignedDuration::try_from(self.config.exchanges).unwrap_or(jiff::SignedDuration::MAX);
        Purge {
            kinds: kinds.collect(),
            exchanges_before: self.now.checked_sub(kept).unwrap_or(Timestamp::MIN),
            place,
            limit: PIECE,
            is_rehearsal: self.is_rehearsal,
            event: AuditEvent::new(self.now, Action::RecordsPurged, EventOutcome::Done, Agent::default()),
        }
    }
}

/// Sweeps until told to stop.
pub async fn run(gateway: Arc<Gateway>, mut stopping: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(gateway.config.retention.sweep_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => sweep(&gateway, gateway.clock.now(), &stopping).await,
            _ = stopping.changed() => return,
        }
    }
}

/// Sweeps once, and says how it went.
pub async fn sweep(gateway: &Gateway, now: Timestamp, stopping: &watch::Receiver<bool>) {
    let tables = gateway.tables.load_full();
    let (store, config) = (gateway.store.as_ref(), &gateway.config.retention);
    let swept = Sweep { store, tables: &tables, config, now, is_rehearsal: false };
    let swept = swept.run(|_| !*stopping.borrow()).await;
    let failed = metrics::gauge!("tsunagi_sweep_failed");
    let fault = match swept {
        Ok(of_tenants) => {
            count(of_tenants.values(), now);
            for (tenant, purged) in of_tenants.iter().filter(|(_, purged)| purged.is_something()) {
                tracing::info!(%tenant, purged = purged.told(), "what is over was removed");
            }
            failed.set(0.0);
            None
        }
        Err(error) => {
            tracing::error!(%error, "what is over could not be removed");
            failed.set(1.0);
            Some(error.to_string())
        }
    };
    *gateway.retention.0.lock().unwrap_or_else(PoisonError::into_inner) = fault;
}

fn count<'p>(of_tenants: impl Iterator<Item = &'p Purged>, now: Timestamp) {
    let mut oldest = now;
    for purged in of_tenants {
        for (what, number) in [
            ("delivery", purged.deliveries),
            ("record", purged.records),
            ("refused_row", purged.refused_rows),
            ("version", purged.versions),
        ] {
            metrics::counter!("tsunagi_purged_total", "what" => what).increment(number);
        }
        metrics::counter!("tsunagi_purged_bytes_total").increment(purged.bytes);
        oldest = purged.oldest.map_or(oldest, |at| at.min(oldest));
    }
    metrics::gauge!("tsunagi_oldest_record_seconds").set((now.as_second() - oldest.as_second()) as f64);
}
