//! Audit events (監査イベント): who, whose, what, why and with what outcome. Never a value, a name or a number.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{
    ChannelId, ClassName, DeliveryId, DirectiveId, ExchangeId, KindName, ParticipantId, RecordId, SubjectKey, TenantId,
};
use crate::policy::{Basis, Flow, Inputs, Purpose};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum Action {
    /// A certificate was issued by the hub's CA.
    CertificateIssued,
    /// A certificate was issued in place of one that ends.
    CertificateRenewed,
    /// A certificate was revoked.
    CertificateRevoked,
    /// A checkpoint of somebody else's log was cosigned, or refused; see outcome.
    CheckpointWitnessed,
    /// The revocation lists were signed anew.
    CrlPublished,
    /// An attempt to hand a delivery over was made or a mailbox was emptied; the bytes left after this leaf.
    DeliveryDisclosed,
    /// A delivery was put back by the operator.
    DeliveryRedriven,
    /// A delivery ended: delivered, rejected, held or dead.
    DeliverySettled,
    /// The operator asked what a decision about a subject would be.
    DecisionRehearsed,
    /// A consent directive was given.
    DirectiveRecorded,
    /// A consent directive was withdrawn.
    DirectiveWithdrawn,
    /// An exchange was refused as a whole.
    ExchangeRefused,
    /// Somebody read what a log tells of them, or of those they may ask about.
    LogRead,
    /// A lookup was answered or was not; see outcome.
    LookupAnswered,
    /// A peer was refused before its exchange began.
    PeerRefused,
    /// A record came to rest.
    RecordAccepted,
    /// A record was withdrawn by its sender: the new version is a tombstone.
    RecordDeleted,
    /// A row was refused.
    RecordRefused,
    /// A row was kept for review.
    RecordWaiting,
    /// What had been kept for as long as its kind says was removed; `reason` counts it.
    RecordsPurged,
    /// The registry was changed.
    RegistryImported,
    /// Refused rows were given back to their sender.
    RejectionsReturned,
    /// This tenant was asked by another municipality.
    RequestAnswered,
    /// This tenant's municipality asked another tenant.
    RequestMade,
    /// An isolation self-test ended, and what it had planted was taken away; `Failed` where it found a leak.
    SelfTestEnded,
    /// A citizen's or proxy's sign-in was linked to a subject.
    SubjectLinked,
    /// A subject's data key was destroyed.
    SubjectShredded,
}

/// How records were asked for, in the words of FHIR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interaction {
    /// By an operation (`$submit`).
    Operation,
    /// One of them by its id.
    Read,
    /// By a search of one type.
    SearchType,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventOutcome {
    /// It was refused; `reason` says why.
    Denied,
    /// It was done.
    Done,
    /// It failed on our side or the destination's.
    Failed,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Agent {
    /// The participant, where the certificate told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant: Option<ParticipantId>,
    /// SHA-256 of the certificate, in hexadecimal: the one that was shown, or that an event about certificates is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// A keyed pseudonym of the person behind the app; empty where an organisation acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_user: Option<String>,
    /// True if that person acted as a proxy.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxy: bool,
}

/// One leaf's content. Serialised once, when it is written, with a salt before it; the bytes are what is hashed and kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// When.
    pub at: Timestamp,
    /// What.
    pub action: Action,
    /// How it ended.
    pub outcome: EventOutcome,
    /// Who.
    pub agent: Agent,
    /// How it was asked, where FHIR has a word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interaction: Option<Interaction>,
    /// In which exchange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<ExchangeId>,
    /// Which row of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// Whose data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectKey>,
    /// Which kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<KindName>,
    /// Which records, with their versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<(RecordId, u32)>,
    /// Which disclosure classes were seen or taken in.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub classes: BTreeSet<ClassName>,
    /// Which way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Flow>,
    /// What for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// The clauses and directives it rests on.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub bases: BTreeSet<Basis>,
    /// The rule or the directive that a denial rests on; empty where nothing spoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied_by: Option<String>,
    /// What else the decision rested on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Inputs>,
    /// The version of the policy it was decided by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<String>,
    /// A reason code: of a denial, of a refused row, of a settled delivery; of one that leaves, `shrunk:` and the columns in
    /// which characters were written otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The other tenant of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterpart: Option<TenantId>,
    /// On which channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<ChannelId>,
    /// Which delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
    /// Which directive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directive: Option<DirectiveId>,
    /// The municipality code as sent and as resolved, where they differ after a merger.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub municipalities: Vec<String>,
    /// The rules of its schedule that a dose broke (間違い接種), for the municipality whose log this is. They may rest on
    /// doses that the sender may not know of: a view of the event for anybody else leaves them out.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub rules_broken: BTreeSet<String>,
}

impl AuditEvent {
    /// An event with nothing but what every event has.
    pub fn new(at: Timestamp, action: Action, outcome: EventOutcome, agent: Agent) -> Self {
        Self {
            at,
            action,
            outcome,
            agent,
            interaction: None,
            exchange: None,
            row: None,
            subject: None,
            kind: None,
            records: Vec::new(),
            classes: BTreeSet::new(),
            flow: None,
            purpose: None,
            bases: BTreeSet::new(),
            denied_by: None,
            inputs: None,
            policy_version: None,
            reason: None,
            counterpart: None,
            channel: None,
            delivery: None,
            directive: None,
            municipalities: Vec::new(),
            rules_broken: BTreeSet::new(),
        }
    }
}
