//! `GET /fhir/AuditEvent`: the part of the log that is the caller's own, as IHE BALP writes it. A municipality reads
//! the log of its tenant; any other participant what it did itself; an app what its citizen did through it. That it was
//! read is in the log before the answer leaves.

mod entity;
mod pages;
pub(super) mod profile;
mod resource;
pub(super) mod search;
mod view;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};
use tsunagi_core::audit::{Action, EventOutcome};
use tsunagi_core::id::TenantId;
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::{Registry, Role};
use tsunagi_store::{LeavesOf, Note, StoreError, SubjectRef};

use self::pages::{Log, Page, Place};
use self::resource::Writer;
use self::search::Search;
use self::view::View;
use super::MEDIA_TYPE;
use crate::edge::answer::{self, Refused};
use crate::edge::{access_log, app};
use crate::gateway::Gateway;
use crate::pipeline::{Call, refusal_of, turned_away};

/// How often it is started over because a subject changed meanwhile.
const TRIES: usize = 5;

/// Searches: a `searchset`, newest first.
pub(in crate::edge) async fn search(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response<Body>, Refused> {
    let open = |cursor: &str| gateway.cursors.read(&call.caller.participant.id, cursor);
    let search = Search::parse(raw.as_deref(), &gateway.registry.load(), open)?;
    if call.caller.participant.role == Role::App {
        return citizens(&gateway, &call, &search, &headers).await;
    }
    let own = call.caller.participant.tenant.clone().filter(|_| call.caller.participant.role == Role::Municipality);
    let logs = logs(&gateway.registry.load(), &call, own.as_ref(), &search);
    let page = read(&gateway, &call, &search, logs).await?;
    // One leaf, wherever the events come from: in the municipality's own log, or in the hub's.
    let mut event = call.event(Action::LogRead, EventOutcome::Done);
    event.reason = Some(search.reason());
    // Whoever looks through what was done with one person's data is told of to that person. A key that nobody has is
    // the caller's own text, and has no place in the log.
    if let (Some(own), LeavesOf::Subject(subject)) = (&own, search.narrowed()) {
        let held = gateway.store.held(own, &SubjectRef::Subject(subject), &[]).await?;
        event.subject = held.map(|held| held.subject);
    }
    let note = Note { events: vec![event], rests_on: Vec::new(), directive: None };
    gateway.store.note(&own.unwrap_or_else(TenantId::hub), note).await?;
    bundle(&gateway, &call, &search, page)
}

/// The logs that may tell of a participant: of the tenants that its channels lead or ever led to, and the hub's; of a
/// municipality its own tenant's alone and the hub's, for what it did in another's tenant is the other's to tell.
fn logs(registry: &Registry, call: &Call, own: Option<&TenantId>, search: &Search) -> Vec<Log> {
    let id = &call.caller.participant.id;
    let party = |tenant: TenantId| Log {
        tenant,
        of: LeavesOf::Participant(id.clone()),
        view: View::Party(id.clone()),
        subject: None,
    };
    let mut logs = vec![party(TenantId::hub())];
    match own {
        Some(own) => {
            logs.push(Log { tenant: own.clone(), of: search.narrowed(), view: View::Controller, subject: None })
        }
        None => {
            let tenants: BTreeSet<&TenantId> = registry.channels_of(id).map(|channel| &channel.tenant).collect();
            logs.extend(tenants.into_iter().cloned().map(party));
        }
    }
    logs
}

/// What a citizen did through this app, for whom they may act now. Of a person under 不開示 there is nothing to read, and
/// whoever is linked to nobody reads nothing.
async fn citizens(
    gateway: &Gateway,
    call: &Call,
    search: &Search,
    headers: &HeaderMap,
) -> Result<Response<Body>, Refused> {
    let sign_in = app::citizen(gateway, call, headers).await?;
    for _ in 0..TRIES {
        let people = app::linked(gateway, call, &sign_in, None).await?;
        if people.is_empty() {
            return match turned_away(gateway, call, "no_link").await {
                Refusal::NotAvailable => bundle(gateway, call, search, Page { resources: Vec::new(), next: None }),
                other => Err(Refused(other)),
            };
        }
        let logs = people.iter().map(|(tenant, held)| Log {
            tenant: tenant.clone(),
            of: LeavesOf::Subject(held.subject.clone()),
            view: View::Citizen {
                app: call.caller.participant.id.clone(),
                pseudonym: gateway.pseudonyms.of(&sign_in),
                people: BTreeSet::from([held.subject.clone()]),
            },
            subject: Some(held.subject.clone()),
        });
        let page = read(gateway, call, search, logs.collect()).await?;
        match access_log::note_reading(gateway, call, &sign_in, &people, Some(search.reason())).await {
            Ok(()) => return bundle(gateway, call, search, page),
            Err(StoreError::Stale) => {}
            Err(error) => return Err(Refused(refusal_of(error))),
        }
    }
    Err(Refused(Refusal::Unavailable))
}

async fn read(gateway: &Gateway, call: &Call, search: &Search, logs: Vec<Log>) -> Result<Page, StoreError> {
    let (tables, registry) = (gateway.tables.load_full(), gateway.registry.load_full());
    let writer = Writer { tables: &tables, registry: &registry, lang: call.lang };
    let store = gateway.store.as_ref();
    pages::read(store, logs, search.after.as_ref(), search.limit, |log, leaf, event| {
        let mut resources = writer.resources(&log.tenant, leaf.index, event, &log.view);
        resources.retain(|resource| search.wants(event.at, resource));
        resources
    })
    .await
}

/// How many there are in all is not counted.
fn bundle(gateway: &Gateway, call: &Call, search: &Search, page: Page) -> Result<Response<Body>, Refused> {
    let address = |place: Option<&Place>| {
        let write = |place| gateway.cursors.write(&call.caller.participant.id, &search.at(place));
        let cursor = place.map(write).transpose()?;
        Ok::<_, Refused>(search.url(cursor.as_deref()))
    };
    let mut links = vec![json!({ "relation": "self", "url": address(search.after.as_ref())? })];
    if let Some(next) = &page.next {
        links.push(json!({ "relation": "next", "url": address(Some(next))? }));
    }
    let mut bundle = json!({ "resourceType": "Bundle", "type": "searchset", "link": links });
    let entries = page.resources.into_iter().map(|event| json!({ "resource": event, "search": { "mode": "match" } }));
    let entries: Vec<Value> = entries.collect();
    let is_nothing = entries.is_empty();
    if let (false, Some(members)) = (entries.is_empty(), bundle.as_object_mut()) {
        members.insert("entry".to_owned(), Value::Array(entries));
    }
    Ok(answer::if_nothing(answer::json(StatusCode::OK, MEDIA_TYPE, &bundle), is_nothing))
}
