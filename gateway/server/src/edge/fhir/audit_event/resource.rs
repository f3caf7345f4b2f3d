//! A leaf as AuditEvents of FHIR R4. What a profile fixes comes from its row; what is told of the event, from the view.

use aws_lc_rs::digest;
use serde_json::{Map, Value, json};
use tsunagi_core::audit::{Action, AuditEvent, EventOutcome};
use tsunagi_core::fault::{Bilingual, Lang};
use tsunagi_core::id::TenantId;
use tsunagi_core::policy::Purpose;
use tsunagi_core::registry::Registry;
use tsunagi_mappings::Tables;

use super::profile::{AgentRow, Coding, Profile, Who, profiles};
use super::view::View;

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
pub(super) struct Told<'a> {
    tenant: &'a TenantId,
    index: u64,
    pub(super) event: &'a AuditEvent,
    pub(super) view: &'a View,
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
}

/// Made from the place of the leaf and the profile: the same each time.
fn id(told: &Told<'_>, profile: &Profile) -> String {
    let text = format!("{}/{}/{}", told.tenant, told.index, profile.name.unwrap_or_default());
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    hex::encode(digest.as_ref().get(..16).unwrap_or_default())
}

fn hub() -> Value {
    reference("Device", PARTICIPANT_SYSTEM, HUB, Some("Tsunagi"))
}

fn end_user(pseudonym: &str) -> Value {
    json!({ "identifier": { "system": END_USER_SYSTEM, "value": pseudonym } })
}

pub(super) fn reference(resource_type: &str, system: &str, value: &str, display: Option<&str>) -> Value {
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
