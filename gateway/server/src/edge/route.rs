//! Which handler answers which path.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::{Mode, Registry};

use super::answer::Refused;
use super::{access_log, app, consents, exchanges, fhir, files, mailbox, pmh, requests, witness};
use crate::gateway::Gateway;
use crate::pipeline::Call;

/// All endpoints of the edge.
pub(super) fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/fhir/metadata", get(fhir::metadata::answer))
        .route("/fhir/CoverageEligibilityRequest/$submit", post(fhir::eligibility::answer))
        .route("/fhir/Consent", post(fhir::consent::record).get(fhir::consent::search))
        .route("/fhir/AuditEvent", get(fhir::audit_event::search))
        .route("/fhir/ImmunizationRecommendation", get(fhir::recommendation::search))
        .route("/fhir/{resource_type}", post(fhir::submit::answer).get(fhir::read::search))
        .route("/fhir/{resource_type}/{id}", get(fhir::read::one))
        .route("/pmh/v1/{domain}/registrationTasks", post(pmh::register))
        .route("/pmh/v1/{domain}/registrationTasks/{id}", get(pmh::task))
        .route("/v1/files/{*layout}", post(files::receive))
        .route("/v1/mailbox", get(mailbox::pull))
        .route("/v1/mailbox/ack", post(mailbox::acknowledge))
        .route("/v1/requests", post(requests::request))
        .route("/v1/links", post(app::link))
        .route("/v1/exchanges/{id}", get(exchanges::receipt))
        .route("/v1/exchanges/{id}/rejections", get(exchanges::rejections))
        .route("/v1/witness/add-checkpoint", post(witness::add_checkpoint))
        .route("/app/v1/access-log", get(access_log::access_log))
        .route("/app/v1/records", get(app::records))
        .route("/app/v1/consents", get(consents::consents).post(consents::give_consent))
        .route("/app/v1/consents/{id}", axum::routing::delete(consents::withdraw_consent))
        .fallback(|| async { Refused(Refusal::NotFound) })
        // Bodies were read under the hub's own limits before a handler is called.
        .layer(DefaultBodyLimit::disable())
        .with_state(gateway)
}

/// The metric label of a path: a handful of words, whatever a caller writes.
pub(super) fn class(path: &str) -> &'static str {
    match path.split('/').nth(1) {
        Some("app") => "app",
        Some("fhir") => "fhir",
        Some("pmh") => "pmh",
        Some("v1") => match path.split('/').nth(2) {
            Some("exchanges") => "exchanges",
            Some("files") => "files",
            Some("links") => "links",
            Some("mailbox") => "mailbox",
            Some("requests") => "requests",
            _ => "other",
        },
        _ => "other",
    }
}

/// The largest body this caller may send: what the widest of its channels takes.
pub(super) fn body_limit(registry: &Registry, call: &Call, most: u64) -> u64 {
    registry
        .open_channels(&call.caller.participant.id, Mode::Submit, call.today)
        .map(|channel| channel.max_body_bytes.unwrap_or(most))
        .max()
        .unwrap_or(most)
        .min(most)
}
