//! Each send fails in the two ways that look the same: it did not arrive, or it did and only the answer was lost; and so
//! does each write that goes with it.

use serde_json::json;
use tsunagi_core::exchange::DeliveryState;
use tsunagi_store::{DeliveryFilter, Outbox};
use tsunagi_tests::destination::Destination;
use tsunagi_tests::faulty::{Failing, Write};
use tsunagi_tests::papers::{HOSPITAL_OITA, OITA, Person, immunization};
use tsunagi_tests::{Pair, Setup};

use super::shaky::{OTHER, Shaky, assert_unavailable};

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_failed_loses_nothing_and_gives_nothing_twice_at_a_time() {
    for how in Failing::PAIR {
        let mut shaky = Shaky::new(Setup::new()).await;
        shaky.report("F-1").await.expect(201);
        // The claim: if it did happen, the delivery is leased to nobody who knows of it, until the lease is over. The
        // channels are looked at in the order of their ids; that of vaccinations is the third.
        shaky.store.fail_after(2, Write::ClaimDue, how);
        assert_unavailable(&shaky.city.get("/v1/mailbox").await, &shaky.child);
        if how == Failing::After {
            shaky.city.get("/v1/mailbox").await.expect(204);
            shaky.let_leases_end();
        }
        // The leaf of the disclosure: no leaf, no bytes.
        shaky.store.fail(Write::Note, how);
        let failed = shaky.city.get("/v1/mailbox").await;
        assert_unavailable(&failed, &shaky.child);
        shaky.city.get("/v1/mailbox").await.expect(204);
        shaky.let_leases_end();
        let pulled = shaky.city.get("/v1/mailbox").await.expect(200);
        assert_eq!(pulled.header("tsunagi-batch-rows"), "1");

        let said = json!({ "batch": pulled.header("tsunagi-batch") });
        shaky.store.fail(Write::Settle, how);
        assert_unavailable(&shaky.city.post("/v1/mailbox/ack", &said).await, &shaky.child);
        let again = shaky.city.post("/v1/mailbox/ack", &said).await.expect(200).json();
        assert_eq!(again["settled"], u64::from(how == Failing::Before), "{how:?}");
        shaky.let_leases_end();
        shaky.city.get("/v1/mailbox").await.expect(204);
        let deliveries = shaky.deliveries().await;
        assert_eq!(deliveries.iter().map(|d| d.state).collect::<Vec<_>>(), [DeliveryState::Delivered]);
        let mut failed = Vec::new();
        while let Ok(write) = shaky.failures.try_recv() {
            failed.push(write);
        }
        assert_eq!(failed, [Write::ClaimDue, Write::Note, Write::Settle]);
        shaky.finish().await;
    }
}

/// A hub that pushes vaccinations to the city's own server.
async fn pushing() -> (Shaky, Destination) {
    let setup = Setup::new()
        .set("delivery.poll_interval_ms", 20)
        .set("delivery.retry_first_secs", 600)
        .set("delivery.retry_longest_secs", 600);
    let shaky = Shaky::new(setup).await;
    let now = shaky.hub.clock.now().as_second();
    let pair = Pair::of(shaky.hub.authority().issue_server(&["localhost".to_owned()], now, 90).unwrap());
    let server = Destination::start(&pair, &shaky.hub.folder.path().join("ca/root.pem")).await;
    shaky.hub.import(&crate::push::pushed_to("city", &server.url())).await;
    (shaky, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_could_not_be_recorded_is_sent_again_under_its_key() {
    let (mut shaky, mut server) = pushing().await;
    shaky.store.fail(Write::Settle, Failing::Before);
    shaky.report("F-1").await.expect(201);
    let call = server.call().await;
    let key = call.key.clone();
    call.answer(200);
    assert_eq!(shaky.failures.recv().await, Some(Write::Settle));
    shaky.let_leases_end();
    let again = server.call().await;
    assert_eq!(again.key, key, "the receiver can tell that it is the same");
    again.answer(200);

    // Recorded, and only the answer was lost: not sent again.
    shaky.store.fail(Write::Settle, Failing::After);
    shaky.report("F-2").await.expect(201);
    let call = server.call().await;
    assert_ne!(call.key, key);
    call.answer(200);
    assert_eq!(shaky.failures.recv().await, Some(Write::Settle));
    shaky.let_leases_end();
    shaky.report("F-3").await.expect(201);
    let call = server.call().await;
    assert!(call.text().contains("F-3"), "{}", call.text());
    call.answer(200);
    let store = shaky.store.clone();
    let _stands_on = shaky.finish().await;
    let filter = DeliveryFilter { state: None, limit: 10 };
    let found = store.deliveries(&"oita".parse().unwrap(), &filter).await.unwrap();
    assert!(found.len() == 3 && found.iter().all(|d| d.state == DeliveryState::Delivered), "{found:?}");
    assert!(server.is_quiet());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_pushed_whose_leaf_was_not_written() {
    for how in Failing::PAIR {
        let (mut shaky, mut server) = pushing().await;
        shaky.store.fail(Write::Note, how);
        shaky.report("F-1").await.expect(201);
        assert_eq!(shaky.failures.recv().await, Some(Write::Note));
        // Another child's arrives: by then the attempt before it is settled, for a channel has one worker.
        let other = Person::number(OTHER, shaky.hub.today());
        let body = immunization(&other, HOSPITAL_OITA, OITA, "F-2", shaky.hub.today());
        shaky.hospital.post("/fhir/Immunization", &body).await.expect(201);
        let call = server.call().await;
        assert!(call.text().contains("F-2"), "{}", call.text());
        call.answer(200);
        shaky.hub.clock.shift(601);
        let call = server.call().await;
        assert!(call.text().contains("F-1"));
        call.answer(200);
        shaky.finish().await;
        assert!(server.is_quiet(), "it was sent twice");
    }
}

/// The subject changed between the claim and the leaf, as when another record of it comes in: that is nobody's failure,
/// and no reason to wait as after one.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_whose_subject_moved_is_decided_again_at_once() {
    let (mut shaky, mut server) = pushing().await;
    shaky.store.fail(Write::Note, Failing::Stale);
    shaky.report("F-1").await.expect(201);
    assert_eq!(shaky.failures.recv().await, Some(Write::Note));
    // The clock stands still.
    let call = server.call().await;
    assert!(call.text().contains("F-1"));
    call.answer(200);
    shaky.finish().await;
}
