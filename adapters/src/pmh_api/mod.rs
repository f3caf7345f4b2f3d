//! PMH-style JSON (登録タスク): an array of objects, each of them a record. The same form serves subsidy subjects
//! (医療費助成対象者情報登録), municipal checkups and what else PMH registers; which members there are is for the layouts.

mod decode;
mod encode;
mod interpret;
#[cfg(test)]
mod tests;

use tsunagi_core::delivery::Outcome;
use tsunagi_core::document::Document;
use tsunagi_core::fault::RowFault;

use crate::json;
use crate::plug::{Adapter, Payload, PayloadFault, Reply, Rows, Shape, Source, Unmappable};

/// The adapter for `pmh_api`.
pub(crate) struct PmhApi;

impl Adapter for PmhApi {
    fn media_type(&self) -> &'static str {
        "application/json"
    }

    fn decode<'a>(&self, payload: Payload<'a>) -> Result<Rows<'a>, PayloadFault> {
        decode::decode(payload)
    }

    fn decode_source<'a>(&self, source: Box<dyn Source + 'a>, charset: Option<&str>) -> Result<Rows<'a>, PayloadFault> {
        let bytes = json::read_all(source)?;
        decode::decode(Payload { bytes: &bytes, charset })
    }

    fn encode(&self, documents: &[Document], _shape: &Shape) -> Result<Vec<u8>, Vec<RowFault>> {
        encode::encode(documents)
    }

    /// JSON is UTF-8.
    fn unmappable(&self, _documents: &[Document], _shape: &Shape) -> Vec<Unmappable> {
        Vec::new()
    }

    fn interpret(&self, reply: &Reply<'_>) -> Outcome {
        interpret::interpret(reply)
    }
}
