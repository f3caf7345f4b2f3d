//! What an event is about: the entities of an AuditEvent.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tsunagi_core::audit::Action;
use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::{KindName, RecordId};
use tsunagi_core::policy::Basis;
use tsunagi_mappings::Tables;

use super::profile::{self, EntityRow};
use super::resource::{
    CONSENT_SYSTEM, EXCHANGE_SYSTEM, RECORD_SYSTEM, SEARCHED, SUBJECT_SYSTEM, Told, Writer, reference,
};
use crate::pipeline::lookup::word;

const ENTITY_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const OBJECT_ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const REQUEST_ID: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType";
const RESOURCE_TYPE: &str = "http://hl7.org/fhir/resource-types";

impl Writer<'_> {
    /// The entities of one row of a profile.
    pub(super) fn entities(&self, told: &Told<'_>, row: EntityRow) -> Vec<Value> {
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
