//! Request (提供依頼): one municipality asks for records in others' tenants, on a stated legal basis. Each asked tenant
//! gets a line in the outcome ledger, and both sides' audit logs carry the event before any byte of the answer leaves.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::civil::Date;
use serde::Serialize;
use tsunagi_adapters::Envelope;
use tsunagi_core::audit::{Action, EventOutcome};
use tsunagi_core::disclosure::HeldRecord;
use tsunagi_core::id::{FieldKey, KindName, TenantId};
use tsunagi_core::kind::Kind;
use tsunagi_core::policy::{Effect, Flow, Policy};
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::{Mode, Role};
use tsunagi_store::{Note, SubjectRef};

use super::lookup::{Inquiry, Part, channels, look_up_in};
use super::{Call, refusal_of};
use crate::gateway::Gateway;

/// How long one asked tenant may take before its line says `timed_out`.
const TENANT_DEADLINE: Duration = Duration::from_secs(10);

/// What a municipality asks.
#[derive(Debug)]
pub struct CrossRequest {
    /// The clause it rests on.
    pub legal_basis: String,
    /// About whom, by an identifier that the asked tenants hold.
    pub subject: SubjectRef,
    /// Which tenants.
    pub tenants: Vec<TenantId>,
    /// Which kinds.
    pub kinds: BTreeSet<KindName>,
    /// Items that travel only if they are named.
    pub named_items: BTreeSet<FieldKey>,
    /// Happened on or after.
    pub from: Option<Date>,
    /// Happened on or before.
    pub until: Option<Date>,
}

/// One line of the outcome ledger (回答一覧).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerLine {
    /// The tenant.
    pub tenant: TenantId,
    /// What came of asking it.
    pub outcome: LedgerOutcome,
    /// Why nothing came; `not_available` is all the outside learns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// How many records came.
    pub records: usize,
}

/// What came of asking one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerOutcome {
    /// Records came.
    Answered,
    /// It was not asked: no channel leads there.
    NotAsked,
    /// It did not answer in time.
    TimedOut,
    /// Nothing came; the cause is in its own log.
    Withheld,
}

/// What the asking municipality gets.
pub struct Answered {
    /// A line for each tenant asked.
    pub ledger: Vec<LedgerLine>,
    /// The records, by tenant and kind.
    pub parts: Vec<Part>,
}

/// Asks.
pub async fn request(gateway: &Gateway, call: &Call, asked: &CrossRequest) -> Result<Answered, Refusal> {
    let own = call.caller.participant.tenant.clone();
    let (Role::Municipality, Some(own)) = (call.caller.participant.role, own) else {
        return Err(Refusal::NotPermitted);
    };
    if !is_permitted_at_all(gateway.tables.load().policy(), call, asked) {
        return Err(Refusal::NotPermitted);
    }
    note_own(gateway, call, asked, &own).await?;

    let wanted = |kind: &Kind, held: &HeldRecord| in_period(kind, held, asked.from, asked.until);
    let mut answered = Answered { ledger: Vec::new(), parts: Vec::new() };
    for tenant in &asked.tenants {
        let inquiry = Inquiry {
            flow: Flow::MunicipalityRequests,
            channels: channels(gateway, call, Mode::Request, |channel| {
                channel.tenant == *tenant && *tenant != own && asked.kinds.contains(&channel.kind)
            }),
            named_items: asked.named_items.clone(),
            wanted: &wanted,
            stated_basis: Some(asked.legal_basis.clone()),
            attested: None,
            end_user: None,
            action: Action::RequestAnswered,
            interaction: None,
        };
        let line = |outcome, reason, records| LedgerLine { tenant: tenant.clone(), outcome, reason, records };
        if inquiry.channels.is_empty() {
            answered.ledger.push(line(LedgerOutcome::NotAsked, None, 0));
            continue;
        }
        let asking = look_up_in(gateway, call, &inquiry, (tenant, &asked.subject), Some(&Envelope::Batch));
        match tokio::time::timeout(TENANT_DEADLINE, asking).await {
            Err(_) => answered.ledger.push(line(LedgerOutcome::TimedOut, None, 0)),
            Ok(parts) => {
                let parts = parts?;
                let records = parts.iter().map(|part| part.count()).sum();
                answered.ledger.push(if records == 0 {
                    line(LedgerOutcome::Withheld, Some("not_available"), 0)
                } else {
                    line(LedgerOutcome::Answered, None, records)
                });
                answered.parts.extend(parts);
            }
        }
    }
    Ok(answered)
}

/// The asking side's own leaves, one for each tenant asked, before anything is asked.
async fn note_own(gateway: &Gateway, call: &Call, asked: &CrossRequest, own: &TenantId) -> Result<(), Refusal> {
    let each = asked.tenants.iter().flat_map(|tenant| asked.kinds.iter().map(move |kind| (tenant, kind)));
    let events = each
        .map(|(tenant, kind)| {
            let mut event = call.event(Action::RequestMade, EventOutcome::Done);
            event.kind = Some(kind.clone());
            event.flow = Some(Flow::MunicipalityRequests);
            event.purpose = call.purpose;
            event.reason = Some(format!("stated:{}", asked.legal_basis));
            event.counterpart = Some(tenant.clone());
            event
        })
        .collect();
    let note = Note { events, rests_on: Vec::new(), directive: None };
    gateway.store.note(own, note).await.map_err(refusal_of)?;
    Ok(())
}

/// A request that no rule could ever permit is refused as such, before any tenant is asked.
fn is_permitted_at_all(policy: &Policy, call: &Call, asked: &CrossRequest) -> bool {
    policy.rule.iter().any(|rule| {
        rule.flow == Flow::MunicipalityRequests
            && rule.effect == Effect::Statute
            && rule.clause == asked.legal_basis
            && call.purpose.is_some_and(|p| rule.purposes.is_empty() || rule.purposes.contains(&p))
            && (rule.kinds.is_empty() || rule.kinds.iter().any(|kind| asked.kinds.contains(kind)))
            && rule.from.is_none_or(|first| first <= call.today)
            && rule.until.is_none_or(|last| call.today <= last)
    })
}

/// True if a record may have happened within a period; partial dates count by their bounds.
pub fn in_period(kind: &Kind, held: &HeldRecord, from: Option<Date>, until: Option<Date>) -> bool {
    if from.is_none() && until.is_none() {
        return true;
    }
    let Some(date) = held.record.first(&kind.occurrence).and_then(tsunagi_core::value::Value::date) else {
        return false;
    };
    let after = from.is_none_or(|from| date.latest().is_some_and(|latest| from <= latest));
    let before = until.is_none_or(|until| date.earliest().is_some_and(|earliest| earliest <= until));
    after && before
}
