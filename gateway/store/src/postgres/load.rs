//! Reads what a picture is made of: one statement for each table, all on their way at once.

use tsunagi_core::id::ChannelId;

use super::columns::Columns;
use super::exchanges;
use super::picture::{Loaded, Wanted};
use super::tenancy::{Tenancy, read_subject};
use crate::error::StoreError;
use crate::tables::{Name, Newest, WaitingRow};

/// Reads all that is wanted; what is not there is known not to be there afterwards.
pub(super) async fn load(tenancy: &Tenancy<'_>, wanted: &Wanted, loaded: &mut Loaded) -> Result<(), StoreError> {
    let (owners, subjects, names, newest, lines, rows, waiting) = tokio::try_join!(
        owners(tenancy, wanted),
        subjects(tenancy, wanted),
        names(tenancy, wanted),
        newest(tenancy, wanted),
        lines(tenancy, wanted),
        rows(tenancy, wanted),
        waiting(tenancy, wanted),
    )?;
    loaded.owners.extend(wanted.owners.iter().map(|blind| (*blind, None)));
    loaded.owners.extend(owners.owners);
    loaded.subjects.extend(wanted.subjects.iter().map(|key| (key.clone(), None)));
    loaded.subjects.extend(subjects.subjects);
    loaded.names.extend(wanted.names.iter().map(|key| (key.clone(), Vec::new())));
    loaded.names.extend(names.names);
    loaded.newest.extend(wanted.newest.iter().map(|key| (key.clone(), None)));
    loaded.newest.extend(newest.newest);
    loaded.lines.extend(wanted.lines.iter().map(|line| (line.clone(), 0)));
    loaded.lines.extend(lines.lines);
    loaded.rows.extend(wanted.rows.iter().map(|key| (key.clone(), None)));
    loaded.rows.extend(rows.rows);
    loaded.waiting.extend(wanted.waiting.iter().map(|blind| (*blind, Vec::new())));
    loaded.waiting.extend(waiting.waiting);
    loaded.names_of_waiting.extend(waiting.names_of_waiting);
    Ok(())
}

/// Whether rows of this tenant wait for somebody.
pub(super) async fn somebody_waits(tenancy: &Tenancy<'_>) -> Result<bool, StoreError> {
    let found = tenancy
        .tx
        .one("SELECT 1 FROM waiting_identifiers WHERE tenant = $1 LIMIT 1", &[&tenancy.tenant.as_str()])
        .await?;
    Ok(found.is_some())
}

async fn owners(tenancy: &Tenancy<'_>, wanted: &Wanted) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    if !wanted.owners.is_empty() {
        let blinds: Vec<&[u8]> = wanted.owners.iter().map(|blind| &blind[..]).collect();
        let found = tenancy
            .tx
            .query(
                "SELECT blind, subject FROM identifiers WHERE tenant = $1 AND blind = ANY ($2)",
                &[&tenancy.tenant.as_str(), &blinds],
            )
            .await?;
        for row in &found {
            loaded.owners.insert(row.hash(0)?, Some(row.word(1)?));
        }
    }
    Ok(loaded)
}

async fn subjects(tenancy: &Tenancy<'_>, wanted: &Wanted) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    if !wanted.subjects.is_empty() {
        let keys: Vec<&str> = wanted.subjects.iter().map(|key| key.as_str()).collect();
        let found = tenancy
            .tx
            .query(
                "SELECT subject, version, wrapped, flags FROM subjects WHERE tenant = $1 AND subject = ANY ($2)",
                &[&tenancy.tenant.as_str(), &keys],
            )
            .await?;
        for row in &found {
            if let Some(subject) = read_subject(tenancy.common, &tenancy.keys, row)? {
                loaded.subjects.insert(subject.key.clone(), Some(subject));
            }
        }
    }
    Ok(loaded)
}

async fn names(tenancy: &Tenancy<'_>, wanted: &Wanted) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    if !wanted.names.is_empty() {
        let keys: Vec<&str> = wanted.names.iter().map(|key| key.as_str()).collect();
        let found = tenancy
            .tx
            .query(
                "SELECT subject, system, blind FROM identifiers WHERE tenant = $1 AND subject = ANY ($2)",
                &[&tenancy.tenant.as_str(), &keys],
            )
            .await?;
        for row in &found {
            loaded.names.entry(row.word(0)?).or_default().push((row.word(1)?, row.hash(2)?));
        }
    }
    Ok(loaded)
}

async fn newest(tenancy: &Tenancy<'_>, wanted: &Wanted) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    if !wanted.newest.is_empty() {
        let subjects: Vec<&str> = wanted.newest.iter().map(|(subject, ..)| subject.as_str()).collect();
        let kinds: Vec<&str> = wanted.newest.iter().map(|(_, kind, _)| kind.as_str()).collect();
        let business: Vec<&[u8]> = wanted.newest.iter().map(|(.., business)| &business[..]).collect();
        let found = tenancy
            .tx
            .query(
                "SELECT r.subject, r.kind, r.business, r.record, r.newest, v.digest, v.deleted
                 FROM unnest($2::text[], $3::text[], $4::bytea[]) AS w (subject, kind, business)
                 JOIN records r ON r.tenant = $1 AND r.subject = w.subject AND r.kind = w.kind
                   AND r.business = w.business
                 JOIN record_versions v ON v.tenant = $1 AND v.record = r.record AND v.version = r.newest",
                &[&tenancy.tenant.as_str(), &subjects, &kinds, &business],
            )
            .await?;
        for row in &found {
            let newest =
                Newest { record: row.word(3)?, version: row.number(4)?, digest: row.hash(5)?, deleted: row.of(6)? };
            loaded.newest.insert((row.word(0)?, row.word(1)?, row.hash(2)?), Some(newest));
        }
    }
    Ok(loaded)
}

async fn lines(tenancy: &Tenancy<'_>, wanted: &Wanted) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    if !wanted.lines.is_empty() {
        let subjects: Vec<&str> = wanted.lines.iter().map(|(subject, _)| subject.as_str()).collect();
        let channels: Vec<&str> = wanted.lines.iter().map(|(_, channel)| channel.as_str()).collect();
        let found = tenancy
            .tx
            .query(
                "SELECT w.subject, w.channel, d.next FROM unnest($2::text[], $3::text[]) AS w (subject, channel)
                 CROSS JOIN LATERAL (
                     SELECT coalesce(max(place) + 1, 0) AS next FROM deliveries
                     WHERE tenant = $1 AND subject = w.subject AND channel = w.channel) AS d",
                &[&tenancy.tenant.as_str(), &subjects, &channels],
            )
            .await?;
        for row in &found {
            loaded.lines.insert((row.word(0)?, row.word::<ChannelId>(1)?), row.of(2)?);
        }
    }
    Ok(loaded)
}

async fn rows(tenancy: &Tenancy<'_>, wanted: &Wanted) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    if !wanted.rows.is_empty() {
        let found = exchanges::rows(tenancy.tx, &wanted.rows).await?;
        loaded.rows.extend(found.into_iter().map(|(key, row)| (key, Some(row))));
    }
    Ok(loaded)
}

async fn waiting(tenancy: &Tenancy<'_>, wanted: &Wanted) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    if wanted.waiting.is_empty() {
        return Ok(loaded);
    }
    let blinds: Vec<&[u8]> = wanted.waiting.iter().map(|blind| &blind[..]).collect();
    let found = tenancy
        .tx
        .query(
            "SELECT w.ordinal, w.exchange, w.number, w.sender, w.sealed, i.blind, i.system, i.single_valued
             FROM waiting_rows w JOIN waiting_identifiers i ON i.tenant = w.tenant AND i.ordinal = w.ordinal
             WHERE w.tenant = $1 AND i.tenant = $1 AND w.ordinal IN (
                 SELECT ordinal FROM waiting_identifiers WHERE tenant = $1 AND blind = ANY ($2))
             ORDER BY w.ordinal",
            &[&tenancy.tenant.as_str(), &blinds],
        )
        .await?;
    for row in &found {
        let waiting = WaitingRow {
            ordinal: row.of(0)?,
            exchange: row.word(1)?,
            row: row.number(2)?,
            sender: row.word(3)?,
            sealed: row.of(4)?,
        };
        let name = Name { blind: row.hash(5)?, system: row.word(6)?, is_single: row.of(7)? };
        if wanted.waiting.contains(&name.blind) {
            loaded.waiting.entry(name.blind).or_default().push(waiting.clone());
        }
        loaded.names_of_waiting.entry(waiting.ordinal).or_default().push(name);
    }
    Ok(loaded)
}
