//! Coverage: what live traffic could not map is counted by channel, and says nothing of anybody.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use tsunagi_core::coverage::CoverageLine;
use tsunagi_gateway::gateway::{Running, open_store};
use tsunagi_gateway::pipeline::coverage::write;
use tsunagi_store::Storage;
use tsunagi_tests::faulty::{Failing, FaultyStore, Write};
use tsunagi_tests::papers::{HOSPITAL_OITA, MODERN_HEADER, OITA, Person, entitlement, immunization, modern_row};
use tsunagi_tests::process::run;
use tsunagi_tests::{Setup, TestGateway};

const MODERN: &str = "/v1/files/municipal_csv/subsidy_entitlement_modern";
const MODERN_CHANNEL: &str = "city-oita-submit-oita-municipal-csv-subsidy-entitlement-modern";
const REGISTER: &str = "/pmh/v1/medicalSubsidy/registrationTasks";
const TAKES: &str = "city-oita-deliver-oita-municipal-csv-vaccination-legacy";
const HAKODATE: &str = "012025";

/// 𠮷, which CP932 has not.
const OUTSIDE: char = '\u{20BB7}';

/// Rows, kind, channel, place, what.
type Counted = (u64, &'static str, String, String, Option<String>);

fn counted(lines: &[CoverageLine]) -> Vec<Counted> {
    let each = lines.iter().map(|line| {
        let gap = &line.gap;
        (line.rows, gap.kind.as_str(), gap.channel.to_string(), gap.place.clone(), gap.what.clone())
    });
    each.collect()
}

fn gap(rows: u64, kind: &'static str, channel: &str, place: &str, what: Option<&str>) -> Counted {
    (rows, kind, channel.to_owned(), place.to_owned(), what.map(str::to_owned))
}

/// What the store has once the hub is drained.
async fn at_the_end(hub: TestGateway) -> Vec<Counted> {
    let store = hub.store();
    hub.finish().await;
    counted(&store.coverage(None).await.unwrap())
}

async fn send_file(hub: &TestGateway, text: String) -> Value {
    let headers = [("content-type", "text/csv; charset=utf-8")];
    hub.partner("city-oita").send(Method::POST, MODERN, &headers, text).await.expect(202).json()
}

/// A file of three people with a column of its own, filled for two, and a code of its own, used for two.
fn strange_file(hub: &TestGateway) -> String {
    let row = |n: usize, sex: &str, former: &str| {
        let row = modern_row(&Person::number(n, hub.today()), OITA);
        format!("{},{former}", row.replace(",2,0,442011,", &format!(",{sex},0,442011,")))
    };
    let rows = [row(0, "2", "旧姓甲"), row(1, "7", ""), row(2, "7", "旧姓乙")];
    format!("{MODERN_HEADER},旧姓\n{}\n", rows.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_columns_and_codes_of_a_file_are_counted_shown_and_kept_over_a_restart() {
    // The metrics belong to the process: a name of its own for this channel.
    let renamed = |registry: &mut tsunagi_core::registry::RegistryEntries| {
        let channel = registry.channel.iter_mut().find(|channel| channel.id.as_str() == MODERN_CHANNEL).unwrap();
        channel.id = "counted-here".parse().unwrap();
    };
    let hub = Setup::new().registry(renamed).start().await;
    let receipt = send_file(&hub, strange_file(&hub)).await;
    assert_eq!((&receipt["accepted"], &receipt["refused"]), (&json!(1), &json!(2)), "{receipt}");
    let (_, metrics) = hub.operations("/metrics").await;
    for line in [
        "tsunagi_unmapped_rows_total{kind=\"column\",channel=\"counted-here\"} 2",
        "tsunagi_unmapped_rows_total{kind=\"code\",channel=\"counted-here\"} 2",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    assert!(!metrics.contains("旧姓"), "{metrics}");

    let today = hub.today();
    let TestGateway { folder, config, clock, running, .. } = hub;
    running.drain().await;
    Running::start(config.clone(), clock).await.unwrap().drain().await;
    let expected = [gap(2, "code", "counted-here", "性別", Some("7")), gap(2, "column", "counted-here", "旧姓", None)];
    assert_eq!(counted(&open_store(&config).await.unwrap().coverage(None).await.unwrap()), expected);

    let command = |lang: &str, more: &[&str]| {
        let line = [&["--config", "tsunagi.toml", "mappings", "coverage"], more].concat();
        run(folder.path(), &[("LANG", lang)], &line).ended(0)
    };
    let shown = command("C", &[]).out();
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    let day = today.to_string();
    assert_eq!(lines[0], ["rows", "kind", "channel", "place", "what", "first", "last"]);
    assert_eq!(lines[1], ["2", "code", "counted-here", "性別", "7", &day, &day]);
    assert_eq!(lines[2], ["2", "column", "counted-here", "旧姓", &day, &day]);
    let data = command("C", &["--since", &day, "--json"]).json();
    let line = json!({
        "channel": "counted-here", "kind": "code", "place": "性別", "what": "7", "rows": 2, "first": day, "last": day,
    });
    assert_eq!((&data[0], data.as_array().unwrap().len()), (&line, 2));
    let later = today.tomorrow().unwrap().to_string();
    assert_eq!(command("C", &["--since", &later, "--json"]).json(), json!([]));
    let said = command("C", &["--since", &later]).out();
    assert!(said.contains(&format!("nothing went unmapped since {later}")) && said.contains("gateway"), "{said}");
    let said = command("ja_JP.UTF-8", &["--since", &later]).out();
    assert!(said.contains(&format!("{later}以降、対応漏れはありません")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_a_header_leaves_nobodys_name_anywhere() {
    let hub = TestGateway::start().await;
    // One cell is by chance what a column is called.
    let people = ["架空花子,210987654321,2020-01-02,大分県大分市", "架空太郎,323456789010,2021-03-04,大分県別府市"];
    let receipt = send_file(&hub, format!("{},氏名カナ\n{},カナ\n", people[0], people[1])).await;
    assert_eq!((&receipt["refused"], receipt.get("unknownColumns")), (&json!(1), None), "{receipt}");
    write(&hub.running.gateway).await;
    let shown = run(hub.folder.path(), &[("LANG", "C")], &["mappings", "coverage"]).ended(0).out();
    let data = run(hub.folder.path(), &[], &["mappings", "coverage", "--json"]).ended(0).out();
    let (_, metrics) = hub.operations("/metrics").await;
    let lines = at_the_end(hub).await;
    assert_eq!(lines, [gap(1, "column", MODERN_CHANNEL, "", None)]);
    let everything = format!("{shown}{data}{metrics}{lines:?}");
    for cell in people.iter().flat_map(|row| row.split(',')) {
        assert!(!everything.contains(cell), "{cell}: {everything}");
    }
    assert!(shown.contains("(not shown)") && shown.contains("could be a person's"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_in_a_resource_is_counted_on_the_channel_of_the_municipality_that_it_names() {
    let second = r#"
[[channel]]
id = "to-hakodate"
participant = "hospital-oita"
tenant = "hakodate"
kind = "vaccination"
mode = "submit"
layout = "fhir_r4/vaccination"
purpose = "TREAT"
from = "2026-01-01"
"#;
    let hub = Setup::new().registered(second).start().await;
    let (hospital, person) = (hub.partner("hospital-oita"), Person::number(1, hub.today()));
    // Nobody is 131016 here: whose gap it is cannot be told.
    for (number, municipality) in [("V-1", OITA), ("V-2", HAKODATE), ("V-3", HAKODATE), ("V-4", "131016")] {
        let mut shot = immunization(&person, HOSPITAL_OITA, municipality, number, hub.today());
        shot["vaccineCode"]["coding"][0]["code"] = json!("mr9");
        assert_eq!(hospital.post("/fhir/Immunization", &shot).await.expect(422).code(), "unmapped");
    }
    let place = "vaccineCode.coding[system=urn:tsunagi:code:vaccine_kind].code";
    let to_oita = "hospital-oita-submit-oita-fhir-r4-vaccination";
    let expected = [gap(2, "code", "to-hakodate", place, Some("mr9")), gap(1, "code", to_oita, place, Some("mr9"))];
    assert_eq!(at_the_end(hub).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_delivery_is_held_for_is_counted_once_on_the_channel_that_takes_it() {
    let only_left = "from,to,relationship,valid_from,valid_until\n1,left_upper_arm,equivalent,,\n";
    let setup = Setup::new().prepare(move |folder, _, setup| {
        let own = folder.join("own-tables");
        std::fs::create_dir_all(own.join("codes")).unwrap();
        std::fs::write(own.join("codes/legacy_body_site__body_site.csv"), only_left).unwrap();
        setup.put("tables.folder", own.display());
    });
    let hub = setup.start().await;
    let (city, hospital, today) = (hub.partner("city-oita"), hub.partner("hospital-oita"), hub.today());
    let mut people: Vec<Person> = (0..3).map(|n| Person::number(n, today)).collect();
    people[1].name = format!("試験{OUTSIDE}子");
    for (number, person) in people.iter().enumerate() {
        city.post(REGISTER, &json!([entitlement(person)])).await.expect(202);
        let mut shot = immunization(person, HOSPITAL_OITA, OITA, &format!("V-{number}"), today);
        if number == 2 {
            let coding = json!({ "system": "urn:tsunagi:code:body_site", "code": "right_upper_arm" });
            shot["site"] = json!({ "coding": [coding] });
        }
        hospital.post("/fhir/Immunization", &shot).await.expect(201);
    }
    let pulled = city.get("/v1/mailbox").await.expect(200);
    assert_eq!(pulled.header("tsunagi-batch-rows"), "1", "the other two are held");
    assert_eq!(city.get("/v1/mailbox").await.status, 204);
    let expected = [
        gap(1, "character", TAKES, "漢字氏名", Some("U+20BB7")),
        gap(1, "code", TAKES, "接種部位", Some("right_upper_arm")),
    ];
    assert_eq!(at_the_end(hub).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_that_cannot_be_written_are_kept_and_no_request_minds() {
    for how in Failing::PAIR {
        let mut hub = TestGateway::start().await;
        let (store, _failures) = FaultyStore::before(hub.store());
        let on: Arc<dyn Storage> = store.clone();
        let running = Running::start_on(hub.config.clone(), hub.clock.clone(), on).await.unwrap();
        std::mem::replace(&mut hub.running, running).drain().await;
        store.fail(Write::AddCoverage, how);
        let headers = [("content-type", "text/csv; charset=utf-8"), ("idempotency-key", "once")];
        let city = hub.partner("city-oita");
        for _ in 0..2 {
            // The second is the same exchange again, and counts nothing.
            city.send(Method::POST, MODERN, &headers, strange_file(&hub)).await.expect(202);
        }
        write(&hub.running.gateway).await;
        let lines = at_the_end(hub).await;
        assert!(store.has_failed_all(), "the write that was to fail was never made");
        // Where only the answer was lost they count twice: they are there to rank by, not to prove with.
        let rows = if how == Failing::After { 4 } else { 2 };
        let (code, column) = (gap(rows, "code", MODERN_CHANNEL, "性別", Some("7")), "旧姓");
        assert_eq!(lines, [code, gap(rows, "column", MODERN_CHANNEL, column, None)], "{how:?}");
    }
}
