//! Rows of any table, as statements read and write them.

use std::collections::BTreeMap;

use tokio_postgres::types::ToSql;

use crate::copy::tables::{Column, Kind, Table, Wall};
use crate::copy::{Cell, PAGE_BYTES, Row};
use crate::error::StoreError;
use crate::postgres::columns::Columns;
use crate::postgres::pool::Tx;

/// A page ends where its rows have become large, so that they are never all in memory.
pub(super) fn sql_of_page(table: &Table, key: &[&str], conditions: &[String], limit: i64) -> String {
    let columns = |form: fn(&Column) -> String| table.columns.iter().map(form).collect::<Vec<_>>().join(", ");
    let shown = columns(|column| match column.kind {
        Kind::Int => format!("{}::bigint", column.name),
        Kind::Bool | Kind::Bytes | Kind::Text => column.name.to_owned(),
    });
    let names = columns(|column| column.name.to_owned());
    let sizes = table.columns.iter().filter(|column| matches!(column.kind, Kind::Bytes | Kind::Text));
    let size = sizes.map(|column| format!("coalesce(octet_length({}), 0)", column.name)).chain(["0".to_owned()]);
    let size = size.collect::<Vec<_>>().join(" + ");
    let condition = if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
    let order = if key.is_empty() { String::new() } else { format!("ORDER BY {}", key.join(", ")) };
    format!(
        "SELECT {shown} FROM (
             SELECT {names}, sum(row_bytes) OVER ({order}) - row_bytes AS bytes_before FROM (
                 SELECT {names}, {size} AS row_bytes FROM {} WHERE {condition} {order} LIMIT {limit}
             ) AS page
         ) AS page WHERE bytes_before < {PAGE_BYTES} {order}",
        table.name
    )
}

/// The rows of each tenant; all of them where they are no tenant's.
pub(super) fn by_tenant<'r>(table: &Table, rows: &'r [Row]) -> BTreeMap<&'r str, Vec<&'r Row>> {
    let tenant = table.place("tenant").filter(|_| table.wall != Wall::None);
    let mut groups: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let whose = match tenant.and_then(|place| row.get(place)) {
            Some(Cell::Text(tenant)) => tenant.as_str(),
            _ => "",
        };
        groups.entry(whose).or_default().push(row);
    }
    groups
}

/// One statement for many rows: a list for each column.
pub(super) async fn insert(tx: &Tx, table: &Table, rows: &[&Row]) -> Result<(), StoreError> {
    let names = table.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
    let lists = table.columns.iter().zip(1..).map(|(column, place)| format!("${place}::{}[]", word(column.kind)));
    let lists = lists.collect::<Vec<_>>().join(", ");
    let sql = format!("INSERT INTO {} ({names}) SELECT * FROM unnest({lists})", table.name);
    let columns: Vec<Box<dyn ToSql + Sync + '_>> = table
        .columns
        .iter()
        .enumerate()
        .map(|(place, column)| {
            let cells = rows.iter().map(move |row| row.get(place).unwrap_or(&Cell::Empty));
            list(column.kind, cells)
        })
        .collect();
    let parameters: Vec<&(dyn ToSql + Sync)> = columns.iter().map(AsRef::as_ref).collect();
    tx.execute(&sql, &parameters).await.map(drop)
}

pub(super) fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "boolean",
        Kind::Bytes => "bytea",
        Kind::Int => "bigint",
        Kind::Text => "text",
    }
}

fn list<'c>(kind: Kind, cells: impl Iterator<Item = &'c Cell>) -> Box<dyn ToSql + Sync + 'c> {
    match kind {
        Kind::Bool => {
            Box::new(cells.map(|cell| if let Cell::Bool(v) = cell { Some(*v) } else { None }).collect::<Vec<_>>())
        }
        Kind::Bytes => Box::new(
            cells.map(|cell| if let Cell::Bytes(v) = cell { Some(v.as_slice()) } else { None }).collect::<Vec<_>>(),
        ),
        Kind::Int => {
            Box::new(cells.map(|cell| if let Cell::Int(v) = cell { Some(*v) } else { None }).collect::<Vec<_>>())
        }
        Kind::Text => Box::new(
            cells.map(|cell| if let Cell::Text(v) = cell { Some(v.as_str()) } else { None }).collect::<Vec<_>>(),
        ),
    }
}

/// A value of a key.
pub(super) fn parameter(cell: &Cell) -> &(dyn ToSql + Sync) {
    match cell {
        Cell::Bool(value) => value,
        Cell::Bytes(value) => value,
        Cell::Empty => &None::<i64>,
        Cell::Int(value) => value,
        Cell::Text(value) => value,
    }
}

pub(super) fn cell(row: &tokio_postgres::Row, place: usize, column: &Column) -> Result<Cell, StoreError> {
    let cell = match column.kind {
        Kind::Bool => row.of::<Option<bool>>(place)?.map(Cell::Bool),
        Kind::Bytes => row.of::<Option<Vec<u8>>>(place)?.map(Cell::Bytes),
        Kind::Int => row.of::<Option<i64>>(place)?.map(Cell::Int),
        Kind::Text => row.of::<Option<String>>(place)?.map(Cell::Text),
    };
    Cell::of(column, cell)
}
