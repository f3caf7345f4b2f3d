//! The JSON reader and writer, by way of the array of objects of PMH: it takes what `serde_json` takes and nothing else,
//! except what it refuses by its own rules, and what was read is the same once it was written and read again.
//!
//! Input: a byte for the charset and how the rest stands in the array, then the body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use tsunagi_adapters::Envelope;
use tsunagi_core::document::{Content, Document};
use tsunagi_fuzz::tree::Tree;
use tsunagi_fuzz::{Input, adapter, bare_shape, decode, documents};

/// The deepest nesting that is read.
const DEEPEST: usize = 64;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let flags = input.byte();
    let charset = [None, Some("UTF-8"), Some(" utf8 "), Some("shift_jis")][usize::from(flags & 3)];
    let body = if flags & 4 == 0 { input.0.to_vec() } else { [b"[{\"v\":", input.0, b"}]"].concat() };
    let adapter = adapter("pmh_api");
    let decoded = decode(adapter, &body, charset);
    if charset == Some("shift_jis") {
        assert!(decoded.is_err(), "JSON is UTF-8");
        return;
    }
    let bare = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body);
    let second = serde_json::from_slice::<Tree>(bare);
    let Ok(rows) = decoded else {
        if let Ok(tree) = second {
            let by_rule = tree.has_twins() || tree.depth() > DEEPEST || !matches!(tree, Tree::List(_));
            assert!(by_rule, "refused, and it is JSON: {tree:?}");
        }
        return;
    };
    assert!(serde_json::from_slice::<IgnoredAny>(bare).is_ok(), "taken, and it is not JSON");
    if let Ok(tree) = second {
        let Tree::List(items) = &tree else { panic!("not an array") };
        assert!(tree.depth() <= DEEPEST && !tree.has_twins());
        assert_eq!(items.len(), rows.len());
        for (item, row) in items.iter().zip(&rows) {
            match row {
                Ok(Document { content: Content::Tree(node), .. }) => {
                    assert!(item.is(node), "{item:?} read as {node:?}")
                }
                Ok(_) => panic!("a line out of JSON"),
                Err(_) => assert!(!matches!(item, Tree::Map(_)), "refused: {item:?}"),
            }
        }
    }
    let read: Vec<Document> = rows.into_iter().filter_map(Result::ok).collect();
    let written = adapter.encode(&read, &bare_shape(Envelope::Batch)).expect("what was read can be written");
    let again = documents(adapter, &written, None);
    assert!(again.iter().map(|row| &row.content).eq(read.iter().map(|row| &row.content)));
    let twice = adapter.encode(&again, &bare_shape(Envelope::Batch)).expect("what was read can be written");
    assert_eq!(written, twice, "writing what was written changes nothing");
});
