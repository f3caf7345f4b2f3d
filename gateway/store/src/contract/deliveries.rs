//! Promises of the outbox.

use tsunagi_core::exchange::{DeliveryState, DeliveryView};

use super::given::*;
use crate::{ClaimRequest, DeliveryFilter, NewRecord, SettledState, StoreError};

const DELIVERED: SettledState = SettledState::Ended(DeliveryState::Delivered);

async fn settle(store: &Shared, by: u64, n: u64, state: SettledState) -> usize {
    store.settle(&aoi(), &batch(by), vec![settlement(n, state)]).await.unwrap()
}

async fn view(store: &Shared, n: u64) -> DeliveryView {
    store.delivery(&aoi(), &delivery(n)).await.unwrap().unwrap()
}

/// Two deliveries of person 1 on one channel.
async fn a_line_of_two(store: &Shared) {
    keep(store, 1, delivered(1, 1, "to-app")).await;
    keep(store, 2, delivered(2, 1, "to-app")).await;
}

/// One claim takes a line in its order, with attempts counted; while it is leased nobody else gets any of it.
pub async fn a_line_is_claimed_in_order(store: Shared) {
    a_line_of_two(&store).await;
    assert!(claimed(&store, claim(1, "to-app", -1)).await.is_empty(), "not due before it was accepted");
    assert_eq!(claimed(&store, claim(1, "to-app", 1)).await, [delivery(1), delivery(2)]);
    assert_eq!((view(&store, 1).await.attempts, view(&store, 1).await.state), (1, DeliveryState::Pending));
    assert!(claimed(&store, claim(2, "to-app", 5)).await.is_empty());
    keep(&store, 3, delivered(3, 1, "to-app")).await;
    assert!(claimed(&store, claim(2, "to-app", 5)).await.is_empty(), "behind two that are leased");
    // The first settled, the second still leased.
    assert_eq!(settle(&store, 1, 1, DELIVERED).await, 1);
    assert!(claimed(&store, claim(2, "to-app", 5)).await.is_empty());
    assert_eq!(settle(&store, 1, 2, SettledState::Ended(DeliveryState::Rejected)).await, 1);
    assert_eq!(claimed(&store, claim(2, "to-app", 5)).await, [delivery(3)]);
}

/// Another person, and another channel, have lines of their own.
pub async fn another_line_is_not_held_up(store: Shared) {
    a_line_of_two(&store).await;
    keep(&store, 3, delivered(3, 2, "to-app")).await;
    keep(&store, 4, delivered(4, 1, "to-kita")).await;
    let one = ClaimRequest { limit: 1, ..claim(1, "to-app", 1) };
    assert_eq!(claimed(&store, one).await, [delivery(1)]);
    let rest = ClaimRequest { channels: vec![channel("to-kita"), channel("to-app")], ..claim(2, "to-app", 1) };
    assert_eq!(claimed(&store, rest).await, [delivery(3), delivery(4)]);
}

/// What is to be tried later is not claimed before, nor is anything behind it.
pub async fn a_retry_holds_up_its_line(store: Shared) {
    a_line_of_two(&store).await;
    claimed(&store, ClaimRequest { limit: 1, ..claim(1, "to-app", 1) }).await;
    settle(&store, 1, 1, SettledState::RetryAt(at(60))).await;
    let waiting = view(&store, 1).await;
    assert_eq!((waiting.state, waiting.next_at), (DeliveryState::Pending, at(60)));
    assert_eq!(waiting.last_outcome.as_deref(), Some("said so"));
    assert!(claimed(&store, claim(2, "to-app", 59)).await.is_empty());
    assert_eq!(claimed(&store, claim(2, "to-app", 60)).await, [delivery(1), delivery(2)]);
    assert_eq!((view(&store, 1).await.attempts, view(&store, 2).await.attempts), (2, 1));
}

/// What is given back untried is due at once, and its claim does not count as an attempt.
pub async fn what_is_given_back_is_as_if_never_claimed(store: Shared) {
    a_line_of_two(&store).await;
    claimed(&store, claim(1, "to-app", 1)).await;
    settle(&store, 1, 1, SettledState::Released).await;
    settle(&store, 1, 2, SettledState::Released).await;
    assert_eq!((view(&store, 1).await.attempts, view(&store, 2).await.attempts), (0, 0));
    assert_eq!(claimed(&store, claim(2, "to-app", 1)).await, [delivery(1), delivery(2)]);
}

/// A dead or held delivery stops what is behind it until it is put back.
pub async fn a_dead_or_held_delivery_holds_up_its_line(store: Shared) {
    for (n, state) in [(1, DeliveryState::Dead), (3, DeliveryState::Held)] {
        keep(&store, n, delivered(n, n, "to-app")).await;
        keep(&store, n + 1, delivered(n + 1, n, "to-app")).await;
        claimed(&store, ClaimRequest { limit: 1, ..claim(n, "to-app", 1) }).await;
        settle(&store, n, n, SettledState::Ended(state)).await;
        assert!(claimed(&store, claim(n + 1, "to-app", 9999)).await.is_empty(), "{state:?}");
        store.redrive(&aoi(), &delivery(n), at(70), event(70)).await.unwrap();
        assert!(claimed(&store, claim(n + 1, "to-app", 69)).await.is_empty());
        assert_eq!(view(&store, n).await.attempts, 0);
        assert_eq!(claimed(&store, claim(n + 1, "to-app", 70)).await, [delivery(n), delivery(n + 1)]);
        settle(&store, n + 1, n, DELIVERED).await;
        settle(&store, n + 1, n + 1, DELIVERED).await;
    }
}

/// `NotFound`, and no event, unless there is something to put back.
pub async fn only_the_stuck_are_redriven(store: Shared) {
    a_line_of_two(&store).await;
    claimed(&store, claim(1, "to-app", 1)).await;
    settle(&store, 1, 1, DELIVERED).await;
    let log = leaves(&store, &aoi()).await.len();
    for (tenant, n) in [(aoi(), 1), (aoi(), 2), (aoi(), 9), (kita(), 1)] {
        let outcome = store.redrive(&tenant, &delivery(n), at(1), event(1)).await;
        assert!(matches!(outcome, Err(StoreError::NotFound)), "delivery {n} of {tenant}");
    }
    assert_eq!(leaves(&store, &aoi()).await.len(), log);
}

/// After its end a lease binds nobody; until somebody else has the delivery, a late result still counts.
pub async fn a_lease_that_is_over_is_anyones(store: Shared) {
    a_line_of_two(&store).await;
    assert_eq!(claimed(&store, claim(1, "to-app", 1)).await.len(), 2);
    assert_eq!(settle(&store, 1, 1, DELIVERED).await, 1, "whatever the time, nobody else has it");
    assert!(claimed(&store, claim(2, "to-app", 10)).await.is_empty());
    assert_eq!(claimed(&store, claim(2, "to-app", 11)).await, [delivery(2)]);
    assert_eq!(view(&store, 2).await.attempts, 2);
    let log = leaves(&store, &aoi()).await.len();
    assert_eq!(settle(&store, 1, 2, DELIVERED).await, 0, "it is leased under another batch now");
    assert_eq!(leaves(&store, &aoi()).await.len(), log, "what is passed over leaves no leaf");
    assert_eq!(settle(&store, 2, 2, DELIVERED).await, 1);
    assert_eq!(settle(&store, 2, 2, DELIVERED).await, 0, "once");
    assert_eq!(leaves(&store, &aoi()).await.len(), log + 1);
}

/// A claim whose answer was lost may be sent again: the same deliveries, and no further attempt is counted.
pub async fn a_claim_again_gets_the_same(store: Shared) {
    a_line_of_two(&store).await;
    let first = claimed(&store, claim(1, "to-app", 1)).await;
    keep(&store, 3, delivered(3, 2, "to-app")).await;
    assert_eq!(claimed(&store, claim(1, "to-app", 2)).await, first);
    assert_eq!(view(&store, 1).await.attempts, 1);
}

/// Deliveries under a batch are listed in their order until they are settled; then each names the leaf that tells how.
pub async fn a_settled_delivery_is_gone_from_the_batch(store: Shared) {
    a_line_of_two(&store).await;
    let listed = async |n| {
        let batch = store.batch(&aoi(), &batch(n)).await.unwrap();
        batch.into_iter().map(|delivery| delivery.id).collect::<Vec<_>>()
    };
    claimed(&store, claim(1, "to-app", 1)).await;
    assert_eq!(listed(1).await, [delivery(1), delivery(2)]);
    settle(&store, 1, 1, DELIVERED).await;
    assert_eq!(listed(1).await, [delivery(2)]);
    assert!(listed(2).await.is_empty());
    assert!(store.batch(&kita(), &batch(1)).await.unwrap().is_empty());
    assert_eq!((view(&store, 1).await.leaf, view(&store, 2).await.leaf), (Some(2), None), "two leaves came before");
    assert_eq!(events(&store, &aoi()).await[2].delivery, Some(delivery(1)));
    let receipt = store.exchange(&clinic(), &exchange(1), crate::RowPage::FIRST).await.unwrap().unwrap();
    assert_eq!(receipt.deliveries[0].leaf, Some(2));
}

/// A delivery is of the version it was written with, however many came after, and of the subject as it is now.
pub async fn a_delivery_carries_its_own_version(store: Shared) {
    keep(&store, 1, delivered(1, 1, "to-app")).await;
    let next = NewRecord {
        business_key: vaccination(1).business_key,
        record: record("vaccination", "LOT-B"),
        deleted: true,
        ..delivered(2, 1, "to-app")
    };
    keep(&store, 2, next).await;
    let flagged = NewRecord { identifiers: vec![recipient(1)], non_disclosure: Some(true), ..vaccination(3) };
    keep(&store, 3, flagged).await;
    store.record_directive(&aoi(), directive(1, 1), event(1)).await.unwrap();
    let claimed = store.claim_due(&aoi(), claim(1, "to-app", 1)).await.unwrap();
    let versions: Vec<_> = claimed.iter().map(|c| (c.delivery.version, c.record.version)).collect();
    assert_eq!(versions, [(1, 1), (2, 2)]);
    assert_eq!(claimed[0].record.record, vaccination(1).record);
    assert_eq!(claimed[1].record.record, record("vaccination", "LOT-B"));
    let now = held(&store, 1).await.unwrap();
    for claimed in claimed {
        assert!(claimed.non_disclosure);
        assert_eq!((claimed.subject_version, claimed.directives), (now.version, now.directives.clone()));
    }
}

/// A limit leaves the newest behind, over several channels too.
pub async fn the_oldest_come_first(store: Shared) {
    for n in 1..=6 {
        keep(&store, n, delivered(n, n, if n % 2 == 0 { "even" } else { "odd" })).await;
    }
    let both = vec![channel("even"), channel("odd")];
    let first = ClaimRequest { channels: both.clone(), limit: 4, ..claim(1, "even", 1) };
    assert_eq!(claimed(&store, first).await, [1, 2, 3, 4].map(delivery));
    let rest = ClaimRequest { channels: both, limit: 4, ..claim(2, "even", 1) };
    assert_eq!(claimed(&store, rest).await, [5, 6].map(delivery));
}

/// Lists by state and number, and shows which exchange and row a delivery came from.
pub async fn deliveries_are_listed_newest_first(store: Shared) {
    for n in 1..=3 {
        keep(&store, n, delivered(n, n, "to-app")).await;
    }
    claimed(&store, ClaimRequest { limit: 1, ..claim(1, "to-app", 1) }).await;
    settle(&store, 1, 1, DELIVERED).await;
    let list = async |state, limit| {
        let found = store.deliveries(&aoi(), &DeliveryFilter { state, limit }).await.unwrap();
        found.into_iter().map(|delivery| delivery.id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 9).await, [3, 2, 1].map(delivery));
    assert_eq!(list(None, 2).await, [3, 2].map(delivery));
    assert_eq!(list(Some(DeliveryState::Pending), 9).await, [3, 2].map(delivery));
    assert_eq!(list(Some(DeliveryState::Delivered), 9).await, [delivery(1)]);
    let view = view(&store, 3).await;
    assert_eq!((view.tenant, view.channel, view.record), (aoi(), channel("to-app"), record_id(3)));
    assert_eq!((view.exchange, view.row, view.next_at), (exchange(3), 1, at(0)));
}
