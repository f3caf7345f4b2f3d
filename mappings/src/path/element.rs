//! FHIR element paths: `name[use=official].text`, `extension[url=U].valueDate`, `[ext:U].valueDate`, `given[0]`.

use tsunagi_core::fault::Bilingual;

use super::tree::{Condition, Pick, Step, TreePath};

pub(super) fn parse(text: &str) -> Result<TreePath, Bilingual> {
    parse_inside(text, 0)
}

/// `depth` is how many brackets stand around the text: its bound keeps this recursion off the end of the stack.
fn parse_inside(text: &str, depth: usize) -> Result<TreePath, Bilingual> {
    if depth > DEEPEST {
        return Err(Bilingual::new(
            format!("[ ] の入れ子は{DEEPEST}段までです"),
            format!("[ ] stand at most {DEEPEST} deep in each other"),
        ));
    }
    let mut steps = Vec::new();
    for part in split(text)? {
        steps_of(part, depth, &mut steps)?;
    }
    if steps.is_empty() {
        return Err(Bilingual::new("パスが空です", "the path is empty"));
    }
    TreePath::new(steps)
}

/// Cuts at the dots that stand outside all brackets.
fn split(text: &str) -> Result<Vec<&str>, Bilingual> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, 0_usize);
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.checked_sub(1).ok_or_else(unbalanced)?,
            '.' if depth == 0 => {
                parts.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    if depth != 0 {
        return Err(unbalanced());
    }
    parts.extend(text.get(start..));
    Ok(parts)
}

/// Reads one part between dots: a name and its brackets. `[ext:…]` opens a step of its own.
fn steps_of(part: &str, depth: usize, steps: &mut Vec<Step>) -> Result<(), Bilingual> {
    let (name, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
    let has_name = !name.is_empty();
    if has_name {
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(Bilingual::new("要素名は英数字です", "an element name is letters and digits"));
        }
        steps.push(Step { name: name.to_owned(), pick: None });
    } else if !rest.starts_with("[ext:") {
        return Err(Bilingual::new("名前のない段があります", "a step has no name"));
    }
    while !rest.is_empty() {
        let (inside, after) = bracket(rest)?;
        rest = after;
        if let Some(url) = inside.strip_prefix("ext:") {
            let condition = Condition { path: parse_inside("url", depth)?, value: url.to_owned() };
            steps.push(Step { name: "extension".to_owned(), pick: Some(Pick::Where(vec![condition])) });
            continue;
        }
        let pick = pick(inside, depth)?;
        let Some(step) = steps.last_mut() else { return Err(unbalanced()) };
        match (&mut step.pick, pick) {
            (slot @ None, pick) => *slot = Some(pick),
            (Some(Pick::Where(conditions)), Pick::Where(more)) => conditions.extend(more),
            _ => {
                return Err(Bilingual::new(
                    "[番号] や [*] は他の条件と併用できません",
                    "[n] and [*] stand alone, without conditions",
                ));
            }
        }
    }
    Ok(())
}

/// What stands in the bracket that `text` begins with, and what comes after it.
fn bracket(text: &str) -> Result<(&str, &str), Bilingual> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => {
                depth = depth.checked_sub(1).ok_or_else(unbalanced)?;
                if depth == 0 {
                    let inside = text.get(1..at).ok_or_else(unbalanced)?;
                    return Ok((inside, text.get(at + 1..).unwrap_or("")));
                }
            }
            _ if depth == 0 => break,
            _ => {}
        }
    }
    Err(unbalanced())
}

fn pick(inside: &str, around: usize) -> Result<Pick, Bilingual> {
    if inside == "*" {
        return Ok(Pick::Every);
    }
    if let Ok(index) = inside.parse::<usize>() {
        return Ok(Pick::Index(index));
    }
    let mut depth = 0_usize;
    for (at, c) in inside.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            '=' if depth == 0 => {
                let (path, value) = (inside.get(..at).unwrap_or(""), inside.get(at + 1..).unwrap_or(""));
                if value.is_empty() {
                    break;
                }
                return Ok(Pick::Where(vec![Condition {
                    path: parse_inside(path, around + 1)?,
                    value: value.to_owned(),
                }]));
            }
            _ => {}
        }
    }
    Err(Bilingual::new(
        "[ ] の中は 番号・*・ext:URL・パス=値 のどれかです",
        "inside [ ] stands a number, *, ext:URL or path=value",
    ))
}

fn unbalanced() -> Bilingual {
    Bilingual::new("[ と ] の対応が取れていません", "[ and ] do not match")
}

/// Paths of the forms here have conditions in conditions, and no more.
const DEEPEST: usize = 4;

#[cfg(test)]
mod tests;
