//! What the gateway's own operations read out of a FHIR resource. Records go through layouts instead.

use serde_json::Value;
use tsunagi_core::sensitive::Sensitive;
use tsunagi_mappings::Tables;
use tsunagi_store::Identifier;

use super::query;

/// The resource a reference of `holder` leads to: a contained one by `#id`, nothing else.
pub(super) fn resolve<'a>(holder: &'a Value, reference: &'a Value) -> Option<&'a Value> {
    let id = reference.get("reference")?.as_str()?.strip_prefix('#')?;
    contained(holder).find(|resource| resource.get("id").and_then(Value::as_str) == Some(id))
}

/// The contained resources of one type.
pub(super) fn contained_of<'a>(holder: &'a Value, resource_type: &'a str) -> impl Iterator<Item = &'a Value> {
    contained(holder).filter(move |r| r.get("resourceType").and_then(Value::as_str) == Some(resource_type))
}

fn contained(holder: &Value) -> impl Iterator<Item = &Value> {
    holder.get("contained").and_then(Value::as_array).into_iter().flatten()
}

/// The subject that a reference of `holder` names, by the reference's own identifier or those of the contained
/// Patient it leads to: the first whose system this hub knows.
pub(super) fn subject(tables: &Tables, holder: &Value, reference: &Value) -> Option<Identifier> {
    let own = reference.get("identifier").into_iter();
    let patient = resolve(holder, reference);
    let listed = patient.and_then(|p| p.get("identifier")).and_then(Value::as_array).into_iter().flatten();
    let pairs: Vec<(&str, &str)> = own
        .chain(listed)
        .filter_map(|identifier| Some((identifier.get("system")?.as_str()?, identifier.get("value")?.as_str()?)))
        .collect();
    let direct = pairs
        .iter()
        .find_map(|(system, value)| query::identifier(tables, system, &Sensitive::new((*value).to_owned())));
    direct.or_else(|| joined(tables, &pairs))
}

/// An identifier whose parts stand in systems of their own, as 公費負担者番号 and 受給者番号 do.
pub(super) fn joined(tables: &Tables, pairs: &[(&str, &str)]) -> Option<Identifier> {
    tables.identifier_systems().iter().find_map(|system| {
        let parts: Option<Vec<&str>> = system
            .parts
            .iter()
            .map(|part| pairs.iter().find(|(uri, _)| tables.url_of(uri) == part).map(|(_, value)| *value))
            .collect();
        let value = parts.filter(|parts| !parts.is_empty())?.join(":");
        query::identifier(tables, system.name.as_str(), &Sensitive::new(value))
    })
}
