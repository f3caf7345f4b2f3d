//! Act 6: a handbook app reads for a citizen, while she agrees.

use http::{Method, StatusCode};
use serde_json::json;

use super::Scene;
use crate::commands::at;
use crate::demo::cast::ISSUER;
use crate::demo::papers;
use crate::demo::stage::{Flop, Outgoing, Stage};

/// The guardian's `sub` at the issuer.
pub(in crate::demo) const GUARDIAN: &str = "guardian-0001";

/// Act 6.
pub(super) async fn read(stage: &mut Stage, scene: &Scene<'_>) -> Result<(), Flop> {
    stage.act("手帳アプリが保護者の同意のある間だけ読む", "The handbook app reads while the guardian agrees");
    let child = papers::child(papers::IN_FORCE, scene.today);
    let json_type = [("Content-Type", "application/json")];
    let link = json!({
        "system": "recipient", "value": format!("{}:{}", papers::PAYER, child.recipient),
        "issuer": ISSUER, "sub": GUARDIAN, "relationship": "proxy",
    });
    let sent = Outgoing::post("/v1/links", &json_type, link.to_string());
    stage.send("city-oita", &scene.city_oita, StatusCode::CREATED, sent).await?;

    let bearer = format!("Bearer {}", scene.cast.token(GUARDIAN, scene.clock)?);
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let records = "/app/v1/records?kind=vaccination";
    stage.send("app-techo", &scene.app, StatusCode::NOT_FOUND, Outgoing::get(records, &headers)).await?;
    let consent = json!({ "effect": "permit", "recipient": { "participant": "app-techo" } }).to_string();
    let sent = Outgoing::post("/app/v1/consents", &headers, consent);
    let given = stage.send("app-techo", &scene.app, StatusCode::CREATED, sent).await?.json();
    let read = stage.send("app-techo", &scene.app, StatusCode::OK, Outgoing::get(records, &headers)).await?.json();
    let entries = at(&read, "/records/0/content/entry").as_array().map_or(0, Vec::len);
    stage.expect(entries == 2, "同意のもとで予防接種2件が読めた", "with consent, the 2 vaccinations are read")?;

    let id = at(&given, "/consents/0/id").as_str().unwrap_or_default().to_owned();
    let path = format!("/app/v1/consents/{id}");
    let withdraw = Outgoing { method: Method::DELETE, path: &path, headers: &headers, body: bytes::Bytes::new() };
    stage.send("app-techo", &scene.app, StatusCode::OK, withdraw).await?;
    stage.send("app-techo", &scene.app, StatusCode::NOT_FOUND, Outgoing::get(records, &headers)).await?;
    stage.expect(true, "撤回の次の要求から「提供情報なし」", "not available from the next request after withdrawal")
}
