//! `POST /fhir/CoverageEligibilityRequest/$submit`: may this subsidy be used on that day.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use http::{HeaderMap, Response, StatusCode};
use jiff::civil::Date;
use serde_json::{Value, json};
use tsunagi_core::audit::Action;
use tsunagi_core::disclosure::HeldRecord;
use tsunagi_core::id::{KindName, SubjectKey};
use tsunagi_core::kind::Kind;
use tsunagi_core::policy::{Directive, Flow};
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::Role;
use tsunagi_mappings::Tables;
use tsunagi_store::{Identifier, SubjectRef};

use super::consent::{self, Statement, bad, bad_json};
use super::read::own_channels;
use super::{MEDIA_TYPE, resource, sender};
use crate::edge::answer::{self, Refused};
use crate::edge::files::require_media_type;
use crate::gateway::Gateway;
use crate::pipeline::Call;
use crate::pipeline::lookup::{Inquiry, look_up};

/// Answers in force, lapsed, or not available.
pub(in crate::edge) async fn answer(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response<Body>, Refused> {
    if call.caller.participant.role != Role::Hospital {
        return Err(Refused(Refusal::NotPermitted));
    }
    let tables = gateway.tables.load_full();
    require_media_type(&headers, &["application/fhir+json", "application/json"])?;
    let request: Value = serde_json::from_slice(&bytes).map_err(|error| bad_json(&error))?;
    if request.get("resourceType").and_then(Value::as_str) != Some("CoverageEligibilityRequest") {
        return Err(Refused(bad("resourceType")));
    }
    sender::check(&call, &request)?;
    let serviced = serviced_on(&call, &request)?;
    let patient = request.get("patient").unwrap_or(&Value::Null);
    let identifier = resource::subject(&tables, &request, patient).ok_or_else(|| bad("patient"))?;
    let channels = own_channels(&gateway, &call, Flow::HospitalReads, |channel| {
        tables.kind(&channel.kind).is_some_and(|kind| kind.validity.is_some())
            && tables.layout(&channel.layout).is_some_and(|layout| layout.serves().iter().any(|t| t == "Coverage"))
    });
    let kinds: Vec<KindName> = channels.iter().map(|channel| channel.kind.clone()).collect();
    if resource::contained_of(&request, "Consent").count() > 1 {
        return Err(Refused(bad("contained Consent")));
    }
    let statement: Option<Statement> = match resource::contained_of(&request, "Consent").next() {
        Some(given) => {
            // It must be this patient's: the same reference, or the same identifier.
            let theirs = given.get("patient").unwrap_or(&Value::Null);
            let names_other = theirs != patient
                && resource::subject(&tables, &request, theirs).is_none_or(|other| !same(&other, &identifier));
            if names_other {
                return Err(Refused(bad("Consent.patient")));
            }
            Some(consent::read(&gateway, &call, given, &kinds)?)
        }
        None => None,
    };
    let attested = statement.map(|statement| move |subject: SubjectKey| statement.of(subject));
    let inquiry = Inquiry {
        flow: Flow::HospitalReads,
        channels,
        named_items: BTreeSet::new(),
        wanted: &|_, _| true,
        stated_basis: None,
        attested: attested.as_ref().map(|make| make as &(dyn Fn(SubjectKey) -> Directive + Send + Sync)),
        end_user: None,
        action: Action::LookupAnswered,
    };
    let parts = look_up(&gateway, &call, &inquiry, &SubjectRef::Identifier(identifier), None).await?;
    let rights: Vec<Right> = parts
        .iter()
        .flat_map(|part| {
            let kind = tables.kind(&part.channel.kind);
            part.records.iter().filter_map(move |held| Right::of(kind?, held))
        })
        .collect();
    if rights.is_empty() {
        return Err(Refused(Refusal::NotAvailable));
    }
    let tenant = parts.first().map(|part| part.channel.tenant.to_string()).unwrap_or_default();
    Ok(answer::json(StatusCode::OK, MEDIA_TYPE, &response(&call, &tables, &request, serviced, &rights, &tenant)))
}

/// From when until when a right holds, both days inclusive; an end that is not whole counts by its bounds.
struct Right {
    record: String,
    from: Option<Date>,
    until: Option<Date>,
}

impl Right {
    fn of(kind: &Kind, held: &HeldRecord) -> Option<Self> {
        let validity = kind.validity.as_ref()?;
        let date = |key| held.record.first(key).and_then(tsunagi_core::value::Value::date);
        let (from, until) = (date(&validity.from)?, date(&validity.until)?);
        Some(Self { record: held.id.to_string(), from: from.earliest(), until: until.latest() })
    }

    fn is_in_force(&self, on: Date) -> bool {
        self.from.is_none_or(|from| from <= on) && self.until.is_none_or(|until| on <= until)
    }
}

fn same(one: &Identifier, other: &Identifier) -> bool {
    one.system == other.system && one.value == other.value
}

fn serviced_on(call: &Call, request: &Value) -> Result<Date, Refusal> {
    match request.get("servicedDate") {
        None => Ok(call.today),
        Some(date) => date.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| bad("servicedDate")),
    }
}

fn response(call: &Call, tables: &Tables, request: &Value, serviced: Date, rights: &[Right], tenant: &str) -> Value {
    let insurance: Vec<Value> = rights
        .iter()
        .map(|right| {
            let mut period = serde_json::Map::new();
            for (name, date) in [("start", right.from), ("end", right.until)] {
                if let Some(date) = date {
                    period.insert(name.to_owned(), json!(date));
                }
            }
            json!({
                "coverage": { "reference": format!("Coverage/{}", right.record) },
                "inforce": right.is_in_force(serviced),
                "benefitPeriod": period,
            })
        })
        .collect();
    let any = rights.iter().any(|right| right.is_in_force(serviced));
    let disposition = match (any, call.lang) {
        (true, tsunagi_core::fault::Lang::En) => "in force",
        (true, tsunagi_core::fault::Lang::Ja) => "有効",
        (false, tsunagi_core::fault::Lang::En) => "not in force on that day",
        (false, tsunagi_core::fault::Lang::Ja) => "その日は有効ではありません",
    };
    json!({
        "resourceType": "CoverageEligibilityResponse",
        "id": call.exchange,
        "status": "active",
        "purpose": ["validation"],
        "patient": patient_reference(tables, request),
        "servicedDate": serviced,
        "created": call.at,
        "request": { "identifier": { "system": "urn:tsunagi:exchange", "value": call.exchange } },
        "outcome": "complete",
        "disposition": disposition,
        "insurer": { "identifier": { "system": "urn:tsunagi:tenant", "value": tenant } },
        "insurance": insurance,
    })
}

/// The patient as the request named it: an identifier the caller sent goes back to the caller.
fn patient_reference(tables: &Tables, request: &Value) -> Value {
    let patient = request.get("patient").unwrap_or(&Value::Null);
    let own = patient.get("identifier").cloned();
    let listed = || {
        let identifiers = resource::resolve(request, patient)?.get("identifier")?.as_array()?;
        identifiers
            .iter()
            .find(|i| {
                i.get("system").and_then(Value::as_str).is_some_and(|uri| tables.identifier_system(uri).is_some())
            })
            .cloned()
    };
    json!({ "identifier": own.or_else(listed) })
}
