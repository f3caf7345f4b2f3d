//! The whole way: bytes to documents, documents to records, and each record back to bytes and into a record again, in the
//! layout it came in and in another one of its kind. What the loss certificate does not name comes back.
//!
//! Input: a byte for the layout, one for what is done, one for the layout it goes out in; then a payload, or changes to
//! the places of the layout's own example, or a tape from which a record is generated.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use tsunagi_core::document::{Content, Document, Node};
use tsunagi_core::record::Record;
use tsunagi_fuzz::{Input, TODAY, adapter, builtin, decode, through_bytes};
use tsunagi_mappings::{Context, Layout, Tables, Tape};

/// More documents of one payload show nothing new.
const MOST: usize = 8;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let tables = builtin();
    let layouts = layouts();
    let layout = layouts[input.below(layouts.len())];
    let action = input.byte();
    let other = input.byte();
    match action % 3 {
        0 => {
            let adapter = adapter(layout.format().as_str());
            let Ok(rows) = decode(adapter, input.0, Some(layout.charset())) else { return };
            for document in rows.into_iter().filter_map(Result::ok).take(MOST) {
                read(tables, layout, document, other);
            }
        }
        1 => {
            let mut document = example(layout).clone();
            while !input.0.is_empty() {
                change(&mut document, &mut input);
            }
            read(tables, layout, document, other);
        }
        _ => {
            // Most choices are among few; a high byte is a large number.
            let number = |byte: &u8| match u64::from(*byte) {
                small @ 0..240 => small,
                large => large.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 8,
            };
            let numbers: Vec<u64> = input.0.iter().map(number).collect();
            if let Err(failure) = tables.prove_one(layout, &mut Tape::of(&numbers), TODAY, &through_bytes) {
                panic!("{failure:?}");
            }
        }
    }
});

fn layouts() -> &'static Vec<&'static Layout> {
    static LAYOUTS: OnceLock<Vec<&'static Layout>> = OnceLock::new();
    LAYOUTS.get_or_init(|| builtin().layouts().collect())
}

/// The example record of each layout's kind as the layout writes it.
fn example(layout: &Layout) -> &'static Document {
    static EXAMPLES: OnceLock<Vec<Document>> = OnceLock::new();
    let examples = EXAMPLES.get_or_init(|| {
        let write = |layout: &&Layout| {
            let kind = builtin().kind(layout.kind()).expect("checked");
            builtin().localize(layout, &builtin().example(kind), 1, TODAY).expect("the example can be written")
        };
        layouts().iter().map(write).collect()
    });
    let at = layouts().iter().position(|one| one.id() == layout.id()).expect("one of them");
    &examples[at]
}

/// Puts a text into a cell, or into a leaf of a tree; or takes an element out or puts it in twice.
fn change(document: &mut Document, input: &mut Input<'_>) {
    let at = input.below(1024);
    let text = String::from_utf8_lossy(input.line()).into_owned();
    match &mut document.content {
        Content::Row(row) => {
            let at = at % row.cells.len();
            row.cells[at] = text;
        }
        Content::Tree(root) => {
            let mut leaves = leaves(root);
            let at = at % (leaves.max(1) + 1);
            leaves = at;
            change_leaf(root, &mut leaves, &text);
        }
    }
}

fn leaves(node: &Node) -> usize {
    match node {
        Node::List(items) => 1 + items.iter().map(leaves).sum::<usize>(),
        Node::Map(members) => members.iter().map(|(_, node)| leaves(node)).sum(),
        _ => 1,
    }
}

/// Changes the node that is `left` leaves from here. A text that is JSON takes the place of whatever stood there.
fn change_leaf(node: &mut Node, left: &mut usize, text: &str) -> bool {
    match node {
        Node::List(items) if *left == 0 => {
            match text.as_bytes().first() {
                Some(b'-') => drop(items.pop()),
                _ => items.extend(items.first().cloned()),
            }
            true
        }
        Node::List(items) => {
            *left -= 1;
            items.iter_mut().any(|item| change_leaf(item, left, text))
        }
        Node::Map(members) => members.iter_mut().any(|(_, node)| change_leaf(node, left, text)),
        leaf if *left == 0 => {
            *leaf = match (text, &leaf) {
                ("null", _) => Node::Null,
                ("true", _) => Node::Bool(true),
                ("false", _) => Node::Bool(false),
                ("[]", _) => Node::List(Vec::new()),
                ("{}", _) => Node::Map(Vec::new()),
                (text, Node::Number(_)) if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() => {
                    Node::Number(text.trim_start_matches('0').parse::<u64>().unwrap_or(0).to_string())
                }
                (text, _) => Node::Text(text.to_owned()),
            };
            true
        }
        _ => {
            *left -= 1;
            false
        }
    }
}

/// One document into a record, and the record out again.
fn read(tables: &Tables, layout: &Layout, document: Document, other: u8) {
    let strict = Context { today: TODAY, check_digits_are_errors: true };
    let context = Context { today: TODAY, check_digits_are_errors: false };
    layout.matches(&document);
    layout.strangers(&document);
    let canonical = tables.canonicalize(layout, &document, &context);
    assert_eq!(canonical, tables.canonicalize(layout, &document, &context), "reading is a function");
    let strictly = tables.canonicalize(layout, &document, &strict);
    let record = match canonical {
        Ok(canonical) => canonical.record,
        Err(faults) => {
            assert!(!faults.is_empty() && faults.iter().all(|fault| fault.row == document.row));
            assert!(strictly.is_err(), "what is refused is refused strictly too");
            tables.unmapped_codes(layout, &document, &faults, TODAY);
            tables.explain(layout, &document, &context);
            return;
        }
    };
    if let Ok(strictly) = strictly {
        assert_eq!(strictly.record, record);
    }
    tables.explain(layout, &document, &context);
    tables.schedule_flags(std::slice::from_ref(&record), &record);
    let mut without = document;
    layout.without_my_number(&mut without);
    prove(tables, layout, &record);
    let others: Vec<&Layout> =
        layouts().iter().copied().filter(|one| one.kind() == layout.kind() && one.id() != layout.id()).collect();
    if let Some(other) = others.get(usize::from(other) % others.len().max(1)) {
        prove(tables, other, &record);
    }
}

fn prove(tables: &Tables, layout: &Layout, record: &Record) {
    if let Err(failure) = tables.prove_record(layout, record, TODAY, &through_bytes) {
        panic!("{failure:?}");
    }
}
