//! Consent directives (同意情報): what a subject or a proxy has permitted or denied.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{ClassName, DirectiveId, KindName, ParticipantId, SubjectKey};
use crate::policy::Purpose;
use crate::registry::Role;

use super::decide::Recipient;

/// Permit or deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectiveEffect {
    /// What it covers must not be disclosed.
    Deny,
    /// What it covers may be disclosed where policy asks for consent.
    Permit,
}

/// Who may receive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipientScope {
    /// Anyone.
    Any,
    /// One participant.
    Participant(ParticipantId),
    /// Every participant of a role.
    Role(Role),
}

/// One stored statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directive {
    /// Its id.
    pub id: DirectiveId,
    /// Whose data it is about.
    pub subject: SubjectKey,
    /// What it says.
    pub effect: DirectiveEffect,
    /// About whom.
    pub recipient: RecipientScope,
    /// About which kinds; empty means every kind.
    pub kinds: BTreeSet<KindName>,
    /// The classes it is about. Empty means every class; but a class that policy wants named is permitted only by a
    /// directive that names it.
    pub classes: BTreeSet<ClassName>,
    /// For which purposes; empty means any.
    pub purposes: BTreeSet<Purpose>,
    /// Who handed it in: the app, or the hospital that attests what was said at its desk.
    pub stated_by: ParticipantId,
    /// True if a proxy gave it for the subject.
    pub by_proxy: bool,
    /// Given at.
    pub given_at: Timestamp,
    /// Not valid from this moment on.
    pub expires_at: Option<Timestamp>,
    /// Withdrawn at.
    pub withdrawn_at: Option<Timestamp>,
}

impl Directive {
    /// How far two clocks may be apart, in seconds.
    pub const CLOCK_SKEW_SECS: i64 = 300;

    /// True between giving and expiry, unless it was withdrawn. A withdrawal is an act and no date: it holds for whoever
    /// knows of it, whatever a clock says that was set back, is slow, or was read before. So does a denial that begins now.
    pub fn is_in_force(&self, at: Timestamp) -> bool {
        let has_begun = match self.effect {
            DirectiveEffect::Deny => self.given_at.as_second() <= at.as_second() + Self::CLOCK_SKEW_SECS,
            DirectiveEffect::Permit => self.given_at <= at,
        };
        has_begun && self.expires_at.is_none_or(|end| at < end) && self.withdrawn_at.is_none()
    }

    /// What was known of it at a moment: nothing before it was given, and no withdrawal that came later. For questions
    /// about the past alone.
    pub fn as_it_stood(mut self, at: Timestamp) -> Option<Self> {
        self.withdrawn_at = self.withdrawn_at.filter(|end| *end <= at);
        (self.given_at <= at).then_some(self)
    }

    /// True if it speaks of this recipient, kind and purpose. A purpose that is not stated may be any: a denial
    /// that names purposes holds then, and a permission does not.
    pub(super) fn is_about(&self, recipient: &Recipient, kind: &KindName, purpose: Option<Purpose>) -> bool {
        let recipient_fits = match &self.recipient {
            RecipientScope::Any => true,
            RecipientScope::Participant(id) => *id == recipient.participant,
            RecipientScope::Role(role) => *role == recipient.role,
        };
        let kind_fits = self.kinds.is_empty() || self.kinds.contains(kind);
        let purpose_fits = self.purposes.is_empty()
            || purpose.map_or(self.effect == DirectiveEffect::Deny, |purpose| self.purposes.contains(&purpose));
        recipient_fits && kind_fits && purpose_fits
    }

    /// True if it speaks of nothing that the other does not speak of, and of less: of fewer recipients, kinds, classes or
    /// purposes. Asked of two that speak of the same recipient, so that a participant is within its role.
    pub(super) fn is_narrower_than(&self, other: &Self) -> bool {
        let width = |scope: &RecipientScope| match scope {
            RecipientScope::Participant(_) => 0,
            RecipientScope::Role(_) => 1,
            RecipientScope::Any => 2,
        };
        let recipients = width(&self.recipient).cmp(&width(&other.recipient));
        let all = [
            Some(recipients).filter(|order| order.is_le()),
            compared(&self.kinds, &other.kinds),
            compared(&self.classes, &other.classes),
            compared(&self.purposes, &other.purposes),
        ];
        all.iter().all(Option::is_some) && all.contains(&Some(Ordering::Less))
    }
}

/// How one list stands to another in which it is contained; `None` where it is not. An empty list is all there is.
fn compared<T: Ord>(one: &BTreeSet<T>, other: &BTreeSet<T>) -> Option<Ordering> {
    match (one.is_empty(), other.is_empty()) {
        _ if one == other => Some(Ordering::Equal),
        (true, _) => None,
        (false, true) => Some(Ordering::Less),
        (false, false) => one.is_subset(other).then_some(Ordering::Less),
    }
}
