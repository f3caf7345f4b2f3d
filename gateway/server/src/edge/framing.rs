//! The strict reader of HTTP/1.1 framing. Where a message begins and ends must have one reading only: what the next hop
//! or the one before could read in another way is request smuggling (RFC 9112 sections 6.3 and 11.2). The parser behind
//! this reader is lenient where history was; here a head is handed on only once it is whole and beyond doubt.
//!
//! Refused: a line that ends in LF alone, a bare CR or NUL, a folded header, space before the colon, Content-Length with
//! Transfer-Encoding or twice or not of digits alone, a transfer coding other than `chunked` alone, any in HTTP/1.0,
//! chunk sizes that are not 1 to 8 hexadecimal digits, chunk extensions, trailers, two Host fields or none. The caller gets 400 and the
//! connection ends: the parser is handed something that is no HTTP, and after it nothing more.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::Activity;

/// Read at once where the bytes are looked at.
const STEP_BYTES: usize = 8 * 1024;
/// A chunk size of so many digits says more than any body may have.
const MOST_SIZE_DIGITS: usize = 8;
/// No HTTP, neither as a head nor as a chunk size.
const POISON: &[u8] = b"\0\r\n\r\n";

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before or in a head.
    Head,
    /// So many bytes of a body.
    Body(u64),
    /// The line with a chunk's size; so many bytes of it are read.
    ChunkSize { size: u64, digits: usize },
    /// So many bytes of a chunk, the last two being CRLF.
    Chunk(u64),
    /// The two bytes that end the chunks.
    LastLine(usize),
    /// Nothing is handed on any more.
    Broken,
}

/// A connection whose requests are framed without doubt.
pub(super) struct Framed<S> {
    inner: S,
    place: Place,
    /// Read, not yet looked at.
    raw: BytesMut,
    /// Looked at, not yet handed on.
    sound: BytesMut,
    /// How much of `raw` was searched for the end of a head.
    searched: usize,
    most_head_bytes: usize,
    activity: Arc<Activity>,
}

impl<S> Framed<S> {
    /// `most_head_bytes` is where the parser behind gives up by itself.
    pub(super) fn new(inner: S, most_head_bytes: usize, activity: Arc<Activity>) -> Self {
        let (raw, sound) = (BytesMut::new(), BytesMut::new());
        Self { inner, place: Place::Head, raw, sound, searched: 0, most_head_bytes, activity }
    }

    fn broken(&mut self) {
        metrics::counter!("tsunagi_connections_closed_total", "reason" => "framing").increment(1);
        self.activity.head_ended();
        self.sound.extend_from_slice(POISON);
        self.raw.clear();
        self.place = Place::Broken;
    }

    /// Looks at what was read; false if more is needed.
    fn advance(&mut self) -> bool {
        if self.raw.is_empty() {
            return false;
        }
        match self.place {
            Place::Head => return self.head(),
            Place::Body(left) => {
                let taken = self.pass(left);
                self.place = if taken == left { Place::Head } else { Place::Body(left - taken) };
            }
            Place::Chunk(left) if left > 2 => {
                let taken = self.pass(left - 2);
                self.place = Place::Chunk(left - taken);
            }
            Place::Chunk(left) => {
                let is_right = self.raw.first() == Some(if left == 2 { &b'\r' } else { &b'\n' });
                let next = if left == 2 { Place::Chunk(1) } else { Place::ChunkSize { size: 0, digits: 0 } };
                self.byte(is_right, next);
            }
            Place::ChunkSize { size, digits } => self.chunk_size(size, digits),
            Place::LastLine(read) => {
                let is_right = self.raw.first() == Some(if read == 0 { &b'\r' } else { &b'\n' });
                self.byte(is_right, if read == 0 { Place::LastLine(1) } else { Place::Head });
            }
            Place::Broken => self.raw.clear(),
        }
        true
    }

    /// Hands on up to so many bytes.
    fn pass(&mut self, most: u64) -> u64 {
        let count = usize::try_from(most).unwrap_or(usize::MAX).min(self.raw.len());
        let taken = self.raw.split_to(count);
        self.sound.extend_from_slice(&taken);
        count as u64
    }

    /// Hands one byte on if it is the right one.
    fn byte(&mut self, is_right: bool, next: Place) {
        if !is_right {
            return self.broken();
        }
        self.pass(1);
        self.place = next;
    }

    fn chunk_size(&mut self, size: u64, digits: usize) {
        const AFTER_CR: usize = usize::MAX;
        let Some(&byte) = self.raw.first() else { return };
        if digits == AFTER_CR {
            let next = if size == 0 { Place::LastLine(0) } else { Place::Chunk(size + 2) };
            return self.byte(byte == b'\n', next);
        }
        match char::from(byte).to_digit(16) {
            Some(digit) if digits < MOST_SIZE_DIGITS => {
                self.byte(true, Place::ChunkSize { size: size * 16 + u64::from(digit), digits: digits + 1 });
            }
            _ => self.byte(byte == b'\r' && digits > 0, Place::ChunkSize { size, digits: AFTER_CR }),
        }
    }

    fn head(&mut self) -> bool {
        // RFC 9112 section 2.2: an empty line before a request is passed over.
        if self.raw.starts_with(b"\r\n") {
            self.raw.advance(2);
            self.searched = 0;
            return true;
        }
        self.activity.head_began();
        let from = self.searched.saturating_sub(3);
        let end = self.raw.get(from..).unwrap_or_default().windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end.map(|at| from + at + 4) else {
            self.searched = self.raw.len();
            // A line that ends wrongly is wrong before the head is whole.
            if !lines_end_rightly(&self.raw, from) {
                self.broken();
                return true;
            }
            if self.raw.len() >= self.most_head_bytes {
                // The parser says itself that this is too much, and reads no further.
                self.pass(u64::MAX);
                self.place = Place::Broken;
                return true;
            }
            return false;
        };
        self.searched = 0;
        match body_of(self.raw.get(..end).unwrap_or_default()) {
            Some(place) => {
                self.activity.head_ended();
                self.pass(end as u64);
                self.place = place;
            }
            None => self.broken(),
        }
        true
    }
}

/// True if from there on no LF stands without its CR, no CR without its LF, and no NUL at all. A CR at the very end may
/// get its LF yet.
fn lines_end_rightly(bytes: &[u8], from: usize) -> bool {
    let looked_at = bytes.get(from.saturating_sub(1)..).unwrap_or_default();
    let pairs = looked_at.windows(2).all(|pair| match pair {
        [b'\r', next] => *next == b'\n',
        [before, b'\n'] => *before == b'\r',
        [before, _] => *before != 0,
        _ => true,
    });
    pairs && bytes.first() != Some(&b'\n') && bytes.last() != Some(&0)
}

/// What follows a head that is whole, or `None` where that can be read in two ways.
fn body_of(head: &[u8]) -> Option<Place> {
    if !lines_end_rightly(head, 0) {
        return None;
    }
    let text = head.strip_suffix(b"\r\n\r\n")?;
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let request_line = lines.next()?;
    // RFC 9112 section 3.2: a target has no fragment; and there is nothing here to connect through to.
    if request_line.contains(&b'#') || request_line.starts_with(b"CONNECT ") {
        return None;
    }
    let (mut length, mut is_chunked, mut hosts) = (None, false, 0);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?.trim_ascii());
        if name.is_empty() || !name.iter().copied().all(is_token) {
            return None;
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(value).ok().filter(|_| is_number)?.parse::<u64>().ok()?;
            if length.replace(number).is_some() {
                return None;
            }
        }
        if name.eq_ignore_ascii_case(b"host") {
            hosts += 1;
            // One host and nothing beside it: RFC 9110 section 7.2.
            if value.iter().any(|byte| b"@,/?# \t".contains(byte)) {
                return None;
            }
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return None;
            }
            is_chunked = true;
        }
    }
    // RFC 9112 section 3.2: exactly one, but for HTTP/1.0, which did not know it.
    if hosts > 1 || (hosts == 0 && !request_line.ends_with(b" HTTP/1.0")) {
        return None;
    }
    match (length, is_chunked) {
        (Some(_), true) => None,
        (None, true) if !request_line.ends_with(b" HTTP/1.1") => None,
        (None, true) => Some(Place::ChunkSize { size: 0, digits: 0 }),
        (None | Some(0), false) => Some(Place::Head),
        (Some(length), false) => Some(Place::Body(length)),
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl<S: AsyncRead + Unpin> AsyncRead for Framed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.sound.is_empty() {
                let count = buf.remaining().min(this.sound.len());
                buf.put_slice(&this.sound.split_to(count));
                return Poll::Ready(Ok(()));
            }
            if this.place == Place::Broken {
                return Poll::Ready(Ok(()));
            }
            if this.advance() {
                continue;
            }
            if let Place::Body(left) = this.place {
                // What is known to be a body is not looked at.
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(buf.remaining());
                let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
                ready!(Pin::new(&mut this.inner).poll_read(cx, &mut part))?;
                let count = part.filled().len();
                buf.advance(count);
                let left = left - count as u64;
                this.place = if left == 0 { Place::Head } else { Place::Body(left) };
                return Poll::Ready(Ok(()));
            }
            if this.raw.is_empty() {
                // Nothing is kept for a request that may never come: most connections are idle most of the time.
                (this.raw, this.sound) = (BytesMut::new(), BytesMut::new());
            }
            let mut step = [0; STEP_BYTES];
            let mut step = ReadBuf::new(&mut step);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut step))?;
            if step.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.raw.extend_from_slice(step.filled());
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Framed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
