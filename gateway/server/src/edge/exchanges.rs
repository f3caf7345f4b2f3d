//! `GET /v1/exchanges/{id}` and `…/rejections`: the sender's own exchanges.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use tsunagi_core::audit::{Action, AuditEvent, EventOutcome};
use tsunagi_core::exchange::{DeliveryView, Exchange, RowCounts, RowResult};
use tsunagi_core::id::{ExchangeId, TenantId};
use tsunagi_core::refusal::Refusal;
use tsunagi_store::{ExchangeView, Note, RowPage, Storage, StoreError};

use super::answer::{self, Refused};
use super::fhir::query::{bad, number, pairs};
use crate::gateway::Gateway;
use crate::pipeline::Call;
use crate::pipeline::rejections::rejection_file;
use crate::receipts::{LeafReceipt, Provers};

/// The receipt, a page of its rows (`?after=ROW&limit=N`), their deliveries, and the proofs of both; with `leaf`, those of
/// an answer.
pub(super) async fn receipt(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response<Body>, Refused> {
    let id = ExchangeId::parse(&id).map_err(|_| Refused(Refusal::NotFound))?;
    let limit = number(raw.as_deref(), "limit", RowPage::FIRST.limit as u64, 1..=MOST_ROWS)? as usize;
    let page = RowPage { after: number(raw.as_deref(), "after", 0, 0..=u64::from(u32::MAX))?, limit };
    let asked = pairs(raw.as_deref().unwrap_or("")).find(|(name, _)| name == "leaf");
    if let Some((_, leaves)) = asked {
        return disclosures(&gateway, &call, &id, &leaves).await;
    }
    let sender = &call.caller.participant.id;
    let view = gateway.store.exchange(sender, &id, page).await?.ok_or(Refused(Refusal::NotFound))?;
    let next = view.next;
    let receipt = Receipt::of(gateway.store.as_ref(), view).await?;
    let mut response = answer::json(StatusCode::OK, "application/json; charset=utf-8", &receipt);
    if let Some(last) = next {
        let link = format!("</v1/exchanges/{id}?after={last}&limit={limit}>; rel=\"next\"");
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    Ok(response)
}

/// The receipt with what proves it.
#[derive(Serialize)]
struct Receipt {
    #[serde(flatten)]
    exchange: Exchange,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<RowCounts>,
    rows: Vec<Proven<RowResult>>,
    deliveries: Vec<Proven<DeliveryView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// A row or a delivery, with its leaf.
#[derive(Serialize)]
struct Proven<T> {
    #[serde(flatten)]
    told: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<LeafReceipt>,
}

impl Receipt {
    async fn of(store: &dyn Storage, view: ExchangeView) -> Result<Self, StoreError> {
        let mut provers = Provers::of(store);
        let mut rows = Vec::new();
        for row in view.rows {
            let tenant = row.tenant.clone().unwrap_or_else(TenantId::hub);
            let audit = prove(&mut provers, &tenant, row.leaf).await?;
            rows.push(Proven { told: row, audit });
        }
        let mut deliveries = Vec::new();
        for delivery in view.deliveries {
            let audit = prove(&mut provers, &delivery.tenant, delivery.leaf).await?;
            deliveries.push(Proven { told: delivery, audit });
        }
        Ok(Self { exchange: view.exchange, counts: view.counts, rows, deliveries, next: view.next })
    }
}

async fn prove(
    provers: &mut Provers<'_>,
    tenant: &TenantId,
    leaf: Option<u64>,
) -> Result<Option<LeafReceipt>, StoreError> {
    match leaf {
        Some(leaf) => provers.receipt(tenant, leaf).await.map(Some),
        None => Ok(None),
    }
}

/// What an answer disclosed, by the leaves that its `Tsunagi-Leaf` named.
#[derive(Serialize)]
struct Disclosures {
    id: ExchangeId,
    disclosures: Vec<LeafReceipt>,
}

/// `?leaf=TENANT/INDEX,…`: the leaves of an answer that this caller was given. No leaf but one that names the caller and the
/// exchange is told of, and none of another is told from one that is not there.
async fn disclosures(gateway: &Gateway, call: &Call, id: &ExchangeId, leaves: &str) -> Result<Response<Body>, Refused> {
    let mut provers = Provers::of(gateway.store.as_ref());
    let mut disclosures = Vec::new();
    for leaf in leaves.split(',').take(MOST_LEAVES) {
        let place = leaf.trim().split_once('/').and_then(|(tenant, index)| {
            Some((TenantId::parse(tenant).ok()?, index.parse::<u64>().ok().filter(|index| *index <= i64::MAX as u64)?))
        });
        let (tenant, index) = place.ok_or_else(|| Refused(bad("leaf")))?;
        let found = gateway.store.audit_page(&tenant, index, 1).await?;
        let is_own = found.first().filter(|leaf| leaf.index == index).is_some_and(|leaf| {
            serde_json::from_slice::<AuditEvent>(&leaf.bytes).is_ok_and(|event| {
                event.exchange.as_ref() == Some(id)
                    && event.agent.participant.as_ref() == Some(&call.caller.participant.id)
                    && event.outcome == EventOutcome::Done
            })
        });
        if !is_own {
            return Err(Refused(Refusal::NotFound));
        }
        disclosures.push(provers.receipt(&tenant, index).await?);
    }
    let answer = Disclosures { id: id.clone(), disclosures };
    Ok(answer::json(StatusCode::OK, "application/json; charset=utf-8", &answer))
}

/// Leaves that one question may name: more than one answer has.
const MOST_LEAVES: usize = 100;

/// Rows that one answer holds at most.
const MOST_ROWS: u64 = 1_000;

/// The refused rows in the sender's own layout and charset, with one more column that says why.
pub(super) async fn rejections(
    State(gateway): State<Arc<Gateway>>,
    Extension(call): Extension<Arc<Call>>,
    Path(id): Path<String>,
) -> Result<Response<Body>, Refused> {
    let id = ExchangeId::parse(&id).map_err(|_| Refused(Refusal::NotFound))?;
    let sender = &call.caller.participant.id;
    let head = RowPage { after: 0, limit: 1 };
    let view = gateway.store.exchange(sender, &id, head).await?.ok_or(Refused(Refusal::NotFound))?;
    // What was sent goes back to who sent it; it is personal data all the same, and the leaf comes first.
    let mut event = call.event(Action::RejectionsReturned, EventOutcome::Done);
    event.exchange = Some(id.clone());
    let own = call.caller.participant.tenant.clone().unwrap_or_else(TenantId::hub);
    gateway.store.note(&own, Note { events: vec![event], rests_on: Vec::new(), directive: None }).await?;
    let tables = gateway.tables.load_full();
    let file = rejection_file(gateway.store.as_ref(), &tables, &view.exchange, call.lang).await?;
    let mut response = answer::bytes_of(StatusCode::OK, &file.content_type, file.bytes);
    let name = format!("attachment; filename=\"{id}-rejections.{}\"", file.extension);
    if let Ok(value) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}
