//! The one reader of request bodies: capped, with a deadline.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tsunagi_core::fault::Bilingual;
use tsunagi_core::refusal::Refusal;

/// Reads at most `limit` bytes; stops reading at once where there are more.
pub(super) async fn read(body: Incoming, limit: u64, deadline: Duration) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > limit {
        return Err(Refusal::TooLarge);
    }
    tokio::time::timeout(deadline, collect(body, limit)).await.map_err(|_| Refusal::Timeout)?
}

async fn collect(mut body: Incoming, limit: u64) -> Result<Bytes, Refusal> {
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut length = 0u64;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Refusal::Malformed(Bilingual::new("本文が途中で切れました", "the body broke off before its end"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len() as u64;
        if length > limit {
            return Err(Refusal::TooLarge);
        }
        // A body that comes in one piece, as most do, is not copied.
        match (&first, rest.is_empty()) {
            (None, true) => first = Some(data),
            (Some(start), true) => {
                rest.extend_from_slice(start);
                rest.extend_from_slice(&data);
            }
            _ => rest.extend_from_slice(&data),
        }
    }
    Ok(if rest.is_empty() { first.unwrap_or_default() } else { rest.freeze() })
}
