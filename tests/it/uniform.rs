//! Whatever the cause, a refusal is the same work: the same calls of the store, the same number of leaves, one commit. How long
//! it takes is measured by `tests/bench/uniform`; here nothing is timed.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tsunagi_core::sensitive::Sensitive;
use tsunagi_gateway::gateway::Running;
use tsunagi_store::sqlite::SqliteStore;
use tsunagi_store::{Keyring, MasterKey, Storage};
use tsunagi_tests::faulty::FaultyStore;
use tsunagi_tests::papers::{Person, RECIPIENT_SYSTEM, consent, consent_of, eligibility, entitlement};
use tsunagi_tests::{ISSUER, Partner, Reply, Setup, TestGateway};

const REGISTER: &str = "/pmh/v1/medicalSubsidy/registrationTasks";
const ELIGIBILITY: &str = "/fhir/CoverageEligibilityRequest/$submit";

/// A hub whose store tells what it was called for, and counts its commits.
struct Watched {
    hub: TestGateway,
    store: Arc<FaultyStore>,
    sqlite: Arc<SqliteStore>,
}

impl Watched {
    async fn start() -> Self {
        // Nothing else commits meanwhile.
        let mut hub = Setup::new().set("sealing.interval_ms", 50_000).start().await;
        let text = std::fs::read_to_string(&hub.config.master_key_file).unwrap();
        let mut key = [0; 32];
        hex::decode_to_slice(text.trim(), &mut key).unwrap();
        let keyring = Keyring::new(MasterKey::from_bytes(Sensitive::new(key)));
        let sqlite = Arc::new(SqliteStore::open(&hub.config.store_path, keyring).unwrap());
        let (store, _) = FaultyStore::before(sqlite.clone() as Arc<dyn Storage>);
        let running = Running::start_on(hub.config.clone(), hub.clock.clone(), store.clone());
        let running = Box::pin(running).await.unwrap();
        std::mem::replace(&mut hub.running, running).drain().await;
        Self { hub, store, sqlite }
    }

    /// What one request costs the store.
    async fn cost(&self, answered: impl Future<Output = Reply>) -> (Reply, Vec<String>, u64) {
        let _before = self.store.calls();
        let before = self.sqlite.commits();
        let reply = answered.await;
        (reply, self.store.calls(), self.sqlite.commits() - before)
    }
}

/// Everybody whom a hospital learns nothing of, by the cause.
async fn cast(watched: &Watched) -> BTreeMap<&'static str, Person> {
    let today = watched.hub.today();
    let mut people: Vec<Person> = (0..4).map(|n| Person::number(n, today)).collect();
    people[1].is_not_disclosed = true;
    let nobody = Person { recipient: "9999999".to_owned(), ..people[0].clone() };
    let (city, app) = (watched.hub.partner("city-oita"), watched.hub.partner("app-techo"));
    let rows: Vec<Value> = people.iter().map(entitlement).collect();
    city.post(REGISTER, &json!(rows)).await.expect(202);
    link(&city, &people[2], "denying").await;
    let bearer = watched.hub.bearer("denying", "app-techo");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let deny = json!({ "effect": "deny", "recipient": { "participant": "hospital-oita" } });
    app.send(http::Method::POST, "/app/v1/consents", &headers, deny.to_string()).await.expect(201);
    let mut gone = entitlement(&people[3]);
    gone["isDeleted"] = json!(true);
    city.post(REGISTER, &json!([gone])).await.expect(202);
    let causes = ["no consent", "non-disclosure", "denied", "deleted"];
    causes.into_iter().zip(people).chain([("no record", nobody)]).collect()
}

async fn link(city: &Partner, person: &Person, sub: &str) {
    let body = json!({
        "system": "recipient", "value": person.joined(), "issuer": ISSUER, "sub": sub, "relationship": "subject",
    });
    city.post("/v1/links", &body).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_the_same_work_whatever_the_cause() {
    let watched = Watched::start().await;
    let people = cast(&watched).await;
    let hospital = watched.hub.partner("hospital-oita");
    let now = watched.hub.clock.now();
    let fresh = || consent(now, now + SignedDuration::from_mins(5));

    // At the desk, with a consent and, where that is the cause, without.
    let mut seen = Vec::new();
    for (cause, person) in &people {
        let given = Some(fresh()).filter(|_| *cause != "no consent");
        let asked = eligibility(&person.joined(), given);
        let (reply, calls, commits) = watched.cost(hospital.post(ELIGIBILITY, &asked)).await;
        assert_eq!(reply.status, 404, "{cause}");
        assert_eq!(calls, ["held", "note of 1 leaves, 0 directives"], "{cause}");
        assert_eq!(commits, 1, "{cause}");
        seen.push(reply.essence());
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");

    // A search, and one record.
    for path in ["/fhir/Immunization", "/fhir/Coverage", "/fhir/ImmunizationRecommendation"] {
        let mut seen = Vec::new();
        for (cause, person) in &people {
            let uri = format!("{path}?patient.identifier={RECIPIENT_SYSTEM}%7C{}", person.joined());
            let (reply, calls, commits) = watched.cost(hospital.get(&uri)).await;
            assert_eq!(commits, 1, "{path} {cause}");
            seen.push((reply.essence(), calls));
        }
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{path}: {seen:?}");
    }

    // An app: nobody linked, not agreed, not disclosed.
    let (city, app) = (watched.hub.partner("city-oita"), watched.hub.partner("app-techo"));
    link(&city, &people["no consent"], "silent").await;
    link(&city, &people["non-disclosure"], "hidden").await;
    let mut seen = Vec::new();
    for sub in ["nobody", "silent", "hidden", "denying"] {
        let bearer = watched.hub.bearer(sub, "app-techo");
        let headers = [("authorization", bearer.as_str())];
        let asked = app.send(http::Method::GET, "/app/v1/records", &headers, "");
        let (reply, calls, commits) = watched.cost(asked).await;
        assert_eq!((reply.status.as_u16(), commits), (404, 1), "{sub}");
        seen.push((reply.essence(), calls));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");

    // One municipality asks another: the ledger has the same line.
    let other = watched.hub.partner("city-hakodate");
    let mut seen = Vec::new();
    for cause in ["no record", "non-disclosure", "deleted"] {
        let asked = json!({
            "purpose": "PUBHLTH", "legalBasis": "番号法19条", "tenants": ["oita"], "kinds": ["vaccination"],
            "subject": { "system": "recipient", "value": people[cause].joined() },
        });
        let (reply, calls, commits) = watched.cost(other.post("/v1/requests", &asked)).await;
        assert_eq!((reply.status.as_u16(), commits), (200, 2), "{cause}: one in each log");
        seen.push((reply.essence(), calls));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");

    // Without a channel nobody is looked up at all: the answer is the same, and so is the one leaf.
    let idle = watched.hub.partner("hospital-idle");
    let mut seen = Vec::new();
    for (cause, person) in &people {
        let (reply, calls, commits) =
            watched.cost(idle.post(ELIGIBILITY, &eligibility(&person.joined(), Some(fresh())))).await;
        assert_eq!((reply.status.as_u16(), commits), (404, 1), "{cause}");
        seen.push((reply.essence(), calls));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
    let with_channel = hospital.post(ELIGIBILITY, &eligibility(&people["no record"].joined(), Some(fresh()))).await;
    assert_eq!(seen[0].0, with_channel.essence());

    // The control: with consent it is more work, and the consent is kept with the answer.
    let asked = eligibility(&people["no consent"].joined(), Some(fresh()));
    let (reply, calls, _) = watched.cost(hospital.post(ELIGIBILITY, &asked)).await;
    assert_eq!(reply.status, 200);
    assert_eq!(calls, ["held", "note of 1 leaves, 1 directives"]);
    let said = consent_of(&people["denied"].joined(), now, now + SignedDuration::from_mins(5));
    hospital.post("/fhir/Consent", &said).await.expect(201);
    drop(watched.store);
    watched.hub.finish().await;
}
