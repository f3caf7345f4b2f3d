//! What the targets share: fuzz input taken apart, and payloads decoded and written as the gateway does it.

pub mod base;
pub mod fields;
pub mod seeds;
pub mod tree;

use std::io::Cursor;
use std::sync::OnceLock;

use jiff::civil::{Date, date};
use tsunagi_adapters::{Adapter, Envelope, Payload, PayloadFault, Shape};
use tsunagi_core::document::Document;
use tsunagi_core::fault::{Bilingual, RowCode, RowFault};
use tsunagi_core::id::FormatName;
use tsunagi_mappings::{Layout, Tables};

/// The day on which all targets run.
pub const TODAY: Date = date(2026, 6, 1);

/// The tables that are compiled in.
pub fn builtin() -> &'static Tables {
    static TABLES: OnceLock<Tables> = OnceLock::new();
    TABLES.get_or_init(|| Tables::builtin().expect("the built-in tables are sound"))
}

/// The adapter of a format.
pub fn adapter(format: &str) -> &'static dyn Adapter {
    tsunagi_adapters::adapter(&FormatName::parse(format).expect("a name")).expect("compiled in")
}

/// Fuzz input, taken from its beginning; at its end there are zeros.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// A number below `end`, which must not be 0.
    pub fn below(&mut self, end: usize) -> usize {
        let number =
            if end > 256 { usize::from(self.byte()) * 256 + usize::from(self.byte()) } else { self.byte().into() };
        number % end
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// The bytes up to the next line feed, or all that is left.
    pub fn line(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == b'\n').unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        line
    }

    /// As [`Input::line`], if it is UTF-8.
    pub fn text_line(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.line()).ok()
    }
}

/// What became of a payload.
pub type Decoded = Result<Vec<Result<Document, RowFault>>, PayloadFault>;

/// Decodes in both ways, from memory and from a source that is read in short pieces, which must agree. Decoding is
/// a function: the same bytes give the same again.
pub fn decode(adapter: &dyn Adapter, bytes: &[u8], charset: Option<&str>) -> Decoded {
    let decoded = adapter.decode(Payload { bytes, charset }).map(Iterator::collect::<Vec<_>>);
    let source = Box::new(Cursor::new(bytes));
    let streamed = adapter.decode_source(source, charset).map(Iterator::collect::<Vec<_>>);
    assert_eq!(decoded, streamed, "decode and decode_source disagree");
    if let Ok(rows) = &decoded {
        let numbers = rows.iter().map(|row| row.as_ref().map_or_else(|fault| fault.row, |document| document.row));
        assert!(numbers.clone().zip(numbers.skip(1)).all(|(one, next)| one < next), "rows are numbered upwards");
    }
    decoded
}

/// The documents of a payload that must be without fault.
pub fn documents(adapter: &dyn Adapter, bytes: &[u8], charset: Option<&str>) -> Vec<Document> {
    let rows = decode(adapter, bytes, charset).expect("what was written can be read");
    rows.into_iter().map(|row| row.expect("what was written can be read")).collect()
}

/// How documents of a layout are written.
pub fn shape(layout: &Layout, envelope: Envelope) -> Shape {
    Shape { columns: layout.columns(), charset: layout.charset().to_owned(), crlf: layout.crlf(), envelope }
}

/// A shape for formats that have neither columns nor a choice of charset.
pub fn bare_shape(envelope: Envelope) -> Shape {
    Shape { columns: Vec::new(), charset: "utf-8".to_owned(), crlf: false, envelope }
}

/// Writes a document in the layout's format and charset and reads it again, see [`tsunagi_mappings::Wire`].
pub fn through_bytes(layout: &Layout, document: &Document) -> Result<Document, Vec<RowFault>> {
    let adapter = adapter(layout.format().as_str());
    let shape = shape(layout, Envelope::Single);
    let bytes = adapter.encode(std::slice::from_ref(document), &shape)?;
    let broken = |words: &str| {
        let reason = Bilingual::new(words, words);
        vec![RowFault { row: document.row, column: String::new(), code: RowCode::Malformed, reason }]
    };
    let rows = decode(adapter, &bytes, Some(&shape.charset)).map_err(|fault| broken(&fault.reason.en))?;
    match <[_; 1]>::try_from(rows) {
        Ok([row]) => row.map_err(|fault| vec![fault]),
        Err(_) => Err(broken("one document did not come back as one")),
    }
}
