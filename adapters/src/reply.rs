//! What the reply of a destination means, in every format: by its status, and by the code it states.

use tsunagi_core::delivery::Outcome;
use tsunagi_core::document::Node;

use crate::json;
use crate::plug::Reply;

/// Reads an outcome off status and stated code.
///
/// - 2xx: delivered.
/// - 408, 425, 429, 5xx, and whatever is no answer to a request (1xx, 3xx): not now.
/// - 409: we deliver at least once, so a destination may say that it has this already. It has only said so if its
///   code is `duplicate` (the word of FHIR's issue types). A bare 409 is as likely a conflict of versions or of
///   idempotency keys, and to call that delivered would lose a record: it is rejected.
/// - any other 4xx: rejected.
pub(crate) fn by_status(reply: &Reply<'_>) -> Outcome {
    match reply.status {
        200..=299 => Outcome::Delivered,
        408 | 425 | 429 => Outcome::Retry { after_secs: reply.retry_after_secs },
        status @ 400..=499 => match stated_code(reply.bytes) {
            Some(code) if status == 409 && code == "duplicate" => Outcome::Delivered,
            Some(code) => Outcome::Rejected { code },
            None => Outcome::Rejected { code: format!("http_{status}") },
        },
        _ => Outcome::Retry { after_secs: reply.retry_after_secs },
    }
}

/// As [`by_status`], but a 2xx whose body is an OperationOutcome with an issue of severity `error` or `fatal` is not
/// taken for a success. Issue types that FHIR defines as transient are tried again.
#[cfg(any(feature = "adapter-fhir-r4", feature = "adapter-pmh-api"))]
pub(crate) fn by_status_and_body(reply: &Reply<'_>) -> Outcome {
    if !(200..=299).contains(&reply.status) {
        return by_status(reply);
    }
    let body = json::read(reply.bytes).ok();
    let Some(issue) = body.as_ref().and_then(failed_issue) else { return Outcome::Delivered };
    match issue_code(issue) {
        Some(code) if TRANSIENT_ISSUES.contains(&code.as_str()) => {
            Outcome::Retry { after_secs: reply.retry_after_secs }
        }
        Some(code) if code == "duplicate" => Outcome::Delivered,
        Some(code) => Outcome::Rejected { code },
        None => Outcome::Rejected { code: format!("http_{}", reply.status) },
    }
}

/// The code a refusal states: the `code` member of `application/problem+json`, or the code of the first failed issue
/// of an OperationOutcome.
fn stated_code(bytes: &[u8]) -> Option<String> {
    let body = json::read(bytes).ok()?;
    let problem = body.member("code").and_then(Node::text).and_then(safe_code);
    problem.or_else(|| failed_issue(&body).and_then(issue_code))
}

fn failed_issue(body: &Node) -> Option<&Node> {
    if body.member("resourceType").and_then(Node::text) != Some("OperationOutcome") {
        return None;
    }
    let Some(Node::List(issues)) = body.member("issue") else { return None };
    issues.iter().find(|issue| matches!(issue.member("severity").and_then(Node::text), Some("error" | "fatal")))
}

fn issue_code(issue: &Node) -> Option<String> {
    issue.member("code").and_then(Node::text).and_then(safe_code)
}

/// Takes a code only if it looks like one: a code is kept and shown, and a destination may echo what we sent. Small
/// letters, digits, `_` and `-`, at most 64, at least one letter, and no run of digits as long as an identifier.
fn safe_code(text: &str) -> Option<String> {
    let is_code_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    let longest_run = text.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(is_code_byte)
        && text.bytes().any(|b| b.is_ascii_lowercase())
        && longest_run < SHORTEST_IDENTIFIER;
    fits.then(|| text.to_owned())
}

/// 受給者番号 of the national schemes have seven digits; no code needs that many.
const SHORTEST_IDENTIFIER: usize = 7;

/// Under `transient` in FHIR R4's IssueType.
#[cfg(any(feature = "adapter-fhir-r4", feature = "adapter-pmh-api"))]
const TRANSIENT_ISSUES: [&str; 7] =
    ["exception", "incomplete", "lock-error", "no-store", "throttled", "timeout", "transient"];

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u16, body: &str) -> Outcome {
        by_status(&Reply { status, retry_after_secs: Some(30), bytes: body.as_bytes() })
    }

    fn rejected(code: &str) -> Outcome {
        Outcome::Rejected { code: code.to_owned() }
    }

    #[test]
    fn status_decides() {
        for status in [200, 201, 202, 204] {
            assert_eq!(outcome(status, ""), Outcome::Delivered, "{status}");
        }
        for status in [100, 302, 308, 408, 425, 429, 500, 502, 503, 599, 0, 999] {
            assert_eq!(outcome(status, ""), Outcome::Retry { after_secs: Some(30) }, "{status}");
        }
        for status in [400, 401, 403, 404, 409, 412, 413, 422] {
            assert_eq!(outcome(status, "<html>"), rejected(&format!("http_{status}")), "{status}");
        }
    }

    #[test]
    fn a_stated_code_is_kept_if_it_is_one() {
        let long = "a".repeat(65);
        for (code, kept) in [
            ("unmapped", true),
            ("business-rule", true),
            ("e_0042", true),
            ("", false),
            ("E0042", false),
            ("汐見", false),
            ("210987654321", false),
            ("id-210987654321", false),
            ("42", false),
            ("two words", false),
            (long.as_str(), false),
        ] {
            let expected = if kept { rejected(code) } else { rejected("http_422") };
            assert_eq!(outcome(422, &format!(r#"{{"status":422,"code":"{code}"}}"#)), expected, "{code}");
        }
        let issues = r#"{"resourceType":"OperationOutcome","issue":[
            {"severity":"warning","code":"informational"},{"severity":"error","code":"required"}]}"#;
        assert_eq!(outcome(400, issues), rejected("required"));
    }

    #[test]
    fn a_conflict_is_delivered_only_if_it_says_duplicate() {
        assert_eq!(outcome(409, r#"{"code":"duplicate"}"#), Outcome::Delivered);
        assert_eq!(outcome(409, r#"{"code":"key_reused"}"#), rejected("key_reused"));
        assert_eq!(outcome(422, r#"{"code":"duplicate"}"#), rejected("duplicate"));
    }
}
