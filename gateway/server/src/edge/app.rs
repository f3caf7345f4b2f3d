//! `/app/v1`: a handbook app on behalf of a citizen; and `/v1/links`, by which a municipality links a sign-in to a subject.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use http::{HeaderMap, Response, StatusCode};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tsunagi_adapters::Envelope;
use tsunagi_core::audit::{Action, EventOutcome};
use tsunagi_core::disclosure::HeldRecord;
use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::{ClassName, DirectiveId, ExchangeId, KindName, SubjectKey, TenantId};
use tsunagi_core::kind::Kind;
use tsunagi_core::policy::{Acting, Directive, DirectiveEffect, Flow, Purpose, RecipientScope};
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::{Mode, Role};
use tsunagi_core::sensitive::Sensitive;
use tsunagi_mappings::Tables;
use tsunagi_store::{Held, Identifier, Link, Note, Relationship, StoreError};

use super::answer::{self, Refused};
use super::fhir::query::pairs;
use super::files::require_media_type;
use super::mailbox::bad_body;
use super::requests::Answered;
use super::token;
use crate::clock::start_in_japan;
use crate::gateway::Gateway;
use crate::pipeline::acting::acting;
use crate::pipeline::lookup::{Inquiry, channels, look_up_linked, tenants};
use crate::pipeline::{Call, SignIn, repeated_directive, turned_away};

const MEDIA_TYPE: &str = "application/json; charset=utf-8";

#[derive(Serialize)]
struct Records {
    exchange: ExchangeId,
    records: Vec<Answered>,
}

/// `GET /app/v1/records?kind=&since=&subject=`
pub(super) async fn records(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response<Body>, Refused> {
    let sign_in = citizen(&gateway, &call, &headers).await?;
    let (mut kind, mut since, mut only) = (None, None, None);
    for (name, value) in pairs(raw.as_deref().unwrap_or("")) {
        match name.as_str() {
            "kind" => kind = Some(KindName::parse(&value).map_err(|_| bad_parameter("kind"))?),
            "since" => since = Some(read_since(&value).ok_or_else(|| bad_parameter("since"))?),
            "subject" => only = Some(SubjectKey::parse(&value).map_err(|_| bad_parameter("subject"))?),
            _ => return Err(bad_parameter("?")),
        }
    }
    let wanted = |_: &Kind, held: &HeldRecord| since.is_none_or(|since| since <= held.recorded_at);
    let inquiry = Inquiry {
        flow: Flow::AppReads,
        channels: channels(&gateway, &call, Mode::Lookup, |channel| kind.as_ref().is_none_or(|k| *k == channel.kind)),
        named_items: BTreeSet::new(),
        wanted: &wanted,
        stated_basis: None,
        attested: None,
        end_user: Some(sign_in.pseudonym()),
        action: Action::LookupAnswered,
    };
    let parts = look_up_linked(&gateway, &call, &inquiry, &sign_in, only.as_ref(), Some(&Envelope::Batch)).await?;
    if parts.is_empty() {
        return Err(Refused(Refusal::NotAvailable));
    }
    let leaves = answer::leaves_of(&parts);
    let records = parts.into_iter().map(Answered::with_subject).collect::<Result<Vec<_>, _>>()?;
    let body = Records { exchange: call.exchange.clone(), records };
    let mut response = answer::json(StatusCode::OK, MEDIA_TYPE, &body);
    answer::tell_leaves(&mut response, leaves);
    Ok(response)
}

/// A directive as the app writes and reads it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Given {
    effect: DirectiveEffect,
    recipient: RecipientScope,
    /// For one of several children; for all of them where it is left out.
    subject: Option<SubjectKey>,
    #[serde(default)]
    kinds: BTreeSet<KindName>,
    #[serde(default)]
    classes: BTreeSet<ClassName>,
    #[serde(default)]
    purposes: BTreeSet<Purpose>,
    expires_at: Option<Timestamp>,
}

/// `POST /app/v1/consents`: kept in every tenant in which the sign-in is linked.
pub(super) async fn give_consent(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response<Body>, Refused> {
    let sign_in = citizen(&gateway, &call, &headers).await?;
    require_media_type(&headers, &["application/json"])?;
    let given: Given = serde_json::from_slice(&bytes).map_err(|error| bad_body(&error))?;
    if given.expires_at.is_some_and(|end| end <= call.at) {
        return Err(bad_parameter("expiresAt"));
    }
    let tables = gateway.tables.load_full();
    check_names(&gateway, &tables, &given)?;
    let mut kept = Vec::new();
    for (tenant, held) in linked(&gateway, &call, &sign_in, given.subject.as_ref()).await? {
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
            by_proxy: held.link.as_ref().is_some_and(|link| link.relationship == Relationship::Proxy),
            given_at: call.at,
            // What a proxy has said does not outlive its right to say it.
            expires_at: given.expires_at.into_iter().chain(term_ends).min(),
            withdrawn_at: None,
        };
        if let Some(known) = repeated_directive(&held.directives, &directive)? {
            kept.push(shown(&known));
            continue;
        }
        let mut event = call.event(Action::DirectiveRecorded, EventOutcome::Done);
        event.subject = Some(held.subject);
        event.directive = Some(directive.id.clone());
        event.agent.end_user = Some(sign_in.pseudonym());
        event.agent.proxy = directive.by_proxy;
        let shown = shown(&directive);
        gateway.store.record_directive(&tenant, directive, event).await?;
        kept.push(shown);
    }
    if kept.is_empty() {
        return Err(Refused(turned_away(&gateway, &call, "no_link").await));
    }
    Ok(answer::json(StatusCode::CREATED, MEDIA_TYPE, &json!({ "exchange": call.exchange, "consents": kept })))
}

/// `GET /app/v1/consents`
pub(super) async fn consents(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    headers: HeaderMap,
) -> Result<Response<Body>, Refused> {
    let sign_in = citizen(&gateway, &call, &headers).await?;
    let mut list = Vec::new();
    for (tenant, held) in linked(&gateway, &call, &sign_in, None).await? {
        let mut event = call.event(Action::LookupAnswered, EventOutcome::Done);
        event.subject = Some(held.subject.clone());
        event.reason = Some("own_directives".to_owned());
        event.agent.end_user = Some(sign_in.pseudonym());
        let rests_on = vec![(held.subject.clone(), held.version)];
        gateway.store.note(&tenant, Note { events: vec![event], rests_on, directive: None }).await?;
        list.extend(held.directives.iter().map(shown));
    }
    if list.is_empty() {
        return Err(Refused(turned_away(&gateway, &call, "no_directive").await));
    }
    Ok(answer::json(StatusCode::OK, MEDIA_TYPE, &json!({ "exchange": call.exchange, "consents": list })))
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
    for (tenant, held) in linked(&gateway, &call, &sign_in, None).await? {
        let mut event = call.event(Action::DirectiveWithdrawn, EventOutcome::Done);
        event.subject = Some(held.subject.clone());
        event.directive = Some(id.clone());
        event.agent.end_user = Some(sign_in.pseudonym());
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

/// What a municipality says of a sign-in.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LinkBody {
    system: String,
    value: String,
    issuer: String,
    sub: String,
    relationship: Relationship,
    from: Option<Date>,
    until: Option<Date>,
}

/// `POST /v1/links`: a municipality links a sign-in to a subject of its own tenant.
pub(super) async fn link(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    bytes: Bytes,
) -> Result<Response<Body>, Refused> {
    let (Role::Municipality, Some(tenant)) = (call.caller.participant.role, &call.caller.participant.tenant) else {
        return Err(Refused(Refusal::NotPermitted));
    };
    let body: LinkBody = serde_json::from_slice(&bytes).map_err(|error| bad_body(&error))?;
    if !gateway.issuers.load().knows(&body.issuer) {
        return Err(bad_parameter("issuer"));
    }
    let tables = gateway.tables.load_full();
    let system = tables.identifier_system(&body.system).ok_or_else(|| bad_parameter("system"))?;
    let identifier = Identifier { system: system.name.clone(), value: Sensitive::new(body.value) };
    let link = Link { relationship: body.relationship, from: body.from.unwrap_or(call.today), until: body.until };
    let event = call.event(Action::SubjectLinked, EventOutcome::Done);
    let linked = gateway.store.link_subject(tenant, &identifier, &body.issuer, &body.sub, link, event).await;
    match linked {
        Ok(leaf) => {
            let body = json!({ "exchange": call.exchange, "leaf": leaf });
            Ok(answer::json(StatusCode::CREATED, MEDIA_TYPE, &body))
        }
        Err(StoreError::NotFound) => Err(Refused(turned_away(&gateway, &call, "subject_unknown").await)),
        Err(error) => Err(error.into()),
    }
}

async fn citizen(gateway: &Gateway, call: &Call, headers: &HeaderMap) -> Result<SignIn, Refused> {
    if call.caller.participant.role != Role::App {
        return Err(Refused(turned_away(gateway, call, "not_an_app").await));
    }
    Ok(token::sign_in(gateway, call, headers).await?)
}

/// The tenants of the app's channels in which the sign-in is linked, each with what is held there of the subject; a
/// link that has not begun or is over is none, and a subject with the non-disclosure flag is as if unknown.
async fn linked(
    gateway: &Gateway,
    call: &Call,
    sign_in: &SignIn,
    only: Option<&SubjectKey>,
) -> Result<Vec<(TenantId, Held)>, Refused> {
    let open = channels(gateway, call, Mode::Lookup, |_| true);
    // Records are read for their dates of birth alone: a proxy's term ends by them.
    let tables = gateway.tables.load_full();
    let kinds: Vec<KindName> = tables.kinds().map(|kind| kind.name.clone()).collect();
    let mut found = Vec::new();
    for tenant in tenants(&open) {
        let may_act = |held: &Held| match acting(&tables, Flow::AppReads, held, call.today) {
            Some(Acting::Proxy(term)) => term.from <= call.today && term.until.is_none_or(|last| call.today <= last),
            other => other.is_some(),
        };
        let subjects = gateway.store.linked(tenant, &sign_in.issuer, &sign_in.sub).await?;
        for subject in subjects.iter().filter(|key| only.is_none_or(|only| only == *key)) {
            let held = gateway.store.held(tenant, &sign_in.subject_ref(Some(subject)), &kinds).await?;
            if let Some(held) = held.filter(|held| !held.non_disclosure && may_act(held)) {
                found.push((tenant.clone(), held));
            }
        }
    }
    Ok(found)
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

fn read_since(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| start_in_japan(text.parse().ok()?))
}

fn bad_parameter(name: &str) -> Refused {
    Refused(Refusal::Malformed(Bilingual::new(
        format!("{name} が正しくありません"),
        format!("{name} is not well formed or not known here"),
    )))
}
