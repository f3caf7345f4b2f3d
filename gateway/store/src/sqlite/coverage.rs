//! What live traffic could not map.

use jiff::civil::Date;
use rusqlite::{Connection, Row};
use tsunagi_core::coverage::{Coverage, CoverageLine, Gap, GapKind, MOST_GAPS};

use super::convert::{Columns, count};
use super::session::Session;
use crate::error::StoreError;

/// See [`crate::StoreAdmin::add_coverage`].
pub(super) fn add(session: &Session<'_>, day: Date, coverage: &Coverage) -> Result<(), StoreError> {
    for (gap, rows) in coverage.iter() {
        if !grow(session.conn, day, gap, rows)? {
            let is_full = gaps_of(session.conn, day, gap)? >= MOST_GAPS;
            let gap = if is_full { gap.clone().untold() } else { gap.clone() };
            put(session.conn, day, &gap, rows)?;
        }
    }
    Ok(())
}

/// See [`crate::StoreAdmin::coverage`].
pub(super) fn list(session: &Session<'_>, since: Option<Date>) -> Result<Vec<CoverageLine>, StoreError> {
    let mut select = session.conn.prepare_cached(
        "SELECT channel, kind, place, what, sum(rows), min(day), max(day) FROM coverage
         WHERE ?1 IS NULL OR day >= ?1
         GROUP BY channel, kind, place, what
         ORDER BY sum(rows) DESC, channel, kind, place, what",
    )?;
    let found = select.query_map([since.map(|day| day.to_string())], line)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Adds to a count that is there.
fn grow(conn: &Connection, day: Date, gap: &Gap, rows: u64) -> Result<bool, StoreError> {
    let changed = conn
        .prepare_cached(
            "UPDATE coverage SET rows = rows + ?6
             WHERE channel = ?1 AND day = ?2 AND kind = ?3 AND place = ?4 AND what = ?5",
        )?
        .execute((
            gap.channel.as_str(),
            day.to_string(),
            gap.kind.as_str(),
            &gap.place,
            gap.what.as_deref().unwrap_or_default(),
            count(rows)?,
        ))?;
    Ok(changed > 0)
}

fn put(conn: &Connection, day: Date, gap: &Gap, rows: u64) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO coverage (channel, day, kind, place, what, rows) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (channel, day, kind, place, what) DO UPDATE SET rows = rows + excluded.rows",
    )?
    .execute((
        gap.channel.as_str(),
        day.to_string(),
        gap.kind.as_str(),
        &gap.place,
        gap.what.as_deref().unwrap_or_default(),
        count(rows)?,
    ))?;
    Ok(())
}

fn gaps_of(conn: &Connection, day: Date, gap: &Gap) -> Result<usize, StoreError> {
    let mut select = conn.prepare_cached("SELECT count(*) FROM coverage WHERE channel = ?1 AND day = ?2")?;
    Ok(select.query_row((gap.channel.as_str(), day.to_string()), |row| row.number(0))?)
}

fn line(row: &Row<'_>) -> rusqlite::Result<CoverageLine> {
    let kind = GapKind::parse(row.get_ref(1)?.as_str().unwrap_or_default());
    let kind =
        kind.ok_or_else(|| rusqlite::Error::InvalidColumnType(1, "kind".to_owned(), rusqlite::types::Type::Text))?;
    let what: String = row.get(3)?;
    let gap = Gap { channel: row.word(0)?, kind, place: row.get(2)?, what: Some(what).filter(|what| !what.is_empty()) };
    Ok(CoverageLine { gap, rows: row.number(4)?, first: row.word(5)?, last: row.word(6)? })
}
