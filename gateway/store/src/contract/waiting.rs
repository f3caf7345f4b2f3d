//! Promises about rows whose subject cannot be told.

use tsunagi_core::audit::Action;
use tsunagi_core::exchange::RowState;
use tsunagi_core::fault::RowCode;

use super::given::*;
use crate::{AcceptRow, NewRecord, RowPage, SubjectRef};

/// Record `n` for the person with these identifiers, from a sender that may not make subjects.
fn from_elsewhere(n: u64, identifiers: Vec<crate::Identifier>) -> NewRecord {
    NewRecord { identifiers, new_subject: None, ..delivered(n, n, "to-app") }
}

/// The row waits with its reason, and is taken up with record, delivery, leaf and result when the person is registered.
pub async fn a_row_waits_until_its_subject_is_known(store: Shared) {
    let warned = AcceptRow {
        faults: vec![fault(1, RowCode::CheckDigit)],
        ..row(1, from_elsewhere(1, vec![recipient(7), named("insured", "A")]))
    };
    let (_, rows, _) = durable(store.accept(&aoi(), whole(head(1), vec![warned])).await);
    assert_eq!(rows[0].state, RowState::Waiting);
    let codes: Vec<_> = rows[0].faults.iter().map(|fault| fault.code).collect();
    assert_eq!(codes, [RowCode::CheckDigit, RowCode::SubjectUnknown]);
    assert!(held(&store, 7).await.is_none());
    assert!(store.claim_due(&aoi(), claim(1, "to-app", 1)).await.unwrap().is_empty());

    let registration = AcceptRow { event: event(50), ..row(1, vaccination(7)) };
    durable(store.accept(&aoi(), whole(head(2), vec![registration])).await);
    let view = store.exchange(&clinic(), &exchange(1), RowPage::FIRST).await.unwrap().unwrap();
    assert_eq!((&view.rows[0].state, view.rows[0].leaf), (&accepted(1, 1), Some(2)));
    assert_eq!(view.rows[0].faults, [fault(1, RowCode::CheckDigit)], "the warning stays, the wait is over");
    assert_eq!((&view.deliveries[0].id, view.deliveries[0].row), (&delivery(1), 1));
    let held = held(&store, 7).await.unwrap();
    assert_eq!((held.records.len(), held.records[0].recorded_at), (2, at(50)));

    let events = events(&store, &aoi()).await;
    let told: Vec<_> = events.iter().map(|e| (e.action, e.reason.clone(), e.exchange.clone())).collect();
    assert_eq!(
        told,
        [
            (Action::RecordWaiting, Some("subject_unknown".to_owned()), Some(exchange(1))),
            (Action::RecordAccepted, None, Some(exchange(2))),
            (Action::RecordAccepted, None, Some(exchange(1))),
        ]
    );
    assert_eq!((&events[2].subject, &events[2].records), (&Some(subject(7)), &vec![(record_id(1), 1)]));
}

/// A row may name its subject before the row that makes it: the answer of the call says what became of it.
pub async fn a_row_of_the_same_call_is_taken_up(store: Shared) {
    let rows = vec![row(1, from_elsewhere(1, vec![recipient(7)])), row(2, vaccination(7))];
    let (_, rows, _) = durable(store.accept(&aoi(), whole(head(1), rows)).await);
    assert_eq!((&rows[0].state, &rows[1].state), (&accepted(1, 1), &accepted(7, 1)));
    assert!(rows[0].faults.is_empty());
}

/// Identifiers of two people in one record: it waits, and nobody becomes anybody else.
pub async fn a_row_of_several_subjects_waits(store: Shared) {
    keep(&store, 1, vaccination(1)).await;
    keep(&store, 2, vaccination(2)).await;
    let both = NewRecord { identifiers: vec![recipient(1), recipient(2)], ..vaccination(3) };
    let result = keep(&store, 3, both).await;
    assert_eq!((result.state, result.faults[0].code), (RowState::Waiting, RowCode::SubjectAmbiguous));
    assert_eq!(held(&store, 1).await.unwrap().records.len(), 1);
    assert_eq!(held(&store, 2).await.unwrap().subject, subject(2));
    // A third person who shares no identifier with it does not end the wait.
    keep(&store, 4, vaccination(4)).await;
    let view = store.exchange(&clinic(), &exchange(3), RowPage::FIRST).await.unwrap().unwrap();
    assert_eq!(view.rows[0].state, RowState::Waiting);
}

/// The identifiers of a row that waited found its subject; they do not become the subject's.
pub async fn a_row_taken_up_makes_no_identifier_known(store: Shared) {
    keep(&store, 1, from_elsewhere(1, vec![named("insured", "A")])).await;
    keep(&store, 2, from_elsewhere(2, vec![named("insured", "A"), recipient(7)])).await;
    keep(&store, 3, vaccination(7)).await;
    assert_eq!(held(&store, 7).await.unwrap().records.len(), 2);
    let by_other = SubjectRef::Identifier(named("insured", "A"));
    assert!(store.held(&aoi(), &by_other, &[]).await.unwrap().is_none());
    let view = store.exchange(&clinic(), &exchange(1), RowPage::FIRST).await.unwrap().unwrap();
    assert_eq!(view.rows[0].state, RowState::Waiting);
}

/// A row that waited for a person who, once known, has another value of a system with one value at a time: it goes on
/// waiting, and its sender is told why from now on.
pub async fn a_contradiction_ends_the_promise_to_take_a_row_up(store: Shared) {
    let number = |value| named("municipality_number", value);
    let single = |new: NewRecord| NewRecord { single_valued: [number("A").system].into(), ..new };
    let row = keep(&store, 1, single(from_elsewhere(1, vec![recipient(7), number("A")]))).await;
    assert_eq!(row.faults[0].code, RowCode::SubjectUnknown);
    let theirs = NewRecord { identifiers: vec![recipient(7), number("B")], ..vaccination(7) };
    keep(&store, 2, single(theirs)).await;
    let view = store.exchange(&clinic(), &exchange(1), RowPage::FIRST).await.unwrap().unwrap();
    assert_eq!((&view.rows[0].state, view.rows[0].faults.len()), (&RowState::Waiting, 1));
    assert_eq!(view.rows[0].faults[0].code, RowCode::SubjectAmbiguous);
    assert!(view.rows[0].faults[0].reason.en.contains("not taken up by itself"));
    assert_eq!(held(&store, 7).await.unwrap().records.len(), 1);
}

/// Two versions of one record that waited are taken up as they came.
pub async fn rows_are_taken_up_in_their_order(store: Shared) {
    let version = |n: u64| NewRecord {
        business_key: vec!["one".to_owned()],
        record: record("vaccination", &format!("LOT {n}")),
        ..from_elsewhere(n, vec![recipient(7)])
    };
    keep(&store, 1, version(1)).await;
    keep(&store, 2, version(2)).await;
    keep(&store, 3, vaccination(7)).await;
    let held = held(&store, 7).await.unwrap();
    assert_eq!((&held.records[0].id, held.records[0].version), (&record_id(1), 2));
    assert_eq!(held.records[0].record, version(2).record);
    assert_eq!(claimed(&store, claim(1, "to-app", 100)).await, [delivery(1), delivery(2)]);
}

/// A person of another municipality is another person.
pub async fn rows_of_another_tenant_go_on_waiting(store: Shared) {
    keep(&store, 1, from_elsewhere(1, vec![recipient(7)])).await;
    durable(store.accept(&kita(), whole(head(2), vec![row(1, vaccination(7))])).await);
    let view = store.exchange(&clinic(), &exchange(1), RowPage::FIRST).await.unwrap().unwrap();
    assert_eq!(view.rows[0].state, RowState::Waiting);
}
