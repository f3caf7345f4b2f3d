//! The promise in code: what must hold of a store whatever happened before.

use std::collections::{BTreeMap, BTreeSet};

use tsunagi_core::audit::{Action, AuditEvent, EventOutcome};
use tsunagi_core::exchange::{DeliveryState, DeliveryView};
use tsunagi_core::id::TenantId;
use tsunagi_core::registry::{Mode, Registry};
use tsunagi_store::{DeliveryFilter, Storage, SubjectRef};

use crate::Log;

/// More than any test makes.
const ALL: usize = 1_000_000;

/// Reads everything again. To be called on a gateway that was drained: every leaf must be sealed by then.
pub async fn check_invariants(store: &dyn Storage, public_key: &[u8; 32]) {
    let (_, entries) = store.registry().await.expect("the registry");
    let registry = Registry::parse(entries).expect("a registry without faults");
    let tenants: Vec<TenantId> = registry.tenants().map(|tenant| tenant.id.clone()).chain([TenantId::hub()]).collect();
    let mut logs = BTreeMap::new();
    for tenant in &tenants {
        verify(store, tenant, public_key).await;
        logs.insert(tenant.clone(), Log::read(store, tenant.as_str()).await);
    }
    for log in logs.values() {
        for event in &log.events {
            says_why(event);
        }
    }
    let exchanges = store.exchanges(ALL).await.expect("the exchanges");
    let known: BTreeSet<&str> = exchanges.iter().map(|exchange| exchange.id.as_str()).collect();
    for tenant in tenants.iter().filter(|tenant| !tenant.is_hub()) {
        let log = &logs[tenant];
        let index = Index::of(log);
        let deliveries =
            store.deliveries(tenant, &DeliveryFilter { state: None, limit: ALL }).await.expect("deliveries");
        for delivery in &deliveries {
            assert!(known.contains(delivery.exchange.as_str()), "{}: a delivery without an exchange", delivery.id);
            delivery_is_told(delivery, &index);
            for other in tenants.iter().filter(|other| *other != tenant) {
                let seen = store.delivery(other, &delivery.id).await.expect("a read");
                assert!(seen.is_none(), "{}: a delivery of {tenant} is reachable as {other}", delivery.id);
            }
        }
        settlements_are_of_deliveries(log, &deliveries);
        records_stay(store, log, &tenants).await;
    }
    requests_are_in_both(&logs, &registry);
}

async fn verify(store: &dyn Storage, tenant: &TenantId, public_key: &[u8; 32]) {
    let verdict = store.verify(tenant, public_key, &|_| {}).await.expect("the log can be read");
    assert_eq!(verdict.fault, None, "the log of {tenant}");
    assert_eq!(verdict.sealed, verdict.leaves, "the log of {tenant} was not sealed to its end");
}

/// Nothing was disclosed without saying under which permit.
fn says_why(event: &AuditEvent) {
    let discloses =
        matches!(event.action, Action::DeliveryDisclosed | Action::LookupAnswered | Action::RequestAnswered);
    if discloses && event.outcome == EventOutcome::Done && event.reason.as_deref() != Some("own_directives") {
        assert!(!event.bases.is_empty(), "disclosed without a basis: {event:?}");
        assert!(event.policy_version.is_some(), "disclosed by no policy: {event:?}");
        assert!(!event.records.is_empty() && event.subject.is_some(), "disclosed of nobody: {event:?}");
    }
    if event.outcome == EventOutcome::Denied {
        assert!(event.reason.is_some(), "denied without a reason: {event:?}");
    }
}

/// What a log says of each delivery and of each exchange, oldest first.
struct Index<'l> {
    deliveries: BTreeMap<&'l str, Vec<(usize, &'l AuditEvent)>>,
    exchanges: BTreeMap<&'l str, Vec<&'l AuditEvent>>,
}

impl<'l> Index<'l> {
    fn of(log: &'l Log) -> Self {
        let (mut deliveries, mut exchanges) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
        for (at, event) in log.events.iter().enumerate() {
            if let Some(id) = &event.delivery {
                deliveries.entry(id.as_str()).or_default().push((at, event));
            }
            if let Some(id) = &event.exchange {
                exchanges.entry(id.as_str()).or_default().push(event);
            }
        }
        Self { deliveries, exchanges }
    }
}

/// A settled delivery has its event, and one that was delivered was disclosed before.
fn delivery_is_told(delivery: &DeliveryView, log: &Index<'_>) {
    let told = log.deliveries.get(delivery.id.as_str()).map_or(&[][..], Vec::as_slice);
    let place = |action| told.iter().find(|(_, event)| event.action == action).map(|(at, _)| *at);
    // The last one: before it a lease may have been given back, or an attempt may have failed.
    let settled = told.iter().rfind(|(_, event)| event.action == Action::DeliverySettled).map(|(at, _)| *at);
    match delivery.state {
        DeliveryState::Pending => {}
        DeliveryState::Delivered | DeliveryState::Rejected => {
            let disclosed = place(Action::DeliveryDisclosed);
            assert!(disclosed.is_some() && disclosed < settled, "{}: left without a leaf before it", delivery.id);
        }
        DeliveryState::Dead | DeliveryState::Held => {
            assert!(settled.is_some(), "{}: settled without an event", delivery.id);
        }
    }
    let record = log.exchanges.get(delivery.exchange.as_str()).into_iter().flatten().find(|event| {
        matches!(event.action, Action::RecordAccepted | Action::RecordDeleted)
            && event.records.iter().any(|(id, _)| *id == delivery.record)
    });
    assert!(record.is_some(), "{}: a delivery of a record that nobody accepted", delivery.id);
}

/// A settled delivery is there; or it was purged after that, and no more of them are gone than the log says were.
fn settlements_are_of_deliveries(log: &Log, deliveries: &[DeliveryView]) {
    let known: BTreeSet<_> = deliveries.iter().map(|delivery| &delivery.id).collect();
    // From the end: each purge may have taken what was settled before it.
    let (mut purged, mut gone) = (0, BTreeSet::new());
    for event in log.events.iter().rev() {
        match event.action {
            Action::RecordsPurged => purged += deliveries_purged(event),
            Action::DeliverySettled => {
                let id = event.delivery.as_ref().expect("a settlement names its delivery");
                if !known.contains(id) && gone.insert(id) {
                    assert!(gone.len() as u64 <= purged, "{id}: settled and gone, and {purged} were purged since");
                }
            }
            _ => {}
        }
    }
}

/// How many deliveries a purge took, as its leaf says: `… deliveries:N …`.
fn deliveries_purged(event: &AuditEvent) -> u64 {
    let told = event.reason.as_deref().unwrap_or_default();
    let number = told.split(' ').find_map(|word| word.strip_prefix("deliveries:"));
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("a purge that counts nothing: {event:?}"))
}

/// No record of one tenant is reachable as another.
async fn records_stay(store: &dyn Storage, log: &Log, tenants: &[TenantId]) {
    let accepted = log.events.iter().filter(|event| event.action == Action::RecordAccepted);
    for (record, _) in accepted.flat_map(|event| &event.records) {
        for other in tenants.iter().filter(|other| **other != log.tenant) {
            let held = store.held(other, &SubjectRef::Record(record.clone()), &[]).await.expect("a read");
            assert!(held.is_none(), "{record} of {} is reachable as {other}", log.tenant);
        }
    }
}

/// Every request is in both logs; one that was not asked, because no channel leads there, is in the asking one's.
fn requests_are_in_both(logs: &BTreeMap<TenantId, Log>, registry: &Registry) {
    for log in logs.values() {
        for event in &log.events {
            let exchange = event.exchange.as_ref().map_or("", |id| id.as_str());
            match event.action {
                Action::RequestAnswered => {
                    let made = logs.values().flat_map(|other| other.acts(exchange, Action::RequestMade));
                    let made = made
                        .filter(|made| made.counterpart.as_ref() == Some(&log.tenant) && made.kind == event.kind)
                        .count();
                    assert_eq!(made, 1, "{exchange}: {} answered a request that nobody made", log.tenant);
                }
                Action::RequestMade => {
                    let asked = event.counterpart.as_ref().expect("a request names whom it asks");
                    let leads = registry.channels().any(|channel| {
                        channel.mode == Mode::Request
                            && channel.tenant == *asked
                            && Some(&channel.kind) == event.kind.as_ref()
                            && Some(&channel.participant) == event.agent.participant.as_ref()
                    });
                    let answered = logs.get(asked).map_or(0, |log| log.acts(exchange, Action::RequestAnswered).len());
                    assert!(!leads || answered > 0, "{exchange}: {asked} was asked and its log does not say so");
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tsunagi_core::audit::Agent;
    use tsunagi_core::id::DeliveryId;

    use super::*;

    fn log(events: &[(Action, &str)]) -> Log {
        let event = |(action, told): &(Action, &str)| {
            let mut event = AuditEvent::new(jiff::Timestamp::UNIX_EPOCH, *action, EventOutcome::Done, Agent::default());
            event.delivery = DeliveryId::parse(told).ok();
            event.reason = Some((*told).to_owned());
            event
        };
        Log { tenant: "oita".parse().expect("a tenant"), events: events.iter().map(event).collect() }
    }

    const FIRST: (Action, &str) = (Action::DeliverySettled, "dl-00000000000000000000000000000001");
    const SECOND: (Action, &str) = (Action::DeliverySettled, "dl-00000000000000000000000000000002");
    const ONE: (Action, &str) = (Action::RecordsPurged, "records:0 versions:0 refused_rows:0 deliveries:1 bytes:0");

    #[test]
    fn as_many_settled_deliveries_may_be_gone_as_were_purged_since() {
        settlements_are_of_deliveries(&log(&[FIRST, FIRST, ONE]), &[]);
        settlements_are_of_deliveries(&log(&[FIRST, ONE, SECOND, ONE]), &[]);
    }

    #[test]
    #[should_panic(expected = "settled and gone")]
    fn and_no_more() {
        settlements_are_of_deliveries(&log(&[FIRST, SECOND, ONE]), &[]);
    }

    #[test]
    #[should_panic(expected = "settled and gone")]
    fn and_none_that_was_settled_later() {
        settlements_are_of_deliveries(&log(&[FIRST, ONE, SECOND]), &[]);
    }
}
