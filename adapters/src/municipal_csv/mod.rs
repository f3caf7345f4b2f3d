//! CSV files of municipal health systems (自治体システムのCSV): RFC 4180 in UTF-8, with or without a byte order mark,
//! in CP932 or in ISO-2022-JP. The first line names the columns; a document is one line.
//!
//! Cells are data: one that a spreadsheet would take for a formula (`=1+1`, `+81…`, `@…`) is read and written as it
//! stands, because changing it would change a record, and the files go between systems, not into spreadsheets.

mod charset;
mod decode;
mod encode;
mod interpret;
#[cfg(test)]
mod tests;
mod text;

use std::io::Cursor;

use tsunagi_core::delivery::Outcome;
use tsunagi_core::document::Document;
use tsunagi_core::fault::RowFault;

use crate::plug::{Adapter, Payload, PayloadFault, Reply, Rows, Shape, Source, Unmappable};

/// The adapter for `municipal_csv`.
pub(crate) struct MunicipalCsv;

impl Adapter for MunicipalCsv {
    fn media_type(&self) -> &'static str {
        "text/csv"
    }

    fn decode<'a>(&self, payload: Payload<'a>) -> Result<Rows<'a>, PayloadFault> {
        decode::decode(Box::new(Cursor::new(payload.bytes)), payload.charset)
    }

    fn decode_source<'a>(&self, source: Box<dyn Source + 'a>, charset: Option<&str>) -> Result<Rows<'a>, PayloadFault> {
        decode::decode(source, charset)
    }

    fn encode(&self, documents: &[Document], shape: &Shape) -> Result<Vec<u8>, Vec<RowFault>> {
        encode::encode(documents, shape)
    }

    fn unmappable(&self, documents: &[Document], shape: &Shape) -> Vec<Unmappable> {
        encode::unmappable(documents, shape)
    }

    fn interpret(&self, reply: &Reply<'_>) -> Outcome {
        interpret::interpret(reply)
    }
}
