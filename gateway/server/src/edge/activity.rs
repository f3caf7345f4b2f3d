//! What happens on one connection, so that one on which too little happens can be closed: its place is another's then.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body as AnswerBody;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use super::limits::Place;

/// An answer is handed to the connection in pieces of this size: what was not asked for further is not taken.
const PIECE_BYTES: usize = 16 * 1024;

/// How long what may last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// A request's head, and the first request of a connection.
    pub(super) head: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
    /// Between two pieces of an answer.
    pub(super) answer: Duration,
}

impl Patience {
    /// How often to look.
    pub(super) fn tick(&self) -> Duration {
        let least = self.head.min(self.idle).min(self.answer);
        (least / 4).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    /// The last answer was given.
    end: Notify,
}

#[derive(Debug)]
struct State {
    next: u64,
    /// Requests that are not answered whole; those whose answer is being taken, with when a piece of it last was.
    open: BTreeMap<u64, Option<Instant>>,
    /// When the last request ended, or the connection began.
    quiet_since: Instant,
    /// When the head that is being read began.
    head_since: Option<Instant>,
    /// Since when the socket takes nothing of what is to be written.
    blocked_since: Option<Instant>,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        let (quiet_since, open) = (Instant::now(), BTreeMap::new());
        let state = State { next: 0, open, quiet_since, head_since: None, blocked_since: None };
        Arc::new(Self { state: Mutex::new(state), end: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first byte of a head was read; later ones change nothing.
    pub(super) fn head_began(&self) {
        self.state().head_since.get_or_insert_with(Instant::now);
    }

    /// The head is whole.
    pub(super) fn head_ended(&self) {
        self.state().head_since = None;
    }

    /// Whether a write could be made, or waits for the peer to read.
    fn wrote<T>(&self, outcome: &Poll<T>) {
        let mut state = self.state();
        match outcome {
            Poll::Ready(_) => state.blocked_since = None,
            Poll::Pending => {
                state.blocked_since.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Waits until there is to be no further request.
    pub(super) async fn ended(&self) {
        self.end.notified().await;
    }

    /// A request has come.
    pub(super) fn begin(self: &Arc<Self>) -> Open {
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        state.open.insert(id, None);
        Open { activity: self.clone(), id }
    }

    /// The word for why the connection is to be closed now, if it is.
    pub(super) fn overdue(&self, patience: &Patience) -> Option<&'static str> {
        let state = self.state();
        let is_over = |since: &Instant, most: Duration| since.elapsed() > most;
        if state.head_since.as_ref().is_some_and(|since| is_over(since, patience.head)) {
            return Some("slow_head");
        }
        if state.open.values().flatten().chain(&state.blocked_since).any(|since| is_over(since, patience.answer)) {
            return Some("slow_reader");
        }
        if state.head_since.is_some() {
            return None;
        }
        let quiet = if state.next == 0 { patience.head.min(patience.idle) } else { patience.idle };
        (state.open.is_empty() && is_over(&state.quiet_since, quiet)).then_some("idle")
    }
}

/// A stream on which it is seen whether the peer reads.
pub(super) struct Watched<S> {
    inner: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(super) fn new(inner: S, activity: Arc<Activity>) -> Self {
        Self { inner, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.activity.wrote(&outcome);
        outcome
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.activity.wrote(&outcome);
        outcome
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_flush(cx);
        self.activity.wrote(&outcome);
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// One request that is not answered whole.
pub(super) struct Open {
    activity: Arc<Activity>,
    id: u64,
}

impl Open {
    fn moved(&self) {
        self.activity.state().open.insert(self.id, Some(Instant::now()));
    }

    /// No request after this one is taken on the connection.
    pub(super) fn is_last(&self) {
        self.activity.end.notify_one();
    }

    /// The answer, from here on watched for whether it is taken.
    pub(super) fn over(self, answer: AnswerBody, place: Option<Arc<Place>>) -> AnswerBody {
        self.moved();
        AnswerBody::new(Taken { answer, piece: Bytes::new(), open: self, _place: place })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.open.remove(&self.id);
        state.quiet_since = Instant::now();
    }
}

struct Taken {
    answer: AnswerBody,
    piece: Bytes,
    open: Open,
    /// Held until the answer is sent.
    _place: Option<Arc<Place>>,
}

impl Body for Taken {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        this.open.moved();
        if this.piece.is_empty() {
            match std::task::ready!(Pin::new(&mut this.answer).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.piece = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return Poll::Ready(other),
            }
        }
        let count = this.piece.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(this.piece.split_to(count)))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.answer.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, piece) = (self.answer.size_hint(), self.piece.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(piece));
        }
        hint.set_lower(hint.lower().saturating_add(piece));
        hint
    }
}
