//! Compact JSON text, for fields that keep a subtree as it is, and for the documents of cases.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tsunagi_core::document::Node;

/// Parses JSON. Numbers stay as written; a name that stands twice in one object is refused, and so is nesting deeper
/// than any format here has.
pub(crate) fn parse(text: &str) -> Result<Node, String> {
    node(text.trim(), 0)
}

/// Writes without any space.
pub(crate) fn compact(node: &Node) -> String {
    let mut text = String::new();
    push(node, &mut text);
    text
}

fn node(text: &str, depth: usize) -> Result<Node, String> {
    if depth > DEEPEST {
        return Err("nested too deep".to_owned());
    }
    let fault = |error: serde_json::Error| error.to_string();
    match text.bytes().next() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(text).map_err(fault)?;
            let names: BTreeSet<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
            if names.len() < members.len() {
                return Err("a name stands twice in one object".to_owned());
            }
            let map = members.into_iter().map(|(name, value)| Ok((name, node(value.get(), depth + 1)?)));
            map.collect::<Result<_, _>>().map(Node::Map)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(fault)?;
            items.into_iter().map(|item| node(item.get(), depth + 1)).collect::<Result<_, _>>().map(Node::List)
        }
        Some(b'"') => serde_json::from_str(text).map(Node::Text).map_err(fault),
        Some(b't' | b'f') => serde_json::from_str(text).map(Node::Bool).map_err(fault),
        Some(b'n') => serde_json::from_str::<()>(text).map(|()| Node::Null).map_err(fault),
        _ => {
            let raw: &RawValue = serde_json::from_str(text).map_err(fault)?;
            Ok(Node::Number(raw.get().to_owned()))
        }
    }
}

fn push(node: &Node, text: &mut String) {
    match node {
        Node::Null => text.push_str("null"),
        Node::Bool(flag) => text.push_str(if *flag { "true" } else { "false" }),
        Node::Number(number) => text.push_str(number),
        Node::Text(string) => push_string(string, text),
        Node::List(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                push(item, text);
            }
            text.push(']');
        }
        Node::Map(members) => {
            text.push('{');
            for (at, (name, value)) in members.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                push_string(name, text);
                text.push(':');
                push(value, text);
            }
            text.push('}');
        }
    }
}

fn push_string(string: &str, text: &mut String) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c if c < ' ' => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
}

/// The members of an object in their order, values not yet looked at.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// Each level is scanned again for the one below, so depth is bounded.
const DEEPEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_as_it_was() {
        let text = r#"{"b":[1,2.50,-3e2,true,false,null,{}],"a":"改行\nと\"引用\"\\\u0001","空":[]}"#;
        assert_eq!(compact(&parse(text).expect("JSON")), text);
        assert_eq!(compact(&parse(" { \"a\" : [ 1 , 2 ] } ").expect("JSON")), r#"{"a":[1,2]}"#);
    }

    #[test]
    fn refuses_what_is_not_json() {
        let deep = "[".repeat(100) + &"]".repeat(100);
        for text in ["", "{", "{\"a\":1,\"a\":2}", "01", "1 2", "nul", "{a:1}", "[1,]", deep.as_str()] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
