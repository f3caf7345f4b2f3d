//! What live traffic could not map.

use jiff::civil::Date;
use tokio_postgres::Row;
use tsunagi_core::coverage::{Coverage, CoverageLine, Gap, GapKind, MOST_GAPS};

use super::columns::Columns;
use super::pool::Tx;
use crate::error::StoreError;
use crate::tables::count;

/// See [`crate::StoreAdmin::add_coverage`].
pub(super) async fn add(tx: &Tx, day: Date, coverage: &Coverage) -> Result<(), StoreError> {
    // One node at a time, so that two of them never wait for each other's lines: by a row that is always there, for not
    // every server locks a whole table.
    tx.one("SELECT version FROM registry_version WHERE sole = 1 FOR UPDATE", &[]).await?;
    for (gap, rows) in coverage.iter() {
        if !grow(tx, day, gap, rows).await? {
            let is_full = gaps_of(tx, day, gap).await? >= MOST_GAPS;
            let gap = if is_full { gap.clone().untold() } else { gap.clone() };
            put(tx, day, &gap, rows).await?;
        }
    }
    Ok(())
}

/// See [`crate::StoreAdmin::coverage`].
pub(super) async fn list(tx: &Tx, since: Option<Date>) -> Result<Vec<CoverageLine>, StoreError> {
    let since = since.map(|day| day.to_string());
    let found = tx
        .query(
            "SELECT channel, kind, place, what, sum(rows)::bigint, min(day), max(day) FROM coverage
             WHERE $1::text IS NULL OR day >= $1
             GROUP BY channel, kind, place, what
             ORDER BY sum(rows) DESC, channel, kind, place, what",
            &[&since],
        )
        .await?;
    found.iter().map(line).collect()
}

/// Adds to a count that is there.
async fn grow(tx: &Tx, day: Date, gap: &Gap, rows: u64) -> Result<bool, StoreError> {
    let (day, what) = (day.to_string(), gap.what.as_deref().unwrap_or_default());
    let changed = tx
        .execute(
            "UPDATE coverage SET rows = rows + $6
             WHERE channel = $1 AND day = $2 AND kind = $3 AND place = $4 AND what = $5",
            &[&gap.channel.as_str(), &day, &gap.kind.as_str(), &gap.place, &what, &count(rows)?],
        )
        .await?;
    Ok(changed > 0)
}

async fn put(tx: &Tx, day: Date, gap: &Gap, rows: u64) -> Result<(), StoreError> {
    let (day, what) = (day.to_string(), gap.what.as_deref().unwrap_or_default());
    tx.execute(
        "INSERT INTO coverage (channel, day, kind, place, what, rows) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (channel, day, kind, place, what) DO UPDATE SET rows = coverage.rows + excluded.rows",
        &[&gap.channel.as_str(), &day, &gap.kind.as_str(), &gap.place, &what, &count(rows)?],
    )
    .await
    .map(drop)
}

async fn gaps_of(tx: &Tx, day: Date, gap: &Gap) -> Result<usize, StoreError> {
    let day = day.to_string();
    let found =
        tx.one("SELECT count(*) FROM coverage WHERE channel = $1 AND day = $2", &[&gap.channel.as_str(), &day]).await?;
    found.map_or(Ok(0), |row| row.number(0))
}

fn line(row: &Row) -> Result<CoverageLine, StoreError> {
    let kind = GapKind::parse(row.of(1)?).ok_or_else(|| StoreError::Corrupt("a gap is of no kind".to_owned()))?;
    let what: String = row.of(3)?;
    let gap = Gap { channel: row.word(0)?, kind, place: row.of(2)?, what: Some(what).filter(|what| !what.is_empty()) };
    Ok(CoverageLine { gap, rows: row.number(4)?, first: row.word(5)?, last: row.word(6)? })
}
