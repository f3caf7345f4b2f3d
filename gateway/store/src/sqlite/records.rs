//! Records, their versions and the deliveries written with them.

use rusqlite::{OptionalExtension, Row};
use tsunagi_core::id::{ChannelId, DeliveryId, KindName, RecordId, SubjectKey};

use super::convert::{Columns, count, nanos};
use super::session::Tenancy;
use crate::error::StoreError;
use crate::keys::Hash;
use crate::tables::{Kept, Newest, Origin, SealedRecord};

/// Columns: record, version, recorded_at, sender, sealed.
pub(super) fn read_record(row: &Row<'_>) -> Result<SealedRecord, StoreError> {
    Ok(SealedRecord {
        id: row.word(0)?,
        version: row.number(1)?,
        recorded_at: row.time(2)?,
        sender: row.word(3)?,
        sealed: row.blob(4)?.to_vec(),
    })
}

impl Tenancy<'_> {
    pub(super) fn insert_version(
        &self,
        kept: &Kept,
        (sealed, digest): (&[u8], &Hash),
        deleted: bool,
        origin: &Origin,
    ) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(
                "INSERT INTO record_versions
                     (tenant, record, version, sealed, digest, deleted, exchange, sender, recorded_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute((
                self.tenant.as_str(),
                kept.record.as_str(),
                kept.version,
                sealed,
                digest,
                deleted,
                origin.exchange.as_str(),
                origin.sender.as_str(),
                nanos(origin.at),
            ))?;
        Ok(())
    }

    pub(super) fn select_newest(
        &self,
        subject: &SubjectKey,
        kind: &KindName,
        business: &Hash,
    ) -> Result<Option<Newest>, StoreError> {
        let mut select = self.conn.prepare_cached(
            "SELECT r.record, r.newest, v.digest, v.deleted FROM records r INDEXED BY records_of_subject
             CROSS JOIN record_versions v ON v.tenant = r.tenant AND v.record = r.record AND v.version = r.newest
             WHERE r.tenant = ?1 AND r.subject = ?2 AND r.kind = ?3 AND r.business = ?4",
        )?;
        let found = select
            .query_row((self.tenant.as_str(), subject.as_str(), kind.as_str(), business), |row| {
                Ok(Newest { record: row.word(0)?, version: row.number(1)?, digest: row.hash(2)?, deleted: row.get(3)? })
            })
            .optional()?;
        Ok(found)
    }

    pub(super) fn insert_record(
        &self,
        subject: &SubjectKey,
        record: &RecordId,
        kind: &KindName,
        business: &Hash,
    ) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(
                "INSERT INTO records (tenant, record, subject, kind, business, newest) VALUES (?1, ?2, ?3, ?4, ?5, 1)",
            )?
            .execute((self.tenant.as_str(), record.as_str(), subject.as_str(), kind.as_str(), business))?;
        self.changes(record.as_str().as_bytes());
        Ok(())
    }

    pub(super) fn update_record(&self, record: &RecordId, version: u32) -> Result<(), StoreError> {
        self.conn.prepare_cached("UPDATE records SET newest = ?3 WHERE tenant = ?1 AND record = ?2")?.execute((
            self.tenant.as_str(),
            record.as_str(),
            version,
        ))?;
        Ok(())
    }

    pub(super) fn insert_delivery(
        &self,
        subject: &SubjectKey,
        (id, channel): (&DeliveryId, &ChannelId),
        kept: &Kept,
        origin: &Origin,
    ) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(
                "INSERT INTO deliveries
                     (tenant, delivery, subject, channel, place, record, version, exchange, row, state, attempts, next_at)
                 SELECT ?1, ?2, ?3, ?4, coalesce(max(place) + 1, 0), ?5, ?6, ?7, ?8, 'pending', 0, ?9
                 FROM deliveries WHERE tenant = ?1 AND subject = ?3 AND channel = ?4",
            )?
            .execute((
                self.tenant.as_str(),
                id.as_str(),
                subject.as_str(),
                channel.as_str(),
                kept.record.as_str(),
                kept.version,
                origin.exchange.as_str(),
                count(origin.row)?,
                nanos(origin.at),
            ))?;
        Ok(())
    }
}
