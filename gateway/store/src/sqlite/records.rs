//! Records, their versions and the deliveries written with them.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row};
use serde::{Deserialize, Serialize};
use tsunagi_core::disclosure::HeldRecord;
use tsunagi_core::id::{ChannelId, DeliveryId, ExchangeId, KindName, ParticipantId, RecordId, SubjectKey, TenantId};
use tsunagi_core::record::Record;

use super::convert::{Columns, count, from_json, nanos};
use super::drafts::First;
use super::session::Tenancy;
use super::subjects::Subject;
use crate::command::NewRecord;
use crate::error::StoreError;
use crate::keys::Hash;

/// A record on its way in, without what names its subject: this much of it can wait.
#[derive(Serialize, Deserialize)]
pub(super) struct Incoming {
    pub(super) id: RecordId,
    pub(super) record: Record,
    pub(super) business_key: Vec<String>,
    pub(super) non_disclosure: Option<bool>,
    pub(super) deleted: bool,
    pub(super) deliveries: Vec<(DeliveryId, ChannelId)>,
}

impl From<NewRecord> for Incoming {
    fn from(new: NewRecord) -> Self {
        Self {
            id: new.id,
            record: new.record,
            business_key: new.business_key,
            non_disclosure: new.non_disclosure,
            deleted: new.deleted,
            deliveries: new.deliveries.into_iter().map(|delivery| (delivery.id, delivery.channel)).collect(),
        }
    }
}

/// Where a record comes from.
pub(super) struct Origin {
    pub(super) exchange: ExchangeId,
    pub(super) sender: ParticipantId,
    pub(super) row: u64,
    pub(super) at: Timestamp,
}

/// Where a record came to rest.
pub(super) struct Kept {
    pub(super) record: RecordId,
    pub(super) version: u32,
    /// False if the same content was there already.
    pub(super) is_new: bool,
}

/// A version of a record as it is stored.
pub(super) struct SealedRecord {
    pub(super) id: RecordId,
    version: u32,
    recorded_at: Timestamp,
    sender: ParticipantId,
    pub(super) sealed: Vec<u8>,
}

impl SealedRecord {
    /// Which version it is.
    pub(super) fn version(&self) -> u32 {
        self.version
    }

    /// When it came.
    pub(super) fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    /// Columns: record, version, recorded_at, sender, sealed.
    pub(super) fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.word(0)?,
            version: row.number(1)?,
            recorded_at: row.time(2)?,
            sender: row.word(3)?,
            sealed: row.blob(4)?.to_vec(),
        })
    }
}

struct Newest {
    record: RecordId,
    version: u32,
    digest: Hash,
    deleted: bool,
}

impl Tenancy<'_> {
    /// Keeps a record, which stands in JSON as `content`, as a new version, unless the subject has its content already.
    pub(super) fn keep(
        &self,
        subject: &Subject,
        new: &Incoming,
        content: &[u8],
        origin: &Origin,
    ) -> Result<Kept, StoreError> {
        let business = self.keys.business_key(&subject.key, &new.business_key);
        let newest = self.newest(&subject.key, &new.record, &business)?;
        let record = newest.as_ref().map_or(&new.id, |newest| &newest.record).clone();
        let digest = self.keys.content_digest(&subject.key, &record, content);
        // A tombstone has no say, but withdrawing a record is no reason to show a person whom the same row says to hide.
        // A record that says otherwise than it did is not the same, whatever else it holds.
        let stated = if new.deleted { Some(new.non_disclosure == Some(true)) } else { new.non_disclosure };
        let says_the_same = stated.is_none_or(|flag| flag == subject.flagged_by.contains(&record));
        let version = match &newest {
            Some(newest) if newest.digest == digest && newest.deleted == new.deleted && says_the_same => {
                return Ok(Kept { record, version: newest.version, is_new: false });
            }
            Some(newest) => newest.version + 1,
            None => 1,
        };
        match version {
            1 => self.write_record(&subject.key, &record, new.record.kind(), &business)?,
            _ => self.supersede(&record, version)?,
        }
        let number = version.to_be_bytes();
        let sealed = subject.cipher.seal(&record_place(&self.tenant, &subject.key, &record, &number), content)?;
        let kept = Kept { record, version, is_new: true };
        self.write_version(&kept, (&sealed, &digest), new.deleted, origin)?;
        for (id, channel) in &new.deliveries {
            self.write_delivery(&subject.key, (id, channel), &kept, origin)?;
        }
        let mut flagged_by = subject.flagged_by.clone();
        match stated {
            Some(true) => flagged_by.insert(kept.record.clone()),
            _ => flagged_by.remove(&kept.record),
        };
        self.moved_with(subject, &flagged_by)?;
        Ok(kept)
    }

    /// Keeps the first record of a subject who is made with it.
    pub(super) fn keep_first(&self, first: &First, new: &Incoming, origin: &Origin) -> Result<Kept, StoreError> {
        self.write_subject(&first.subject, 1, &first.wrapped, &first.flags)?;
        let kept = Kept { record: new.id.clone(), version: 1, is_new: true };
        self.write_record(&first.subject, &kept.record, new.record.kind(), &first.business)?;
        self.write_version(&kept, (&first.sealed, &first.digest), new.deleted, origin)?;
        for (id, channel) in &new.deliveries {
            self.write_delivery(&first.subject, (id, channel), &kept, origin)?;
        }
        Ok(kept)
    }

    fn write_version(
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

    /// Opens a version that was read.
    pub(super) fn open_record(&self, subject: &Subject, held: &SealedRecord) -> Result<HeldRecord, StoreError> {
        let SealedRecord { id, version, recorded_at, sender, sealed } = held;
        let content =
            subject.cipher.open(&record_place(&self.tenant, &subject.key, id, &version.to_be_bytes()), sealed)?;
        Ok(HeldRecord {
            id: id.clone(),
            version: *version,
            subject: subject.key.clone(),
            recorded_at: *recorded_at,
            sender: sender.clone(),
            record: from_json(content.expose())?,
        })
    }

    fn newest(&self, subject: &SubjectKey, record: &Record, business: &Hash) -> Result<Option<Newest>, StoreError> {
        let mut select = self.conn.prepare_cached(
            "SELECT r.record, r.newest, v.digest, v.deleted FROM records r INDEXED BY records_of_subject
             CROSS JOIN record_versions v ON v.tenant = r.tenant AND v.record = r.record AND v.version = r.newest
             WHERE r.tenant = ?1 AND r.subject = ?2 AND r.kind = ?3 AND r.business = ?4",
        )?;
        let found = select
            .query_row((self.tenant.as_str(), subject.as_str(), record.kind().as_str(), business), |row| {
                Ok(Newest { record: row.word(0)?, version: row.number(1)?, digest: row.hash(2)?, deleted: row.get(3)? })
            })
            .optional()?;
        Ok(found)
    }

    fn write_record(
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

    fn supersede(&self, record: &RecordId, version: u32) -> Result<(), StoreError> {
        self.conn.prepare_cached("UPDATE records SET newest = ?3 WHERE tenant = ?1 AND record = ?2")?.execute((
            self.tenant.as_str(),
            record.as_str(),
            version,
        ))?;
        Ok(())
    }

    fn write_delivery(
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

/// Where a version of a record is sealed.
pub(super) fn record_place<'a>(
    tenant: &'a TenantId,
    subject: &'a SubjectKey,
    record: &'a RecordId,
    version: &'a [u8; 4],
) -> [&'a [u8]; 5] {
    [b"record", tenant.as_str().as_bytes(), subject.as_str().as_bytes(), record.as_str().as_bytes(), version.as_slice()]
}
