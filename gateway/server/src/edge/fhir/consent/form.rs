//! Between a FHIR Consent and a directive. What is not understood is refused: a restriction that is passed over would widen
//! the consent.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};
use tsunagi_core::id::{ClassName, KindName, ParticipantId};
use tsunagi_core::policy::{Directive, DirectiveEffect, Purpose, RecipientScope};
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::Role;

use super::bad;

/// Code systems of our own in `provision.class` and `provision.securityLabel`.
const KIND_SYSTEM: &str = "urn:tsunagi:kind";
const CLASS_SYSTEM: &str = "urn:tsunagi:disclosure-class";
/// HL7 v3 purposes of use.
const PURPOSE_SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
/// Identifier systems of our own in `provision.actor.reference.identifier`.
const PARTICIPANT_SYSTEM: &str = "urn:tsunagi:participant";
const ROLE_SYSTEM: &str = "urn:tsunagi:role";
/// The identifier system of `patient`, where an app names one of several children.
pub(super) const SUBJECT_SYSTEM: &str = "urn:tsunagi:subject";

/// What a Consent says, whoever says it and of whom.
pub(super) struct Form {
    pub(super) effect: DirectiveEffect,
    /// `None` where no actor is named.
    pub(super) recipient: Option<RecipientScope>,
    pub(super) kinds: BTreeSet<KindName>,
    pub(super) classes: BTreeSet<ClassName>,
    pub(super) purposes: BTreeSet<Purpose>,
    pub(super) starts_at: Option<Timestamp>,
    pub(super) ends_at: Option<Timestamp>,
}

/// Reads one.
pub(super) fn read(consent: &Value) -> Result<Form, Refusal> {
    if consent.get("status").and_then(Value::as_str) != Some("active") {
        return Err(bad("Consent.status"));
    }
    // FHIR: what modifies a resource and is not understood must not be passed over.
    if let Some(member) = ["implicitRules", "modifierExtension"].into_iter().find(|name| consent.get(name).is_some()) {
        return Err(bad(&format!("Consent.{member}")));
    }
    let provision = consent.get("provision").ok_or_else(|| bad("Consent.provision"))?;
    let understood = ["type", "period", "actor", "class", "purpose", "securityLabel"];
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
    let edge = |name: &str| match provision.get("period").and_then(|period| period.get(name)) {
        None => Ok(None),
        given => moment(given).map(Some).ok_or_else(|| bad(&format!("Consent.provision.period.{name}"))),
    };
    Ok(Form {
        effect,
        recipient: actor(provision)?,
        kinds: codes(provision, "class", KIND_SYSTEM, |code| KindName::parse(code).ok())?,
        classes: codes(provision, "securityLabel", CLASS_SYSTEM, |code| ClassName::parse(code).ok())?,
        purposes: codes(provision, "purpose", PURPOSE_SYSTEM, Purpose::parse)?,
        starts_at: edge("start")?,
        ends_at: edge("end")?,
    })
}

/// Writes one; `patient` only where the reader knows the subject by its key.
pub(super) fn write(directive: &Directive, names_subject: bool) -> Value {
    let coding = |system: &str, code: &str| json!({ "system": system, "code": code });
    let named = |system: &str, value: &str| {
        vec![json!({
            "role": { "coding": [coding("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP")] },
            "reference": { "identifier": { "system": system, "value": value } },
        })]
    };
    let mut period = json!({ "start": directive.given_at });
    let mut provision = json!({
        "type": match directive.effect { DirectiveEffect::Deny => "deny", DirectiveEffect::Permit => "permit" },
    });
    if let (Some(end), Some(members)) = (directive.withdrawn_at.or(directive.expires_at), period.as_object_mut()) {
        members.insert("end".to_owned(), json!(end));
    }
    if let Some(members) = provision.as_object_mut() {
        members.insert("period".to_owned(), period);
        let actors = match &directive.recipient {
            RecipientScope::Any => Vec::new(),
            RecipientScope::Participant(id) => named(PARTICIPANT_SYSTEM, id.as_str()),
            RecipientScope::Role(role) => named(ROLE_SYSTEM, &crate::pipeline::lookup::word(role)),
        };
        let lists: [(&str, Vec<Value>); 4] = [
            ("actor", actors),
            ("class", directive.kinds.iter().map(|kind| coding(KIND_SYSTEM, kind.as_str())).collect()),
            ("purpose", directive.purposes.iter().map(|purpose| coding(PURPOSE_SYSTEM, purpose.as_str())).collect()),
            ("securityLabel", directive.classes.iter().map(|class| coding(CLASS_SYSTEM, class.as_str())).collect()),
        ];
        for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            members.insert(name.to_owned(), Value::Array(list));
        }
    }
    let mut consent = json!({
        "resourceType": "Consent",
        "id": directive.id,
        "status": if directive.withdrawn_at.is_some() { "inactive" } else { "active" },
        "scope": { "coding": [coding("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy")] },
        "category": [{ "coding": [coding("http://terminology.hl7.org/CodeSystem/v3-ActCode", "INFA")] }],
        "policyRule": { "coding": [coding("http://terminology.hl7.org/CodeSystem/v3-ActCode", "OPTIN")] },
        "dateTime": directive.given_at,
        "provision": provision,
    });
    if let (true, Some(members)) = (names_subject, consent.as_object_mut()) {
        let identifier = json!({ "system": SUBJECT_SYSTEM, "value": directive.subject });
        members.insert("patient".to_owned(), json!({ "identifier": identifier }));
    }
    consent
}

/// At most one, who is the recipient: several would be several directives.
fn actor(provision: &Value) -> Result<Option<RecipientScope>, Refusal> {
    let fault = || bad("Consent.provision.actor");
    let Some(actors) = provision.get("actor") else { return Ok(None) };
    let [actor] = actors.as_array().map(Vec::as_slice).unwrap_or_default() else { return Err(fault()) };
    let identifier = actor.pointer("/reference/identifier").ok_or_else(fault)?;
    let text = |name: &str| identifier.get(name).and_then(Value::as_str).ok_or_else(fault);
    let value = text("value")?;
    match text("system")? {
        PARTICIPANT_SYSTEM => Ok(Some(RecipientScope::Participant(ParticipantId::parse(value).map_err(|_| fault())?))),
        ROLE_SYSTEM => {
            let role: Role = serde_json::from_value(Value::from(value)).map_err(|_| fault())?;
            Ok(Some(RecipientScope::Role(role)))
        }
        _ => Err(fault()),
    }
}

/// The codes of one of our systems in a list of codings; a code that cannot be read is refused, and so are other systems.
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

pub(super) fn moment(value: Option<&Value>) -> Option<Timestamp> {
    value?.as_str()?.parse().ok()
}
