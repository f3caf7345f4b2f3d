//! Promises of the shredding of a subject.

use tsunagi_core::audit::Action;
use tsunagi_core::exchange::{DeliveryState, RowState};

use super::given::*;
use crate::{Link, NewRecord, Relationship, RowPage, StoreError, SubjectRef};

/// Nothing of the subject is found any more by any name, nothing is delivered, and the log goes on.
pub async fn a_shredded_subject_is_gone(store: Shared) {
    keep(&store, 1, delivered(1, 1, "to-app")).await;
    keep(&store, 2, delivered(2, 2, "to-app")).await;
    // A row that waits for good because it names two people, and one that was refused, with the first one's number.
    let both =
        NewRecord { identifiers: vec![recipient(1), recipient(2)], new_subject: None, ..delivered(3, 1, "to-app") };
    let number = format!("80131016:{:07}", 1);
    let rows = vec![row(1, both), refused(2, &number), refused(3, "somebody else")];
    durable(store.accept(&aoi(), whole(head(3), rows)).await);
    let link = Link { relationship: Relationship::Subject, from: jiff::civil::date(2026, 4, 1), until: None };
    store.link_subject(&aoi(), &recipient(1), "issuer", "sub", link, event(1)).await.unwrap();
    store.record_directive(&aoi(), directive(1, 1), event(1)).await.unwrap();
    assert_eq!(held(&store, 1).await.unwrap().directives.len(), 1);

    let before = u64::try_from(leaves(&store, &aoi()).await.len()).unwrap();
    let done = store.shred(&aoi(), &subject(1), event(2)).await.unwrap();
    assert_eq!((done.versions, done.identifiers, done.directives, done.links), (1, 1, 1, 1));
    assert_eq!((done.waiting_rows, done.refused_rows, done.deliveries), (1, 1, 1));
    let told = events(&store, &aoi()).await;
    assert_eq!((done.leaf, told.len() as u64), (before + 1, before + 2));
    assert_eq!(
        (told[before as usize].action, &told[before as usize].delivery),
        (Action::DeliverySettled, &Some(delivery(1)))
    );

    let sign_in = SubjectRef::SignIn { issuer: "issuer".to_owned(), sub: "sub".to_owned(), subject: None };
    for who in [
        SubjectRef::Identifier(recipient(1)),
        SubjectRef::Record(record_id(1)),
        SubjectRef::Subject(subject(1)),
        sign_in,
    ] {
        assert!(store.held(&aoi(), &who, &[kind("vaccination")]).await.unwrap().is_none(), "{who:?}");
    }
    assert!(store.linked(&aoi(), "issuer", "sub").await.unwrap().is_empty());
    assert_eq!(claimed(&store, claim(1, "to-app", 9)).await, [delivery(2)], "the other one's");
    let ended = store.delivery(&aoi(), &delivery(1)).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.leaf), (DeliveryState::Dead, Some(before)));
    assert!(matches!(store.redrive(&aoi(), &delivery(1), at(9), event(9)).await, Err(StoreError::NotFound)));
    let given_back = store.rejections(&clinic(), &exchange(3), RowPage::FIRST).await.unwrap();
    assert_eq!(given_back.iter().map(|row| row.row).collect::<Vec<_>>(), [3]);
    let receipt = store.exchange(&clinic(), &exchange(3), RowPage::FIRST).await.unwrap().unwrap();
    assert_eq!(receipt.rows[0].state, RowState::Refused);
    for again in [subject(1), subject(7)] {
        assert!(matches!(store.shred(&aoi(), &again, event(3)).await, Err(StoreError::NotFound)));
    }

    // The other person has everything; and who comes again under the same number is somebody new.
    assert_eq!(held(&store, 2).await.unwrap().records.len(), 1);
    let anew = NewRecord { new_subject: Some(subject(9)), identifiers: vec![recipient(1)], ..vaccination(4) };
    keep(&store, 4, anew).await;
    let held = held(&store, 1).await.unwrap();
    assert_eq!((held.subject, held.records.len(), held.directives.len()), (subject(9), 1, 0));
    let verdict = store.verify(&aoi(), &signer().public_key(), &|_| ()).await.unwrap();
    assert_eq!(verdict.fault, None);
}

/// A decision that was made before the subject was shredded is not acted upon.
pub async fn what_rests_on_a_shredded_subject_is_stale(store: Shared) {
    keep(&store, 1, vaccination(1)).await;
    let held = held(&store, 1).await.unwrap();
    store.shred(&aoi(), &subject(1), event(2)).await.unwrap();
    let note = crate::Note { events: vec![event(3)], rests_on: vec![(held.subject, held.version)], directive: None };
    assert!(matches!(store.note(&aoi(), note).await, Err(StoreError::Stale)));
}
