//! `GET /fhir/TYPE?…` and `GET /fhir/TYPE/ID`: what the decision lets this caller see.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use http::{HeaderMap, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tsunagi_adapters::Envelope;
use tsunagi_core::audit::{Action, Interaction};
use tsunagi_core::disclosure::HeldRecord;
use tsunagi_core::id::RecordId;
use tsunagi_core::kind::Kind;
use tsunagi_core::policy::Flow;
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::{Channel, Mode, Role};
use tsunagi_store::SubjectRef;

use super::{MEDIA_TYPE, query};
use crate::edge::answer::{self, Refused};
use crate::edge::token;
use crate::gateway::Gateway;
use crate::pipeline::lookup::{Inquiry, Part, channels, look_up, look_up_linked};
use crate::pipeline::request::in_period;
use crate::pipeline::{Call, turned_away};

/// Searches: a `searchset`, empty where there is nothing to be seen, whatever the cause.
pub(in crate::edge) async fn search(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    Path(resource_type): Path<String>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response<Body>, Refused> {
    let search = query::parse(raw.as_deref())?;
    let tables = gateway.tables.load_full();
    if !tables.layouts().any(|layout| layout.serves().contains(&resource_type)) {
        return Err(Refused(Refusal::NotFound));
    }
    let flow = flow_of(&call)?;
    let sign_in = if flow == Flow::AppReads { Some(token::sign_in(&gateway, &call, &headers).await?) } else { None };
    let named = search.subject(&tables);
    let serves = |channel: &Channel| {
        tables.layout(&channel.layout).is_some_and(|layout| layout.serves().contains(&resource_type))
    };
    let wanted = |kind: &Kind, held: &HeldRecord| in_period(kind, held, search.from, search.until);
    let inquiry = Inquiry {
        flow,
        channels: own_channels(&gateway, &call, flow, serves),
        named_items: BTreeSet::new(),
        wanted: &wanted,
        stated_basis: None,
        attested: None,
        end_user: sign_in.as_ref().map(|sign_in| gateway.pseudonyms.of(sign_in)),
        action: Action::LookupAnswered,
        interaction: Some(Interaction::SearchType),
    };
    let envelope = Envelope::Search { resource_type };
    let parts = match (&sign_in, named) {
        (Some(sign_in), _) => look_up_linked(&gateway, &call, &inquiry, sign_in, None, Some(&envelope)).await?,
        (None, Some(named)) => {
            look_up(&gateway, &call, &inquiry, &SubjectRef::Identifier(named), Some(&envelope)).await?
        }
        (None, None) => return Err(query_needs_subject()),
    };
    let leaves = answer::leaves_of(&parts);
    let found = join(parts)?;
    let mut response = answer::json(StatusCode::OK, MEDIA_TYPE, &found);
    answer::tell_leaves(&mut response, leaves);
    Ok(answer::if_nothing(response, found.total == 0))
}

/// Reads one record.
pub(in crate::edge) async fn one(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    Path((resource_type, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response<Body>, Refused> {
    let Ok(id) = RecordId::parse(&id) else {
        return Err(Refused(turned_away(&gateway, &call, "no_record").await));
    };
    let tables = gateway.tables.load_full();
    let flow = flow_of(&call)?;
    let sign_in = if flow == Flow::AppReads { Some(token::sign_in(&gateway, &call, &headers).await?) } else { None };
    let is_of_type = |channel: &Channel| {
        tables.layout(&channel.layout).is_some_and(|layout| layout.resource_type() == Some(&resource_type))
    };
    let wanted = |_: &Kind, held: &HeldRecord| held.id == id;
    let inquiry = Inquiry {
        flow,
        channels: own_channels(&gateway, &call, flow, is_of_type),
        named_items: BTreeSet::new(),
        wanted: &wanted,
        stated_basis: None,
        attested: None,
        end_user: sign_in.as_ref().map(|sign_in| gateway.pseudonyms.of(sign_in)),
        action: Action::LookupAnswered,
        interaction: Some(Interaction::Read),
    };
    let parts = match &sign_in {
        Some(sign_in) => look_up_linked(&gateway, &call, &inquiry, sign_in, None, Some(&Envelope::Single)).await?,
        None => look_up(&gateway, &call, &inquiry, &SubjectRef::Record(id.clone()), Some(&Envelope::Single)).await?,
    };
    let leaves = answer::leaves_of(&parts);
    let part = parts.into_iter().next().ok_or(Refused(Refusal::NotAvailable))?;
    let mut response = answer::bytes_of(StatusCode::OK, MEDIA_TYPE, part.into_bytes()?);
    answer::tell_leaves(&mut response, leaves);
    Ok(response)
}

/// Which way an answer to this caller would go.
pub(in crate::edge) fn flow_of(call: &Call) -> Result<Flow, Refusal> {
    match call.caller.participant.role {
        Role::App => Ok(Flow::AppReads),
        Role::Hospital => Ok(Flow::HospitalReads),
        Role::Municipality => Ok(Flow::MunicipalityReads),
        Role::Operator => Err(Refusal::NotPermitted),
    }
}

/// The caller's lookup channels; a municipality's lead to its own tenant only, others are asked by request.
pub(in crate::edge) fn own_channels(
    gateway: &Gateway,
    call: &Call,
    flow: Flow,
    wanted: impl Fn(&Channel) -> bool,
) -> Vec<Arc<Channel>> {
    let own = call.caller.participant.tenant.as_ref();
    channels(gateway, call, Mode::Lookup, |channel| {
        wanted(channel) && (flow != Flow::MunicipalityReads || own == Some(&channel.tenant))
    })
}

/// A search answer. Entries are taken over as they were encoded.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::edge) struct Searchset {
    #[serde(rename = "resourceType")]
    resource_type: String,
    #[serde(rename = "type")]
    bundle_type: String,
    total: u64,
    /// Absent where empty: FHIR has no empty arrays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::edge) entry: Vec<Box<RawValue>>,
}

/// Joins the answers of several channels.
fn join(parts: Vec<Part>) -> Result<Searchset, Refused> {
    let mut joined = Searchset {
        resource_type: "Bundle".to_owned(),
        bundle_type: "searchset".to_owned(),
        total: 0,
        entry: Vec::new(),
    };
    for part in parts {
        let bytes = part.into_bytes()?;
        let one: Searchset = serde_json::from_slice(&bytes).map_err(|error| {
            tracing::error!(%error, "an encoded searchset cannot be read back");
            Refused(Refusal::Internal)
        })?;
        joined.total += one.total;
        joined.entry.extend(one.entry);
    }
    Ok(joined)
}

/// The refusal of a search that names nobody.
pub(super) fn query_needs_subject() -> Refused {
    Refused(Refusal::Malformed(tsunagi_core::fault::Bilingual::new(
        "patient.identifier=体系|値 を、このハブが知る体系で指定してください",
        "give patient.identifier=SYSTEM|VALUE in a system this hub knows",
    )))
}
