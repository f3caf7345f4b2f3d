//! Writes what was drawn: one statement for each table, however many rows.

use tsunagi_core::id::{ExchangeId, ParticipantId};

use super::faults::first_fault;
use super::picture::{Drawn, DrawnRecord, From};
use super::tenancy::Tenancy;
use crate::error::StoreError;
use crate::tables::{count, spell, to_json_text};

/// All of it but the head, which is the tenancy's.
pub(super) async fn flush(tenancy: &Tenancy<'_>, drawn: &Drawn) -> Result<(), StoreError> {
    let outcomes = tokio::join!(
        subjects(tenancy, drawn),
        moves(tenancy, drawn),
        names(tenancy, drawn),
        records(tenancy, drawn),
        superseded(tenancy, drawn),
        versions(tenancy, drawn),
        deliveries(tenancy, drawn),
        rows(tenancy, drawn),
        rewritten(tenancy, drawn),
        waiting(tenancy, drawn),
        waiting_names(tenancy, drawn),
        ended(tenancy, drawn),
        leaves(tenancy, drawn),
    );
    let (a, b, c, d, e, f, g, h, i, j, k, l, m) = outcomes;
    first_fault([a, b, c, d, e, f, g, h, i, j, k, l, m])?;
    drawn.leaves.iter().for_each(|(_, leaf, _)| tenancy.common.has_passed(leaf.at));
    Ok(())
}

async fn subjects(tenancy: &Tenancy<'_>, drawn: &Drawn) -> Result<(), StoreError> {
    let (mut keys, mut wraps, mut versions, mut flags) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (key, subject) in &drawn.subjects {
        if let From::Nothing { wrapped } = &subject.from {
            keys.push(key.as_str());
            wraps.push(wrapped.as_slice());
            versions.push(count(subject.now.version)?);
            flags.push(subject.flags.as_slice());
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    tenancy
        .tx
        .execute(
            "INSERT INTO subjects (tenant, subject, wrapped, version, flags)
             SELECT $1, * FROM unnest($2::text[], $3::bytea[], $4::bigint[], $5::bytea[])",
            &[&tenancy.tenant.as_str(), &keys, &wraps, &versions, &flags],
        )
        .await
        .map(drop)
}

async fn moves(tenancy: &Tenancy<'_>, drawn: &Drawn) -> Result<(), StoreError> {
    let (mut keys, mut before, mut after, mut flags) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (key, subject) in &drawn.subjects {
        if let From::Version(version) = subject.from {
            keys.push(key.as_str());
            before.push(count(version)?);
            after.push(count(subject.now.version)?);
            flags.push(subject.flags.as_slice());
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    let moved = tenancy
        .tx
        .execute(
            "UPDATE subjects s SET version = n.after, flags = n.flags
             FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bytea[]) AS n (subject, before, after, flags)
             WHERE s.tenant = $1 AND s.subject = n.subject AND s.version = n.before",
            &[&tenancy.tenant.as_str(), &keys, &before, &after, &flags],
        )
        .await?;
    if moved != keys.len() as u64 {
        return Err(StoreError::Corrupt("a subject is not of the version that was read".to_owned()));
    }
    Ok(())
}

async fn names(tenancy: &Tenancy<'_>, drawn: &Drawn) -> Result<(), StoreError> {
    if drawn.names.is_empty() {
        return Ok(());
    }
    let (mut blinds, mut systems, mut subjects) = (Vec::new(), Vec::new(), Vec::new());
    for (subject, names) in &drawn.names {
        for name in names {
            blinds.push(&name.blind[..]);
            systems.push(name.system.as_str());
            subjects.push(subject.as_str());
        }
    }
    tenancy
        .tx
        .execute(
            "INSERT INTO identifiers (tenant, blind, system, subject)
             SELECT $1, * FROM unnest($2::bytea[], $3::text[], $4::text[])",
            &[&tenancy.tenant.as_str(), &blinds, &systems, &subjects],
        )
        .await
        .map(drop)
}

async fn records(tenancy: &Tenancy<'_>, drawn: &Drawn) -> Result<(), StoreError> {
    let (mut ids, mut subjects, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
    let (mut business, mut newest) = (Vec::new(), Vec::new());
    for (id, record) in &drawn.records {
        if let DrawnRecord::New { key: (subject, kind, key), newest: version } = record {
            ids.push(id.as_str());
            subjects.push(subject.as_str());
            kinds.push(kind.as_str());
            business.push(&key[..]);
            newest.push(i64::from(*version));
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    tenancy
        .tx
        .execute(
            "INSERT INTO records (tenant, record, subject, kind, business, newest)
             SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::bytea[], $6::bigint[])",
            &[&tenancy.tenant.as_str(), &ids, &subjects, &kinds, &business, &newest],
        )
        .await
        .map(drop)
}

async fn superseded(tenancy: &Tenancy<'_>, drawn: &Drawn) -> Result<(), StoreError> {
    let (mut ids, mut newest) = (Vec::new(), Vec::new());
    for (id, record) in &drawn.records {
        if let DrawnRecord::Superseded { newest: version } = record {
            ids.push(id.as_str());
            newest.push(i64::from(*version));
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    tenancy
        .tx
        .execute(
            "UPDATE records r SET newest = n.newest FROM unnest($2::text[], $3::bigint[]) AS n (record, newest)
             WHERE r.tenant = $1 AND r.record = n.record",
            &[&tenancy.tenant.as_str(), &ids, &newest],
        )
        .await
        .map(drop)
}

async fn versions(tenancy: &Tenancy<'_>, drawn: &Drawn) -> Result<(), StoreError> {
    let all = &drawn.versions;
    if all.is_empty() {
        return Ok(());
    }
    let records: Vec<&str> = all.iter().map(|one| one.record.as_str()).collect();
    let versions: Vec<i64> = all.iter().map(|one| i64::from(one.version)).collect();
    let sealed: Vec<&[u8]> = all.iter().map(|one| one.sealed.as_slice()).collect();
    let digests: Vec<&[u8]> = all.iter().map(|one| &one.digest[..]).collect();
    let deleted: Vec<bool> = all.iter().map(|one| one.deleted).collect();
    let exchanges: Vec<&str> = all.iter().map(|one| one.exchange.as_str()).collect();
    let senders: Vec<&str> = all.iter().map(|one| one.sender.as_str()).collect();
    let times: Vec<i64> = all.iter().map(|one| one.at).collect();
    tenancy
        .tx
        .execute(
            "INSERT INTO record_versions
                 (tenant, record, version, sealed, digest, deleted, exchange, sender, recorded_at)
             SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bool[], $7::text[],
                                      $8::text[], $9::bigint[])",
            &[&tenancy.tenant.as_str(), &records, &versions, &sealed, &digests, &deleted, &exchanges, &senders, &times],
        )
        .await
        .map(drop)
}

async fn deliveries(tenancy: &Tenancy<'_>, drawn: &Drawn) -> Result<(), StoreError> {
    let all = &drawn.deliveries;
    if all.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = all.iter().map(|one| one.delivery.as_str()).collect();
    let ordinals: Vec<i64> = all.iter().map(|one| one.ordinal).collect();
    let subjects: Vec<&str> = all.iter().map(|one| one.subject.as_str()).collect();
    let channels: Vec<&str> = all.iter().map(|one| one.channel.as_str()).collect();
    let places: Vec<i64> = all.iter().map(|one| one.place).collect();
    let records: Vec<&str> = all.iter().map(|one| one.record.as_str()).collect();
    let versions: Vec<i64> = all.iter().map(|one| i64::from(one.version)).collect();
    let exchanges: Vec<&str> = all.iter().map(|one| one.exchange.as_str()).collect();
    let numbers = all.iter().map(|one| count(one.row)).collect::<Result<Vec<_>, _>>()?;
    let times: Vec<i64> = all.iter().map(|one| one.at).collect();
    tenancy
        .tx
        .execute(
            "INSERT INTO deliveries (tenant, delivery, ordinal, subject, channel, place, record, version, exchange,
                                     number, next_at, state, attempts)
             SELECT $1, *, 'pending', 0
             FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::bigint[],
                         $9::text[], $10::bigint[], $11::bigint[])",
            &[
                &tenancy.tenant.as_str(),
                &ids,
                &ordinals,
                &subjects,
                &channels,
                &places,
                &records,
                &versions,
                &exchanges,
                &numbers,
                &times,
            ],
        )
        .await
        .map(drop)
}

/// The columns of rows of exchanges, new ones or rewritten ones.
#[derive(Default)]
struct Rows<'r> {
    senders: Vec<&'r str>,
    exchanges: Vec<&'r str>,
    numbers: Vec<i64>,
    kinds: Vec<Option<&'r str>>,
    states: Vec<&'r str>,
    records: Vec<Option<&'r str>>,
    versions: Vec<Option<i64>>,
    faults: Vec<String>,
    leaves: Vec<Option<i64>>,
    sealed: Vec<Option<&'r [u8]>>,
}

impl<'r> Rows<'r> {
    fn of(drawn: &'r Drawn, are_new: bool) -> Result<Self, StoreError> {
        let mut all = Self::default();
        for ((sender, exchange, number), row) in drawn.rows.iter().filter(|(_, row)| row.is_new == are_new) {
            let (state, record, version) = spell(&row.result.state);
            all.senders.push(sender.as_str());
            all.exchanges.push(exchange.as_str());
            all.numbers.push(count(*number)?);
            all.kinds.push(row.result.kind.as_ref().map(|kind| kind.as_str()));
            all.states.push(state);
            all.records.push(record);
            all.versions.push(version.map(i64::from));
            all.faults.push(to_json_text(&row.result.faults)?);
            all.leaves.push(row.result.leaf.map(count).transpose()?);
            all.sealed.push(row.sealed.as_deref());
        }
        Ok(all)
    }
}

async fn rows(tenancy: &Tenancy<'_>, drawn: &Drawn) -> Result<(), StoreError> {
    let new = Rows::of(drawn, true)?;
    if new.numbers.is_empty() {
        return Ok(());
    }
    tenancy
        .tx
        .execute(
            "INSERT INTO exchange_rows (tenant, sender, exchange, number, kind, state, record, version, faults, leaf,
                                        sealed)
             SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[],
                                      $8::bigint[], $9::text[], $10::bigint[], $11::bytea[])",
            &[
                &tenancy.tenant.as_str(),
                &new.senders,
                &new.exchanges,
                &new.numbers,
                &new.kinds,
                &new.states,
                &new.records,
                &new.versions,
                &new.faults,
                &new.leaves,
                &new.sealed,
            ],
        )
        .await
        .map(drop)
}

async fn rewritten(tenancy: &Tenancy<'_>, drawn: &Drawn) -> Result<(), StoreError> {
    let old = Rows::of(drawn, false)?;
    if old.numbers.is_empty() {
        return Ok(());
    }
    tenancy
        .tx
        .execute(
            "UPDATE exchange_rows r SET state = n.state, record = n.record, version = n.version, faults = n.faults,
                                        leaf = n.leaf
             FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::text[],
                         $9::bigint[]) AS n (sender, exchange, number, state, record, version, faults, leaf)
             WHERE r.tenant = $1 AND r.sender = n.sender AND r.exchange = n.exchange AND r.number = n.number",
            &[
                &tenancy.tenant.as_str(),
                &old.senders,
                &old.exchanges,
                &old.numbers,
                &old.states,
                &old.records,
                &old.versions,
                &old.faults,
                &old.leaves,
            ],
        )
        .await
        .map(drop)
}

async fn waiting(tenancy: &Tenancy<'_>, drawn: &Drawn) -> Result<(), StoreError> {
    if drawn.waiting.is_empty() {
        return Ok(());
    }
    let all = || drawn.waiting.values().map(|(row, _)| row);
    let ordinals: Vec<i64> = all().map(|row| row.ordinal).collect();
    let exchanges: Vec<&str> = all().map(|row| row.exchange.as_str()).collect();
    let numbers = all().map(|row| count(row.row)).collect::<Result<Vec<_>, _>>()?;
    let senders: Vec<&str> = all().map(|row| row.sender.as_str()).collect();
    let sealed: Vec<&[u8]> = all().map(|row| row.sealed.as_slice()).collect();
    tenancy
        .tx
        .execute(
            "INSERT INTO waiting_rows (tenant, ordinal, exchange, number, sender, sealed)
             SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::bytea[])",
            &[&tenancy.tenant.as_str(), &ordinals, &exchanges, &numbers, &senders, &sealed],
        )
        .await
        .map(drop)
}

async fn waiting_names(tenancy: &Tenancy<'_>, drawn: &Drawn) -> Result<(), StoreError> {
    let all: Vec<_> =
        drawn.waiting.iter().flat_map(|(ordinal, (_, names))| names.iter().map(|name| (*ordinal, name))).collect();
    if all.is_empty() {
        return Ok(());
    }
    let ordinals: Vec<i64> = all.iter().map(|(ordinal, _)| *ordinal).collect();
    let blinds: Vec<&[u8]> = all.iter().map(|(_, name)| &name.blind[..]).collect();
    let systems: Vec<&str> = all.iter().map(|(_, name)| name.system.as_str()).collect();
    let singles: Vec<bool> = all.iter().map(|(_, name)| name.is_single).collect();
    tenancy
        .tx
        .execute(
            "INSERT INTO waiting_identifiers (tenant, ordinal, blind, system, single_valued)
             SELECT $1, * FROM unnest($2::bigint[], $3::bytea[], $4::text[], $5::bool[])",
            &[&tenancy.tenant.as_str(), &ordinals, &blinds, &systems, &singles],
        )
        .await
        .map(drop)
}

async fn ended(tenancy: &Tenancy<'_>, drawn: &Drawn) -> Result<(), StoreError> {
    if drawn.ended.is_empty() {
        return Ok(());
    }
    let ordinals: Vec<i64> = drawn.ended.iter().copied().collect();
    let tenant = tenancy.tenant.as_str();
    tenancy
        .tx
        .execute("DELETE FROM waiting_identifiers WHERE tenant = $1 AND ordinal = ANY ($2)", &[&tenant, &ordinals])
        .await?;
    tenancy
        .tx
        .execute("DELETE FROM waiting_rows WHERE tenant = $1 AND ordinal = ANY ($2)", &[&tenant, &ordinals])
        .await
        .map(drop)
}

async fn leaves(tenancy: &Tenancy<'_>, drawn: &Drawn) -> Result<(), StoreError> {
    if drawn.leaves.is_empty() {
        return Ok(());
    }
    let places = drawn.leaves.iter().map(|(index, ..)| count(*index)).collect::<Result<Vec<_>, _>>()?;
    let bytes: Vec<&[u8]> = drawn.leaves.iter().map(|(_, leaf, _)| leaf.bytes.as_slice()).collect();
    let hashes: Vec<&[u8]> = drawn.leaves.iter().map(|(_, leaf, _)| &leaf.hash[..]).collect();
    let macs: Vec<&[u8]> = drawn.leaves.iter().map(|(.., seal)| &seal[..]).collect();
    let times: Vec<i64> = drawn.leaves.iter().map(|(_, leaf, _)| leaf.at).collect();
    tenancy
        .tx
        .execute(
            "INSERT INTO audit_leaves (tenant, idx, bytes, hash, mac, written_at)
             SELECT $1, * FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bigint[])",
            &[&tenancy.tenant.as_str(), &places, &bytes, &hashes, &macs, &times],
        )
        .await
        .map(drop)
}

/// Marks exchanges of which all rows are there.
pub(super) async fn complete(
    tenancy: &Tenancy<'_>,
    exchanges: &[(ParticipantId, ExchangeId)],
) -> Result<(), StoreError> {
    if exchanges.is_empty() {
        return Ok(());
    }
    let senders: Vec<&str> = exchanges.iter().map(|(sender, _)| sender.as_str()).collect();
    let ids: Vec<&str> = exchanges.iter().map(|(_, id)| id.as_str()).collect();
    tenancy
        .tx
        .execute(
            "UPDATE exchanges e SET complete = true FROM unnest($1::text[], $2::text[]) AS n (sender, exchange)
             WHERE e.sender = n.sender AND e.exchange = n.exchange AND NOT e.complete",
            &[&senders, &ids],
        )
        .await
        .map(drop)
}
