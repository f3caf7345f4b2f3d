//! Promises of `accept` and of what can be read after it.

use tokio::task::JoinSet;
use tsunagi_core::audit::Action;
use tsunagi_core::exchange::{ExchangeState, RowState};
use tsunagi_core::fault::RowCode;
use tsunagi_core::id::TenantId;
use tsunagi_core::sensitive::Sensitive;
use tsunagi_core::value::Value;

use super::given::*;
use crate::{Accept, AcceptRow, Accepted, ExchangeHead, NewDelivery, NewRecord, RowPage, StoreError, SubjectRef};

/// Content, version, sender and time of a record are what was accepted, by every way that leads to it.
pub async fn a_record_comes_back_as_it_was(store: Shared) {
    let result = keep(&store, 1, vaccination(1)).await;
    assert_eq!((result.row, result.tenant, result.kind), (1, Some(aoi()), Some(kind("vaccination"))));
    assert_eq!((result.state, result.leaf), (accepted(1, 1), Some(0)));
    let held = held(&store, 1).await.unwrap();
    assert_eq!((held.subject.clone(), held.non_disclosure), (subject(1), false));
    assert_eq!(held.records.len(), 1);
    let kept = &held.records[0];
    assert_eq!((&kept.id, kept.version, &kept.subject, &kept.sender), (&record_id(1), 1, &subject(1), &clinic()));
    assert_eq!((&kept.record, kept.recorded_at), (&vaccination(1).record, at(0)));

    let by_record =
        store.held(&aoi(), &SubjectRef::Record(record_id(1)), &[kind("vaccination")]).await.unwrap().unwrap();
    let by_key = SubjectRef::Subject(subject(1));
    let by_key = store.held(&aoi(), &by_key, &[kind("vaccination")]).await.unwrap().unwrap();
    assert_eq!((&by_key.subject, &by_key.records), (&by_record.subject, &by_record.records));
    assert_eq!((by_record.subject, by_record.records), (held.subject, held.records));
}

/// The same people and records in two tenants are strangers.
pub async fn tenants_see_nothing_of_each_other(store: Shared) {
    keep(&store, 1, delivered(1, 1, "to-app")).await;
    let vaccination = [kind("vaccination")];
    for other in [kita(), TenantId::hub()] {
        for who in
            [SubjectRef::Subject(subject(1)), SubjectRef::Identifier(recipient(1)), SubjectRef::Record(record_id(1))]
        {
            assert!(store.held(&other, &who, &vaccination).await.unwrap().is_none());
        }
        assert!(store.delivery(&other, &delivery(1)).await.unwrap().is_none());
        assert!(store.claim_due(&other, claim(1, "to-app", 1)).await.unwrap().is_empty());
        assert!(leaves(&store, &other).await.is_empty());
    }
    let theirs = NewRecord { new_subject: Some(subject(2)), ..delivered(1, 1, "to-app") };
    durable(store.accept(&kita(), whole(head(2), vec![row(1, theirs)])).await);
    let here = store.held(&aoi(), &SubjectRef::Identifier(recipient(1)), &[]).await.unwrap().unwrap();
    let there = store.held(&kita(), &SubjectRef::Identifier(recipient(1)), &[]).await.unwrap().unwrap();
    assert_eq!((here.subject, there.subject), (subject(1), subject(2)));
}

/// An equal business key supersedes: one record, the next version, the id it had.
pub async fn the_same_business_key_is_a_new_version(store: Shared) {
    keep(&store, 1, vaccination(1)).await;
    let before = held(&store, 1).await.unwrap().version;
    let changed = NewRecord { id: record_id(9), record: record("vaccination", "LOT-B"), ..vaccination(1) };
    assert_eq!(keep(&store, 2, changed.clone()).await.state, accepted(1, 2));
    let after = held(&store, 1).await.unwrap();
    assert!(after.version > before);
    assert_eq!((after.records.len(), after.records[0].version, &after.records[0].record), (1, 2, &changed.record));
    assert!(store.held(&aoi(), &SubjectRef::Record(record_id(9)), &[]).await.unwrap().is_none());
}

/// A business key counts for one person: a record never moves from one subject to another.
pub async fn another_persons_equal_key_is_another_record(store: Shared) {
    keep(&store, 1, vaccination(1)).await;
    let theirs = NewRecord { business_key: vaccination(1).business_key, ..vaccination(2) };
    assert_eq!(keep(&store, 2, theirs).await.state, accepted(2, 1));
    assert_eq!(held(&store, 1).await.unwrap().records[0].record, vaccination(1).record);
}

/// Equal content again: the row and its leaf, nothing else.
pub async fn an_equal_record_is_unchanged(store: Shared) {
    keep(&store, 1, delivered(1, 1, "to-app")).await;
    let before = held(&store, 1).await.unwrap();
    let again = NewRecord {
        id: record_id(9),
        deliveries: vec![NewDelivery { id: delivery(9), channel: channel("to-app") }],
        ..vaccination(1)
    };
    let result = keep(&store, 2, again).await;
    assert_eq!(result.state, RowState::Unchanged { record: record_id(1), version: 1 });
    assert_eq!(result.leaf, Some(1));
    let after = held(&store, 1).await.unwrap();
    assert_eq!((after.version, after.records), (before.version, before.records));
    assert!(store.delivery(&aoi(), &delivery(9)).await.unwrap().is_none());
}

/// Deletion is a version like any other; the record is left out until it comes again. With nothing there before, the
/// tombstone is kept all the same.
pub async fn a_tombstone_hides_the_record(store: Shared) {
    let gone = |n| NewRecord { deleted: true, ..vaccination(n) };
    keep(&store, 1, vaccination(1)).await;
    assert_eq!(keep(&store, 2, gone(1)).await.state, accepted(1, 2));
    assert!(held(&store, 1).await.unwrap().records.is_empty());
    assert_eq!(keep(&store, 3, gone(1)).await.state, RowState::Unchanged { record: record_id(1), version: 2 });
    assert_eq!(keep(&store, 4, vaccination(1)).await.state, accepted(1, 3));
    assert_eq!(held(&store, 1).await.unwrap().records[0].version, 3);

    assert_eq!(keep(&store, 5, gone(2)).await.state, accepted(2, 1));
    assert!(held(&store, 2).await.unwrap().records.is_empty());
}

/// Key and body known: the earlier receipt, and not a leaf more. What was missing then is added now.
pub async fn the_same_body_under_the_key_is_the_same_exchange(store: Shared) {
    let first = Accept { head: keyed(1, "k"), rows: vec![row(1, vaccination(1)), refused(2, "x")], complete: false };
    let (id, before, repeated) = durable(store.accept(&aoi(), first).await);
    assert_eq!((id, repeated), (exchange(1), false));
    let again = ExchangeHead { digest: head(1).digest, ..keyed(2, "k") };
    let rows = || vec![row(1, vaccination(8)), refused(2, "y"), row(3, vaccination(3))];
    let (id, after, repeated) = durable(store.accept(&aoi(), whole(again.clone(), rows())).await);
    assert_eq!((id, repeated), (exchange(1), true));
    assert_eq!(after[..2], before[..]);
    assert_eq!(after[2].state, accepted(3, 1));
    assert_eq!(leaves(&store, &aoi()).await.len(), 3);
    assert_eq!(events(&store, &aoi()).await[2].exchange, Some(exchange(1)));
    assert_eq!(durable(store.accept(&aoi(), whole(again, rows())).await).1, after);
    assert_eq!(leaves(&store, &aoi()).await.len(), 3);
    assert!(held(&store, 8).await.is_none());
    assert!(store.exchange(&clinic(), &exchange(2), RowPage::FIRST).await.unwrap().is_none());
    let view = store.exchange(&clinic(), &exchange(1), RowPage::FIRST).await.unwrap().unwrap();
    assert_eq!((view.rows, view.exchange.state), (after, ExchangeState::Complete));
}

/// The world may have changed between the two: a row belongs elsewhere now, is refused now, or is one more. What was
/// answered stays the answer.
pub async fn a_complete_exchange_answers_as_it_did(store: Shared) {
    keep(&store, 9, vaccination(9)).await;
    let first = vec![row(1, vaccination(1)), refused(2, "x"), row(3, vaccination(3))];
    let (_, before, _) = durable(store.accept(&aoi(), whole(keyed(1, "k"), first)).await);
    let again = |rows| whole(ExchangeHead { digest: head(1).digest, ..keyed(2, "k") }, rows);
    for tenant in [aoi(), kita(), TenantId::hub()] {
        let now = vec![refused(1, "y"), row(2, vaccination(2)), row(3, vaccination(8)), row(4, vaccination(4))];
        let (id, after, repeated) = durable(store.accept(&tenant, again(now)).await);
        assert_eq!((id, repeated, &after), (exchange(1), true, &before), "toward {tenant}");
        let (_, part, _) = durable(store.accept(&tenant, again(vec![refused(3, "y")])).await);
        assert_eq!(part, before[2..], "a call that carries less");
    }
    assert_eq!((leaves(&store, &aoi()).await.len(), leaves(&store, &kita()).await.len()), (4, 0));
    assert_eq!(store.exchange(&clinic(), &exchange(1), RowPage::FIRST).await.unwrap().unwrap().rows, before);
    assert_eq!(store.rejections(&clinic(), &exchange(1), RowPage::FIRST).await.unwrap().len(), 1);
    assert!(held(&store, 4).await.is_none());
}

/// A row whose exchange broke off is where it was, even if it would land elsewhere now; it is on the receipt once.
pub async fn a_row_is_decided_in_one_tenant(store: Shared) {
    let broken_off = Accept { head: keyed(1, "k"), rows: vec![row(1, vaccination(1))], complete: false };
    let (_, before, _) = durable(store.accept(&aoi(), broken_off).await);
    let again = ExchangeHead { digest: head(1).digest, ..keyed(2, "k") };
    let rows = vec![row(1, vaccination(1)), row(2, vaccination(2))];
    let (_, after, _) = durable(store.accept(&kita(), whole(again, rows)).await);
    assert_eq!((&after[0], &after[1].tenant), (&before[0], &Some(kita())));
    assert_eq!(leaves(&store, &kita()).await.len(), 1);
    assert_eq!(store.exchange(&clinic(), &exchange(1), RowPage::FIRST).await.unwrap().unwrap().rows, after);
}

/// Key known, body another: nothing is kept. The key of another sender is another key.
pub async fn another_body_under_the_key_keeps_nothing(store: Shared) {
    durable(store.accept(&aoi(), whole(keyed(1, "k"), vec![row(1, vaccination(1))])).await);
    let other = store.accept(&aoi(), whole(keyed(2, "k"), vec![row(1, vaccination(2))])).await;
    assert_eq!(other.unwrap(), Accepted::KeyReused);
    let stolen = ExchangeHead { id: exchange(1), ..head(3) };
    assert_eq!(store.accept(&aoi(), whole(stolen, vec![row(2, vaccination(2))])).await.unwrap(), Accepted::KeyReused);
    assert!(held(&store, 2).await.is_none());
    assert_eq!(leaves(&store, &aoi()).await.len(), 1);
    assert!(store.exchange(&clinic(), &exchange(2), RowPage::FIRST).await.unwrap().is_none());

    let theirs = ExchangeHead { sender: city(), ..keyed(4, "k") };
    let (id, _, repeated) = durable(store.accept(&aoi(), whole(theirs, vec![row(1, vaccination(2))])).await);
    assert_eq!((id, repeated), (exchange(4), false));
}

/// Calls with one exchange id add up, over tenants too; the last one completes it.
pub async fn a_chunk_continues_its_exchange(store: Shared) {
    let part = |rows, complete| Accept { head: head(1), rows, complete };
    durable(store.accept(&aoi(), part(vec![row(1, vaccination(1))], false)).await);
    durable(store.accept(&kita(), part(vec![row(2, vaccination(2))], false)).await);
    let view = store.exchange(&clinic(), &exchange(1), RowPage::FIRST).await.unwrap().unwrap();
    assert_eq!((view.rows.len(), view.exchange.state), (2, ExchangeState::Open));
    durable(store.accept(&aoi(), part(vec![row(3, vaccination(3))], true)).await);
    let view = store.exchange(&clinic(), &exchange(1), RowPage::FIRST).await.unwrap().unwrap();
    let rows: Vec<_> = view.rows.iter().map(|row| (row.row, row.tenant.clone().unwrap())).collect();
    assert_eq!(rows, [(1, aoi()), (2, kita()), (3, aoi())]);
    assert_eq!((view.exchange.state, view.exchange.received_at), (ExchangeState::Complete, at(1)));
    assert_ne!(view.exchange.digest, "01".repeat(32), "the digest is keyed");
    assert!(
        store.exchange(&city(), &exchange(1), RowPage::FIRST).await.unwrap().is_none(),
        "a receipt is its sender's own"
    );
}

/// The source of a refused row comes back with its reasons, to its sender alone.
pub async fn a_refused_row_is_given_back_to_its_sender(store: Shared) {
    let rows = vec![refused(3, "三行目"), row(2, vaccination(2)), refused(1, "一行目")];
    let (_, results, _) = durable(store.accept(&aoi(), whole(head(1), rows)).await);
    assert_eq!((&results[0].state, results[0].faults[0].code), (&RowState::Refused, RowCode::Unmapped));
    let back = store.rejections(&clinic(), &exchange(1), RowPage::FIRST).await.unwrap();
    let back: Vec<_> = back.into_iter().map(|row| (row.row, row.source, row.faults)).collect();
    assert_eq!(
        back,
        [
            (1, document(1, "一行目"), vec![fault(1, RowCode::Unmapped)]),
            (3, document(3, "三行目"), vec![fault(3, RowCode::Unmapped)]),
        ]
    );
    assert!(store.rejections(&city(), &exchange(1), RowPage::FIRST).await.unwrap().is_empty());
}

/// A row that no tenant could be told for is refused under the hub; the hub takes no records.
pub async fn a_row_without_a_tenant_stands_under_the_hub(store: Shared) {
    let hub = TenantId::hub();
    let (_, rows, _) = durable(store.accept(&hub, whole(head(1), vec![refused(1, "x")])).await);
    assert_eq!(rows[0].tenant, None);
    assert_eq!(store.exchange(&clinic(), &exchange(1), RowPage::FIRST).await.unwrap().unwrap().rows, rows);
    assert_eq!(store.rejections(&clinic(), &exchange(1), RowPage::FIRST).await.unwrap().len(), 1);
    assert_eq!(leaves(&store, &hub).await.len(), 1);
    assert!(store.accept(&hub, whole(head(2), vec![row(1, vaccination(1))])).await.is_err());
}

/// A record tells more identifiers of a person who is known by one; from then on each of them names the person.
pub async fn a_subject_gains_identifiers(store: Shared) {
    keep(&store, 1, vaccination(1)).await;
    let both = NewRecord { identifiers: vec![named("insured", "A"), recipient(1)], ..vaccination(2) };
    keep(&store, 2, both).await;
    let by_new = store.held(&aoi(), &SubjectRef::Identifier(named("insured", "A")), &[]).await.unwrap().unwrap();
    assert_eq!(by_new.subject, subject(1));
    let other_system = SubjectRef::Identifier(named("recipient", "A"));
    assert!(store.held(&aoi(), &other_system, &[]).await.unwrap().is_none());
}

/// Only a sender that may make subjects adds to what names one. What any other says finds, and is not kept: else it
/// could plant an identifier, and a later registration under it would make two people one.
pub async fn only_who_makes_subjects_names_them(store: Shared) {
    keep(&store, 1, vaccination(1)).await;
    let planted = || named("municipality_number", "77");
    let foreign = NewRecord { identifiers: vec![recipient(1), planted()], new_subject: None, ..vaccination(2) };
    assert_eq!(keep(&store, 2, foreign).await.state, accepted(2, 1));
    assert!(store.held(&aoi(), &SubjectRef::Identifier(planted()), &[]).await.unwrap().is_none());
    let theirs = NewRecord { identifiers: vec![recipient(3), planted()], ..vaccination(3) };
    assert_eq!(keep(&store, 3, theirs).await.state, accepted(3, 1));
    let by_number = store.held(&aoi(), &SubjectRef::Identifier(planted()), &[]).await.unwrap().unwrap();
    assert_eq!(by_number.subject, subject(3));
    assert_eq!(held(&store, 1).await.unwrap().records.len(), 2);
}

/// Another value where a person has one at a time: nobody is merged and nothing superseded, whoever says it.
pub async fn a_second_value_where_there_is_one_waits(store: Shared) {
    let number = |value| named("municipality_number", value);
    let new = |n, identifiers| NewRecord {
        identifiers,
        single_valued: [number("A").system].into(),
        business_key: vaccination(1).business_key,
        ..vaccination(n)
    };
    keep(&store, 1, new(1, vec![recipient(1), number("A")])).await;
    let before = held(&store, 1).await.unwrap();
    for (n, new_subject) in [(2, Some(subject(2))), (3, None)] {
        let other = NewRecord { new_subject, ..new(n, vec![recipient(1), number("B")]) };
        let result = keep(&store, n, other).await;
        assert_eq!((result.state, result.faults[0].code), (RowState::Waiting, RowCode::SubjectAmbiguous));
        assert!(result.faults[0].reason.en.contains("not taken up by itself"));
    }
    let both = keep(&store, 4, new(4, vec![number("C"), number("D")])).await;
    assert_eq!(both.state, RowState::Waiting, "one row, two values");
    let after = held(&store, 1).await.unwrap();
    assert_eq!((after.version, after.records), (before.version, before.records));
    for unknown in ["B", "C", "D"] {
        assert!(store.held(&aoi(), &SubjectRef::Identifier(number(unknown)), &[]).await.unwrap().is_none());
    }
    // The same value again is no contradiction, and neither are two of a system that may have several.
    let same =
        NewRecord { record: record("vaccination", "B"), ..new(5, vec![number("A"), recipient(1), recipient(9)]) };
    assert_eq!(keep(&store, 5, same).await.state, accepted(1, 2));
}

/// The flag is set while the newest version of any record sets it. A record that does not state it has no say; a
/// tombstone has none unless it sets it too, what has been superseded has none; what is unchanged changes nothing.
pub async fn the_flag_holds_while_a_record_sets_it(store: Shared) {
    let says = |n, flag| NewRecord { identifiers: vec![recipient(1)], non_disclosure: flag, ..vaccination(n) };
    let is_set = async || held(&store, 1).await.unwrap().non_disclosure;
    for n in [1, 2] {
        keep(&store, n, says(n, Some(true))).await;
    }
    keep(&store, 3, says(3, None)).await;
    keep(&store, 4, says(4, Some(false))).await;
    assert!(is_set().await, "two set it; one does not say, one says no for itself");

    let before = held(&store, 1).await.unwrap().version;
    assert!(matches!(keep(&store, 5, says(1, Some(true))).await.state, RowState::Unchanged { .. }));
    assert!(matches!(keep(&store, 6, says(1, None)).await.state, RowState::Unchanged { .. }));
    let unchanged = held(&store, 1).await.unwrap();
    assert_eq!((unchanged.non_disclosure, unchanged.version), (true, before));

    // Equal content that states the flag otherwise is another version of the record.
    assert_eq!(keep(&store, 7, says(1, Some(false))).await.state, accepted(1, 2));
    assert!(is_set().await, "record 2 still sets it");
    keep(&store, 8, NewRecord { deleted: true, ..says(2, Some(true)) }).await;
    assert!(is_set().await, "who withdraws a record and says hide, is heard");
    keep(&store, 11, NewRecord { deleted: true, ..says(2, Some(false)) }).await;
    assert!(!is_set().await, "otherwise a tombstone has no say");
    assert_eq!(keep(&store, 9, says(4, Some(true))).await.state, accepted(4, 2));
    let set = held(&store, 1).await.unwrap();
    assert!(set.non_disclosure && set.version > before);
    let superseding = NewRecord { record: record("vaccination", "B"), ..says(4, None) };
    assert_eq!(keep(&store, 10, superseding).await.state, accepted(4, 3));
    assert!(!is_set().await, "superseded by one that does not state it");
}

/// Every row has its leaf, with action, subject and record filled in.
pub async fn events_tell_what_the_store_found_out(store: Shared) {
    let gone = NewRecord { deleted: true, ..vaccination(1) };
    let rows = vec![row(1, vaccination(1)), row(2, gone), refused(3, "x")];
    durable(store.accept(&aoi(), whole(head(1), rows)).await);
    let events = events(&store, &aoi()).await;
    let told: Vec<_> = events.iter().map(|e| (e.action, e.subject.clone(), e.records.clone())).collect();
    assert_eq!(
        told,
        [
            (Action::RecordAccepted, Some(subject(1)), vec![(record_id(1), 1)]),
            (Action::RecordDeleted, Some(subject(1)), vec![(record_id(1), 2)]),
            (Action::RecordRefused, None, vec![]),
        ]
    );
    assert!(events.iter().all(|event| event.exchange == Some(exchange(1))));
}

/// All or nothing: the second row cannot be kept, so the first one is not.
pub async fn a_failed_call_leaves_nothing(store: Shared) {
    keep(&store, 1, delivered(1, 1, "to-app")).await;
    let taken = NewRecord { deliveries: delivered(1, 1, "to-app").deliveries, ..vaccination(3) };
    let failed = store.accept(&aoi(), whole(keyed(2, "k"), vec![row(1, vaccination(2)), row(2, taken)])).await;
    assert!(matches!(failed, Err(StoreError::Corrupt(_))), "{failed:?}");
    assert!(held(&store, 2).await.is_none());
    assert!(store.exchange(&clinic(), &exchange(2), RowPage::FIRST).await.unwrap().is_none());
    assert_eq!(leaves(&store, &aoi()).await.len(), 1);
    // The key is free again, and the log goes on without a gap.
    durable(store.accept(&aoi(), whole(keyed(3, "k"), vec![row(1, vaccination(2))])).await);
    assert_eq!(store.verify(&aoi(), &signer().public_key(), &|_| ()).await.unwrap().fault, None);
}

/// A record that still carries 個人番号 is refused as a whole, whether it would be kept or would wait.
pub async fn an_individual_number_is_never_stored(store: Shared) {
    let number = Value::MyNumber(Sensitive::new("123456789018".to_owned()));
    for new_subject in [Some(subject(1)), None] {
        let record = fields_of("vaccination", [("my_number", number.clone())]);
        let new = NewRecord { record, new_subject, ..vaccination(1) };
        let failed = store.accept(&aoi(), whole(head(1), vec![row(1, new)])).await;
        assert!(matches!(failed, Err(StoreError::Corrupt(words)) if !words.contains("1234")));
    }
    assert!(leaves(&store, &aoi()).await.is_empty());
}

/// Calls at once, on one person and on many: each is kept once, in an order that the log and the line agree on.
pub async fn many_tasks_at_once_lose_nothing(store: Shared) {
    let mut tasks = JoinSet::new();
    for n in 1..=60 {
        let store = Shared::clone(&store);
        tasks.spawn(async move {
            let person = if n % 2 == 0 { 1000 } else { n };
            let row: AcceptRow = row(1, delivered(n, person, "to-app"));
            durable(store.accept(&aoi(), whole(keyed(n, &n.to_string()), vec![row])).await).1.remove(0)
        });
    }
    let results = tasks.join_all().await;
    let mut indexes: Vec<u64> = results.iter().map(|result| result.leaf.unwrap()).collect();
    indexes.sort_unstable();
    assert_eq!(indexes, (0..60).collect::<Vec<u64>>());
    assert_eq!(held(&store, 1000).await.unwrap().records.len(), 30);
    assert_eq!(claimed(&store, claim(1, "to-app", 1)).await.len(), 60);
    assert_eq!(store.verify(&aoi(), &signer().public_key(), &|_| ()).await.unwrap().fault, None);
}
