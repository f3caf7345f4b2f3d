//! What one statement of a reason says happened.

use super::body::{self, Body, Parts};

/// A change, with the bodies as the statement names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change<B> {
    /// All of `from` end, or the parts of them that are named, and `into` goes on (編入).
    Absorbed { from: Vec<B>, into: B },
    /// `bodies` begin, and nothing ends (区の新設).
    Founded { bodies: Vec<B> },
    /// `from` go on with less area, and `new` begin (分離).
    Separated { from: Vec<B>, new: Vec<B> },
    /// All of `from` end, or the parts of them that are named, and all of `to` begin (合併, 施行, 名称変更, 分割, 再編).
    Succeeded { from: Vec<B>, to: Vec<B> },
}

/// A statement that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Understood {
    /// No body begins, ends or changes its code or name.
    WithoutEffect,
    /// In the order they are told.
    Changes(Vec<Change<Body>>),
}

/// Reads a statement in half-width parentheses and without space; `None` if it is none that is known.
pub(super) fn parse(text: &str) -> Option<Understood> {
    let text = without_remark(text);
    if is_without_effect(text) {
        return Some(Understood::WithoutEffect);
    }
    let one = |change| Some(Understood::Changes(vec![change]));
    if let Some((from, new)) = text.split_once("から分離し、") {
        return one(Change::Separated { from: body::list(from)?, new: body::list(new.strip_suffix("を新設")?)? });
    }
    for joined in ["が合併し、", "が統合し、", "を分割し、", "を再編し、"] {
        if let Some((from, to)) = text.split_once(joined) {
            return succeeded(from, to.strip_suffix("を新設")?);
        }
    }
    if let Some(bodies) = text.strip_suffix("の新設") {
        return one(Change::Founded { bodies: body::list(bodies)? });
    }
    if let Some(rest) = text.strip_suffix("への政令指定都市施行").or_else(|| text.strip_suffix("への政令指定都市移行"))
    {
        let (from, to) = rest.split_once(")の")?;
        return succeeded(&format!("{from})"), to);
    }
    for ending in ["に再編", "に分割"] {
        if let Some(rest) = text.strip_suffix(ending) {
            let (from, to) = rest.split_once(")を")?;
            return succeeded(&format!("{from})"), to);
        }
    }
    if let Some(rest) =
        ["に郡の区域変更", "に支庁の区域変更", "に区域変更"].iter().find_map(|ending| text.strip_suffix(ending))
    {
        return pairs(rest);
    }
    if let Some(clauses) = text.strip_suffix("に編入") {
        return absorbed(clauses);
    }
    became(text)
}

/// `A、Bが合併し、Cを新設` and all others in which some end and some begin.
fn succeeded(from: &str, to: &str) -> Option<Understood> {
    Some(Understood::Changes(vec![Change::Succeeded { from: body::list(from)?, to: body::list(to)? }]))
}

/// `Aが甲郡B(…)に`: each of the left becomes the one at its place on the right.
fn pairs(text: &str) -> Option<Understood> {
    let (from, to) = text.split_once(")が")?;
    let (from, to) = (body::list(&format!("{from})"))?, body::list(to)?);
    if from.len() != to.len() {
        return None;
    }
    let pair = |(from, to)| Change::Succeeded { from: vec![from], to: vec![to] };
    Some(Understood::Changes(from.into_iter().zip(to).map(pair).collect()))
}

/// `A、BがCに編入`, or several such clauses; a later one may leave out whose 大字 it names.
fn absorbed(text: &str) -> Option<Understood> {
    let mut changes: Vec<Change<Body>> = Vec::new();
    for clause in text.split("に編入し、") {
        let (subject, into) = subject_and_object(clause)?;
        let from = match changes.last() {
            Some(Change::Absorbed { from: before, .. }) if subject.starts_with("大字") => {
                vec![Body { parts: Parts::Named(body::areas(subject)?), ..before.last()?.clone() }]
            }
            _ => body::list(subject)?,
        };
        changes.push(Change::Absorbed { from, into: body::one(into)? });
    }
    Some(Understood::Changes(changes))
}

/// `AがBに町制施行`, `AがBに名称変更`, and both on one day with a name in between that never had a code.
fn became(text: &str) -> Option<Understood> {
    let mut keeps_code = true;
    let mut rest = text.strip_suffix("に名称変更").or_else(|| {
        keeps_code = !text.ends_with("に市制施行");
        ["に市制施行", "に町制施行", "に村制施行"].iter().find_map(|ending| text.strip_suffix(ending))
    })?;
    let mut last = None;
    for between in ["に名称変更し、", "に市制施行し、", "に町制施行し、"] {
        if let Some((clause, to)) = rest.split_once(between) {
            keeps_code &= between != "に市制施行し、";
            last = Some(to);
            rest = clause;
        }
    }
    let (from, to) = subject_and_object(rest)?;
    let (from, between) = (body::one(from)?, body::one(to)?);
    let mut to = match last {
        // What is in between is a name of the same day: it is not of use to anyone, unless it had a code of its own.
        Some(_) if between.code.is_some() && between.code != from.code => return None,
        Some(to) => body::one(to)?,
        None => between,
    };
    if to.code.is_none() && keeps_code {
        to.code.clone_from(&from.code);
    }
    Some(Understood::Changes(vec![Change::Succeeded { from: vec![from], to: vec![to] }]))
}

/// Parts `AがB`. Names hold the letter が too (つがる市), so it is the first after the last code or 大字 of the left.
fn subject_and_object(text: &str) -> Option<(&str, &str)> {
    let left = if text.ends_with(')') { text.get(..text.rfind('(')?)? } else { text };
    let from = left.rfind(')').map_or(0, |at| at + 1);
    let at = from + text.get(from..)?.find('が')?;
    Some((text.get(..at)?, text.get(at + 'が'.len_utf8()..)?))
}

/// `…に再編(区名、区域の変更なし)`: the remark says nothing that the codes do not.
fn without_remark(text: &str) -> &str {
    let before = |at: usize| text.get(..at).filter(|before| before.ends_with("再編"));
    text.strip_suffix(')').and_then(|_| text.rfind('(')).and_then(before).unwrap_or(text)
}

/// 郡の廃止 and 新設, 中核市 and 特例市, and the heading of a reorganisation of wards.
fn is_without_effect(text: &str) -> bool {
    let districts =
        |text: &str| body::list(text).is_some_and(|all| all.iter().all(|one| one.name.ends_with(['郡', '庁', '局'])));
    let kind_of_city = |text: &str| {
        let kinds = ["中核市", "特例市", "特例市から中核市", "施行時特例市", "施行時特例市から中核市"];
        kinds.iter().any(|kind| text.strip_suffix(kind).and_then(|left| left.strip_suffix('が')).is_some())
    };
    text.strip_suffix("の廃止").or_else(|| text.strip_suffix("の新設")).is_some_and(districts)
        || text.strip_suffix("に移行").is_some_and(kind_of_city)
        || text.strip_suffix("の区の再編").is_some_and(|city| body::one(city).is_some())
}
