//! The path of a record: down once (`submit`), up once (`lookup`, `request`).

pub mod acting;
pub mod coverage;
mod history;
mod intake;
pub mod lookup;
pub mod place;
pub mod rejections;
pub mod request;
pub mod scrub;
pub mod sender;
pub mod submit;

use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use jiff::{Timestamp, civil::Date};
use tsunagi_core::audit::{Action, Agent, AuditEvent, EventOutcome};
use tsunagi_core::fault::Lang;
use tsunagi_core::id::{DirectiveId, Entropy, ExchangeId, SubjectKey, TenantId};
use tsunagi_core::policy::{Directive, Purpose, Recipient};
use tsunagi_core::refusal::Refusal;
use tsunagi_core::registry::Participant;
use tsunagi_core::sensitive::Sensitive;
use tsunagi_store::{Note, StoreError, SubjectRef};

use crate::clock::Clock;
use crate::gateway::Gateway;

/// A peer tied to its participant by its certificate.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The participant.
    pub participant: Arc<Participant>,
    /// SHA-256 of its certificate, in hexadecimal.
    pub certificate: String,
}

impl Caller {
    /// The caller as an audit event names it.
    pub fn agent(&self) -> Agent {
        Agent {
            participant: Some(self.participant.id.clone()),
            certificate: Some(self.certificate.clone()),
            end_user: None,
            proxy: false,
        }
    }

    /// The caller as the decision sees it.
    pub fn recipient(&self) -> Recipient {
        Recipient { participant: self.participant.id.clone(), role: self.participant.role }
    }
}

/// One request, as the pipeline sees it.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its id.
    pub exchange: ExchangeId,
    /// Who calls.
    pub caller: Caller,
    /// When.
    pub at: Timestamp,
    /// The same moment as a date in Japan.
    pub today: Date,
    /// `Tsunagi-Purpose`
    pub purpose: Option<Purpose>,
    /// `Idempotency-Key`
    pub idempotency_key: Option<String>,
    /// `Accept-Language`
    pub lang: Lang,
}

impl Call {
    /// The id of a directive that this call brings into a tenant. Under an idempotency key it is the same each time, so
    /// that a repeat is the same directive: one that its giver does not know of could not be withdrawn.
    pub fn directive_id(&self, clock: &Clock, tenant: &TenantId, subject: &SubjectKey) -> DirectiveId {
        let Some(key) = &self.idempotency_key else { return DirectiveId::new(self.at, clock.entropy()) };
        let text = format!("{}\n{key}\n{tenant}\n{subject}", self.caller.participant.id);
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        let mut entropy = Entropy::default();
        entropy.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        DirectiveId::new(Timestamp::UNIX_EPOCH, entropy)
    }

    /// An event of this call.
    pub fn event(&self, action: Action, outcome: EventOutcome) -> AuditEvent {
        let mut event = AuditEvent::new(self.at, action, outcome, self.caller.agent());
        event.exchange = Some(self.exchange.clone());
        event
    }
}

/// A citizen's or proxy's sign-in.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// The token's issuer.
    pub issuer: String,
    /// The token's subject.
    pub sub: String,
}

impl SignIn {
    /// How the store finds the subject.
    pub fn subject_ref(&self, subject: Option<&SubjectKey>) -> SubjectRef {
        SubjectRef::SignIn { issuer: self.issuer.clone(), sub: self.sub.clone(), subject: subject.cloned() }
    }
}

/// What the audit log calls a person who has signed in. `sub` may be a name or a mail address, which could be guessed from a
/// digest of it; so it takes the hub's master key, which all nodes have.
pub struct Pseudonyms(hmac::Key);

impl Pseudonyms {
    /// With a key of their own, made from the master key.
    pub fn new(master: &Sensitive<[u8; 32]>) -> Self {
        let master = hmac::Key::new(hmac::HMAC_SHA256, master.expose());
        let own = hmac::sign(&master, b"tsunagi: pseudonyms of sign-ins");
        Self(hmac::Key::new(hmac::HMAC_SHA256, own.as_ref()))
    }

    /// 32 hexadecimal digits.
    pub fn of(&self, sign_in: &SignIn) -> String {
        let text = format!("{}\n{}", sign_in.issuer, sign_in.sub);
        let tag = hmac::sign(&self.0, text.as_bytes());
        hex::encode(tag.as_ref().get(..16).unwrap_or_default())
    }
}

/// The one answer to a question that reaches no tenant: its leaf goes to the hub's own log, and `reason` nowhere else.
pub async fn turned_away(gateway: &Gateway, call: &Call, reason: &str) -> Refusal {
    let mut event = call.event(Action::LookupAnswered, EventOutcome::Denied);
    event.reason = Some(reason.to_owned());
    let note = Note { events: vec![event], rests_on: Vec::new(), directive: None };
    match gateway.store.note(&TenantId::hub(), note).await {
        Ok(_) => Refusal::NotAvailable,
        Err(error) => refusal_of(error),
    }
}

/// What a caller is told when the store fails.
pub fn refusal_of(error: StoreError) -> Refusal {
    match error {
        StoreError::Corrupt(what) => {
            tracing::error!(%what, "stored data cannot be read");
            Refusal::Internal
        }
        StoreError::NotFound => Refusal::NotFound,
        StoreError::Stale => Refusal::Unavailable,
        StoreError::Unavailable(why) => {
            tracing::error!(%why, "the store is not available");
            Refusal::Unavailable
        }
    }
}

/// A directive that is there already under the id that a new one would get: the same statement is a repeat, another one
/// under the same idempotency key is refused.
pub fn repeated_directive(held: &[Directive], new: &Directive) -> Result<Option<Directive>, Refusal> {
    let Some(known) = held.iter().find(|directive| directive.id == new.id) else { return Ok(None) };
    let says = |d: &Directive| (d.effect, d.recipient.clone(), d.kinds.clone(), d.classes.clone(), d.purposes.clone());
    if says(known) == says(new) { Ok(Some(known.clone())) } else { Err(Refusal::KeyReused) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_not_the_key_cannot_make_a_pseudonym() {
        let sign_in = |sub: &str| SignIn { issuer: "https://id.example.jp".to_owned(), sub: sub.to_owned() };
        let with = |byte: u8| Pseudonyms::new(&Sensitive::new([byte; 32]));
        let name = with(1).of(&sign_in("mother@example.jp"));
        assert_eq!((name.len(), &name), (32, &with(1).of(&sign_in("mother@example.jp"))), "the same on every node");
        assert_ne!(name, with(1).of(&sign_in("father@example.jp")));
        assert_ne!(name, with(2).of(&sign_in("mother@example.jp")));
    }
}
