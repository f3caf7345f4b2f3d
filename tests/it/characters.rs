//! Characters that not everybody has, towards each edge: mapped, shrunk and flagged, or held; never `?`, never `&#…;`.

use http::Method;
use serde_json::json;
use tsunagi_core::audit::Action;
use tsunagi_tests::papers::{HOSPITAL_OITA, OITA, Person, RECIPIENT_SYSTEM, consent_of, entitlement, immunization};
use tsunagi_tests::{Partner, Setup, TestGateway};

use crate::doses::REGISTER;

/// 〜／−, 髙﨑①, 𠮷, 辻 with a variation selector, and a character of the private use planes.
const NAMES: [&str; 5] = ["波〜−線", "髙﨑①", "𠮷岡", "辻\u{e0100}", "名\u{10de92}"];

/// A hub whose city takes vaccinations in a charset, with or without a table of what to write instead.
async fn town(lines: &'static str) -> TestGateway {
    let setup = Setup::new().prepare(move |folder, _, setup| {
        let tables = folder.join("own-tables");
        std::fs::create_dir_all(tables.join("tables/municipal_csv")).unwrap();
        let own = include_str!("../../mappings/tables/municipal_csv/vaccination_modern.toml");
        let charset = own.lines().find(|line| line.starts_with("charset")).unwrap();
        let path = tables.join("tables/municipal_csv/vaccination_modern.toml");
        std::fs::write(path, own.replace(charset, lines)).unwrap();
        setup.put("tables.folder", tables.display());
    });
    let setup = setup.registry(|registry| {
        for channel in &mut registry.channel {
            if channel.id.as_str() == "city-oita-deliver-oita-municipal-csv-vaccination-legacy" {
                channel.layout = "municipal_csv/vaccination_modern".parse().unwrap();
            }
        }
    });
    setup.start().await
}

/// Each name as the city reads it, with whether it was flagged; `None` where the delivery is held.
async fn delivered(lines: &'static str, charset: &'static encoding_rs::Encoding) -> Vec<Option<(String, bool)>> {
    let hub = town(lines).await;
    let (city, hospital) = (hub.partner("city-oita"), hub.partner("hospital-oita"));
    let mut found = Vec::new();
    for (n, name) in NAMES.into_iter().enumerate() {
        let person = Person { name: name.to_owned(), ..Person::number(n, hub.today()) };
        city.post(REGISTER, &json!([entitlement(&person)])).await.expect(202);
        let shot = immunization(&person, HOSPITAL_OITA, OITA, &format!("V-{n}"), hub.today());
        let shot = hospital.post("/fhir/Immunization", &shot).await.expect(201);
        let pulled = city.get("/v1/mailbox").await;
        if pulled.status == 204 {
            assert_eq!(state(&hospital, shot.exchange()).await, "held", "{name}");
            found.push(None);
            continue;
        }
        let (text, _, broken) = charset.decode(&pulled.body);
        assert!(!broken && !text.contains(['?', '\u{fffd}']) && !text.contains("&#"), "{text}");
        let header = text.lines().next().unwrap();
        let at = header.trim_start_matches('\u{feff}').split(',').position(|column| column == "氏名").unwrap();
        let written = text.lines().nth(1).unwrap().split(',').nth(at).unwrap().to_owned();
        let is_flagged = pulled.header("tsunagi-shrunk") == "1";
        let log = hub.log("oita").await;
        let acts = log.acts(shot.exchange(), Action::DeliveryDisclosed);
        let reasons: Vec<_> = acts.iter().filter_map(|event| event.reason.clone()).collect();
        assert_eq!(reasons.iter().any(|reason| reason == "shrunk:氏名"), is_flagged, "{name}: {reasons:?}");
        city.post("/v1/mailbox/ack", &json!({ "batch": pulled.header("tsunagi-batch") })).await.expect(200);
        found.push(Some((written, is_flagged)));
    }
    hub.finish().await;
    found
}

async fn state(hospital: &Partner, exchange: &str) -> String {
    let receipt = hospital.get(&format!("/v1/exchanges/{exchange}")).await.expect(200).json();
    receipt["deliveries"][0]["state"].as_str().unwrap().to_owned()
}

fn plain(text: &str) -> Option<(String, bool)> {
    Some((text.to_owned(), false))
}

fn shrunk(text: &str) -> Option<(String, bool)> {
    Some((text.to_owned(), true))
}

#[tokio::test(flavor = "multi_thread")]
async fn towards_a_file_a_character_is_mapped_shrunk_and_flagged_or_held() {
    let waves = plain("波～－線");
    let cp932 = delivered("charset = \"cp932\"", encoding_rs::SHIFT_JIS).await;
    assert_eq!(cp932, [waves.clone(), plain("髙﨑①"), None, None, None]);
    let cp932 = delivered("charset = \"cp932\"\nshrink = \"cp932\"", encoding_rs::SHIFT_JIS).await;
    assert_eq!(cp932, [waves.clone(), plain("髙﨑①"), shrunk("吉岡"), shrunk("辻"), None]);
    let jis = delivered("charset = \"iso-2022-jp\"", encoding_rs::ISO_2022_JP).await;
    assert_eq!(jis, [waves.clone(), None, None, None, None]);
    let jis = delivered("charset = \"iso-2022-jp\"\nshrink = \"jis_x_0208\"", encoding_rs::ISO_2022_JP).await;
    assert_eq!(jis, [waves, shrunk("高崎1"), shrunk("吉岡"), shrunk("辻"), None]);
    let utf8 = delivered("charset = \"utf-8-bom\"", encoding_rs::UTF_8).await;
    assert_eq!(utf8, NAMES.map(plain));
}

/// UTF-8 edges have every character: what was sent is what is read.
#[tokio::test(flavor = "multi_thread")]
async fn towards_fhir_and_apps_every_character_goes_as_it_came() {
    let hub = TestGateway::start().await;
    let (city, hospital) = (hub.partner("city-oita"), hub.partner("hospital-oita"));
    let now = hub.clock.now();
    for (n, name) in NAMES.into_iter().enumerate() {
        let person = Person { name: name.to_owned(), ..Person::number(n, hub.today()) };
        city.post(REGISTER, &json!([entitlement(&person)])).await.expect(202);
        let shot = immunization(&person, HOSPITAL_OITA, OITA, &format!("V-{n}"), hub.today());
        hospital.post("/fhir/Immunization", &shot).await.expect(201);
        let consent = consent_of(&person.joined(), now, now + jiff::SignedDuration::from_mins(5));
        hospital.post("/fhir/Consent", &consent).await.expect(201);
        let path = format!("/fhir/Immunization?patient.identifier={RECIPIENT_SYSTEM}|{}", person.joined());
        let found = hospital.send(Method::GET, &path, &[], "").await.expect(200).text();
        assert!(found.contains(name), "{name}: {found}");
    }
    hub.finish().await;
}
