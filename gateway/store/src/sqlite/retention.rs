//! What is over: versions of records, sources of refused rows, settled deliveries. A piece at a time, so that the thread
//! which writes is not held up; each piece with its event.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::OptionalExtension;
use tsunagi_core::id::{DeliveryId, ExchangeId, RecordId, TenantId};

use super::convert::{Columns, count, limit};
use super::records::read_record;
use super::session::{Session, Tenancy};
use crate::command::{Purge, PurgePlace, Purged, Retention};
use crate::error::StoreError;
use crate::tables::{
    Candidate, SealedRecord, Subject, Tables, append_one, has_ended, last_of_full, next_place, purge_event,
};

/// See [`crate::StoreAdmin::purge`].
pub(super) fn purge(session: &Session<'_>, tenant: &TenantId, purge: &Purge) -> Result<Purged, StoreError> {
    let Some(tenancy) = session.known(tenant)? else { return Ok(Purged::default()) };
    let mut piece = Piece { tenancy, purge, purged: Purged::default() };
    let last = match &purge.place {
        PurgePlace::Deliveries(after) => {
            piece.deliveries(after.as_ref())?.map(|last| PurgePlace::Deliveries(Some(last)))
        }
        PurgePlace::Rows(after) => piece.rows(after.as_ref())?.map(|last| PurgePlace::Rows(Some(last))),
        PurgePlace::Records(after) => piece.records(after.as_ref())?.map(|last| PurgePlace::Records(Some(last))),
    };
    let Piece { tenancy, mut purged, .. } = piece;
    purged.next = next_place(&purge.place, last);
    if purged.next.is_none() {
        purged.oldest = oldest(&tenancy)?;
    }
    if let Some(event) = purge_event(purge, &purged) {
        append_one(&tenancy, &event)?;
    }
    Ok(purged)
}

/// When what is kept longest was recorded. Ids of records sort by the time of their making.
fn oldest(tenancy: &Tenancy<'_>) -> Result<Option<Timestamp>, StoreError> {
    let mut select = tenancy.conn.prepare_cached(
        "SELECT recorded_at FROM record_versions
         WHERE tenant = ?1 AND record = (SELECT min(record) FROM records WHERE tenant = ?1) ORDER BY version LIMIT 1",
    )?;
    Ok(select.query_row([tenancy.tenant.as_str()], |row| row.time(0)).optional()?)
}

/// One piece of one tenant.
struct Piece<'p, 'c> {
    tenancy: Tenancy<'c>,
    purge: &'p Purge,
    purged: Purged,
}

impl Piece<'_, '_> {
    /// Deliveries of before, by their ids, which sort by time; those that have not ended stay. Gives where to go on.
    fn deliveries(&mut self, after: Option<&DeliveryId>) -> Result<Option<DeliveryId>, StoreError> {
        let before = DeliveryId::new(self.purge.exchanges_before, [0; 10]);
        let mut select = self.tenancy.conn.prepare_cached(
            "SELECT delivery, state FROM deliveries WHERE tenant = ?1 AND delivery > ?2 AND delivery < ?3
             ORDER BY delivery LIMIT ?4",
        )?;
        let after = after.map_or("", DeliveryId::as_str);
        let found = (self.tenancy.tenant.as_str(), after, before.as_str(), limit(self.purge.limit));
        let found: Vec<(DeliveryId, String)> =
            select.query_map(found, |row| Ok((row.word(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        for (delivery, _) in found.iter().filter(|(_, state)| has_ended(state)) {
            self.purged.deliveries += 1;
            self.write("DELETE FROM deliveries WHERE tenant = ?1 AND delivery = ?2", delivery.as_str())?;
        }
        Ok(last_of_full(found, self.purge.limit).map(|(delivery, _)| delivery))
    }

    /// The sources of refused rows of before; that they were refused, and why, stays.
    fn rows(&mut self, after: Option<&(ExchangeId, u64)>) -> Result<Option<(ExchangeId, u64)>, StoreError> {
        let before = ExchangeId::new(self.purge.exchanges_before, [0; 10]);
        let mut select = self.tenancy.conn.prepare_cached(
            "SELECT exchange, row, length(sealed) FROM exchange_rows INDEXED BY exchange_rows_sealed
             WHERE tenant = ?1 AND sealed IS NOT NULL AND (exchange, row) > (?2, ?3) AND exchange < ?4
             ORDER BY exchange, row LIMIT ?5",
        )?;
        let (exchange, row) = after.map_or(("", 0), |(exchange, row)| (exchange.as_str(), *row));
        let place = (self.tenancy.tenant.as_str(), exchange, count(row)?, before.as_str(), limit(self.purge.limit));
        let found: Vec<(ExchangeId, u64, u64)> = select
            .query_map(place, |row| Ok((row.word(0)?, row.number(1)?, row.number(2)?)))?
            .collect::<Result<_, _>>()?;
        for (exchange, row, bytes) in &found {
            self.purged.refused_rows += 1;
            self.purged.bytes += bytes;
            if !self.purge.is_rehearsal {
                self.tenancy
                    .conn
                    .prepare_cached("UPDATE exchange_rows SET sealed = NULL WHERE exchange = ?1 AND row = ?2")?
                    .execute((exchange.as_str(), count(*row)?))?;
            }
        }
        Ok(last_of_full(found, self.purge.limit).map(|(exchange, row, _)| (exchange, row)))
    }

    /// Records that were made before anything of their kind could be over.
    fn records(&mut self, after: Option<&RecordId>) -> Result<Option<RecordId>, StoreError> {
        let Some(latest) = self.purge.kinds.iter().map(|kind| kind.recorded_before).max() else { return Ok(None) };
        let mut select = self.tenancy.conn.prepare_cached(
            "SELECT record, subject, kind, newest FROM records WHERE tenant = ?1 AND record > ?2 AND record < ?3
             ORDER BY record LIMIT ?4",
        )?;
        let before = RecordId::new(latest, [0; 10]);
        let after = after.map_or("", RecordId::as_str);
        let place = (self.tenancy.tenant.as_str(), after, before.as_str(), limit(self.purge.limit));
        let found: Vec<Candidate> = select
            .query_map(place, |row| {
                let (record, subject, kind, newest) = (row.word(0)?, row.word(1)?, row.word(2)?, row.number(3)?);
                Ok(Candidate { record, subject, kind, newest })
            })?
            .collect::<Result<_, _>>()?;
        for candidate in &found {
            if let Some(retention) = candidate.retention(self.purge) {
                self.record(candidate, retention)?;
            }
        }
        Ok(last_of_full(found, self.purge.limit).map(|candidate| candidate.record))
    }

    fn record(&mut self, candidate: &Candidate, retention: &Retention) -> Result<(), StoreError> {
        let Candidate { record, newest, .. } = candidate;
        // A shredded subject is none.
        let subject = self.tenancy.subject(&candidate.subject)?;
        let (versions, unsettled) = (self.versions(record)?, self.unsettled(record)?);
        let whose = (&self.tenancy.tenant.clone(), subject.as_ref());
        for version in candidate.over(whose, &versions, &unsettled, retention)? {
            let is_newest = version.version == *newest;
            if is_newest && self.flags_others(subject.as_ref(), record)? {
                continue;
            }
            self.purged.versions += 1;
            self.purged.bytes += version.sealed.len() as u64;
            self.remove_version(record, version.version)?;
            if is_newest {
                self.purged.records += 1;
                self.remove_record(subject.as_ref(), record)?;
            }
        }
        Ok(())
    }

    fn versions(&self, record: &RecordId) -> Result<Vec<SealedRecord>, StoreError> {
        let mut select = self.tenancy.conn.prepare_cached(
            "SELECT record, version, recorded_at, sender, sealed FROM record_versions
             WHERE tenant = ?1 AND record = ?2 ORDER BY version",
        )?;
        let mut rows = select.query((self.tenancy.tenant.as_str(), record.as_str()))?;
        let mut versions = Vec::new();
        while let Some(row) = rows.next()? {
            versions.push(read_record(row)?);
        }
        Ok(versions)
    }

    /// The versions with a delivery that has not ended.
    fn unsettled(&self, record: &RecordId) -> Result<BTreeSet<u32>, StoreError> {
        let mut select = self.tenancy.conn.prepare_cached(
            "SELECT version FROM deliveries
             WHERE tenant = ?1 AND record = ?2 AND state IN ('dead', 'held', 'pending')",
        )?;
        let versions = select.query_map((self.tenancy.tenant.as_str(), record.as_str()), |row| row.number(0))?;
        Ok(versions.collect::<Result<_, _>>()?)
    }

    /// The record hides its subject, of whom there are others: with it they would come to light.
    fn flags_others(&self, subject: Option<&Subject>, record: &RecordId) -> Result<bool, StoreError> {
        let Some(subject) = subject.filter(|subject| subject.flagged_by.contains(record)) else { return Ok(false) };
        let mut select = self.tenancy.conn.prepare_cached(
            "SELECT 1 FROM records INDEXED BY records_of_subject WHERE tenant = ?1 AND subject = ?2 AND record <> ?3",
        )?;
        Ok(select.exists((self.tenancy.tenant.as_str(), subject.key.as_str(), record.as_str()))?)
    }

    /// With the deliveries of it, which have all ended.
    fn remove_version(&mut self, record: &RecordId, version: u32) -> Result<(), StoreError> {
        let place = (self.tenancy.tenant.as_str(), record.as_str(), version);
        if self.purge.is_rehearsal {
            // Those of before were counted already.
            let before = DeliveryId::new(self.purge.exchanges_before, [0; 10]);
            let mut select = self.tenancy.conn.prepare_cached(
                "SELECT count(*) FROM deliveries
                 WHERE tenant = ?1 AND record = ?2 AND version = ?3 AND delivery >= ?4",
            )?;
            let (tenant, record, version) = place;
            let there = (tenant, record, version, before.as_str());
            self.purged.deliveries += select.query_row(there, |row| row.number::<u64>(0))?;
            return Ok(());
        }
        let deliveries = self
            .tenancy
            .conn
            .prepare_cached("DELETE FROM deliveries WHERE tenant = ?1 AND record = ?2 AND version = ?3")?
            .execute(place)?;
        self.purged.deliveries += deliveries as u64;
        self.tenancy
            .conn
            .prepare_cached("DELETE FROM record_versions WHERE tenant = ?1 AND record = ?2 AND version = ?3")?
            .execute(place)?;
        Ok(())
    }

    /// The subject moves: what was decided on the record is stale.
    fn remove_record(&self, subject: Option<&Subject>, record: &RecordId) -> Result<(), StoreError> {
        if self.purge.is_rehearsal {
            return Ok(());
        }
        self.write("DELETE FROM records WHERE tenant = ?1 AND record = ?2", record.as_str())?;
        self.tenancy.changes(record.as_str().as_bytes());
        let Some(subject) = subject else { return Ok(()) };
        let mut flagged_by = subject.flagged_by.clone();
        flagged_by.remove(record);
        self.tenancy.moved_with(subject, &flagged_by)
    }

    fn write(&self, statement: &str, id: &str) -> Result<(), StoreError> {
        if !self.purge.is_rehearsal {
            self.tenancy.conn.prepare_cached(statement)?.execute((self.tenancy.tenant.as_str(), id))?;
        }
        Ok(())
    }
}
