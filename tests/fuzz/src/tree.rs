//! JSON as `serde_json` reads it: the second opinion on our own reader. Members keep their order and their doubles.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use tsunagi_core::document::Node;

/// A value of JSON.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// True if an object anywhere in it has one name twice.
    pub fn has_twins(&self) -> bool {
        match self {
            Self::Map(members) => {
                let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
                names.sort_unstable();
                names.windows(2).any(|pair| pair[0] == pair[1]) || members.iter().any(|(_, value)| value.has_twins())
            }
            Self::List(items) => items.iter().any(Self::has_twins),
            _ => false,
        }
    }

    /// How deep objects and arrays stand in each other; 0 for a value that is neither.
    pub fn depth(&self) -> usize {
        match self {
            Self::Map(members) => 1 + members.iter().map(|(_, value)| value.depth()).max().unwrap_or(0),
            Self::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// True for the same tree in our own form. Of numbers the value counts, which `serde_json` may round in the last
    /// place.
    pub fn is(&self, node: &Node) -> bool {
        match (self, node) {
            (Self::Null, Node::Null) => true,
            (Self::Bool(one), Node::Bool(other)) => one == other,
            (Self::Number(one), Node::Number(text)) => {
                let other: f64 = text.parse().expect("a number of JSON is one of Rust");
                (one - other).abs() <= one.abs() * 1e-12 || (one.is_subnormal() || other.is_subnormal())
            }
            (Self::Text(one), Node::Text(other)) => one == other,
            (Self::List(items), Node::List(others)) => {
                items.len() == others.len() && items.iter().zip(others).all(|(one, other)| one.is(other))
            }
            (Self::Map(members), Node::Map(others)) => {
                let same =
                    |((name, one), (key, other)): (&(String, Self), &(String, Node))| name == key && one.is(other);
                members.len() == others.len() && members.iter().zip(others).all(same)
            }
            _ => false,
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Number(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Map(members))
    }
}
