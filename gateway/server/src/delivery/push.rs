//! Push: workers that take due deliveries to their destinations' servers. One worker for each channel with an endpoint,
//! so that a slow destination holds up nobody else; within a channel one by one, so that order is kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tsunagi_adapters::{Envelope, Reply, adapter};
use tsunagi_core::audit::{Action, EventOutcome};
use tsunagi_core::delivery::Outcome;
use tsunagi_core::disclosure::{Disclosure, OutboundCall};
use tsunagi_core::exchange::DeliveryState;
use tsunagi_core::id::{BatchId, ChannelId};
use tsunagi_core::registry::{Channel, Mode};
use tsunagi_store::coordinator::Notice;
use tsunagi_store::{ClaimRequest, Claimed, Note, SettledState, Settlement, StoreError};

use super::hand_over::{event, held, prepare};
use crate::clock::date_in_japan;
use crate::gateway::Gateway;
use crate::pipeline::lookup::{content_type, shape};

/// Deliveries that one claim leases: few, so that a lease outlasts their sending.
const CLAIM: usize = 8;

/// Runs until told to stop; attempts under way are finished.
pub async fn run(gateway: Arc<Gateway>, mut stopping: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(gateway.config.delivery.poll_interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut grew = gateway.coordinator.listen(Notice::OutboxGrew);
    let mut busy: BTreeSet<ChannelId> = BTreeSet::new();
    let mut workers: JoinSet<ChannelId> = JoinSet::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            Ok(()) = grew.changed() => {}
            Some(ended) = workers.join_next() => {
                match ended {
                    Ok(channel) => { busy.remove(&channel); }
                    Err(error) => {
                        tracing::error!(%error, "a delivery worker died");
                        busy.clear();
                        workers.abort_all();
                    }
                }
                continue;
            }
            _ = stopping.changed() => break,
        }
        let today = gateway.clock.today();
        let registry = gateway.registry.load_full();
        let open = registry.channels().filter(|c| c.mode == Mode::Deliver && c.endpoint.is_some() && c.is_open(today));
        for channel in open.filter(|channel| !busy.contains(&channel.id)).cloned().collect::<Vec<_>>() {
            busy.insert(channel.id.clone());
            let (gateway, stopping) = (gateway.clone(), stopping.clone());
            workers.spawn(async move {
                drain_channel(&gateway, &channel, &stopping).await;
                channel.id.clone()
            });
        }
    }
    while workers.join_next().await.is_some() {}
}

/// Sends what is due on one channel until nothing is.
async fn drain_channel(gateway: &Gateway, channel: &Channel, stopping: &watch::Receiver<bool>) {
    while !*stopping.borrow() {
        let now = gateway.clock.now();
        let batch = BatchId::new(now, gateway.clock.entropy());
        let claim = ClaimRequest {
            channels: vec![channel.id.clone()],
            limit: CLAIM,
            now,
            lease_until: now + signed(gateway.config.delivery.lease),
            batch: batch.clone(),
        };
        let claimed = match gateway.store.claim_due(&channel.tenant, claim).await {
            Ok(claimed) if claimed.is_empty() => return,
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(channel = %channel.id, %error, "deliveries could not be claimed");
                return;
            }
        };
        let mut waiting = BTreeSet::new();
        for one in claimed {
            // Order: once one of a subject did not arrive, the later ones of this claim wait behind it.
            if waiting.contains(&one.record.subject)
                || now + signed(gateway.config.delivery.lease) < gateway.clock.now()
            {
                let released = release(gateway, channel, &one, "waits_behind_earlier");
                settle(gateway, channel, &batch, released).await;
                continue;
            }
            let settlement = attempt(gateway, channel, &one).await;
            if settlement.state != SettledState::Ended(DeliveryState::Delivered)
                && settlement.state != SettledState::Ended(DeliveryState::Rejected)
            {
                waiting.insert(one.record.subject.clone());
            }
            settle(gateway, channel, &batch, settlement).await;
        }
    }
}

/// One attempt: decide, encode, the leaf, the bytes, the reply.
async fn attempt(gateway: &Gateway, channel: &Channel, one: &Claimed) -> Settlement {
    let at = gateway.clock.now();
    let hold = |reason: &str| held(one, channel, reason, at);
    let tables = gateway.tables.load_full();
    let Some(layout) = tables.layout(&channel.layout) else { return hold("layout_unknown") };
    let Ok(adapter) = adapter(layout.format()) else { return hold("format_unknown") };
    let registry = gateway.registry.load_full();
    let Some(endpoint) = channel.endpoint.as_ref().and_then(|id| registry.endpoint(id)) else {
        return hold("endpoint_unknown");
    };
    let ready = match prepare(gateway, &tables, channel, layout, one, 1, at) {
        Ok(ready) => ready,
        Err(reason) => return hold(&reason.reason),
    };
    let shape = shape(layout, Envelope::Single);
    let documents = std::slice::from_ref(&ready.document);
    let Ok(bytes) = adapter.encode(documents, &shape) else {
        gateway.coverage.add_unmappable(date_in_japan(at), &channel.id, adapter, (documents, &shape));
        return hold("unmappable");
    };
    let outbound = OutboundCall {
        recipient: channel.participant.clone(),
        records: vec![one.record.id.clone()],
        content_type: content_type(adapter.media_type(), &shape.charset),
        bytes,
    };
    let Ok(call) = Disclosure::bind(vec![ready.disclosure], outbound) else { return hold("permit_does_not_fit") };
    let note = Note {
        events: vec![ready.event],
        rests_on: vec![(one.record.subject.clone(), one.subject_version)],
        directive: None,
    };
    match gateway.store.note(&channel.tenant, note).await {
        Ok(_) => {}
        // The subject changed under the attempt: nothing left, decide again at once.
        Err(StoreError::Stale) => return release(gateway, channel, one, "changed_meanwhile"),
        Err(error) => {
            tracing::warn!(delivery = %one.delivery.id, %error, "the leaf could not be written; nothing was sent");
            return retry(gateway, channel, one, "store_unavailable", None);
        }
    }
    let transport = gateway.transport.load_full();
    match transport.send(&endpoint.url, &one.delivery.id, call).await {
        Ok(reply) => {
            let read = Reply { status: reply.status, retry_after_secs: reply.retry_after_secs, bytes: &reply.body };
            settled(gateway, channel, one, adapter.interpret(&read))
        }
        Err(error) => {
            tracing::info!(delivery = %one.delivery.id, endpoint = %endpoint.id, %error, "not delivered");
            retry(gateway, channel, one, "no_reply", None)
        }
    }
}

fn settled(gateway: &Gateway, channel: &Channel, one: &Claimed, outcome: Outcome) -> Settlement {
    let at = gateway.clock.now();
    match outcome {
        Outcome::Delivered => Settlement {
            delivery: one.delivery.id.clone(),
            state: SettledState::Ended(DeliveryState::Delivered),
            outcome: "delivered".to_owned(),
            event: event(at, Action::DeliverySettled, EventOutcome::Done, one, channel),
        },
        Outcome::Rejected { code } => {
            let mut event = event(at, Action::DeliverySettled, EventOutcome::Denied, one, channel);
            event.reason = Some(format!("rejected:{code}"));
            Settlement {
                delivery: one.delivery.id.clone(),
                state: SettledState::Ended(DeliveryState::Rejected),
                outcome: code,
                event,
            }
        }
        Outcome::Retry { after_secs } => {
            retry(gateway, channel, one, "asked_to_retry", after_secs.map(|s| Duration::from_secs(s.into())))
        }
    }
}

fn retry(gateway: &Gateway, channel: &Channel, one: &Claimed, why: &str, asked: Option<Duration>) -> Settlement {
    let at = gateway.clock.now();
    let [jitter, ..] = gateway.clock.entropy();
    let wait = gateway.config.delivery.schedule.wait_after(one.delivery.attempts, jitter, asked);
    let mut event = event(at, Action::DeliverySettled, EventOutcome::Failed, one, channel);
    let state = match wait {
        Some(wait) => {
            event.reason = Some(format!("retry:{why}"));
            SettledState::RetryAt(at + signed(wait))
        }
        None => {
            event.reason = Some(format!("dead:{why}"));
            metrics::counter!("tsunagi_dead_letters_total").increment(1);
            SettledState::Ended(DeliveryState::Dead)
        }
    };
    Settlement { delivery: one.delivery.id.clone(), state, outcome: why.to_owned(), event }
}

/// Gives a lease back unused: the delivery is due again at once, and nothing counts as tried.
fn release(gateway: &Gateway, channel: &Channel, one: &Claimed, why: &str) -> Settlement {
    let mut event = event(gateway.clock.now(), Action::DeliverySettled, EventOutcome::Failed, one, channel);
    event.reason = Some(why.to_owned());
    Settlement { delivery: one.delivery.id.clone(), state: SettledState::Released, outcome: why.to_owned(), event }
}

async fn settle(gateway: &Gateway, channel: &Channel, batch: &BatchId, settlement: Settlement) {
    let delivery = settlement.delivery.clone();
    let outcome = settlement.outcome.clone();
    // If this fails the lease runs out and the delivery is tried again: at least once, never lost.
    match gateway.store.settle(&channel.tenant, batch, vec![settlement]).await {
        Ok(_) => metrics::counter!("tsunagi_attempts_total").increment(1),
        Err(error) => tracing::warn!(%delivery, %outcome, %error, "an attempt could not be recorded"),
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
