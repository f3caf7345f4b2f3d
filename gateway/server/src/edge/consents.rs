//! `/app/v1/consents`: what a citizen, or a proxy, permits and denies through an app. FHIR says the same in its own
//! form: see [`super::fhir::consent`].

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use http::{HeaderMap, Response, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tsunagi_core::audit::{Action, EventOutcome};
use tsunagi_core::id::{ClassName, DirectiveId, KindName, SubjectKey};
use tsunagi_core::policy::{Acting, Directive, DirectiveEffect, Flow, Purpose, RecipientScope};
use tsunagi_core::refusal::Refusal;
use tsunagi_mappings::Tables;
use tsunagi_store::{Note, StoreError};

use super::answer::{self, Refused};
use super::app::{MEDIA_TYPE, bad_parameter, citizen, is_proxy, linked};
use super::files::require_media_type;
use super::mailbox::bad_body;
use crate::clock::start_in_japan;
use crate::gateway::Gateway;
use crate::pipeline::acting::acting;
use crate::pipeline::{Call, SignIn, repeated_directive, turned_away};

/// A directive as the app writes and reads it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Given {
    pub(super) effect: DirectiveEffect,
    pub(super) recipient: RecipientScope,
    /// For one of several children; for all of them where it is left out.
    pub(super) subject: Option<SubjectKey>,
    #[serde(default)]
    pub(super) kinds: BTreeSet<KindName>,
    #[serde(default)]
    pub(super) classes: BTreeSet<ClassName>,
    #[serde(default)]
    pub(super) purposes: BTreeSet<Purpose>,
    /// From now on where it is left out.
    pub(super) starts_at: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
}

/// `POST /app/v1/consents`
pub(super) async fn give_consent(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response<Body>, Refused> {
    let sign_in = citizen(&gateway, &call, &headers).await?;
    require_media_type(&headers, &["application/json"])?;
    let given: Given = serde_json::from_slice(&bytes).map_err(|error| bad_body(&error))?;
    let kept = keep(&gateway, &call, &sign_in, given).await?;
    let kept: Vec<_> = kept.iter().map(shown).collect();
    Ok(answer::json(StatusCode::CREATED, MEDIA_TYPE, &json!({ "exchange": call.exchange, "consents": kept })))
}

/// Keeps a directive in every tenant in which the sign-in is linked, with its leaf.
pub(super) async fn keep(
    gateway: &Gateway,
    call: &Call,
    sign_in: &SignIn,
    given: Given,
) -> Result<Vec<Directive>, Refused> {
    let given_at = given.starts_at.map_or(call.at, |start| start.max(call.at));
    if given.expires_at.is_some_and(|end| end <= given_at) {
        return Err(bad_parameter("expiresAt"));
    }
    let tables = gateway.tables.load_full();
    check_names(gateway, &tables, &given)?;
    let mut kept = Vec::new();
    for (tenant, held) in linked(gateway, call, sign_in, given.subject.as_ref()).await? {
        let term_ends = match acting(&tables, Flow::AppReads, &held, call.today) {
            Some(Acting::Proxy(term)) => term.until.and_then(|last| last.tomorrow().ok()).and_then(start_in_japan),
            _ => None,
        };
        let directive = Directive {
            id: call.directive_id(&gateway.clock, &tenant, &held.subject),
            subject: held.subject.clone(),
            effect: given.effect,
            recipient: given.recipient.clone(),
            kinds: given.kinds.clone(),
            classes: given.classes.clone(),
            purposes: given.purposes.clone(),
            stated_by: call.caller.participant.id.clone(),
            by_proxy: is_proxy(&held),
            given_at,
            // What a proxy has said does not outlive its right to say it.
            expires_at: given.expires_at.into_iter().chain(term_ends).min(),
            withdrawn_at: None,
        };
        if let Some(known) = repeated_directive(&held.directives, &directive)? {
            kept.push(known);
            continue;
        }
        let mut event = call.event(Action::DirectiveRecorded, EventOutcome::Done);
        event.subject = Some(held.subject);
        event.directive = Some(directive.id.clone());
        event.agent.end_user = Some(gateway.pseudonyms.of(sign_in));
        event.agent.proxy = directive.by_proxy;
        gateway.store.record_directive(&tenant, directive.clone(), event).await?;
        kept.push(directive);
    }
    if kept.is_empty() {
        return Err(Refused(turned_away(gateway, call, "no_link").await));
    }
    Ok(kept)
}

/// `GET /app/v1/consents`
pub(super) async fn consents(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    headers: HeaderMap,
) -> Result<Response<Body>, Refused> {
    let sign_in = citizen(&gateway, &call, &headers).await?;
    let directives = kept(&gateway, &call, &sign_in, None).await?;
    if directives.is_empty() {
        return Err(Refused(Refusal::NotAvailable));
    }
    let list: Vec<_> = directives.iter().map(shown).collect();
    Ok(answer::json(StatusCode::OK, MEDIA_TYPE, &json!({ "exchange": call.exchange, "consents": list })))
}

/// The directives of those whom the sign-in is linked to, once the leaves are on disk: one for each of them, and one
/// where there is nobody, so that who is linked and has said nothing takes as long as who is not.
pub(super) async fn kept(
    gateway: &Gateway,
    call: &Call,
    sign_in: &SignIn,
    only: Option<&SubjectKey>,
) -> Result<Vec<Directive>, Refused> {
    let people = linked(gateway, call, sign_in, only).await?;
    if people.is_empty() {
        return match turned_away(gateway, call, "no_link").await {
            Refusal::NotAvailable => Ok(Vec::new()),
            other => Err(Refused(other)),
        };
    }
    let mut list = Vec::new();
    for (tenant, held) in people {
        let mut event = call.event(Action::LookupAnswered, EventOutcome::Done);
        event.subject = Some(held.subject.clone());
        event.reason = Some("own_directives".to_owned());
        event.agent.end_user = Some(gateway.pseudonyms.of(sign_in));
        event.agent.proxy = is_proxy(&held);
        let rests_on = vec![(held.subject.clone(), held.version)];
        gateway.store.note(&tenant, Note { events: vec![event], rests_on, directive: None }).await?;
        list.extend(held.directives);
    }
    Ok(list)
}

/// `DELETE /app/v1/consents/{id}`: withdrawn from the next request on.
pub(super) async fn withdraw_consent(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response<Body>, Refused> {
    let sign_in = citizen(&gateway, &call, &headers).await?;
    let Ok(id) = DirectiveId::parse(&id) else {
        return Err(Refused(turned_away(&gateway, &call, "no_directive").await));
    };
    // Only whose it is has it withdrawn: a try at anybody else's would be a write that takes its time.
    let people = linked(&gateway, &call, &sign_in, None).await?;
    for (tenant, held) in people.into_iter().filter(|(_, held)| held.directives.iter().any(|own| own.id == id)) {
        let mut event = call.event(Action::DirectiveWithdrawn, EventOutcome::Done);
        event.subject = Some(held.subject.clone());
        event.directive = Some(id.clone());
        event.agent.end_user = Some(gateway.pseudonyms.of(&sign_in));
        event.agent.proxy = is_proxy(&held);
        let withdrawn = gateway.store.withdraw_directive(&tenant, &held.subject, &id, call.at, event).await;
        match withdrawn {
            Ok(_) => {
                let body = json!({ "exchange": call.exchange, "withdrawn": id });
                return Ok(answer::json(StatusCode::OK, MEDIA_TYPE, &body));
            }
            Err(StoreError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Refused(turned_away(&gateway, &call, "no_directive").await))
}

/// A directive about something that does not exist protects nobody: a misspelt name is said, not kept.
fn check_names(gateway: &Gateway, tables: &Tables, given: &Given) -> Result<(), Refused> {
    if given.kinds.iter().any(|kind| tables.kind(kind).is_none()) {
        return Err(bad_parameter("kinds"));
    }
    let classes = &tables.policy().class;
    if given.classes.iter().any(|name| classes.iter().all(|class| class.name != *name)) {
        return Err(bad_parameter("classes"));
    }
    match &given.recipient {
        RecipientScope::Participant(id) if gateway.registry.load().participant(id).is_none() => {
            Err(bad_parameter("recipient"))
        }
        _ => Ok(()),
    }
}

fn shown(directive: &Directive) -> serde_json::Value {
    let Directive {
        id, subject, effect, recipient, kinds, classes, purposes, given_at, expires_at, withdrawn_at, ..
    } = directive;
    json!({
        "id": id, "subject": subject, "effect": effect, "recipient": recipient, "kinds": kinds, "classes": classes, "purposes": purposes,
        "givenAt": given_at, "expiresAt": expires_at, "withdrawnAt": withdrawn_at,
    })
}
