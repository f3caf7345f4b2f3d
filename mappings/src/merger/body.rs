//! The bodies that a statement names: `与那城村(よなぐすくそん、47322)`, `北区(22135)(三方原地区以外)`,
//! `上九一色村(19341)大字梯及び古関`.

use tsunagi_core::municipality::MunicipalityCode;

/// One body as a statement names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Body {
    pub(super) name: String,
    pub(super) kana: Option<String>,
    /// Left out where a new body keeps the code of a member of its name.
    pub(super) code: Option<MunicipalityCode>,
    pub(super) parts: Parts,
}

/// How much of a body a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Parts {
    /// Only these 大字 or 町.
    Named(Vec<String>),
    /// What other statements do not name.
    Rest,
    Whole,
}

impl Body {
    /// Reads one body; `None` if the text is something else.
    fn parse(text: &str) -> Option<Self> {
        let name_ends = text.find('(').unwrap_or(text.len());
        let (name, mut rest) = text.split_at_checked(name_ends)?;
        if !name.ends_with(KINDS) {
            return None;
        }
        let mut body = Self { name: name.to_owned(), kana: None, code: None, parts: Parts::Whole };
        while let Some(inside) = rest.strip_prefix('(') {
            let (inside, after) = inside.split_once(')')?;
            body.note(inside)?;
            rest = after;
        }
        if !rest.is_empty() {
            body.parts = Parts::Named(areas(rest.strip_prefix("大字").or_else(|| rest.strip_prefix('字'))?)?);
        }
        Some(body)
    }

    /// What stands in one pair of parentheses: the code, how the name is read, both, or a part of the area.
    fn note(&mut self, inside: &str) -> Option<()> {
        let mut pieces: Vec<&str> = inside.split('、').collect();
        let code = pieces.last().and_then(|last| MunicipalityCode::from_five(last).ok());
        if code.is_some() {
            pieces.pop();
        }
        let is_about_parts = code.is_none() && self.code.is_some();
        match pieces.as_slice() {
            [] => {}
            [kana] if kana.chars().all(is_kana) => self.kana = Some((*kana).to_owned()),
            [whole] if is_about_parts && whole.ends_with("以外") => self.parts = Parts::Rest,
            _ if is_about_parts => {
                let named = inside.split_once('/').map_or(inside, |(_, named)| named);
                self.parts = Parts::Named(areas(named)?);
            }
            _ => return None,
        }
        self.code = code.or(self.code.take());
        Some(())
    }
}

/// Reads bodies parted by `、`, `と` or `及び`. Inside parentheses and in the list of 大字 behind a body those part
/// something else.
pub(super) fn list(text: &str) -> Option<Vec<Body>> {
    let mut bodies: Vec<Body> = Vec::new();
    for element in elements(text) {
        match bodies.last_mut() {
            // The next 大字 of the body before.
            Some(Body { parts: Parts::Named(names), .. }) if !element.contains('(') => names.extend(areas(element)?),
            _ => bodies.push(Body::parse(element)?),
        }
    }
    (!bodies.is_empty()).then_some(bodies)
}

/// One body alone.
pub(super) fn one(text: &str) -> Option<Body> {
    let mut bodies = list(text)?;
    bodies.pop().filter(|_| bodies.is_empty())
}

/// The 大字 of a list: `梯及び古関`, `精進、本栖及び富士ヶ嶺`. `None` if one of them has a sign that means something else in
/// the table of municipalities: `*` stands for all areas that are not named there, `/` between two of them.
pub(super) fn areas(text: &str) -> Option<Vec<String>> {
    let text = text.replace("及び", "、").replace("並びに", "、");
    let name = |part: &str| part.strip_prefix("大字").unwrap_or(part).to_owned();
    let names: Vec<String> = text.split('、').filter(|part| !part.is_empty()).map(name).collect();
    names.iter().all(|name| !name.is_empty() && !name.contains(['*', '/'])).then_some(names)
}

fn elements(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut from, mut depth, mut after_parenthesis) = (0, 0u32, false);
    let mut skip_to = 0;
    for (at, c) in text.char_indices().filter(|(_, c)| *c != '\n') {
        if at < skip_to {
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        let joint = if depth > 0 {
            None
        } else {
            let words = ["と", "及び", "並びに"].into_iter().filter(|_| after_parenthesis);
            std::iter::once("、").chain(words).find(|word| rest.starts_with(word))
        };
        if let Some(joint) = joint {
            found.push(text.get(from..at).unwrap_or_default());
            from = at + joint.len();
            skip_to = from;
            after_parenthesis = false;
            continue;
        }
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        after_parenthesis = c == ')' && depth == 0;
    }
    found.push(text.get(from..).unwrap_or_default());
    found
}

fn is_kana(c: char) -> bool {
    matches!(c, 'ぁ'..='ゖ' | 'ァ'..='ヺ' | 'ー')
}

/// What the name of a body ends with.
const KINDS: [char; 7] = ['市', '区', '町', '村', '郡', '庁', '局'];
