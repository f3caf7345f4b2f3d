//! What a handbook app may read for the citizen who has signed in: the person, or a proxy of a child.

use http::Method;
use jiff::Span;
use serde_json::{Value, json};
use tsunagi_core::audit::Action;
use tsunagi_tests::papers::{
    HOSPITAL_OITA, OITA, Person, cp932, entitlement, immunization, maternal_csv, registered_vaccination,
};
use tsunagi_tests::{ISSUER, Partner, Reply, TestGateway, TokenIssuer};

const REGISTER: &str = "/pmh/v1/medicalSubsidy/registrationTasks";
const DAY: i64 = 86_400;

/// A hub, a city, an app, and a citizen who has signed in.
pub(crate) struct Home {
    pub(crate) hub: TestGateway,
    pub(crate) city: Partner,
    app: Partner,
}

impl Home {
    pub(crate) async fn of(people: &[Person]) -> Self {
        let hub = TestGateway::start().await;
        let (city, app) = (hub.partner("city-oita"), hub.partner("app-techo"));
        let rows: Vec<Value> = people.iter().map(entitlement).collect();
        city.post(REGISTER, &json!(rows)).await.expect(202);
        Self { hub, city, app }
    }

    pub(crate) async fn link(&self, system: &str, value: &str, sub: &str, relationship: &str) -> Reply {
        let body = json!({
            "system": system, "value": value, "issuer": ISSUER, "sub": sub, "relationship": relationship,
        });
        self.city.post("/v1/links", &body).await
    }

    pub(crate) async fn call(&self, sub: &str, method: Method, path: &str, body: Value) -> Reply {
        let auth = self.hub.bearer(sub, "app-techo");
        let headers = [("authorization", auth.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.app.send(method, path, &headers, body).await
    }

    pub(crate) async fn read(&self, sub: &str, query: &str) -> Reply {
        self.call(sub, Method::GET, &format!("/app/v1/records{query}"), Value::Null).await
    }

    pub(crate) async fn agree(&self, sub: &str) -> Reply {
        let body = json!({ "effect": "permit", "recipient": { "participant": "app-techo" } });
        self.call(sub, Method::POST, "/app/v1/consents", body).await
    }
}

pub(crate) fn today() -> jiff::civil::Date {
    tsunagi_gateway::clock::Clock::system().today()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_reads_while_she_agrees_and_is_named_as_a_proxy() {
    let person = Person::number(1, today());
    let home = Home::of(std::slice::from_ref(&person)).await;
    home.link("recipient", &person.joined(), "mother", "proxy").await.expect(201);
    home.read("mother", "").await.expect(404);
    let given = home.agree("mother").await.expect(201).json();
    let read = home.read("mother", "").await.expect(200);
    assert_eq!(read.json()["records"][0]["kind"], "subsidy_entitlement");
    assert!(read.text().contains(&person.name));
    let log = home.hub.log("oita").await;
    let acts = log.acts(read.exchange(), Action::LookupAnswered);
    assert!(acts.iter().all(|event| event.agent.proxy && event.agent.end_user.is_some()));
    assert!(!log.text().contains("mother"), "the sign-in itself is not in the log");
    let listed = home.call("mother", Method::GET, "/app/v1/consents", Value::Null).await.expect(200);
    let path = format!("/app/v1/consents/{}", given["consents"][0]["id"].as_str().unwrap());
    let withdrawn = home.call("mother", Method::DELETE, &path, Value::Null).await.expect(200);
    let log = home.hub.log("oita").await;
    for (reply, action) in [(&listed, Action::LookupAnswered), (&withdrawn, Action::DirectiveWithdrawn)] {
        let acts = log.acts(reply.exchange(), action);
        assert!(!acts.is_empty() && acts.iter().all(|event| event.agent.proxy), "{action:?}");
    }
    home.read("mother", "").await.expect(404);
    home.hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_sign_in_link_or_consent_the_answer_is_the_same() {
    let mut people: Vec<Person> = (0..4).map(|n| Person::number(n, today())).collect();
    people[3].is_not_disclosed = true;
    let home = Home::of(&people).await;
    for (n, person) in people.iter().enumerate() {
        home.link("recipient", &person.joined(), &format!("parent-{n}"), "proxy").await.expect(201);
    }
    home.agree("parent-0").await.expect(201);
    home.read("parent-0", "").await.expect(200);

    let now = home.hub.clock.now().as_second();
    let own = home.hub.pair("app-techo").chain()[0].to_vec();
    let foreign = home.hub.pair("hospital-oita").chain()[0].to_vec();
    let claims = |sub: &str, certificate: &[u8], exp: i64| TokenIssuer::claims(sub, certificate, exp);
    let mut for_another = claims("parent-0", &own, now + 600);
    for_another["aud"] = json!("another-audience");
    let mut unbound = claims("parent-0", &own, now + 600);
    unbound.as_object_mut().unwrap().remove("cnf");
    let good = home.hub.bearer_of(&claims("parent-0", &own, now + 600));
    let forged = format!("{}AAAA", &good[..good.len() - 4]);
    let tokens = [
        ("bound to another certificate", home.hub.bearer_of(&claims("parent-0", &foreign, now + 600))),
        ("over", home.hub.bearer_of(&claims("parent-0", &own, now - 1))),
        ("for another audience", home.hub.bearer_of(&for_another)),
        ("bound to nothing", home.hub.bearer_of(&unbound)),
        ("forged", forged),
        ("no token", "Basic cGFyZW50".to_owned()),
        ("not linked", home.hub.bearer("nobody", "app-techo")),
        ("linked, no consent", home.hub.bearer("parent-1", "app-techo")),
        ("non-disclosure", home.hub.bearer("parent-3", "app-techo")),
    ];
    let mut answers = Vec::new();
    for (why, token) in &tokens {
        let reply = home.app.send(Method::GET, "/app/v1/records", &[("authorization", token)], "").await.expect(404);
        assert_eq!(reply.code(), "not_available", "{why}");
        answers.push((why, reply.essence()));
    }
    answers.push((&"no header", home.app.get("/app/v1/records").await.expect(404).essence()));
    for (why, answer) in &answers {
        assert_eq!(*answer, answers[0].1, "{why} looks unlike the others");
    }
    let ok = home.app.send(Method::GET, "/app/v1/records", &[("authorization", &good)], "").await;
    ok.expect(200);
    home.hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxys_right_ends_on_the_day_the_child_comes_of_age() {
    let mut person = Person::number(1, today());
    // The eighteenth birthday is in five days.
    person.born = today().checked_sub(Span::new().years(18)).unwrap().checked_add(Span::new().days(5)).unwrap();
    let home = Home::of(std::slice::from_ref(&person)).await;
    home.link("recipient", &person.joined(), "father", "proxy").await.expect(201);
    home.link("recipient", &person.joined(), "self", "subject").await.expect(201);
    home.agree("father").await.expect(201);
    home.hub.clock.shift(4 * DAY);
    home.read("father", "").await.expect(200);
    home.hub.clock.shift(DAY);
    let reply = home.read("father", "").await.expect(404);
    let log = home.hub.log("oita").await;
    let reasons: Vec<_> = log.of(reply.exchange()).iter().map(|event| event.reason.clone()).collect();
    assert!(!reasons.is_empty() && reasons.iter().all(|r| r.as_deref() == Some("proxy_ended")), "{reasons:?}");
    // What the father agreed to ended with his right to do so: the grown child says for herself.
    home.read("self", "").await.expect(404);
    home.agree("self").await.expect(201);
    home.read("self", "").await.expect(200);
    home.hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxys_right_ends_whichever_kind_of_record_is_asked_for() {
    let mut person = Person::number(1, today());
    person.born = today().checked_sub(Span::new().years(19)).unwrap();
    let home = Home::of(std::slice::from_ref(&person)).await;
    // The vaccination itself does not say when the person was born; the entitlement does.
    let row = registered_vaccination(&person, OITA, "V-1", today());
    let task = home.city.post("/pmh/v1/vaccination/registrationTasks", &json!([row])).await.expect(202).json();
    assert_eq!(task["results"][0]["status"], "registered");
    home.link("recipient", &person.joined(), "father", "proxy").await.expect(201);
    home.link("recipient", &person.joined(), "self", "subject").await.expect(201);
    let body = json!({ "effect": "permit", "recipient": { "participant": "app-techo" } });
    home.call("self", Method::POST, "/app/v1/consents", body).await.expect(201);
    home.read("self", "?kind=vaccination").await.expect(200);
    for query in ["", "?kind=subsidy_entitlement", "?kind=vaccination"] {
        let reply = home.read("father", query).await;
        assert_eq!(reply.status, 404, "a proxy of an adult reads with {query:?}");
    }
    home.hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_of_an_adult_can_neither_see_nor_change_what_she_has_agreed_to() {
    let mut person = Person::number(1, today());
    person.born = today().checked_sub(Span::new().years(19)).unwrap();
    let home = Home::of(std::slice::from_ref(&person)).await;
    home.link("recipient", &person.joined(), "father", "proxy").await.expect(201);
    home.link("recipient", &person.joined(), "self", "subject").await.expect(201);
    let given = home.agree("self").await.expect(201).json();
    let path = format!("/app/v1/consents/{}", given["consents"][0]["id"].as_str().unwrap());
    assert_eq!(home.agree("father").await.status, 404, "he gives consent in her name");
    assert_eq!(home.call("father", Method::GET, "/app/v1/consents", Value::Null).await.status, 404);
    assert_eq!(home.call("father", Method::DELETE, &path, Value::Null).await.status, 404);
    home.read("self", "").await.expect(200);
    home.hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_holds_on_its_days_only() {
    let person = Person::number(1, today());
    let home = Home::of(std::slice::from_ref(&person)).await;
    let day = Span::new().days(1);
    let body = json!({
        "system": "recipient", "value": person.joined(), "issuer": ISSUER, "sub": "aunt", "relationship": "proxy",
        "from": today().checked_add(day).unwrap(), "until": today().checked_add(day).unwrap(),
    });
    home.city.post("/v1/links", &body).await.expect(201);
    home.link("recipient", &person.joined(), "mother", "proxy").await.expect(201);
    home.agree("mother").await.expect(201);
    for (status, shift) in [(404, DAY), (200, DAY), (404, 0)] {
        home.read("aunt", "").await.expect(status);
        home.hub.clock.shift(shift);
    }
    home.hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn her_own_results_are_the_womans_and_never_a_proxys_and_some_items_are_nobodys() {
    let mut mother = Person::number(1, today());
    mother.born = today().checked_sub(Span::new().years(16)).unwrap();
    let home = Home::of(&[]).await;
    let body = cp932(&maternal_csv(&mother, "M-1"));
    let headers = [("content-type", "text/csv; charset=Shift_JIS")];
    let path = "/v1/files/municipal_csv/checkup_maternal_legacy";
    let receipt = home.city.send(Method::POST, path, &headers, body).await.expect(202).json();
    assert_eq!(receipt["accepted"], 1, "{receipt}");
    for (sub, relationship) in [("herself", "subject"), ("her-mother", "proxy")] {
        home.link("maternal_handbook", &mother.handbook, sub, relationship).await.expect(201);
    }
    home.agree("herself").await.expect(201);
    let (hbs, weight) = ("5F016141002399811", "9N006000000000001");
    let own = home.read("herself", "?kind=checkup_maternal").await.expect(200).text();
    assert!(own.contains(weight) && own.contains(hbs), "{own}");
    let proxy = home.read("her-mother", "?kind=checkup_maternal").await.expect(200).text();
    assert!(proxy.contains(weight) && !proxy.contains(hbs), "{proxy}");
    for text in [&own, &proxy] {
        for never in
            ["5E071000002399811", "hiv_antibody", "smoking", "drinking", "miscarriages", "stillbirths", "9A751"]
        {
            assert!(!text.contains(never), "{never} left a trace: {text}");
        }
    }
    home.hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_narrowed_by_kind_and_by_when_they_came() {
    let person = Person::number(1, today());
    let home = Home::of(std::slice::from_ref(&person)).await;
    home.link("recipient", &person.joined(), "mother", "proxy").await.expect(201);
    home.agree("mother").await.expect(201);
    home.hub.clock.shift(60);
    let since = home.hub.clock.now();
    let shot = immunization(&person, HOSPITAL_OITA, OITA, "V-1", today());
    home.hub.partner("hospital-oita").post("/fhir/Immunization", &shot).await.expect(201);
    let kinds = |reply: Reply| -> Vec<String> {
        let records = reply.expect(200).json()["records"].as_array().cloned().unwrap();
        records.iter().map(|part| part["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(home.read("mother", "").await).len(), 2);
    assert_eq!(kinds(home.read("mother", &format!("?since={since}")).await), ["vaccination"]);
    assert_eq!(kinds(home.read("mother", "?kind=subsidy_entitlement").await), ["subsidy_entitlement"]);
    home.read("mother", "?kind=birth_certificate").await.expect(404);
    home.read("mother", "?from=yesterday").await.expect(400);
    home.hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_municipality_links_and_only_people_it_knows() {
    let person = Person::number(1, today());
    let home = Home::of(std::slice::from_ref(&person)).await;
    let link = |issuer: &str, value: &str| json!({ "system": "recipient", "value": value, "issuer": issuer, "sub": "x", "relationship": "subject" });
    for (who, status) in [("app-techo", 403), ("hospital-oita", 403)] {
        let reply = home.hub.partner(who).post("/v1/links", &link(ISSUER, &person.joined())).await.expect(status);
        assert_eq!(reply.code(), "not_permitted");
    }
    home.city.post("/v1/links", &link("https://elsewhere.example", &person.joined())).await.expect(400);
    home.city.post("/v1/links", &link(ISSUER, "81440018:9999999")).await.expect(404);
    // Hakodate does not reach into Oita.
    home.hub.partner("city-hakodate").post("/v1/links", &link(ISSUER, &person.joined())).await.expect(404);
    home.hub.finish().await;
}
