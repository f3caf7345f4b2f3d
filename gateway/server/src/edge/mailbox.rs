//! `GET /v1/mailbox` and `POST /v1/mailbox/ack`.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::{BatchId, FormatName, TenantId};
use tsunagi_core::my_number;
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::Role;

use super::answer::{self, Refused};
use super::fhir::query::number;
use crate::delivery::mailbox;
use crate::gateway::Gateway;
use crate::pipeline::Call;

/// Deliveries that one answer carries unless `limit` says otherwise.
const LIMIT: usize = 100;

/// Takes the next batch: 200 with the rows in the receiver's layout, or 204.
pub(super) async fn pull(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response<Body>, Refused> {
    own_tenant(&call)?;
    let limit = number(raw.as_deref(), "limit", LIMIT as u64, 1..=mailbox::MOST as u64)? as usize;
    let wanted = wanted_format(&headers)?;
    let Some(batch) = mailbox::pull(&gateway, &call, wanted.as_ref(), limit).await? else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    };
    let (content_type, bytes) = batch.call.into_payload();
    let mut response = answer::bytes_of(StatusCode::OK, &content_type, bytes);
    let rows = batch.rows.to_string();
    let shrunk = batch.shrunk.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    let said = [
        ("Tsunagi-Batch", batch.id.as_str()),
        ("Tsunagi-Batch-Rows", rows.as_str()),
        ("Tsunagi-Channel", batch.channel.id.as_str()),
        ("Tsunagi-Layout", batch.layout.as_str()),
        ("Tsunagi-Shrunk", shrunk.as_str()),
    ];
    for (name, value) in said.into_iter().filter(|(_, value)| !value.is_empty()) {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// What a municipality says of a batch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Acknowledgement {
    batch: BatchId,
    #[serde(default)]
    rejected: Vec<RejectedRow>,
}

/// A row it cannot take.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RejectedRow {
    row: u64,
    code: String,
}

/// Ends a batch. Said twice, it ends nothing the second time: `settled` is then 0.
pub(super) async fn acknowledge(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    bytes: Bytes,
) -> Result<Response<Body>, Refused> {
    let tenant = own_tenant(&call)?;
    let said: Acknowledgement = serde_json::from_slice(&bytes).map_err(|error| bad_body(&error))?;
    let is_code = |code: &str| {
        !code.is_empty()
            && !my_number::stands_in(code)
            && code.len() <= 64
            && code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
    };
    if said.rejected.iter().any(|row| !is_code(&row.code)) {
        return Err(Refused(Refusal::Malformed(Bilingual::new(
            "rejected[].code は英小文字・数字・_・- の64文字までです",
            "rejected[].code is up to 64 characters of a-z 0-9 _ -",
        ))));
    }
    let rejected: Vec<(u64, String)> = said.rejected.into_iter().map(|row| (row.row, row.code)).collect();
    let settled = mailbox::acknowledge(&gateway, &call, &tenant, &said.batch, &rejected).await?;
    let body = json!({ "batch": said.batch, "settled": settled });
    Ok(answer::json(StatusCode::OK, "application/json; charset=utf-8", &body))
}

/// The tenant whose mailbox this caller may open: the one it controls.
fn own_tenant(call: &Call) -> Result<TenantId, Refused> {
    match (call.caller.participant.role, &call.caller.participant.tenant) {
        (Role::Municipality, Some(tenant)) => Ok(tenant.clone()),
        _ => Err(Refused(Refusal::NotPermitted)),
    }
}

/// The wire format that `Accept` names; none for `*/*` or no header.
fn wanted_format(headers: &HeaderMap) -> Result<Option<FormatName>, Refused> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    let format = match accept.split([',', ';']).next().unwrap_or("").trim() {
        "" | "*/*" => return Ok(None),
        "application/fhir+json" => "fhir_r4",
        "application/json" => "pmh_api",
        "text/csv" => "municipal_csv",
        _ => return Err(Refused(Refusal::KindUnsupported)),
    };
    FormatName::parse(format).map(Some).map_err(|_| Refused(Refusal::Internal))
}

/// Says where a body breaks off, without quoting it.
pub(super) fn bad_body(error: &serde_json::Error) -> Refused {
    let (line, column) = (error.line(), error.column());
    Refused(Refusal::Malformed(Bilingual::new(
        format!("本文が正しくありません（{line}行{column}桁）"),
        format!("the body is not well formed at line {line}, column {column}"),
    )))
}
