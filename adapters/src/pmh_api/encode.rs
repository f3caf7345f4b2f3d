//! Documents into an array. One document is an array of one: PMH takes nothing else.

use tsunagi_core::document::{Content, Document, Node};
use tsunagi_core::fault::RowFault;

use crate::fault::malformed;
use crate::json;

pub(super) fn encode(documents: &[Document]) -> Result<Vec<u8>, Vec<RowFault>> {
    let mut out = vec![b'['];
    let mut faults = Vec::new();
    for (at, document) in documents.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        if let Err(fault) = append(document, &mut out) {
            faults.push(fault);
        }
    }
    out.push(b']');
    if faults.is_empty() { Ok(out) } else { Err(faults) }
}

fn append(document: &Document, out: &mut Vec<u8>) -> Result<(), RowFault> {
    let Content::Tree(object @ Node::Map(_)) = &document.content else {
        let (ja, en) =
            ("オブジェクトではない文書はここに書けません", "a document that is not an object has no place here");
        return Err(malformed(document.row, "", ja, en));
    };
    let (ja, en) = ("数値でない文字列が数値として置かれています", "a number of the document is not a JSON number");
    json::write(object, out).map_err(|_| malformed(document.row, "", ja, en))
}
