//! What mailbox and push have in common: decide (the decision that counts), disclose, localize.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::disclosure::Disclosure;
use tsunagi_core::document::Document;
use tsunagi_core::exchange::DeliveryState;
use tsunagi_core::policy::{Acting, Decision, Flow, Question, Recipient, decide};
use tsunagi_core::registry::{Channel, Role};
use tsunagi_mappings::{Layout, Tables};
use tsunagi_store::{Claimed, SettledState, Settlement};

use crate::gateway::Gateway;
use crate::pipeline::lookup::word;

/// A delivery that may go, as the receiver reads it.
pub struct Ready {
    /// Under which permit, with what.
    pub disclosure: Disclosure,
    /// In the receiver's layout.
    pub document: Document,
    /// The event of its leaving; its reason names the columns in which characters were shrunk.
    pub event: AuditEvent,
    /// Characters were written otherwise (縮退), as the layout's table says.
    pub is_shrunk: bool,
}

/// Why a delivery cannot go as it is; it is held for a person.
pub struct Hold {
    /// A code, without anything from the record.
    pub reason: String,
}

/// Decides one claimed delivery and turns it into the receiver's document.
pub fn prepare(
    gateway: &Gateway,
    tables: &Tables,
    channel: &Channel,
    layout: &Layout,
    claimed: &Claimed,
    row: u64,
    at: Timestamp,
) -> Result<Ready, Hold> {
    let hold = |reason: &str| Hold { reason: reason.to_owned() };
    let registry = gateway.registry.load();
    let receiver = registry.participant(&channel.participant).filter(|p| !p.suspended);
    let owns = receiver.is_some_and(|p| p.role == Role::Municipality && p.tenant.as_ref() == Some(&channel.tenant));
    if !owns {
        return Err(hold("receiver_not_in_charge"));
    }
    let kind = tables.kind(claimed.record.record.kind()).ok_or_else(|| hold("kind_unknown"))?;
    let today = crate::clock::date_in_japan(at);
    let question = Question {
        flow: Flow::DeliveryToMunicipality,
        tenant: &channel.tenant,
        recipient: &Recipient { participant: channel.participant.clone(), role: Role::Municipality },
        acting: &Acting::Organization,
        subject: &claimed.record.subject,
        non_disclosure: claimed.non_disclosure,
        kind,
        purpose: channel.purpose,
        stated_basis: None,
        named_items: &BTreeSet::new(),
        directives: &claimed.directives,
        at,
        today,
    };
    let permit = match decide(&question, tables.policy()) {
        Decision::Permit(permit) => permit,
        Decision::Deny(denial) => return Err(Hold { reason: word(&denial.reason) }),
    };
    let mut event = event(at, Action::DeliveryDisclosed, EventOutcome::Done, claimed, channel);
    event.flow = Some(permit.flow());
    event.purpose = permit.purpose();
    event.bases = permit.bases().clone();
    event.policy_version = Some(permit.policy_version().to_owned());
    let disclosure =
        Disclosure::new(permit, kind, vec![claimed.record.clone()]).map_err(|_| hold("permit_does_not_fit"))?;
    event.classes = disclosure.classes_seen(kind);
    let record = disclosure.records().first().ok_or_else(|| hold("nothing_left_to_disclose"))?;
    let localized = tables.localize_noting(layout, &record.record, row, today).map_err(|faults| {
        gateway.coverage.add_unwritable(today, &channel.id, (tables, layout), &record.record);
        hold(faults.first().map_or("unmapped", |fault| fault.code.as_str()))
    })?;
    let tsunagi_mappings::Localized { document, shrunk } = localized;
    if !shrunk.is_empty() {
        event.reason = Some(format!("shrunk:{}", shrunk.join(",")));
    }
    Ok(Ready { disclosure, document, event, is_shrunk: !shrunk.is_empty() })
}

/// The settlement of a delivery that is held.
pub fn held(claimed: &Claimed, channel: &Channel, reason: &str, at: Timestamp) -> Settlement {
    let mut event = event(at, Action::DeliverySettled, EventOutcome::Failed, claimed, channel);
    event.reason = Some(format!("held:{reason}"));
    Settlement {
        delivery: claimed.delivery.id.clone(),
        state: SettledState::Ended(DeliveryState::Held),
        outcome: reason.to_owned(),
        event,
    }
}

/// An event of a delivery. The gateway itself is the agent; the receiver is named by the channel.
pub fn event(at: Timestamp, action: Action, outcome: EventOutcome, claimed: &Claimed, channel: &Channel) -> AuditEvent {
    let agent = Agent { participant: Some(channel.participant.clone()), ..Agent::default() };
    let mut event = AuditEvent::new(at, action, outcome, agent);
    event.exchange = Some(claimed.delivery.exchange.clone());
    event.row = Some(claimed.delivery.row);
    event.subject = Some(claimed.record.subject.clone());
    event.kind = Some(claimed.record.record.kind().clone());
    event.records = vec![(claimed.record.id.clone(), claimed.record.version)];
    event.channel = Some(channel.id.clone());
    event.delivery = Some(claimed.delivery.id.clone());
    event
}
