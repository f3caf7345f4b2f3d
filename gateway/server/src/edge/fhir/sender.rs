//! Who a FHIR body says it is from, beside the record itself: a message's header, a provenance, the asker of an
//! eligibility request. The certificate alone says who calls; a body that names another institution is refused.

use serde_json::Value;
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::Role;

use super::resource;
use crate::pipeline::Call;

/// 医療機関コード as JP Core identifies institutions.
const INSTITUTION: &str = "http://jpfhir.jp/fhir/core/IdSystem/insurance-medical-institution-no";

/// Where each resource type names its sender. What records themselves name is in their kind files.
const NAMED_BY: [(&str, &[&str]); 4] = [
    ("Consent", &["organization"]),
    ("CoverageEligibilityRequest", &["provider"]),
    ("MessageHeader", &["sender", "responsible"]),
    ("Provenance", &["agent/who", "agent/onBehalfOf"]),
];

/// Refuses a body in which a hospital names another institution as its sender.
pub(super) fn check(call: &Call, body: &Value) -> Result<(), Refusal> {
    if call.caller.participant.role != Role::Hospital {
        return Ok(());
    }
    let own = call.caller.participant.organization_code.as_deref();
    let entries = body.get("entry").and_then(Value::as_array).into_iter().flatten();
    let resources = entries.filter_map(|entry| entry.get("resource")).chain([body]);
    for outer in resources {
        // A reference of a contained resource leads to its neighbours.
        for reference in std::iter::once(outer).chain(contained(outer)).flat_map(references) {
            if codes(body, outer, reference).iter().any(|code| Some(*code) != own) {
                return Err(Refusal::NotPermitted);
            }
        }
    }
    Ok(())
}

/// The same for bytes, which are read only if one of the resource types can be in them.
pub(super) fn check_bytes(call: &Call, bytes: &[u8]) -> Result<(), Refusal> {
    let holds = |name: &str| bytes.windows(name.len()).any(|window| window == name.as_bytes());
    if !["MessageHeader", "Provenance"].into_iter().any(holds) {
        return Ok(());
    }
    // What is no JSON is refused with its place by the adapter.
    serde_json::from_slice(bytes).map_or(Ok(()), |body| check(call, &body))
}

fn contained(resource: &Value) -> impl Iterator<Item = &Value> {
    resource.get("contained").and_then(Value::as_array).into_iter().flatten()
}

fn references(resource: &Value) -> Vec<&Value> {
    let resource_type = resource.get("resourceType").and_then(Value::as_str).unwrap_or("");
    let paths = NAMED_BY.iter().filter(|(name, _)| *name == resource_type).flat_map(|(_, paths)| paths.iter());
    paths
        .flat_map(|path| {
            path.split('/').fold(vec![resource], |at, name| at.into_iter().flat_map(|v| each(v, name)).collect())
        })
        .collect()
}

/// A member, or each of its elements.
fn each<'a>(value: &'a Value, name: &str) -> Vec<&'a Value> {
    match value.get(name) {
        Some(Value::Array(elements)) => elements.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    }
}

/// The institution codes that a reference leads to: its own, those of a contained resource, those of a Bundle's entry.
fn codes<'a>(body: &'a Value, holder: &'a Value, reference: &'a Value) -> Vec<&'a str> {
    let literal = reference.get("reference").and_then(Value::as_str);
    let entries = body.get("entry").and_then(Value::as_array).into_iter().flatten();
    let of_bundle = entries
        .filter(|entry| literal.is_some() && entry.get("fullUrl").and_then(Value::as_str) == literal)
        .filter_map(|entry| entry.get("resource"));
    let targets = resource::resolve(holder, reference).into_iter().chain(of_bundle);
    let identifiers = targets.flat_map(|target| each(target, "identifier")).chain(each(reference, "identifier"));
    identifiers
        .filter(|identifier| identifier.get("system").and_then(Value::as_str) == Some(INSTITUTION))
        .filter_map(|identifier| identifier.get("value").and_then(Value::as_str))
        .collect()
}
