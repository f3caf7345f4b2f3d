//! What is over: versions of records, sources of refused rows, settled deliveries. A piece at a time, so that the tenant's
//! head is not locked for long; each piece with its event.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use tsunagi_core::id::{DeliveryId, ExchangeId, RecordId, SubjectKey, TenantId};

use super::columns::Columns;
use super::held::read_record;
use super::pool::Tx;
use super::tenancy::{Common, Tenancy, read_subject};
use crate::command::{Purge, PurgePlace, Purged};
use crate::error::StoreError;
use crate::tables::{Candidate, SealedRecord, Subject, count, has_ended, last_of_full, limit, next_place, purge_event};

/// See [`crate::StoreAdmin::purge`].
pub(super) async fn purge(tx: &Tx, common: &Common, tenant: &TenantId, purge: &Purge) -> Result<Purged, StoreError> {
    let Some(tenancy) = Tenancy::lock(tx, common, tenant).await? else { return Ok(Purged::default()) };
    let mut piece = Piece { tenancy, purge, purged: Purged::default() };
    let last = match &purge.place {
        PurgePlace::Deliveries(after) => {
            piece.deliveries(after.as_ref()).await?.map(|last| PurgePlace::Deliveries(Some(last)))
        }
        PurgePlace::Rows(after) => piece.rows(after.as_ref()).await?.map(|last| PurgePlace::Rows(Some(last))),
        PurgePlace::Records(after) => piece.records(after.as_ref()).await?.map(|last| PurgePlace::Records(Some(last))),
    };
    let Piece { mut tenancy, mut purged, .. } = piece;
    purged.next = next_place(&purge.place, last);
    if purged.next.is_none() {
        purged.oldest = oldest(&tenancy).await?;
    }
    if let Some(event) = purge_event(purge, &purged) {
        tenancy.append_one(&event).await?;
    }
    tenancy.close().await?;
    Ok(purged)
}

/// When what is kept longest was recorded. Ids of records sort by the time of their making.
async fn oldest(tenancy: &Tenancy<'_>) -> Result<Option<Timestamp>, StoreError> {
    let found = tenancy
        .tx
        .one(
            "SELECT recorded_at FROM record_versions
             WHERE tenant = $1 AND record = (SELECT record FROM records WHERE tenant = $1 ORDER BY record LIMIT 1)
             ORDER BY version LIMIT 1",
            &[&tenancy.tenant.as_str()],
        )
        .await?;
    found.map(|row| row.time(0)).transpose()
}

/// One piece of one tenant.
struct Piece<'p, 't> {
    tenancy: Tenancy<'t>,
    purge: &'p Purge,
    purged: Purged,
}

/// All that is read of a piece of records before anything is decided.
struct Read {
    subjects: HashMap<SubjectKey, Subject>,
    versions: HashMap<RecordId, Vec<SealedRecord>>,
    unsettled: HashMap<RecordId, BTreeSet<u32>>,
}

/// What is over of a piece of records.
#[derive(Default)]
struct Over {
    /// The versions: of which record each is, and its number.
    of_records: Vec<String>,
    numbers: Vec<i64>,
    /// The records of which nothing is left.
    records: Vec<String>,
    /// Whose they were, and what hides these subjects still.
    moved: BTreeMap<SubjectKey, BTreeSet<RecordId>>,
}

impl Piece<'_, '_> {
    /// Deliveries of before, by their ids, which sort by time; those that have not ended stay. Gives where to go on.
    async fn deliveries(&mut self, after: Option<&DeliveryId>) -> Result<Option<DeliveryId>, StoreError> {
        let before = DeliveryId::new(self.purge.exchanges_before, [0; 10]);
        let (of, after) = (self.tenancy.tenant.as_str(), after.map_or("", DeliveryId::as_str));
        let tx = self.tenancy.tx;
        let found = tx
            .query(
                "SELECT delivery, state FROM deliveries WHERE tenant = $1 AND delivery > $2 AND delivery < $3
                 ORDER BY delivery LIMIT $4",
                &[&of, &after, &before.as_str(), &limit(self.purge.limit)],
            )
            .await?;
        let found = found
            .iter()
            .map(|row| Ok((row.word(0)?, has_ended(row.of(1)?))))
            .collect::<Result<Vec<(DeliveryId, bool)>, StoreError>>()?;
        let ended: Vec<&str> = found.iter().filter(|(_, ended)| *ended).map(|(id, _)| id.as_str()).collect();
        self.purged.deliveries += ended.len() as u64;
        if !self.purge.is_rehearsal {
            tx.execute("DELETE FROM deliveries WHERE tenant = $1 AND delivery = ANY ($2)", &[&of, &ended]).await?;
        }
        Ok(last_of_full(found, self.purge.limit).map(|(delivery, _)| delivery))
    }

    /// The sources of refused rows of before; that they were refused, and why, stays.
    async fn rows(&mut self, after: Option<&(ExchangeId, u64)>) -> Result<Option<(ExchangeId, u64)>, StoreError> {
        let before = ExchangeId::new(self.purge.exchanges_before, [0; 10]);
        let (exchange, row) = after.map_or(("", 0), |(exchange, row)| (exchange.as_str(), *row));
        let of = self.tenancy.tenant.as_str();
        let tx = self.tenancy.tx;
        let found = tx
            .query(
                "SELECT exchange, number, length(sealed)::bigint FROM exchange_rows
                 WHERE tenant = $1 AND sealed IS NOT NULL AND (exchange, number) > ($2, $3) AND exchange < $4
                 ORDER BY exchange, number LIMIT $5",
                &[&of, &exchange, &count(row)?, &before.as_str(), &limit(self.purge.limit)],
            )
            .await?;
        let (mut exchanges, mut numbers, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for row in &found {
            self.purged.refused_rows += 1;
            self.purged.bytes += row.number::<u64>(2)?;
            exchanges.push(row.of::<&str>(0)?);
            numbers.push(row.of::<i64>(1)?);
            places.push((row.word(0)?, row.number(1)?));
        }
        if !self.purge.is_rehearsal {
            tx.execute(
                "UPDATE exchange_rows r SET sealed = NULL FROM unnest($2::text[], $3::bigint[]) AS o (exchange, number)
                 WHERE r.tenant = $1 AND r.sealed IS NOT NULL AND r.exchange = o.exchange AND r.number = o.number",
                &[&of, &exchanges, &numbers],
            )
            .await?;
        }
        Ok(last_of_full(places, self.purge.limit))
    }

    /// Records that were made before anything of their kind could be over.
    async fn records(&mut self, after: Option<&RecordId>) -> Result<Option<RecordId>, StoreError> {
        let Some(latest) = self.purge.kinds.iter().map(|kind| kind.recorded_before).max() else { return Ok(None) };
        let before = RecordId::new(latest, [0; 10]);
        let after = after.map_or("", RecordId::as_str);
        let found = self
            .tenancy
            .tx
            .query(
                "SELECT record, subject, kind, newest FROM records WHERE tenant = $1 AND record > $2 AND record < $3
                 ORDER BY record LIMIT $4",
                &[&self.tenancy.tenant.as_str(), &after, &before.as_str(), &limit(self.purge.limit)],
            )
            .await?;
        let found = found
            .iter()
            .map(|row| {
                let (record, subject, kind, newest) = (row.word(0)?, row.word(1)?, row.word(2)?, row.number(3)?);
                Ok(Candidate { record, subject, kind, newest })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        let read = self.read(&found).await?;
        let over = self.over(&found, &read).await?;
        self.remove(&over, &read).await?;
        Ok(last_of_full(found, self.purge.limit).map(|candidate| candidate.record))
    }

    /// A shredded subject is none of them.
    async fn read(&self, candidates: &[Candidate]) -> Result<Read, StoreError> {
        let Tenancy { tx, common, keys, tenant, .. } = &self.tenancy;
        let of = tenant.as_str();
        let records: Vec<&str> = candidates.iter().map(|candidate| candidate.record.as_str()).collect();
        let people: BTreeSet<&str> = candidates.iter().map(|candidate| candidate.subject.as_str()).collect();
        let people: Vec<&str> = people.into_iter().collect();
        let mut read = Read { subjects: HashMap::new(), versions: HashMap::new(), unsettled: HashMap::new() };
        let subjects = tx
            .query(
                "SELECT subject, version, wrapped, flags FROM subjects WHERE tenant = $1 AND subject = ANY ($2)",
                &[&of, &people],
            )
            .await?;
        for row in &subjects {
            if let Some(subject) = read_subject(common, keys, row)? {
                read.subjects.insert(subject.key.clone(), subject);
            }
        }
        let versions = tx
            .query(
                "SELECT record, version, recorded_at, sender, sealed FROM record_versions
                 WHERE tenant = $1 AND record = ANY ($2) ORDER BY record, version",
                &[&of, &records],
            )
            .await?;
        for row in &versions {
            read.versions.entry(row.word(0)?).or_default().push(read_record(row, 0)?);
        }
        let unsettled = tx
            .query(
                "SELECT record, version FROM deliveries
                 WHERE tenant = $1 AND record = ANY ($2) AND state IN ('dead', 'held', 'pending')",
                &[&of, &records],
            )
            .await?;
        for row in &unsettled {
            read.unsettled.entry(row.word(0)?).or_default().insert(row.number(1)?);
        }
        Ok(read)
    }

    async fn over(&mut self, candidates: &[Candidate], read: &Read) -> Result<Over, StoreError> {
        let (mut over, none) = (Over::default(), BTreeSet::new());
        for candidate in candidates {
            let Some(retention) = candidate.retention(self.purge) else { continue };
            let subject = read.subjects.get(&candidate.subject);
            let versions = read.versions.get(&candidate.record).map_or(&[][..], Vec::as_slice);
            let unsettled = read.unsettled.get(&candidate.record).unwrap_or(&none);
            let whose = (&self.tenancy.tenant, subject);
            for version in candidate.over(whose, versions, unsettled, retention)? {
                if version.version == candidate.newest {
                    if let Some(subject) = subject {
                        if self.flags_others(subject, &candidate.record, &over.records).await? {
                            continue;
                        }
                        let left = over.moved.entry(subject.key.clone()).or_insert_with(|| subject.flagged_by.clone());
                        left.remove(&candidate.record);
                    }
                    self.purged.records += 1;
                    over.records.push(candidate.record.to_string());
                }
                self.purged.versions += 1;
                self.purged.bytes += version.sealed.len() as u64;
                over.of_records.push(candidate.record.to_string());
                over.numbers.push(i64::from(version.version));
            }
        }
        Ok(over)
    }

    /// The record hides its subject, of whom there are others that stay: with it they would come to light.
    async fn flags_others(&self, subject: &Subject, record: &RecordId, gone: &[String]) -> Result<bool, StoreError> {
        if !subject.flagged_by.contains(record) {
            return Ok(false);
        }
        let other = self
            .tenancy
            .tx
            .one(
                "SELECT 1 FROM records
                 WHERE tenant = $1 AND subject = $2 AND record <> $3 AND record <> ALL ($4) LIMIT 1",
                &[&self.tenancy.tenant.as_str(), &subject.key.as_str(), &record.as_str(), &gone],
            )
            .await?;
        Ok(other.is_some())
    }

    /// With the deliveries of these versions, which have all ended. The subjects move: what was decided on the records is
    /// stale.
    async fn remove(&mut self, over: &Over, read: &Read) -> Result<(), StoreError> {
        let Tenancy { tx, tenant, .. } = &self.tenancy;
        let of = tenant.as_str();
        let Over { of_records, numbers, records, moved } = over;
        if self.purge.is_rehearsal {
            // Those of before were counted already.
            let before = DeliveryId::new(self.purge.exchanges_before, [0; 10]);
            let found = tx
                .one(
                    "SELECT count(*) FROM deliveries d
                     JOIN unnest($2::text[], $3::bigint[]) AS o (record, version)
                       ON d.record = o.record AND d.version = o.version
                     WHERE d.tenant = $1 AND d.delivery >= $4",
                    &[&of, of_records, numbers, &before.as_str()],
                )
                .await?;
            self.purged.deliveries += found.map_or(Ok(0), |row| row.number(0))?;
            return Ok(());
        }
        self.purged.deliveries += tx
            .execute(
                "DELETE FROM deliveries d USING unnest($2::text[], $3::bigint[]) AS o (record, version)
                 WHERE d.tenant = $1 AND d.record = o.record AND d.version = o.version",
                &[&of, of_records, numbers],
            )
            .await?;
        tx.execute(
            "DELETE FROM record_versions v USING unnest($2::text[], $3::bigint[]) AS o (record, version)
             WHERE v.tenant = $1 AND v.record = o.record AND v.version = o.version",
            &[&of, of_records, numbers],
        )
        .await?;
        tx.execute("DELETE FROM records WHERE tenant = $1 AND record = ANY ($2)", &[&of, records]).await?;
        for (key, flagged_by) in moved {
            if let Some(subject) = read.subjects.get(key) {
                self.tenancy.moved_with(subject, flagged_by).await?;
            }
        }
        Ok(())
    }
}
