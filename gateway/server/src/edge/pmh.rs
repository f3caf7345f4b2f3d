//! PMH-style registration: an array goes in, a task comes out with a result for each row.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use tsunagi_core::exchange::{RowResult, RowState};
use tsunagi_core::id::{ExchangeId, FormatName};
use tsunagi_core::refusal::Refusal;
use tsunagi_store::RowPage;

use super::answer::{self, Refused};
use super::files::{charset_of, require_media_type};
use crate::gateway::Gateway;
use crate::pipeline::Call;
use crate::pipeline::submit::{Inbody, Inbound, Selector, submit};

const MEDIA_TYPE: &str = "application/json; charset=utf-8";

/// `POST /pmh/v1/{domain}/registrationTasks`
pub(super) async fn register(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    Path(domain): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response<Body>, Refused> {
    require_media_type(&headers, &["application/json"])?;
    let format = FormatName::parse("pmh_api").map_err(|_| Refused(Refusal::Internal))?;
    let inbound = Inbound {
        format,
        selector: Selector::Domain(domain.clone()),
        body: Inbody::Held(bytes),
        charset: charset_of(&headers),
    };
    let submitted = submit(&gateway, &call, inbound).await?;
    let mut body = task_body(&call, &submitted.exchange, &submitted.rows);
    if let (false, Some(members)) = (submitted.unknown_columns.is_empty(), body.as_object_mut()) {
        members.insert("unknownColumns".to_owned(), json!(submitted.unknown_columns));
    }
    let mut response = answer::json(StatusCode::ACCEPTED, MEDIA_TYPE, &body);
    let location = format!("/pmh/v1/{domain}/registrationTasks/{}", submitted.exchange);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    answer::quote(&mut response, &submitted.exchange);
    Ok(response)
}

/// `GET /pmh/v1/{domain}/registrationTasks/{id}`
pub(super) async fn task(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    Path((_domain, id)): Path<(String, String)>,
) -> Result<Response<Body>, Refused> {
    let id = ExchangeId::parse(&id).map_err(|_| Refused(Refusal::NotFound))?;
    let sender = &call.caller.participant.id;
    // As many rows as were taken in one body.
    let all = RowPage { after: 0, limit: usize::try_from(gateway.config.edge.max_rows).unwrap_or(usize::MAX) };
    let view = gateway.store.exchange(sender, &id, all).await?.ok_or(Refused(Refusal::NotFound))?;
    Ok(answer::json(StatusCode::OK, MEDIA_TYPE, &task_body(&call, &id, &view.rows)))
}

fn task_body(call: &Call, exchange: &ExchangeId, rows: &[RowResult]) -> Value {
    let results: Vec<Value> = rows
        .iter()
        .map(|row| {
            let faults: Vec<Value> = row
                .faults
                .iter()
                .map(|f| json!({ "code": f.code, "column": f.column, "message": f.reason.pick(call.lang) }))
                .collect();
            let (status, faults_are) = match row.state {
                RowState::Accepted { .. } | RowState::Unchanged { .. } => ("registered", "warnings"),
                RowState::Refused => ("refused", "errors"),
                RowState::Waiting => ("waiting", "errors"),
            };
            let mut result = json!({ "row": row.row, "status": status });
            if let (false, Some(members)) = (faults.is_empty(), result.as_object_mut()) {
                members.insert(faults_are.to_owned(), Value::Array(faults));
            }
            result
        })
        .collect();
    json!({ "taskId": exchange, "status": "completed", "results": results })
}
