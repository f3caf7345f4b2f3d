//! What an answer may carry. Anything else is a leak or a promise nobody made.

use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

/// Every header the edge may answer with.
const HEADERS: [&str; 19] = [
    "allow",
    "cache-control",
    "connection",
    "content-disposition",
    "content-length",
    "content-type",
    "date",
    "link",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "tsunagi-batch",
    "tsunagi-batch-rows",
    "tsunagi-channel",
    "tsunagi-directive",
    "tsunagi-layout",
    "tsunagi-leaf",
    "tsunagi-shrunk",
];

/// What answers in the terms of C2SP tlog-witness.
const WITNESS: &str = "/v1/witness/add-checkpoint";

/// The one header that every answer must carry, whatever it is.
const EXCHANGE: &str = "tsunagi-exchange";

/// RFC 9457 and what Tsunagi adds to it.
const PROBLEM: [&str; 8] = ["type", "title", "status", "code", "detail", "exchange", "row", "column"];

const ISSUE: [&str; 4] = ["severity", "code", "details", "diagnostics"];

/// Fails on a header or an error member that is not on its list.
pub(crate) fn check(path: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) {
    for name in headers.keys() {
        let known = HEADERS.contains(&name.as_str()) || name == EXCHANGE;
        assert!(known, "{path}: the header {name} was never promised");
    }
    let exchange = headers.get(EXCHANGE).unwrap_or_else(|| panic!("{path}: no {EXCHANGE}")).to_str().unwrap();
    assert!(exchange.starts_with("ex-"), "{path}: {exchange}");
    let kept = headers.get(header::CACHE_CONTROL).map(http::HeaderValue::as_bytes);
    assert_eq!(kept, Some(b"no-store".as_slice()), "{path}: answers about people are not for caches");
    let is_of_the_witness = path == WITNESS && matches!(status.as_u16(), 409 | 422);
    if is_of_the_witness {
        // In the terms of its own protocol: a size or nothing.
        assert!(body.iter().all(|byte| byte.is_ascii_digit() || *byte == b'\n'), "{path}");
    } else if status.is_client_error() || status.is_server_error() {
        let media_type = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap().to_owned());
        let value: Value = serde_json::from_slice(body).unwrap_or_else(|_| panic!("{path}: {status} is not JSON"));
        if path.starts_with("/fhir") {
            assert_eq!(media_type.as_deref(), Some("application/fhir+json; charset=utf-8"), "{path}");
            outcome(path, &value);
        } else {
            assert_eq!(media_type.as_deref(), Some("application/problem+json; charset=utf-8"), "{path}");
            members(path, &value, &PROBLEM);
            assert_eq!(value["exchange"], exchange, "{path}: the body quotes another exchange than the header");
            assert_eq!(value["status"], status.as_u16(), "{path}");
        }
    }
}

fn outcome(path: &str, value: &Value) {
    members(path, value, &["resourceType", "issue"]);
    assert_eq!(value["resourceType"], "OperationOutcome", "{path}");
    for issue in value["issue"].as_array().expect("issues") {
        members(path, issue, &ISSUE);
        members(path, &issue["details"], &["coding", "text"]);
        for coding in issue["details"]["coding"].as_array().expect("codings") {
            members(path, coding, &["system", "code"]);
        }
    }
}

fn members(path: &str, value: &Value, known: &[&str]) {
    for name in value.as_object().unwrap_or_else(|| panic!("{path}: not an object")).keys() {
        assert!(known.contains(&name.as_str()), "{path}: the member {name} was never promised");
    }
}
