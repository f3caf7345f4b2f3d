//! FHIR Consent: what a person said at a desk, or through an app, as a directive; and back.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use tsunagi_core::audit::{Action, EventOutcome};
use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::{ClassName, DirectiveId, KindName, SubjectKey};
use tsunagi_core::policy::{Directive, DirectiveEffect, Purpose, RecipientScope};
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::{Mode, Role};
use tsunagi_store::SubjectRef;

use super::{MEDIA_TYPE, query, resource};
use crate::edge::answer::{self, Refused};
use crate::edge::files::require_media_type;
use crate::gateway::Gateway;
use crate::pipeline::lookup::{channels, tenants};
use crate::pipeline::{Call, refusal_of, repeated_directive, turned_away};

/// How far ahead of ours a desk's clock may be.
const CLOCK_SKEW_SECS: i64 = 300;

/// Code systems of our own in `provision.class` and `provision.securityLabel`.
pub(super) const KIND_SYSTEM: &str = "urn:tsunagi:kind";
const CLASS_SYSTEM: &str = "urn:tsunagi:disclosure-class";

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
    if consent.get("status").and_then(Value::as_str) != Some("active") {
        return Err(bad("Consent.status"));
    }
    // FHIR: what modifies a resource and is not understood must not be passed over.
    if let Some(member) = ["implicitRules", "modifierExtension"].into_iter().find(|name| consent.get(name).is_some()) {
        return Err(bad(&format!("Consent.{member}")));
    }
    let given_at = moment(consent.get("dateTime")).ok_or_else(|| bad("Consent.dateTime"))?;
    if given_at.as_second() > call.at.as_second() + CLOCK_SKEW_SECS {
        return Err(bad("Consent.dateTime"));
    }
    let provision = consent.get("provision").ok_or_else(|| bad("Consent.provision"))?;
    // A restriction that is not understood would be passed over, and the consent widened by that.
    let understood = ["type", "period", "class", "purpose", "securityLabel"];
    let members = provision.as_object().into_iter().flatten();
    if let Some((unknown, _)) = members.into_iter().find(|(name, _)| !understood.contains(&name.as_str())) {
        let plain = unknown.bytes().all(|b| b.is_ascii_alphabetic());
        return Err(bad(&format!("Consent.provision.{}", if plain { unknown } else { "?" })));
    }
    let effect = match provision.get("type").and_then(Value::as_str) {
        Some("permit") => DirectiveEffect::Permit,
        Some("deny") => DirectiveEffect::Deny,
        _ => return Err(bad("Consent.provision.type")),
    };
    let period = provision.get("period");
    let begins_at = match period.and_then(|period| period.get("start")) {
        None => given_at,
        start => moment(start).ok_or_else(|| bad("Consent.provision.period.start"))?.max(given_at),
    };
    let end = moment(period.and_then(|period| period.get("end")));
    let end = end.filter(|end| *end > begins_at).ok_or_else(|| bad("Consent.provision.period.end"))?;
    // What is said at a desk is said for a visit, however far ahead the desk's system sets the end.
    let hours = gateway.tables.load().policy().attested_consent_hours;
    let longest = begins_at + jiff::SignedDuration::from_hours(i64::from(hours));
    let expires_at = end.min(longest);
    let tables = gateway.tables.load();
    let known_kind = |code: &str| KindName::parse(code).ok().filter(|kind| tables.kind(kind).is_some());
    let known_class = |code: &str| {
        let name = ClassName::parse(code).ok()?;
        tables.policy().class.iter().any(|class| class.name == name).then_some(name)
    };
    // A name that nothing has restricts nothing; and it would be kept and told again, whatever it says.
    let named_kinds = codes(provision, "class", KIND_SYSTEM, known_kind)?;
    let purposes = codes(provision, "purpose", PURPOSE_SYSTEM, Purpose::parse)?;
    let classes = codes(provision, "securityLabel", CLASS_SYSTEM, known_class)?;
    let id = DirectiveId::new(call.at, gateway.clock.entropy());
    Ok(Statement {
        directive: Directive {
            id,
            // Replaced by `Statement::of`; a key nobody has.
            subject: SubjectKey::new(call.at, gateway.clock.entropy()),
            effect,
            recipient: RecipientScope::Participant(call.caller.participant.id.clone()),
            kinds: if named_kinds.is_empty() { kinds.iter().cloned().collect() } else { named_kinds },
            classes,
            purposes,
            stated_by: call.caller.participant.id.clone(),
            by_proxy: false,
            // A desk's clock that runs a little ahead does not make its consent wait.
            given_at: if begins_at.as_second() <= call.at.as_second() + CLOCK_SKEW_SECS {
                begins_at.min(call.at)
            } else {
                begins_at
            },
            expires_at: Some(expires_at),
            withdrawn_at: None,
        },
    })
}

/// HL7 v3 purposes of use.
const PURPOSE_SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

/// `POST /fhir/Consent` of a hospital: keeps a directive for a subject its tenants know.
pub(in crate::edge) async fn record(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response<Body>, Refused> {
    if call.caller.participant.role != Role::Hospital {
        return Err(Refused(Refusal::NotPermitted));
    }
    require_media_type(&headers, &["application/fhir+json", "application/json"])?;
    let consent: Value = serde_json::from_slice(&bytes).map_err(|error| bad_json(&error))?;
    super::sender::check(&call, &consent)?;
    if consent.get("resourceType").and_then(Value::as_str) != Some("Consent") {
        return Err(Refused(bad("resourceType")));
    }
    let statement = read(&gateway, &call, &consent, &[])?;
    let tables = gateway.tables.load_full();
    let identifier = resource::subject(&tables, &consent, consent.get("patient").unwrap_or(&Value::Null))
        .ok_or_else(|| bad("Consent.patient"))?;
    let subject = SubjectRef::Identifier(identifier);
    let open = channels(&gateway, &call, Mode::Lookup, |_| true);
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
        return Err(Refused(turned_away(&gateway, &call, "subject_unknown").await));
    };
    let body = json!({ "resourceType": "OperationOutcome", "issue": [{ "severity": "information", "code": "informational" }] });
    let mut response = answer::json(StatusCode::CREATED, MEDIA_TYPE, &body);
    // There is no reading of one Consent; its id is told so that it can be quoted.
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert("Tsunagi-Directive", id);
    }
    Ok(response)
}

/// `GET /fhir/Consent?patient.identifier=…`: the directives that this hospital itself handed in.
pub(in crate::edge) async fn search(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    RawQuery(raw): RawQuery,
) -> Result<Response<Body>, Refused> {
    if call.caller.participant.role != Role::Hospital {
        return Err(Refused(Refusal::NotPermitted));
    }
    let search = query::parse(raw.as_deref())?;
    let tables = gateway.tables.load_full();
    let named = search.subject(&tables);
    let subject = SubjectRef::Identifier(named.ok_or_else(|| bad("patient.identifier"))?);
    let open = channels(&gateway, &call, Mode::Lookup, |_| true);
    let mut entries = Vec::new();
    for tenant in tenants(&open) {
        let held = gateway.store.held(tenant, &subject, &[]).await?;
        let mut event = call.event(Action::LookupAnswered, EventOutcome::Done);
        event.subject = held.as_ref().map(|held| held.subject.clone());
        event.reason = Some("own_directives".to_owned());
        let rests_on = held.iter().map(|held| (held.subject.clone(), held.version)).collect();
        let note = tsunagi_store::Note { events: vec![event], rests_on, directive: None };
        gateway.store.note(tenant, note).await.map_err(refusal_of)?;
        let own = held.into_iter().filter(|held| !held.non_disclosure).flat_map(|held| held.directives);
        entries.extend(
            own.filter(|d| d.stated_by == call.caller.participant.id).map(|d| json!({ "resource": write(&d) })),
        );
    }
    let mut bundle = json!({ "resourceType": "Bundle", "type": "searchset", "total": entries.len() });
    if let (false, Some(members)) = (entries.is_empty(), bundle.as_object_mut()) {
        members.insert("entry".to_owned(), Value::Array(entries));
    }
    Ok(answer::json(StatusCode::OK, MEDIA_TYPE, &bundle))
}

fn write(directive: &Directive) -> Value {
    let coding = |system: &str, code: &str| json!({ "system": system, "code": code });
    let mut provision = json!({
        "type": match directive.effect { DirectiveEffect::Deny => "deny", DirectiveEffect::Permit => "permit" },
        "period": { "start": directive.given_at, "end": directive.withdrawn_at.or(directive.expires_at) },
    });
    if let Some(members) = provision.as_object_mut() {
        let lists: [(&str, Vec<Value>); 3] = [
            ("class", directive.kinds.iter().map(|kind| coding(KIND_SYSTEM, kind.as_str())).collect()),
            ("purpose", directive.purposes.iter().map(|purpose| coding(PURPOSE_SYSTEM, purpose.as_str())).collect()),
            ("securityLabel", directive.classes.iter().map(|class| coding(CLASS_SYSTEM, class.as_str())).collect()),
        ];
        for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            members.insert(name.to_owned(), Value::Array(list));
        }
    }
    json!({
        "resourceType": "Consent",
        "id": directive.id,
        "status": if directive.withdrawn_at.is_some() { "inactive" } else { "active" },
        "scope": { "coding": [coding("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy")] },
        "category": [{ "coding": [coding("http://terminology.hl7.org/CodeSystem/v3-ActCode", "INFA")] }],
        "policyRule": { "coding": [coding("http://terminology.hl7.org/CodeSystem/v3-ActCode", "OPTIN")] },
        "dateTime": directive.given_at,
        "provision": provision,
    })
}

/// The codes of one of our systems in a list of codings; a code that cannot be read is refused, other systems are
/// refused too: a restriction that is passed over would widen the consent.
fn codes<T: Ord>(
    provision: &Value,
    member: &str,
    system: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<BTreeSet<T>, Refusal> {
    let list = provision.get(member).and_then(Value::as_array).into_iter().flatten();
    list.map(|coding| {
        let ours = coding.get("system").and_then(Value::as_str) == Some(system);
        let code = coding.get("code").and_then(Value::as_str).filter(|_| ours).and_then(&parse);
        code.ok_or_else(|| bad(&format!("Consent.provision.{member}")))
    })
    .collect()
}

fn moment(value: Option<&Value>) -> Option<Timestamp> {
    value?.as_str()?.parse().ok()
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
