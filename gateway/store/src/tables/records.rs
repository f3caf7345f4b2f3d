//! Records and their versions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tsunagi_core::disclosure::HeldRecord;
use tsunagi_core::id::{ChannelId, DeliveryId, ExchangeId, ParticipantId, RecordId, SubjectKey, TenantId};
use tsunagi_core::record::Record;

use super::Tables;
use super::convert::from_json;
use super::drafts::First;
use super::subjects::{Subject, moved};
use crate::command::NewRecord;
use crate::error::StoreError;
use crate::keys::Hash;

/// A record on its way in, without what names its subject: this much of it can wait.
#[derive(Serialize, Deserialize)]
pub(crate) struct Incoming {
    pub(crate) id: RecordId,
    pub(crate) record: Record,
    pub(crate) business_key: Vec<String>,
    pub(crate) non_disclosure: Option<bool>,
    pub(crate) deleted: bool,
    pub(crate) deliveries: Vec<(DeliveryId, ChannelId)>,
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
pub(crate) struct Origin {
    pub(crate) exchange: ExchangeId,
    pub(crate) sender: ParticipantId,
    pub(crate) row: u64,
    pub(crate) at: Timestamp,
}

/// Where a record came to rest.
pub(crate) struct Kept {
    pub(crate) record: RecordId,
    pub(crate) version: u32,
    /// False if the same content was there already.
    pub(crate) is_new: bool,
}

/// A version of a record as it is stored.
pub(crate) struct SealedRecord {
    pub(crate) id: RecordId,
    pub(crate) version: u32,
    pub(crate) recorded_at: Timestamp,
    pub(crate) sender: ParticipantId,
    pub(crate) sealed: Vec<u8>,
}

impl SealedRecord {
    /// Opens a version that was read.
    pub(crate) fn open(&self, tenant: &TenantId, subject: &Subject) -> Result<HeldRecord, StoreError> {
        let Self { id, version, recorded_at, sender, sealed } = self;
        let content = subject.cipher.open(&record_place(tenant, &subject.key, id, &version.to_be_bytes()), sealed)?;
        Ok(HeldRecord {
            id: id.clone(),
            version: *version,
            subject: subject.key.clone(),
            recorded_at: *recorded_at,
            sender: sender.clone(),
            record: from_json(content.expose())?,
        })
    }
}

/// What there is to know of a record's newest version before another comes.
#[derive(Clone)]
pub(crate) struct Newest {
    pub(crate) record: RecordId,
    pub(crate) version: u32,
    pub(crate) digest: Hash,
    pub(crate) deleted: bool,
}

/// Keeps a record, which stands in JSON as `content`, as a new version, unless the subject has its content already.
pub(crate) fn keep(
    tables: &impl Tables,
    subject: &Subject,
    new: &Incoming,
    content: &[u8],
    origin: &Origin,
) -> Result<Kept, StoreError> {
    let business = tables.keys().business_key(&subject.key, &new.business_key);
    let newest = tables.newest(&subject.key, new.record.kind(), &business)?;
    let record = newest.as_ref().map_or(&new.id, |newest| &newest.record).clone();
    let digest = tables.keys().content_digest(&subject.key, &record, content);
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
        1 => tables.write_record(&subject.key, &record, new.record.kind(), &business)?,
        _ => tables.supersede(&record, version)?,
    }
    let number = version.to_be_bytes();
    let sealed = subject.cipher.seal(&record_place(tables.tenant(), &subject.key, &record, &number), content)?;
    let kept = Kept { record, version, is_new: true };
    tables.write_version(&kept, (&sealed, &digest), new.deleted, origin)?;
    for (id, channel) in &new.deliveries {
        tables.write_delivery(&subject.key, (id, channel), &kept, origin)?;
    }
    let mut flagged_by = subject.flagged_by.clone();
    match stated {
        Some(true) => flagged_by.insert(kept.record.clone()),
        _ => flagged_by.remove(&kept.record),
    };
    tables.write_move(subject, &flagged_by, &moved(tables.tenant(), subject, &flagged_by)?)?;
    Ok(kept)
}

/// Keeps the first record of a subject who is made with it.
pub(crate) fn keep_first(
    tables: &impl Tables,
    first: &First,
    new: &Incoming,
    origin: &Origin,
) -> Result<Kept, StoreError> {
    tables.write_subject(&first.subject, &first.wrapped, &first.flags)?;
    let kept = Kept { record: new.id.clone(), version: 1, is_new: true };
    tables.write_record(&first.subject, &kept.record, new.record.kind(), &first.business)?;
    tables.write_version(&kept, (&first.sealed, &first.digest), new.deleted, origin)?;
    for (id, channel) in &new.deliveries {
        tables.write_delivery(&first.subject, (id, channel), &kept, origin)?;
    }
    Ok(kept)
}

/// Where a version of a record is sealed.
pub(crate) fn record_place<'a>(
    tenant: &'a TenantId,
    subject: &'a SubjectKey,
    record: &'a RecordId,
    version: &'a [u8; 4],
) -> [&'a [u8]; 5] {
    [b"record", tenant.as_str().as_bytes(), subject.as_str().as_bytes(), record.as_str().as_bytes(), version.as_slice()]
}
