//! Act 7: those who must not get in.

use http::StatusCode;
use tsunagi_certs::{Authority, Reason};

use super::Scene;
use crate::demo::cast::HOSPITAL_HAKODATE;
use crate::demo::papers;
use crate::demo::stage::{Flop, Outgoing, Stage};

/// Act 7.
pub(super) async fn try_in(stage: &mut Stage, scene: &Scene<'_>) -> Result<(), Flop> {
    stage.act(
        "失効した証明書と、他院を名乗る病院を拒む",
        "A revoked certificate and a hospital that names another as sender are refused",
    );
    let closed = scene.cast.client(scene.running.edge, "hospital-closed")?;
    stage.send("hospital-closed", &closed, StatusCode::OK, Outgoing::get("/fhir/metadata", &[])).await?;
    {
        let mut authority = Authority::open(&scene.cast.folder.join("ca")).map_err(|error| Flop(error.to_string()))?;
        let list = authority.list().map_err(|error| Flop(error.to_string()))?;
        let entry = list.iter().find(|entry| entry.names.iter().any(|name| name.contains("hospital-closed")));
        let serial = entry.map(|entry| entry.serial.clone()).unwrap_or_default();
        let now = scene.clock.now().as_second();
        authority.revoke(&serial, Reason::CessationOfOperation, now).map_err(|error| Flop(error.to_string()))?;
    }
    scene.running.gateway.reload()?;
    let revoked = scene.cast.client(scene.running.edge, "hospital-closed")?;
    let started = std::time::Instant::now();
    let why = revoked.handshake().await.unwrap_or_else(|| "accepted".to_owned());
    stage.row("hospital-closed", "TLS", &why, started.elapsed());
    stage.expect(
        why.contains("CertificateRevoked"),
        "失効した証明書はTLSハンドシェイクで拒まれた",
        "the revoked certificate was refused in the TLS handshake",
    )?;
    let child = papers::child(papers::IN_FORCE, scene.today);
    let posing = papers::immunization(&child, HOSPITAL_HAKODATE, "V-0666", "varicella", scene.today).to_string();
    let sent = Outgoing::post("/fhir/Immunization", &[("Content-Type", "application/fhir+json")], posing);
    stage.send("hospital-oita", &scene.hospital_oita, StatusCode::FORBIDDEN, sent).await?;
    stage.expect(
        true,
        "送信元は証明書だけで決まる: 他院を名乗る登録は拒まれた",
        "the certificate alone says who sends: posing as another hospital was refused",
    )
}
