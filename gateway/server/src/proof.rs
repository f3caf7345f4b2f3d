//! What the proof of a layout needs of the adapters: its documents as bytes, and back.

use tsunagi_adapters::{Envelope, Payload, adapter};
use tsunagi_core::document::Document;
use tsunagi_core::fault::{Bilingual, RowCode, RowFault};
use tsunagi_mappings::Layout;

use crate::pipeline::lookup::shape;

/// Writes a document in the layout's format and charset and reads it again, see [`tsunagi_mappings::Wire`].
pub fn through_bytes(layout: &Layout, document: &Document) -> Result<Document, Vec<RowFault>> {
    let adapter = adapter(layout.format()).map_err(|words| vec![broken(document.row, &words)])?;
    let shape = shape(layout, Envelope::Single);
    let bytes = adapter.encode(std::slice::from_ref(document), &shape)?;
    let payload = Payload { bytes: &bytes, charset: Some(&shape.charset) };
    let mut rows = adapter.decode(payload).map_err(|fault| vec![broken(document.row, &fault.reason.en)])?;
    match (rows.next(), rows.next()) {
        (Some(Ok(back)), None) => Ok(back),
        (Some(Err(fault)), _) => Err(vec![fault]),
        _ => Err(vec![broken(document.row, "one document did not come back as one")]),
    }
}

fn broken(row: u64, words: &str) -> RowFault {
    RowFault { row, column: String::new(), code: RowCode::Malformed, reason: Bilingual::new(words, words) }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use tsunagi_mappings::Tables;

    use super::*;

    /// Every layout, through its real bytes.
    #[test]
    fn every_built_in_layout_is_proved() {
        let tables = Tables::builtin().unwrap();
        for layout in tables.layouts() {
            let proof = tables.prove(layout, 100, date(2026, 6, 1), &through_bytes);
            assert_eq!(proof.failures, [], "{}", layout.id());
            assert!(proof.equal >= 15, "{}: {} came back", layout.id(), proof.equal);
        }
    }
}
