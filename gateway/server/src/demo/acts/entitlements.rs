//! Acts 1 and 2: a municipality registers a thousand entitlements; a hospital asks about some of them.

use http::StatusCode;
use serde_json::Value;

use super::{Scene, cp932};
use crate::commands::at;
use crate::demo::papers::{self, BY_PMH, ENTITLEMENTS};
use crate::demo::stage::{Flop, Outgoing, Stage};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const CSV: (&str, &str) = ("Content-Type", "text/csv; charset=Shift_JIS");
const FHIR: (&str, &str) = ("Content-Type", "application/fhir+json");
const FILES: &str = "/v1/files/municipal_csv/subsidy_entitlement_legacy";

/// Act 1.
pub(super) async fn register(stage: &mut Stage, scene: &Scene<'_>) -> Result<(), Flop> {
    stage.act(
        "大分市が医療費助成の受給資格を1,000件登録する（PMH JSONとCP932のCSV）",
        "Oita registers 1,000 subsidy entitlements (PMH JSON and a CP932 CSV)",
    );
    let body = papers::entitlements_json(scene.today);
    let headers = [JSON, ("Idempotency-Key", "entitlements-pmh-1")];
    let path = "/pmh/v1/medicalSubsidy/registrationTasks";
    let sent = Outgoing::post(path, &headers, body.clone());
    let task = stage.send("city-oita", &scene.city_oita, StatusCode::ACCEPTED, sent).await?.json();
    let refused = |task: &Value| list(task, "results").filter(|row| at(row, "/status") == "refused").count();
    let registered = list(&task, "results").filter(|row| at(row, "/status") == "registered").count();
    stage.expect(
        refused(&task) == 3 && registered == BY_PMH - 3,
        &format!("{registered}件を登録し、誤りのある3行だけを理由とともに拒否した"),
        &format!("{registered} registered; only the 3 faulty rows are refused, each with its reason"),
    )?;
    for row in list(&task, "results").filter(|row| at(row, "/status") == "refused") {
        let error = at(row, "/errors/0");
        let line = format!(
            "行{} {} [{}] {}",
            at(row, "/row"),
            text(at(error, "/column")),
            text(at(error, "/code")),
            text(at(error, "/message"))
        );
        stage.expect(!text(at(error, "/message")).is_empty(), &line, &line)?;
    }
    let again = Outgoing::post(path, &headers, body);
    let again = stage.send("city-oita", &scene.city_oita, StatusCode::ACCEPTED, again).await?.json();
    stage.expect(
        at(&again, "/taskId") == at(&task, "/taskId"),
        "同じ冪等キーで再送しても同じ受付票が返る",
        "sent again under the same idempotency key, it is the same receipt",
    )?;

    let file = cp932(&papers::entitlements_csv(scene.today))?;
    let sent = Outgoing::post(FILES, &[CSV], file);
    let receipt = stage.send("city-oita", &scene.city_oita, StatusCode::ACCEPTED, sent).await?.json();
    stage.expect(
        at(&receipt, "/refused") == 3 && at(&receipt, "/accepted") == ENTITLEMENTS - BY_PMH - 3,
        "CSVの誤りのある3行だけを拒否した",
        "only the 3 faulty rows of the CSV are refused",
    )?;
    let path = text(at(&receipt, "/rejections"));
    let back = stage.send("city-oita", &scene.city_oita, StatusCode::OK, Outgoing::get(&path, &[])).await?;
    std::fs::write(scene.cast.folder.join("samples/rejections.csv"), &back.body)?;
    let (returned, _, broken) = encoding_rs::SHIFT_JIS.decode(&back.body);
    stage.expect(
        !broken && returned.lines().count() == 4 && returned.contains("理由"),
        "拒否された行が、送った様式とCP932のまま理由の列を添えて返る",
        "the refused rows come back in the sender's own layout and CP932, with a column of reasons",
    )?;
    let repaired = cp932(&papers::repair(&returned, scene.today))?;
    let sent = Outgoing::post(FILES, &[CSV], repaired);
    let receipt = stage.send("city-oita", &scene.city_oita, StatusCode::ACCEPTED, sent).await?.json();
    stage.expect(
        at(&receipt, "/accepted") == 3 && at(&receipt, "/refused") == 0,
        "直した3行を再送すると、すべて受け付けられた",
        "repaired and sent again, all 3 are taken",
    )
}

/// Act 2.
pub(super) async fn ask(stage: &mut Stage, scene: &Scene<'_>) -> Result<(), Flop> {
    stage.act(
        "病院が窓口で受給資格を確かめる（有効・失効・提供情報なし）",
        "A hospital asks at the desk: in force, lapsed, not available",
    );
    let now = scene.clock.now();
    let consent = Some((now, now + jiff::SignedDuration::from_mins(30)));
    let child = |place| papers::child(place, scene.today);
    let asked = [
        (child(papers::IN_FORCE).recipient, true, "有効: 今日使える", "in force today"),
        (child(papers::LAPSED).recipient, false, "失効: 期限切れと答える", "lapsed is answered as lapsed"),
    ];
    for (recipient, in_force, ja, en) in asked {
        let reply = eligibility(stage, scene, &recipient, consent, StatusCode::OK).await?;
        let answer: Value = serde_json::from_str(&reply.1).unwrap_or_default();
        stage.expect(at(&answer, "/insurance/0/inforce") == in_force, ja, en)?;
    }
    let nothing = [
        ("同意なし", "no consent", child(3).recipient, None),
        ("記録なし", "no record", "9999990".to_owned(), consent),
        ("不開示", "non-disclosure", child(papers::NOT_DISCLOSED).recipient, consent),
    ];
    let mut answers = Vec::new();
    for (_, _, recipient, consent) in &nothing {
        answers.push(eligibility(stage, scene, recipient, *consent, StatusCode::NOT_FOUND).await?);
    }
    let names = |at: fn(&(&'static str, &'static str, String, _)) -> &'static str| {
        nothing.iter().map(at).collect::<Vec<_>>().join("・")
    };
    stage.expect(
        answers.windows(2).all(|pair| pair.first() == pair.last()),
        &format!("{}は、見出しも本文も一字一句同じ答え", names(|n| n.0)),
        &format!("{} give one and the same answer, headers and body", names(|n| n.1)),
    )
}

/// Asks once; gives headers and body without what is different in every answer: exchange id and date.
async fn eligibility(
    stage: &mut Stage,
    scene: &Scene<'_>,
    recipient: &str,
    consent: Option<(jiff::Timestamp, jiff::Timestamp)>,
    expected: StatusCode,
) -> Result<(Vec<String>, String), Flop> {
    let body = papers::eligibility(recipient, consent).to_string();
    let sent = Outgoing::post("/fhir/CoverageEligibilityRequest/$submit", &[FHIR], body);
    let reply = stage.send("hospital-oita", &scene.hospital_oita, expected, sent).await?;
    let exchange = reply.header("Tsunagi-Exchange").to_owned();
    let own = |name: &str| matches!(name, "date" | "ratelimit" | "tsunagi-exchange");
    let headers = reply.headers.iter().filter(|(name, _)| !own(name.as_str()));
    let headers = headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or(""))).collect();
    Ok((headers, String::from_utf8_lossy(&reply.body).replace(&exchange, "ex")))
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
