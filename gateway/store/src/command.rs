//! What goes into the store and what comes out.

use std::collections::BTreeSet;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use tsunagi_core::audit::AuditEvent;
use tsunagi_core::disclosure::HeldRecord;
use tsunagi_core::document::Document;
use tsunagi_core::exchange::{DeliveryState, DeliveryView, Exchange, RowCounts, RowResult};
use tsunagi_core::fault::RowFault;
use tsunagi_core::id::{
    BatchId, ChannelId, DeliveryId, ExchangeId, FieldKey, IdentifierSystem, KindName, LayoutId, ParticipantId,
    RecordId, SubjectKey, TenantId,
};
use tsunagi_core::policy::Directive;
use tsunagi_core::record::Record;
use tsunagi_core::sensitive::Sensitive;

/// An identifier of a subject in the clear, on its way to becoming a blind index.
#[derive(Debug, Clone)]
pub struct Identifier {
    /// The system.
    pub system: IdentifierSystem,
    /// The value.
    pub value: Sensitive<String>,
}

/// What an exchange says of itself.
#[derive(Debug, Clone)]
pub struct ExchangeHead {
    /// Its id; a repeat of an earlier exchange answers with the earlier id.
    pub id: ExchangeId,
    /// Who sends.
    pub sender: ParticipantId,
    /// When it came.
    pub received_at: Timestamp,
    /// The sender's idempotency key.
    pub idempotency_key: Option<String>,
    /// SHA-256 of the body.
    pub digest: [u8; 32],
    /// The layout, where one holds for all rows.
    pub layout: Option<LayoutId>,
    /// The body's charset as declared.
    pub charset: Option<String>,
}

/// Rows of one exchange for one tenant. A large exchange is several of these; the last has `complete`.
#[derive(Debug, Clone)]
pub struct Accept {
    /// The exchange.
    pub head: ExchangeHead,
    /// Its rows for this tenant; rows without a tenant are accepted toward [`TenantId::hub`].
    pub rows: Vec<AcceptRow>,
    /// True with the last rows of the exchange.
    pub complete: bool,
}

pub use crate::tables::Draft;

/// One row.
#[derive(Debug, Clone)]
pub struct AcceptRow {
    /// Its number, from 1.
    pub row: u64,
    /// Warnings of a record, or the reasons of a refusal.
    pub faults: Vec<RowFault>,
    /// What there is to keep.
    pub intake: Intake,
    /// The event, complete but for what the store finds out: action, subject, record, and the reason of a wait.
    pub event: AuditEvent,
    /// What [`crate::Store::prepare`] has made of the row as it is now: whoever changes the row takes it away.
    pub draft: Option<Box<Draft>>,
}

/// What a row brings.
#[derive(Debug, Clone)]
pub enum Intake {
    /// A record.
    Record(Box<NewRecord>),
    /// Nothing; its source is kept, encrypted, so that `rejections` can give it back.
    Refused {
        /// The kind, where it could be told.
        kind: Option<KindName>,
        /// The row as the sender wrote it, without 個人番号.
        source: Document,
    },
}

/// A record to be kept.
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// The id it gets unless its business key is known already.
    pub id: RecordId,
    /// Its content; holds no 個人番号.
    pub record: Record,
    /// Whose it is: every identifier it carries.
    pub identifiers: Vec<Identifier>,
    /// The systems of which a subject has one value at a time: another value is another person, or a mistake.
    pub single_valued: BTreeSet<IdentifierSystem>,
    /// The subject to make where no identifier is known; `None` where this sender may not make one. Who may make
    /// subjects may also give a known one more identifiers; the identifiers of all others only find.
    pub new_subject: Option<SubjectKey>,
    /// What this record says of the subject's non-disclosure flag; `None` where it has no say.
    pub non_disclosure: Option<bool>,
    /// "The same record again".
    pub business_key: Vec<String>,
    /// The new version is a tombstone.
    pub deleted: bool,
    /// Where it goes.
    pub deliveries: Vec<NewDelivery>,
}

/// A delivery to be written with its record.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// On which channel.
    pub channel: ChannelId,
}

/// What became of an [`Accept`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// Durable. `exchange` is the earlier id if this repeats an earlier exchange; rows that were there already come
    /// back as they were decided then, under whatever tenant that was.
    Durable {
        /// The exchange to quote.
        exchange: ExchangeId,
        /// A result for each row of the call, in order. Of an exchange that was complete before: those of the rows of
        /// the call that it has, by their numbers.
        rows: Vec<RowResult>,
        /// True if this repeats an earlier exchange.
        repeated: bool,
    },
    /// The idempotency key stands for another body; nothing was kept.
    KeyReused,
}

/// How a subject is named in a lookup.
#[derive(Debug, Clone)]
pub enum SubjectRef {
    /// By an exact identifier.
    Identifier(Identifier),
    /// By one of the subject's records.
    Record(RecordId),
    /// By its own key, as the tenant's log has it.
    Subject(SubjectKey),
    /// By a sign-in that was linked to the subject; a keyed pseudonym is stored of both.
    SignIn {
        /// The token's issuer.
        issuer: String,
        /// The token's subject.
        sub: String,
        /// Which of the subjects it is linked to; may be left out where there is only one.
        subject: Option<SubjectKey>,
    },
}

/// What is held of one subject, all read at one moment.
#[derive(Debug, Clone)]
pub struct Held {
    /// The subject.
    pub subject: SubjectKey,
    /// Grows with every change of flag, directives, links or records of the subject.
    pub version: u64,
    /// The non-disclosure flag: true while the newest version of any record says so.
    pub non_disclosure: bool,
    /// The directives: all that may still be in force, and the newest 50 of those that have ended.
    pub directives: Vec<Directive>,
    /// The newest version of each record of the kinds asked for; tombstones are left out.
    pub records: Vec<HeldRecord>,
    /// The link by which the subject was found, for [`SubjectRef::SignIn`].
    pub link: Option<Link>,
}

/// What a sign-in is to a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relationship {
    /// A proxy of the subject (保護者).
    Proxy,
    /// The subject in person.
    Subject,
}

/// A sign-in linked to a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What it is to the subject.
    pub relationship: Relationship,
    /// First day.
    pub from: Date,
    /// Last day.
    pub until: Option<Date>,
}

/// Events to be durable before something is disclosed or refused.
#[derive(Debug, Clone)]
pub struct Note {
    /// The events, one leaf each.
    pub events: Vec<AuditEvent>,
    /// The versions of the subjects that the decisions rest on: if one has moved, nothing is written and the call is
    /// stale.
    pub rests_on: Vec<(SubjectKey, u64)>,
    /// A directive that came with the request (consent given at the desk), kept in the same transaction.
    pub directive: Option<Directive>,
}

/// Which rows of an exchange: a file may have a million, and no answer holds them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowPage {
    /// Those with a greater number.
    pub after: u64,
    /// At most so many, at least one.
    pub limit: usize,
}

impl RowPage {
    /// The first page.
    pub const FIRST: Self = Self { after: 0, limit: 1_000 };

    /// The page after the one that ended with this row.
    pub fn following(self, last: u64) -> Self {
        Self { after: last, ..self }
    }
}

/// A receipt with all that is known of it, a page of rows at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeView {
    /// The exchange.
    #[serde(flatten)]
    pub exchange: Exchange,
    /// How many of all its rows came to what; with the first page only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub counts: Option<RowCounts>,
    /// The rows of the page, in order.
    pub rows: Vec<RowResult>,
    /// The deliveries of these rows.
    pub deliveries: Vec<DeliveryView>,
    /// The row after which the next page begins; `None` on the last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next: Option<u64>,
}

/// A refused row, to be given back.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// Its number in the payload.
    pub row: u64,
    /// The row as the sender wrote it.
    pub source: Document,
    /// Why it was refused.
    pub faults: Vec<RowFault>,
}

/// A request to try deliveries.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Of these channels.
    pub channels: Vec<ChannelId>,
    /// At most so many.
    pub limit: usize,
    /// Due at.
    pub now: Timestamp,
    /// The lease ends at.
    pub lease_until: Timestamp,
    /// The lease's mark.
    pub batch: BatchId,
}

/// A delivery under lease, with all that its decision rests on.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The delivery.
    pub delivery: DeliveryView,
    /// The version that is to be delivered.
    pub record: HeldRecord,
    /// The subject's version.
    pub subject_version: u64,
    /// The non-disclosure flag, as in [`Held`].
    pub non_disclosure: bool,
    /// The directives, as in [`Held`].
    pub directives: Vec<Directive>,
}

/// How one attempt is recorded.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Which delivery.
    pub delivery: DeliveryId,
    /// Where it stands now.
    pub state: SettledState,
    /// The outcome in a word, for people.
    pub outcome: String,
    /// The event.
    pub event: AuditEvent,
}

/// Where a delivery stands after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettledState {
    /// At its end or out of the schedule.
    Ended(DeliveryState),
    /// Given back untried: due at once, and the claim does not count as an attempt.
    Released,
    /// To be tried again.
    RetryAt(Timestamp),
}

/// Which deliveries to list.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// In this state.
    pub state: Option<DeliveryState>,
    /// At most so many.
    pub limit: usize,
}

/// A leaf of an audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Its index, from 0.
    pub index: u64,
    /// The event's bytes as they were written.
    pub bytes: Vec<u8>,
    /// RFC 6962 leaf hash of the bytes.
    pub hash: [u8; 32],
}

/// Whom leaves tell of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeavesOf {
    /// Everybody: the whole log.
    Everybody,
    /// What this participant did.
    Participant(ParticipantId),
    /// What was done with this subject's data.
    Subject(SubjectKey),
}

/// Leaves that tell of somebody, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafPage {
    /// The leaves.
    pub leaves: Vec<Leaf>,
    /// Below which index the next page begins; `None` if there is nothing left. There may be a next page after one that is
    /// short or empty: only so many leaves are looked through for one.
    pub next: Option<u64>,
}

impl LeafPage {
    /// A page of all leaves; a full one has a next, unless it ends with the first leaf of all.
    pub(crate) fn filled(leaves: Vec<Leaf>, most: usize) -> Self {
        let last = leaves.last().filter(|_| leaves.len() >= most);
        let next = last.map(|last| last.index).filter(|index| *index > 0);
        Self { leaves, next }
    }
}

/// What has to be sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsealed {
    /// Leaves sealed so far.
    pub sealed: u64,
    /// The hashes of the sealed tree's right edge, largest subtree first.
    pub frontier: Vec<[u8; 32]>,
    /// The hashes of the leaves after it, in order, at most as many as were asked for.
    pub leaves: Vec<[u8; 32]>,
    /// How many subtrees of level 1 are kept. Fewer than the sealed leaves complete, where an older version sealed them.
    pub subtrees: u64,
}

/// The root of a complete subtree that is kept for proofs, see [`tsunagi_core::merkle::Subtree::kept`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptSubtree {
    /// The level, from 1.
    pub level: u32,
    /// Its place on the level.
    pub index: u64,
    /// Its root.
    pub root: [u8; 32],
}

/// What was destroyed with a subject's data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Shredded {
    /// The leaf that tells of it.
    pub leaf: u64,
    /// Versions of records.
    pub versions: u64,
    /// What named the subject.
    pub identifiers: u64,
    /// Directives.
    pub directives: u64,
    /// Linked sign-ins.
    pub links: u64,
    /// Rows that waited and carried an identifier of the subject.
    pub waiting_rows: u64,
    /// Refused rows that named the subject and had their source kept.
    pub refused_rows: u64,
    /// Deliveries that were not settled.
    pub deliveries: u64,
    /// True if no earlier page is left beside the database, so that a copy made now holds nothing of what was destroyed.
    pub log_is_empty: bool,
}

/// The head of somebody else's log, as this hub cosigned it last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WitnessedHead {
    /// How many leaves it had.
    pub size: u64,
    /// Its root.
    pub root: [u8; 32],
}

/// A signed head of an audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Leaves under it.
    pub size: u64,
    /// RFC 6962 root hash.
    pub root: [u8; 32],
    /// The right edge, for the next seal.
    pub frontier: Vec<[u8; 32]>,
    /// The signed note.
    pub note: String,
    /// When it was sealed.
    pub sealed_at: Timestamp,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which log.
    pub tenant: TenantId,
    /// Leaves read.
    pub leaves: u64,
    /// Leaves under the newest checkpoint.
    pub sealed: u64,
    /// The first fault, if there is one.
    pub fault: Option<VerifyFault>,
}

/// The first thing that is wrong in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyFault {
    /// This leaf was not written by the gateway: it stands there without a valid seal of its own.
    Added(u64),
    /// This leaf is not what was written.
    Changed(u64),
    /// The checkpoint of this size does not fit the leaves under it, its signature is wrong, or it is gone.
    Checkpoint(u64),
    /// This leaf is gone.
    Removed(u64),
    /// This leaf stood elsewhere.
    Reordered(u64),
}

/// How long the records of a kind are kept.
#[derive(Debug, Clone)]
pub struct Retention {
    /// The kind.
    pub kind: KindName,
    /// The field that says when it happened.
    pub occurrence: FieldKey,
    /// What happened before this day is over,
    pub happened_before: Date,
    /// if it was recorded before this moment, too: what has just come in is not over.
    pub recorded_before: Timestamp,
}

/// A piece of what is over.
#[derive(Debug, Clone)]
pub struct Purge {
    /// The retention of each kind. Records of other kinds stay.
    pub kinds: Vec<Retention>,
    /// Sources of refused rows, and settled deliveries, of exchanges before this moment are over.
    pub exchanges_before: Timestamp,
    /// Where the piece begins.
    pub place: PurgePlace,
    /// So many deliveries, rows or records are looked at.
    pub limit: usize,
    /// Counts, and changes nothing.
    pub is_rehearsal: bool,
    /// The event, complete but for the counts; not written where nothing was over.
    pub event: AuditEvent,
}

/// Where a piece begins: behind the last one that was looked at, if there was one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PurgePlace {
    /// First the settled deliveries,
    Deliveries(Option<DeliveryId>),
    /// then the sources of refused rows,
    Rows(Option<(ExchangeId, u64)>),
    /// then the records.
    Records(Option<RecordId>),
}

/// What was over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Purged {
    /// Records of which nothing is left.
    pub records: u64,
    /// Versions, those of these records among them.
    pub versions: u64,
    /// Refused rows whose source is gone.
    pub refused_rows: u64,
    /// Settled deliveries.
    pub deliveries: u64,
    /// Bytes of encrypted content.
    pub bytes: u64,
    /// When the oldest version that is left was recorded; known with the last piece.
    pub oldest: Option<Timestamp>,
    /// Where the next piece begins; `None` after the last.
    #[serde(skip)]
    pub next: Option<PurgePlace>,
}

impl Purged {
    /// True if anything was over.
    pub fn is_something(&self) -> bool {
        self.versions + self.refused_rows + self.deliveries > 0
    }

    /// The counts, as the event has them.
    pub fn told(&self) -> String {
        let Self { records, versions, refused_rows, deliveries, bytes, .. } = self;
        format!(
            "records:{records} versions:{versions} refused_rows:{refused_rows} deliveries:{deliveries} bytes:{bytes}"
        )
    }

    /// Adds the next piece.
    pub fn add(&mut self, piece: Self) {
        self.records += piece.records;
        self.versions += piece.versions;
        self.refused_rows += piece.refused_rows;
        self.deliveries += piece.deliveries;
        self.bytes += piece.bytes;
        self.oldest = piece.oldest;
        self.next = piece.next;
    }
}
