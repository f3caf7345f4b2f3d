//! `GET /fhir/metadata`: exactly what is served, read off the layouts and endpoints, to everyone the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::MEDIA_TYPE;
use super::audit_event::profile::claimed;
use super::audit_event::search::PARAMETERS;
use crate::edge::answer;
use crate::gateway::Gateway;
use crate::pipeline::Call;

/// The CapabilityStatement.
pub(in crate::edge) async fn answer(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
) -> Response<Body> {
    let tables = gateway.tables.load();
    let mut interactions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for layout in tables.layouts().filter(|layout| layout.format().as_str() == "fhir_r4") {
        if let Some(resource_type) = layout.resource_type() {
            interactions.entry(resource_type).or_default().extend(["create", "read"]);
        }
        for resource_type in layout.serves() {
            interactions.entry(resource_type).or_default().insert("search-type");
        }
    }
    interactions.insert("AuditEvent", BTreeSet::from(["search-type"]));
    interactions.insert("Consent", BTreeSet::from(["create", "search-type"]));
    if tables.kinds().any(|kind| kind.schedule.is_some()) {
        interactions.insert("ImmunizationRecommendation", BTreeSet::from(["search-type"]));
    }
    let mut resources: Vec<Value> = interactions
        .into_iter()
        .map(|(resource_type, codes)| {
            let codes: Vec<Value> = codes.into_iter().map(|code| json!({ "code": code })).collect();
            let mut resource = json!({ "type": resource_type, "interaction": codes });
            if let ("AuditEvent", Some(members)) = (resource_type, resource.as_object_mut()) {
                let parameters = PARAMETERS.map(|(name, of)| json!({ "name": name, "type": of }));
                members.insert("supportedProfile".to_owned(), claimed().collect());
                members.insert("searchParam".to_owned(), json!(parameters));
            }
            resource
        })
        .collect();
    resources.push(json!({
        "type": "CoverageEligibilityRequest",
        "operation": [{
            "name": "submit",
            "definition": "http://hl7.org/fhir/OperationDefinition/CoverageEligibilityRequest-submit",
        }],
    }));
    let statement = json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": call.today,
        "kind": "instance",
        "software": { "name": "Tsunagi", "version": env!("CARGO_PKG_VERSION") },
        "implementation": { "description": "Tsunagi" },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json"],
        "rest": [{
            "mode": "server",
            "security": { "description": "Mutual TLS; the caller is known by its client certificate alone." },
            "resource": resources,
            "interaction": [{ "code": "batch" }],
        }],
    });
    answer::json(StatusCode::OK, MEDIA_TYPE, &statement)
}
