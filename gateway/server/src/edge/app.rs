//! `/app/v1`: a handbook app on behalf of a citizen; and `/v1/links`, by which a municipality links a sign-in to a
//! subject.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use http::{HeaderMap, Response, StatusCode};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tsunagi_adapters::Envelope;
use tsunagi_core::audit::{Action, EventOutcome};
use tsunagi_core::disclosure::HeldRecord;
use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::{ExchangeId, KindName, SubjectKey, TenantId};
use tsunagi_core::kind::Kind;
use tsunagi_core::policy::{Acting, Flow};
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::{Mode, Role};
use tsunagi_core::sensitive::Sensitive;
use tsunagi_store::{Held, Identifier, Link, Relationship, StoreError};

use super::answer::{self, Refused};
use super::fhir::query::pairs;
use super::mailbox::bad_body;
use super::requests::Answered;
use super::token;
use crate::clock::start_in_japan;
use crate::gateway::Gateway;
use crate::pipeline::acting::acting;
use crate::pipeline::lookup::{Inquiry, channels, look_up_linked, tenants};
use crate::pipeline::{Call, SignIn, turned_away};

pub(super) const MEDIA_TYPE: &str = "application/json; charset=utf-8";

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
        end_user: Some(gateway.pseudonyms.of(&sign_in)),
        action: Action::LookupAnswered,
        interaction: None,
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

pub(super) async fn citizen(gateway: &Gateway, call: &Call, headers: &HeaderMap) -> Result<SignIn, Refused> {
    if call.caller.participant.role != Role::App {
        return Err(Refused(turned_away(gateway, call, "not_an_app").await));
    }
    Ok(token::sign_in(gateway, call, headers).await?)
}

/// The tenants of the app's channels in which the sign-in is linked, each with what is held there of the subject; a
/// link that has not begun or is over is none, and a subject with the non-disclosure flag is as if unknown.
pub(super) async fn linked(
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
        let wanted: Vec<_> = subjects.into_iter().filter(|key| only.is_none_or(|only| only == key)).map(Some).collect();
        // Who is linked to nobody is looked for all the same: whoever is hidden takes as long.
        for subject in if wanted.is_empty() { vec![None] } else { wanted } {
            let subject = sign_in.subject_ref(subject.as_ref().or(only));
            let held = gateway.store.held(tenant, &subject, &kinds).await?;
            if let Some(held) = held.filter(|held| !held.non_disclosure && may_act(held)) {
                found.push((tenant.clone(), held));
            }
        }
    }
    Ok(found)
}

/// True if whoever signed in is not the person concerned.
pub(super) fn is_proxy(held: &Held) -> bool {
    held.link.as_ref().is_none_or(|link| link.relationship == Relationship::Proxy)
}

fn read_since(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| start_in_japan(text.parse().ok()?))
}

pub(super) fn bad_parameter(name: &str) -> Refused {
    Refused(Refusal::Malformed(Bilingual::new(
        format!("{name} が正しくありません"),
        format!("{name} is not well formed or not known here"),
    )))
}
