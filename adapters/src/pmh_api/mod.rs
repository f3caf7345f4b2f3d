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

use crate::plug::{Adapter, Payload, PayloadFault, Reply, Rows, Shape};

/// The adapter for `pmh_api`.
pub(crate) struct PmhApi;

impl Adapter for PmhApi {
    fn media_type(&self) -> &'static str {
        "application/json"
    }

    fn decode<'a>(&self, payload: Payload<'a>) -> Result<Rows<'a>, PayloadFault> {
        decode::decode(payload)
    }

    fn encode(&self, documents: &[Document], _shape: &Shape) -> Result<Vec<u8>, Vec<RowFault>> {
        encode::encode(documents)
    }

    fn interpret(&self, reply: &Reply<'_>) -> Outcome {
        interpret::interpret(reply)
    }
}
