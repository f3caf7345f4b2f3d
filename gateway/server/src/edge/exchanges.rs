//! `GET /v1/exchanges/{id}` and `…/rejections`: the sender's own exchanges.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use http::{HeaderValue, Response, StatusCode, header};
use tsunagi_core::audit::{Action, EventOutcome};
use tsunagi_core::id::{ExchangeId, TenantId};
use tsunagi_core::refusal::Refusal;
use tsunagi_store::{Note, RowPage};

use super::answer::{self, Refused};
use super::fhir::query::number;
use crate::gateway::Gateway;
use crate::pipeline::Call;
use crate::pipeline::rejections::rejection_file;

/// The receipt, a page of its rows (`?after=ROW&limit=N`), their deliveries.
pub(super) async fn receipt(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response<Body>, Refused> {
    let id = ExchangeId::parse(&id).map_err(|_| Refused(Refusal::NotFound))?;
    let limit = number(raw.as_deref(), "limit", RowPage::FIRST.limit as u64, 1..=MOST_ROWS)? as usize;
    let page = RowPage { after: number(raw.as_deref(), "after", 0, 0..=u64::from(u32::MAX))?, limit };
    let sender = &call.caller.participant.id;
    let view = gateway.store.exchange(sender, &id, page).await?.ok_or(Refused(Refusal::NotFound))?;
    let mut response = answer::json(StatusCode::OK, "application/json; charset=utf-8", &view);
    if let Some(last) = view.next {
        let link = format!("</v1/exchanges/{id}?after={last}&limit={limit}>; rel=\"next\"");
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    Ok(response)
}

/// Rows that one answer holds at most.
const MOST_ROWS: u64 = 1_000;

/// The refused rows in the sender's own layout and charset, with one more column that says why.
pub(super) async fn rejections(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    Path(id): Path<String>,
) -> Result<Response<Body>, Refused> {
    let id = ExchangeId::parse(&id).map_err(|_| Refused(Refusal::NotFound))?;
    let sender = &call.caller.participant.id;
    let head = RowPage { after: 0, limit: 1 };
    let view = gateway.store.exchange(sender, &id, head).await?.ok_or(Refused(Refusal::NotFound))?;
    // What was sent goes back to who sent it; it is personal data all the same, and the leaf comes first.
    let mut event = call.event(Action::RejectionsReturned, EventOutcome::Done);
    event.exchange = Some(id.clone());
    let own = call.caller.participant.tenant.clone().unwrap_or_else(TenantId::hub);
    gateway.store.note(&own, Note { events: vec![event], rests_on: Vec::new(), directive: None }).await?;
    let tables = gateway.tables.load_full();
    let file = rejection_file(gateway.store.as_ref(), &tables, &view.exchange, call.lang).await?;
    let mut response = answer::bytes_of(StatusCode::OK, &file.content_type, file.bytes);
    let name = format!("attachment; filename=\"{id}-rejections.{}\"", file.extension);
    if let Ok(value) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}
