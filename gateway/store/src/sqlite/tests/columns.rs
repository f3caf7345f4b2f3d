//! What a copy goes by is what the migrations make.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::open;
use crate::copy::tables::{InSqlite, Kind, NOT_COPIED, TABLES};

/// Columns with their type, and whether they may be empty.
type Columns = BTreeMap<String, (String, bool)>;

fn columns(conn: &Connection, table: &str) -> Columns {
    let mut select = conn.prepare("SELECT name, type, \"notnull\" = 0 AND pk = 0 FROM pragma_table_info(?1)").unwrap();
    let found = select.query_map([table], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))).unwrap();
    found.map(Result::unwrap).collect()
}

/// The columns of each index that tells rows apart, in its order.
fn unique(conn: &Connection, table: &str) -> Vec<Vec<String>> {
    let list = |sql: &str, of: &str| -> Vec<String> {
        conn.prepare(sql).unwrap().query_map([of], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let indexes = list("SELECT name FROM pragma_index_list(?1) WHERE \"unique\" AND NOT partial", table);
    let of_index = "SELECT name FROM pragma_index_info(?1) ORDER BY seqno";
    let primary = list("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk", table);
    indexes.iter().map(|index| list(of_index, index)).chain([primary]).collect()
}

#[test]
fn every_table_and_column_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    drop(tokio::runtime::Runtime::new().unwrap().block_on(async { open(&path) }));
    let conn = Connection::open(&path).unwrap();
    let mut tables =
        conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").unwrap();
    let found: BTreeSet<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let listed = TABLES.iter().map(|table| table.name).chain(NOT_COPIED).map(str::to_owned).collect();
    assert_eq!(found, listed, "a table is copied, or is no data");
    for table in TABLES {
        let listed = table.columns.iter().filter_map(|column| {
            let InSqlite::Named(name) = column.in_sqlite else { return None };
            let kind = match column.kind {
                Kind::Bool | Kind::Int => "INTEGER",
                Kind::Bytes => "BLOB",
                Kind::Text => "TEXT",
            };
            Some((name.to_owned(), (kind.to_owned(), column.is_optional)))
        });
        assert_eq!(columns(&conn, table.name), listed.collect(), "{}", table.name);
        let key = table.places(table.key_in_sqlite).into_iter().map(|place| match table.columns[place].in_sqlite {
            InSqlite::Named(name) => name.to_owned(),
            InSqlite::WorkedOut(_) => panic!("{}: a key is read by an index", table.name),
        });
        let (key, unique) = (key.collect::<Vec<_>>(), unique(&conn, table.name));
        assert_eq!(key.len(), table.key_in_sqlite.len(), "{}", table.name);
        assert!(unique.contains(&key), "{}: {key:?} is none of {unique:?}", table.name);
    }
}

/// So that no page has to wait for another.
#[test]
fn references_lead_to_earlier_tables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    drop(tokio::runtime::Runtime::new().unwrap().block_on(async { open(&path) }));
    let conn = Connection::open(&path).unwrap();
    for (place, table) in TABLES.iter().enumerate() {
        let mut select = conn.prepare("SELECT DISTINCT \"table\" FROM pragma_foreign_key_list(?1)").unwrap();
        let parents: Vec<String> =
            select.query_map([table.name], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        for parent in parents {
            assert!(TABLES[..place].iter().any(|earlier| earlier.name == parent), "{} before {parent}", table.name);
        }
    }
}
