//! Rows are made ready as if they were the first of a new subject. Where they turn out to be something else, nothing of
//! that is left in what is written.

use std::sync::Arc;

use tsunagi_core::exchange::RowState;

use super::open;
use crate::contract::given::*;
use crate::{Accept, ExchangeHead, NewRecord};

#[tokio::test]
async fn a_draft_that_does_not_hold_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let store: Shared = Arc::new(open(&folder.path().join("store.db")));
    // From here on the tenant has its keys, so that drafts are made.
    keep(&store, 5, vaccination(5)).await;

    let open_one = Accept { complete: false, ..whole(keyed(1, "k"), vec![row(1, vaccination(1))]) };
    durable(store.accept(&aoi(), open_one).await);
    // It continues the exchange of its key, whatever id it comes with.
    let same = ExchangeHead { digest: keyed(1, "k").digest, ..keyed(2, "k") };
    let (id, rows, repeated) = durable(store.accept(&aoi(), whole(same, vec![row(2, vaccination(2))])).await);
    assert_eq!((id, repeated, &rows[0].state), (exchange(1), true, &accepted(2, 1)));
    let leaf = events(&store, &aoi()).await.pop().unwrap();
    assert_eq!((leaf.exchange, leaf.subject), (Some(exchange(1)), Some(subject(2))));

    // Another subject was to be made; the person is known by now.
    let again = NewRecord { id: record_id(9), new_subject: Some(subject(9)), ..vaccination(2) };
    let (_, rows, _) = durable(store.accept(&aoi(), whole(head(3), vec![row(1, again)])).await);
    let leaf = events(&store, &aoi()).await.pop().unwrap();
    assert_eq!((leaf.subject, leaf.records), (Some(subject(2)), vec![(record_id(2), 1)]));
    assert!(matches!(&rows[0].state, RowState::Unchanged { record, version: 1 } if *record == record_id(2)));

    // Two people by their identifiers: the row waits, and its leaf names nobody.
    let identifiers = vec![recipient(2), recipient(5)];
    let both = NewRecord { id: record_id(10), new_subject: Some(subject(10)), identifiers, ..vaccination(10) };
    let (_, rows, _) = durable(store.accept(&aoi(), whole(head(4), vec![row(1, both)])).await);
    let leaf = events(&store, &aoi()).await.pop().unwrap();
    assert_eq!((&rows[0].state, leaf.subject, leaf.records), (&RowState::Waiting, None, Vec::new()));
}
