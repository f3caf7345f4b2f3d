//! Each write of the gateway fails, in the two ways that look the same: it did not happen, or it did and only the
//! answer was lost. Never is there a receipt or a byte of data that rests on it; and the same sent again does what was
//! meant, once.

use std::collections::BTreeSet;

use http::Method;
use serde_json::json;
use tsunagi_gateway::sealing::{Pass, seal_all};
use tsunagi_store::AuditLog;
use tsunagi_tests::faulty::{Failing, Write};
use tsunagi_tests::papers::{Person, consent, eligibility, entitlement, maternal_csv};
use tsunagi_tests::{ISSUER, Setup};

use super::shaky::{FHIR, JSON, REGISTRATION, Shaky, assert_unavailable};
use crate::receipts::assert_proved;

const CITIZEN: &str = "guardian-7";

#[tokio::test(flavor = "multi_thread")]
async fn a_submit_that_failed_has_no_receipt_and_is_kept_once_when_it_is_sent_again() {
    for how in Failing::PAIR {
        let shaky = Shaky::new(Setup::new()).await;
        let body = shaky.vaccination("F-1").to_string();
        let send = async || {
            let headers = [FHIR, ("idempotency-key", "key-1")];
            shaky.hospital.send(Method::POST, "/fhir/Immunization", &headers, body.clone()).await
        };
        shaky.store.fail(Write::Accept, how);
        let failed = send().await;
        assert_unavailable(&failed, &shaky.child);
        assert_eq!(failed.header("location"), "");
        let receipt = send().await.expect(201);
        let again = send().await;
        assert_eq!(again.exchange(), receipt.exchange(), "{how:?}");
        let view = shaky.hospital.get(&format!("/v1/exchanges/{}", receipt.exchange())).await.expect(200).json();
        assert_eq!((view["rows"].as_array().unwrap().len(), view["deliveries"].as_array().unwrap().len()), (1, 1));
        // The two entitlements, and this.
        assert_eq!(shaky.accepted().await, (3, 3), "{how:?}");
        assert_eq!(shaky.deliveries().await.len(), 1);
        shaky.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submit_without_a_key_that_failed_is_still_one_record_when_it_is_sent_again() {
    for how in Failing::PAIR {
        let shaky = Shaky::new(Setup::new()).await;
        shaky.store.fail(Write::Accept, how);
        assert_unavailable(&shaky.report("F-1").await, &shaky.child);
        let again = shaky.report("F-1").await;
        assert_eq!(again.status, if how == Failing::After { 200 } else { 201 }, "{}", again.text());
        assert_eq!(shaky.accepted().await.1, 3, "{how:?}");
        assert_eq!(shaky.deliveries().await.len(), 1, "{how:?}");
        shaky.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_several_transactions_that_broke_off_is_finished_by_sending_it_again() {
    // One transaction takes a thousand rows.
    const ROWS: usize = 1_200;
    for how in Failing::PAIR {
        let shaky = Shaky::new(Setup::new()).await;
        let people = (1..=ROWS).map(|n| entitlement(&Person::number(n, shaky.hub.today())));
        let body = json!(people.collect::<Vec<_>>()).to_string();
        let send = async || {
            let headers = [JSON, ("idempotency-key", "long-1")];
            shaky.city.send(Method::POST, REGISTRATION, &headers, body.clone()).await
        };
        shaky.store.fail_after(1, Write::Accept, how);
        assert_unavailable(&send().await, &shaky.child);
        let task = send().await.expect(202).json();
        let registered = task["results"].as_array().unwrap();
        let numbers: BTreeSet<u64> = registered.iter().filter_map(|row| row["row"].as_u64()).collect();
        assert_eq!((registered.len(), numbers.len()), (ROWS, ROWS));
        assert!(registered.iter().all(|row| row["status"] == "registered"), "{how:?}");
        assert_eq!(shaky.accepted().await, (ROWS + 2, ROWS + 2), "{how:?}");
        shaky.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_whose_leaf_failed_gives_no_data() {
    for how in Failing::PAIR {
        let shaky = Shaky::new(Setup::new()).await;
        shaky.report("F-1").await.expect(201);
        shaky.hospital.post("/fhir/Consent", &shaky.consent()).await.expect(201);
        let found = shaky.search().await.expect(200);
        assert!(found.text().contains("F-1"));
        shaky.store.fail(Write::Note, how);
        let failed = shaky.search().await;
        assert_unavailable(&failed, &shaky.child);
        assert!(!failed.text().contains("F-1"), "{}", failed.text());
        assert_eq!(shaky.search().await.expect(200).json()["total"], found.json()["total"]);

        let record = found.json()["entry"][0]["resource"]["id"].as_str().unwrap().to_owned();
        shaky.store.fail(Write::Note, how);
        assert_unavailable(&shaky.hospital.get(&format!("/fhir/Immunization/{record}")).await, &shaky.child);
        shaky.hospital.get(&format!("/fhir/Immunization/{record}")).await.expect(200);

        // With the consent that came along: it is kept with the leaf, or not at all.
        let now = shaky.hub.clock.now();
        let attested = consent(now, now + jiff::SignedDuration::from_hours(1));
        let asked = eligibility(&shaky.child.joined(), Some(attested));
        let path = "/fhir/CoverageEligibilityRequest/$submit";
        shaky.store.fail(Write::Note, how);
        let failed = shaky.hospital.post(path, &asked).await;
        assert_unavailable(&failed, &shaky.child);
        assert!(!failed.text().contains("inforce"), "{}", failed.text());
        assert_eq!(shaky.hospital.post(path, &asked).await.expect(200).json()["insurance"][0]["inforce"], true);
        shaky.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn not_available_is_said_only_once_the_log_holds_it() {
    let shaky = Shaky::new(Setup::new()).await;
    let asked = eligibility("81440018:9999990", None);
    let path = "/fhir/CoverageEligibilityRequest/$submit";
    shaky.store.fail(Write::Note, Failing::Before);
    assert_unavailable(&shaky.hospital.post(path, &asked).await, &shaky.child);
    assert_eq!(shaky.hospital.post(path, &asked).await.expect(404).code(), "not_available");
    // So it is with the refusal of a whole exchange.
    shaky.store.fail(Write::Note, Failing::Before);
    assert_unavailable(&shaky.hospital.post("/v1/requests", &json!({})).await, &shaky.child);
    shaky.hospital.post("/v1/requests", &json!({})).await.expect(400);
    shaky.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_leaf_failed_on_either_side_gives_no_data() {
    let shaky = Shaky::new(Setup::new()).await;
    let path = "/v1/files/municipal_csv/checkup_maternal_legacy";
    let file = tsunagi_tests::papers::cp932(&maternal_csv(&shaky.child, "M-1"));
    let csv = ("content-type", "text/csv; charset=Shift_JIS");
    assert_eq!(shaky.city.send(Method::POST, path, &[csv], file).await.expect(202).json()["accepted"], 1);
    let asked = json!({
        "purpose": "PUBHLTH", "legalBasis": "母子保健法19条の2", "tenants": ["oita"], "kinds": ["checkup_maternal"],
        "subject": { "system": "maternal_handbook", "value": shaky.child.handbook },
    });
    let asking = shaky.hub.partner("city-hakodate");
    // The first leaf is the asking side's own, the second that of the side that is asked.
    for leaf in [0, 1] {
        for how in Failing::PAIR {
            shaky.store.fail_after(leaf, Write::Note, how);
            let failed = asking.post("/v1/requests", &asked).await;
            assert_unavailable(&failed, &shaky.child);
            assert!(!failed.text().contains("visitedOn"), "{}", failed.text());
        }
    }
    let answer = asking.post("/v1/requests", &asked).await.expect(200);
    assert_eq!(answer.json()["ledger"][0]["outcome"], "answered");
    assert!(shaky.store.has_failed_all());
    let (store, public_key) = (shaky.store.clone(), shaky.hub.running.gateway.signer.public_key());
    shaky.hub.running.drain().await;
    for tenant in ["oita", "hakodate", "hub"] {
        let verdict = store.verify(&tenant.parse().unwrap(), &public_key, &|_| {}).await.unwrap();
        assert_eq!((verdict.fault, verdict.sealed), (None, verdict.leaves), "{tenant}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_that_failed_holds_as_the_store_says_and_can_be_given_again() {
    for how in Failing::PAIR {
        let shaky = Shaky::new(Setup::new()).await;
        shaky.report("F-1").await.expect(201);
        let given = shaky.consent();
        shaky.store.fail(Write::RecordDirective, how);
        assert_unavailable(&shaky.hospital.post("/fhir/Consent", &given).await, &shaky.child);
        let found = shaky.search().await.expect(200).json()["total"].as_u64();
        assert_eq!(found, Some(u64::from(how == Failing::After)), "{how:?}");
        shaky.hospital.post("/fhir/Consent", &given).await.expect(201);
        assert_eq!(shaky.search().await.expect(200).json()["total"], 1);
        shaky.finish().await;
    }
}

/// The app's side: linked, consent given, withdrawn; each write fails first.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_citizen_withdraws_is_withdrawn_whatever_failed_on_the_way() {
    for how in Failing::PAIR {
        let shaky = Shaky::new(Setup::new()).await;
        shaky.report("F-1").await.expect(201);
        let app = shaky.hub.partner("app-techo");
        let bearer = shaky.hub.bearer(CITIZEN, "app-techo");
        let headers = [JSON, ("authorization", &bearer), ("idempotency-key", "consent-1")];
        let read = async || app.send(Method::GET, "/app/v1/records?kind=vaccination", &headers[1..2], "").await;

        let link = json!({
            "system": "recipient", "value": shaky.child.joined(), "issuer": ISSUER, "sub": CITIZEN,
            "relationship": "proxy",
        });
        shaky.store.fail(Write::LinkSubject, how);
        assert_unavailable(&shaky.city.post("/v1/links", &link).await, &shaky.child);
        shaky.city.post("/v1/links", &link).await.expect(201);
        read().await.expect(404);

        let consent = json!({ "effect": "permit", "recipient": { "participant": "app-techo" } }).to_string();
        let give = async || app.send(Method::POST, "/app/v1/consents", &headers, consent.clone()).await;
        shaky.store.fail(Write::RecordDirective, how);
        assert_unavailable(&give().await, &shaky.child);
        let given = give().await.expect(201).json();
        shaky.store.fail(Write::Note, how);
        let failed = read().await;
        assert_unavailable(&failed, &shaky.child);
        assert!(!failed.text().contains("F-1"));
        assert!(read().await.expect(200).text().contains("F-1"));

        let consents = given["consents"].as_array().unwrap();
        assert_eq!(consents.len(), 1);
        let path = format!("/app/v1/consents/{}", consents[0]["id"].as_str().unwrap());
        let withdraw = async || app.send(Method::DELETE, &path, &headers[1..2], "").await;
        shaky.store.fail(Write::WithdrawDirective, how);
        assert_unavailable(&withdraw().await, &shaky.child);
        withdraw().await.expect(200);
        // Given once under one key, withdrawn once: nothing is left that would still permit.
        let left = read().await;
        assert_eq!(left.status, 404, "{how:?}: a consent that was withdrawn still permits: {}", left.text());
        shaky.finish().await;
    }
}

/// What nobody waits for: seals, what proofs are made from, what access logs are found by.
#[tokio::test(flavor = "multi_thread")]
async fn a_seal_that_failed_is_made_again_and_what_it_seals_can_be_proved() {
    // Enough leaves for a tile.
    const ROWS: usize = 300;
    for write in [Write::AppendSeal, Write::IndexLeaves, Write::KeepSubtrees] {
        for how in Failing::PAIR {
            let mut shaky = Shaky::new(Setup::new().set("sealing.interval_ms", 20)).await;
            shaky.store.fail(write, how);
            let people = (1..=ROWS).map(|n| entitlement(&Person::number(n, shaky.hub.today())));
            shaky.city.post(REGISTRATION, &json!(people.collect::<Vec<_>>())).await.expect(202);
            let reported = shaky.report("F-1").await.expect(201);
            assert_eq!(shaky.failures.recv().await, Some(write));
            shaky.report("F-2").await.expect(201);
            let receipt = format!("/v1/exchanges/{}", reported.exchange());
            while seal_all(&shaky.hub.running.gateway).await != Pass::All {}
            let told = shaky.hospital.get(&receipt).await.expect(200).json();
            assert_proved(&shaky.hub, "oita", &told["rows"][0]["audit"]).await;
            // Every leaf is sealed and every log verifies.
            shaky.finish().await;
        }
    }
}

/// Whoever drains does not leave what could be sealed a moment later.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_seal_is_made_again_until_nothing_is_left() {
    let shaky = Shaky::new(Setup::new()).await;
    shaky.report("F-1").await.expect(201);
    for _ in 0..3 {
        shaky.store.fail(Write::AppendSeal, Failing::Before);
    }
    let Shaky { hub, store, .. } = shaky;
    // Every leaf has to be under a checkpoint then.
    let gone = hub.finish().await;
    assert!(store.has_failed_all(), "it was sealed at once");
    drop(gone);
}
