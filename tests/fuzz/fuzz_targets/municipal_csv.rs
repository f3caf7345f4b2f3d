//! Any bytes in any charset: both ways of decoding agree, also where a line stands across the pieces that are decoded
//! at once, and what was read is the same once it was written and read again.
//!
//! Input: a byte for the charset, two for the distance from the end of a piece, then the file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tsunagi_adapters::{Adapter, Envelope, Shape};
use tsunagi_core::document::{Content, Document, Row};
use tsunagi_core::fault::RowCode;
use tsunagi_fuzz::{Decoded, Input, adapter, decode, documents};

const CHARSETS: [Option<&str>; 7] =
    [None, Some("utf-8"), Some("utf-8-bom"), Some("cp932"), Some("Shift_JIS"), Some("windows-31j"), Some("euc-jp")];

/// How many bytes the adapter decodes at once.
const PIECE: usize = 64 * 1024;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let charset = input.pick(&CHARSETS);
    let distance = input.below(4096);
    let adapter = adapter("municipal_csv");
    let decoded = decode(adapter, input.0, charset);
    if let Ok(rows) = decoded {
        let rows: Vec<Document> = rows.into_iter().filter_map(Result::ok).collect();
        for crlf in [false, true] {
            written_again(adapter, &rows, charset.unwrap_or("utf-8"), crlf);
        }
    }
    if distance % 4 == 0 {
        across_pieces(adapter, input.0, charset, distance);
    }
});

fn written_again(adapter: &dyn Adapter, rows: &[Document], charset: &str, crlf: bool) {
    let Some(Document { content: Content::Row(Row { columns, .. }), .. }) = rows.first() else { return };
    let shape = Shape { columns: columns.to_vec(), charset: charset.to_owned(), crlf, envelope: Envelope::Batch };
    let bytes = match adapter.encode(rows, &shape) {
        Ok(bytes) => bytes,
        // 外字 are read and cannot be written: each of them is named.
        Err(faults) => {
            let homeless = adapter.unmappable(rows, &shape);
            for fault in faults {
                assert_eq!(fault.code, RowCode::Unmappable, "{fault:?}");
                let is_named = homeless.iter().any(|one| one.row == fault.row && one.column == fault.column);
                assert!(is_named || fault.row == 0, "{fault:?} and not in {homeless:?}");
            }
            return;
        }
    };
    assert_eq!(adapter.unmappable(rows, &shape), []);
    let again = documents(adapter, &bytes, Some(charset));
    let contents = |rows: &[Document]| rows.iter().map(|row| row.content.clone()).collect::<Vec<_>>();
    assert_eq!(contents(&again), contents(rows));
    assert!(again.iter().map(|row| row.row).eq(1..=again.len() as u64), "no blank line is written");
}

/// The same lines behind a row that ends shortly before a piece does.
fn across_pieces(adapter: &dyn Adapter, lines: &[u8], charset: Option<&str>, distance: usize) {
    let header = b"a,b,c\n";
    let filler = vec![b'x'; PIECE - header.len() - distance];
    let near = [header.as_slice(), b"x\n", lines].concat();
    let far = [header.as_slice(), &filler, b"\n", lines].concat();
    // Of a fault in the charset the byte is said, which is another one.
    let rows = |decoded: Decoded| decoded.ok().map(|rows| rows.into_iter().skip(1).collect::<Vec<_>>());
    assert_eq!(rows(decode(adapter, &far, charset)), rows(decode(adapter, &near, charset)));
}
