//! An array into documents, one for each element.

use tsunagi_core::document::{Content, Document, Node};

use crate::fault::{malformed, unreadable};
use crate::json;
use crate::plug::{Payload, PayloadFault, Rows};

pub(super) fn decode<'a>(payload: Payload<'_>) -> Result<Rows<'a>, PayloadFault> {
    let Node::List(elements) = json::read_payload(&payload)? else {
        return Err(unreadable("本文はオブジェクトの配列です", "the body is an array of objects"));
    };
    Ok(Box::new((1..).zip(elements).map(|(row, element)| match element {
        Node::Map(_) => Ok(Document { row, content: Content::Tree(element) }),
        _ => Err(malformed(row, "", "配列の要素がオブジェクトではありません", "the element is not an object")),
    })))
}
