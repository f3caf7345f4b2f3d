//! `GET /app/v1/access-log`: who asked, when, what for, by which right, and what was seen, for the person concerned.
//!
//! What is shown of a log is decided here, and in doubt nothing is: under the non-disclosure flag there is no log to read;
//! a proxy is not shown what others than itself did through an app, nor what could not be shown to a proxy as a record.

mod words;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use tsunagi_core::audit::{Action, AuditEvent, EventOutcome};
use tsunagi_core::id::{ClassName, ExchangeId, KindName, SubjectKey, TenantId};
use tsunagi_core::policy::{Effect, Flow, Policy};
use tsunagi_core::refusal::Refusal;
use tsunagi_mappings::Tables;
use tsunagi_store::{Held, Leaf, LeavesOf, Note, Storage, StoreError};

use self::words::{Entry, Words};
use super::answer::{self, Refused};
use super::app::{bad_parameter, citizen, is_proxy, linked};
use super::fhir::query::{number, pairs};
use crate::gateway::Gateway;
use crate::pipeline::{Call, SignIn, refusal_of, turned_away};
use crate::receipts::{LeafReceipt, Provers};

/// Entries of a page where the caller does not say.
const USUAL: u64 = 50;

/// Entries of a page at the most.
const MOST: u64 = 200;

/// Leaves that are read at a time, and how often at most for a page: where almost nothing is shown it may be short.
const PIECE: usize = 200;
const READS: usize = 50;

/// How often it is started over because the subject changed meanwhile.
const TRIES: usize = 5;

#[derive(Serialize)]
struct AccessLog {
    exchange: ExchangeId,
    entries: Vec<Proven>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Proven {
    #[serde(flatten)]
    entry: Entry,
    audit: LeafReceipt,
}

/// `GET /app/v1/access-log?subject=&after=&limit=`
pub(super) async fn access_log(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response<Body>, Refused> {
    let sign_in = citizen(&gateway, &call, &headers).await?;
    let limit = number(raw.as_deref(), "limit", USUAL, 1..=MOST)? as usize;
    let (mut only, mut after) = (None, None);
    for (name, value) in pairs(raw.as_deref().unwrap_or("")) {
        match name.as_str() {
            "subject" => only = Some(SubjectKey::parse(&value).map_err(|_| bad_parameter("subject"))?),
            "after" => {
                let place = gateway.cursors.read(&call.caller.participant.id, &value);
                after = Some(place.and_then(|place| Place::parse(&place)).ok_or_else(|| bad_parameter("after"))?);
            }
            "limit" => {}
            _ => return Err(bad_parameter("?")),
        }
    }
    for _ in 0..TRIES {
        let people = linked(&gateway, &call, &sign_in, only.as_ref()).await?;
        if people.is_empty() {
            return Err(Refused(turned_away(&gateway, &call, "no_link").await));
        }
        let page = Page::read(&gateway, &call, (&sign_in, &people), after.as_ref(), limit).await?;
        // Proofs are looked up before the reading is noted: after it nothing can fail that leaves it told but not done.
        let mut provers = Provers::of(gateway.store.as_ref());
        let mut entries = Vec::new();
        for (tenant, index, entry) in page.entries {
            entries.push(Proven { entry, audit: provers.receipt(&tenant, index).await? });
        }
        match note_reading(&gateway, &call, &sign_in, &people, None).await {
            Ok(()) => {}
            Err(StoreError::Stale) => continue,
            Err(error) => return Err(Refused(refusal_of(error))),
        }
        let write = |place: Place| gateway.cursors.write(&call.caller.participant.id, &place.to_string());
        let next = page.next.map(write).transpose()?;
        let link = next.as_ref().map(|next| {
            let subject = only.as_ref().map(|key| format!("&subject={key}")).unwrap_or_default();
            format!("</app/v1/access-log?after={next}&limit={limit}{subject}>; rel=\"next\"")
        });
        let body = AccessLog { exchange: call.exchange.clone(), entries, next };
        let mut response = answer::json(StatusCode::OK, "application/json; charset=utf-8", &body);
        if let Some(link) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
            response.headers_mut().insert(header::LINK, link);
        }
        return Ok(response);
    }
    Err(Refused(Refusal::Unavailable))
}

/// That the log was read is in the log before the answer leaves, of everybody whose log was.
pub(super) async fn note_reading(
    gateway: &Gateway,
    call: &Call,
    sign_in: &SignIn,
    people: &[(TenantId, Held)],
    reason: Option<String>,
) -> Result<(), StoreError> {
    let mut by_tenant: BTreeMap<&TenantId, Note> = BTreeMap::new();
    for (tenant, held) in people {
        let mut event = call.event(Action::LogRead, EventOutcome::Done);
        event.subject = Some(held.subject.clone());
        event.agent.end_user = Some(gateway.pseudonyms.of(sign_in));
        event.agent.proxy = is_proxy(held);
        event.reason.clone_from(&reason);
        let empty = || Note { events: Vec::new(), rests_on: Vec::new(), directive: None };
        let note = by_tenant.entry(tenant).or_insert_with(empty);
        note.events.push(event);
        note.rests_on.push((held.subject.clone(), held.version));
    }
    for (tenant, note) in by_tenant {
        gateway.store.note(tenant, note).await?;
    }
    Ok(())
}

/// How far a reader has come in each log that tells of somebody: `TENANT/SUBJECT/INDEX`, joined by commas. Below these
/// indexes it goes on; a log that is not named has come to its end. It leaves the hub in a [cursor](super::cursor) alone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place(BTreeMap<(TenantId, SubjectKey), u64>);

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let one = |part: &str| {
            let mut words = part.split('/');
            let (tenant, subject, index) = (words.next()?, words.next()?, words.next()?);
            let below = index.parse().ok().filter(|_| words.next().is_none())?;
            Some(((TenantId::parse(tenant).ok()?, SubjectKey::parse(subject).ok()?), below))
        };
        text.split(',').map(one).collect::<Option<_>>().map(Self)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, ((tenant, subject), below)) in self.0.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{tenant}/{subject}/{below}")?;
        }
        Ok(())
    }
}

/// What is told of one person in one log, as far as it was read.
struct Stream<'a> {
    tenant: &'a TenantId,
    held: &'a Held,
    leaves: VecDeque<(Leaf, AuditEvent)>,
    /// Where it goes on after these.
    next: Option<u64>,
    /// Below which leaf it is not told yet. It goes by what was told alone, so that a place tells nothing of what was not.
    told: u64,
}

impl Stream<'_> {
    async fn fill(&mut self, store: &dyn Storage) -> Result<(), StoreError> {
        let Some(below) = self.next else { return Ok(()) };
        let of = LeavesOf::Subject(self.held.subject.clone());
        let page = store.leaves_of(self.tenant, &of, below, PIECE).await?;
        self.next = page.next;
        for leaf in page.leaves {
            let event: AuditEvent = serde_json::from_slice(&leaf.bytes)
                .map_err(|_| StoreError::Corrupt(format!("leaf {} of {} cannot be read", leaf.index, self.tenant)))?;
            self.leaves.push_back((leaf, event));
        }
        Ok(())
    }

    /// Where it goes on if it was looked through in vain.
    fn place(&self) -> Option<u64> {
        self.leaves.front().map(|(leaf, _)| leaf.index + 1).or(self.next)
    }
}

fn places(streams: &[Stream<'_>], of: impl Fn(&Stream<'_>) -> Option<u64>) -> Option<Place> {
    let name = |stream: &Stream<'_>| (stream.tenant.clone(), stream.held.subject.clone());
    let places: BTreeMap<_, _> = streams.iter().filter_map(|stream| Some((name(stream), of(stream)?))).collect();
    (!places.is_empty()).then_some(Place(places))
}

/// A page of several logs, newest first.
struct Page {
    entries: Vec<(TenantId, u64, Entry)>,
    next: Option<Place>,
}

impl Page {
    async fn read(
        gateway: &Gateway,
        call: &Call,
        (sign_in, people): (&SignIn, &[(TenantId, Held)]),
        after: Option<&Place>,
        limit: usize,
    ) -> Result<Self, Refused> {
        let tables = gateway.tables.load_full();
        let mut streams = Vec::new();
        for (tenant, held) in people {
            let told = match after {
                None => Some(u64::MAX),
                Some(place) => place.0.get(&(tenant.clone(), held.subject.clone())).copied(),
            };
            let Some(told) = told else { continue };
            streams.push(Stream { tenant, held, leaves: VecDeque::new(), next: Some(told), told });
        }
        let viewer = gateway.pseudonyms.of(sign_in);
        let registry = gateway.registry.load_full();
        let words =
            Words { tables: &tables, registry: &registry, lang: call.lang, caller: &call.caller, viewer: &viewer };
        let mut entries = Vec::new();
        let mut reads = 0;
        loop {
            for stream in &mut streams {
                while stream.leaves.is_empty() && stream.next.is_some() && reads < READS + people.len() {
                    stream.fill(gateway.store.as_ref()).await?;
                    reads += 1;
                }
            }
            let is_full = entries.len() == limit;
            // Of a log that was not read far enough nothing is known to be older than what the others have.
            if streams.iter().any(|stream| stream.leaves.is_empty() && stream.next.is_some()) {
                let next = if is_full {
                    places(&streams, |stream| Some(stream.told))
                } else {
                    places(&streams, |stream| stream.place())
                };
                return Ok(Self { entries, next });
            }
            let newest = streams.iter_mut().max_by_key(|stream| stream.leaves.front().map(|(_, event)| event.at));
            let front = newest.and_then(|stream| stream.leaves.pop_front().map(|front| (stream, front)));
            let Some((stream, (leaf, event))) = front else { return Ok(Self { entries, next: None }) };
            if !is_shown(&tables, &event, stream.held, &viewer) {
                continue;
            }
            if is_full {
                let next = places(&streams, |stream| Some(stream.told));
                return Ok(Self { entries, next });
            }
            let entry = words.entry(stream.tenant, &event, is_proxy(stream.held).then_some(tables.policy()));
            entries.push((stream.tenant.clone(), leaf.index, entry));
            stream.told = leaf.index;
        }
    }
}

/// Whether the person who reads is shown an event of the subject's log. The subject is shown all of it.
fn is_shown(tables: &Tables, event: &AuditEvent, held: &Held, viewer: &str) -> bool {
    if event.subject.as_ref() != Some(&held.subject) {
        return false;
    }
    if !is_proxy(held) {
        return true;
    }
    let is_anothers = event.agent.end_user.as_deref().is_some_and(|user| user != viewer);
    let is_hidden_kind = event.kind.as_ref().is_some_and(|name| {
        tables
            .kind(name)
            .is_none_or(|kind| !kind.classes().iter().any(|class| is_for_proxies(tables.policy(), name, class)))
    });
    // Whom else the municipality has linked, and that the child's data was once withheld, are not for every proxy to know.
    let tells_of_household = event.action == Action::SubjectLinked || event.reason.as_deref() == Some("non_disclosure");
    !(is_anothers || is_hidden_kind || tells_of_household)
}

/// Whether an app could ever show a class of a kind to a proxy.
fn is_for_proxies(policy: &Policy, kind: &KindName, class: &ClassName) -> bool {
    let mut about = policy.rule.iter().filter(|rule| {
        rule.flow == Flow::AppReads
            && (rule.kinds.is_empty() || rule.kinds.contains(kind))
            && (rule.classes.is_empty() || rule.classes.contains(class))
    });
    about.clone().all(|rule| rule.effect != Effect::Never) && about.any(|rule| !rule.not_for_proxy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let subject = SubjectKey::new(jiff::Timestamp::UNIX_EPOCH, [1; 10]);
        let text = format!("hakodate/{subject}/7,oita/{subject}/0");
        assert_eq!(Place::parse(&text).map(|place| place.to_string()), Some(text.clone()));
        for bad in ["", "oita", "oita/x/1", &format!("{text}/1"), &format!("{text},"), "oita//1"] {
            assert_eq!(Place::parse(bad), None, "{bad}");
        }
    }
}
