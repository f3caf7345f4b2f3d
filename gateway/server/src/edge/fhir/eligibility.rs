//! `POST /fhir/CoverageEligibilityRequest/$submit`: may this subsidy be used on that day.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use http::{HeaderMap, Response, StatusCode};
use jiff::{Timestamp, civil::Date};
use serde::Serialize;
use serde_json::Value;
use tsunagi_core::audit::{Action, Interaction};
use tsunagi_core::disclosure::HeldRecord;
use tsunagi_core::fault::Lang;
use tsunagi_core::id::{ExchangeId, KindName, RecordId, SubjectKey};
use tsunagi_core::kind::Kind;
use tsunagi_core::my_number;
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
        interaction: Some(Interaction::Operation),
    };
    let parts = look_up(&gateway, &call, &inquiry, &SubjectRef::Identifier(identifier), None).await?;
    let rights: Vec<Right<'_>> = parts
        .iter()
        .flat_map(|part| {
            let kind = tables.kind(&part.channel.kind);
            part.records().iter().filter_map(move |held| Right::of(kind?, held))
        })
        .collect();
    if rights.is_empty() {
        return Err(Refused(Refusal::NotAvailable));
    }
    let tenant = parts.first().ok_or(Refused(Refusal::Internal))?.channel.tenant.clone();
    let body = response(&call, &tables, &request, serviced, &rights, tenant.as_str());
    let mut response = answer::json(StatusCode::OK, MEDIA_TYPE, &body);
    answer::tell_leaves(&mut response, answer::leaves_of(&parts));
    Ok(response)
}

/// From when until when a right holds, both days inclusive; an end that is not whole counts by its bounds.
struct Right<'a> {
    record: &'a RecordId,
    from: Option<Date>,
    until: Option<Date>,
}

impl<'a> Right<'a> {
    fn of(kind: &Kind, held: &'a HeldRecord) -> Option<Self> {
        let validity = kind.validity.as_ref()?;
        let date = |key| held.record.first(key).and_then(tsunagi_core::value::Value::date);
        let (from, until) = (date(&validity.from)?, date(&validity.until)?);
        Some(Self { record: &held.id, from: from.earliest(), until: until.latest() })
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

/// A CoverageEligibilityResponse. Written as it goes: a tree in between would cost more than all the rest of the answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    resource_type: &'static str,
    id: &'a ExchangeId,
    status: &'static str,
    purpose: [&'static str; 1],
    patient: Reference<&'a Value>,
    serviced_date: Date,
    created: Timestamp,
    request: Reference<Identified<'a>>,
    outcome: &'static str,
    disposition: &'static str,
    insurer: Reference<Identified<'a>>,
    insurance: Vec<Insurance>,
}

#[derive(Serialize)]
struct Reference<T> {
    identifier: T,
}

#[derive(Serialize)]
struct Identified<'a> {
    system: &'static str,
    value: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Insurance {
    coverage: CoverageReference,
    inforce: bool,
    benefit_period: Period,
}

#[derive(Serialize)]
struct CoverageReference {
    reference: String,
}

#[derive(Serialize)]
struct Period {
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Date>,
}

fn response<'a>(
    call: &'a Call,
    tables: &Tables,
    request: &'a Value,
    serviced: Date,
    rights: &[Right<'_>],
    tenant: &'a str,
) -> Answer<'a> {
    let insurance = rights.iter().map(|right| Insurance {
        coverage: CoverageReference { reference: format!("Coverage/{}", right.record) },
        inforce: right.is_in_force(serviced),
        benefit_period: Period { start: right.from, end: right.until },
    });
    let any = rights.iter().any(|right| right.is_in_force(serviced));
    let disposition = match (any, call.lang) {
        (true, Lang::En) => "in force",
        (true, Lang::Ja) => "有効",
        (false, Lang::En) => "not in force on that day",
        (false, Lang::Ja) => "その日は有効ではありません",
    };
    Answer {
        resource_type: "CoverageEligibilityResponse",
        id: &call.exchange,
        status: "active",
        purpose: ["validation"],
        patient: Reference { identifier: patient_identifier(tables, request) },
        serviced_date: serviced,
        created: call.at,
        request: Reference { identifier: Identified { system: "urn:tsunagi:exchange", value: call.exchange.as_str() } },
        outcome: "complete",
        disposition,
        insurer: Reference { identifier: Identified { system: "urn:tsunagi:tenant", value: tenant } },
        insurance: insurance.collect(),
    }
}

/// The patient as the request named it: an identifier the caller sent goes back to the caller.
fn patient_identifier<'a>(tables: &Tables, request: &'a Value) -> &'a Value {
    let patient = request.get("patient").unwrap_or(&Value::Null);
    let listed = || {
        let identifiers = resource::resolve(request, patient)?.get("identifier")?.as_array()?;
        identifiers.iter().find(|identifier| {
            let system = identifier.get("system").and_then(Value::as_str);
            system.is_some_and(|uri| tables.identifier_system(uri).is_some()) && !has_my_number(identifier)
        })
    };
    // Whoever sends a 個人番号 has no right to, and does not get it back.
    let own = patient.get("identifier").filter(|identifier| !has_my_number(identifier));
    own.or_else(listed).unwrap_or(&Value::Null)
}

fn has_my_number(value: &Value) -> bool {
    match value {
        Value::String(text) => my_number::stands_in(text),
        Value::Number(number) => my_number::stands_in(&number.to_string()),
        Value::Array(items) => items.iter().any(has_my_number),
        Value::Object(members) => {
            members.iter().any(|(name, value)| my_number::stands_in(name) || has_my_number(value))
        }
        Value::Bool(_) | Value::Null => false,
    }
}
