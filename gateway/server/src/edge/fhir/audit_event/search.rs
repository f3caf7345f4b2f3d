//! What a search of the log asks. Only what the hub itself could have written is taken, so that what was asked can be
//! kept in the log: nobody's name or number gets there by way of a search.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use jiff::civil::Date;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tsunagi_core::id::{DeliveryId, DirectiveId, ExchangeId, ParticipantId, RecordId, SubjectKey, TenantId};
use tsunagi_core::my_number;
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::Registry;
use tsunagi_store::LeavesOf;

use super::pages::Place;
use super::resource::{
    CONSENT_SYSTEM, DELIVERY_SYSTEM, END_USER_SYSTEM, EXCHANGE_SYSTEM, HUB, OUTCOME_SYSTEM, PARTICIPANT_SYSTEM,
    RECORD_SYSTEM, SEARCHED, SUBJECT_SYSTEM, TENANT_SYSTEM,
};
use crate::clock::start_in_japan;
use crate::edge::fhir::query::{bad, number, pairs};

/// The parameters, with their types in FHIR: as the CapabilityStatement lists them.
pub(in crate::edge::fhir) const PARAMETERS: [(&str, &str); 4] =
    [("agent", "reference"), ("date", "date"), ("entity", "reference"), ("outcome", "token")];

/// Events of a page where the caller does not say.
const USUAL: u64 = 50;

/// Events of a page at the most.
const MOST: u64 = 200;

/// How many values a search may have: they are kept in its leaf.
const MOST_VALUES: usize = 20;

/// What stays as it is in a query: the marks of our own values.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b':').remove(b'/');

/// A search.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) limit: usize,
    pub(super) after: Option<Place>,
    wanted: Vec<Wanted>,
    /// The parameters as they were understood.
    said: Vec<(&'static str, String)>,
}

/// One parameter; all of them must hold, and of each one of its values.
#[derive(Debug)]
enum Wanted {
    Agent(Vec<Named>),
    Date { from: Option<Timestamp>, before: Option<Timestamp> },
    Entity(Vec<Named>),
    Outcome(Vec<&'static str>),
}

/// Somebody or something by its identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    system: &'static str,
    value: String,
}

impl Search {
    /// Reads a query string. A cursor, which `open` reads, holds the whole search: beside it there is nothing to be
    /// said.
    pub(super) fn parse(
        query: Option<&str>,
        registry: &Registry,
        open: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Refusal> {
        let query = query.unwrap_or("");
        let Some((_, cursor)) = pairs(query).find(|(name, _)| name == "_page") else {
            return Self::read(query, registry);
        };
        let is_alone = pairs(query).all(|(name, _)| matches!(name.as_str(), "_page" | "_format"));
        let text = open(&cursor).filter(|_| is_alone).ok_or_else(|| bad("_page"))?;
        let (place, query) = text.split_once('?').ok_or_else(|| bad("_page"))?;
        let after = Some(Place::parse(place).ok_or_else(|| bad("_page"))?);
        Ok(Self { after, ..Self::read(query, registry)? })
    }

    fn read(query: &str, registry: &Registry) -> Result<Self, Refusal> {
        let limit = number(Some(query), "_count", USUAL, 1..=MOST)?;
        let limit = usize::try_from(limit).map_err(|_| bad("_count"))?;
        let mut search = Self { limit, after: None, wanted: Vec::new(), said: Vec::new() };
        let mut values = 0;
        for (name, value) in pairs(query) {
            values += value.split(',').count();
            if values > MOST_VALUES {
                return Err(bad(&name));
            }
            match name.as_str() {
                "agent" | "agent.identifier" | "agent:identifier" => {
                    let named = all(&value, |text| agent(text, registry)).ok_or_else(|| bad("agent"))?;
                    search.say("agent", &named);
                    search.wanted.push(Wanted::Agent(named));
                }
                "entity" | "entity.identifier" | "entity:identifier" => {
                    let named = all(&value, entity).ok_or_else(|| bad("entity"))?;
                    search.say("entity", &named);
                    search.wanted.push(Wanted::Entity(named));
                }
                "date" => {
                    let (wanted, said) = date(&value).ok_or_else(|| bad("date"))?;
                    search.wanted.push(wanted);
                    search.said.push(("date", said));
                }
                "outcome" => {
                    let codes = all(&value, outcome).ok_or_else(|| bad("outcome"))?;
                    search.said.push(("outcome", codes.join(",")));
                    search.wanted.push(Wanted::Outcome(codes));
                }
                "_count" | "_format" => {}
                _ => return Err(bad(&name)),
            }
        }
        Ok(search)
    }

    fn say(&mut self, name: &'static str, named: &[Named]) {
        let values: Vec<_> = named.iter().map(|one| format!("{}|{}", one.system, one.value)).collect();
        self.said.push((name, values.join(",")));
    }

    /// The reason of the leaf that keeps it.
    pub(super) fn reason(&self) -> String {
        format!("{SEARCHED}{}", self.told())
    }

    /// The search as it was understood.
    fn text(&self) -> String {
        self.spell(|value| value)
    }

    /// As it may be kept and told again: a mark in which somebody's number could be hidden is left out.
    fn told(&self) -> String {
        self.spell(|value| if my_number::stands_in(value) { "?" } else { value })
    }

    fn spell(&self, shown: impl Fn(&str) -> &str) -> String {
        let pairs = self.said.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(shown(value), KEPT)));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// What the cursor of a place holds.
    pub(super) fn at(&self, place: &Place) -> String {
        format!("{place}?{}", counted(self.text(), self.limit))
    }

    /// The address of a page of it: by its cursor, or of the first.
    pub(super) fn url(&self, cursor: Option<&str>) -> String {
        match cursor {
            Some(cursor) => format!("/fhir/AuditEvent?_page={cursor}"),
            None => format!("/fhir/AuditEvent?{}", counted(self.told(), self.limit)),
        }
    }

    /// The leaves of a whole log that can answer it: where one person or one participant is asked for, theirs.
    pub(super) fn narrowed(&self) -> LeavesOf {
        let one = |named: &[Named], system: &str| match named {
            [one] if one.system == system && one.value != HUB => Some(one.value.clone()),
            _ => None,
        };
        let subject = self.wanted.iter().find_map(|wanted| match wanted {
            Wanted::Entity(named) => SubjectKey::parse(&one(named, SUBJECT_SYSTEM)?).ok(),
            _ => None,
        });
        let participant = self.wanted.iter().find_map(|wanted| match wanted {
            Wanted::Agent(named) => ParticipantId::parse(&one(named, PARTICIPANT_SYSTEM)?).ok(),
            _ => None,
        });
        match (subject, participant) {
            (Some(subject), _) => LeavesOf::Subject(subject),
            (None, Some(participant)) => LeavesOf::Participant(participant),
            (None, None) => LeavesOf::Everybody,
        }
    }

    /// True if a resource is what is asked for. What it does not say is not looked at.
    pub(super) fn wants(&self, at: Timestamp, resource: &Value) -> bool {
        self.wanted.iter().all(|wanted| match wanted {
            Wanted::Agent(named) => is_among(resource.get("agent"), "who", named),
            Wanted::Date { from, before } => from.is_none_or(|from| from <= at) && before.is_none_or(|end| at < end),
            Wanted::Entity(named) => is_among(resource.get("entity"), "what", named),
            Wanted::Outcome(codes) => {
                resource.get("outcome").and_then(Value::as_str).is_some_and(|outcome| codes.contains(&outcome))
            }
        })
    }
}

fn counted(text: String, limit: usize) -> String {
    let parts: Vec<_> = [text, format!("_count={limit}")].into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("&")
}

fn is_among(list: Option<&Value>, member: &str, named: &[Named]) -> bool {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|one| one.get(member)?.get("identifier")).any(|identifier| {
        let text = |name: &str| identifier.get(name).and_then(Value::as_str);
        named.iter().any(|one| text("system") == Some(one.system) && text("value") == Some(&one.value))
    })
}

/// The values of a parameter, each of which must be understood.
fn all<T>(value: &str, one: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    value.split(',').map(one).collect()
}

/// `SYSTEM|VALUE`, `TYPE/ID`, or the value alone: where a system is given it must be the value's own.
fn named(text: &str, read: impl Fn(&str) -> Option<Named>) -> Option<Named> {
    if let Some((system, value)) = text.split_once('|') {
        return read(value).filter(|named| named.system == system);
    }
    read(text.rsplit_once('/').map_or(text, |(_, id)| id))
}

/// Only participants that the registry knows, the hub, tenants and pseudonyms: any other name is the caller's own text.
fn agent(text: &str, registry: &Registry) -> Option<Named> {
    named(text, |value| {
        let is_tenant = text.starts_with(TENANT_SYSTEM);
        let tenant = TenantId::parse(value).ok().filter(|id| is_tenant && registry.tenant(id).is_some());
        let participant = ParticipantId::parse(value).ok().filter(|id| registry.participant(id).is_some());
        let is_pseudonym = value.len() == 32 && value.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let system = match (tenant, participant) {
            (Some(_), _) => TENANT_SYSTEM,
            (None, Some(_)) => PARTICIPANT_SYSTEM,
            (None, None) if value == HUB => PARTICIPANT_SYSTEM,
            (None, None) if is_pseudonym => END_USER_SYSTEM,
            (None, None) => return None,
        };
        Some(Named { system, value: value.to_owned() })
    })
}

/// The marks that the hub makes.
fn entity(text: &str) -> Option<Named> {
    named(text, |value| {
        let system = if SubjectKey::parse(value).is_ok() {
            SUBJECT_SYSTEM
        } else if RecordId::parse(value).is_ok() {
            RECORD_SYSTEM
        } else if ExchangeId::parse(value).is_ok() {
            EXCHANGE_SYSTEM
        } else if DirectiveId::parse(value).is_ok() {
            CONSENT_SYSTEM
        } else if DeliveryId::parse(value).is_ok() {
            DELIVERY_SYSTEM
        } else {
            return None;
        };
        Some(Named { system, value: value.to_owned() })
    })
}

fn outcome(text: &str) -> Option<&'static str> {
    let code = text.strip_prefix(OUTCOME_SYSTEM).unwrap_or(text);
    let code = code.strip_prefix('|').unwrap_or(code);
    ["0", "4", "8", "12"].into_iter().find(|known| *known == code)
}

/// A prefix and a date or a moment, and how it is spelled. A date stands for all of its day in Japan, a month or a year
/// for all of it.
fn date(text: &str) -> Option<(Wanted, String)> {
    let (prefix, value) = match text.get(..2) {
        Some(prefix @ ("eq" | "ge" | "gt" | "le" | "lt")) => (prefix, text.get(2..)?),
        _ => ("eq", text),
    };
    let (start, end, said) = span(value)?;
    let (from, before) = match prefix {
        "ge" => (Some(start), None),
        "gt" => (Some(end), None),
        "le" => (None, Some(end)),
        "lt" => (None, Some(start)),
        _ => (Some(start), Some(end)),
    };
    Some((Wanted::Date { from, before }, format!("{prefix}{said}")))
}

fn span(text: &str) -> Option<(Timestamp, Timestamp, String)> {
    let (first, length) = match text.len() {
        4 => (format!("{text}-01-01"), jiff::Span::new().years(1)),
        7 => (format!("{text}-01"), jiff::Span::new().months(1)),
        10 => (text.to_owned(), jiff::Span::new().days(1)),
        _ => {
            // In a query string a plus sign that was not encoded has become a space.
            let start: Timestamp = text.replace(' ', "+").parse().ok()?;
            let length = if text.contains('.') { 1 } else { 1_000 };
            let end = start.checked_add(jiff::SignedDuration::from_millis(length)).ok()?;
            let digits = if text.contains('.') { 3 } else { 0 };
            return Some((start, end, format!("{start:.digits$}")));
        }
    };
    let first: Date = first.parse().ok()?;
    Some((start_in_japan(first)?, start_in_japan(first.checked_add(length).ok()?)?, text.to_owned()))
}
