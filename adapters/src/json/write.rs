//! A tree into compact JSON text.

use tsunagi_core::document::Node;

use super::read::number_length;

/// A number node holds something that is not a JSON number, so that the text would not be JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotANumber;

/// Appends `node` to `out`: members in their order, numbers as they were written, only what must be escaped escaped.
pub(crate) fn write(node: &Node, out: &mut Vec<u8>) -> Result<(), NotANumber> {
    match node {
        Node::Null => out.extend_from_slice(b"null"),
        Node::Bool(true) => out.extend_from_slice(b"true"),
        Node::Bool(false) => out.extend_from_slice(b"false"),
        Node::Number(number) if !number.is_empty() && number_length(number) == number.len() => {
            out.extend_from_slice(number.as_bytes());
        }
        Node::Number(_) => return Err(NotANumber),
        Node::Text(text) => write_text(text, out),
        Node::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Node::Map(members) => {
            out.push(b'{');
            for (at, (name, value)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_text(name, out);
                out.push(b':');
                write(value, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    let must_escape = |c: char| matches!(c, '"' | '\\' | '\0'..='\u{1f}');
    out.push(b'"');
    let mut rest = text;
    while let Some((plain, after)) = rest.find(must_escape).and_then(|at| rest.split_at_checked(at)) {
        out.extend_from_slice(plain.as_bytes());
        let mut characters = after.chars();
        match characters.next() {
            Some('"') => out.extend_from_slice(b"\\\""),
            Some('\\') => out.extend_from_slice(b"\\\\"),
            Some('\n') => out.extend_from_slice(b"\\n"),
            Some('\r') => out.extend_from_slice(b"\\r"),
            Some('\t') => out.extend_from_slice(b"\\t"),
            Some(control) => out.extend_from_slice(format!("\\u{:04x}", u32::from(control)).as_bytes()),
            None => {}
        }
        rest = characters.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'"');
}
