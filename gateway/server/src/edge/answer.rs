//! Refusals as HTTP: problem+json (RFC 9457), or OperationOutcome under `/fhir`. One exhaustive match.

use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::json;
use tsunagi_core::fault::{Lang, RowCode, RowFault};
use tsunagi_core::id::ExchangeId;
use tsunagi_core::refusal::Refusal;
use tsunagi_store::StoreError;

use crate::pipeline::lookup::Part;

/// The header every answer carries.
pub(super) const EXCHANGE_HEADER: HeaderName = HeaderName::from_static("tsunagi-exchange");

/// The leaves of what an answer discloses, as `TENANT/INDEX`: for these `GET /v1/exchanges/{id}` has proofs.
const LEAF_HEADER: HeaderName = HeaderName::from_static("tsunagi-leaf");

/// How long a caller should wait when the store or sealing is behind.
const UNAVAILABLE_RETRY_SECS: u32 = 5;

/// Which family of endpoints a path belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surface {
    /// `/fhir`
    Fhir,
    /// All others
    Plain,
}

impl Surface {
    /// By the path alone.
    pub(super) fn of(path: &str) -> Self {
        if path == "/fhir" || path.starts_with("/fhir/") { Self::Fhir } else { Self::Plain }
    }
}

/// A refusal on its way from a handler to [`refuse`], which knows language and surface.
#[derive(Debug, Clone)]
pub(super) struct Refused(pub(super) Refusal);

/// Marks an answer that tells nothing, though it is no refusal: a search that finds nobody, a ledger with a line withheld.
#[derive(Debug, Clone, Copy)]
struct Nothing;

/// Lets an answer leave as a refusal does, where it tells nothing.
pub(super) fn if_nothing(mut response: Response<Body>, is_nothing: bool) -> Response<Body> {
    if is_nothing {
        response.extensions_mut().insert(Nothing);
    }
    response
}

/// True for the answer that nothing is available, however it is said.
pub(super) fn tells_nothing(response: &Response<Body>) -> bool {
    let refusal = response.extensions().get::<Refused>().map(|Refused(refusal)| refusal);
    matches!(refusal, Some(Refusal::NotAvailable)) || response.extensions().get::<Nothing>().is_some()
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self(crate::pipeline::refusal_of(error))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> axum::response::Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(self);
        response
    }
}

/// The answer to a refusal: status, body and headers depend on nothing but the refusal, the surface, the language and
/// the exchange id.
pub(super) fn refuse(surface: Surface, lang: Lang, exchange: &ExchangeId, refusal: &Refusal) -> Response<Body> {
    let status = status(refusal);
    let words = refusal.words();
    let detail = words.pick(lang);
    let (content_type, body) = match surface {
        Surface::Fhir => {
            let outcome = json!({
                "resourceType": "OperationOutcome",
                "issue": [{
                    "severity": "error",
                    "code": issue_type(status),
                    "details": { "coding": [{ "system": "urn:tsunagi:code", "code": refusal.code() }], "text": detail },
                    "diagnostics": diagnostics(refusal, exchange),
                }],
            });
            ("application/fhir+json; charset=utf-8", outcome)
        }
        Surface::Plain => {
            let mut problem = json!({
                "type": format!("urn:tsunagi:problem:{}", refusal.code()),
                "title": refusal.code(),
                "status": status.as_u16(),
                "code": refusal.code(),
                "detail": detail,
                "exchange": exchange,
            });
            if let (Refusal::Row(fault), Some(members)) = (refusal, problem.as_object_mut()) {
                members.insert("row".to_owned(), json!(fault.row));
                members.insert("column".to_owned(), json!(fault.column));
            }
            ("application/problem+json; charset=utf-8", problem)
        }
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(secs) = retry_after(refusal) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(secs));
    }
    response
}

/// The status of each refusal.
pub(super) fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Refusal::KeyReused => StatusCode::CONFLICT,
        Refusal::CodingUnsupported | Refusal::KindUnsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
        Refusal::NotAvailable | Refusal::NotFound => StatusCode::NOT_FOUND,
        Refusal::NotPermitted | Refusal::PeerUnknown => StatusCode::FORBIDDEN,
        Refusal::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Row(fault) => row_status(fault),
        Refusal::Timeout => StatusCode::GATEWAY_TIMEOUT,
        Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The status of one row, alone or within a batch.
pub(super) fn row_status(fault: &RowFault) -> StatusCode {
    match fault.code {
        RowCode::KindUnsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        RowCode::Malformed => StatusCode::BAD_REQUEST,
        RowCode::NotPermitted => StatusCode::FORBIDDEN,
        RowCode::CheckDigit
        | RowCode::DestinationAmbiguous
        | RowCode::DestinationUnknown
        | RowCode::EraOverlong
        | RowCode::Incomplete
        | RowCode::InvalidIdentifier
        | RowCode::InvalidValue
        | RowCode::ScheduleBroken
        | RowCode::SchemeUnknown
        | RowCode::SubjectAmbiguous
        | RowCode::SubjectUnknown
        | RowCode::Unmappable
        | RowCode::Unmapped => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// FHIR issue types (required binding of OperationOutcome.issue.code).
pub(super) fn issue_type(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "structure",
        403 => "forbidden",
        404 => "not-found",
        409 => "conflict",
        413 => "too-long",
        415 => "not-supported",
        422 => "processing",
        429 => "throttled",
        503 | 504 => "transient",
        _ => "exception",
    }
}

fn diagnostics(refusal: &Refusal, exchange: &ExchangeId) -> String {
    match refusal {
        Refusal::Row(fault) if !fault.column.is_empty() => format!("{exchange} {}", fault.column),
        _ => exchange.to_string(),
    }
}

fn retry_after(refusal: &Refusal) -> Option<u32> {
    match refusal {
        Refusal::RateLimited { retry_after_secs } => Some(*retry_after_secs),
        Refusal::Unavailable => Some(UNAVAILABLE_RETRY_SECS),
        _ => None,
    }
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, content_type: &'static str, body: &impl serde::Serialize) -> Response<Body> {
    match serde_json::to_vec(body) {
        Ok(bytes) => bytes_of(status, content_type, bytes),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            Refused(Refusal::Internal).into_response()
        }
    }
}

/// An answer of bytes.
pub(super) fn bytes_of(status: StatusCode, content_type: &str, bytes: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    if let Ok(value) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

/// The value of `Tsunagi-Leaf`; none where nothing is disclosed, for then nothing may tell whether a log was asked.
pub(super) fn leaves_of(parts: &[Part]) -> Option<HeaderValue> {
    let leaves = parts.iter().filter_map(|part| Some(format!("{}/{}", part.channel.tenant, part.leaf?)));
    let leaves = leaves.collect::<Vec<_>>().join(", ");
    HeaderValue::from_str(&leaves).ok().filter(|value| !value.is_empty())
}

/// Sets `Tsunagi-Leaf`.
pub(super) fn tell_leaves(response: &mut Response<Body>, leaves: Option<HeaderValue>) {
    if let Some(leaves) = leaves {
        response.headers_mut().insert(LEAF_HEADER, leaves);
    }
}

/// Lets an answer quote an earlier exchange.
pub(super) fn quote(response: &mut Response<Body>, exchange: &ExchangeId) {
    if let Ok(value) = HeaderValue::from_str(exchange.as_str()) {
        response.headers_mut().insert(EXCHANGE_HEADER, value);
    }
}
