//! Submit: what is taken in, what is refused and how that is said, what waits, and what is a new version.

use http::Method;
use serde_json::{Value, json};
use tsunagi_core::audit::Action;
use tsunagi_tests::papers::{
    HOSPITAL_OITA, MODERN_HEADER, OITA, Person, cp932, entitlement, immunization, infant_checkup, maternal_csv,
    modern_row, registered_vaccination,
};
use tsunagi_tests::{Partner, Reply, Setup, TestGateway};

const REGISTER: &str = "/pmh/v1/medicalSubsidy/registrationTasks";
const VACCINATIONS: &str = "/pmh/v1/vaccination/registrationTasks";
const MODERN: &str = "/v1/files/municipal_csv/subsidy_entitlement_modern";

async fn file(city: &Partner, path: &str, charset: &str, body: Vec<u8>) -> Reply {
    let media_type = format!("text/csv; charset={charset}");
    city.send(Method::POST, path, &[("content-type", &media_type)], body).await
}

/// Who the hub says sits in each row of one of the sender's own exchanges.
async fn states(partner: &Partner, exchange: &str) -> Vec<String> {
    let receipt = partner.get(&format!("/v1/exchanges/{exchange}")).await.expect(200).json();
    let rows = receipt["rows"].as_array().unwrap().iter();
    rows.map(|row| row["state"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_formats_come_to_rest_and_reach_the_municipality_in_its_own() {
    let hub = TestGateway::start().await;
    let (city, hospital, today) = (hub.partner("city-oita"), hub.partner("hospital-oita"), hub.today());
    let people: Vec<Person> = (0..3).map(|n| Person::number(n, today)).collect();
    let task = city.post(REGISTER, &json!([entitlement(&people[0])])).await.expect(202);
    assert_eq!(task.header("location"), format!("{REGISTER}/{}", task.exchange()));
    assert_eq!(city.get(task.header("location")).await.expect(200).json(), task.json());
    let modern = format!("{MODERN_HEADER}\n{}\n", modern_row(&people[1], OITA));
    let receipt = file(&city, MODERN, "utf-8", modern.into_bytes()).await.expect(202).json();
    assert_eq!((&receipt["accepted"], &receipt["rows"]), (&json!(1), &json!(1)), "{receipt}");
    let maternal = cp932(&maternal_csv(&people[2], "M-1"));
    let receipt =
        file(&city, "/v1/files/municipal_csv/checkup_maternal_legacy", "Shift_JIS", maternal).await.expect(202);
    assert_eq!(receipt.json()["accepted"], 1, "{}", receipt.text());

    let shot = hospital.post("/fhir/Immunization", &immunization(&people[0], HOSPITAL_OITA, OITA, "V-1", today)).await;
    let checkup = hospital.post("/fhir/Bundle", &infant_checkup(&people[1], HOSPITAL_OITA, "I-1", today)).await;
    for reply in [shot.expect(201), checkup.expect(201)] {
        assert!(reply.header("location").starts_with("/fhir/"), "{}", reply.header("location"));
        assert_eq!(states(&hospital, reply.exchange()).await, ["accepted"]);
        assert_eq!(hub.log("oita").await.acts(reply.exchange(), Action::RecordAccepted).len(), 1);
    }
    let mut taken = String::new();
    for _ in 0..2 {
        let pulled = city.get("/v1/mailbox").await.expect(200);
        taken.push_str(&encoding_rs::SHIFT_JIS.decode(&pulled.body).0);
        city.post("/v1/mailbox/ack", &json!({ "batch": pulled.header("tsunagi-batch") })).await.expect(200);
    }
    for said in ["接種年月日", "V-1", &people[0].name, "健診受診日", "I-1", &people[1].name] {
        assert!(taken.contains(said), "{said}: {taken}");
    }
    assert_eq!(city.get("/v1/mailbox").await.status, 204);
    hub.finish().await;
}

/// Rows of which the second, third and fifth are wrong, each in its own way.
fn mixed(hub: &TestGateway) -> Vec<Value> {
    let mut rows: Vec<Value> = (0..6).map(|n| entitlement(&Person::number(n, hub.today()))).collect();
    rows[1]["basicFiveInfo"]["sex"] = json!("7");
    rows[2].as_object_mut().unwrap().remove("validTo");
    rows[4]["myNumber"] = json!("12345678901");
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_row_is_refused_with_its_place_and_reason_in_both_languages_and_nothing_else_is_lost() {
    let hub = TestGateway::start().await;
    let task = hub.partner("city-oita").post(REGISTER, &json!(mixed(&hub))).await.expect(202);
    let in_ja = task.json();
    let in_en = hub.partner("city-oita").speaking("en").get(task.header("location")).await.expect(200).json();
    let expected =
        [(2, "/basicFiveInfo/sex", "unmapped"), (3, "/validTo", "incomplete"), (5, "/myNumber", "invalid_identifier")];
    for (row, column, code) in expected {
        let (ja, en) = (&in_ja["results"][row - 1], &in_en["results"][row - 1]);
        assert_eq!((&ja["row"], &ja["status"]), (&json!(row), &json!("refused")));
        let (ja, en) = (&ja["errors"][0], &en["errors"][0]);
        assert_eq!((&ja["column"], &ja["code"]), (&json!(column), &json!(code)), "{ja}");
        let (ja, en) = (ja["message"].as_str().unwrap(), en["message"].as_str().unwrap());
        assert!(!ja.is_ascii() && en.is_ascii(), "{ja} / {en}");
        assert!(!ja.contains("12345678901"), "{ja}");
    }
    let registered = in_ja["results"].as_array().unwrap().iter().filter(|r| r["status"] == "registered").count();
    assert_eq!(registered, 3);
    let log = hub.log("oita").await;
    assert_eq!(log.acts(task.exchange(), Action::RecordAccepted).len(), 3);
    let refused: Vec<_> =
        log.acts(task.exchange(), Action::RecordRefused).iter().map(|e| (e.row, e.reason.clone())).collect();
    let expected = expected.map(|(row, _, code)| (Some(u64::try_from(row).unwrap()), Some(code.to_owned())));
    assert_eq!(refused, expected);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_rows_come_back_as_a_file_to_repair_and_send_again() {
    let hub = TestGateway::start().await;
    let city = hub.partner("city-oita");
    let people: Vec<Person> = (0..3).map(|n| Person::number(n, hub.today())).collect();
    let mut rows: Vec<String> = people.iter().map(|person| modern_row(person, OITA)).collect();
    rows[1] = rows[1].replace(",2,0,442011,", ",不明,0,442011,");
    let text = format!("{MODERN_HEADER}\n{}\n", rows.join("\n"));
    let receipt = file(&city, MODERN, "utf-8", text.into_bytes()).await.expect(202).json();
    assert_eq!((&receipt["accepted"], &receipt["refused"]), (&json!(2), &json!(1)), "{receipt}");
    let path = receipt["rejections"].as_str().unwrap();
    let back = city.get(path).await.expect(200);
    assert!(back.header("content-disposition").contains("rejections.csv"));
    let text = back.text();
    assert!(text.contains("理由") && text.contains("[unmapped]") && text.contains("2行目 性別"), "{text}");
    assert!(text.contains(&people[1].name) && !text.contains(&people[0].name), "{text}");
    assert!(!text.contains(&people[1].my_number), "個人番号 is not given back: {text}");
    let in_en = hub.partner("city-oita").speaking("en").get(path).await.expect(200).text();
    assert!(in_en.contains("reason") && in_en.contains("row 2"), "{in_en}");
    // Only the sender may have it.
    hub.partner("city-hakodate").get(path).await.expect(404);
    hub.partner("hospital-oita").get(&path.replace("/rejections", "")).await.expect(404);

    let repaired = text.replace("不明", "2").replace("要再入力", &people[1].my_number);
    let repaired = file(&city, MODERN, "utf-8", repaired.into_bytes()).await.expect(202).json();
    assert_eq!((&repaired["accepted"], &repaired["refused"]), (&json!(1), &json!(0)), "{repaired}");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_nobody_known_waits_and_is_taken_up_when_the_municipality_registers_the_person() {
    let hub = TestGateway::start().await;
    let (city, hospital, today) = (hub.partner("city-oita"), hub.partner("hospital-oita"), hub.today());
    let person = Person::number(1, today);
    let shot = immunization(&person, HOSPITAL_OITA, OITA, "V-1", today);
    let waiting = hospital.post("/fhir/Immunization", &shot).await.expect(202);
    let issues = waiting.json()["issue"].as_array().unwrap().clone();
    assert!(issues.iter().any(|issue| issue["details"]["coding"][0]["code"] == "subject_unknown"), "{issues:?}");
    assert_eq!(waiting.header("location"), "");
    assert_eq!(states(&hospital, waiting.exchange()).await, ["waiting"]);
    assert_eq!(city.get("/v1/mailbox").await.status, 204, "nothing is delivered of a record that waits");

    city.post(REGISTER, &json!([entitlement(&Person::number(2, today))])).await.expect(202);
    assert_eq!(states(&hospital, waiting.exchange()).await, ["waiting"], "another person does not take it up");
    city.post(REGISTER, &json!([entitlement(&person)])).await.expect(202);
    assert_eq!(states(&hospital, waiting.exchange()).await, ["accepted"]);
    let pulled = city.get("/v1/mailbox").await.expect(200);
    assert!(encoding_rs::SHIFT_JIS.decode(&pulled.body).0.contains("V-1"));
    let log = hub.log("oita").await;
    assert_eq!(log.acts(waiting.exchange(), Action::RecordWaiting).len(), 1);
    assert_eq!(log.acts(waiting.exchange(), Action::RecordAccepted).len(), 1);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_names_two_people_waits_and_merges_nobody() {
    let hub = TestGateway::start().await;
    let (city, today) = (hub.partner("city-oita"), hub.today());
    let (one, other) = (Person::number(1, today), Person::number(2, today));
    let modern = format!("{MODERN_HEADER}\n{}\n{}\n", modern_row(&one, OITA), modern_row(&other, OITA));
    file(&city, MODERN, "utf-8", modern.into_bytes()).await.expect(202);
    let both = Person { my_number: one.my_number.clone(), ..other.clone() };
    let task = city.post(VACCINATIONS, &json!([registered_vaccination(&both, OITA, "V-1", today)])).await.expect(202);
    let row = &task.json()["results"][0];
    assert_eq!((&row["status"], &row["errors"][0]["code"]), (&json!("waiting"), &json!("subject_ambiguous")), "{row}");
    let log = hub.log("oita").await;
    assert_eq!(log.acts(task.exchange(), Action::RecordWaiting).len(), 1);
    // Each of the two goes on by itself.
    for (person, number) in [(&one, "V-2"), (&other, "V-3")] {
        let task =
            city.post(VACCINATIONS, &json!([registered_vaccination(person, OITA, number, today)])).await.expect(202);
        assert_eq!(task.json()["results"][0]["status"], "registered");
    }
    let log = hub.log("oita").await;
    let subjects: std::collections::BTreeSet<_> =
        log.events.iter().filter(|e| e.action == Action::RecordAccepted).filter_map(|e| e.subject.clone()).collect();
    assert_eq!(subjects.len(), 2);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_check_digit_is_a_warning_unless_the_channel_makes_it_an_error() {
    let hub = Setup::new()
        .registry(|registry| {
            for channel in registry.channel.iter_mut().filter(|c| c.participant.as_str() == "city-hakodate") {
                channel.check_digits_are_errors = true;
            }
        })
        .start()
        .await;
    let mut row = entitlement(&Person::number(1, hub.today()));
    row["medicalSubsidyInsurerNumber"] = json!("81440019");
    let lenient = hub.partner("city-oita").post(REGISTER, &json!([row])).await.expect(202).json();
    let strict = hub.partner("city-hakodate").post(REGISTER, &json!([row])).await.expect(202).json();
    let (lenient, strict) = (&lenient["results"][0], &strict["results"][0]);
    assert_eq!((&lenient["status"], &lenient["warnings"][0]["code"]), (&json!("registered"), &json!("check_digit")));
    assert_eq!(lenient["warnings"][0]["column"], "/medicalSubsidyInsurerNumber");
    assert_eq!((&strict["status"], &strict["errors"][0]["code"]), (&json!("refused"), &json!("check_digit")));
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_business_key_is_a_new_version_and_the_same_content_is_unchanged() {
    let hub = TestGateway::start().await;
    let (city, hospital, today) = (hub.partner("city-oita"), hub.partner("hospital-oita"), hub.today());
    let person = Person::number(1, today);
    city.post(REGISTER, &json!([entitlement(&person)])).await.expect(202);
    let first = immunization(&person, HOSPITAL_OITA, OITA, "V-1", today);
    let mut changed = first.clone();
    changed["lotNumber"] = json!("TEST-2");
    let mut places = Vec::new();
    for (body, status, state, version) in [
        (&first, 201, "accepted", 1),
        (&first, 200, "unchanged", 1),
        (&changed, 201, "accepted", 2),
        (&first, 201, "accepted", 3),
    ] {
        let reply = hospital.post("/fhir/Immunization", body).await.expect(status);
        places.push(reply.header("location").to_owned());
        let receipt = hospital.get(&format!("/v1/exchanges/{}", reply.exchange())).await.expect(200).json();
        assert_eq!((&receipt["rows"][0]["state"], &receipt["rows"][0]["version"]), (&json!(state), &json!(version)));
    }
    assert!(places.iter().all(|place| *place == places[0]), "{places:?}");
    let pulled = city.get("/v1/mailbox").await.expect(200);
    assert_eq!(pulled.header("tsunagi-batch-rows"), "3", "each version is delivered, the unchanged one is not");
    hub.finish().await;
}

/// 5 L read as 5 mL would be wrong, and a height in m that is looked for in cm would be lost: both are refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_in_another_unit_is_refused() {
    let hub = TestGateway::start().await;
    let (hospital, today) = (hub.partner("hospital-oita"), hub.today());
    let person = Person::number(0, today);
    hub.partner("city-oita").post(REGISTER, &json!([entitlement(&person)])).await.expect(202);
    let mut shot = immunization(&person, HOSPITAL_OITA, OITA, "V-1", today);
    shot["doseQuantity"] = json!({ "value": 5, "system": "http://unitsofmeasure.org", "code": "L" });
    let refused = hospital.post("/fhir/Immunization", &shot).await.expect(422);
    assert!(refused.text().contains("invalid_value") && refused.text().contains("mL"), "{}", refused.text());
    shot["doseQuantity"]["code"] = json!("mL");
    hospital.post("/fhir/Immunization", &shot).await.expect(201);

    let checkup = infant_checkup(&person, HOSPITAL_OITA, "I-1", today);
    let text = checkup.to_string();
    let centimetres = "\"code\":\"cm\"";
    assert!(text.contains(centimetres), "{text}");
    let metres: Value = serde_json::from_str(&text.replace(centimetres, "\"code\":\"m\"")).unwrap();
    let refused = hospital.post("/fhir/Bundle", &metres).await.expect(422);
    assert!(refused.text().contains("invalid_value") && refused.text().contains("cm"), "{}", refused.text());
    hospital.post("/fhir/Bundle", &checkup).await.expect(201);
    hub.finish().await;
}

/// The hub's own limit is the limit: nothing in between cuts a body off at a smaller one.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_three_megabytes_is_taken() {
    let hub = TestGateway::start().await;
    let city = hub.partner("city-oita");
    let mut row = entitlement(&Person::number(0, hub.today()));
    row["unknownMember"] = json!("x".repeat(3 * 1024 * 1024));
    let task = city.post(REGISTER, &json!([row])).await.expect(202).json();
    assert_eq!(task["results"][0]["status"], "registered", "{}", task["results"]);
    hub.finish().await;
}
