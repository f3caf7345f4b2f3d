//! The access log: the person concerned sees who asked, when, what for and by which right, with proofs; nobody else does.

use std::collections::BTreeSet;

use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tsunagi_core::audit::Action;
use tsunagi_gateway::sealing::seal_all;
use tsunagi_tests::Reply;
use tsunagi_tests::papers::{Person, RECIPIENT_SYSTEM, consent, cp932, eligibility, maternal_csv};

use crate::citizen::{Home, today};
use crate::receipts::assert_proved;

const MATERNITY: &str = "母子保健法19条の2";

async fn log(home: &Home, sub: &str, query: &str) -> Reply {
    home.call(sub, Method::GET, &format!("/app/v1/access-log{query}"), Value::Null).await
}

fn entries(reply: Reply) -> Vec<Value> {
    reply.expect(200).json()["entries"].as_array().cloned().unwrap()
}

fn texts(entries: &[Value]) -> String {
    entries.iter().map(|entry| entry["text"].as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

/// Without the hub, from what the app was given alone.
fn verified_offline(home: &Home, log: &str) {
    let folder = tempfile::tempdir().unwrap();
    let told = |log: &str| {
        std::fs::write(folder.path().join("log.json"), log).unwrap();
        let key = format!("{}\n", home.hub.running.gateway.signer.verifier_key());
        std::fs::write(folder.path().join("hub.key"), key).unwrap();
        let mut tsunagi = std::process::Command::new(tsunagi_tests::process::binary());
        tsunagi.args(["--lang", "en", "audit", "verify", "--export", "log.json", "--key", "hub.key"]);
        tsunagi.current_dir(folder.path()).output().unwrap()
    };
    let verify = |log: &str| told(log).status.code();
    assert_eq!(verify(log), Some(0));
    let at = log.find("\"hash\":\"").unwrap() + 8;
    let other = if log[at..].starts_with('0') { "1" } else { "0" };
    assert_eq!(verify(&format!("{}{other}{}", &log[..at], &log[at + 1..])), Some(1), "another hash is told");
    let mut entries: Value = serde_json::from_str(log).unwrap();
    let first = entries["entries"][0].clone();
    entries["entries"].as_array_mut().unwrap().push(first);
    assert_eq!(verify(&entries.to_string()), Some(1), "one leaf is told twice");
    entries["entries"].as_array_mut().unwrap().pop();
    // What is said without a proof is not what was verified.
    let unproved = |entries: &Value| {
        let said = String::from_utf8(told(&entries.to_string()).stdout).unwrap();
        said.lines().find_map(|line| line.strip_prefix("not proved: ")?.parse::<usize>().ok()).unwrap_or(0)
    };
    let before = unproved(&entries);
    entries["entries"][0]["audit"].as_object_mut().unwrap().remove("proof");
    assert_eq!(unproved(&entries), before + 1);
    entries["entries"][0].as_object_mut().unwrap().remove("audit");
    assert_eq!(verify(&entries.to_string()), Some(1), "an entry has no leaf");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mother_sees_who_asked_and_why_and_each_entry_is_proved() {
    let person = Person::number(1, today());
    let home = Home::of(std::slice::from_ref(&person)).await;
    home.link("recipient", &person.joined(), "mother", "proxy").await.expect(201);
    let refused = home.read("mother", "").await.expect(404).exchange().to_owned();
    let hospital = home.hub.partner("hospital-oita");
    let now = home.hub.clock.now();
    let asked = eligibility(&person.joined(), Some(consent(now, now + SignedDuration::from_mins(5))));
    let answered =
        hospital.post("/fhir/CoverageEligibilityRequest/$submit", &asked).await.expect(200).exchange().to_owned();
    let search = format!("/fhir/Immunization?patient.identifier={RECIPIENT_SYSTEM}|{}", person.joined());
    let tried = hospital.get(&search).await.expect(200).exchange().to_owned();
    home.agree("mother").await.expect(201);
    let read = home.read("mother", "").await.expect(200).exchange().to_owned();
    seal_all(&home.hub.running.gateway).await;

    let reply = log(&home, "mother", "").await.expect(200);
    let told = home.hub.log("oita").await;
    let [noted] = told.of(reply.exchange())[..] else { panic!("the reading has its leaf") };
    assert_eq!((noted.action, noted.agent.proxy), (Action::LogRead, true));
    let body = reply.text();
    let entries = entries(reply);
    let times: Vec<&str> = entries.iter().map(|entry| entry["at"].as_str().unwrap()).collect();
    let indexes: Vec<u64> = entries.iter().map(|entry| entry["audit"]["leaf"].as_u64().unwrap()).collect();
    assert!(indexes.iter().rev().is_sorted() && times.len() > 6, "newest first: {indexes:?}");
    verified_offline(&home, &body);
    for entry in &entries {
        let event = assert_proved(&home.hub, "oita", &entry["audit"]).await;
        assert_eq!(json!(event.exchange), entry["exchange"]);
        assert_eq!(json!(event.at), entry["at"]);
    }
    let of = |exchange: &str| entries.iter().filter(|entry| entry["exchange"] == exchange).collect::<Vec<_>>();
    let [desk] = of(&answered)[..] else { panic!("one kind was asked for") };
    assert_eq!((&desk["who"]["name"], &desk["who"]["role"]), (&json!("試験大分病院"), &json!("hospital")));
    assert_eq!((&desk["who"]["you"], &desk["who"]["proxy"]), (&json!(false), &json!(false)));
    assert_eq!((&desk["outcome"]["code"], &desk["kind"]["code"]), (&json!("done"), &json!("subsidy_entitlement")));
    assert_eq!((&desk["bases"][0]["label"], &desk["municipality"]), (&json!("同意"), &json!("大分市")));
    assert!(desk["bases"][0]["code"].as_str().unwrap().starts_with("cd-"), "{desk}");
    assert!(desk["seen"].as_array().unwrap().iter().any(|class| class["label"] == "通常"), "{desk}");
    let text = desk["text"].as_str().unwrap();
    assert!(text.starts_with("試験大分病院: 記録を照会した（") && text.contains("根拠: 同意"), "{text}");
    let denied = of(&tried);
    assert!(!denied.is_empty() && denied.iter().all(|entry| entry["outcome"]["code"] == "denied"), "{denied:?}");
    assert!(denied.iter().all(|entry| entry["seen"] == json!([]) && !entry["notSeen"].as_array().unwrap().is_empty()));
    assert!(of(&refused).iter().all(|entry| entry["reason"]["label"] == "必要な同意がない"), "{entries:?}");
    assert!(of(&read).iter().any(|entry| entry["who"]["you"] == true && entry["outcome"]["code"] == "done"));

    // In English, and with the reading before it.
    let auth = home.hub.bearer("mother", "app-techo");
    let headers = [("authorization", auth.as_str()), ("accept-language", "en")];
    let again = home.hub.partner("app-techo").send(Method::GET, "/app/v1/access-log?limit=1", &headers, "").await;
    let again = again.expect(200).json();
    let text = again["entries"][0]["text"].as_str().unwrap();
    assert_eq!(text, "you (試験手帳アプリ): read the access log. Outcome: done.");
    // Nothing of the person, and of certificates and sign-ins nothing.
    let all = format!("{entries:?}");
    let pseudonym = noted.agent.end_user.clone().unwrap();
    let certificate = noted.agent.certificate.clone().unwrap();
    for secret in person.secrets().into_iter().chain(["mother", &pseudonym, &certificate]) {
        assert!(!all.contains(secret), "{secret}");
    }
    home.hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_of_the_household_sees_anothers_entries() {
    let people: Vec<Person> = (1..3).map(|n| Person::number(n, today())).collect();
    let home = Home::of(&people).await;
    for (sub, of, relationship) in
        [("mother", 0, "proxy"), ("father", 0, "proxy"), ("self", 0, "subject"), ("aunt", 1, "proxy")]
    {
        home.link("recipient", &people[of].joined(), sub, relationship).await.expect(201);
    }
    home.agree("mother").await.expect(201);
    let hers = home.read("mother", "").await.expect(200).exchange().to_owned();
    let own = home.agree("self").await.expect(201).exchange().to_owned();
    let sees = async |sub: &str| -> Vec<String> {
        let entries = entries(log(&home, sub, "?limit=200").await);
        entries.iter().map(|entry| entry["exchange"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let (mother, father, child, aunt) =
        (sees("mother").await, sees("father").await, sees("self").await, sees("aunt").await);
    assert!(mother.contains(&hers) && child.contains(&hers) && child.contains(&own));
    for others in [&father, &aunt] {
        assert!(!others.contains(&hers) && !others.contains(&own), "{others:?}");
    }
    assert!(!mother.contains(&own), "what the child itself did");
    // Whom else the town has linked is the person's to know.
    let of_father = entries(log(&home, "father", "?limit=200").await);
    assert!(of_father.iter().all(|entry| entry["action"]["code"] != "SubjectLinked"), "{}", texts(&of_father));
    let of_child = entries(log(&home, "self", "?limit=200").await);
    assert!(of_child.iter().any(|entry| entry["action"]["code"] == "SubjectLinked"), "{}", texts(&of_child));
    // Nor do pages tell that there is something between what he sees: each has an entry, and where it goes on is not to
    // be read.
    let (mut query, mut seen, mut lengths) = ("?limit=1".to_owned(), BTreeSet::new(), BTreeSet::new());
    loop {
        let reply = log(&home, "father", &query).await.expect(200);
        let link = reply.header("link").to_owned();
        let page = entries(reply);
        assert_eq!(page.len(), 1, "{query}: an empty page tells of an entry that is not shown");
        seen.insert(page[0]["audit"]["leaf"].as_u64().unwrap());
        let Some((next, _)) = link.strip_prefix("</app/v1/access-log").and_then(|rest| rest.split_once('>')) else {
            break;
        };
        let cursor = next.split_once("after=").unwrap().1.split('&').next().unwrap();
        assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{cursor}");
        lengths.insert(cursor.len());
        query = next.to_owned();
    }
    assert!(seen.len() > 2 && lengths.len() == 1, "{seen:?}, {lengths:?}");
    // Another person's log is as one that is not there.
    let subject = of_child[0]["subject"].as_str().unwrap();
    let foreign = log(&home, "aunt", &format!("?subject={subject}")).await.expect(404);
    let nobody = log(&home, "stranger", "").await.expect(404);
    assert_eq!(foreign.essence(), nobody.essence());
    // Nor does a place in another's log lead there, and nobody makes one.
    let of_child = log(&home, "self", "?limit=1").await.expect(200).json();
    let place = format!("?after={}", of_child["next"].as_str().unwrap());
    assert!(entries(log(&home, "aunt", &place).await).is_empty());
    for bad in [
        &format!("?after=oita/{subject}/1000000") as &str,
        "?after=oita",
        "?limit=0",
        "?limit=201",
        "?subject=x",
        "?kind=vaccination",
    ] {
        log(&home, "mother", bad).await.expect(400);
    }
    home.hub.partner("city-oita").get("/app/v1/access-log").await.expect(404);
    home.hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_the_non_disclosure_flag_there_is_no_log_to_read() {
    let mut person = Person::number(1, today());
    let home = Home::of(std::slice::from_ref(&person)).await;
    for (sub, relationship) in [("father", "proxy"), ("self", "subject")] {
        home.link("recipient", &person.joined(), sub, relationship).await.expect(201);
        log(&home, sub, "").await.expect(200);
    }
    let flagged = async |person: &Person| {
        let rows = json!([tsunagi_tests::papers::entitlement(person)]);
        home.city.post("/pmh/v1/medicalSubsidy/registrationTasks", &rows).await.expect(202);
    };
    person.is_not_disclosed = true;
    flagged(&person).await;
    let nobody = log(&home, "stranger", "").await.expect(404).essence();
    for sub in ["father", "self"] {
        let reply = log(&home, sub, "").await.expect(404);
        assert_eq!(reply.code(), "not_available");
        assert_eq!(reply.essence(), nobody, "{sub}");
    }
    home.read("father", "").await.expect(404);
    // Once it is lifted, what was refused under it is the person's to know and not the proxy's.
    person.is_not_disclosed = false;
    flagged(&person).await;
    let reasons = async |sub| format!("{:?}", entries(log(&home, sub, "").await));
    assert!(reasons("self").await.contains("non_disclosure"));
    assert!(!reasons("father").await.contains("non_disclosure"));
    home.hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn page_by_page_it_is_the_same_log_of_all_her_children() {
    let people: Vec<Person> = (1..4).map(|n| Person::number(n, today())).collect();
    let home = Home::of(&people).await;
    for person in &people {
        home.link("recipient", &person.joined(), "mother", "proxy").await.expect(201);
        home.read("mother", "").await.expect(404);
    }
    let at = |entry: &Value| entry["at"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let key = |entry: &Value| (at(entry), entry["subject"].to_string(), entry["audit"]["leaf"].as_u64());
    let whole: Vec<_> = entries(log(&home, "mother", "?limit=200").await).iter().map(key).collect();
    assert!(whole.len() > 9, "{whole:?}");
    assert!(whole.iter().map(|(at, ..)| at).rev().is_sorted());
    for limit in [1, 4] {
        let mut paged = Vec::new();
        let mut query = format!("?limit={limit}");
        let mut pages = 0;
        loop {
            let reply = log(&home, "mother", &query).await.expect(200);
            let link = reply.header("link").to_owned();
            let page = entries(reply);
            assert!(page.len() <= limit);
            paged.extend(page.iter().filter(|entry| entry["action"]["code"] != "LogRead").map(key));
            pages += 1;
            assert!(pages < 200, "it does not end");
            let Some(next) = link.strip_prefix("</app/v1/access-log").and_then(|rest| rest.split_once('>')) else {
                break;
            };
            query = next.0.to_owned();
        }
        assert_eq!(paged, whole, "by {limit}");
    }
    home.hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_another_town_is_in_it_and_a_proxy_is_not_told_of_what_is_the_womans_alone() {
    let mut woman = Person::number(1, today());
    woman.born = today().checked_sub(jiff::Span::new().years(16)).unwrap();
    let home = Home::of(&[]).await;
    let headers = [("content-type", "text/csv; charset=Shift_JIS")];
    let path = "/v1/files/municipal_csv/checkup_maternal_legacy";
    home.city.send(Method::POST, path, &headers, cp932(&maternal_csv(&woman, "M-1"))).await.expect(202);
    for (sub, relationship) in [("herself", "subject"), ("her-mother", "proxy")] {
        home.link("maternal_handbook", &woman.handbook, sub, relationship).await.expect(201);
    }
    let asked = json!({
        "purpose": "PUBHLTH", "legalBasis": MATERNITY, "tenants": ["oita"], "kinds": ["checkup_maternal"],
        "subject": { "system": "maternal_handbook", "value": woman.handbook },
    });
    let reply = home.hub.partner("city-hakodate").post("/v1/requests", &asked).await.expect(200);
    let of = async |sub: &str| {
        let entries = entries(log(&home, sub, "").await);
        entries.into_iter().find(|entry| entry["exchange"] == reply.exchange()).expect("the request")
    };
    let hers = of("herself").await;
    assert_eq!((&hers["who"]["name"], &hers["action"]["code"]), (&json!("函館市"), &json!("RequestAnswered")));
    assert_eq!(hers["bases"][0]["label"], MATERNITY);
    assert_eq!(hers["purpose"]["code"], "PUBHLTH");
    let classes = |entry: &Value| {
        let codes = |list: &Value| {
            list.as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        [codes(&entry["seen"]), codes(&entry["notSeen"])].concat()
    };
    let never = ["self_viewable", "never_outward", "municipality_only"];
    assert!(never.iter().any(|class| classes(&hers).iter().any(|found| found == class)), "{hers}");
    let proxys = of("her-mother").await;
    assert!(classes(&proxys).contains(&"normal".to_owned()));
    assert!(never.iter().all(|class| classes(&proxys).iter().all(|found| found != class)), "{proxys}");
    home.hub.finish().await;
}
