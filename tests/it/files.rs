//! Files: every row of a long one has its result, and every wrong one comes back.

use std::collections::BTreeMap;

use http::Method;
use tsunagi_tests::papers::cp932;
use tsunagi_tests::{Partner, Reply, Setup, TestGateway, bulk};

const LEGACY: &str = "/v1/files/municipal_csv/subsidy_entitlement_legacy";
const CSV: [(&str, &str); 1] = [("content-type", "text/csv; charset=Shift_JIS")];

fn file(rows: u64) -> Vec<u8> {
    let lines: Vec<String> = std::iter::once(bulk::header()).chain((1..=rows).map(bulk::line)).collect();
    cp932(&format!("{}\r\n", lines.join("\r\n")))
}

async fn send(city: &Partner, key: &str, body: Vec<u8>) -> Reply {
    city.send(Method::POST, LEGACY, &[CSV[0], ("idempotency-key", key)], body).await
}

/// Three transactions' worth of rows, one in a hundred of them wrong in one of ten ways.
#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_row_of_a_long_file_comes_back_with_its_number_and_reason() {
    let hub = TestGateway::start().await;
    let city = hub.partner("city-oita");
    let rows = 2_400;
    let wrong: BTreeMap<u64, &bulk::Wrong> = (1..=rows).filter_map(|row| Some((row, bulk::wrong(row)?))).collect();
    let receipt = send(&city, "all", file(rows)).await.expect(202).json();
    assert_eq!(receipt["rows"], rows, "{receipt}");
    assert_eq!((receipt["refused"].as_u64(), receipt["accepted"].as_u64()), (Some(24), Some(rows - 24)), "{receipt}");

    // The receipt, page by page: each row once, in order.
    let mut path = format!("/v1/exchanges/{}?limit=1000", receipt["exchange"].as_str().unwrap());
    let mut seen = 0;
    loop {
        let page = city.get(&path).await.expect(200);
        let view = page.json();
        for row in view["rows"].as_array().unwrap() {
            seen += 1;
            assert_eq!(row["row"], seen);
            let Some(wrong) = wrong.get(&seen) else {
                assert_eq!(row["state"], "accepted", "{row}");
                continue;
            };
            assert_eq!(row["state"], "refused", "{row}");
            let faults = row["faults"].as_array().unwrap();
            assert!(faults.iter().any(|f| f["column"] == wrong.column && f["code"] == wrong.code), "{seen}: {row}");
        }
        match page.headers.get("link") {
            None => break,
            Some(link) => {
                let link = link.to_str().unwrap();
                path = link.strip_prefix('<').and_then(|l| l.split_once('>')).unwrap().0.to_owned();
            }
        }
    }
    assert_eq!(seen, rows);

    // The file to repair, in the sender's own charset and column order.
    let back = city.get(receipt["rejections"].as_str().unwrap()).await.expect(200);
    let (text, _, malformed) = encoding_rs::SHIFT_JIS.decode(&back.body);
    assert!(!malformed);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("{},理由", bulk::header()));
    assert_eq!(lines.len(), 25);
    for (line, (row, wrong)) in lines[1..].iter().zip(&wrong) {
        assert!(line.contains(&format!("{row}行目")) && line.contains(wrong.code), "{line}");
    }
    // Sent again as it was, it is the same exchange.
    let again = send(&city, "all", file(rows)).await.expect(202).json();
    assert_eq!((&again["exchange"], &again["repeated"]), (&receipt["exchange"], &serde_json::json!(true)));
    // Repaired and sent, its rows join the others; sent twice, they are there already.
    let numbers: Vec<u64> = wrong.keys().copied().collect();
    let sound = |row: &u64| {
        let neighbour = bulk::line(row + 1);
        neighbour
            .replace(&format!("A{:09}", row + 1), &format!("A{row:09}"))
            .replace(&format!("T{:09}", row + 1), &format!("T{row:09}"))
    };
    let repaired: Vec<String> = std::iter::once(bulk::header()).chain(numbers.iter().map(sound)).collect();
    for expected in ["accepted", "unchanged"] {
        let receipt = send(&city, expected, cp932(&repaired.join("\r\n"))).await.expect(202).json();
        assert_eq!(receipt[expected], 24, "{receipt}");
    }
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_breaks_its_bounds_is_refused_and_leaves_nothing_it_should_not() {
    let hub = Setup::new().set("edge.max_file_rows", 1_000).set("edge.max_file_bytes", 300_000).start().await;
    let city = hub.partner("city-oita");
    send(&city, "rows", file(1_000)).await.expect(202);
    let more = send(&city, "more", file(1_001)).await;
    assert_eq!(more.expect(413).code(), "too_large");
    let large = send(&city, "large", file(3_000)).await;
    assert_eq!(large.expect(413).code(), "too_large");
    // Broken in its last byte: nothing of it is kept, however long what comes before.
    let mut broken = file(900);
    broken.push(0x81);
    let refused = send(&city, "broken", broken.clone()).await.expect(400);
    assert!(refused.text().contains(&(broken.len() - 1).to_string()), "{}", refused.text());
    let page = city.get(&format!("/v1/exchanges/{}", refused.exchange())).await;
    assert_eq!(page.status, 404);
    // What is no file of lines has an endpoint of its own.
    let tree =
        city.send(Method::POST, "/v1/files/pmh_api/subsidy_entitlement", &[("content-type", "application/json")], "[]");
    assert_eq!(tree.await.expect(415).code(), "kind_unsupported");
    let page = city.get("/v1/exchanges/ex-0?limit=0").await;
    assert_eq!(page.status, 404);
    hub.finish().await;
}

/// Somebody else's file, or none at all: what cannot be taken is not kept row by row without end.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_file_of_which_nothing_can_be_taken_the_rest_is_not_read() {
    let hub = TestGateway::start().await;
    let city = hub.partner("city-oita");
    let junk = |rows: usize| cp932(&format!("{}\r\n{}", bulk::header(), "x\r\n".repeat(rows)));
    let short = send(&city, "short", junk(1_000)).await.expect(202).json();
    assert_eq!((&short["rows"], &short["refused"]), (&1_000.into(), &1_000.into()), "{short}");
    let long = send(&city, "long", junk(20_000)).await.expect(400);
    assert_eq!(long.code(), "malformed");
    let leaves = hub.log("oita").await.of(long.exchange()).len() + hub.log("hub").await.of(long.exchange()).len();
    assert!((1_024..1_400).contains(&leaves), "{leaves} leaves");
    let page = city.get(&format!("/v1/exchanges/{}?limit=1000&after=1000", long.exchange())).await.expect(200).json();
    assert!(page["rows"].as_array().unwrap().len() < 300, "{page}");
    // One row in a thousand that can be taken is a file to repair.
    let mut mixed = file(1);
    mixed.extend_from_slice(&cp932(&"x\r\n".repeat(1_500)));
    assert_eq!(send(&city, "mixed", mixed).await.expect(202).json()["refused"], 1_500);
    hub.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_body_with_too_many_rows_none_is_kept() {
    let hub = Setup::new().set("edge.max_rows", 300).start().await;
    let city = hub.partner("city-oita");
    let many = serde_json::Value::Array(vec![serde_json::json!({}); 301]);
    let refused = city.post("/pmh/v1/medicalSubsidy/registrationTasks", &many).await.expect(413);
    assert_eq!(refused.code(), "too_large");
    assert_eq!(city.get(&format!("/v1/exchanges/{}", refused.exchange())).await.status, 404);
    let leaves: usize =
        [hub.log("oita").await, hub.log("hub").await].iter().map(|log| log.of(refused.exchange()).len()).sum();
    assert_eq!(leaves, 1);
    hub.finish().await;
}

/// A file without a header has a person in its first line: nothing of it is kept or repeated.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_a_header_is_refused_without_a_word_of_it() {
    let hub = TestGateway::start().await;
    let city = hub.partner("city-oita");
    let lines = format!("{}\r\n{}\r\n", bulk::line(1), bulk::line(2));
    let refused = send(&city, "bare", cp932(&lines)).await.expect(400);
    assert_eq!(refused.code(), "malformed");
    for cell in bulk::line(1).split(',').filter(|cell| cell.chars().count() > 3) {
        assert!(!refused.text().contains(cell), "{cell}: {}", refused.text());
    }
    assert_eq!(city.get(&format!("/v1/exchanges/{}", refused.exchange())).await.status, 404);
    hub.finish().await;
}

/// The number is not kept of a refused row. Sent again as it came back, the row is refused, not taken in without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_is_not_taken_in_without_its_individual_number() {
    let hub = TestGateway::start().await;
    let city = hub.partner("city-oita");
    let row = |number: &str, sex: &str| {
        let mut cells: Vec<String> = bulk::line(1).split(',').map(str::to_owned).collect();
        (cells[0], cells[8]) = (number.to_owned(), sex.to_owned());
        cp932(&format!("{}\r\n{}\r\n", bulk::header(), cells.join(",")))
    };
    for (key, number, sex) in [("sex", "123456789018", "3"), ("number", "1234567890", "1")] {
        let receipt = send(&city, key, row(number, sex)).await.expect(202).json();
        let back = city.get(receipt["rejections"].as_str().unwrap()).await.expect(200);
        let (text, _, _) = encoding_rs::SHIFT_JIS.decode(&back.body);
        assert!(!text.contains(number) && text.contains("要再入力"), "{text}");
        // The one fault of the row is repaired, and the number is forgotten.
        let repaired = text.replace(&format!(",{sex},大分県"), ",1,大分県");
        let again = send(&city, &format!("{key}-again"), cp932(&repaired)).await.expect(202).json();
        assert_eq!((&again["refused"], again.get("unknownColumns")), (&serde_json::json!(1), None), "{again}");
    }
    let whole = send(&city, "whole", row("123456789018", "1")).await.expect(202).json();
    assert_eq!(whole["accepted"], 1, "{whole}");
    hub.finish().await;
}
