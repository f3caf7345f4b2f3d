//! Whether the destination is what the source is.

use std::collections::BTreeMap;

use serde::Serialize;

use super::row::Sum;
use super::run::Watch;
use super::side::{Destination, Head, Side};
use super::tables::TABLES;
use super::{CopyFault, Phase, Step};
use crate::error::StoreError;

/// What a store can be told by without reading all of it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Picture {
    /// How many rows each table has.
    pub(super) tables: BTreeMap<&'static str, u64>,
    pub(super) heads: Vec<Head>,
}

impl Picture {
    pub(super) async fn of(side: &dyn Side) -> Result<Self, StoreError> {
        let mut tables = BTreeMap::new();
        for table in TABLES {
            let mut rows = 0;
            for owner in side.owners(table).await? {
                rows += side.count(table, owner.as_deref()).await?;
            }
            tables.insert(table.name, rows);
        }
        Ok(Self { tables, heads: side.heads().await? })
    }

    pub(super) fn total(&self) -> u64 {
        self.tables.values().sum()
    }

    pub(super) fn leaves(&self) -> u64 {
        self.tables.get("audit_leaves").copied().unwrap_or(0)
    }
}

/// Reads the destination back: every row counts, and so does every head.
pub(super) async fn compare(
    source: &Picture,
    sums: &BTreeMap<String, Sum>,
    destination: &dyn Destination,
    limit: i64,
    watch: &Watch<'_>,
) -> Result<(), CopyFault> {
    let (mut done, total) = (0, source.total());
    for table in TABLES {
        let mut found = Sum::default();
        for owner in destination.owners(table).await? {
            let mut after = Vec::new();
            loop {
                let rows = destination.page(table, owner.as_deref(), &after, limit).await?;
                let Some(last) = rows.last() else { break };
                let key = table.places(destination.key(table));
                after = key.iter().filter_map(|place| last.get(*place).cloned()).collect();
                rows.iter().for_each(|row| found.add(table, row));
                done += rows.len() as u64;
                if !watch(&Step { phase: Phase::Comparing, what: table.name, done, total }) {
                    return Err(CopyFault::Stopped);
                }
            }
        }
        let went_over = sums.get(table.name).copied().unwrap_or_default();
        let counted = source.tables.get(table.name).copied().unwrap_or(0);
        if found != went_over || found.rows != counted {
            return Err(CopyFault::Differs(table.name.to_owned()));
        }
    }
    let heads = destination.heads().await?;
    let differs = source
        .heads
        .iter()
        .find(|head| !heads.contains(head))
        .or(heads.iter().find(|head| !source.heads.contains(head)));
    differs.map_or(Ok(()), |head| Err(CopyFault::Differs(format!("log {}", head.tenant))))
}
