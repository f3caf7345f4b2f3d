//! One tenant's tables in SQLite.

use std::collections::BTreeSet;
use std::sync::Arc;

use tsunagi_core::exchange::RowResult;
use tsunagi_core::id::{ChannelId, DeliveryId, ExchangeId, KindName, ParticipantId, RecordId, SubjectKey, TenantId};

use super::session::Tenancy;
use super::{audit, exchanges};
use crate::error::StoreError;
use crate::keys::{Hash, Keyring, TenantKeys};
use crate::tables::{Kept, LeafContent, Length, Name, Newest, Origin, Subject, Tables, WaitingRow};

impl Tables for Tenancy<'_> {
    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn keyring(&self) -> &Keyring {
        self.keyring
    }

    fn keys(&self) -> &Arc<TenantKeys> {
        &self.keys
    }

    fn owner(&self, blind: &Hash) -> Result<Option<SubjectKey>, StoreError> {
        self.named_by(blind)
    }

    fn has_another(&self, subject: &SubjectKey, name: &Name) -> Result<bool, StoreError> {
        self.has_another_name(subject, name)
    }

    fn name(&self, subject: &SubjectKey, names: &[Name]) -> Result<Vec<Hash>, StoreError> {
        self.insert_names(subject, names)
    }

    fn subject(&self, key: &SubjectKey) -> Result<Option<Subject>, StoreError> {
        self.select_subject(key)
    }

    fn write_subject(&self, key: &SubjectKey, wrapped: &[u8], flags: &[u8]) -> Result<(), StoreError> {
        self.insert_subject(key, wrapped, flags)
    }

    fn write_move(&self, subject: &Subject, _: &BTreeSet<RecordId>, flags: &[u8]) -> Result<(), StoreError> {
        self.update_subject(subject, flags)
    }

    fn newest(&self, subject: &SubjectKey, kind: &KindName, business: &Hash) -> Result<Option<Newest>, StoreError> {
        self.select_newest(subject, kind, business)
    }

    fn write_record(
        &self,
        subject: &SubjectKey,
        record: &RecordId,
        kind: &KindName,
        business: &Hash,
    ) -> Result<(), StoreError> {
        self.insert_record(subject, record, kind, business)
    }

    fn supersede(&self, record: &RecordId, version: u32) -> Result<(), StoreError> {
        self.update_record(record, version)
    }

    fn write_version(
        &self,
        kept: &Kept,
        content: (&[u8], &Hash),
        deleted: bool,
        origin: &Origin,
    ) -> Result<(), StoreError> {
        self.insert_version(kept, content, deleted, origin)
    }

    fn write_delivery(
        &self,
        subject: &SubjectKey,
        delivery: (&DeliveryId, &ChannelId),
        kept: &Kept,
        origin: &Origin,
    ) -> Result<(), StoreError> {
        self.insert_delivery(subject, delivery, kept, origin)
    }

    // An exchange has an id of its own here, whoever sent it.
    fn row_result(&self, _: &ParticipantId, exchange: &ExchangeId, row: u64) -> Result<Option<RowResult>, StoreError> {
        exchanges::row_result(self.conn, exchange, row)
    }

    fn write_row(&self, _: &ParticipantId, exchange: &ExchangeId, result: &RowResult) -> Result<(), StoreError> {
        self.insert_row(exchange, result)
    }

    fn rewrite_row(&self, _: &ParticipantId, exchange: &ExchangeId, result: &RowResult) -> Result<(), StoreError> {
        exchanges::rewrite_row(self.conn, exchange, result)
    }

    fn write_source(
        &self,
        _: &ParticipantId,
        exchange: &ExchangeId,
        row: u64,
        sealed: &[u8],
    ) -> Result<(), StoreError> {
        self.update_source(exchange, row, sealed)
    }

    fn is_anybody_awaited(&self) -> Result<bool, StoreError> {
        self.does_any_row_wait()
    }

    fn write_waiting(&self, origin: &Origin, names: &[Name], sealed: &[u8]) -> Result<(), StoreError> {
        self.insert_waiting(origin, names, sealed)
    }

    fn waiting_for(&self, blind: &Hash) -> Result<Vec<WaitingRow>, StoreError> {
        self.select_waiting(blind)
    }

    fn names_of(&self, ordinal: i64) -> Result<Vec<Name>, StoreError> {
        self.select_names(ordinal)
    }

    fn end_wait(&self, ordinal: i64) -> Result<(), StoreError> {
        self.delete_waiting(ordinal)
    }

    fn length(&self) -> Result<Length, StoreError> {
        self.known_length()
    }

    fn set_length(&self, length: Length) {
        self.keep_length(length);
    }

    fn write_leaf(&self, index: u64, content: &LeafContent, seal: &Hash) -> Result<(), StoreError> {
        audit::insert_leaf(self, index, content, seal)
    }
}
