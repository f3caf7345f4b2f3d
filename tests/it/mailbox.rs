//! The mailbox: at least once, in order for each subject, and nobody else's.

use serde_json::{Value, json};
use tsunagi_core::audit::Action;
use tsunagi_tests::papers::{HOSPITAL_OITA, OITA, Person, entitlement, immunization};
use tsunagi_tests::{Partner, Reply, TestGateway};

/// The lease of a batch, as `config/default.toml` says.
const LEASE_SECS: i64 = 60;

/// A hub on which a hospital has reported doses `numbers` of one child.
async fn with_doses(numbers: &[&str]) -> (TestGateway, Partner, Partner) {
    let hub = TestGateway::start().await;
    let (city, hospital) = (hub.partner("city-oita"), hub.partner("hospital-oita"));
    let person = Person::number(1, hub.today());
    city.post("/pmh/v1/medicalSubsidy/registrationTasks", &json!([entitlement(&person)])).await.expect(202);
    for number in numbers {
        let shot = immunization(&person, HOSPITAL_OITA, OITA, number, hub.today());
        hospital.post("/fhir/Immunization", &shot).await.expect(201);
    }
    (hub, city, hospital)
}

/// The document numbers of a batch, row by row.
fn numbers(reply: &Reply) -> Vec<String> {
    let text = encoding_rs::SHIFT_JIS.decode(&reply.body).0.into_owned();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let at = header.iter().position(|name| name == "整理番号").unwrap();
    lines.map(|cells| cells[at].clone()).collect()
}

async fn acknowledge(city: &Partner, batch: &str, rejected: Value) -> Value {
    let body = json!({ "batch": batch, "rejected": rejected });
    city.post("/v1/mailbox/ack", &body).await.expect(200).json()["settled"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_in_order_and_an_acknowledged_batch_is_over() {
    let (hub, city, hospital) = with_doses(&["V-1", "V-2", "V-3"]).await;
    let first = city.get("/v1/mailbox?limit=2").await.expect(200);
    assert_eq!(numbers(&first), ["V-1", "V-2"]);
    assert_eq!(city.get("/v1/mailbox").await.status, 204, "the third waits behind the two that are out");
    let batch = first.header("tsunagi-batch").to_owned();
    assert_eq!(acknowledge(&city, &batch, json!([])).await, 2);
    assert_eq!(acknowledge(&city, &batch, json!([])).await, 0, "said twice, it ends nothing the second time");
    let second = city.get("/v1/mailbox").await.expect(200);
    assert_eq!(numbers(&second), ["V-3"]);
    acknowledge(&city, second.header("tsunagi-batch"), json!([])).await;
    assert_eq!(city.get("/v1/mailbox").await.status, 204);
    // The hospital sees that each arrived.
    let log = hub.log("oita").await;
    let accepted: Vec<_> = log.events.iter().filter(|e| e.action == Action::RecordAccepted).collect();
    let exchange = accepted.last().unwrap().exchange.as_ref().unwrap();
    let receipt = hospital.get(&format!("/v1/exchanges/{exchange}")).await.expect(200).json();
    assert_eq!(receipt["deliveries"][0]["state"], "delivered");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_acknowledged_comes_again_once_the_lease_is_over() {
    let (hub, city, _) = with_doses(&["V-1", "V-2"]).await;
    let first = city.get("/v1/mailbox").await.expect(200);
    hub.clock.shift(LEASE_SECS - 2);
    assert_eq!(city.get("/v1/mailbox").await.status, 204, "the lease holds");
    hub.clock.shift(3);
    let again = city.get("/v1/mailbox").await.expect(200);
    assert_eq!((numbers(&again), &again.body), (numbers(&first), &first.body));
    assert_ne!(again.header("tsunagi-batch"), first.header("tsunagi-batch"));
    assert_eq!(acknowledge(&city, first.header("tsunagi-batch"), json!([])).await, 0, "that lease is over");
    assert_eq!(acknowledge(&city, again.header("tsunagi-batch"), json!([])).await, 2);
    let disclosed = hub.log("oita").await.events.iter().filter(|e| e.action == Action::DeliveryDisclosed).count();
    assert_eq!(disclosed, 4, "each time it left is in the log");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_taken_is_rejected_with_its_code_and_the_rest_is_delivered() {
    let (hub, city, _) = with_doses(&["V-1", "V-2", "V-3"]).await;
    let batch = city.get("/v1/mailbox").await.expect(200);
    let id = batch.header("tsunagi-batch");
    let bad = json!({ "batch": id, "rejected": [{ "row": 2, "code": "Taro Yamada" }] });
    assert_eq!(city.post("/v1/mailbox/ack", &bad).await.expect(400).code(), "malformed");
    assert_eq!(acknowledge(&city, id, json!([{ "row": 2, "code": "duplicate" }])).await, 3);
    let filter = tsunagi_store::DeliveryFilter { state: None, limit: 10 };
    let mut deliveries = hub.store().deliveries(&"oita".parse().unwrap(), &filter).await.unwrap();
    deliveries.reverse();
    let states: Vec<_> =
        deliveries.iter().map(|one| (one.state.as_str(), one.last_outcome.clone().unwrap_or_default())).collect();
    assert_eq!(
        states,
        [("delivered", "acknowledged".into()), ("rejected", "duplicate".into()), ("delivered", "acknowledged".into())]
    );
    assert_eq!(city.get("/v1/mailbox").await.status, 204);
    let log = hub.log("oita").await;
    let reasons: Vec<_> =
        log.events.iter().filter(|e| e.action == Action::DeliverySettled).map(|e| e.reason.clone()).collect();
    assert_eq!(reasons, [None, Some("rejected:duplicate".to_owned()), None]);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accept_picks_the_layout_and_nobody_opens_anothers_mailbox() {
    let (hub, city, _) = with_doses(&["V-1"]).await;
    let theirs = hub.partner("city-hakodate").get("/v1/mailbox").await;
    assert_eq!(theirs.status, 204);
    for who in ["hospital-oita", "app-techo"] {
        assert_eq!(hub.partner(who).get("/v1/mailbox").await.expect(403).code(), "not_permitted");
    }
    let headers = [("accept", "application/json")];
    let pulled = city.send(http::Method::GET, "/v1/mailbox", &headers, "").await.expect(200);
    assert_eq!(pulled.header("tsunagi-layout"), "pmh_api/vaccination");
    assert_eq!(pulled.json()[0]["documentNumber"], "V-1");
    let batch = pulled.header("tsunagi-batch");
    let foreign = hub.partner("city-hakodate").post("/v1/mailbox/ack", &json!({ "batch": batch })).await.expect(200);
    assert_eq!(foreign.json()["settled"], 0);
    assert_eq!(acknowledge(&city, batch, json!([])).await, 1);
    for limit in ["0", "1001", "many"] {
        city.get(&format!("/v1/mailbox?limit={limit}")).await.expect(400);
    }
    hub.finish().await;
}
