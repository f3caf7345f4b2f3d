//! 個人番号 where it has no business: out of every refused row before it is kept, wherever in the row it stands.

use tsunagi_core::document::{Content, Document, Node};
use tsunagi_core::kind::Kind;
use tsunagi_core::my_number;
use tsunagi_core::record::Record;
use tsunagi_core::value::{Value, ValueType};
use tsunagi_store::Identifier;

/// What stands in the place of a number that was taken out.
const BLANK: &str = "";

/// Takes every [`my_number`] out of a document.
pub fn without_my_number_runs(mut document: Document) -> Document {
    match &mut document.content {
        Content::Row(row) => row.cells.iter_mut().for_each(scrub),
        Content::Tree(node) => scrub_node(node),
    }
    document
}

fn scrub_node(node: &mut Node) {
    match node {
        Node::Bool(_) | Node::Null => {}
        Node::List(items) => items.iter_mut().for_each(scrub_node),
        Node::Map(members) => members.iter_mut().for_each(|(_, node)| scrub_node(node)),
        Node::Number(text) if my_number::stands_in(text) => *node = Node::Null,
        Node::Number(_) => {}
        Node::Text(text) => scrub(text),
    }
}

fn scrub(text: &mut String) {
    for run in my_number::runs(text).into_iter().rev() {
        text.replace_range(run, BLANK);
    }
}

/// Every identifier the record names its subject by. 個人番号 leaves the record here and goes on only to become a
/// keyed pseudonym.
pub fn identifiers(kind: &Kind, record: &mut Record) -> Vec<Identifier> {
    let mut found: Vec<Identifier> = kind
        .identifiers_of(record)
        .into_iter()
        .map(|(system, value)| Identifier { system, value: tsunagi_core::sensitive::Sensitive::new(value) })
        .collect();
    for field in kind.fields.iter().filter(|field| field.value_type == ValueType::MyNumber) {
        let named = kind.subject.identifiers.iter().find(|id| id.fields.as_slice() == [field.key.clone()]);
        for value in record.take(&field.key) {
            if let (Value::MyNumber(number), Some(named)) = (value, named) {
                found.push(Identifier { system: named.system.clone(), value: number });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_individual_numbers_are_taken_out() {
        for (given, left) in [
            ("123456789018", ""),
            ("番号は123456789018です", "番号はです"),
            ("１２３４５６７８９０１８", ""),
            ("a 1234-5678-9018 b 123456789018", "a  b "),
            ("123456789019", "123456789019"),
            ("1123456789018", "1123456789018"),
            ("2026-04-01 0012345678", "2026-04-01 0012345678"),
        ] {
            let node = Node::List(vec![Node::Text(given.to_owned())]);
            let document = without_my_number_runs(Document { row: 1, content: Content::Tree(node) });
            let expected = Content::Tree(Node::List(vec![Node::Text(left.to_owned())]));
            assert_eq!(document.content, expected, "{given}");
        }
    }
}
