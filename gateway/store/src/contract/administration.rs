//! Promises to the operator.

use tsunagi_core::audit::Action;
use tsunagi_core::id::{EndpointId, TenantId};
use tsunagi_core::registry::{Endpoint, Participant, RegistryEntries, Role};

use super::given::*;
use crate::Note;

fn participant(name: &str) -> Participant {
    Participant {
        id: clinic(),
        role: Role::Hospital,
        name: name.to_owned(),
        organization_code: None,
        tenant: None,
        fingerprints: vec![],
        suspended: false,
    }
}

/// An import adds what is new and replaces what has the same id; each has its event in the hub's log.
pub async fn a_registry_entry_is_replaced_by_its_successor(store: Shared) {
    assert_eq!(store.registry().await.unwrap(), (0, RegistryEntries::default()));
    let endpoint = Endpoint {
        id: EndpointId::parse("clinic-https").unwrap(),
        participant: clinic(),
        url: "https://clinic.example/in".to_owned(),
    };
    let first = RegistryEntries {
        participant: vec![participant("みどり医院")],
        endpoint: vec![endpoint],
        ..Default::default()
    };
    let event = || tsunagi_core::audit::AuditEvent { action: Action::RegistryImported, ..event(1) };
    assert_eq!(store.import_registry(first.clone(), event()).await.unwrap(), 1);
    let second = RegistryEntries { participant: vec![participant("緑医院")], ..Default::default() };
    assert_eq!(store.import_registry(second.clone(), event()).await.unwrap(), 2);
    let (version, entries) = store.registry().await.unwrap();
    assert_eq!((version, entries), (2, RegistryEntries { participant: second.participant, ..first }));
    let actions: Vec<_> = events(&store, &TenantId::hub()).await.into_iter().map(|event| event.action).collect();
    assert_eq!(actions, [Action::RegistryImported; 2]);
}

/// Safe at every start, with data or without; and the store is ready after it.
pub async fn migration_may_be_repeated(store: Shared) {
    store.migrate().await.unwrap();
    keep(&store, 1, vaccination(1)).await;
    store.migrate().await.unwrap();
    store.ready().await.unwrap();
    assert_eq!(held(&store, 1).await.unwrap().records.len(), 1);
}

/// Of all senders, by the time they came.
pub async fn exchanges_are_listed_newest_first(store: Shared) {
    for n in [2, 3, 1] {
        let mut head = head(n);
        if n == 3 {
            head.sender = city();
        }
        durable(store.accept(&aoi(), whole(head, vec![row(1, vaccination(n))])).await);
    }
    let list = store.exchanges(2).await.unwrap();
    assert_eq!(
        list.iter().map(|e| (e.id.clone(), e.sender.clone())).collect::<Vec<_>>(),
        [(exchange(3), city()), (exchange(2), clinic())]
    );
}

/// Every log of which there is a trace, and the hub's, without a registry that says so.
pub async fn every_log_is_listed(store: Shared) {
    assert_eq!(store.logs().await.unwrap(), [TenantId::hub()]);
    keep(&store, 1, vaccination(1)).await;
    store.note(&kita(), Note { events: vec![event(1)], rests_on: vec![], directive: None }).await.unwrap();
    assert_eq!(store.logs().await.unwrap(), [aoi(), TenantId::hub(), kita()]);
}
