//! What stands in the tables, and the rules by which it changes. How it is read and written is each backend's own: it
//! gives these rules one tenant's [`Tables`] inside a transaction.

mod accept;
mod convert;
mod directives;
mod drafts;
mod exchanges;
mod held;
mod leaves;
mod records;
mod retention;
mod shred;
mod subjects;
mod trail;
mod verify;
mod waiting;

use std::collections::BTreeSet;
use std::sync::Arc;

use tsunagi_core::exchange::RowResult;
use tsunagi_core::id::{ChannelId, DeliveryId, ExchangeId, KindName, ParticipantId, RecordId, SubjectKey, TenantId};

pub(crate) use accept::keep_rows;
pub(crate) use convert::{count, from_json, limit, nanos, time, to_json, to_json_text};
pub(crate) use directives::{ENDED, SealedDirective, ends_at, open_directive, open_directives, seal_directive};
pub use drafts::Draft;
pub(crate) use drafts::prepare;
pub(crate) use exchanges::{REFUSED, StateWord, read_state, spell};
pub(crate) use held::{SealedHeld, link_place};
pub(crate) use leaves::{LeafContent, Leaves, Length, append_one, edge, fits};
pub(crate) use records::{Kept, Newest, Origin, SealedRecord};
pub(crate) use retention::{Candidate, has_ended, last_of_full, next_place, purge_event};
pub(crate) use shred::{ended, is_about};
pub(crate) use subjects::{Name, Subject, moved, open_subject};
pub(crate) use trail::{LOOKED_THROUGH, SEGMENT, Segment, Trail};
pub(crate) use verify::{Check, Finding, Found, PAGE, Said, Seal, Stranger};
pub(crate) use waiting::{WaitingRow, drop_rows};

use crate::error::StoreError;
use crate::keys::{Hash, Keyring, TenantKeys};

/// One tenant's tables inside a transaction that nobody else writes to the tenant's log beside.
pub(crate) trait Tables {
    /// Whose.
    fn tenant(&self) -> &TenantId;
    /// What opens keys.
    fn keyring(&self) -> &Keyring;
    /// The tenant's keys.
    fn keys(&self) -> &Arc<TenantKeys>;

    /// The subject that one identifier names.
    fn owner(&self, blind: &Hash) -> Result<Option<SubjectKey>, StoreError>;
    /// True if the subject has another identifier of the same system.
    fn has_another(&self, subject: &SubjectKey, name: &Name) -> Result<bool, StoreError>;
    /// Adds to what names the subject; gives back the identifiers that were not known before.
    fn name(&self, subject: &SubjectKey, names: &[Name]) -> Result<Vec<Hash>, StoreError>;
    /// The subject with this key.
    fn subject(&self, key: &SubjectKey) -> Result<Option<Subject>, StoreError>;
    /// Writes a new subject, of version 1.
    fn write_subject(&self, key: &SubjectKey, wrapped: &[u8], flags: &[u8]) -> Result<(), StoreError>;
    /// The subject has the next version, and these records set its flag; `flags` says so, sealed for that version.
    fn write_move(&self, subject: &Subject, flagged_by: &BTreeSet<RecordId>, flags: &[u8]) -> Result<(), StoreError>;

    /// The newest version of the subject's record with this business key.
    fn newest(&self, subject: &SubjectKey, kind: &KindName, business: &Hash) -> Result<Option<Newest>, StoreError>;
    /// Writes a new record.
    fn write_record(
        &self,
        subject: &SubjectKey,
        record: &RecordId,
        kind: &KindName,
        business: &Hash,
    ) -> Result<(), StoreError>;
    /// A record that is there has a newer version, in its place under the business key.
    fn supersede(&self, record: &RecordId, version: u32) -> Result<(), StoreError>;
    /// Writes a version of a record.
    fn write_version(
        &self,
        kept: &Kept,
        content: (&[u8], &Hash),
        deleted: bool,
        origin: &Origin,
    ) -> Result<(), StoreError>;
    /// Writes a delivery at the end of the subject's line on the channel.
    fn write_delivery(
        &self,
        subject: &SubjectKey,
        delivery: (&DeliveryId, &ChannelId),
        kept: &Kept,
        origin: &Origin,
    ) -> Result<(), StoreError>;

    /// The result of a row of an exchange, if it has one, in whatever tenant.
    fn row_result(
        &self,
        sender: &ParticipantId,
        exchange: &ExchangeId,
        row: u64,
    ) -> Result<Option<RowResult>, StoreError>;
    /// Writes the result of a row that has none yet.
    fn write_row(&self, sender: &ParticipantId, exchange: &ExchangeId, result: &RowResult) -> Result<(), StoreError>;
    /// Rewrites the result of a row that waited.
    fn rewrite_row(&self, sender: &ParticipantId, exchange: &ExchangeId, result: &RowResult) -> Result<(), StoreError>;
    /// Adds the sealed source of a refused row.
    fn write_source(
        &self,
        sender: &ParticipantId,
        exchange: &ExchangeId,
        row: u64,
        sealed: &[u8],
    ) -> Result<(), StoreError>;

    /// True if rows of this tenant wait for somebody.
    fn is_anybody_awaited(&self) -> Result<bool, StoreError>;
    /// Keeps a row that waits.
    fn write_waiting(&self, origin: &Origin, names: &[Name], sealed: &[u8]) -> Result<(), StoreError>;
    /// The waiting rows that carry an identifier, in the order they came.
    fn waiting_for(&self, blind: &Hash) -> Result<Vec<WaitingRow>, StoreError>;
    /// The identifiers of a waiting row.
    fn names_of(&self, ordinal: i64) -> Result<Vec<Name>, StoreError>;
    /// A row waits no longer.
    fn end_wait(&self, ordinal: i64) -> Result<(), StoreError>;

    /// The length of the tenant's log.
    fn length(&self) -> Result<Length, StoreError>;
    /// The new length of the tenant's log.
    fn set_length(&self, length: Length);
    /// Writes a leaf in its place.
    fn write_leaf(&self, index: u64, content: &LeafContent, seal: &Hash) -> Result<(), StoreError>;
}
