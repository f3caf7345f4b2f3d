//! The text of a file, decoded piece by piece: what is held is one piece and the line that is being read.

use std::io::{ErrorKind, Read, SeekFrom};

use encoding_rs::{Decoder, DecoderResult};

use super::charset::{BYTE_ORDER_MARK, Charset};
use crate::fault::{unread, unreadable};
use crate::plug::{PayloadFault, Source};

/// A window on the text: what has been decoded and not been taken yet.
pub(super) struct Text<'a> {
    source: Box<dyn Source + 'a>,
    decoder: Decoder,
    /// Where every line is decoded by itself: how far the line that is being read is sound.
    by_line: Option<Line>,
    bytes: Vec<u8>,
    window: String,
    /// Where in the window the rest begins.
    at: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// The rest of it is passed over.
    Damaged,
    Sound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ended,
    /// The source could not be read any further.
    Failed,
    Open,
}

impl<'a> Text<'a> {
    /// Reads the whole source once, so that bytes outside the charset are known before a row is given, and goes back
    /// to its beginning. Not of ISO-2022-JP, where a line that cannot be read damages only itself: see [`DAMAGED`].
    pub(super) fn open(mut source: Box<dyn Source + 'a>, charset: Charset) -> Result<Self, PayloadFault> {
        if charset != Charset::Iso2022Jp {
            check(source.as_mut(), charset)?;
            source.seek(SeekFrom::Start(0)).map_err(|_| unread())?;
        }
        Ok(Self {
            source,
            decoder: charset.decoder(),
            by_line: (charset == Charset::Iso2022Jp).then_some(Line::Sound),
            bytes: vec![0; PIECE],
            window: String::new(),
            at: 0,
            state: State::Open,
        })
    }

    /// What has been decoded and not been taken yet.
    pub(super) fn rest(&self) -> &str {
        self.window.get(self.at..).unwrap_or_default()
    }

    /// True if nothing will be added to [`Text::rest`].
    pub(super) fn is_over(&self) -> bool {
        self.state != State::Open
    }

    /// True if it is over because the source failed.
    pub(super) fn is_broken(&self) -> bool {
        self.state == State::Failed
    }

    /// True if the text may have [`DAMAGED`] in it.
    pub(super) fn is_read_by_line(&self) -> bool {
        self.by_line.is_some()
    }

    /// Takes `length` bytes off the rest.
    pub(super) fn take(&mut self, length: usize) {
        self.at = (self.at + length).min(self.window.len());
    }

    /// Takes everything, what is not decoded yet included.
    pub(super) fn give_up(&mut self) {
        self.at = self.window.len();
        self.state = State::Ended;
    }

    /// Decodes one more piece.
    pub(super) fn grow(&mut self) {
        self.window.drain(..self.at);
        self.at = 0;
        let Ok(length) = fill(self.source.as_mut(), &mut self.bytes) else {
            self.state = State::Failed;
            return;
        };
        let piece = self.bytes.get(..length).unwrap_or_default();
        let is_last = length < self.bytes.len();
        if let Some(line) = self.by_line {
            self.by_line = Some(decode_lines(&mut self.decoder, line, piece, &mut self.window, is_last));
            if is_last {
                self.state = State::Ended;
            }
            return;
        }
        self.window.reserve(room_for(&self.decoder, length));
        let (result, _) = self.decoder.decode_to_string_without_replacement(piece, &mut self.window, is_last);
        match result {
            DecoderResult::InputEmpty if is_last => self.state = State::Ended,
            DecoderResult::InputEmpty => {}
            // All of it could be decoded before: the source is not what it was.
            DecoderResult::Malformed(..) | DecoderResult::OutputFull => self.state = State::Failed,
        }
    }
}

/// Stands in the text for what could not be read of a line. No charset that is read line by line has it.
pub(super) const DAMAGED: char = '\u{ffff}';

/// Decodes a piece line by line, each from the state of ASCII: no line end is part of another character. A line that is
/// not in ASCII at its end is damaged too, for what follows its last escape may be anything. The quote after the mark ends
/// a quoted cell whose own closing quote was among that.
fn decode_lines(decoder: &mut Decoder, mut line: Line, piece: &[u8], window: &mut String, is_last: bool) -> Line {
    let mut decode = |line: Line, bytes: &[u8], window: &mut String, is_end: bool| {
        if line == Line::Sound {
            window.reserve(room_for(decoder, bytes.len()));
            let (result, _) = decoder.decode_to_string_without_replacement(bytes, window, is_end);
            if result == DecoderResult::InputEmpty {
                if is_end {
                    *decoder = Charset::Iso2022Jp.decoder();
                }
                return Line::Sound;
            }
            // Of an unfinished line nothing is taken yet, but it may have been looked at: it is added to, not cut back.
            window.push(DAMAGED);
            window.push('"');
        }
        if is_end {
            *decoder = Charset::Iso2022Jp.decoder();
            window.extend(bytes.last().map(|byte| char::from(*byte)));
            return Line::Sound;
        }
        Line::Damaged
    };
    for part in piece.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
        line = decode(line, part, window, part.ends_with(b"\n") || part.ends_with(b"\r"));
    }
    if is_last {
        line = decode(line, b"\n", window, true);
        window.pop();
    }
    line
}

/// Decodes everything and keeps nothing.
fn check(source: &mut dyn Source, charset: Charset) -> Result<(), PayloadFault> {
    let mut decoder = charset.decoder();
    let mut bytes = vec![0; PIECE];
    let mut text = String::new();
    let (mut before, mut lines) = (0, 1);
    loop {
        let length = fill(source, &mut bytes).map_err(|_| unread())?;
        let piece = bytes.get(..length).unwrap_or_default();
        if before == 0 && charset == Charset::Cp932 && piece.starts_with(BYTE_ORDER_MARK.as_bytes()) {
            return Err(unreadable(
                "CP932と宣言されていますが、UTF-8のBOMで始まっています",
                "declared as CP932, but it begins with the byte order mark of UTF-8",
            ));
        }
        let is_last = length < bytes.len();
        text.clear();
        text.reserve(room_for(&decoder, length));
        let (result, taken) = decoder.decode_to_string_without_replacement(piece, &mut text, is_last);
        if let DecoderResult::Malformed(bad, after) = result {
            // Neither charset has a line feed inside another character, so lines can be counted in bytes. What is
            // malformed may have begun in the piece before.
            let offset = (before + taken).saturating_sub(usize::from(bad) + usize::from(after));
            let sound = piece.get(..offset.saturating_sub(before)).unwrap_or_default();
            return Err(broken(offset, lines + line_feeds(sound), charset.name()));
        }
        if is_last {
            return Ok(());
        }
        before += length;
        lines += line_feeds(piece);
    }
}

fn broken(offset: usize, line: usize, charset: &str) -> PayloadFault {
    unreadable(
        format!("{offset}バイト目（{line}行目）が{charset}として読めません"),
        format!("byte {offset} (line {line}) is not {charset}"),
    )
}

fn line_feeds(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// The most text that so many bytes can become: half-width kana triple in size.
fn room_for(decoder: &Decoder, length: usize) -> usize {
    decoder.max_utf8_buffer_length_without_replacement(length).unwrap_or(usize::MAX / 2)
}

/// Reads until the buffer is full or the source is at its end: only then is the result shorter than the buffer.
fn fill(source: &mut dyn Source, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while let Some(room) = buffer.get_mut(length..).filter(|room| !room.is_empty()) {
        match Read::read(source, room) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// How many bytes are decoded at once.
const PIECE: usize = 64 * 1024;
