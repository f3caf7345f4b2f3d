//! 個人番号: taken from municipalities only, turned into a keyed pseudonym, and found nowhere afterwards.

use http::Method;
use serde_json::json;
use tsunagi_tests::papers::{MODERN_HEADER, OITA, Person, entitlement, modern_row, registered_vaccination};
use tsunagi_tests::{Setup, TestGateway, places_of};

const REGISTER: &str = "/pmh/v1/medicalSubsidy/registrationTasks";
const VACCINATIONS: &str = "/pmh/v1/vaccination/registrationTasks";
const MODERN: &str = "/v1/files/municipal_csv/subsidy_entitlement_modern";

#[tokio::test(flavor = "multi_thread")]
async fn the_individual_number_is_taken_from_municipalities_only() {
    let hub = Setup::new()
        .registered(
            r#"
            [[channel]]
            id = "hospital-oita-reports-pmh"
            participant = "hospital-oita"
            tenant = "oita"
            kind = "vaccination"
            mode = "submit"
            layout = "pmh_api/vaccination"
            purpose = "TREAT"
            from = "2026-01-01"
            "#,
        )
        .start()
        .await;
    let person = Person::number(1, hub.today());
    hub.partner("city-oita").post(REGISTER, &json!([entitlement(&person)])).await.expect(202);
    let mut row = registered_vaccination(&person, OITA, "V-1", hub.today());
    row.as_object_mut().unwrap().remove("municipalityIdentityKey");
    let task = hub.partner("hospital-oita").post(VACCINATIONS, &json!([row])).await.expect(202).json();
    assert_ne!(task["results"][0]["status"], "registered", "a hospital reached a person by 個人番号 (番号法20条)");
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_individual_number_is_in_no_answer_no_metric_no_log_and_no_file() {
    let hub = TestGateway::start().await;
    let (city, hospital, today) = (hub.partner("city-oita"), hub.partner("hospital-oita"), hub.today());
    let people: Vec<Person> = (10..14).map(|n| Person::number(n, today)).collect();
    let mut said = String::new();
    // Taken, refused, waiting and malformed alike.
    let mut wrong = entitlement(&people[1]);
    wrong["basicFiveInfo"]["sex"] = json!("9");
    let both = Person { my_number: people[0].my_number.clone(), ..people[2].clone() };
    let modern = format!("{MODERN_HEADER}\n{}\n{}", modern_row(&people[2], OITA), modern_row(&people[3], "99"));
    let replies = [
        city.post(REGISTER, &json!([entitlement(&people[0]), wrong])).await,
        city.send(Method::POST, MODERN, &[("content-type", "text/csv")], modern).await,
        city.post(VACCINATIONS, &json!([registered_vaccination(&both, OITA, "V-9", today)])).await,
        city.send(Method::POST, REGISTER, &[], format!("[{{\"myNumber\":\"{}\"", people[3].my_number)).await,
        hospital.get(&format!("/fhir/Immunization?patient.identifier=my_number|{}", people[0].my_number)).await,
        city.post(
            "/v1/requests",
            &json!({
                "purpose": "PUBHLTH", "legalBasis": "番号法19条", "tenants": ["hakodate"], "kinds": ["vaccination"],
                "subject": { "system": "my_number", "value": people[0].my_number },
            }),
        )
        .await,
    ];
    for reply in &replies {
        said.push_str(&reply.text());
        for path in
            [format!("/v1/exchanges/{}", reply.exchange()), format!("/v1/exchanges/{}/rejections", reply.exchange())]
        {
            said.push_str(&city.get(&path).await.text());
        }
    }
    said.push_str(&hub.operations("/metrics").await.1);
    for tenant in ["hub", "oita", "hakodate"] {
        said.push_str(&hub.log(tenant).await.text());
    }
    assert!(said.contains("refused") && said.contains("waiting"), "the rows were not what they should be: {said}");
    let numbers: Vec<&str> = people.iter().map(|person| person.my_number.as_str()).collect();
    for number in &numbers {
        assert!(!said.contains(number), "{number}");
    }
    let mut secrets = numbers;
    secrets.extend(people.iter().flat_map(Person::secrets));
    assert_eq!(places_of(hub.folder.path(), &secrets), [], "in the clear on disk while it runs");
    hub.finish().await;
}
