//! Promises about what is over. Records of the cases were recorded at 0 and happened on the day that they say.

use jiff::civil::{Date, date};
use tsunagi_core::audit::Action;
use tsunagi_core::exchange::DeliveryState;
use tsunagi_core::id::{FieldKey, TenantId};
use tsunagi_core::value::Value;

use super::given::*;
use crate::{NewRecord, Note, Purge, PurgePlace, Purged, Retention, RowPage, SettledState, StoreError};

/// The day of the cases.
const TODAY: Date = date(2027, 1, 15);

/// A vaccination that happened on a day.
fn happened(n: u64, day: &str) -> NewRecord {
    let text = |text: &str| Value::Text(text.to_owned());
    let on = Value::Date(tsunagi_core::partial_date::PartialDate::read_iso(day));
    let fields = [("lot_number", text(&format!("LOT-{n}"))), ("vaccinated_on", on)];
    NewRecord { record: fields_of("vaccination", fields), ..vaccination(n) }
}

/// A second version of the n-th record, recorded at a time.
async fn superseded(store: &Shared, n: u64, by: NewRecord, at_second: i64) {
    let mut row = row(1, by);
    row.event = event(at_second);
    durable(store.accept(&aoi(), whole(head(n), vec![row])).await);
}

/// What happened before today and was recorded within ten seconds is over; so are exchanges of these seconds.
fn purge() -> Purge {
    let event = tsunagi_core::audit::AuditEvent { action: Action::RecordsPurged, ..event(100) };
    Purge {
        kinds: vec![Retention {
            kind: kind("vaccination"),
            occurrence: FieldKey::parse("vaccinated_on").unwrap(),
            happened_before: TODAY,
            recorded_before: at(10),
        }],
        exchanges_before: at(10),
        place: PurgePlace::Deliveries(None),
        limit: 100,
        is_rehearsal: false,
        event,
    }
}

/// Piece by piece, to the end.
async fn swept(store: &Shared, tenant: &TenantId, purge: &Purge) -> Purged {
    let mut all = Purged::default();
    let mut place = Some(purge.place.clone());
    while let Some(from) = place {
        all.add(store.purge(tenant, Purge { place: from, ..purge.clone() }).await.unwrap());
        place = all.next.clone();
    }
    all
}

async fn counts(store: &Shared) -> (u64, u64, u64, u64) {
    let Purged { records, versions, refused_rows, deliveries, .. } = swept(store, &aoi(), &purge()).await;
    (records, versions, refused_rows, deliveries)
}

/// Gone from every answer, with an event that counts it, and the log verifies as before.
pub async fn what_is_over_is_gone_and_counted(store: Shared) {
    keep(&store, 1, happened(1, "2021-04-01")).await;
    keep(&store, 2, happened(2, "2027-01-15")).await;
    let before = leaves(&store, &aoi()).await.len();
    let purged = swept(&store, &aoi(), &purge()).await;
    assert_eq!((purged.records, purged.versions), (1, 1));
    assert!(purged.bytes > 50, "{} bytes of content", purged.bytes);
    assert_eq!(purged.oldest, Some(at(0)));
    assert!(held(&store, 1).await.unwrap().records.is_empty());
    assert_eq!(held(&store, 2).await.unwrap().records.len(), 1, "it happened today");
    let events = events(&store, &aoi()).await;
    assert_eq!(events.len(), before + 1);
    let told = format!("records:1 versions:1 refused_rows:0 deliveries:0 bytes:{}", purged.bytes);
    assert_eq!((events[before].action, events[before].reason.as_deref()), (Action::RecordsPurged, Some(told.as_str())));
    seal(&store, &aoi(), 100).await;
    let verdict = store.verify(&aoi(), &signer().public_key(), &|_| {}).await.unwrap();
    assert_eq!((verdict.fault, verdict.leaves), (None, before as u64 + 1));

    assert_eq!(counts(&store).await, (0, 0, 0, 0));
    assert_eq!(leaves(&store, &aoi()).await.len(), before + 1, "nothing is no event");
}

/// Whatever was decided on it is stale, and the same record again is a new one.
pub async fn a_decision_on_what_is_gone_is_stale(store: Shared) {
    keep(&store, 1, happened(1, "2021-04-01")).await;
    let decided_on = held(&store, 1).await.unwrap();
    swept(&store, &aoi(), &purge()).await;
    let note =
        Note { events: vec![event(1)], rests_on: vec![(decided_on.subject, decided_on.version)], directive: None };
    assert!(matches!(store.note(&aoi(), note).await, Err(StoreError::Stale)));
    let again = NewRecord { id: record_id(9), ..happened(1, "2021-04-01") };
    let kept = keep(&store, 2, again).await;
    assert_eq!(kept.state, tsunagi_core::exchange::RowState::Accepted { record: record_id(9), version: 1 });
}

/// An earlier version goes by itself; the newest goes by its own day, and not before those under it.
pub async fn a_version_goes_by_its_own_day(store: Shared) {
    keep(&store, 1, happened(1, "2021-04-01")).await;
    superseded(&store, 2, happened(1, "2027-02-01"), 1).await;
    keep(&store, 3, happened(3, "2027-02-01")).await;
    superseded(&store, 4, happened(3, "2021-04-01"), 1).await;
    assert_eq!(counts(&store).await, (0, 1, 0, 0));
    assert_eq!(held(&store, 1).await.unwrap().records[0].version, 2);
    assert_eq!(held(&store, 3).await.unwrap().records[0].version, 2, "the one under it is not over");
}

/// A late report of something long ago is kept as long as any other; so is a record that does not say its day.
pub async fn what_has_just_come_in_is_not_over(store: Shared) {
    superseded(&store, 1, happened(1, "2015-04-01"), 10).await;
    superseded(&store, 2, vaccination(2), 10).await;
    keep(&store, 3, vaccination(3)).await;
    keep(&store, 4, happened(4, "2027-01")).await;
    assert_eq!(counts(&store).await, (1, 1, 0, 0));
    for (n, left) in [(1, 1), (2, 1), (3, 0), (4, 1)] {
        assert_eq!(held(&store, n).await.unwrap().records.len(), left, "{n}");
    }
}

/// A delivery that has not ended holds its version, however old; one that has ended goes with it.
pub async fn what_is_not_settled_stays(store: Shared) {
    let ends = [
        None,
        Some(DeliveryState::Dead),
        Some(DeliveryState::Held),
        Some(DeliveryState::Delivered),
        Some(DeliveryState::Rejected),
    ];
    for (n, end) in (1..).zip(ends) {
        let delivery = delivered(n, n, "to-app").deliveries;
        keep(&store, n, NewRecord { deliveries: delivery, ..happened(n, "2021-04-01") }).await;
        if let Some(state) = end {
            claimed(&store, claim(n, "to-app", 1)).await;
            let settled = store.settle(&aoi(), &batch(n), vec![settlement(n, SettledState::Ended(state))]).await;
            assert_eq!(settled.unwrap(), 1);
        } else {
            claimed(&store, claim(n, "to-app", 1)).await;
        }
    }
    // Deliveries alone are kept for longer here: they go with their versions.
    let purge = Purge { exchanges_before: at(-1), ..purge() };
    let Purged { records, deliveries, .. } = swept(&store, &aoi(), &purge).await;
    assert_eq!((records, deliveries), (2, 2));
    for n in 1..=5 {
        let is_left = store.delivery(&aoi(), &delivery(n)).await.unwrap().is_some();
        assert_eq!((is_left, held(&store, n).await.unwrap().records.len()), (n <= 3, usize::from(n <= 3)), "{n}");
    }
}

/// By the time of their exchange, their records staying; the line goes on in its order.
pub async fn settled_deliveries_go_and_their_line_goes_on(store: Shared) {
    keep(&store, 1, delivered(1, 1, "to-app")).await;
    keep(&store, 2, delivered(2, 1, "to-app")).await;
    claimed(&store, claim(1, "to-app", 1)).await;
    store.settle(&aoi(), &batch(1), vec![settlement(1, SettledState::Ended(DeliveryState::Delivered))]).await.unwrap();
    let purge = Purge { kinds: vec![], ..purge() };
    assert_eq!(swept(&store, &aoi(), &purge).await.deliveries, 1);
    assert!(store.delivery(&aoi(), &delivery(1)).await.unwrap().is_none());
    keep(&store, 3, delivered(3, 1, "to-app")).await;
    assert_eq!(claimed(&store, claim(2, "to-app", 20)).await, [delivery(2), delivery(3)]);
    assert_eq!(held(&store, 1).await.unwrap().records.len(), 3);
}

/// What its sender wrote is gone; that it was refused, and why, stays.
pub async fn the_source_of_a_refused_row_goes(store: Shared) {
    durable(store.accept(&aoi(), whole(head(1), vec![refused(1, "青葉 花子")])).await);
    let given_back =
        |store: Shared| async move { store.rejections(&clinic(), &exchange(1), RowPage::FIRST).await.unwrap().len() };
    assert_eq!(given_back(store.clone()).await, 1);
    let purged = swept(&store, &aoi(), &purge()).await;
    assert_eq!(purged.refused_rows, 1);
    assert!(purged.bytes > 10);
    assert_eq!(given_back(store.clone()).await, 0);
    let receipt = store.exchange(&clinic(), &exchange(1), RowPage::FIRST).await.unwrap().unwrap();
    assert_eq!(receipt.rows[0].faults.len(), 1);
}

/// Nothing of it can be opened or delivered any more: it goes by the time of its coming in alone.
pub async fn what_is_left_of_a_shredded_subject_goes(store: Shared) {
    let deliveries = delivered(1, 1, "to-app").deliveries;
    keep(&store, 1, NewRecord { deliveries, ..happened(1, "2027-02-01") }).await;
    superseded(&store, 2, happened(2, "2015-04-01"), 10).await;
    for n in [1, 2] {
        store.shred(&aoi(), &subject(n), event(11)).await.unwrap();
    }
    let purge = Purge { exchanges_before: at(-1), ..purge() };
    let Purged { records, versions, deliveries, oldest, .. } = swept(&store, &aoi(), &purge).await;
    assert_eq!((records, versions, deliveries, oldest), (1, 1, 1, Some(at(10))));
    assert!(store.delivery(&aoi(), &delivery(1)).await.unwrap().is_none());
}

/// The record that hides a person stays as long as there is another that it hides.
pub async fn nobody_comes_to_light_because_a_record_is_over(store: Shared) {
    keep(&store, 1, NewRecord { non_disclosure: Some(true), ..happened(1, "2021-04-01") }).await;
    let other =
        NewRecord { identifiers: vec![recipient(1)], new_subject: Some(subject(1)), ..happened(2, "2027-02-01") };
    keep(&store, 2, other).await;
    assert_eq!(counts(&store).await, (0, 0, 0, 0));
    assert!(held(&store, 1).await.unwrap().non_disclosure);
    let later =
        Purge { kinds: vec![Retention { happened_before: date(2028, 1, 1), ..purge().kinds.remove(0) }], ..purge() };
    assert_eq!(swept(&store, &aoi(), &later).await.records, 1, "the other one");
    assert_eq!(swept(&store, &aoi(), &later).await.records, 1, "then the one that hid it");
}

/// It counts what the real one removes.
pub async fn a_rehearsal_changes_nothing(store: Shared) {
    a_bit_of_everything(&store).await;
    let log = leaves(&store, &aoi()).await.len();
    let rehearsed = swept(&store, &aoi(), &Purge { is_rehearsal: true, ..purge() }).await;
    assert_eq!(leaves(&store, &aoi()).await.len(), log);
    let real = swept(&store, &aoi(), &purge()).await;
    assert_eq!(Purged { oldest: None, ..rehearsed }, Purged { oldest: None, ..real.clone() });
    assert_eq!((real.records, real.refused_rows, real.deliveries), (7, 7, 7));
}

/// However small they are, the pieces come to the same, each with its event.
pub async fn it_is_done_in_pieces(store: Shared) {
    a_bit_of_everything(&store).await;
    let log = leaves(&store, &aoi()).await.len();
    let purged = swept(&store, &aoi(), &Purge { limit: 2, ..purge() }).await;
    assert_eq!((purged.records, purged.refused_rows, purged.deliveries), (7, 7, 7));
    assert_eq!(leaves(&store, &aoi()).await.len(), log + 12, "four pieces of each");
    assert_eq!(purged.oldest, None);
}

/// Nothing of another tenant is looked at.
pub async fn each_tenant_keeps_its_own(store: Shared) {
    durable(store.accept(&kita(), whole(head(1), vec![row(1, happened(1, "2021-04-01")), refused(2, "x")])).await);
    keep(&store, 2, happened(2, "2021-04-01")).await;
    assert_eq!(counts(&store).await, (1, 1, 0, 0));
    let theirs = swept(&store, &kita(), &purge()).await;
    assert_eq!((theirs.records, theirs.refused_rows), (1, 1));
}

/// Seven records that are over, each with a settled delivery, and seven refused rows.
async fn a_bit_of_everything(store: &Shared) {
    for n in 1..=7 {
        let deliveries = delivered(n, n, "to-app").deliveries;
        keep(store, n, NewRecord { deliveries, ..happened(n, "2021-04-01") }).await;
        durable(store.accept(&aoi(), whole(head(n + 20), vec![refused(1, "x")])).await);
    }
    let all = claimed(store, claim(1, "to-app", 1)).await;
    assert_eq!(all.len(), 7);
    let ends = (1..=7).map(|n| settlement(n, SettledState::Ended(DeliveryState::Delivered))).collect();
    store.settle(&aoi(), &batch(1), ends).await.unwrap();
}
