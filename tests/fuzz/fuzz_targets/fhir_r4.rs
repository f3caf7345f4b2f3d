//! Resources and Bundles: what was read is the same once it was written in each envelope and read again, and a search
//! result holds the resources that were asked for and says how many.
//!
//! Input: the body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use tsunagi_adapters::{Adapter, Envelope};
use tsunagi_core::document::{Content, Document, Node};
use tsunagi_fuzz::{adapter, bare_shape, decode, documents};

const SEARCHED: [&str; 4] = ["Bundle", "Immunization", "Observation", "Patient"];

fuzz_target!(|data: &[u8]| {
    let adapter = adapter("fhir_r4");
    let Ok(rows) = decode(adapter, data, Some("utf-8")) else { return };
    let bare = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
    assert!(serde_json::from_slice::<IgnoredAny>(bare).is_ok(), "taken, and it is not JSON");
    let read: Vec<Document> = rows.into_iter().filter_map(Result::ok).collect();
    for document in &read {
        let Content::Tree(node) = &document.content else { panic!("a line out of FHIR") };
        assert!(named_type(node).is_some(), "a document without a type");
        comes_back(adapter, std::slice::from_ref(document), Envelope::Single);
    }
    comes_back(adapter, &read, Envelope::Batch);
    for resource_type in SEARCHED {
        search(adapter, &read, resource_type);
    }
});

fn comes_back(adapter: &dyn Adapter, read: &[Document], envelope: Envelope) {
    // A Bundle that holds a batch is taken apart when it is read alone.
    let is_taken_apart = |document: &Document| match &document.content {
        Content::Tree(node) => {
            named_type(node) == Some("Bundle") && node.member("type").and_then(Node::text) != Some("document")
        }
        Content::Row(_) => true,
    };
    if envelope == Envelope::Single && read.iter().any(is_taken_apart) {
        return;
    }
    let written = adapter.encode(read, &bare_shape(envelope.clone())).expect("what was read can be written");
    let again = documents(adapter, &written, None);
    assert!(again.iter().map(|row| &row.content).eq(read.iter().map(|row| &row.content)), "{envelope:?}");
}

fn search(adapter: &dyn Adapter, read: &[Document], resource_type: &str) {
    let shape = bare_shape(Envelope::Search { resource_type: resource_type.to_owned() });
    let written = adapter.encode(read, &shape).expect("what was read can be written");
    let found = documents(adapter, &written, None);
    for document in &found {
        let Content::Tree(node) = &document.content else { panic!("a line out of FHIR") };
        assert_eq!(named_type(node), Some(resource_type));
    }
    let counted: Counted = serde_json::from_slice(&written).expect("JSON");
    assert_eq!(counted.total, found.len());
}

#[derive(serde::Deserialize)]
struct Counted {
    total: usize,
}

fn named_type(node: &Node) -> Option<&str> {
    node.member("resourceType").and_then(Node::text).filter(|name| !name.is_empty())
}
