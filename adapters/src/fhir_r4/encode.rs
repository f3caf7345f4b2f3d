//! Documents into a resource or a Bundle. Bundles are written around the documents, which are not copied.

use tsunagi_core::document::{Content, Document, Node};
use tsunagi_core::fault::RowFault;

use super::resource_type;
use crate::fault::malformed;
use crate::json;
use crate::plug::Envelope;

pub(super) fn encode(documents: &[Document], envelope: &Envelope) -> Result<Vec<u8>, Vec<RowFault>> {
    let resources = resources(documents)?;
    match envelope {
        Envelope::Batch => collection(&resources),
        Envelope::Search { resource_type } => searchset(&resources, resource_type),
        Envelope::Single => single(&resources),
    }
}

/// A resource and the row it came from.
type Resource<'d> = (u64, &'d Node);

fn resources(documents: &[Document]) -> Result<Vec<Resource<'_>>, Vec<RowFault>> {
    let mut resources = Vec::with_capacity(documents.len());
    let mut faults = Vec::new();
    for document in documents {
        match &document.content {
            Content::Tree(node) if resource_type(node).is_some() => resources.push((document.row, node)),
            Content::Row(_) | Content::Tree(_) => faults.push(malformed(
                document.row,
                "",
                "resourceTypeのない文書はFHIRとして書けません",
                "a document without resourceType cannot be written as FHIR",
            )),
        }
    }
    if faults.is_empty() { Ok(resources) } else { Err(faults) }
}

fn single(resources: &[Resource<'_>]) -> Result<Vec<u8>, Vec<RowFault>> {
    let [(row, resource)] = resources else {
        let (ja, en) = ("ここに書ける文書は一つだけです", "exactly one document goes here");
        return Err(vec![malformed(0, "", ja, en)]);
    };
    let mut out = Vec::new();
    append(*row, resource, &mut out).map_err(|fault| vec![fault])?;
    Ok(out)
}

fn collection(resources: &[Resource<'_>]) -> Result<Vec<u8>, Vec<RowFault>> {
    let entries =
        resources.iter().map(|(row, resource)| Entry { row: *row, full_url: None, resource, is_match: false });
    bundle(br#"{"resourceType":"Bundle","type":"collection""#, entries.collect())
}

/// A search result holds the resources of the type that was asked for: the document itself, or those inside a document
/// Bundle. These keep their `fullUrl`, because the references between them are made of it.
fn searchset(resources: &[Resource<'_>], wanted: &str) -> Result<Vec<u8>, Vec<RowFault>> {
    let mut entries = Vec::new();
    for &(row, resource) in resources {
        if resource_type(resource) == Some(wanted) {
            entries.push(Entry { row, full_url: None, resource, is_match: true });
            continue;
        }
        let Some(Node::List(inner)) = resource.member("entry") else { continue };
        for entry in inner {
            let Some(resource) = entry.member("resource") else { continue };
            if resource_type(resource) == Some(wanted) {
                let full_url = entry.member("fullUrl");
                entries.push(Entry { row, full_url, resource, is_match: true });
            }
        }
    }
    let start = format!(r#"{{"resourceType":"Bundle","type":"searchset","total":{}"#, entries.len());
    bundle(start.as_bytes(), entries)
}

struct Entry<'d> {
    row: u64,
    full_url: Option<&'d Node>,
    resource: &'d Node,
    is_match: bool,
}

/// Closes the Bundle that `start` opens. FHIR has no empty arrays: without entries there is no `entry`.
fn bundle(start: &[u8], entries: Vec<Entry<'_>>) -> Result<Vec<u8>, Vec<RowFault>> {
    let mut out = start.to_vec();
    let mut faults = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        out.extend_from_slice(if at == 0 { br#","entry":[{"# } else { b",{" });
        if let Some(full_url) = entry.full_url {
            out.extend_from_slice(br#""fullUrl":"#);
            faults.extend(append(entry.row, full_url, &mut out).err());
            out.push(b',');
        }
        out.extend_from_slice(br#""resource":"#);
        faults.extend(append(entry.row, entry.resource, &mut out).err());
        out.extend_from_slice(if entry.is_match { br#","search":{"mode":"match"}}"# } else { b"}" });
    }
    out.extend_from_slice(if entries.is_empty() { b"}" } else { b"]}" });
    if faults.is_empty() { Ok(out) } else { Err(faults) }
}

fn append(row: u64, node: &Node, out: &mut Vec<u8>) -> Result<(), RowFault> {
    let (ja, en) = ("数値でない文字列が数値として置かれています", "a number of the document is not a JSON number");
    json::write(node, out).map_err(|_| malformed(row, "", ja, en))
}
