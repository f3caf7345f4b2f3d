//! Replies of a FHIR server: status, OperationOutcome, and the entries of a batch's answer.

use tsunagi_core::delivery::Outcome;
use tsunagi_core::document::Node;

use crate::json;
use crate::plug::Reply;
use crate::reply::by_status_and_body;

/// A 200 with a `batch-response` says only that the batch was read; whether its entries were taken stands in each of
/// them. One entry refused makes the whole refused, one entry not taken yet has the whole sent again.
pub(super) fn interpret(reply: &Reply<'_>) -> Outcome {
    let whole = by_status_and_body(reply);
    if whole != Outcome::Delivered {
        return whole;
    }
    let Some(statuses) = entry_statuses(reply.bytes) else { return whole };
    let parts = statuses.into_iter().map(|status| by_status_and_body(&Reply { status, bytes: b"", ..*reply }));
    parts.fold(Outcome::Delivered, |worst, part| match (&worst, &part) {
        (Outcome::Rejected { .. }, _) | (_, Outcome::Delivered) => worst,
        (Outcome::Delivered | Outcome::Retry { .. }, _) => part,
    })
}

/// The statuses of a `batch-response` or `transaction-response`, each the three digits at the start of
/// `entry.response.status`. One that cannot be read is 0, which is an answer to try again on.
fn entry_statuses(bytes: &[u8]) -> Option<Vec<u16>> {
    let body = json::read(bytes).ok()?;
    if !matches!(body.member("type").and_then(Node::text), Some("batch-response" | "transaction-response")) {
        return None;
    }
    let Some(Node::List(entries)) = body.member("entry") else { return None };
    let status = |entry: &Node| {
        let text = entry.member("response")?.member("status")?.text()?;
        text.get(..3)?.parse().ok()
    };
    Some(entries.iter().map(|entry| status(entry).unwrap_or(0)).collect())
}
