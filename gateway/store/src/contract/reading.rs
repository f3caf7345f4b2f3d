//! Promises about what a decision rests on: flags, directives, links, and the note that says it was used.

use jiff::civil::date;
use tsunagi_core::id::TenantId;
use tsunagi_core::policy::Directive;

use super::given::*;
use crate::{Link, NewRecord, Note, Relationship, RowPage, StoreError, SubjectRef};

fn sign_in(sub: &str) -> SubjectRef {
    SubjectRef::SignIn { issuer: "https://id.example".to_owned(), sub: sub.to_owned(), subject: None }
}

fn link(relationship: Relationship) -> Link {
    Link { relationship, from: date(2026, 4, 1), until: Some(date(2044, 3, 31)) }
}

fn note(rests_on: u64) -> Note {
    Note { events: vec![event(1), event(2)], rests_on: vec![(subject(1), rests_on)], directive: None }
}

/// No identifier, record or sign-in of nobody leads anywhere; nor does an unknown tenant.
pub async fn what_is_not_there_is_not_found(store: Shared) {
    assert!(held(&store, 1).await.is_none());
    keep(&store, 1, vaccination(1)).await;
    assert!(held(&store, 2).await.is_none());
    assert!(store.held(&aoi(), &SubjectRef::Record(record_id(2)), &[]).await.unwrap().is_none());
    assert!(store.held(&aoi(), &sign_in("a"), &[]).await.unwrap().is_none());
    assert!(store.exchange(&clinic(), &exchange(9), RowPage::FIRST).await.unwrap().is_none());
    let at_kita = store.record_directive(&kita(), directive(1, 1), event(1)).await;
    assert!(matches!(at_kita, Err(StoreError::NotFound)));
    let of_nobody = store.record_directive(&aoi(), directive(1, 2), event(1)).await;
    assert!(matches!(of_nobody, Err(StoreError::NotFound)));
    let withdrawn = store.withdraw_directive(&aoi(), &subject(1), &directive_id(1), at(1), event(1)).await;
    assert!(matches!(withdrawn, Err(StoreError::NotFound)));
    assert_eq!(leaves(&store, &aoi()).await.len(), 1, "what is refused leaves no leaf");
}

/// Records of other kinds stay where they are; no kind asked for is no record.
pub async fn only_the_kinds_asked_for_come(store: Shared) {
    keep(&store, 1, vaccination(1)).await;
    let checkup =
        NewRecord { record: record("infant_checkup", "A"), identifiers: vec![recipient(1)], ..vaccination(2) };
    keep(&store, 2, checkup).await;
    let of = async |kinds: &[_]| {
        let held = store.held(&aoi(), &SubjectRef::Identifier(recipient(1)), kinds).await.unwrap().unwrap();
        held.records.into_iter().map(|record| record.id).collect::<Vec<_>>()
    };
    assert_eq!(of(&[kind("vaccination")]).await, [record_id(1)]);
    assert_eq!(of(&[kind("infant_checkup"), kind("vaccination"), kind("vaccination")]).await.len(), 2);
    assert!(of(&[]).await.is_empty());
    assert!(of(&[kind("coverage")]).await.is_empty());
}

/// A note on what was read stands; once anything of the subject has changed it is stale and writes nothing.
pub async fn a_note_on_a_moved_subject_is_stale(store: Shared) {
    keep(&store, 1, vaccination(1)).await;
    let read = held(&store, 1).await.unwrap().version;
    assert_eq!(store.note(&aoi(), note(read)).await.unwrap(), [1, 2]);
    assert_eq!(store.note(&aoi(), note(read)).await.unwrap(), [3, 4], "a note alone moves nothing");
    keep(&store, 2, NewRecord { identifiers: vec![recipient(1)], ..vaccination(2) }).await;
    assert!(matches!(store.note(&aoi(), note(read)).await, Err(StoreError::Stale)));
    let with_directive = Note { directive: Some(directive(1, 1)), ..note(read) };
    assert!(matches!(store.note(&aoi(), with_directive).await, Err(StoreError::Stale)));
    let unknown = Note { rests_on: vec![(subject(9), 0)], ..note(0) };
    assert!(matches!(store.note(&aoi(), unknown).await, Err(StoreError::Stale)));
    assert_eq!(leaves(&store, &aoi()).await.len(), 6);
    assert!(held(&store, 1).await.unwrap().directives.is_empty());
    // Events that rest on nobody, such as a refused peer's, need no tenant that is known.
    let free = Note { events: vec![event(1)], rests_on: vec![], directive: None };
    assert_eq!(store.note(&TenantId::hub(), free).await.unwrap(), [0]);
}

/// Consent given with a request is kept with the request's own event; decisions made before it are stale.
pub async fn a_note_keeps_its_directive(store: Shared) {
    keep(&store, 1, vaccination(1)).await;
    let read = held(&store, 1).await.unwrap().version;
    let given = Note { directive: Some(directive(1, 1)), ..note(read) };
    store.note(&aoi(), given).await.unwrap();
    let after = held(&store, 1).await.unwrap();
    assert_eq!(after.directives, [directive(1, 1)]);
    assert!(after.version > read);
    assert!(matches!(store.note(&aoi(), note(read)).await, Err(StoreError::Stale)));
}

/// Giving and withdrawing each move the subject, and are read back as they were stated.
pub async fn a_directive_moves_the_subject(store: Shared) {
    keep(&store, 1, vaccination(1)).await;
    let before = held(&store, 1).await.unwrap().version;
    assert_eq!(store.record_directive(&aoi(), directive(1, 1), event(1)).await.unwrap(), 1);
    let given = held(&store, 1).await.unwrap();
    assert_eq!(given.directives, [directive(1, 1)]);
    let index = store.withdraw_directive(&aoi(), &subject(1), &directive_id(1), at(5), event(5)).await.unwrap();
    let withdrawn = held(&store, 1).await.unwrap();
    assert_eq!(index, 2);
    assert_eq!(withdrawn.directives, [Directive { withdrawn_at: Some(at(5)), ..directive(1, 1) }]);
    assert!(before < given.version && given.version < withdrawn.version);
}

/// Calls may be repeated in any order: consent that was withdrawn stays withdrawn, from the first time on.
pub async fn a_repeated_directive_does_not_undo_a_withdrawal(store: Shared) {
    keep(&store, 1, vaccination(1)).await;
    store.record_directive(&aoi(), directive(1, 1), event(1)).await.unwrap();
    store.withdraw_directive(&aoi(), &subject(1), &directive_id(1), at(5), event(5)).await.unwrap();
    store.record_directive(&aoi(), directive(1, 1), event(1)).await.unwrap();
    store.withdraw_directive(&aoi(), &subject(1), &directive_id(1), at(9), event(9)).await.unwrap();
    let held = held(&store, 1).await.unwrap();
    assert_eq!(held.directives, [Directive { withdrawn_at: Some(at(5)), ..directive(1, 1) }]);
}

/// All that may still be in force, and of those that have ended the newest 50: by expiry or by withdrawal, whichever
/// was first.
pub async fn directives_that_ended_do_not_pile_up(store: Shared) {
    keep(&store, 1, vaccination(1)).await;
    let until = |n, end: Option<i64>| Directive { expires_at: end.map(at), ..directive(n, 1) };
    let give = async |directive| store.record_directive(&aoi(), directive, event(50)).await.unwrap();
    for n in 1..=60 {
        give(until(n, Some(i64::try_from(n).unwrap()))).await;
        give(until(100 + n, Some(1000))).await;
    }
    give(until(99, None)).await;
    // Without the last hundred seconds of the log, all of them may still be in force for what the store knows.
    assert_eq!(held(&store, 1).await.unwrap().directives.len(), 121);
    store.withdraw_directive(&aoi(), &subject(1), &directive_id(160), at(99), event(100)).await.unwrap();
    let read = held(&store, 1).await.unwrap().directives;
    let expected = (12..=60).chain(99..=160).filter(|n| *n != 100).map(directive_id).collect::<Vec<_>>();
    assert_eq!(read.into_iter().map(|directive| directive.id).collect::<Vec<_>>(), expected);
}

/// A sign-in leads to the subject with the link it was given; a new link takes the place of the old one.
pub async fn a_link_is_found_by_its_sign_in(store: Shared) {
    keep(&store, 1, vaccination(1)).await;
    let before = held(&store, 1).await.unwrap().version;
    for relationship in [Relationship::Proxy, Relationship::Subject] {
        store
            .link_subject(&aoi(), &recipient(1), "https://id.example", "a", link(relationship), event(1))
            .await
            .unwrap();
        let found = store.held(&aoi(), &sign_in("a"), &[kind("vaccination")]).await.unwrap().unwrap();
        assert_eq!((found.subject, found.link, found.records.len()), (subject(1), Some(link(relationship)), 1));
    }
    let after = held(&store, 1).await.unwrap();
    assert!(after.version > before && after.link.is_none());
    assert!(store.held(&aoi(), &sign_in("b"), &[]).await.unwrap().is_none());
    assert!(store.held(&kita(), &sign_in("a"), &[]).await.unwrap().is_none());
    assert_eq!(events(&store, &aoi()).await[1].subject, Some(subject(1)));
    let of_nobody = store
        .link_subject(&aoi(), &recipient(9), "https://id.example", "a", link(Relationship::Subject), event(1))
        .await;
    assert!(matches!(of_nobody, Err(StoreError::NotFound)));
}

/// A sign-in that is linked to two subjects does not say whose records are meant, unless one of them is named.
pub async fn a_sign_in_of_two_subjects_names_each_by_its_key(store: Shared) {
    for n in [1, 2] {
        keep(&store, n, vaccination(n)).await;
        store
            .link_subject(&aoi(), &recipient(n), "https://id.example", "a", link(Relationship::Proxy), event(1))
            .await
            .unwrap();
    }
    assert!(store.held(&aoi(), &sign_in("a"), &[]).await.unwrap().is_none());
    assert_eq!(store.linked(&aoi(), "https://id.example", "a").await.unwrap(), [subject(1), subject(2)]);
    assert!(store.linked(&aoi(), "https://id.example", "b").await.unwrap().is_empty());
    assert!(store.linked(&kita(), "https://id.example", "a").await.unwrap().is_empty());
    let one = |key| SubjectRef::SignIn {
        issuer: "https://id.example".to_owned(),
        sub: "a".to_owned(),
        subject: Some(subject(key)),
    };
    assert_eq!(store.held(&aoi(), &one(2), &[]).await.unwrap().unwrap().subject, subject(2));
    assert!(store.held(&aoi(), &one(3), &[]).await.unwrap().is_none(), "a child that is not theirs");
}
