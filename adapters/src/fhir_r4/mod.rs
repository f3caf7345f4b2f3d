//! FHIR R4 (4.0.1) JSON. A resource is a document, and so is a whole document Bundle (a checkup report, a birth
//! certificate); of a batch, transaction, collection or search result each entry's resource is one.
//!
//! The adapter knows Bundles and `resourceType`, and nothing of what a resource says.

mod decode;
mod encode;
mod interpret;
#[cfg(test)]
mod tests;

use tsunagi_core::delivery::Outcome;
use tsunagi_core::document::{Document, Node};
use tsunagi_core::fault::RowFault;

use crate::json;
use crate::plug::{Adapter, Payload, PayloadFault, Reply, Rows, Shape, Source, Unmappable};

/// The adapter for `fhir_r4`.
pub(crate) struct FhirR4;

impl Adapter for FhirR4 {
    fn media_type(&self) -> &'static str {
        "application/fhir+json"
    }

    fn decode<'a>(&self, payload: Payload<'a>) -> Result<Rows<'a>, PayloadFault> {
        decode::decode(payload)
    }

    fn decode_source<'a>(&self, source: Box<dyn Source + 'a>, charset: Option<&str>) -> Result<Rows<'a>, PayloadFault> {
        let bytes = json::read_all(source)?;
        decode::decode(Payload { bytes: &bytes, charset })
    }

    fn encode(&self, documents: &[Document], shape: &Shape) -> Result<Vec<u8>, Vec<RowFault>> {
        encode::encode(documents, &shape.envelope)
    }

    /// JSON is UTF-8.
    fn unmappable(&self, _documents: &[Document], _shape: &Shape) -> Vec<Unmappable> {
        Vec::new()
    }

    fn interpret(&self, reply: &Reply<'_>) -> Outcome {
        interpret::interpret(reply)
    }
}

/// The type a resource names; `None` for what is not a resource.
fn resource_type(node: &Node) -> Option<&str> {
    node.member("resourceType").and_then(Node::text).filter(|name| !name.is_empty())
}
