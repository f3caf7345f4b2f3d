//! Macros of a layout: `obs(CODE).valueString` stands for a long element path with CODE in its hole.

use std::collections::BTreeMap;

use tsunagi_core::fault::Bilingual;

/// Where the argument goes.
pub(crate) const HOLE: &str = "{}";

/// Puts the macro at the start of a path in full; a path without one stays as it is.
pub(crate) fn expand(path: &str, macros: &BTreeMap<String, String>) -> Result<String, Bilingual> {
    let Some((name, rest)) = path.split_once('(') else { return Ok(path.to_owned()) };
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(path.to_owned());
    }
    let Some(text) = macros.get(name) else {
        return Err(Bilingual::new(format!("略記 {name} はありません"), format!("there is no shorthand {name}")));
    };
    let Some(end) = closing(rest) else {
        return Err(Bilingual::new("( と ) の対応が取れていません", "( and ) do not match"));
    };
    let (argument, after) = (rest.get(..end).unwrap_or(""), rest.get(end + 1..).unwrap_or(""));
    Ok(format!("{}{after}", text.replace(HOLE, argument)))
}

/// The position of the parenthesis that closes the one before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument_goes_into_the_hole() {
        let macros = BTreeMap::from([("obs".to_owned(), "entry[code={}].resource".to_owned())]);
        for (path, full) in [
            ("obs(9N001).value", Some("entry[code=9N001].resource.value")),
            ("obs(a(b)c)[x=1]", Some("entry[code=a(b)c].resource[x=1]")),
            ("plain[system=f(x)].value", Some("plain[system=f(x)].value")),
            ("other(1)", None),
            ("obs(1", None),
        ] {
            assert_eq!(expand(path, &macros).ok().as_deref(), full, "{path}");
        }
    }
}
