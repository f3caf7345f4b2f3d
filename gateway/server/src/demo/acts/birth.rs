//! Act 5: a birth certificate goes to the municipality named on the notification.

use http::StatusCode;

use super::Scene;
use super::checkups::empty_mailbox;
use crate::demo::cast::HOSPITAL_OITA;
use crate::demo::papers;
use crate::demo::stage::{Flop, Outgoing, Stage};

/// Act 5.
pub(super) async fn certify(stage: &mut Stage, scene: &Scene<'_>) -> Result<(), Flop> {
    stage.act(
        "出生証明書が、届出のあった函館市に届く（届出期限つき）",
        "A birth certificate goes to the municipality that received the notification, with the filing deadline",
    );
    let fhir = [("Content-Type", "application/fhir+json")];
    let certificate = papers::birth_certificate(HOSPITAL_OITA, "B-0001", "012025").to_string();
    let sent = Outgoing::post("/fhir/Bundle", &fhir, certificate.clone());
    let first = stage.send("hospital-oita", &scene.hospital_oita, StatusCode::CREATED, sent).await?;
    let sent = Outgoing::post("/fhir/Bundle", &fhir, certificate);
    let second = stage.send("hospital-oita", &scene.hospital_oita, StatusCode::OK, sent).await?;
    stage.expect(
        first.header("Location") == second.header("Location"),
        "同じ証明書をもう一度送っても、同じ一通のまま",
        "the same certificate again is the same certificate",
    )?;
    let (rows, text) = empty_mailbox(stage, "city-hakodate", &scene.city_hakodate).await?;
    stage.expect(rows == 1, "函館市の受取箱には一通だけ届いた", "exactly one reached Hakodate's mailbox")?;
    stage.expect(
        text.contains("令和8年5月7日"),
        "2026年4月20日生まれの届出期限は5月7日（14日目の5月3日が閉庁のため）",
        "born 2026-04-20, to be filed by 2026-05-07 (the 14th day, 3 May, is closed)",
    )
}
