//! The mailbox (受取箱): a municipality takes what waits for it and acknowledges it; no port need be opened inward.

use std::collections::BTreeSet;

use tsunagi_adapters::{Envelope, adapter};
use tsunagi_core::audit::{Action, EventOutcome};
use tsunagi_core::disclosure::{Disclosure, OutboundCall, PermittedCall};
use tsunagi_core::exchange::DeliveryState;
use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::{BatchId, FormatName, LayoutId, TenantId};
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::{Channel, Mode};
use tsunagi_mappings::{Layout, Tables};
use tsunagi_store::{ClaimRequest, Claimed, Note, SettledState, Settlement, StoreError};

use super::hand_over::{Ready, held, prepare};
use crate::gateway::Gateway;
use crate::pipeline::lookup::{content_type, shape};
use crate::pipeline::{Call, refusal_of};

/// How often a pull starts over because a subject changed under it.
const TRIES: usize = 5;

/// The most deliveries one answer carries.
pub const MOST: usize = 1_000;

/// One answer of the mailbox: deliveries of one channel, in one layout.
pub struct Batch {
    /// What it is acknowledged by.
    pub id: BatchId,
    /// The channel it came through.
    pub channel: Channel,
    /// The layout it is written in.
    pub layout: LayoutId,
    /// How many rows it has.
    pub rows: usize,
    /// The rows in which characters were written otherwise, from 1.
    pub shrunk: Vec<u64>,
    /// The bytes.
    pub call: PermittedCall,
}

/// Takes the next batch for the caller, or nothing. `wanted` is the wire format that `Accept` names, if it names one.
pub async fn pull(
    gateway: &Gateway,
    call: &Call,
    wanted: Option<&FormatName>,
    limit: usize,
) -> Result<Option<Batch>, Refusal> {
    let tables = gateway.tables.load_full();
    let registry = gateway.registry.load_full();
    let open = registry.open_channels(&call.caller.participant.id, Mode::Deliver, call.today);
    for channel in open.filter(|channel| channel.endpoint.is_none()) {
        let Some(layout) = layout_for(&tables, channel, wanted) else { continue };
        let mut pulled = Pulled::Changed;
        for _ in 0..TRIES {
            pulled = pull_channel(gateway, call, &tables, channel, layout, limit).await?;
            if !matches!(pulled, Pulled::Changed) {
                break;
            }
        }
        match pulled {
            Pulled::Batch(batch) => return Ok(Some(*batch)),
            Pulled::Changed => return Err(Refusal::Unavailable),
            Pulled::Nothing => {}
        }
    }
    Ok(None)
}

/// What one try at a channel gave.
enum Pulled {
    Batch(Box<Batch>),
    /// A subject changed between claim and leaf; the leases were given back.
    Changed,
    Nothing,
}

/// The channel's own layout, or the one layout of the wanted format for its kind.
fn layout_for<'a>(tables: &'a Tables, channel: &Channel, wanted: Option<&FormatName>) -> Option<&'a Layout> {
    let own = tables.layout(&channel.layout)?;
    match wanted {
        None => Some(own),
        Some(format) if own.format() == format => Some(own),
        Some(format) => {
            let mut fitting = tables.layouts().filter(|l| l.format() == format && *l.kind() == channel.kind);
            let only = fitting.next()?;
            fitting.next().is_none().then_some(only)
        }
    }
}

async fn pull_channel(
    gateway: &Gateway,
    call: &Call,
    tables: &Tables,
    channel: &Channel,
    layout: &Layout,
    limit: usize,
) -> Result<Pulled, Refusal> {
    let id = BatchId::new(call.at, gateway.clock.entropy());
    let lease = jiff::SignedDuration::try_from(gateway.config.delivery.lease).unwrap_or(jiff::SignedDuration::ZERO);
    let claim = ClaimRequest {
        channels: vec![channel.id.clone()],
        limit: limit.clamp(1, MOST),
        now: call.at,
        lease_until: call.at.checked_add(lease).unwrap_or(call.at),
        batch: id.clone(),
    };
    let mut claimed = gateway.store.claim_due(&channel.tenant, claim).await.map_err(refusal_of)?;
    let mut had_holds = false;
    loop {
        if claimed.is_empty() {
            // Those that were held made room for others that are due.
            return Ok(if had_holds { Pulled::Changed } else { Pulled::Nothing });
        }
        let (ready, holds) = sort_out(gateway, tables, channel, layout, &claimed, call);
        match encode(gateway, channel, layout, ready, holds, &claimed, call)? {
            Encoded::Holds(settlements) => {
                had_holds = true;
                // Those that cannot go are held for repair, and with them what follows of their subjects; the others
                // are not kept waiting.
                let gone: BTreeSet<_> = settlements.iter().map(|s| s.delivery.clone()).collect();
                gateway.store.settle(&channel.tenant, &id, settlements).await.map_err(refusal_of)?;
                let blocked: BTreeSet<_> = claimed
                    .iter()
                    .filter(|c| gone.contains(&c.delivery.id))
                    .map(|c| c.record.subject.clone())
                    .collect();
                let behind =
                    claimed.iter().filter(|c| blocked.contains(&c.record.subject) && !gone.contains(&c.delivery.id));
                give_back(gateway, channel, &id, behind, "waits_behind_held", call).await?;
                claimed.retain(|c| !blocked.contains(&c.record.subject));
            }
            Encoded::Payload { call: outbound, events, shrunk } => {
                let rests_on = claimed.iter().map(|c| (c.record.subject.clone(), c.subject_version)).collect();
                let note = Note { events, rests_on, directive: None };
                match gateway.store.note(&channel.tenant, note).await {
                    Ok(_) => {
                        let rows = claimed.len();
                        let (channel, layout) = (channel.clone(), layout.id().clone());
                        let batch = Batch { id, channel, layout, rows, shrunk, call: outbound };
                        return Ok(Pulled::Batch(Box::new(batch)));
                    }
                    Err(StoreError::Stale) => {
                        give_back(gateway, channel, &id, claimed.iter(), "changed_meanwhile", call).await?;
                        return Ok(Pulled::Changed);
                    }
                    Err(error) => return Err(refusal_of(error)),
                }
            }
        }
    }
}

fn sort_out(
    gateway: &Gateway,
    tables: &Tables,
    channel: &Channel,
    layout: &Layout,
    claimed: &[Claimed],
    call: &Call,
) -> (Vec<Ready>, Vec<Settlement>) {
    let mut ready = Vec::new();
    let mut holds = Vec::new();
    for (row, one) in (1u64..).zip(claimed) {
        match prepare(gateway, tables, channel, layout, one, row, call.at) {
            Ok(found) => ready.push(found),
            Err(hold) => holds.push(held(one, channel, &hold.reason, call.at)),
        }
    }
    (ready, holds)
}

enum Encoded {
    /// Some cannot go.
    Holds(Vec<Settlement>),
    /// All of them, as bytes, with their events.
    Payload { call: PermittedCall, events: Vec<tsunagi_core::audit::AuditEvent>, shrunk: Vec<u64> },
}

fn encode(
    gateway: &Gateway,
    channel: &Channel,
    layout: &Layout,
    ready: Vec<Ready>,
    mut holds: Vec<Settlement>,
    claimed: &[Claimed],
    call: &Call,
) -> Result<Encoded, Refusal> {
    let adapter = adapter(layout.format()).map_err(|_| Refusal::Internal)?;
    let shape = shape(layout, Envelope::Batch);
    let (mut documents, mut disclosures, mut events) = (Vec::new(), Vec::new(), Vec::new());
    let shrunk = ready.iter().filter(|one| one.is_shrunk).map(|one| one.document.row).collect();
    for one in ready {
        documents.push(one.document);
        disclosures.push(one.disclosure);
        events.push(one.event);
    }
    let bytes = match adapter.encode(&documents, &shape) {
        Ok(bytes) => bytes,
        Err(faults) => {
            gateway.coverage.add_unmappable(call.today, &channel.id, adapter, (&documents, &shape));
            let rows: BTreeSet<u64> = faults.iter().map(|fault| fault.row).collect();
            let unmappable = (1u64..).zip(claimed).filter(|(row, _)| rows.contains(row));
            holds.extend(unmappable.map(|(_, one)| held(one, channel, "unmappable", call.at)));
            Vec::new()
        }
    };
    if !holds.is_empty() {
        return Ok(Encoded::Holds(holds));
    }
    let outbound = OutboundCall {
        recipient: channel.participant.clone(),
        records: disclosures.iter().flat_map(|d| d.records()).map(|held| held.id.clone()).collect(),
        content_type: content_type(adapter.media_type(), &shape.charset),
        bytes,
    };
    let call = Disclosure::bind(disclosures, outbound).map_err(|fault| {
        tracing::error!(%fault, "a mailbox answer does not belong to its permits");
        Refusal::Internal
    })?;
    Ok(Encoded::Payload { call, events, shrunk })
}

/// Gives leases back unused.
async fn give_back(
    gateway: &Gateway,
    channel: &Channel,
    batch: &BatchId,
    claimed: impl Iterator<Item = &Claimed>,
    why: &str,
    call: &Call,
) -> Result<(), Refusal> {
    let settlements: Vec<Settlement> = claimed
        .map(|one| {
            let mut event =
                super::hand_over::event(call.at, Action::DeliverySettled, EventOutcome::Failed, one, channel);
            event.reason = Some(why.to_owned());
            Settlement {
                delivery: one.delivery.id.clone(),
                state: SettledState::Released,
                outcome: why.to_owned(),
                event,
            }
        })
        .collect();
    if !settlements.is_empty() {
        gateway.store.settle(&channel.tenant, batch, settlements).await.map_err(refusal_of)?;
    }
    Ok(())
}

/// Ends a batch: all delivered but the rows named, which are rejected with their codes. Gives how many ended by this
/// call; a batch whose lease is over and was taken again ends none.
pub async fn acknowledge(
    gateway: &Gateway,
    call: &Call,
    tenant: &TenantId,
    batch: &BatchId,
    rejected: &[(u64, String)],
) -> Result<usize, Refusal> {
    let deliveries = gateway.store.batch(tenant, batch).await.map_err(refusal_of)?;
    let is_in_batch = |row: u64| (1..=deliveries.len() as u64).contains(&row);
    if !deliveries.is_empty() && rejected.iter().any(|(row, _)| !is_in_batch(*row)) {
        return Err(Refusal::Malformed(Bilingual::new(
            "rejected[].row がこの受取分の行番号ではありません",
            "rejected[].row is not a row of this batch",
        )));
    }
    let settlements = (1u64..)
        .zip(deliveries)
        .map(|(row, delivery)| {
            let code = rejected.iter().find(|(number, _)| *number == row).map(|(_, code)| code.clone());
            let mut event = call.event(Action::DeliverySettled, EventOutcome::Done);
            event.exchange = Some(delivery.exchange.clone());
            event.row = Some(delivery.row);
            event.records = vec![(delivery.record.clone(), delivery.version)];
            event.channel = Some(delivery.channel.clone());
            event.delivery = Some(delivery.id.clone());
            let (state, outcome) = match code {
                Some(code) => {
                    event.outcome = EventOutcome::Denied;
                    event.reason = Some(format!("rejected:{code}"));
                    (DeliveryState::Rejected, code)
                }
                None => (DeliveryState::Delivered, "acknowledged".to_owned()),
            };
            Settlement { delivery: delivery.id, state: SettledState::Ended(state), outcome, event }
        })
        .collect::<Vec<_>>();
    if settlements.is_empty() {
        return Ok(0);
    }
    gateway.store.settle(tenant, batch, settlements).await.map_err(refusal_of)
}
