//! What every adapter does.

use std::io::{Read, Seek};

use tsunagi_core::delivery::Outcome;
use tsunagi_core::document::Document;
use tsunagi_core::fault::{Bilingual, RowFault};

/// Bytes as they came in.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'a> {
    /// The body.
    pub bytes: &'a [u8],
    /// The charset of `Content-Type`, if one was declared.
    pub charset: Option<&'a str>,
}

/// A body that is not in memory, such as a spooled upload or a file. It is read twice: once to see that all of it is in
/// its charset, so that nothing is taken in of a body that is not, and once to take it apart.
pub trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

/// Why a payload as a whole cannot be read, and where; never what it says there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadFault {
    /// In words, with row and column or byte offset.
    pub reason: Bilingual,
}

/// One result for each row, in order.
pub type Rows<'a> = Box<dyn Iterator<Item = Result<Document, RowFault>> + Send + 'a>;

/// What the documents of one payload have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Column names in order, for formats that have a header.
    pub columns: Vec<String>,
    /// The charset to write.
    pub charset: String,
    /// The line end to write, for formats that have lines.
    pub crlf: bool,
    /// What goes around the documents.
    pub envelope: Envelope,
}

/// What goes around documents, for formats that have a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Envelope {
    /// Many documents for one receiver.
    Batch,
    /// The answer to a search for one resource type (FHIR).
    Search {
        /// The type searched for
        resource_type: String,
    },
    /// Exactly one document, bare.
    Single,
}

/// A character that the charset of a shape has no place for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unmappable {
    /// The row of the document.
    pub row: u64,
    /// The column it stands in.
    pub column: String,
    /// The character.
    pub character: char,
}

/// A destination's reply to a pushed payload.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After` in seconds, if the destination gave one.
    pub retry_after_secs: Option<u32>,
    /// The body.
    pub bytes: &'a [u8],
}

/// A pure translator for one wire format.
pub trait Adapter: Send + Sync {
    /// The media type it writes and reads, without parameters.
    fn media_type(&self) -> &'static str;

    /// Reads bytes. Total: any bytes give documents or faults. A fault names a place, never a value.
    fn decode<'a>(&self, payload: Payload<'a>) -> Result<Rows<'a>, PayloadFault>;

    /// As [`Adapter::decode`], from a body that is not in memory. Of a format of lines a piece of fixed size is held at
    /// a time, whatever the size of the body; a JSON body is one tree and is held whole. A source that fails once
    /// rows have been given is a fault of the row it fails at, which is the last.
    fn decode_source<'a>(&self, source: Box<dyn Source + 'a>, charset: Option<&str>) -> Result<Rows<'a>, PayloadFault>;

    /// Writes documents; adds no credentials. A character the charset cannot hold is a fault of its row, never a `?`.
    fn encode(&self, documents: &[Document], shape: &Shape) -> Result<Vec<u8>, Vec<RowFault>>;

    /// The characters for which [`Adapter::encode`] refuses rows: each once for a row and column. Empty where a format
    /// can hold every character.
    fn unmappable(&self, documents: &[Document], shape: &Shape) -> Vec<Unmappable>;

    /// Reads off a reply what became of the payload. Never fails: what it does not understand is to be tried again.
    fn interpret(&self, reply: &Reply<'_>) -> Outcome;
}
