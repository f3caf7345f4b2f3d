//! The character sets of municipal files, strictly: what does not fit is a fault with a place, never `U+FFFD`, `?` or
//! `&#…;`.
//!
//! CP932 here is the WHATWG Shift_JIS of `encoding_rs`: JIS X 0208 with the vendor rows (髙, 﨑, ①), bytes 81 60 as ～ U+FF5E
//! and 81 7C as － U+FF0D, user-defined characters (外字) read into the private use area. They cannot be written back.
//!
//! ISO-2022-JP is written with JIS X 0208 alone, rows 1 to 8 and 16 to 84: strict readers know no vendor rows (髙, ①), and
//! half-width kana would come out full-width. It is read as `encoding_rs` reads it, line by line.

use std::borrow::Cow;

use encoding_rs::{Decoder, Encoder, EncoderResult, Encoding, ISO_2022_JP, SHIFT_JIS, UTF_8};

/// A character set a file may be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    /// Windows-31J (MS932); what `shift_jis` means in practice
    Cp932,
    /// ISO-2022-JP: escapes say of the bytes after them what they are; every line begins and ends in ASCII
    Iso2022Jp,
    /// UTF-8; a byte order mark is passed over when reading and not written
    Utf8,
    /// UTF-8 that begins with a byte order mark, as spreadsheets want it
    Utf8Bom,
}

impl Charset {
    /// Reads a charset label, the registered ones and those of layouts, in any case.
    pub(super) fn parse(label: &str) -> Option<Self> {
        match label.trim().to_ascii_lowercase().as_str() {
            "cp932" => Some(Self::Cp932),
            "utf-8-bom" => Some(Self::Utf8Bom),
            other => match Encoding::for_label(other.as_bytes())? {
                found if found == SHIFT_JIS => Some(Self::Cp932),
                found if found == ISO_2022_JP => Some(Self::Iso2022Jp),
                found if found == UTF_8 => Some(Self::Utf8),
                _ => None,
            },
        }
    }

    /// A decoder for one file, or for one line of ISO-2022-JP; a byte order mark of UTF-8 is passed over.
    pub(super) fn decoder(self) -> Decoder {
        match self {
            Self::Cp932 => SHIFT_JIS.new_decoder_without_bom_handling(),
            Self::Iso2022Jp => ISO_2022_JP.new_decoder_without_bom_handling(),
            Self::Utf8 | Self::Utf8Bom => UTF_8.new_decoder_with_bom_removal(),
        }
    }

    /// As faults call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cp932 => "CP932",
            Self::Iso2022Jp => "ISO-2022-JP",
            Self::Utf8 | Self::Utf8Bom => "UTF-8",
        }
    }
}

/// A character that does not fit, as its number in the text, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unmappable {
    pub(super) character: usize,
}

/// Takes text and holds bytes.
pub(super) struct CharsetWriter {
    bytes: Vec<u8>,
    charset: Charset,
}

impl CharsetWriter {
    pub(super) fn new(charset: Charset) -> Self {
        Self {
            bytes: if charset == Charset::Utf8Bom { BYTE_ORDER_MARK.as_bytes().to_vec() } else { Vec::new() },
            charset,
        }
    }

    /// Appends text that is ASCII by construction: separators, quotes, line ends.
    pub(super) fn push_ascii(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Appends `text`, or says which character has no place in the charset; the bytes are then not to be used.
    pub(super) fn push(&mut self, text: &str) -> Result<(), Unmappable> {
        let encoder = match self.charset {
            Charset::Cp932 => SHIFT_JIS.new_encoder(),
            // Begins in ASCII and, at the end of the text, goes back to it.
            Charset::Iso2022Jp => ISO_2022_JP.new_encoder(),
            Charset::Utf8 | Charset::Utf8Bom => {
                self.bytes.extend_from_slice(text.as_bytes());
                return Ok(());
            }
        };
        let folded = fold_to_jis(text);
        let before = self.bytes.len();
        self.encode(encoder, &folded)?;
        let written = self.bytes.get(before..).unwrap_or_default();
        match self.charset {
            Charset::Iso2022Jp => {
                beyond_jis(&folded, written).map_or(Ok(()), |character| Err(Unmappable { character }))
            }
            Charset::Cp932 | Charset::Utf8 | Charset::Utf8Bom => Ok(()),
        }
    }

    fn encode(&mut self, mut encoder: Encoder, folded: &str) -> Result<(), Unmappable> {
        let mut read = 0;
        loop {
            let rest = folded.get(read..).unwrap_or_default();
            // A character is at most two bytes in either, and never longer than in UTF-8; there may be escapes of three
            // bytes around it.
            self.bytes.reserve(rest.len() * 3 + 16);
            let (result, taken) = encoder.encode_from_utf8_to_vec_without_replacement(rest, &mut self.bytes, true);
            read += taken;
            match result {
                EncoderResult::InputEmpty => return Ok(()),
                EncoderResult::OutputFull => {}
                EncoderResult::Unmappable(_) => {
                    let character = folded.get(..read).unwrap_or_default().chars().count();
                    return Err(Unmappable { character });
                }
            }
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The number of the first character, from 1, that is none of JIS X 0208, told by the bytes it was written with: vendor
/// rows, and half-width kana, which the encoder widens.
fn beyond_jis(text: &str, written: &[u8]) -> Option<usize> {
    let mut bytes = written;
    let mut is_double = false;
    for (number, character) in (1usize..).zip(text.chars()) {
        while let Some(rest) = bytes.strip_prefix(b"\x1b") {
            is_double = rest.starts_with(b"$");
            bytes = rest.get(2..).unwrap_or_default();
        }
        let row = bytes.first().filter(|_| is_double).map(|lead| lead.saturating_sub(0x20));
        if matches!(character, '｡'..='ﾟ') || row.is_some_and(|row| !matches!(row, 1..=8 | 16..=84)) {
            return Some(number);
        }
        bytes = bytes.get(if is_double { 2 } else { 1 }..).unwrap_or_default();
    }
    None
}

/// Puts the character of the WHATWG encoders for its twin of JIS, so that 〜 from another system is not called unmappable;
/// both have the same bytes. ¥ and ‾ are among them because CP932 would otherwise have 5C and 7E, which read back as `\`
/// and `~`. One character for one: numbers of characters stay.
fn fold_to_jis(text: &str) -> Cow<'_, str> {
    let twin = |c: char| match c {
        '〜' => '～',
        '−' => '－',
        '‖' => '∥',
        '—' => '―',
        '¢' => '￠',
        '£' => '￡',
        '¥' => '￥',
        '¬' => '￢',
        '‾' => '￣',
        other => other,
    };
    if text.chars().all(|c| twin(c) == c) { Cow::Borrowed(text) } else { Cow::Owned(text.chars().map(twin).collect()) }
}

pub(super) const BYTE_ORDER_MARK: &str = "\u{feff}";
