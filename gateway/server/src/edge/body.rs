//! The one reader of request bodies: capped, with a deadline; files are spooled, all others are held. And the one way to answer before a body is read.

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body as AnswerBody;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tsunagi_core::fault::Bilingual;
use tsunagi_core::refusal::Refusal;

use super::limits::BodyShare;
use crate::spool::{Spool, SpoolWriter};

/// How much of a body that is refused is still read, so that the caller comes to read the answer.
const DRAIN_BYTES: u64 = 1024 * 1024;
/// And for how long.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Refuses a body that came compressed: what it unpacks to has no size that could be known before.
pub(super) fn require_plain(headers: &http::HeaderMap) -> Result<(), Refusal> {
    let is_plain = |value: &http::HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    let all_plain = headers.get_all(http::header::CONTENT_ENCODING).iter().all(is_plain);
    if all_plain { Ok(()) } else { Err(Refusal::CodingUnsupported) }
}

/// The least speed at which a body may come. Its room in memory is held while it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How long it may be slower than that at first.
    pub(super) grace: Duration,
    /// On average from its beginning on.
    pub(super) bytes_per_sec: u64,
}

impl Pace {
    /// By when so many bytes must have come, counted from the beginning.
    fn due(&self, bytes: u64) -> Duration {
        let millis = bytes.saturating_mul(1000).checked_div(self.bytes_per_sec);
        millis.map_or(Duration::MAX, |millis| self.grace.saturating_add(Duration::from_millis(millis)))
    }
}

/// The next piece of a body, if it comes before its pace says that it is too late.
async fn next_frame(
    body: &mut Incoming,
    began: tokio::time::Instant,
    length: u64,
    pace: Pace,
) -> Result<Option<Result<Frame<Bytes>, hyper::Error>>, Refusal> {
    let Some(due) = began.checked_add(pace.due(length)) else { return Ok(body.frame().await) };
    tokio::time::timeout_at(due, body.frame()).await.map_err(|_| Refusal::Timeout)
}

/// Reads at most `limit` bytes; stops reading at once where there are more, or no room for more.
pub(super) async fn read(
    body: &mut Incoming,
    limit: u64,
    deadline: Duration,
    pace: Pace,
    share: &mut BodyShare,
) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > limit {
        return Err(Refusal::TooLarge);
    }
    tokio::time::timeout(deadline, collect(body, limit, pace, share)).await.map_err(|_| Refusal::Timeout)?
}

/// Reads a body of at most `limit` bytes away, next to the store.
pub(super) async fn spool(
    body: &mut Incoming,
    limit: u64,
    deadline: Duration,
    pace: Pace,
    folder: &Path,
    share: &mut BodyShare,
) -> Result<Spool, Refusal> {
    if body.size_hint().lower() > limit {
        return Err(Refusal::TooLarge);
    }
    let unwritable = |error: std::io::Error| {
        tracing::error!(%error, "a file cannot be spooled");
        Refusal::Unavailable
    };
    let reading = async {
        let mut writer = SpoolWriter::new(folder).map_err(unwritable)?;
        let began = tokio::time::Instant::now();
        while let Some(frame) = next_frame(body, began, writer.length(), pace).await? {
            let Ok(data) = frame.map_err(|_| broke_off())?.into_data() else { continue };
            if writer.length() + data.len() as u64 > limit {
                return Err(Refusal::TooLarge);
            }
            share.grow_to(writer.length() + data.len() as u64)?;
            tokio::task::block_in_place(|| writer.write(&data)).map_err(unwritable)?;
        }
        writer.finish().map_err(unwritable)
    };
    tokio::time::timeout(deadline, reading).await.map_err(|_| Refusal::Timeout)?
}

/// A spooled body on its way to the one handler that takes it.
#[derive(Clone)]
pub(super) struct Spooled(Arc<Mutex<Option<Spool>>>);

impl Spooled {
    pub(super) fn new(spool: Spool) -> Self {
        Self(Arc::new(Mutex::new(Some(spool))))
    }

    /// The body; `None` if it was taken before.
    pub(super) fn take(&self) -> Option<Spool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

async fn collect(body: &mut Incoming, limit: u64, pace: Pace, share: &mut BodyShare) -> Result<Bytes, Refusal> {
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut length = 0u64;
    let began = tokio::time::Instant::now();
    while let Some(frame) = next_frame(body, began, length, pace).await? {
        let Ok(data) = frame.map_err(|_| broke_off())?.into_data() else { continue };
        length += data.len() as u64;
        if length > limit {
            return Err(Refusal::TooLarge);
        }
        share.grow_to(length)?;
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

fn broke_off() -> Refusal {
    Refusal::Malformed(Bilingual::new("本文が途中で切れました", "the body broke off before its end"))
}

/// Reads on for a little where a body was refused: a caller that is still writing does not read the answer.
pub(super) async fn drain(body: &mut Incoming) {
    let reading = async {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            if length > left {
                return;
            }
            left -= length;
        }
    };
    // What does not come in time is not waited for.
    let _in_time = tokio::time::timeout(DRAIN_TIME, reading).await;
}

/// An answer that keeps the request's unread body alive until it has been sent: dropping it earlier resets the stream
/// under the answer.
pub(super) fn answer_over(answer: AnswerBody, unread: Incoming) -> AnswerBody {
    AnswerBody::new(Over { answer, _unread: unread })
}

struct Over {
    answer: AnswerBody,
    _unread: Incoming,
}

impl Body for Over {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.answer).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.answer.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.answer.size_hint()
    }
}
