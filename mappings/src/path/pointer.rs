//! JSON pointers, RFC 6901. A token of digits is a position in an array: no member of the formats served is named so.

use tsunagi_core::fault::Bilingual;

use super::tree::{Pick, Step, TreePath};

pub(super) fn parse(text: &str) -> Result<TreePath, Bilingual> {
    let Some(rest) = text.strip_prefix('/') else {
        return Err(Bilingual::new("JSON ポインターは / で始まります", "a JSON pointer begins with /"));
    };
    let mut steps: Vec<Step> = Vec::new();
    for token in rest.split('/') {
        match position(token) {
            Some(index) => match steps.last_mut() {
                Some(step) if step.pick.is_none() => step.pick = Some(Pick::Index(index)),
                _ => {
                    return Err(Bilingual::new(
                        "配列の中の配列は扱えません",
                        "an array directly inside an array cannot be addressed",
                    ));
                }
            },
            None => steps.push(Step { name: unescape(token)?, pick: None }),
        }
    }
    TreePath::new(steps)
}

/// One step of a pointer.
pub(crate) fn step(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn position(token: &str) -> Option<usize> {
    let is_index = token == "0" || !token.starts_with('0');
    (is_index && !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit())).then(|| token.parse().ok())?
}

fn unescape(token: &str) -> Result<String, Bilingual> {
    let mut name = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        match c {
            '~' => match chars.next() {
                Some('0') => name.push('~'),
                Some('1') => name.push('/'),
                _ => return Err(Bilingual::new("~ の後は 0 か 1 です", "after ~ comes 0 or 1")),
            },
            c => name.push(c),
        }
    }
    if name.is_empty() {
        return Err(Bilingual::new("名前のない段があります", "a step has no name"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use tsunagi_core::document::Node;

    use super::*;

    fn text(text: &str) -> Node {
        Node::Text(text.to_owned())
    }

    #[test]
    fn reads_what_it_wrote() {
        let mut root = Node::Null;
        for (path, value) in [("/a/b~1c", "1"), ("/a/m~0n", "2"), ("/list/0/x", "3"), ("/list/1/x", "4")] {
            parse(path).expect("a pointer").put(&mut root, text(value));
        }
        for (path, value) in [("/a/b~1c", "1"), ("/a/m~0n", "2"), ("/list/0/x", "3"), ("/list/1/x", "4")] {
            let mut found = Vec::new();
            parse(path).expect("a pointer").visit(&root, &mut |node| {
                found.push(node.clone());
                false
            });
            assert_eq!(found, [text(value)], "{path}");
        }
        assert_eq!(root.member("a").and_then(|a| a.member("b/c")), Some(&text("1")));
        assert_eq!(root.member("a").and_then(|a| a.member("m~n")), Some(&text("2")));
    }

    #[test]
    fn refuses_what_is_no_pointer() {
        let long = "/a".repeat(100_000);
        for path in ["", "a", "/", "/a//b", "/a~2", "/0", "/a/0/1", &long] {
            assert!(parse(path).is_err(), "{path}");
        }
    }
}
