//! Systems of identifiers that go by several names.

use jiff::SignedDuration;
use jiff::civil::date;
use serde_json::json;
use tsunagi_tests::TestGateway;
use tsunagi_tests::papers::{HOSPITAL_OITA, PAYER, Person, consent_of};

use crate::doses::{FIRST, VACCINATIONS, known_dose, shot};

/// Every name of a system of identifiers, from the file that lists them, leads to the same person.
#[tokio::test(flavor = "multi_thread")]
async fn oids_and_urls_of_a_system_are_one_in_bodies_and_in_searches() {
    let hub = TestGateway::start().await;
    let (city, hospital) = (hub.partner("city-oita"), hub.partner("hospital-oita"));
    let person = Person::number(1, hub.today());
    let insured = "06130488:１２－３４:５６７８:01";
    let mut row = known_dose(&person, "hepatitis_b", 1, FIRST, None);
    row["insuredId"] = json!(insured);
    row["handbookNumber"] = json!(person.handbook);
    city.post(VACCINATIONS, &json!([row])).await.expect(202);
    let now = hub.clock.now();
    let consent = consent_of(&person.joined(), now, now + SignedDuration::from_mins(5));
    hospital.post("/fhir/Consent", &consent).await.expect(201);

    let file: toml::Value = toml::from_str(include_str!("../../mappings/identifiers.toml")).unwrap();
    let forms = file["oid_form"].as_array().unwrap();
    let names_of = |uri: &str| -> Vec<String> {
        let form = forms.iter().find(|form| form["url"].as_str() == Some(uri));
        let oids = form.into_iter().flat_map(|form| form["oids"].as_array().unwrap());
        std::iter::once(uri.to_owned()).chain(oids.map(|oid| oid.as_str().unwrap().to_owned())).collect()
    };
    let mut searched = 0;
    for system in file["system"].as_array().unwrap() {
        let value = match system["name"].as_str().unwrap() {
            "municipality_key" => person.resident.clone(),
            "recipient" => person.joined(),
            "insured" => insured.to_owned(),
            "maternal_handbook" => person.handbook.clone(),
            // 個人番号 has no URI, and a newborn's document is no vaccination.
            _ => continue,
        };
        let mut queries: Vec<String> = Vec::new();
        for uri in system["uris"].as_array().unwrap() {
            queries.extend(
                names_of(uri.as_str().unwrap()).iter().map(|name| format!("patient.identifier={name}|{value}")),
            );
        }
        if let [payer, recipient] = system.get("parts").and_then(|p| p.as_array()).map_or(&[][..], Vec::as_slice) {
            for payer in names_of(payer.as_str().unwrap()) {
                for recipient in names_of(recipient.as_str().unwrap()) {
                    let one = format!("patient.identifier={payer}|{PAYER}");
                    queries.push(format!("{one}&patient.identifier={recipient}|{}", person.recipient));
                }
            }
        }
        for query in &queries {
            let path = format!("/fhir/Immunization?{query}");
            let found = hospital.get(&path).await.expect(200).json();
            assert_eq!(found["total"], 1, "{path}");
            assert!(!found.to_string().contains("urn:oid:1.2.392.100495.20.3.7"), "URLs are written: {found}");
        }
        searched += queries.len();
    }
    assert_eq!(searched, 9);
    // One part alone names nobody, and neither do parts of two systems.
    let payer = "patient.identifier=urn:oid:1.2.392.100495.20.3.71";
    hospital.get(&format!("/fhir/Immunization?{payer}|{PAYER}")).await.expect(400);
    hospital.get(&format!("/fhir/Immunization?{payer}|{PAYER}&patient.identifier=urn:x|1")).await.expect(400);

    let by_url = shot(&person, HOSPITAL_OITA, "hepatitis_b", 2, date(2026, 4, 29)).to_string();
    let by_oid = ["PublicPayerNumber", "PublicInsuredPersonNumber"].into_iter().zip(["71", "72"]).fold(
        by_url.clone(),
        |text, (url, oid)| {
            let url = format!("http://jpfhir.jp/fhir/core/mhlw/IdSystem/{url}");
            assert!(text.contains(&url));
            text.replace(&url, &format!("urn:oid:1.2.392.100495.20.3.{oid}"))
        },
    );
    hospital.post("/fhir/Immunization", &serde_json::from_str(&by_oid).unwrap()).await.expect(201);
    let again = hospital.post("/fhir/Immunization", &serde_json::from_str(&by_url).unwrap()).await;
    assert_eq!(again.status, 200, "the very same record: {}", again.text());
    hub.finish().await;
}
