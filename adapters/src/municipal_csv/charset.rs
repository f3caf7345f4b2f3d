//! The character sets of municipal files, strictly: what does not fit is a fault with a place, never `U+FFFD`, `?` or
//! `&#…;`.
//!
//! CP932 here is the WHATWG Shift_JIS of `encoding_rs`: JIS X 0208 with the vendor rows (髙, 﨑, ①), bytes 81 60 as ～ U+FF5E
//! and 81 7C as － U+FF0D, user-defined characters (外字) read into the private use area. They cannot be written back.

use std::borrow::Cow;

use encoding_rs::{Decoder, Encoder, EncoderResult, Encoding, SHIFT_JIS, UTF_8};

/// A character set a file may be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    /// Windows-31J (MS932); what `shift_jis` means in practice
    Cp932,
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
                found if found == UTF_8 => Some(Self::Utf8),
                _ => None,
            },
        }
    }

    /// A decoder for one file; a byte order mark of UTF-8 is passed over.
    pub(super) fn decoder(self) -> Decoder {
        match self {
            Self::Cp932 => SHIFT_JIS.new_decoder_without_bom_handling(),
            Self::Utf8 | Self::Utf8Bom => UTF_8.new_decoder_with_bom_removal(),
        }
    }

    /// As faults call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cp932 => "CP932",
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
    cp932: Option<Encoder>,
}

impl CharsetWriter {
    pub(super) fn new(charset: Charset) -> Self {
        Self {
            bytes: if charset == Charset::Utf8Bom { BYTE_ORDER_MARK.as_bytes().to_vec() } else { Vec::new() },
            cp932: (charset == Charset::Cp932).then(|| SHIFT_JIS.new_encoder()),
        }
    }

    /// Appends text that is ASCII by construction: separators, quotes, line ends.
    pub(super) fn push_ascii(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Appends `text`, or says which character has no place in the charset; the bytes are then not to be used.
    pub(super) fn push(&mut self, text: &str) -> Result<(), Unmappable> {
        let Some(encoder) = &mut self.cp932 else {
            self.bytes.extend_from_slice(text.as_bytes());
            return Ok(());
        };
        let folded = fold_to_cp932(text);
        let mut read = 0;
        loop {
            let rest = folded.get(read..).unwrap_or_default();
            // A character is at most two bytes in CP932, and never longer than in UTF-8.
            self.bytes.reserve(rest.len() + 16);
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

/// Puts the character of CP932 for its twin of JIS, so that 〜 from another system is not called unmappable. ¥ and ‾
/// are among them because the encoder would otherwise write 5C and 7E, which read back as `\` and `~`. One character
/// for one: numbers of characters stay.
fn fold_to_cp932(text: &str) -> Cow<'_, str> {
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
