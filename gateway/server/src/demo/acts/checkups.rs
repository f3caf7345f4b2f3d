//! Acts 3 and 4: a hospital reports, the municipality takes it from its mailbox; another municipality asks.

use http::StatusCode;
use serde_json::{Value, json};
use tsunagi_core::id::TenantId;

use super::{Scene, cp932};
use crate::commands::at;
use crate::demo::cast::{HOSPITAL_HAKODATE, HOSPITAL_OITA};
use crate::demo::client::{Client, Reply};
use crate::demo::papers;
use crate::demo::stage::{Flop, Outgoing, Stage};

const FHIR: (&str, &str) = ("Content-Type", "application/fhir+json");

/// Act 3.
pub(super) async fn report(stage: &mut Stage, scene: &Scene<'_>) -> Result<(), Flop> {
    stage.act(
        "病院が予防接種と乳幼児健診を登録し、大分市が受取箱から自分の様式で受け取る",
        "A hospital reports vaccinations and a checkup; Oita takes them from its mailbox in its own layout",
    );
    let child = papers::child(papers::IN_FORCE, scene.today);
    let shot = |number: &str, vaccine: &str| papers::immunization(&child, HOSPITAL_OITA, number, vaccine, scene.today);
    let sent = Outgoing::post("/fhir/Immunization", &[FHIR], shot("V-0001", "mr").to_string());
    let first = stage.send("hospital-oita", &scene.hospital_oita, StatusCode::CREATED, sent).await?;
    let exchange = first.header("Tsunagi-Exchange").to_owned();
    stage.expect(!first.header("Location").is_empty(), "201とLocationが返る", "201 with a Location")?;

    let batch = papers::batch(vec![shot("V-0002", "varicella"), shot("V-0003", "no-such-vaccine")]);
    let sent = Outgoing::post("/fhir/Bundle", &[FHIR], batch.to_string());
    let reply = stage.send("hospital-oita", &scene.hospital_oita, StatusCode::OK, sent).await?.json();
    stage.expect(
        at(&reply, "/entry/0/response/status") == "201" && at(&reply, "/entry/1/response/status") == "422",
        "一括登録は行ごとに答える（知らないコードの行だけ422）",
        "a batch is answered row by row (only the unknown code is 422)",
    )?;
    let checkup = papers::infant_checkup(&child, HOSPITAL_OITA, "I-0001", scene.today);
    let sent = Outgoing::post("/fhir/Bundle", &[FHIR], checkup.to_string());
    stage.send("hospital-oita", &scene.hospital_oita, StatusCode::CREATED, sent).await?;

    let (rows, text) = empty_mailbox(stage, "city-oita", &scene.city_oita).await?;
    stage.expect(
        rows == 3 && text.contains("接種年月日") && text.contains("健診受診日"),
        "大分市は3件を、自分のCP932の様式で受け取り、受領を返した",
        "Oita took all 3 in its own CP932 layouts and acknowledged them",
    )?;
    let path = format!("/v1/exchanges/{exchange}");
    let receipt =
        stage.send("hospital-oita", &scene.hospital_oita, StatusCode::OK, Outgoing::get(&path, &[])).await?.json();
    stage.expect(
        at(&receipt, "/deliveries/0/state") == "delivered",
        "病院は自分の連携番号で「配信済」を確かめられる",
        "by its exchange id the hospital sees `delivered`",
    )
}

/// Act 4.
pub(super) async fn return_home(stage: &mut Stage, scene: &Scene<'_>) -> Result<(), Flop> {
    stage.act(
        "里帰り先の函館市が、母子保健法19条の2により大分市に妊婦健診を依頼する",
        "Hakodate, where the mother has gone home, asks Oita for her checkups (母子保健法19条の2)",
    );
    let csv = [("Content-Type", "text/csv; charset=Shift_JIS")];
    let file = cp932(&papers::earlier_checkup_csv())?;
    let sent = Outgoing::post("/v1/files/municipal_csv/checkup_maternal_legacy", &csv, file);
    let receipt = stage.send("city-oita", &scene.city_oita, StatusCode::ACCEPTED, sent).await?.json();
    stage.expect(
        at(&receipt, "/accepted") == 1,
        "大分市はこれまでの健診を持っている",
        "Oita holds her earlier checkup",
    )?;

    let checkup = papers::maternal_checkup(HOSPITAL_HAKODATE, "M-0002", scene.today).to_string();
    let sent = Outgoing::post("/fhir/Bundle", &[FHIR], checkup);
    stage.send("hospital-hakodate", &scene.hospital_hakodate, StatusCode::CREATED, sent).await?;
    let (rows, _) = empty_mailbox(stage, "city-oita", &scene.city_oita).await?;
    stage.expect(rows == 1, "函館の病院の健診が住所地の大分市に届いた", "the checkup made in Hakodate reached Oita")?;

    let ask = |basis: &str| {
        json!({
            "purpose": "PUBHLTH", "legalBasis": basis, "tenants": ["oita"], "kinds": ["checkup_maternal"],
            "subject": { "system": "maternal_handbook", "value": papers::HANDBOOK },
        })
        .to_string()
    };
    let json_type = [("Content-Type", "application/json")];
    let sent = Outgoing::post("/v1/requests", &json_type, ask("念のため"));
    stage.send("city-hakodate", &scene.city_hakodate, StatusCode::FORBIDDEN, sent).await?;
    let sent = Outgoing::post("/v1/requests", &json_type, ask("母子保健法19条の2"));
    let reply = stage.send("city-hakodate", &scene.city_hakodate, StatusCode::OK, sent).await?;
    let answer = reply.json();
    stage.expect(
        at(&answer, "/ledger/0/outcome") == "answered" && at(&answer, "/ledger/0/records") == 2,
        "回答一覧: 大分市が2件を回答",
        "outcome ledger: Oita answered with 2 records",
    )?;
    let body = String::from_utf8_lossy(&reply.body);
    let traceless = [
        "syphilis",
        "hivAntibody",
        "chlamydia",
        "smoking",
        "drinking",
        "miscarriages",
        "stillbirths",
        "hbsAntigen",
        "bloodPressure",
    ];
    stage.expect(
        body.contains("visitedOn") && traceless.iter().all(|item| !body.contains(item)),
        "出してはならない項目（梅毒・HIV・喫煙・飲酒・流産など）は跡形もない",
        "items that must not travel (syphilis, HIV, smoking, drinking, miscarriage …) leave no trace",
    )?;
    let exchange = reply.header("Tsunagi-Exchange");
    for (tenant, action) in [("oita", "RequestAnswered"), ("hakodate", "RequestMade")] {
        let found = log_holds(scene, tenant, exchange, action).await?;
        stage.expect(
            found,
            &format!("{tenant} の監査記録に {action} がある"),
            &format!("the audit log of {tenant} holds {action}"),
        )?;
    }
    Ok(())
}

/// Takes and acknowledges until the mailbox is empty; gives the number of rows and all the text.
pub(super) async fn empty_mailbox(stage: &mut Stage, who: &str, city: &Client) -> Result<(usize, String), Flop> {
    let (mut rows, mut text) = (0, String::new());
    loop {
        let pulled = city.send(http::Method::GET, "/v1/mailbox?limit=100", &[("Accept", "text/csv")], "").await?;
        let Reply { status, .. } = pulled;
        let batch = pulled.header("Tsunagi-Batch").to_owned();
        let came = format!("{status} {} ({} B)", pulled.header("Tsunagi-Layout"), pulled.body.len());
        stage.row(who, "GET /v1/mailbox?limit=100", &came, pulled.took);
        if status == StatusCode::NO_CONTENT {
            return Ok((rows, text));
        }
        rows += pulled.header("Tsunagi-Batch-Rows").parse::<usize>().unwrap_or(0);
        text.push_str(&encoding_rs::SHIFT_JIS.decode(&pulled.body).0);
        let body = json!({ "batch": batch }).to_string();
        let json_type = [("Content-Type", "application/json")];
        let said = stage.send(who, city, StatusCode::OK, Outgoing::post("/v1/mailbox/ack", &json_type, body)).await?;
        if at(&said.json(), "/settled") == 0 {
            return Err(Flop(format!("{who}: an acknowledgement settled nothing")));
        }
    }
}

/// True if a tenant's log holds an action of an exchange.
async fn log_holds(scene: &Scene<'_>, tenant: &str, exchange: &str, action: &str) -> Result<bool, Flop> {
    let tenant = TenantId::parse(tenant).map_err(|fault| Flop(fault.to_string()))?;
    let leaves = scene.running.gateway.store.audit_page(&tenant, 0, 100_000).await?;
    let events = leaves.iter().filter_map(|leaf| serde_json::from_slice::<Value>(&leaf.bytes).ok());
    Ok(events.into_iter().any(|event| at(&event, "/exchange") == exchange && at(&event, "/action") == action))
}
