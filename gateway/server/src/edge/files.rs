//! `POST /v1/files/{layout}`: bulk files of municipalities.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::json;
use tsunagi_core::id::LayoutId;
use tsunagi_core::refusal::Refusal;

use super::answer::{self, Refused};
use super::body::Spooled;
use crate::gateway::Gateway;
use crate::pipeline::Call;
use crate::pipeline::submit::{Inbody, Inbound, Selector, submit};

/// Takes a file in and gives its receipt: how many rows came to what.
pub(super) async fn receive(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    Path(layout): Path<String>,
    Extension(spooled): Extension<Spooled>,
    headers: HeaderMap,
) -> Result<Response<Body>, Refused> {
    let layout = LayoutId::parse(&layout).map_err(|_| Refused(Refusal::NotFound))?;
    let format = {
        let tables = gateway.tables.load();
        let found = tables.layout(&layout).ok_or(Refused(Refusal::NotFound))?;
        // A tree is held whole while it is read: it comes in by the endpoint of its format, under that one's limits.
        if found.columns().is_empty() {
            return Err(Refused(Refusal::KindUnsupported));
        }
        found.format().clone()
    };
    let adapter = tsunagi_adapters::adapter(&format).map_err(|_| Refused(Refusal::KindUnsupported))?;
    require_media_type(&headers, &[adapter.media_type()])?;
    let body = Inbody::Spooled(spooled.take().ok_or(Refused(Refusal::Internal))?);
    let inbound = Inbound { format, selector: Selector::Layout(layout), body, charset: charset_of(&headers) };
    let submitted = submit(&gateway, &call, inbound).await?;
    let counts = submitted.counts;
    let mut receipt = json!({
        "exchange": submitted.exchange,
        "received": call.at,
        "repeated": submitted.repeated,
        "rows": counts.rows(),
        "accepted": counts.accepted,
        "unchanged": counts.unchanged,
        "waiting": counts.waiting,
        "refused": counts.refused,
    });
    if let (false, Some(members)) = (submitted.unknown_columns.is_empty(), receipt.as_object_mut()) {
        members.insert("unknownColumns".to_owned(), json!(submitted.unknown_columns));
    }
    if let (true, Some(members)) = (counts.refused > 0, receipt.as_object_mut()) {
        let path = format!("/v1/exchanges/{}/rejections", submitted.exchange);
        members.insert("rejections".to_owned(), json!(path));
    }
    let mut response = answer::json(StatusCode::ACCEPTED, "application/json; charset=utf-8", &receipt);
    let location = format!("/v1/exchanges/{}", submitted.exchange);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    answer::quote(&mut response, &submitted.exchange);
    Ok(response)
}

/// The charset parameter of `Content-Type`.
pub(super) fn charset_of(headers: &HeaderMap) -> Option<String> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// Refuses a body of another media type than those taken here.
pub(super) fn require_media_type(headers: &HeaderMap, taken: &[&str]) -> Result<(), Refused> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = content_type.split(';').next().unwrap_or("").trim();
    let is_taken = taken.iter().any(|one| media_type.eq_ignore_ascii_case(one));
    if is_taken { Ok(()) } else { Err(Refused(Refusal::KindUnsupported)) }
}
