//! FHIR Consent: what a person said at a desk, or through an app, as a directive; and back.

mod form;

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};
use tsunagi_core::audit::{Action, EventOutcome, Interaction};
use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::{DirectiveId, KindName, SubjectKey};
use tsunagi_core::policy::{Directive, RecipientScope};
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::{Mode, Role};
use tsunagi_store::SubjectRef;

use super::{MEDIA_TYPE, query, resource};
use crate::edge::answer::{self, Refused};
use crate::edge::app::citizen;
use crate::edge::consents::{self, Given};
use crate::edge::files::require_media_type;
use crate::gateway::Gateway;
use crate::pipeline::lookup::{channels, tenants};
use crate::pipeline::{Call, refusal_of, repeated_directive, turned_away};

/// A directive whose subject is not known yet.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    directive: Directive,
}

impl Statement {
    /// The directive of this subject.
    pub(super) fn of(&self, subject: SubjectKey) -> Directive {
        Directive { subject, ..self.directive.clone() }
    }
}

/// Reads a Consent that a hospital attests: who said so is the hospital by its certificate, to whom is that hospital,
/// and it must say when it was given and when it ends.
pub(super) fn read(gateway: &Gateway, call: &Call, consent: &Value, kinds: &[KindName]) -> Result<Statement, Refusal> {
    let form = form::read(consent)?;
    let given_at = form::moment(consent.get("dateTime")).ok_or_else(|| bad("Consent.dateTime"))?;
    if given_at.as_second() > call.at.as_second() + Directive::CLOCK_SKEW_SECS {
        return Err(bad("Consent.dateTime"));
    }
    let own = RecipientScope::Participant(call.caller.participant.id.clone());
    if form.recipient.is_some_and(|recipient| recipient != own) {
        return Err(bad("Consent.provision.actor"));
    }
    // A name that nothing has restricts nothing; and it would be kept and told again, whatever it says.
    let tables = gateway.tables.load();
    if form.kinds.iter().any(|kind| tables.kind(kind).is_none()) {
        return Err(bad("Consent.provision.class"));
    }
    let classes = &tables.policy().class;
    if form.classes.iter().any(|name| classes.iter().all(|class| class.name != *name)) {
        return Err(bad("Consent.provision.securityLabel"));
    }
    let begins_at = form.starts_at.map_or(given_at, |start| start.max(given_at));
    let end = form.ends_at.filter(|end| *end > begins_at).ok_or_else(|| bad("Consent.provision.period.end"))?;
    // What is said at a desk is said for a visit, however far ahead the desk's system sets the end.
    let hours = tables.policy().attested_consent_hours;
    let longest = begins_at + jiff::SignedDuration::from_hours(i64::from(hours));
    let expires_at = end.min(longest);
    let id = DirectiveId::new(call.at, gateway.clock.entropy());
    Ok(Statement {
        directive: Directive {
            id,
            // Replaced by `Statement::of`; a key nobody has.
            subject: SubjectKey::new(call.at, gateway.clock.entropy()),
            effect: form.effect,
            recipient: own,
            kinds: if form.kinds.is_empty() { kinds.iter().cloned().collect() } else { form.kinds },
            classes: form.classes,
            purposes: form.purposes,
            stated_by: call.caller.participant.id.clone(),
            by_proxy: false,
            // A desk's clock that runs a little ahead does not make its consent wait.
            given_at: if begins_at.as_second() <= call.at.as_second() + Directive::CLOCK_SKEW_SECS {
                begins_at.min(call.at)
            } else {
                begins_at
            },
            expires_at: Some(expires_at),
            withdrawn_at: None,
        },
    })
}

/// `POST /fhir/Consent`: of a hospital, for a person its tenants know; of an app, for whom its citizen may speak.
pub(in crate::edge) async fn record(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response<Body>, Refused> {
    let read = || -> Result<Value, Refused> {
        require_media_type(&headers, &["application/fhir+json", "application/json"])?;
        let consent: Value = serde_json::from_slice(&bytes).map_err(|error| bad_json(&error))?;
        if consent.get("resourceType").and_then(Value::as_str) != Some("Consent") {
            return Err(Refused(bad("resourceType")));
        }
        Ok(consent)
    };
    match call.caller.participant.role {
        Role::App => {
            let sign_in = citizen(&gateway, &call, &headers).await?;
            let given = given(&read()?)?;
            let kept = consents::keep(&gateway, &call, &sign_in, given).await?;
            Ok(recorded(kept.last().map(|directive| &directive.id)))
        }
        Role::Hospital => attested(&gateway, &call, &read()?).await,
        Role::Municipality | Role::Operator => Err(Refused(Refusal::NotPermitted)),
    }
}

/// What a citizen says through an app.
fn given(consent: &Value) -> Result<Given, Refusal> {
    let form = form::read(consent)?;
    let subject = consent.get("patient").map(|patient| {
        let identifier = patient.get("identifier").unwrap_or(&Value::Null);
        let text = |name: &str| identifier.get(name).and_then(Value::as_str);
        let key = text("value").filter(|_| text("system") == Some(form::SUBJECT_SYSTEM));
        key.and_then(|key| SubjectKey::parse(key).ok()).ok_or_else(|| bad("Consent.patient"))
    });
    Ok(Given {
        effect: form.effect,
        recipient: form.recipient.unwrap_or(RecipientScope::Any),
        subject: subject.transpose()?,
        kinds: form.kinds,
        classes: form.classes,
        purposes: form.purposes,
        starts_at: form.starts_at,
        expires_at: form.ends_at,
    })
}

/// Keeps what a hospital says it was told.
async fn attested(gateway: &Gateway, call: &Call, consent: &Value) -> Result<Response<Body>, Refused> {
    super::sender::check(call, consent)?;
    let statement = read(gateway, call, consent, &[])?;
    let tables = gateway.tables.load_full();
    let identifier = resource::subject(&tables, consent, consent.get("patient").unwrap_or(&Value::Null))
        .ok_or_else(|| bad("Consent.patient"))?;
    let subject = SubjectRef::Identifier(identifier);
    let open = channels(gateway, call, Mode::Lookup, |_| true);
    let mut kept = None;
    for tenant in tenants(&open) {
        // A person under 不開示 is to this caller as one whom nobody knows.
        let held = gateway.store.held(tenant, &subject, &[]).await?;
        let Some(held) = held.filter(|held| !held.non_disclosure) else { continue };
        let id = call.directive_id(&gateway.clock, tenant, &held.subject);
        let directive = Directive { id, ..statement.of(held.subject.clone()) };
        if let Some(known) = repeated_directive(&held.directives, &directive)? {
            kept = Some(known.id);
            continue;
        }
        let mut event = call.event(Action::DirectiveRecorded, EventOutcome::Done);
        event.subject = Some(held.subject);
        event.directive = Some(directive.id.clone());
        let id = directive.id.clone();
        gateway.store.record_directive(tenant, directive, event).await?;
        kept = Some(id);
    }
    let Some(id) = kept else {
        return Err(Refused(turned_away(gateway, call, "subject_unknown").await));
    };
    Ok(recorded(Some(&id)))
}

fn recorded(id: Option<&DirectiveId>) -> Response<Body> {
    let body = json!({ "resourceType": "OperationOutcome", "issue": [{ "severity": "information", "code": "informational" }] });
    let mut response = answer::json(StatusCode::CREATED, MEDIA_TYPE, &body);
    // There is no reading of one Consent; its id is told so that it can be quoted.
    if let Some(id) = id.and_then(|id| HeaderValue::from_str(id.as_str()).ok()) {
        response.headers_mut().insert("Tsunagi-Directive", id);
    }
    response
}

/// `GET /fhir/Consent`: of a hospital the directives that it handed in itself for the person of `patient.identifier`;
/// of an app all of those for whom its citizen may speak.
pub(in crate::edge) async fn search(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response<Body>, Refused> {
    let entries = match call.caller.participant.role {
        Role::App => {
            let sign_in = citizen(&gateway, &call, &headers).await?;
            let pairs: Vec<_> = query::pairs(raw.as_deref().unwrap_or("")).collect();
            let only = match pairs.as_slice() {
                [] => None,
                [(name, value)] if name == "patient.identifier" => {
                    let key = value.strip_prefix(form::SUBJECT_SYSTEM).and_then(|rest| rest.strip_prefix('|'));
                    let key = key.and_then(|key| SubjectKey::parse(key).ok());
                    Some(key.ok_or_else(|| bad("patient.identifier"))?)
                }
                _ => return Err(Refused(bad("patient.identifier"))),
            };
            let kept = consents::kept(&gateway, &call, &sign_in, only.as_ref()).await?;
            kept.iter().map(|directive| form::write(directive, true)).collect()
        }
        Role::Hospital => own(&gateway, &call, raw.as_deref()).await?,
        Role::Municipality | Role::Operator => return Err(Refused(Refusal::NotPermitted)),
    };
    let entries: Vec<Value> = entries.into_iter().map(|consent| json!({ "resource": consent })).collect();
    let is_nothing = entries.is_empty();
    let mut bundle = json!({ "resourceType": "Bundle", "type": "searchset", "total": entries.len() });
    if let (false, Some(members)) = (entries.is_empty(), bundle.as_object_mut()) {
        members.insert("entry".to_owned(), Value::Array(entries));
    }
    Ok(answer::if_nothing(answer::json(StatusCode::OK, MEDIA_TYPE, &bundle), is_nothing))
}

/// The directives that this hospital itself handed in, once the leaves are on disk.
async fn own(gateway: &Gateway, call: &Call, query: Option<&str>) -> Result<Vec<Value>, Refused> {
    let search = query::parse(query)?;
    let tables = gateway.tables.load_full();
    let named = search.subject(&tables);
    let subject = SubjectRef::Identifier(named.ok_or_else(|| bad("patient.identifier"))?);
    let open = channels(gateway, call, Mode::Lookup, |_| true);
    let mut entries = Vec::new();
    for tenant in tenants(&open) {
        let held = gateway.store.held(tenant, &subject, &[]).await?;
        let mut event = call.event(Action::LookupAnswered, EventOutcome::Done);
        event.subject = held.as_ref().map(|held| held.subject.clone());
        event.interaction = Some(Interaction::SearchType);
        event.reason = Some("own_directives".to_owned());
        let rests_on = held.iter().map(|held| (held.subject.clone(), held.version)).collect();
        let note = tsunagi_store::Note { events: vec![event], rests_on, directive: None };
        gateway.store.note(tenant, note).await.map_err(refusal_of)?;
        let own = held.into_iter().filter(|held| !held.non_disclosure).flat_map(|held| held.directives);
        let handed_in = own.filter(|directive| directive.stated_by == call.caller.participant.id);
        entries.extend(handed_in.map(|directive| form::write(&directive, false)));
    }
    Ok(entries)
}

/// A refusal that names the element.
pub(super) fn bad(element: &str) -> Refusal {
    Refusal::Malformed(Bilingual::new(
        format!("{element} がないか、正しくありません"),
        format!("{element} is missing or not well formed"),
    ))
}

/// A refusal that says where JSON breaks off.
pub(super) fn bad_json(error: &serde_json::Error) -> Refusal {
    let (line, column) = (error.line(), error.column());
    Refusal::Malformed(Bilingual::new(
        format!("JSONとして読めません（{line}行{column}桁）"),
        format!("not JSON at line {line}, column {column}"),
    ))
}
