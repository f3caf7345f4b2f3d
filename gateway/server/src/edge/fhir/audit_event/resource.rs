//! A leaf as AuditEvents of FHIR R4. What a profile fixes comes from its row; what is told of the event, from the view.

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use tsunagi_core::audit::{Action, AuditEvent, EventOutcome};
use tsunagi_core::fault::{Bilingual, Lang};
use tsunagi_core::id::{KindName, RecordId, TenantId};
use tsunagi_core::policy::{Basis, Purpose};
use tsunagi_core::registry::Registry;
use tsunagi_mappings::Tables;

use super::profile::{self, AgentRow, Coding, EntityRow, Profile, Who, profiles};
use super::view::View;
use crate::pipeline::lookup::word;

pub(super) const ACTION_SYSTEM: &str = "urn:tsunagi:action";
pub(super) const CONSENT_SYSTEM: &str = "urn:tsunagi:directive";
pub(super) const DELIVERY_SYSTEM: &str = "urn:tsunagi:delivery";
pub(super) const END_USER_SYSTEM: &str = "urn:tsunagi:end-user";
pub(super) const EXCHANGE_SYSTEM: &str = "urn:tsunagi:exchange";
pub(super) const OUTCOME_SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/audit-event-outcome";
pub(super) const PARTICIPANT_SYSTEM: &str = "urn:tsunagi:participant";
pub(super) const RECORD_SYSTEM: &str = "urn:tsunagi:record";
pub(super) const SUBJECT_SYSTEM: &str = "urn:tsunagi:subject";
pub(super) const TENANT_SYSTEM: &str = "urn:tsunagi:tenant";

const ENTITY_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const OBJECT_ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const REQUEST_ID: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType";
const RESOURCE_TYPE: &str = "http://hl7.org/fhir/resource-types";
const PURPOSE_SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

/// The hub among participants.
pub(super) const HUB: &str = "hub";

/// FHIR's network type of a URI: peers are known by the name in their certificate, and addresses are not kept.
const NETWORK_URI: &str = "5";

/// What a log's reason begins with where a search of it is told.
pub(super) const SEARCHED: &str = "search:";

/// What resources are made from.
pub(super) struct Writer<'a> {
    pub(super) tables: &'a Tables,
    pub(super) registry: &'a Registry,
    pub(super) lang: Lang,
}

/// A leaf as its reader knows it.
struct Told<'a> {
    tenant: &'a TenantId,
    index: u64,
    event: &'a AuditEvent,
    view: &'a View,
}

impl Writer<'_> {
    /// The AuditEvents of a leaf, none where its reader may not know of it.
    pub(super) fn resources(&self, tenant: &TenantId, index: u64, event: &AuditEvent, view: &View) -> Vec<Value> {
        let Some(event) = view.of(event) else { return Vec::new() };
        let told = Told { tenant, index, event: &event, view };
        let agent = event.agent.participant.as_ref().and_then(|id| self.registry.participant(id));
        let is_own = agent.is_some_and(|agent| agent.tenant.as_ref() == Some(tenant));
        profiles(&event, is_own).into_iter().map(|profile| self.resource(&told, profile)).collect()
    }

    fn resource(&self, told: &Told<'_>, profile: &Profile) -> Value {
        let event = told.event;
        let is_told_in_full = event.outcome == EventOutcome::Done || told.view.tells_why();
        let mut subtypes: Vec<Value> = profile.subtypes.iter().map(coding).collect();
        if profile.tells_action {
            subtypes.push(json!({ "system": ACTION_SYSTEM, "code": event.action }));
        }
        let mut resource = Map::new();
        let mut set = |name: &str, value: Value| resource.insert(name.to_owned(), value);
        set("resourceType", json!("AuditEvent"));
        set("id", json!(id(told, profile)));
        let mut meta = Map::new();
        if is_told_in_full {
            meta.insert("source".to_owned(), json!(format!("urn:tsunagi:leaf:{}/{}", told.tenant, told.index)));
        }
        if let Some(url) = profile.url() {
            meta.insert("profile".to_owned(), json!([url]));
        }
        if !meta.is_empty() {
            set("meta", Value::Object(meta));
        }
        set("type", coding(&profile.event_type));
        if !subtypes.is_empty() {
            set("subtype", Value::Array(subtypes));
        }
        set("action", json!(profile.action));
        set("recorded", json!(event.at));
        set("outcome", json!(outcome(event.outcome)));
        if let Some(why) = self.outcome_in_words(told) {
            set("outcomeDesc", json!(why));
        }
        if let Some(purpose) = event.purpose {
            set("purposeOfEvent", json!([purpose_of(purpose)]));
        }
        let agents: Vec<Value> = profile.agents.iter().filter_map(|row| self.agent(told, row, profile)).collect();
        set("agent", Value::Array(agents));
        set("source", json!({ "observer": hub() }));
        let entities: Vec<Value> = profile.entities.iter().flat_map(|row| self.entities(told, *row)).collect();
        if !entities.is_empty() {
            set("entity", Value::Array(entities));
        }
        Value::Object(resource)
    }

    /// To the municipality the reason; to others that nothing was available, whatever the cause.
    fn outcome_in_words(&self, told: &Told<'_>) -> Option<String> {
        let event = told.event;
        if event.outcome == EventOutcome::Done {
            return None;
        }
        if !told.view.tells_why() {
            return Some(Bilingual::new("提供情報なし", "not available").pick(self.lang).to_owned());
        }
        let code = event.reason.clone()?;
        let known: Option<tsunagi_core::policy::DenialReason> = serde_json::from_value(json!(code)).ok();
        let words = known.map(|reason| format!(": {}", reason.words().pick(self.lang))).unwrap_or_default();
        Some(format!("{code}{words}"))
    }

    fn agent(&self, told: &Told<'_>, row: &AgentRow, profile: &Profile) -> Option<Value> {
        let event = told.event;
        let user = event.agent.end_user.as_ref();
        let has_user = profile.agents.iter().any(|row| match row.who {
            Who::User => user.is_some(),
            Who::UserOrCaller => true,
            Who::Caller | Who::Custodian | Who::Hub | Who::Organization => false,
        });
        // What is delivered is delivered of the hub's own accord.
        let is_of_the_hub = event.agent.participant.is_none() || event.action == Action::DeliveryDisclosed;
        let (who, requests) = match row.who {
            Who::Caller => (self.participant(event), !has_user && !is_of_the_hub),
            Who::Custodian => (self.custodian(told.tenant)?, false),
            Who::Hub => (hub(), !has_user && is_of_the_hub),
            Who::Organization => (self.participant(event), false),
            Who::User => (end_user(user?), true),
            Who::UserOrCaller => (user.map_or_else(|| self.participant(event), |user| end_user(user)), true),
        };
        let mut agent = json!({
            "type": { "coding": [coding(&row.role)] },
            "who": who,
            "requestor": requests,
        });
        if let Some(members) = agent.as_object_mut() {
            if row.is_networked {
                let name = match (row.who, &event.agent.participant) {
                    (Who::Caller, Some(id)) => id.as_str(),
                    _ => HUB,
                };
                let network = json!({ "address": format!("{PARTICIPANT_SYSTEM}:{name}"), "type": NETWORK_URI });
                members.insert("network".to_owned(), network);
            }
            let uses = matches!(row.who, Who::User | Who::UserOrCaller | Who::Organization);
            if let Some(purpose) = event.purpose.filter(|_| uses) {
                members.insert("purposeOfUse".to_owned(), json!([purpose_of(purpose)]));
            }
        }
        Some(agent)
    }

    fn participant(&self, event: &AuditEvent) -> Value {
        let Some(id) = &event.agent.participant else { return hub() };
        let name = self.registry.participant(id).map(|participant| participant.name.as_str());
        reference("Organization", PARTICIPANT_SYSTEM, id.as_str(), name)
    }

    fn custodian(&self, tenant: &TenantId) -> Option<Value> {
        let found = self.registry.tenant(tenant)?;
        Some(reference("Organization", TENANT_SYSTEM, tenant.as_str(), Some(&found.name)))
    }

    fn entities(&self, told: &Told<'_>, row: EntityRow) -> Vec<Value> {
        let event = told.event;
        match row {
            EntityRow::Consents => {
                let denial = event.denied_by.clone().filter(|basis| profile::is_directive(basis));
                let bases = event.bases.iter().filter_map(|basis| match basis {
                    Basis::Directive { id, .. } => Some(id.to_string()),
                    Basis::Statute { .. } => None,
                });
                // Several classes may rest on one consent.
                let consents: BTreeSet<String> = bases.chain(denial).collect();
                consents.iter().map(|id| self.consent(told, id)).collect()
            }
            EntityRow::Data => vec![self.data(told)],
            EntityRow::Patient => event.subject.iter().map(|key| patient(told, key.as_str())).collect(),
            EntityRow::Query => {
                let text = self.query(told);
                vec![json!({
                    "type": { "system": ENTITY_TYPE, "code": "2", "display": "System Object" },
                    "role": { "system": OBJECT_ROLE, "code": "24", "display": "Query" },
                    "description": text,
                    "query": STANDARD.encode(text),
                })]
            }
            EntityRow::Records => {
                let records = event.records.iter();
                records.map(|(id, version)| object("4", "Domain Resource", self.record(told, id, *version))).collect()
            }
            EntityRow::Transaction => self.transaction(told).into_iter().collect(),
        }
    }

    /// The one thing that it is about: a record, a consent, or a row that no record came of.
    fn data(&self, told: &Told<'_>) -> Value {
        let event = told.event;
        if let Some((id, version)) = event.records.first() {
            return object("4", "Domain Resource", self.record(told, id, *version));
        }
        if let Some(id) = &event.directive {
            let what = reference("Consent", CONSENT_SYSTEM, id.as_str(), None);
            return object("4", "Domain Resource", what);
        }
        let exchange = event.exchange.as_ref().map_or("", |id| id.as_str());
        let what = match event.row {
            Some(row) => json!({ "identifier": { "system": "urn:tsunagi:row", "value": format!("{exchange}/{row}") } }),
            None => json!({ "identifier": { "system": EXCHANGE_SYSTEM, "value": exchange } }),
        };
        object("20", "Job", what)
    }

    /// A record by its id; by its address too, where the hub serves it in FHIR.
    fn record(&self, told: &Told<'_>, id: &RecordId, version: u32) -> Value {
        let identifier = json!({ "system": RECORD_SYSTEM, "value": id });
        let resource_type = told.event.kind.as_ref().and_then(|kind| resource_type(self.tables, kind));
        match resource_type {
            Some(name) => json!({
                "reference": format!("{name}/{id}"), "type": name, "identifier": identifier,
                "display": format!("version {version}"),
            }),
            None => json!({ "identifier": identifier, "display": format!("version {version}") }),
        }
    }

    /// A consent; to a participant it is not named, for it may be one that the person gave elsewhere.
    fn consent(&self, told: &Told<'_>, id: &str) -> Value {
        let what = match told.view.names_subjects() {
            true => reference("Consent", CONSENT_SYSTEM, id, None),
            false => json!({ "type": "Consent", "display": Bilingual::new("同意", "a consent").pick(self.lang) }),
        };
        json!({ "type": { "system": RESOURCE_TYPE, "code": "Consent", "display": "Consent" }, "what": what })
    }

    /// What was asked, as far as the log keeps it: never by whose number.
    fn query(&self, told: &Told<'_>) -> String {
        let event = told.event;
        if event.action == Action::LogRead {
            return match event.reason.as_deref().and_then(|reason| reason.strip_prefix(SEARCHED)) {
                Some("") => "AuditEvent".to_owned(),
                Some(search) => format!("AuditEvent?{search}"),
                None => "access-log".to_owned(),
            };
        }
        let kind = event.kind.as_ref();
        let name = match kind {
            // Directives are no kind.
            None => "Consent",
            Some(kind) => resource_type(self.tables, kind).unwrap_or(kind.as_str()),
        };
        match event.subject.as_ref().filter(|_| told.view.names_subjects()) {
            Some(subject) => format!("{name}?patient.identifier={SUBJECT_SYSTEM}|{subject}"),
            None => name.to_owned(),
        }
    }

    /// The exchange, with what else the log tells of it.
    fn transaction(&self, told: &Told<'_>) -> Option<Value> {
        let event = told.event;
        let exchange = event.exchange.as_ref()?;
        let mut entity = json!({
            "what": { "identifier": { "system": EXCHANGE_SYSTEM, "value": exchange } },
            "type": { "system": REQUEST_ID, "code": "XrequestId" },
        });
        let details = self.details(told);
        if let (false, Some(members)) = (details.is_empty(), entity.as_object_mut()) {
            members.insert("detail".to_owned(), Value::Array(details));
        }
        Some(entity)
    }

    fn details(&self, told: &Told<'_>) -> Vec<Value> {
        let event = told.event;
        let mut details = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            details.extend(value.map(|value| json!({ "type": name, "valueString": value })));
        };
        add("kind", event.kind.as_ref().map(ToString::to_string));
        add("row", event.row.map(|row| row.to_string()));
        if !told.view.tells_why() {
            return details;
        }
        add("flow", event.flow.map(|flow| word(&flow)));
        for class in &event.classes {
            add("class", Some(class.to_string()));
        }
        for basis in &event.bases {
            add(
                "basis",
                match basis {
                    Basis::Directive { rule, .. } => Some(rule.clone()),
                    Basis::Statute { clause, rule } => Some(format!("{rule}: {clause}")),
                },
            );
        }
        add("denied-by", event.denied_by.clone());
        add("policy-version", event.policy_version.clone());
        add("reason", event.reason.clone());
        add("counterpart", event.counterpart.as_ref().map(ToString::to_string));
        add("channel", event.channel.as_ref().map(ToString::to_string));
        add("delivery", event.delivery.as_ref().map(ToString::to_string));
        add("directive", event.directive.as_ref().map(ToString::to_string));
        for municipality in &event.municipalities {
            add("municipality", Some(municipality.clone()));
        }
        for rule in &event.rules_broken {
            add("rule-broken", Some(rule.clone()));
        }
        details
    }
}

/// Made from the place of the leaf and the profile: the same each time.
fn id(told: &Told<'_>, profile: &Profile) -> String {
    let text = format!("{}/{}/{}", told.tenant, told.index, profile.name.unwrap_or_default());
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    hex::encode(digest.as_ref().get(..16).unwrap_or_default())
}

fn resource_type<'t>(tables: &'t Tables, kind: &KindName) -> Option<&'t str> {
    let of_kind = tables.layouts().filter(|layout| layout.format().as_str() == "fhir_r4" && layout.kind() == kind);
    of_kind.filter_map(|layout| layout.resource_type()).next()
}

fn patient(told: &Told<'_>, key: &str) -> Value {
    let what = match told.view.names_subjects() {
        true => reference("Patient", SUBJECT_SYSTEM, key, None),
        // The profile asks for the patient, and hospitals know no subject keys.
        false => json!({ "type": "Patient", "display": "本人" }),
    };
    json!({
        "what": what,
        "type": { "system": ENTITY_TYPE, "code": "1", "display": "Person" },
        "role": { "system": OBJECT_ROLE, "code": "1", "display": "Patient" },
    })
}

fn object(role: &str, display: &str, what: Value) -> Value {
    json!({
        "what": what,
        "type": { "system": ENTITY_TYPE, "code": "2", "display": "System Object" },
        "role": { "system": OBJECT_ROLE, "code": role, "display": display },
    })
}

fn hub() -> Value {
    reference("Device", PARTICIPANT_SYSTEM, HUB, Some("Tsunagi"))
}

fn end_user(pseudonym: &str) -> Value {
    json!({ "identifier": { "system": END_USER_SYSTEM, "value": pseudonym } })
}

fn reference(resource_type: &str, system: &str, value: &str, display: Option<&str>) -> Value {
    let mut reference = json!({ "type": resource_type, "identifier": { "system": system, "value": value } });
    if let (Some(display), Some(members)) = (display, reference.as_object_mut()) {
        members.insert("display".to_owned(), json!(display));
    }
    reference
}

fn coding(coding: &Coding) -> Value {
    json!({ "system": coding.system, "code": coding.code, "display": coding.display })
}

fn purpose_of(purpose: Purpose) -> Value {
    json!({ "coding": [{ "system": PURPOSE_SYSTEM, "code": purpose.as_str() }] })
}

/// A refusal is the caller's affair (4), a failure ours or the destination's (8).
fn outcome(outcome: EventOutcome) -> &'static str {
    match outcome {
        EventOutcome::Done => "0",
        EventOutcome::Denied => "4",
        EventOutcome::Failed => "8",
    }
}
