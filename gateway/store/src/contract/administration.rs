//! Promises to the operator.

use jiff::civil::date;
use tsunagi_core::audit::{Action, AuditEvent};
use tsunagi_core::coverage::{Coverage, CoverageLine, Gap, MOST_GAPS};
use tsunagi_core::id::{ChannelId, EndpointId, TenantId};
use tsunagi_core::registry::{Endpoint, Participant, RegistryEntries, Role};

use super::given::*;
use crate::{ExchangeHead, Link, Note, Relationship, RowPage, StoreError, SubjectRef};

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
    let event = || AuditEvent { action: Action::RegistryImported, ..event(1) };
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

/// By gap, over days and calls; the rows decide the order.
pub async fn coverage_adds_up_and_is_ranked(store: Shared) {
    let (mail, push) = (ChannelId::parse("mail").unwrap(), ChannelId::parse("push").unwrap());
    let (may, june) = (date(2026, 5, 31), date(2026, 6, 1));
    let mut first = Coverage::default();
    first.column(&mail, "旧姓", true, 3);
    first.code(&mail, "性別", Some("X"));
    store.add_coverage(may, first.clone()).await.unwrap();
    store.add_coverage(june, first).await.unwrap();
    let mut second = Coverage::default();
    second.code(&mail, "性別", None);
    second.character(&push, "氏名", '𠮷');
    second.column(&push, "旧姓", true, 4);
    store.add_coverage(june, second).await.unwrap();

    let list = |lines: Vec<CoverageLine>| -> Vec<_> {
        let told = |line: CoverageLine| {
            let Gap { channel, kind, place, what } = line.gap;
            (line.rows, channel.to_string(), kind.as_str(), place, what.unwrap_or_default(), line.first, line.last)
        };
        lines.into_iter().map(told).collect()
    };
    let told = |rows: u64, channel: &str, kind, place: &str, what: &str, first, last| {
        (rows, channel.to_owned(), kind, place.to_owned(), what.to_owned(), first, last)
    };
    assert_eq!(
        list(store.coverage(None).await.unwrap()),
        [
            told(6, "mail", "column", "旧姓", "", may, june),
            told(4, "push", "column", "旧姓", "", june, june),
            told(2, "mail", "code", "性別", "X", may, june),
            told(1, "mail", "code", "性別", "", june, june),
            told(1, "push", "character", "氏名", "U+20BB7", june, june),
        ]
    );
    let since: Vec<u64> = store.coverage(Some(june)).await.unwrap().into_iter().map(|line| line.rows).collect();
    assert_eq!(since, [4, 3, 1, 1, 1]);
    assert_eq!(store.coverage(Some(date(2026, 6, 2))).await.unwrap(), []);
    let none: Vec<_> = events(&store, &TenantId::hub()).await.into_iter().collect();
    assert!(none.is_empty(), "counts are nobody's business but the operator's");
}

/// However many calls it takes.
pub async fn coverage_of_a_loud_channel_is_bounded(store: Shared) {
    let (loud, day) = (ChannelId::parse("loud").unwrap(), date(2026, 6, 1));
    for part in 0..3 {
        let mut coverage = Coverage::default();
        for n in 0..MOST_GAPS / 2 {
            coverage.code(&loud, "コード", Some(&format!("{part}-{n}")));
        }
        store.add_coverage(day, coverage).await.unwrap();
    }
    let lines = store.coverage(None).await.unwrap();
    assert_eq!(lines.len(), MOST_GAPS + 1);
    assert_eq!((lines[0].gap.place.as_str(), lines[0].rows), ("", MOST_GAPS as u64 / 2));
    assert_eq!(lines.iter().map(|line| line.rows).sum::<u64>(), MOST_GAPS as u64 / 2 * 3);
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

/// What was planted in a tenant that the registry does not have goes, and so does the memory of it; its log stays whole,
/// and others' records stay as they are.
pub async fn nothing_is_left_of_a_tenant_that_is_none_but_its_log(store: Shared) {
    keep(&store, 1, delivered(1, 1, "to-aoi")).await;
    let link = Link { relationship: Relationship::Subject, from: date(2026, 1, 1), until: None };
    store.link_subject(&aoi(), &recipient(1), "https://id.example", "a", link, event(1)).await.unwrap();
    store.record_directive(&aoi(), directive(1, 1), event(2)).await.unwrap();
    // Of another sender, in another tenant.
    let others = ExchangeHead { sender: city(), ..head(2) };
    durable(store.accept(&kita(), whole(others, vec![row(1, vaccination(2))])).await);
    assert!(held(&store, 1).await.is_some());
    let before = leaves(&store, &aoi()).await;
    let ended = AuditEvent { action: Action::SelfTestEnded, ..event(3) };
    assert!(store.forget(vec![aoi()], vec![clinic()], ended.clone()).await.unwrap() >= 8);
    assert!(held(&store, 1).await.is_none());
    assert!(store.linked(&aoi(), "https://id.example", "a").await.unwrap().is_empty());
    assert!(store.exchange(&clinic(), &exchange(1), RowPage::FIRST).await.unwrap().is_none());
    assert!(store.delivery(&aoi(), &delivery(1)).await.unwrap().is_none());
    assert_eq!(leaves(&store, &aoi()).await, before);
    let verdict = store.verify(&aoi(), &signer().public_key(), &|_| {}).await.unwrap();
    assert_eq!((verdict.fault, verdict.leaves), (None, before.len() as u64));
    assert_eq!(events(&store, &TenantId::hub()).await, std::slice::from_ref(&ended));
    let kept = store.held(&kita(), &SubjectRef::Identifier(recipient(2)), &[kind("vaccination")]).await.unwrap();
    assert_eq!(kept.unwrap().records.len(), 1);
    assert!(store.exchange(&city(), &exchange(2), RowPage::FIRST).await.unwrap().is_some());
    // The same person may come again, and there is nothing to take away twice.
    assert_eq!(store.forget(vec![aoi()], vec![clinic()], ended).await.unwrap(), 0);
    assert_eq!(keep(&store, 1, vaccination(1)).await.state, accepted(1, 1));
}

/// Neither a tenant nor a participant of the registry, nor the hub's own log.
pub async fn what_belongs_to_somebody_is_not_forgotten(store: Shared) {
    keep(&store, 1, vaccination(1)).await;
    let entries = RegistryEntries { participant: vec![participant("みどり医院")], ..Default::default() };
    store.import_registry(entries, event(1)).await.unwrap();
    for (tenant, sender) in [(kita(), clinic()), (TenantId::hub(), city())] {
        let refused = store.forget(vec![aoi(), tenant], vec![sender], event(2)).await;
        assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
    }
    assert!(held(&store, 1).await.is_some());
    assert_eq!(events(&store, &TenantId::hub()).await.len(), 1);
}
