//! A resource or a Bundle into documents.

use tsunagi_core::document::{Content, Document, Node};
use tsunagi_core::fault::RowFault;

use super::resource_type;
use crate::fault::{malformed, unreadable};
use crate::json;
use crate::plug::{Payload, PayloadFault, Rows};

pub(super) fn decode<'a>(payload: Payload<'_>) -> Result<Rows<'a>, PayloadFault> {
    let root = json::read_payload(&payload)?;
    match resource_type(&root) {
        None => Err(unreadable("resourceTypeがありません", "there is no resourceType")),
        Some("Bundle") => bundle(root),
        Some(_) => Ok(alone(root)),
    }
}

fn bundle<'a>(root: Node) -> Result<Rows<'a>, PayloadFault> {
    match root.member("type").and_then(Node::text) {
        Some("document") => Ok(alone(root)),
        Some("batch" | "collection" | "searchset" | "transaction") => match take_member(root, "entry") {
            None => Ok(Box::new(std::iter::empty())),
            Some(Node::List(entries)) => Ok(Box::new((1..).zip(entries).map(|(row, entry)| document(row, entry)))),
            Some(_) => Err(unreadable("Bundle.entryが配列ではありません", "Bundle.entry is not an array")),
        },
        _ => Err(unreadable(
            "Bundle.typeはbatch・collection・document・searchset・transactionのいずれかです",
            "Bundle.type is one of batch, collection, document, searchset, transaction",
        )),
    }
}

/// One entry of a Bundle. Submitting is all that happens here: an entry that asks for something else is refused, not
/// taken for a submission. A batch without `request` is read as one, as collections are.
fn document(row: u64, entry: Node) -> Result<Document, RowFault> {
    let method = entry.member("request").map(|request| request.member("method").and_then(Node::text));
    if !matches!(method, None | Some(Some("POST" | "PUT"))) {
        let (ja, en) = ("methodはPOSTまたはPUTです", "the method is POST or PUT");
        return Err(malformed(row, "entry.request.method", ja, en));
    }
    let Some(resource) = take_member(entry, "resource") else {
        let (ja, en) = ("エントリーにresourceがありません", "the entry has no resource");
        return Err(malformed(row, "entry.resource", ja, en));
    };
    if resource_type(&resource).is_none() {
        let (ja, en) = ("resourceTypeがありません", "there is no resourceType");
        return Err(malformed(row, "entry.resource.resourceType", ja, en));
    }
    Ok(Document { row, content: Content::Tree(resource) })
}

fn alone<'a>(root: Node) -> Rows<'a> {
    Box::new(std::iter::once(Ok(Document { row: 1, content: Content::Tree(root) })))
}

fn take_member(node: Node, name: &str) -> Option<Node> {
    match node {
        Node::Map(members) => members.into_iter().find(|(key, _)| key == name).map(|(_, value)| value),
        _ => None,
    }
}
