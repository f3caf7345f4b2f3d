//! A hub on a store that fails when it is told to.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tsunagi_core::audit::Action;
use tsunagi_core::exchange::DeliveryView;
use tsunagi_gateway::gateway::Running;
use tsunagi_store::{DeliveryFilter, Outbox};
use tsunagi_tests::faulty::{FaultyStore, Write};
use tsunagi_tests::papers::{HOSPITAL_OITA, OITA, Person, RECIPIENT_SYSTEM, consent_of, entitlement, immunization};
use tsunagi_tests::{Partner, Reply, Setup, TestGateway};

pub(super) const REGISTRATION: &str = "/pmh/v1/medicalSubsidy/registrationTasks";
pub(super) const FHIR: (&str, &str) = ("content-type", "application/fhir+json");
pub(super) const JSON: (&str, &str) = ("content-type", "application/json");

/// Another child that the hub knows.
pub(super) const OTHER: usize = 90_000;

/// A hub on a store that fails when it is told to, with a child that it knows.
pub(super) struct Shaky {
    pub(super) hub: TestGateway,
    pub(super) store: Arc<FaultyStore>,
    pub(super) failures: UnboundedReceiver<Write>,
    pub(super) child: Person,
    pub(super) hospital: Partner,
    pub(super) city: Partner,
}

impl Shaky {
    pub(super) async fn new(setup: Setup) -> Self {
        let mut hub = setup.start().await;
        let (store, failures) = FaultyStore::before(hub.store());
        let (config, clock) = (hub.config.clone(), hub.clock.clone());
        let running = Box::pin(Running::start_on(config, clock, store.clone())).await.unwrap();
        std::mem::replace(&mut hub.running, running).drain().await;
        let child = Person::number(0, hub.today());
        let (hospital, city) = (hub.partner("hospital-oita"), hub.partner("city-oita"));
        let rows = [entitlement(&child), entitlement(&Person::number(OTHER, hub.today()))];
        city.post(REGISTRATION, &json!(rows)).await.expect(202);
        Self { hub, store, failures, child, hospital, city }
    }

    /// The child's vaccination under a document number.
    pub(super) fn vaccination(&self, number: &str) -> Value {
        immunization(&self.child, HOSPITAL_OITA, OITA, number, self.hub.today())
    }

    pub(super) async fn report(&self, number: &str) -> Reply {
        self.hospital.post("/fhir/Immunization", &self.vaccination(number)).await
    }

    /// Everything may be read by this hospital for an hour.
    pub(super) fn consent(&self) -> Value {
        let now = self.hub.clock.now();
        consent_of(&self.child.joined(), now, now + jiff::SignedDuration::from_hours(1))
    }

    pub(super) async fn search(&self) -> Reply {
        self.hospital
            .get(&format!("/fhir/Immunization?patient.identifier={RECIPIENT_SYSTEM}|{}", self.child.joined()))
            .await
    }

    pub(super) async fn deliveries(&self) -> Vec<DeliveryView> {
        let filter = DeliveryFilter { state: None, limit: 1_000 };
        self.store.deliveries(&"oita".parse().unwrap(), &filter).await.unwrap()
    }

    /// How often a record was accepted, and how many records that made.
    pub(super) async fn accepted(&self) -> (usize, usize) {
        let log = self.hub.log("oita").await;
        let accepted: Vec<_> = log.events.iter().filter(|event| event.action == Action::RecordAccepted).collect();
        let records: BTreeSet<_> = accepted.iter().flat_map(|event| &event.records).map(|(id, _)| id).collect();
        (accepted.len(), records.len())
    }

    /// Lets time pass until whoever holds a lease has lost it.
    pub(super) fn let_leases_end(&self) {
        self.hub.clock.shift(i64::try_from(self.hub.config.delivery.lease.as_secs()).unwrap() + 1);
    }

    pub(super) async fn finish(self) -> impl Sized {
        assert!(self.store.has_failed_all(), "a write that was to fail was never made");
        self.hub.finish().await
    }
}

/// The answer to a request whose write failed: try again later, and nothing else.
#[track_caller]
pub(super) fn assert_unavailable(reply: &Reply, child: &Person) {
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (503, "unavailable"), "{}", reply.text());
    assert!(reply.header("retry-after").parse::<u32>().is_ok_and(|secs| secs > 0));
    for secret in child.secrets() {
        assert!(!reply.text().contains(secret), "{}", reply.text());
    }
}
