//! How many pieces of memory an answer takes: they are a good part of what it costs, and creep in unseen.
//!
//! The whole gateway runs on one thread here, its clients on others: what that thread allocates is the edge, TLS, the
//! lookup, the decision and the answer. What the store's writing thread does is not in it.

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tsunagi_tests::papers::{
    HOSPITAL_OITA, OITA, Person, RECIPIENT_SYSTEM, consent_of, eligibility, entitlement, immunization,
};
use tsunagi_tests::{Partner, TestGateway};

const JSON: (&str, &str) = ("content-type", "application/fhir+json");
const ELIGIBILITY: &str = "/fhir/CoverageEligibilityRequest/$submit";

/// Answers that are counted together, so that what the gateway does now and then weighs little.
const ANSWERS: u64 = 300;

/// A question that is asked again and again, and the most allocations that its answer may take.
struct Line {
    name: &'static str,
    most: u64,
}

/// Measured, with some room: a crate's new version may take a few more. Whoever makes a line shorter lowers its number.
const LINES: [Line; 2] = [Line { name: "eligibility", most: 195 }, Line { name: "read", most: 315 }];

#[test]
fn a_lookup_takes_no_more_pieces_of_memory_than_it_did() {
    let (ready, gateway) = std::sync::mpsc::channel();
    let (count_from, counting) = oneshot::channel::<()>();
    let mut stretches = Vec::new();
    let mut ends = Vec::new();
    for _ in LINES {
        let (end, ended) = oneshot::channel::<()>();
        ends.push(end);
        stretches.push(ended);
    }
    let serving = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let hub = runtime.block_on(TestGateway::start());
        let (hospital, city) = (hub.partner("hospital-oita"), hub.partner("city-oita"));
        ready.send((hospital, city, hub.clock.now(), hub.today())).unwrap();
        runtime.block_on(counting).unwrap();
        let counts: Vec<u64> = stretches
            .into_iter()
            .map(|ended| {
                let served = allocation_counter::measure(|| runtime.block_on(async { ended.await.unwrap() }));
                served.count_total / ANSWERS
            })
            .collect();
        counts
    });

    let clients = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    clients.block_on(async move {
        let (hospital, city, now, today) = gateway.recv().unwrap();
        let child = Person::number(0, today);
        city.post("/pmh/v1/medicalSubsidy/registrationTasks", &json!([entitlement(&child)])).await.expect(202);
        let body = immunization(&child, HOSPITAL_OITA, OITA, "DOC-1", today);
        hospital.send(Method::POST, "/fhir/Immunization", &[JSON], body.to_string()).await.expect(201);
        let consent = consent_of(&child.joined(), now, now + SignedDuration::from_hours(1));
        hospital.send(Method::POST, "/fhir/Consent", &[JSON], consent.to_string()).await.expect(201);
        let question = eligibility(&child.joined(), None);
        let search = format!("/fhir/Immunization?patient.identifier={RECIPIENT_SYSTEM}|{}", child.joined());
        // The first of each makes what later ones find made.
        ask(&hospital, &question, &search, LINES[0].name).await;
        ask(&hospital, &question, &search, LINES[1].name).await;
        count_from.send(()).unwrap();
        for (line, end) in LINES.iter().zip(ends) {
            for _ in 0..ANSWERS {
                ask(&hospital, &question, &search, line.name).await;
            }
            end.send(()).unwrap();
        }
    });
    let counts = serving.join().unwrap();
    for (line, count) in LINES.iter().zip(counts) {
        println!("{}: {count} allocations", line.name);
        assert!(count <= line.most, "{}: {count} allocations for each answer, {} at most", line.name, line.most);
        // Else it was not this thread that answered.
        assert!(count > line.most / 2, "{}: {count} allocations; is the number to be lowered?", line.name);
    }
}

async fn ask(hospital: &Partner, question: &Value, search: &str, line: &str) {
    let reply = match line {
        "eligibility" => hospital.send(Method::POST, ELIGIBILITY, &[JSON], question.to_string()).await,
        _ => hospital.get(search).await,
    };
    reply.expect(200);
}
