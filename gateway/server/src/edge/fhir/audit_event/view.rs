//! How much of a leaf its reader may know. Everything after this sees the reduced event alone, searching too, so that
//! nothing can be found out by a search that is not shown.

use std::collections::BTreeSet;

use tsunagi_core::audit::{Action, AuditEvent, EventOutcome};
use tsunagi_core::id::{ParticipantId, SubjectKey};

/// Who reads.
#[derive(Debug, Clone)]
pub(super) enum View {
    /// A citizen, of what they themselves did through this app for these people. Nothing of refusals: how many leaves
    /// one left would tell how many people a sign-in is linked to.
    Citizen { app: ParticipantId, pseudonym: String, people: BTreeSet<SubjectKey> },
    /// The municipality that controls the tenant: all of it.
    Controller,
    /// A participant, of what it did itself. A refusal tells that there was one: not of whom, of what kind, by which
    /// policy, for these would differ between causes. The subject is not named: hospitals know no subject keys.
    Party(ParticipantId),
}

impl View {
    /// The event as this reader may know it; `None` where it may not know that there is one.
    pub(super) fn of(&self, event: &AuditEvent) -> Option<AuditEvent> {
        match self {
            Self::Citizen { app, pseudonym, people } => {
                let is_own = event.agent.participant.as_ref() == Some(app)
                    && event.agent.end_user.as_ref() == Some(pseudonym)
                    && event.subject.as_ref().is_some_and(|subject| people.contains(subject));
                (is_own && event.outcome == EventOutcome::Done).then(|| reduced(event))
            }
            Self::Controller => Some(event.clone()),
            Self::Party(id) => (event.agent.participant.as_ref() == Some(id)).then(|| anonymous(event)),
        }
    }

    /// True if subjects are named by their keys.
    pub(super) fn names_subjects(&self) -> bool {
        !matches!(self, Self::Party(_))
    }

    /// True if what a decision rested on is told.
    pub(super) fn tells_why(&self) -> bool {
        matches!(self, Self::Controller)
    }
}

/// What was done, and with what: without the decision behind it, and without what only the municipality is told.
fn reduced(event: &AuditEvent) -> AuditEvent {
    let mut told = AuditEvent::new(event.at, event.action, event.outcome, event.agent.clone());
    told.interaction = event.interaction;
    told.exchange.clone_from(&event.exchange);
    told.row = event.row;
    told.subject.clone_from(&event.subject);
    told.kind.clone_from(&event.kind);
    told.records.clone_from(&event.records);
    told.purpose = event.purpose;
    told.bases.clone_from(&event.bases);
    told.directive.clone_from(&event.directive);
    // A reading of a log says what was searched for, in the hub's own words.
    told.reason = event.reason.clone().filter(|_| event.action == Action::LogRead);
    told
}

/// The same of a participant's own doing: whether a person is known shows only where it was told anyway.
fn anonymous(event: &AuditEvent) -> AuditEvent {
    if event.outcome != EventOutcome::Done {
        let mut told = AuditEvent::new(event.at, event.action, event.outcome, event.agent.clone());
        told.agent.end_user = None;
        told.agent.proxy = false;
        told.exchange.clone_from(&event.exchange);
        return told;
    }
    let mut told = reduced(event);
    told.agent.end_user = None;
    told.agent.proxy = false;
    let was_told = match event.action {
        // The sender was told that it is a record of somebody, or had said so.
        Action::DirectiveRecorded | Action::RecordAccepted | Action::RecordDeleted => true,
        _ => !event.records.is_empty(),
    };
    if !was_told {
        told.subject = None;
    }
    told
}
