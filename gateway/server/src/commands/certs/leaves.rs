//! What the hub's log is told of certificates: the fingerprint where an event has its certificate, the serial number and
//! the end in the reason. So a leaf says which certificate it was without the ledger.

use jiff::Timestamp;
use tsunagi_certs::{Authority, LedgerEntry, Reason, Usage};
use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::id::{ParticipantId, TenantId};
use tsunagi_store::{Note, Storage};

use super::super::CommandFault;
use super::super::init::failed;

/// A certificate was issued, in place of another one or not.
pub(crate) fn issued(entry: &LedgerEntry, now: Timestamp) -> AuditEvent {
    let (action, more) = match &entry.renews {
        Some(old) => (Action::CertificateRenewed, format!(" renews:{old}")),
        None => (Action::CertificateIssued, String::new()),
    };
    about(entry, action, &more, now)
}

/// A certificate that the ledger had lost was entered again.
pub(super) fn restored(entry: &LedgerEntry, now: Timestamp) -> AuditEvent {
    about(entry, Action::CertificateIssued, " ledger:restored", now)
}

/// A certificate was revoked. The leaf names the CA as well, for another one has a ledger of its own.
pub(crate) fn revoked(
    authority: &Authority,
    entry: &LedgerEntry,
    reason: Reason,
    now: Timestamp,
) -> Result<AuditEvent, CommandFault> {
    let own = authority.own_certificates().map_err(failed)?;
    let issuer = own.iter().find(|own| own.usage == Some(entry.usage)).map(|own| own.serial.as_str());
    let mut event = about(entry, Action::CertificateRevoked, &format!(" reason:{reason}"), now);
    event.reason = event.reason.map(|told| format!("{told} issuer:{}", issuer.unwrap_or_default()));
    Ok(event)
}

/// A CA was made: its root and its two issuing certificates.
pub(in super::super) fn made(authority: &Authority, now: Timestamp) -> Result<Vec<AuditEvent>, CommandFault> {
    let own = authority.own_certificates().map_err(failed)?.into_iter().map(|own| {
        let role = match own.usage {
            None => "root",
            Some(Usage::Participant) => "participants",
            Some(Usage::Server) => "servers",
        };
        let agent = Agent { certificate: Some(own.fingerprint_sha256), ..Agent::default() };
        let mut event = AuditEvent::new(now, Action::CertificateIssued, EventOutcome::Done, agent);
        event.reason = Some(format!("serial:{} ca:{role} until:{}", own.serial, until(own.not_after)));
        event
    });
    Ok(own.collect())
}

/// The revocation lists were signed anew.
pub(super) fn lists(days: u32, now: Timestamp) -> AuditEvent {
    let mut event = AuditEvent::new(now, Action::CrlPublished, EventOutcome::Done, Agent::default());
    event.reason = Some(format!("days:{days}"));
    event
}

/// Keeps events in the hub's log, all or none.
pub(crate) async fn write(store: &dyn Storage, events: Vec<AuditEvent>) -> Result<(), CommandFault> {
    store.note(&TenantId::hub(), Note { events, rests_on: Vec::new(), directive: None }).await?;
    Ok(())
}

fn about(entry: &LedgerEntry, action: Action, more: &str, now: Timestamp) -> AuditEvent {
    let participant = match entry.usage {
        Usage::Participant => entry.names.first().and_then(|id| ParticipantId::parse(id).ok()),
        Usage::Server => None,
    };
    let agent = Agent { participant, certificate: Some(entry.fingerprint_sha256.clone()), ..Agent::default() };
    let mut event = AuditEvent::new(now, action, EventOutcome::Done, agent);
    event.reason = Some(format!("serial:{}{more} until:{}", entry.serial, until(entry.not_after)));
    event
}

fn until(unix: i64) -> String {
    Timestamp::from_second(unix).map(|at| at.to_string()).unwrap_or_default()
}
