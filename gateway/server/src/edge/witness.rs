//! `POST /v1/witness/add-checkpoint`: this hub as a witness (証人) of other logs, after C2SP `tlog-witness`.
//!
//! It stands at the edge, behind mutual TLS, and answers for a log only the participant that the configuration names for
//! it: whoever else could ask would learn how fast that log grows, and could make the hub write. The head that was seen
//! last is durable, with its leaf in the hub's own log, before the cosignature leaves.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use http::{Response, StatusCode};
use tsunagi_core::audit::{Action, EventOutcome};
use tsunagi_core::checkpoint::{SignedHead, stated};
use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::TenantId;
use tsunagi_core::merkle::empty_root;
use tsunagi_core::refusal::Refusal;
use tsunagi_core::tlog::Growth;
use tsunagi_store::{Note, StoreError, WitnessedHead};

use super::answer::{self, Refused};
use crate::gateway::Gateway;
use crate::pipeline::Call;

/// Cosigns a checkpoint that continues the one that was cosigned last.
pub(super) async fn add_checkpoint(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    bytes: Bytes,
) -> Result<Response<Body>, Refused> {
    let witness = gateway.witness.as_ref().ok_or(Refused(Refusal::NotFound))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed())?;
    let growth = Growth::parse(text).map_err(|_| malformed())?;
    let (claimed, _) = stated(&growth.checkpoint).map_err(|_| malformed())?;
    let log = witness.log(&claimed.origin, &call.caller.participant.id).ok_or(Refused(Refusal::NotFound))?;
    let head = log.key.open(&growth.checkpoint).map_err(|_| Refused(Refusal::NotPermitted))?;
    if growth.old > head.size {
        return Err(malformed());
    }
    let seen = gateway.store.witnessed(&log.name).await?;
    let seen_size = seen.map_or(0, |seen| seen.size);
    if growth.old != seen_size {
        return Ok(conflict(&call, seen_size));
    }
    let seen_root = seen.map_or_else(empty_root, |seen| seen.root);
    if head.size == seen_size && head.root != seen_root {
        note_fork(&gateway, &call, &head, &growth.checkpoint).await?;
        return Ok(conflict(&call, seen_size));
    }
    if !growth.holds(&seen_root, &head) {
        note_fork(&gateway, &call, &head, &growth.checkpoint).await?;
        return Ok(plain(&call, StatusCode::UNPROCESSABLE_ENTITY, "text/plain; charset=utf-8", String::new()));
    }
    let line = witness.cosigner.sign(&growth.checkpoint, call.at).map_err(|_| malformed())?;
    let mut event = call.event(Action::CheckpointWitnessed, EventOutcome::Done);
    event.reason = Some(place(&head));
    let now = WitnessedHead { size: head.size, root: head.root };
    match gateway.store.witness(&log.name, seen, now, event).await {
        Ok(_) => Ok(plain(&call, StatusCode::OK, "text/plain; charset=utf-8", line)),
        // Somebody else was faster: what this call was held against is no longer the newest.
        Err(StoreError::Stale) => {
            let newest = gateway.store.witnessed(&log.name).await?;
            Ok(conflict(&call, newest.map_or(0, |newest| newest.size)))
        }
        Err(error) => Err(error.into()),
    }
}

/// A checkpoint with a good signature that does not continue the last one. It may be a mistake in the proof; if it is not,
/// it proves that there are two logs, so it is kept where it can be found.
async fn note_fork(gateway: &Gateway, call: &Call, head: &SignedHead, checkpoint: &str) -> Result<(), Refused> {
    tracing::error!(exchange = %call.exchange, checkpoint, "a checkpoint does not continue the one that was cosigned last");
    metrics::counter!("tsunagi_witness_refusals_total").increment(1);
    let mut event = call.event(Action::CheckpointWitnessed, EventOutcome::Denied);
    event.reason = Some(format!("forked:{}", place(head)));
    let note = Note { events: vec![event], rests_on: Vec::new(), directive: None };
    gateway.store.note(&TenantId::hub(), note).await?;
    Ok(())
}

fn place(head: &SignedHead) -> String {
    format!("{}@{}", head.origin, head.size)
}

/// The size that a proof has to begin with.
fn conflict(call: &Call, size: u64) -> Response<Body> {
    plain(call, StatusCode::CONFLICT, "text/x.tlog.size", format!("{size}\n"))
}

/// An answer in the protocol's own terms.
fn plain(call: &Call, status: StatusCode, content_type: &str, text: String) -> Response<Body> {
    let mut response = answer::bytes_of(status, content_type, text.into_bytes());
    answer::quote(&mut response, &call.exchange);
    response
}

fn malformed() -> Refused {
    Refused(Refusal::Malformed(Bilingual::new(
        "本文は old 行、整合性証明、空行、検査点です（C2SP tlog-witness）",
        "the body is an old line, a consistency proof, an empty line and a checkpoint (C2SP tlog-witness)",
    )))
}
