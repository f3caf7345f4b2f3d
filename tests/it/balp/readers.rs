//! Who reads what: the municipality its tenant's log, everybody else what they did themselves, and of a refusal no more
//! than they were told then.

use http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tsunagi_core::audit::Action;
use tsunagi_tests::papers::{HOSPITAL_OITA, OITA, Person, consent, consent_of, eligibility, entitlement, immunization};
use tsunagi_tests::{ALL_PARTNERS, Partner, TestGateway};

use super::{ELIGIBILITY, REGISTER, all, as_citizen, by_exchange, events, leaf, link, named, next};

/// A hub on which a hospital has reported a dose of each of these people, read it with a consent, and asked without.
async fn with_reads(people: &[Person]) -> (TestGateway, Partner, Partner) {
    let hub = TestGateway::start().await;
    let (city, hospital) = (hub.partner("city-oita"), hub.partner("hospital-oita"));
    let rows: Vec<Value> = people.iter().map(entitlement).collect();
    city.post(REGISTER, &json!(rows)).await.expect(202);
    let now = hub.clock.now();
    for (n, person) in people.iter().enumerate() {
        let shot = immunization(person, HOSPITAL_OITA, OITA, &format!("V-{n}"), hub.today());
        let sent = hospital.post("/fhir/Immunization", &shot).await.expect(201);
        let said = consent_of(&person.joined(), now, now + SignedDuration::from_mins(5));
        hospital.post("/fhir/Consent", &said).await.expect(201);
        hospital.get(sent.header("location")).await.expect(200);
    }
    (hub, city, hospital)
}

type Holds<'a> = &'a dyn Fn(&Value) -> bool;

fn today() -> jiff::civil::Date {
    tsunagi_gateway::clock::Clock::system().today()
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_events_are_the_same_whatever_the_cause() {
    let hub = TestGateway::start().await;
    let (city, hospital) = (hub.partner("city-oita"), hub.partner("hospital-oita"));
    let mut people: Vec<Person> = (0..4).map(|n| Person::number(n, hub.today())).collect();
    people[1].is_not_disclosed = true;
    let nobody = Person { recipient: "9999999".to_owned(), ..people[0].clone() };
    let rows: Vec<Value> = people.iter().map(entitlement).collect();
    city.post(REGISTER, &json!(rows)).await.expect(202);
    link(&city, &people[2], "denying").await;
    let deny = json!({ "effect": "deny", "recipient": { "participant": "hospital-oita" } });
    as_citizen(&hub, "denying", Method::POST, "/app/v1/consents", deny).await.expect(201);
    let mut gone = entitlement(&people[3]);
    gone["isDeleted"] = json!(true);
    city.post(REGISTER, &json!([gone])).await.expect(202);

    let now = hub.clock.now();
    let causes = ["no consent", "non-disclosure", "denied", "deleted", "no record"];
    let mut seen = Vec::new();
    for (cause, person) in causes.into_iter().zip(people.iter().chain([&nobody])) {
        let said = Some(consent(now, now + SignedDuration::from_mins(5))).filter(|_| cause != "no consent");
        let asked = hospital.post(ELIGIBILITY, &eligibility(&person.joined(), said)).await.expect(404);
        let told = all(&hospital, &format!("entity={}", asked.exchange())).await;
        let [event] = &told[..] else { panic!("{cause}: one event: {told:?}") };
        assert_eq!((&event["outcome"], &event["outcomeDesc"]), (&json!("4"), &json!("提供情報なし")));
        let text = event.to_string();
        let own = [event["id"].as_str().unwrap(), event["recorded"].as_str().unwrap(), asked.exchange()];
        seen.push((cause, own.iter().fold(text, |text, own| text.replace(own, "own"))));
        // To the municipality they are not the same.
        let told = all(&city, &format!("entity={}", asked.exchange())).await;
        assert!(told.iter().all(|event| event["outcomeDesc"] != "提供情報なし"), "{told:?}");
    }
    assert!(seen.windows(2).all(|pair| pair[0].1 == pair[1].1), "{seen:#?}");
    // Nor does a search find out what is not shown: the municipality finds a subject's events, and the hospital none.
    let log = hub.log("oita").await;
    let subject =
        log.events.iter().filter(|event| event.action == Action::LookupAnswered).find_map(|e| e.subject.clone());
    let subject = subject.unwrap();
    assert!(!all(&city, &format!("entity={subject}")).await.is_empty());
    assert!(all(&hospital, &format!("entity={subject}")).await.is_empty());
    // A search for consents of somebody who is known, or hidden, or nobody: the same.
    let mut seen = Vec::new();
    for person in people.iter().chain([&nobody]) {
        let system = tsunagi_tests::papers::RECIPIENT_SYSTEM;
        let asked = hospital.get(&format!("/fhir/Consent?patient.identifier={system}|{}", person.joined())).await;
        let told = all(&hospital, &format!("entity={}", asked.expect(200).exchange())).await;
        assert_eq!(told.len(), 1, "{told:?}");
        let one = &told[0];
        seen.push(
            [&one["meta"]["profile"], &one["type"], &one["subtype"], &one["outcome"], &one["entity"][1]]
                .map(Value::to_string),
        );
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:#?}");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_reads_their_own_part_and_reading_leaves_one_leaf() {
    let person = Person::number(1, today());
    let (hub, city, hospital) = with_reads(std::slice::from_ref(&person)).await;
    let own = by_exchange(&hub, &all(&hospital, "").await).await;
    assert!(own.len() >= 3, "{own:?}");
    let of_city = all(&city, "").await;
    assert!(of_city.iter().any(|event| leaf(event).unwrap().0 == "oita"));
    for other in ALL_PARTNERS.into_iter().filter(|name| !["city-oita", "hospital-oita", "app-techo"].contains(name)) {
        let told = all(&hub.partner(other), "").await;
        for event in &told {
            assert!(named(event, "agent", "who").iter().any(|who| who == other), "{other}: {event}");
        }
        let text = format!("{told:?}");
        assert!(own.keys().all(|exchange| !text.contains(exchange)), "{other}: {text}");
    }
    // Nothing of the person, and to the hospital not the subject's key either.
    let told = format!("{:?}", all(&hospital, "").await);
    for secret in person.secrets().into_iter().chain(["su-0", "urn:tsunagi:subject", "consent_", "policy"]) {
        assert!(!told.contains(secret), "{secret}");
    }
    let records = hub.log("oita").await.events.into_iter().filter(|event| event.action == Action::RecordAccepted);
    let record = records.last().unwrap().records[0].0.to_string();
    assert!(told.contains(&format!("Immunization/{record}")), "{told}");

    // One leaf for each reading, and it says what was searched for.
    for (partner, log) in [(&hospital, "hub"), (&city, "oita")] {
        let query = format!("date=ge2026-01-01&outcome=0,4&entity=Immunization/{record}");
        let reply = partner.get(&format!("/fhir/AuditEvent?{query}")).await.expect(200);
        let mut leaves = Vec::new();
        for tenant in ["hub", "oita", "hakodate"] {
            let told = hub.log(tenant).await;
            leaves.extend(told.of(reply.exchange()).into_iter().map(|event| (tenant, event.clone())));
        }
        let [(tenant, noted)] = &leaves[..] else { panic!("{leaves:?}") };
        assert_eq!((*tenant, noted.action), (log, Action::LogRead));
        let kept = format!("search:date=ge2026-01-01&outcome=0%2C4&entity=urn:tsunagi:record%7C{record}");
        assert_eq!(noted.reason.as_deref(), Some(kept.as_str()));
        let again = all(partner, &format!("entity={}", reply.exchange())).await;
        let [event] = &again[..] else { panic!("{again:?}") };
        let query = event["entity"].as_array().unwrap().iter().find(|entity| entity["role"]["code"] == "24").unwrap();
        assert_eq!(query["description"], kept.replacen("search:", "AuditEvent?", 1));
    }
    // Who looks through what was done with one person's data is told of to that person.
    let subject = hub.log("oita").await.events.iter().find_map(|event| event.subject.clone()).unwrap();
    let reply = city.get(&format!("/fhir/AuditEvent?entity={subject}")).await.expect(200);
    assert!(!events(&reply).is_empty());
    assert!(events(&reply).iter().all(|event| named(event, "entity", "what").contains(&subject.to_string())));
    assert_eq!(hub.log("oita").await.of(reply.exchange())[0].subject, Some(subject));
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_parameter_narrows_and_pages_join_to_the_same_whole() {
    let people: Vec<Person> = (1..4).map(|n| Person::number(n, today())).collect();
    let (hub, city, hospital) = with_reads(&people).await;
    hospital.post(ELIGIBILITY, &eligibility("81440018:9999999", None)).await.expect(404);
    for partner in [&city, &hospital] {
        let until = hub.clock.now();
        let whole = all(partner, &format!("date=lt{until}")).await;
        let ids =
            |events: &[Value]| events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let times: Vec<jiff::Timestamp> =
            whole.iter().map(|event| event["recorded"].as_str().unwrap().parse().unwrap()).collect();
        assert!(times.iter().rev().is_sorted() && whole.len() > 12, "newest first: {times:?}");
        let mut unique = ids(&whole);
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), whole.len());
        for count in [1, 2, 7] {
            let mut path = format!("/fhir/AuditEvent?_count={count}&date=lt{until}");
            let mut paged = Vec::new();
            loop {
                let reply = partner.get(&path).await.expect(200);
                let page = events(&reply);
                assert!(page.len() <= count);
                paged.extend(page);
                assert!(paged.len() <= whole.len(), "it does not end");
                let Some(next) = next(&reply) else { break };
                path = next;
            }
            assert_eq!(ids(&paged), ids(&whole), "by {count}");
        }
        // Each parameter gives those of the whole that it names, and there are others.
        let middle = times[times.len() / 2];
        let record =
            whole.iter().flat_map(|event| named(event, "entity", "what")).find(|id| id.starts_with("rc-")).unwrap();
        let checks: [(String, Holds<'_>); 5] = [
            ("outcome=4".to_owned(), &|event| event["outcome"] == "4"),
            ("agent=hospital-oita".to_owned(), &|event| {
                named(event, "agent", "who").contains(&"hospital-oita".to_owned())
            }),
            (format!("entity={record}"), &|event| named(event, "entity", "what").contains(&record)),
            (format!("date=lt{middle}"), &|event| {
                event["recorded"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap() < middle
            }),
            (format!("date=ge{}&date=lt{middle}&outcome=0", times[times.len() - 1]), &|event| {
                event["outcome"] == "0"
                    && event["recorded"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap() < middle
            }),
        ];
        for (query, holds) in checks {
            let found = all(partner, &format!("{query}&date=lt{until}")).await;
            let expected: Vec<Value> = whole.iter().filter(|event| holds(event)).cloned().collect();
            assert!(!expected.is_empty(), "{query}");
            assert_eq!(ids(&found), ids(&expected), "{query}");
        }
        assert!(all(partner, "date=lt2026-01-01").await.is_empty());
        for bad in [
            "patient.identifier=a|1",
            "outcome=7",
            "agent=nobody",
            "entity=x",
            "date=x",
            "_count=0",
            "_page=x",
            "name=x",
        ] {
            let reply = partner.get(&format!("/fhir/AuditEvent?{bad}")).await.expect(400);
            assert_eq!(reply.code(), "malformed", "{bad}");
        }
        // A place is what the hub has said, and to nobody else.
        let page = next(&partner.get("/fhir/AuditEvent?_count=1").await.expect(200)).expect("a next page");
        partner.get(&page).await.expect(200);
        let other = if std::ptr::eq(partner, &city) { &hospital } else { &city };
        for (who, page) in [
            (other, page.clone()),
            (partner, format!("{page}&outcome=4")),
            (partner, "/fhir/AuditEvent?_page=oita/1000/0".to_owned()),
            (partner, "/fhir/AuditEvent?_page=hakodate/1000/0".to_owned()),
        ] {
            assert_eq!(who.get(&page).await.expect(400).code(), "malformed", "{page}");
        }
    }
    hub.finish().await;
}

/// Refusals lie between what is told, in the tenant's log and in the hub's: no page says where.
#[tokio::test(flavor = "multi_thread")]
async fn no_page_tells_in_which_log_and_at_which_leaf_a_refusal_lies() {
    let people = [Person::number(1, today())];
    let (hub, _, hospital) = with_reads(&people).await;
    let now = hub.clock.now();
    hospital.post(ELIGIBILITY, &eligibility("81440018:9999999", None)).await.expect(404);
    let said = consent_of("81440018:9999999", now, now + SignedDuration::from_mins(5));
    hospital.post("/fhir/Consent", &said).await.expect(404);
    let in_hub = hub.log("hub").await.events.iter().filter(|event| event.reason.is_some()).count();
    assert!(in_hub > 0, "one of the two lies in the hub's log");
    let mut path = "/fhir/AuditEvent?_count=1".to_owned();
    let (mut refused, mut lengths) = (0, std::collections::BTreeSet::new());
    loop {
        let reply = hospital.get(&path).await.expect(200);
        let page = events(&reply);
        refused += page.iter().filter(|event| event["outcome"] == "4").count();
        assert!(page.iter().filter(|event| event["outcome"] == "4").all(|event| leaf(event).is_none()), "{page:?}");
        let Some(next) = next(&reply) else { break };
        let cursor = next.strip_prefix("/fhir/AuditEvent?_page=").expect("a cursor and nothing beside it");
        lengths.insert(cursor.len());
        assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{cursor}");
        path = next;
    }
    assert_eq!((refused, lengths.len()), (2, 1), "one length, however far it is and in how many logs: {lengths:?}");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_reads_what_its_citizen_did_and_nothing_of_others() {
    let mut people: Vec<Person> = (1..3).map(|n| Person::number(n, today())).collect();
    let (hub, city, _) = with_reads(&people).await;
    for (n, sub) in [(0, "herself"), (1, "father")] {
        link(&city, &people[n], sub).await;
    }
    let permit = json!({ "effect": "permit", "recipient": { "participant": "app-techo" } });
    let mut done = Vec::new();
    for sub in ["herself", "father"] {
        let given = as_citizen(&hub, sub, Method::POST, "/app/v1/consents", permit.clone()).await.expect(201);
        let read = as_citizen(&hub, sub, Method::GET, "/app/v1/records", Value::Null).await.expect(200);
        done.push([given.exchange().to_owned(), read.exchange().to_owned()]);
    }
    let log = |sub: &'static str| as_citizen(&hub, sub, Method::GET, "/fhir/AuditEvent", Value::Null);
    let reply = log("herself").await.expect(200);
    let told = by_exchange(&hub, &events(&reply)).await;
    assert_eq!(told[&done[0][0]], ["PatientCreate"]);
    assert!(told[&done[0][1]].contains(&"PatientQuery".to_owned()), "{told:?}");
    assert!(done[1].iter().all(|exchange| !told.contains_key(exchange)), "{told:?}");
    assert!(events(&reply).iter().all(|event| event["outcome"] == "0"), "refusals are not told");
    let noted = hub.log("oita").await;
    let [noted] = noted.of(reply.exchange())[..] else { panic!("the reading has its leaf") };
    assert!(noted.action == Action::LogRead && noted.subject.is_some() && noted.agent.end_user.is_some());
    hub.partner("app-techo").get("/fhir/AuditEvent").await.expect(404);

    // Whoever is linked to nobody, or to one who is hidden, reads nothing, and the same.
    let nobody = log("stranger").await.expect(200);
    people[1].is_not_disclosed = true;
    city.post(REGISTER, &json!([entitlement(&people[1])])).await.expect(202);
    let hidden = log("father").await.expect(200);
    assert!(events(&nobody).is_empty());
    assert_eq!(hidden.essence(), nobody.essence());
    for person in &people {
        for secret in person.secrets() {
            assert!(!reply.text().contains(secret), "{secret}");
        }
    }
    hub.finish().await;
}
