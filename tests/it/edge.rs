//! What a caller gets whose request is not as it should be, or comes too often, or twice, or at the end.

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tsunagi_core::audit::Action;
use tsunagi_tests::papers::{HOSPITAL_OITA, OITA, Person, entitlement, immunization};
use tsunagi_tests::{Reply, Setup, TestGateway, check_invariants};

const REGISTER: &str = "/pmh/v1/medicalSubsidy/registrationTasks";

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_413_and_kept_nowhere() {
    let hub = Setup::new().set("edge.max_body_bytes", 2_000).start().await;
    let rows: Vec<Value> = (0..20).map(|n| entitlement(&Person::number(n, hub.today()))).collect();
    let city = hub.partner("city-oita");
    let reply = city.post(REGISTER, &json!(rows)).await.expect(413);
    assert_eq!(reply.code(), "too_large");
    let over_http1 = hub.partner("city-oita").over_http1();
    assert_eq!(over_http1.post("/fhir/Immunization", &json!(rows)).await.expect(413).code(), "too_large");
    assert!(hub.store().exchanges(10).await.unwrap().is_empty());
    assert_eq!(hub.log("hub").await.acts(reply.exchange(), Action::ExchangeRefused).len(), 1);
    city.post(REGISTER, &json!(rows[..1])).await.expect(202);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_may_take_less_than_the_gateway() {
    let hub = Setup::new()
        .registry(|registry| {
            for channel in registry.channel.iter_mut().filter(|c| c.participant.as_str() == "city-hakodate") {
                channel.max_body_bytes = Some(200);
            }
        })
        .start()
        .await;
    let row = json!([entitlement(&Person::number(1, hub.today()))]);
    assert_eq!(hub.partner("city-hakodate").post(REGISTER, &row).await.expect(413).code(), "too_large");
    hub.partner("city-oita").post(REGISTER, &row).await.expect(202);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_input_is_400_with_its_place_and_none_of_its_content() {
    let hub = TestGateway::start().await;
    let city = hub.partner("city-oita").speaking("en");
    let person = Person::number(1, hub.today());
    let broken = |text: String| text.into_bytes();
    let number = &person.my_number;
    let mut unreadable = tsunagi_tests::papers::cp932("個人番号,漢字氏名\r\n123456789018,試験");
    unreadable.extend([0x81, 0xFF]);
    let csv = "/v1/files/municipal_csv/subsidy_entitlement_legacy";
    let cases = [
        (REGISTER, "application/json", broken(format!("[{{\"myNumber\": \"{number}\",\n \"x\": tru }}]")), "2"),
        (REGISTER, "application/json", broken(format!("{{\"myNumber\": \"{number}\"")), ""),
        (csv, "text/csv; charset=Shift_JIS", unreadable, ""),
        (csv, "text/csv; charset=EBCDIC", broken(format!("個人番号\r\n{number}")), ""),
    ];
    for (path, media_type, body, place) in cases {
        let reply = city.send(Method::POST, path, &[("content-type", media_type)], body).await.expect(400);
        assert_eq!(reply.code(), "malformed");
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(place), "{detail}");
        assert!(media_type.contains("EBCDIC") || detail.chars().any(|c| c.is_ascii_digit()), "no place: {detail}");
        assert!(!detail.contains(number) && !detail.contains("試験"), "{detail}");
        assert_eq!(hub.log("hub").await.acts(reply.exchange(), Action::ExchangeRefused).len(), 1);
    }
    assert!(hub.store().exchanges(10).await.unwrap().is_empty());
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_channel_does_not_carry_is_415() {
    let hub = TestGateway::start().await;
    let (city, hospital) = (hub.partner("city-oita"), hub.partner("hospital-oita"));
    let shot = immunization(&Person::number(1, hub.today()), HOSPITAL_OITA, OITA, "V-1", hub.today()).to_string();
    let sent = [
        hospital.send(Method::POST, "/fhir/Immunization", &[("content-type", "text/plain")], shot.clone()).await,
        hospital.send(Method::POST, "/fhir/Immunization", &[], shot).await,
        city.post("/pmh/v1/birthCertificate/registrationTasks", &json!([])).await,
        city.send(Method::POST, "/v1/files/municipal_csv/vaccination_modern", &[("content-type", "text/csv")], "")
            .await,
        city.send(Method::GET, "/v1/mailbox", &[("accept", "image/png")], "").await,
    ];
    for reply in sent {
        assert_eq!(reply.expect(415).code(), "kind_unsupported");
    }
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_outcomes_under_fhir_and_problems_elsewhere_in_the_callers_language() {
    let hub = TestGateway::start().await;
    let ja = hub.partner("city-oita");
    let en = hub.partner("city-oita").speaking("en-GB,en;q=0.9,ja;q=0.5");
    let plain = |reply: &Reply| reply.json()["detail"].as_str().unwrap().to_owned();
    let fhir = |reply: &Reply| reply.json()["issue"][0]["details"]["text"].as_str().unwrap().to_owned();
    for (method, path) in
        [(Method::GET, "/v2/nowhere"), (Method::PUT, "/v1/mailbox"), (Method::DELETE, "/fhir/metadata")]
    {
        let (in_ja, in_en) = (ja.send(method.clone(), path, &[], "").await, en.send(method, path, &[], "").await);
        assert_eq!((in_ja.code(), in_en.code()), ("not_found".to_owned(), "not_found".to_owned()), "{path}");
        let words = if path.starts_with("/fhir") { fhir } else { plain };
        let (in_ja, in_en) = (words(&in_ja.expect(404)), words(&in_en.expect(404)));
        assert!(!in_ja.is_ascii() && in_en.is_ascii(), "{path}: {in_ja} / {in_en}");
    }
    let reply = ja.get("/v2/nowhere").await;
    assert_eq!(reply.header("content-type"), "application/problem+json; charset=utf-8");
    let reply = ja.get("/fhir/nowhere/x/y").await.expect(404);
    assert_eq!(reply.header("content-type"), "application/fhir+json; charset=utf-8");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_is_each_participants_own() {
    let hub = Setup::new().set("edge.rate_per_second", 1).set("edge.rate_burst", 3).start().await;
    let (fast, slow) = (hub.partner("city-oita"), hub.partner("city-hakodate"));
    let mut limited = None;
    // A token comes back each second: far more requests than that fit into one.
    for _ in 0..50 {
        let reply = fast.get("/fhir/metadata").await;
        if reply.status == 429 {
            limited = Some(reply);
            break;
        }
    }
    let limited = limited.expect("no limit was met");
    assert_eq!(limited.code(), "rate_limited");
    let wait: u32 = limited.header("retry-after").parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    slow.get("/fhir/metadata").await.expect(200);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_idempotency_key_is_one_exchange_and_only_for_one_body() {
    let hub = TestGateway::start().await;
    let city = hub.partner("city-oita");
    let rows = |n| json!([entitlement(&Person::number(n, hub.today()))]).to_string();
    let headers = [("content-type", "application/json"), ("idempotency-key", "renewal-1")];
    let first = city.send(Method::POST, REGISTER, &headers, rows(1)).await.expect(202);
    let again = city.send(Method::POST, REGISTER, &headers, rows(1)).await.expect(202);
    assert_eq!((first.exchange(), &first.body), (again.exchange(), &again.body));
    let other = city.send(Method::POST, REGISTER, &headers, rows(2)).await.expect(409);
    assert_eq!(other.code(), "key_reused");
    assert_eq!(hub.store().exchanges(10).await.unwrap().len(), 1);
    // The key is the sender's own: another's does not meet it.
    let elsewhere = hub.partner("city-hakodate").send(Method::POST, REGISTER, &headers, rows(2)).await.expect(202);
    assert_ne!(elsewhere.exchange(), first.exchange());
    let log = hub.log("oita").await;
    assert_eq!(log.acts(first.exchange(), Action::RecordAccepted).len(), 1);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_at_once_under_one_key_are_one_exchange_and_one_record() {
    let hub = TestGateway::start().await;
    let city = std::sync::Arc::new(hub.partner("city-oita"));
    let body = json!([entitlement(&Person::number(1, hub.today()))]).to_string();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (city, body) = (city.clone(), body.clone());
        tasks.spawn(async move {
            let headers = [("content-type", "application/json"), ("idempotency-key", "at-once")];
            let reply = city.send(Method::POST, REGISTER, &headers, body).await.expect(202);
            (reply.exchange().to_owned(), reply.text())
        });
    }
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(hub.store().exchanges(100).await.unwrap().len(), 1);
    let accepted = hub.log("oita").await.events.iter().filter(|e| e.action == Action::RecordAccepted).count();
    assert_eq!(accepted, 1);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_the_request_that_is_open() {
    let hub = TestGateway::start().await;
    let body = json!([entitlement(&Person::number(1, hub.today()))]).to_string();
    let mut stream = hub.partner("city-oita").connect(&[b"http/1.1"]).await.unwrap();
    let head = format!(
        "POST {REGISTER} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The gateway says so when it begins to read the body: from here on the request is open.
    let mut go_on = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut go_on).await.unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&go_on));

    let TestGateway { folder, config, running, .. } = hub;
    let (store, edge) = (running.gateway.store.clone(), running.edge);
    let drain = tokio::spawn(running.drain());
    // The listener is gone: nobody new gets in.
    while tokio::net::TcpStream::connect(edge).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!drain.is_finished());
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The end may come without a TLS close: what matters is the answer.
    let _end = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert!(answer.contains("\"registered\""), "{answer}");
    drain.await.unwrap();
    assert_eq!(store.exchanges(10).await.unwrap().len(), 1);
    let key = tsunagi_gateway::gateway::open_signer(&config).unwrap().public_key();
    check_invariants(store.as_ref(), &key).await;
    drop(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_tell_health_and_nothing_about_people() {
    let hub = TestGateway::start().await;
    let person = Person::number(77, hub.today());
    hub.partner("city-oita").post(REGISTER, &json!([entitlement(&person)])).await.expect(202);
    let shot = immunization(&person, HOSPITAL_OITA, OITA, "V-77", hub.today());
    hub.partner("hospital-oita").post("/fhir/Immunization", &shot).await.expect(201);
    let path = format!("/fhir/Immunization?patient.identifier=urn:tsunagi:identifier:recipient|{}", person.joined());
    hub.partner("hospital-oita").get(&path).await.expect(200);
    hub.partner("hospital-oita").get(&format!("/{}/{}", person.my_number, person.recipient)).await.expect(404);

    assert_eq!(hub.operations("/healthz").await, (200, "ok\n".to_owned()));
    let (status, ready) = hub.operations("/readyz").await;
    assert_eq!(status, 200, "{ready}");
    assert_eq!(hub.operations("/people").await.0, 404);
    let (status, metrics) = hub.operations("/metrics").await;
    assert_eq!(status, 200);
    for name in ["tsunagi_requests_total", "tsunagi_rows_total", "tsunagi_handshakes_total", "tsunagi_request_seconds"]
    {
        assert!(metrics.contains(name), "{name} is not counted:\n{metrics}");
    }
    for secret in person.secrets() {
        assert!(!metrics.contains(secret) && !ready.contains(secret), "{secret}");
    }
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_whose_revocation_list_went_stale_is_not_ready() {
    let hub = TestGateway::start().await;
    assert_eq!(hub.operations("/readyz").await.0, 200);
    hub.clock.shift(31 * 86_400);
    let (status, body) = hub.operations("/readyz").await;
    assert_eq!(status, 503, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert!(body["ready"] == false && body["crl_seconds_left"].as_i64().unwrap() < 0, "{body}");
    assert_eq!(hub.operations("/healthz").await.0, 200);
    hub.finish().await;
}
