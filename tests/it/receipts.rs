//! A receipt proves itself: the leaf of each row and each disclosure, and once it is sealed that it lies under a signed
//! checkpoint. Nobody is told of anybody else's leaf.

use jiff::SignedDuration;
use serde_json::{Value, json};
use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::checkpoint::Verifier;
use tsunagi_core::id::TenantId;
use tsunagi_core::merkle::{Frontier, leaf_hash};
use tsunagi_core::tlog::InclusionProof;
use tsunagi_gateway::receipts::Prover;
use tsunagi_gateway::sealing::{origin, seal_all};
use tsunagi_store::{Checkpoint, Note};
use tsunagi_tests::papers::{
    HOSPITAL_OITA, OITA, Person, RECIPIENT_SYSTEM, consent, eligibility, entitlement, immunization,
};
use tsunagi_tests::{Setup, TestGateway};

const ELIGIBILITY: &str = "/fhir/CoverageEligibilityRequest/$submit";

/// A hub that seals when it is told to.
async fn unhurried() -> TestGateway {
    let hub = Setup::new().set("sealing.interval_ms", 3_600_000).set("sealing.tolerance_secs", 7_200).start().await;
    // The first pass comes at once; what it may have sealed is of the hub's own log.
    seal_all(&hub.running.gateway).await;
    hub
}

/// What a receipt tells of a leaf, held against the log itself and the hub's public key.
pub(crate) async fn assert_proved(hub: &TestGateway, tenant: &str, audit: &Value) -> AuditEvent {
    let index = audit["leaf"].as_u64().unwrap_or_else(|| panic!("no leaf: {audit}"));
    let tenant: TenantId = tenant.parse().unwrap();
    let leaf = hub.store().audit_page(&tenant, index, 1).await.unwrap().remove(0);
    assert_eq!(audit["origin"], origin(&tenant));
    assert_eq!(audit["hash"], hex::encode(leaf_hash(&leaf.bytes)));
    let proof = InclusionProof::parse(audit["proof"].as_str().unwrap_or_else(|| panic!("no proof: {audit}"))).unwrap();
    assert_eq!((proof.index, proof.leaf), (index, leaf_hash(&leaf.bytes)));
    let head = proof.verify(&Verifier::of(&hub.running.gateway.signer)).unwrap();
    assert_eq!(head.origin, origin(&tenant));
    let event: AuditEvent = serde_json::from_slice(&leaf.bytes).unwrap();
    // Whoever guesses all of an event does not find its hash.
    let guessed = leaf_hash(&serde_json::to_vec(&event).unwrap());
    assert!(guessed != proof.leaf && !proof.hashes.contains(&guessed));
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_and_each_delivery_has_its_leaf_and_once_it_is_sealed_its_proof() {
    let hub = unhurried().await;
    let person = Person::number(1, hub.today());
    let (hospital, city) = (hub.partner("hospital-oita"), hub.partner("city-oita"));
    let path = "/pmh/v1/medicalSubsidy/registrationTasks";
    city.post(path, &json!([entitlement(&person)])).await.expect(202);
    let shot = immunization(&person, HOSPITAL_OITA, OITA, "V-1", hub.today());
    let sent = hospital.post("/fhir/Immunization", &shot).await.expect(201);
    let receipt = format!("/v1/exchanges/{}", sent.exchange());
    let before = hospital.get(&receipt).await.expect(200).json();
    let audit = &before["rows"][0]["audit"];
    assert!(audit["hash"].as_str().unwrap().len() == 64 && audit["proof"].is_null(), "{before}");
    assert!(before["deliveries"][0]["audit"].is_null(), "nothing was delivered yet");

    let pulled = city.get("/v1/mailbox").await.expect(200);
    city.post("/v1/mailbox/ack", &json!({ "batch": pulled.header("tsunagi-batch") })).await.expect(200);
    seal_all(&hub.running.gateway).await;
    let after = hospital.get(&receipt).await.expect(200).json();
    assert_eq!(after["rows"][0]["audit"]["hash"], audit["hash"]);
    let event = assert_proved(&hub, "oita", &after["rows"][0]["audit"]).await;
    assert_eq!((event.action, event.row), (Action::RecordAccepted, Some(1)));
    let event = assert_proved(&hub, "oita", &after["deliveries"][0]["audit"]).await;
    assert_eq!((event.action, event.outcome), (Action::DeliverySettled, EventOutcome::Done));
    // Hashes and a checkpoint, nothing else.
    let proof = after["rows"][0]["audit"]["proof"].as_str().unwrap();
    let is_hash = |line: &&str| line.len() == 44 && line.ends_with('=');
    let other: Vec<_> = proof.lines().filter(|line| !is_hash(line)).collect();
    assert_eq!(other[0], "c2sp.org/tlog-proof@v1");
    assert!(other[1].starts_with("extra ") && other[2].starts_with("index ") && other[3].is_empty(), "{proof}");
    assert_eq!(other[4], "tsunagi/oita");
    // Nobody else's.
    hub.partner("hospital-hakodate").get(&receipt).await.expect(404);
    city.get(&receipt).await.expect(404);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_no_tenant_could_be_told_for_is_in_the_hubs_log() {
    let hub = unhurried().await;
    let person = Person::number(1, hub.today());
    let shot = immunization(&person, HOSPITAL_OITA, "999999", "V-1", hub.today());
    let refused = hub.partner("hospital-oita").post("/fhir/Immunization", &shot).await;
    assert!(refused.status.is_client_error(), "{}", refused.text());
    seal_all(&hub.running.gateway).await;
    let receipt = format!("/v1/exchanges/{}", refused.exchange());
    let receipt = hub.partner("hospital-oita").get(&receipt).await.expect(200).json();
    assert_eq!(receipt["rows"][0]["state"], "refused");
    let event = assert_proved(&hub, "hub", &receipt["rows"][0]["audit"]).await;
    assert_eq!(event.action, Action::RecordRefused);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_disclosed_is_proved_to_whom_it_was_disclosed_and_to_nobody_else() {
    let hub = unhurried().await;
    let person = Person::number(1, hub.today());
    let path = "/pmh/v1/medicalSubsidy/registrationTasks";
    hub.partner("city-oita").post(path, &json!([entitlement(&person)])).await.expect(202);
    let hospital = hub.partner("hospital-oita");
    let now = hub.clock.now();
    let asked = eligibility(&person.joined(), Some(consent(now, now + SignedDuration::from_mins(5))));
    let answer = hospital.post(ELIGIBILITY, &asked).await.expect(200);
    let search = format!("/fhir/Coverage?patient.identifier={RECIPIENT_SYSTEM}|{}", person.joined());
    let found = hospital.get(&search).await.expect(200);
    seal_all(&hub.running.gateway).await;
    for reply in [&answer, &found] {
        let leaf = reply.header("tsunagi-leaf");
        let proved = hospital.get(&format!("/v1/exchanges/{}?leaf={leaf}", reply.exchange())).await.expect(200).json();
        assert_eq!(proved["id"], reply.exchange());
        let event = assert_proved(&hub, "oita", &proved["disclosures"][0]).await;
        assert_eq!((event.action, event.outcome), (Action::LookupAnswered, EventOutcome::Done));
    }
    let (mine, leaf) = (answer.exchange(), answer.header("tsunagi-leaf"));
    let index: u64 = leaf.strip_prefix("oita/").unwrap().parse().unwrap();
    // Another's exchange, another's leaf, none at all: one answer.
    let not_found = hospital.get(&format!("/v1/exchanges/{mine}?leaf=oita/100000")).await.expect(404).essence();
    for (who, path) in [
        ("hospital-hakodate", format!("/v1/exchanges/{mine}?leaf={leaf}")),
        ("hospital-oita", format!("/v1/exchanges/{mine}?leaf=oita/{}", index - 1)),
        ("hospital-oita", format!("/v1/exchanges/{mine}?leaf={leaf},oita/0")),
        ("hospital-oita", format!("/v1/exchanges/{}?leaf={leaf}", found.exchange())),
        ("hospital-oita", format!("/v1/exchanges/{mine}?leaf=nowhere/0")),
    ] {
        assert_eq!(hub.partner(who).get(&path).await.expect(404).essence(), not_found, "{who} {path}");
    }
    hospital.get(&format!("/v1/exchanges/{mine}?leaf=first")).await.expect(400);
    // An answer that discloses nothing does not tell that there is a leaf.
    let nobody = Person { recipient: "9999999".to_owned(), ..person };
    let nothing = hospital.post(ELIGIBILITY, &eligibility(&nobody.joined(), None)).await.expect(404);
    assert_eq!(nothing.header("tsunagi-leaf"), "");
    hub.finish().await;
}

/// A log that was sealed before subtrees were kept gets them as sealing goes on, piece by piece.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_sealed_by_an_older_version_gets_what_proofs_need() {
    let hub = unhurried().await;
    let (store, oita): (_, TenantId) = (hub.store(), "oita".parse().unwrap());
    let count = 12_000;
    let event = |n: i64| {
        let at = hub.clock.now() - SignedDuration::from_secs(n);
        AuditEvent::new(at, Action::RegistryImported, EventOutcome::Done, Agent::default())
    };
    store
        .note(&oita, Note { events: (0..count).map(event).collect(), rests_on: vec![], directive: None })
        .await
        .unwrap();
    let mut edge = Frontier::new();
    store.unsealed(&oita, 20_000).await.unwrap().leaves.into_iter().for_each(|leaf| edge.push(leaf));
    let note = hub.running.gateway.signer.sign(&origin(&oita), edge.size(), &edge.root());
    let (size, root, frontier) = (edge.size(), edge.root(), edge.hashes().to_vec());
    store.append_seal(&oita, Checkpoint { size, root, frontier, note, sealed_at: hub.clock.now() }).await.unwrap();
    assert_eq!(store.unsealed(&oita, 0).await.unwrap().subtrees, 0);
    let mut prover = Prover::open(store.as_ref(), &oita).await.unwrap();
    assert_eq!(prover.proof(3).await.unwrap(), None, "not before there is what it is made of");

    // More leaves come meanwhile: what is missing comes first, then theirs.
    store.note(&oita, Note { events: (0..600).map(event).collect(), rests_on: vec![], directive: None }).await.unwrap();
    for _ in 0..2 {
        seal_all(&hub.running.gateway).await;
    }
    let unsealed = store.unsealed(&oita, 1).await.unwrap();
    assert_eq!((unsealed.sealed, unsealed.subtrees), (12_600, 12_600 / 256));
    let mut prover = Prover::open(store.as_ref(), &oita).await.unwrap();
    let verifier = Verifier::of(&hub.running.gateway.signer);
    for index in [0, 255, 256, 11_999, 12_000, 12_599] {
        let proof = prover.proof(index).await.unwrap().unwrap_or_else(|| panic!("{index}"));
        assert_eq!(proof.verify(&verifier).unwrap().size, 12_600);
    }
    hub.finish().await;
}
