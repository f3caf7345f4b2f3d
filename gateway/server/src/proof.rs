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

    /// A layout in a charset that has not every character, with and without a table of what to write instead.
    #[test]
    fn charsets_and_tables_of_characters_are_proved() {
        let own = include_str!("../../../mappings/tables/municipal_csv/vaccination_modern.toml");
        let charset = own.lines().find(|line| line.starts_with("charset")).unwrap();
        let mut equal = Vec::new();
        for lines in [
            "charset = \"cp932\"",
            "charset = \"cp932\"\nshrink = \"cp932\"",
            "charset = \"iso-2022-jp\"",
            "charset = \"iso-2022-jp\"\nshrink = \"jis_x_0208\"",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let at = folder.path().join("tables/municipal_csv");
            std::fs::create_dir_all(&at).unwrap();
            std::fs::write(at.join("vaccination_modern.toml"), own.replace(charset, lines)).unwrap();
            let tables = Tables::with_folder(folder.path()).unwrap();
            let id = tsunagi_core::id::LayoutId::parse("municipal_csv/vaccination_modern").unwrap();
            let layout = tables.layout(&id).unwrap();
            let proof = tables.prove(layout, 300, date(2026, 6, 1), &through_bytes);
            assert_eq!(proof.failures, [], "{lines}");
            let certificate = tables.certificate(layout, date(2026, 6, 1)).unwrap();
            let words = certificate.losses.iter().any(|loss| loss.words.en.contains("characters/"));
            assert_eq!(words, lines.contains("shrink"), "{lines}: the loss is declared");
            equal.push(proof.equal);
        }
        // Nearly every record made for the proof has something that JIS X 0208 has not: those prove what is held.
        assert!(equal[0] >= 15 && equal[1] >= 15, "{equal:?} came back");
    }

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
