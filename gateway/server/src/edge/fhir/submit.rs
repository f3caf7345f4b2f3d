//! `POST /fhir/TYPE`: one resource, a document Bundle, or a batch answered row by row.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tsunagi_core::exchange::{RowResult, RowState};
use tsunagi_core::fault::{Bilingual, RowFault};
use tsunagi_core::id::FormatName;
use tsunagi_core::refusal::Refusal;

use super::{MEDIA_TYPE, sender};
use crate::edge::answer::{self, Refused};
use crate::edge::files::{charset_of, require_media_type};
use crate::gateway::Gateway;
use crate::pipeline::Call;
use crate::pipeline::submit::{Inbody, Inbound, Selector, Submitted, submit};

/// The two members that say what a body is.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "resourceType")]
    resource_type: String,
    #[serde(rename = "type")]
    bundle_type: Option<Value>,
}

/// Takes the resource in.
pub(in crate::edge) async fn answer(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    Path(resource_type): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response<Body>, Refused> {
    let malformed = |ja: &str, en: &str| Refused(Refusal::Malformed(Bilingual::new(ja, en)));
    require_media_type(&headers, &["application/fhir+json", "application/json"])?;
    let format = FormatName::parse("fhir_r4").map_err(|_| Refused(Refusal::Internal))?;
    let inbound = Inbound {
        format,
        selector: Selector::ResourceType(resource_type.clone()),
        body: Inbody::Held(bytes.clone()),
        charset: charset_of(&headers),
    };
    let head: Result<Head, _> = serde_json::from_slice(&bytes);
    if head.as_ref().is_ok_and(|head| head.resource_type != resource_type) {
        return Err(malformed(
            "本文の resourceType が宛先と一致しません",
            "the body's resourceType is not the one of the path",
        ));
    }
    sender::check_bytes(&call, &bytes)?;
    // What is no JSON at all is told apart by the adapter, which says where.
    let submitted = submit(&gateway, &call, inbound).await?;
    let batch_type = head.ok().and_then(|head| head.bundle_type);
    let is_batch = matches!(batch_type.as_ref().and_then(Value::as_str), Some("batch" | "transaction"));
    if is_batch { Ok(batch(&gateway, &call, &submitted)) } else { one(&call, &resource_type, &submitted) }
}

fn one(call: &Call, resource_type: &str, submitted: &Submitted) -> Result<Response<Body>, Refused> {
    let row = submitted.rows.first().ok_or(Refused(Refusal::Internal))?;
    let status = status_of(row);
    if matches!(row.state, RowState::Refused) {
        let fault = row.faults.first().cloned().ok_or(Refused(Refusal::Internal))?;
        // Not through `Refused`: a repeat quotes the exchange that decided it.
        let refusal = Refusal::Row(fault);
        let mut response = answer::refuse(answer::Surface::Fhir, call.lang, &submitted.exchange, &refusal);
        answer::quote(&mut response, &submitted.exchange);
        return Ok(response);
    }
    let mut response = answer::json(status, MEDIA_TYPE, &outcome(call, row));
    if let Some(location) = location(resource_type, row).and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    answer::quote(&mut response, &submitted.exchange);
    Ok(response)
}

fn batch(gateway: &Gateway, call: &Call, submitted: &Submitted) -> Response<Body> {
    let tables = gateway.tables.load();
    let type_of = |row: &RowResult| {
        let kind = row.kind.as_ref()?;
        let layout = tables.layouts().find(|layout| layout.kind() == kind && layout.resource_type().is_some())?;
        layout.resource_type().map(str::to_owned)
    };
    let entries: Vec<Value> = submitted
        .rows
        .iter()
        .map(|row| {
            let mut response = json!({ "status": status_of(row).as_str(), "outcome": outcome(call, row) });
            let location = type_of(row).and_then(|resource_type| location(&resource_type, row));
            if let (Some(location), Some(members)) = (location, response.as_object_mut()) {
                members.insert("location".to_owned(), json!(location));
            }
            json!({ "response": response })
        })
        .collect();
    let bundle = json!({ "resourceType": "Bundle", "type": "batch-response", "entry": entries });
    let mut response = answer::json(StatusCode::OK, MEDIA_TYPE, &bundle);
    answer::quote(&mut response, &submitted.exchange);
    response
}

fn status_of(row: &RowResult) -> StatusCode {
    match &row.state {
        RowState::Accepted { .. } => StatusCode::CREATED,
        RowState::Refused => row.faults.first().map_or(StatusCode::UNPROCESSABLE_ENTITY, answer::row_status),
        RowState::Unchanged { .. } => StatusCode::OK,
        RowState::Waiting => StatusCode::ACCEPTED,
    }
}

fn location(resource_type: &str, row: &RowResult) -> Option<String> {
    match &row.state {
        RowState::Accepted { record, .. } | RowState::Unchanged { record, .. } => {
            Some(format!("/fhir/{resource_type}/{record}"))
        }
        RowState::Refused | RowState::Waiting => None,
    }
}

/// What became of a row, as an OperationOutcome: its warnings, or that all is well.
fn outcome(call: &Call, row: &RowResult) -> Value {
    let severity = match row.state {
        RowState::Refused => "error",
        RowState::Waiting => "information",
        RowState::Accepted { .. } | RowState::Unchanged { .. } => "warning",
    };
    let mut issues: Vec<Value> = row.faults.iter().map(|fault| issue(call, severity, fault)).collect();
    if issues.is_empty() {
        issues.push(json!({ "severity": "information", "code": "informational" }));
    }
    json!({ "resourceType": "OperationOutcome", "issue": issues })
}

fn issue(call: &Call, severity: &str, fault: &RowFault) -> Value {
    json!({
        "severity": severity,
        "code": answer::issue_type(answer::row_status(fault)),
        "details": {
            "coding": [{ "system": "urn:tsunagi:code", "code": fault.code.as_str() }],
            "text": fault.reason.pick(call.lang),
        },
        "diagnostics": fault.column,
    })
}
