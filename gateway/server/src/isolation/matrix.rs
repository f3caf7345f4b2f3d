//! Who saw what of whom.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Caller;
use super::attempts::{Attempt, Clause, Expected, PATHS, attempts};
use super::canary::{Canary, letter};
use crate::clock::Clock;
use crate::demo::client::Reply;
use crate::gateway::StartFault;

/// What one caller learnt of one tenant on one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// Who asked.
    pub participant: String,
    /// On which path.
    pub path: String,
    /// Of which tenant.
    pub tenant: String,
    /// The canary was seen.
    pub seen: bool,
    /// It ought to be, where that is certain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<bool>,
    /// Nothing was seen, but what is there could be told from what is not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub told_apart: bool,
    /// How many requests were made.
    pub attempts: usize,
}

impl Cell {
    /// True if somebody learnt what is not theirs.
    pub fn is_leak(&self) -> bool {
        self.expected == Some(false) && (self.seen || self.told_apart)
    }

    /// True if somebody did not see what is theirs: then the test may be blind.
    pub fn is_blind(&self) -> bool {
        self.expected == Some(true) && !self.seen
    }
}

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub struct Matrix {
    /// One for each participant, path and tenant.
    pub cells: Vec<Cell>,
}

impl Matrix {
    /// What ought not to be.
    pub fn leaks(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| cell.is_leak())
    }

    /// What ought to be and is not.
    pub fn blind(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| cell.is_blind())
    }

    /// A row for each path, a column for each participant: the tenants whose canary was seen, `!` after one that ought
    /// not to be, `~` after one that could be told from nothing, `?` after one that ought to be seen and was not.
    pub fn table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let mut participants: Vec<&str> = Vec::new();
        let mut at: BTreeMap<(&str, &str), String> = BTreeMap::new();
        for cell in &self.cells {
            if !participants.contains(&cell.participant.as_str()) {
                participants.push(&cell.participant);
            }
            let mark = match (cell.is_leak(), cell.seen, cell.is_blind()) {
                (true, true, _) => "!",
                (true, false, _) => "~",
                (false, _, true) => "?",
                (false, true, false) => "",
                (false, false, false) => continue,
            };
            let letter = cell.tenant.rsplit('-').next().unwrap_or_default();
            at.entry((&cell.path, &cell.participant)).or_default().push_str(&format!("{letter}{mark}"));
        }
        let rows = PATHS.iter().map(|path| {
            let shown = |participant: &&str| at.get(&(*path, *participant)).cloned().unwrap_or_else(|| "-".to_owned());
            [(*path).to_owned()].into_iter().chain(participants.iter().map(shown)).collect()
        });
        let rows = rows.collect();
        (participants.iter().map(|name| (*name).to_owned()).collect(), rows)
    }
}

/// Everything that one caller tries, by path and tenant.
pub(super) async fn try_all(
    caller: &Caller,
    canaries: &[Canary],
    clause: &Clause,
    clock: &Clock,
) -> Result<Vec<Cell>, StartFault> {
    let mut cells: BTreeMap<(&str, usize), Cell> = BTreeMap::new();
    for attempt in attempts(canaries, clause, clock) {
        let reply = send(caller, &attempt, &attempt.uri).await?;
        let shown = [reply.body.as_ref(), format!("{:?}", reply.headers).as_bytes()].concat();
        let asked = format!("{}{}", attempt.uri, String::from_utf8_lossy(&attempt.body));
        for (side, canary) in canaries.iter().enumerate() {
            let is_asked = attempt.of.is_none_or(|of| of == side);
            let expected = if is_asked { (attempt.who)(caller, side) } else { Expected::Hidden };
            // Whoever is answered about a thing that was named by its id has seen it.
            let is_answered = attempt.of == Some(side) && reply.status.is_success();
            let seen = is_answered || canary.shows_in(&shown, &asked);
            let told_apart = match (&attempt.nothing, seen) {
                (Some(nothing), false) if is_asked && expected == Expected::Hidden => {
                    let other = send(caller, &attempt, nothing).await?;
                    essence(&reply) != essence(&other)
                }
                _ => false,
            };
            add(
                cells.entry((attempt.path, side)).or_insert_with(|| empty(caller, &attempt, side)),
                expected,
                seen,
                told_apart,
            );
        }
    }
    Ok(cells.into_values().collect())
}

fn empty(caller: &Caller, attempt: &Attempt, side: usize) -> Cell {
    Cell {
        participant: caller.name.clone(),
        path: attempt.path.to_owned(),
        tenant: format!("self-test-{}", letter(side)),
        seen: false,
        expected: Some(false),
        told_apart: false,
        attempts: 0,
    }
}

/// One path may be tried in several ways: what any of them ought to show is expected of the path, and a leak of any of
/// them is one.
fn add(cell: &mut Cell, expected: Expected, seen: bool, told_apart: bool) {
    cell.attempts += 1;
    let leaks = expected == Expected::Hidden && (seen || told_apart);
    if cell.is_leak() {
        return;
    }
    cell.seen |= seen;
    cell.told_apart |= told_apart;
    cell.expected = match (leaks, expected, cell.expected) {
        (true, _, _) => Some(false),
        (false, Expected::Seen, _) | (false, _, Some(true)) => Some(true),
        (false, Expected::Either, _) | (false, _, None) => None,
        (false, Expected::Hidden, Some(false)) => Some(false),
    };
}

async fn send(caller: &Caller, attempt: &Attempt, uri: &str) -> Result<Reply, StartFault> {
    let mut headers = vec![("Content-Type", "application/json"), ("Accept-Language", "en")];
    headers.extend(caller.bearer.as_deref().map(|bearer| ("Authorization", bearer)));
    let uri = uri.replace('|', "%7C").replace(", ", ",");
    let reply = caller.client.afresh().send(attempt.method.clone(), &uri, &headers, attempt.body.clone()).await;
    let reply = reply.map_err(|error| StartFault::Setting(format!("{} {}: {error}", caller.name, attempt.path)))?;
    // Whoever is nobody here is soon told to come again later; of anybody else it would mean that nothing was tried.
    if reply.status == http::StatusCode::TOO_MANY_REQUESTS && caller.role.is_some() {
        return Err(StartFault::Setting(format!("{} {}: too many requests", caller.name, attempt.path)));
    }
    Ok(reply)
}

/// An answer without what differs in every answer: the exchange, the date, how many more may come. A refusal for coming
/// too often says nothing of what was asked for.
fn essence(reply: &Reply) -> Option<(u16, Vec<String>, String)> {
    if reply.status == http::StatusCode::TOO_MANY_REQUESTS || reply.status == http::StatusCode::FORBIDDEN {
        return None;
    }
    let exchange = reply.header("Tsunagi-Exchange").to_owned();
    let own = |name: &str| matches!(name, "date" | "ratelimit" | "tsunagi-exchange");
    let headers = reply.headers.iter().filter(|(name, _)| !own(name.as_str()));
    let mut headers: Vec<String> =
        headers.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))).collect();
    headers.sort();
    let body = String::from_utf8_lossy(&reply.body);
    Some((
        reply.status.as_u16(),
        headers,
        if exchange.is_empty() { body.into_owned() } else { body.replace(&exchange, "ex") },
    ))
}
