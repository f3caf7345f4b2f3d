//! A store with something in every table.

use tsunagi_core::coverage::Coverage;
use tsunagi_core::exchange::DeliveryState;
use tsunagi_core::id::{LayoutId, TenantId};
use tsunagi_core::registry::{Participant, RegistryEntries, Role};

use crate::contract::given::*;
use crate::{
    ExchangeHead, KeptSubtree, Link, NewRecord, Note, Relationship, SettledState, Settlement, StoreError, WitnessedHead,
};

/// Everything that a hub of two tenants can have, but for a log that is long enough for trails.
pub(super) async fn fill(store: &Shared) {
    let clinic = Participant {
        id: clinic(),
        role: Role::Hospital,
        name: "みどり医院".to_owned(),
        organization_code: None,
        tenant: None,
        fingerprints: vec![],
        suspended: false,
    };
    let entries = RegistryEntries { participant: vec![clinic], ..RegistryEntries::default() };
    store.import_registry(entries, event(1)).await.unwrap();
    let mut coverage = Coverage::default();
    coverage.code(&channel("to-app"), "性別", Some("X"));
    store.add_coverage(jiff::civil::date(2026, 6, 1), coverage).await.unwrap();
    store.witness("log", None, WitnessedHead { size: 3, root: [3; 32] }, event(1)).await.unwrap();
    // A row that is no tenant's stands under the hub.
    durable(store.accept(&TenantId::hub(), whole(head(90), vec![refused(1, "nobody's")])).await);
    for (first, tenant) in [(0, aoi()), (20, kita())] {
        of_tenant(store, &tenant, first).await;
    }
}

/// The same in each tenant, under ids of their own.
async fn of_tenant(store: &Shared, tenant: &TenantId, first: u64) {
    let n = |n: u64| first + n;
    let waits = NewRecord { new_subject: None, identifiers: vec![recipient(9)], ..delivered(n(9), 9, "to-app") };
    let rows = vec![row(1, delivered(n(1), 1, "to-app")), refused(2, "x"), row(3, waits)];
    let written = ExchangeHead {
        layout: Some(LayoutId::parse("municipal_csv/vaccination_modern").unwrap()),
        charset: Some("cp932".to_owned()),
        ..keyed(n(1), "k")
    };
    durable(store.accept(tenant, whole(ExchangeHead { sender: sender(tenant), ..written }, rows)).await);
    let keep = async |n: u64, record: NewRecord| {
        durable(store.accept(tenant, whole(head(n), vec![row(1, record)])).await);
    };
    // A second version, one that hides its subject, one that was deleted.
    keep(
        n(2),
        NewRecord { record: record("vaccination", "LOT-B"), id: record_id(n(2)), ..delivered(n(2), 1, "to-app") },
    )
    .await;
    keep(n(3), NewRecord { non_disclosure: Some(true), ..delivered(n(3), 3, "to-app") }).await;
    keep(n(4), delivered(n(4), 4, "to-app")).await;
    keep(
        n(5),
        NewRecord {
            deleted: true,
            id: record_id(n(5)),
            business_key: vec![format!("document-{}", n(4))],
            ..delivered(n(5), 4, "to-app")
        },
    )
    .await;
    // One who is shredded, and deliveries in every state.
    keep(n(6), delivered(n(6), 6, "to-app")).await;
    for at in 10..15 {
        keep(n(at), delivered(n(at), at, "by-push")).await;
    }
    store.record_directive(tenant, directive(1, 1), event(1)).await.unwrap();
    store.record_directive(tenant, directive(2, 6), event(1)).await.unwrap();
    store.withdraw_directive(tenant, &subject(1), &directive_id(1), at(5), event(5)).await.unwrap();
    let link = Link { relationship: Relationship::Proxy, from: jiff::civil::date(2026, 4, 1), until: None };
    store.link_subject(tenant, &recipient(1), "issuer", "sub", link, event(1)).await.unwrap();
    let claimed = store.claim_due(tenant, claim(1, "by-push", 100)).await.unwrap();
    assert_eq!(claimed.len(), 5);
    let states = [
        SettledState::Ended(DeliveryState::Delivered),
        SettledState::Ended(DeliveryState::Dead),
        SettledState::Ended(DeliveryState::Held),
        SettledState::RetryAt(at(300)),
    ];
    // The fifth stays leased.
    let settlements: Vec<Settlement> = (10..).zip(states).map(|(at, state)| settlement(n(at), state)).collect();
    store.settle(tenant, &batch(1), settlements).await.unwrap();
    store.shred(tenant, &subject(6), event(6)).await.unwrap();
    seal(store, tenant, 9).await;
    store.keep_subtrees(tenant, vec![KeptSubtree { level: 1, index: 0, root: [1; 32] }]).await.unwrap();
}

fn sender(tenant: &TenantId) -> tsunagi_core::id::ParticipantId {
    if *tenant == aoi() { clinic() } else { city() }
}

/// A log long enough for trails.
pub(super) async fn trail(store: &Shared) {
    for _ in 0..4 {
        let events = (0..5_000).map(event).collect();
        store.note(&kita(), Note { events, rests_on: vec![], directive: None }).await.unwrap();
    }
    seal(store, &kita(), 30_000).await;
    assert!(store.index_leaves(&kita()).await.unwrap());
}

/// What a filled store does next is what any copy of it does: what waits is taken up and delivered in its order, who was
/// shredded stays so, and numbers go on after the highest.
pub(super) async fn goes_on(store: &Shared) -> Vec<String> {
    let mut told = Vec::new();
    for tenant in [aoi(), kita()] {
        let first = if tenant == aoi() { 0 } else { 20 };
        let held = store.held(&tenant, &crate::SubjectRef::Identifier(recipient(1)), &[kind("vaccination")]).await;
        let held = held.unwrap().unwrap();
        told.push(format!("{:?} {:?}", held.records.len(), held.directives));
        let sign_in = store.linked(&tenant, "issuer", "sub").await.unwrap();
        assert_eq!(sign_in, [subject(1)]);
        for who in [crate::SubjectRef::Identifier(recipient(6)), crate::SubjectRef::Subject(subject(6))] {
            assert!(store.held(&tenant, &who, &[kind("vaccination")]).await.unwrap().is_none(), "shredded");
        }
        assert!(matches!(store.shred(&tenant, &subject(6), event(6)).await, Err(StoreError::NotFound)));
        // The row that waited is taken up with its subject.
        let known = delivered(first + 18, 9, "to-app");
        let outcome = store.accept(&tenant, whole(head(first + 18), vec![row(1, known)])).await;
        told.push(format!("{outcome:?}"));
        let claimed = store.claim_due(&tenant, claim(2, "to-app", 1_000)).await.unwrap();
        let order: Vec<_> = claimed.iter().map(|claimed| claimed.delivery.id.to_string()).collect();
        assert!(order.len() > 3, "{order:?}");
        told.push(format!("{order:?}"));
        let listed = store.deliveries(&tenant, &crate::DeliveryFilter { state: None, limit: 99 }).await.unwrap();
        told.push(format!("{listed:?}"));
        // The same key again is the same exchange.
        let again = ExchangeHead { sender: sender(&tenant), ..keyed(first + 1, "k") };
        told.push(format!("{:?}", store.accept(&tenant, whole(again, vec![refused(2, "x")])).await));
        seal(store, &tenant, 100_000).await;
        let verdict = store.verify(&tenant, &signer().public_key(), &|_| ()).await.unwrap();
        assert_eq!(verdict.fault, None, "{tenant}");
        told.push(format!("{} leaves, {} sealed", verdict.leaves, verdict.sealed));
    }
    told.push(format!("{:?}", store.registry().await.unwrap()));
    told.push(format!("{:?}", store.witnessed("log").await.unwrap()));
    told
}
