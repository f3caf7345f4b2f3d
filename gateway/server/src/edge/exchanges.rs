//! `GET /v1/exchanges/{id}` and `…/rejections`: the sender's own exchanges.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use http::{HeaderValue, Response, StatusCode, header};
use tsunagi_core::audit::{Action, EventOutcome};
use tsunagi_core::id::{ExchangeId, TenantId};
use tsunagi_core::refusal::Refusal;
use tsunagi_store::Note;

use super::answer::{self, Refused};
use crate::gateway::Gateway;
use crate::pipeline::Call;
use crate::pipeline::rejections::rejection_file;

/// The receipt, its rows, its deliveries.
pub(super) async fn receipt(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    Path(id): Path<String>,
) -> Result<Response<Body>, Refused> {
    let id = ExchangeId::parse(&id).map_err(|_| Refused(Refusal::NotFound))?;
    let view = gateway.store.exchange(&call.caller.participant.id, &id).await?.ok_or(Refused(Refusal::NotFound))?;
    Ok(answer::json(StatusCode::OK, "application/json; charset=utf-8", &view))
}

/// The refused rows in the sender's own layout and charset, with one more column that says why.
pub(super) async fn rejections(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    Path(id): Path<String>,
) -> Result<Response<Body>, Refused> {
    let id = ExchangeId::parse(&id).map_err(|_| Refused(Refusal::NotFound))?;
    let sender = &call.caller.participant.id;
    let view = gateway.store.exchange(sender, &id).await?.ok_or(Refused(Refusal::NotFound))?;
    let rejected = gateway.store.rejections(sender, &id).await?;
    // What was sent goes back to who sent it; it is personal data all the same, and the leaf comes first.
    let mut event = call.event(Action::RejectionsReturned, EventOutcome::Done);
    event.exchange = Some(id.clone());
    let own = call.caller.participant.tenant.clone().unwrap_or_else(TenantId::hub);
    gateway.store.note(&own, Note { events: vec![event], rests_on: Vec::new(), directive: None }).await?;
    let tables = gateway.tables.load();
    let file = rejection_file(&tables, &view.exchange, &rejected, call.lang).map_err(Refused)?;
    let mut response = answer::bytes_of(StatusCode::OK, &file.content_type, file.bytes);
    let name = format!("attachment; filename=\"{id}-rejections.{}\"", file.extension);
    if let Ok(value) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}
