//! The acts of the play, in the order of a family's life with the hub.

mod app;
mod birth;
mod checkups;
mod entitlements;
mod hostile;

use std::net::SocketAddr;

use jiff::civil::Date;

use super::cast::Cast;
use super::client::Client;
use super::papers;
use super::stage::{Flop, Stage};
use crate::clock::Clock;
use crate::gateway::Running;

/// What every act has at hand.
pub(super) struct Scene<'a> {
    cast: &'a Cast,
    running: &'a Running,
    clock: &'a Clock,
    today: Date,
    city_oita: Client,
    city_hakodate: Client,
    hospital_oita: Client,
    hospital_hakodate: Client,
    app: Client,
}

/// Plays the acts that need a running hub.
pub(super) async fn play(stage: &mut Stage, cast: &Cast, running: &Running, clock: &Clock) -> Result<(), Flop> {
    let edge: SocketAddr = running.edge;
    let scene = Scene {
        cast,
        running,
        clock,
        today: clock.today(),
        city_oita: cast.client(edge, "city-oita")?,
        city_hakodate: cast.client(edge, "city-hakodate")?,
        hospital_oita: cast.client(edge, "hospital-oita")?,
        hospital_hakodate: cast.client(edge, "hospital-hakodate")?,
        app: cast.client(edge, "app-techo")?,
    };
    entitlements::register(stage, &scene).await?;
    entitlements::ask(stage, &scene).await?;
    checkups::report(stage, &scene).await?;
    checkups::return_home(stage, &scene).await?;
    birth::certify(stage, &scene).await?;
    app::read(stage, &scene).await?;
    hostile::try_in(stage, &scene).await
}

/// Writes what the partners send into `samples/`, so that a kept hub can be tried by hand.
pub(super) fn write_samples(cast: &Cast, clock: &Clock) -> Result<(), Flop> {
    let dir = cast.folder.join("samples");
    std::fs::create_dir_all(&dir)?;
    let today = clock.today();
    let child = papers::child(papers::IN_FORCE, today);
    let oita = super::cast::HOSPITAL_OITA;
    let csv = cp932(&papers::entitlements_csv(today))?;
    std::fs::write(dir.join("entitlements.csv"), csv)?;
    std::fs::write(dir.join("entitlements.json"), papers::entitlements_json(today))?;
    let immunization = papers::immunization(&child, oita, "V-9001", "mr", today);
    std::fs::write(dir.join("immunization.json"), immunization.to_string())?;
    let now = clock.now();
    let ends = now + jiff::SignedDuration::from_hours(24 * 365);
    let eligibility = papers::eligibility(&child.recipient, Some((now, ends)));
    std::fs::write(dir.join("eligibility.json"), eligibility.to_string())?;
    let consent = r#"{"effect":"permit","recipient":{"participant":"app-techo"}}"#;
    std::fs::write(dir.join("consent.json"), consent)?;
    std::fs::write(dir.join("token.txt"), cast.token(app::GUARDIAN, clock)?)?;
    Ok(())
}

/// CP932 bytes of a text.
pub(super) fn cp932(text: &str) -> Result<Vec<u8>, Flop> {
    let (bytes, _, unmappable) = encoding_rs::SHIFT_JIS.encode(text);
    if unmappable {
        return Err(Flop("the sample holds a character that CP932 has not".to_owned()));
    }
    Ok(bytes.into_owned())
}
