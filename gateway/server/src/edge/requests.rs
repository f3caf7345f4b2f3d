//! `POST /v1/requests`: a municipality asks others' tenants.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use http::{HeaderMap, Response, StatusCode};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tsunagi_core::fault::Bilingual;
use tsunagi_core::id::{ExchangeId, FieldKey, KindName, LayoutId, SubjectKey, TenantId};
use tsunagi_core::my_number;
use tsunagi_core::policy::Purpose;
use tsunagi_core::refusal::Refusal;
use tsunagi_core::sensitive::Sensitive;
use tsunagi_mappings::Tables;
use tsunagi_store::{Identifier, SubjectRef};

use super::answer::{self, Refused};
use super::fhir::query;
use super::files::require_media_type;
use super::mailbox::bad_body;
use crate::gateway::Gateway;
use crate::pipeline::Call;
use crate::pipeline::lookup::Part;
use crate::pipeline::request::{CrossRequest, LedgerLine, LedgerOutcome, request as ask};

/// The most tenants one request may name.
const MOST_TENANTS: usize = 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Asked {
    purpose: Purpose,
    legal_basis: String,
    subject: NamedSubject,
    tenants: Vec<TenantId>,
    kinds: BTreeSet<KindName>,
    /// Field keys of items that travel only when named.
    #[serde(default)]
    items: BTreeSet<String>,
    #[serde(default)]
    period: Period,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedSubject {
    system: String,
    value: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Period {
    from: Option<Date>,
    until: Option<Date>,
}

#[derive(Serialize)]
struct Answer {
    exchange: ExchangeId,
    ledger: Vec<LedgerLine>,
    records: Vec<Answered>,
}

/// The records of one tenant and kind.
#[derive(Serialize)]
pub(super) struct Answered {
    /// Set toward an app alone: the key never crosses to another tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<SubjectKey>,
    tenant: TenantId,
    kind: KindName,
    layout: LayoutId,
    content: Box<RawValue>,
}

impl Answered {
    /// Takes the encoded bytes over as they are; the channel's layout must be of a JSON format.
    pub(super) fn of(part: Part) -> Result<Self, Refused> {
        let channel = part.channel.clone();
        let content = String::from_utf8(part.into_bytes()?).ok().and_then(|text| RawValue::from_string(text).ok());
        let content = content.ok_or_else(|| {
            tracing::error!(channel = %channel.id, "the channel's layout is not of a JSON format");
            Refused(Refusal::Internal)
        })?;
        Ok(Self {
            subject: None,
            tenant: channel.tenant.clone(),
            kind: channel.kind.clone(),
            layout: channel.layout.clone(),
            content,
        })
    }
}

impl Answered {
    /// The same toward an app, which may see several children: it says whose the records are.
    pub(super) fn with_subject(part: Part) -> Result<Self, Refused> {
        let subject = Some(part.subject.clone());
        Ok(Self { subject, ..Self::of(part)? })
    }
}

/// The field keys of the items named, if each is a field of one of the kinds.
fn named_items(tables: &Tables, kinds: &BTreeSet<KindName>, items: &BTreeSet<String>) -> Option<BTreeSet<FieldKey>> {
    let is_known = |key: &FieldKey| kinds.iter().filter_map(|kind| tables.kind(kind)).any(|k| k.field(key).is_some());
    items.iter().map(|item| FieldKey::parse(item).ok().filter(is_known)).collect()
}

/// Asks, and answers with the outcome ledger and the records.
pub(super) async fn request(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response<Body>, Refused> {
    require_media_type(&headers, &["application/json"])?;
    let body: Asked = serde_json::from_slice(&bytes).map_err(|error| bad_body(&error))?;
    let malformed = |ja: &str, en: &str| Refused(Refusal::Malformed(Bilingual::new(ja, en)));
    if body.tenants.is_empty() || body.tenants.len() > MOST_TENANTS || body.kinds.is_empty() {
        return Err(malformed("tenants は1から20、kinds は1つ以上です", "give 1 to 20 tenants and at least one kind"));
    }
    let tables = gateway.tables.load_full();
    // Both are kept in the log as they are written: names that nobody has are not.
    let is_kind = |kind: &KindName| tables.kind(kind).is_some();
    if !body.kinds.iter().all(is_kind) || body.tenants.iter().any(|tenant| my_number::stands_in(tenant.as_str())) {
        return Err(malformed("tenants か kinds に、名前でないものがあります", "tenants or kinds has what is no name"));
    }
    let items = named_items(&tables, &body.kinds, &body.items).ok_or_else(|| {
        malformed(
            "items に、求める種別の項目でないものがあります",
            "items names something that is not a field of the kinds asked for",
        )
    })?;
    let value = Sensitive::new(body.subject.value);
    // 個人番号 may name the subject here: both sides are municipalities, and only its keyed pseudonym is compared.
    let identifier = query::identifier(&tables, &body.subject.system, &value).or_else(|| {
        let system = tables.identifier_system(&body.subject.system)?;
        Some(Identifier { system: system.name.clone(), value: value.clone() })
    });
    let identifier = identifier
        .ok_or_else(|| malformed("subject.system を、このハブは知りません", "subject.system is not known here"))?;
    let mut call = Call::clone(&call);
    call.purpose = Some(body.purpose);
    let mut tenants = body.tenants;
    let mut seen = BTreeSet::new();
    tenants.retain(|tenant| seen.insert(tenant.clone()));
    let asked = CrossRequest {
        legal_basis: body.legal_basis,
        subject: SubjectRef::Identifier(identifier),
        tenants,
        kinds: body.kinds,
        named_items: items,
        from: body.period.from,
        until: body.period.until,
    };
    let answered = ask(&gateway, &call, &asked).await?;
    let leaves = answer::leaves_of(&answered.parts);
    let records = answered.parts.into_iter().map(Answered::of).collect::<Result<Vec<_>, _>>()?;
    let is_withheld = answered.ledger.iter().any(|line| line.outcome == LedgerOutcome::Withheld);
    let answer = Answer { exchange: call.exchange.clone(), ledger: answered.ledger, records };
    let mut response = answer::json(StatusCode::OK, "application/json; charset=utf-8", &answer);
    answer::tell_leaves(&mut response, leaves);
    Ok(answer::if_nothing(response, is_withheld))
}
