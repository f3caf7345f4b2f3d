//! What a copy goes by is what the migrations make.

use std::collections::{BTreeMap, BTreeSet};

use super::fresh;
use crate::copy::tables::{Kind, NOT_COPIED, TABLES, Wall};

/// Columns with their type, and whether they may be empty.
type Columns = BTreeMap<String, (String, bool)>;

#[tokio::test]
async fn every_table_and_column_is_copied() {
    let (_store, place) = fresh!();
    let client = place.connect().await;
    let here = "relnamespace = current_schema()::regnamespace";
    let sql = format!(
        "SELECT relname::text, relrowsecurity FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND {here}"
    );
    let found = client.query(&sql, &[]).await.unwrap();
    let walls: BTreeMap<String, bool> = found.iter().map(|row| (row.get(0), row.get(1))).collect();
    let listed: BTreeSet<&str> = TABLES.iter().map(|table| table.name).chain(NOT_COPIED).collect();
    assert_eq!(walls.keys().map(String::as_str).collect::<BTreeSet<_>>(), listed, "a table is copied, or is no data");
    let columns = client
        .prepare(
            "SELECT column_name::text, data_type::text, is_nullable = 'YES' FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name = $1",
        )
        .await
        .unwrap();
    let unique = client
        .prepare(
            "SELECT array_agg(a.attname::text ORDER BY k.place) FROM pg_index i
             CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (attribute, place)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attribute
             WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indpred IS NULL GROUP BY i.indexrelid",
        )
        .await
        .unwrap();
    for table in TABLES {
        let found = client.query(&columns, &[&table.name]).await.unwrap();
        let found: Columns = found.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
        let listed: Columns = table
            .columns
            .iter()
            .map(|column| {
                let kind = match column.kind {
                    Kind::Bool => "boolean",
                    Kind::Bytes => "bytea",
                    Kind::Int if column.name == "sole" => "integer",
                    Kind::Int => "bigint",
                    Kind::Text => "text",
                };
                (column.name.to_owned(), (kind.to_owned(), column.is_optional))
            })
            .collect();
        assert_eq!(found, listed, "{}", table.name);

        let indexes = client.query(&unique, &[&table.name]).await.unwrap();
        let indexes: Vec<Vec<String>> = indexes.iter().map(|row| row.get(0)).collect();
        assert!(
            indexes.iter().any(|index| index == table.key),
            "{}: {:?} is none of {indexes:?}",
            table.name,
            table.key
        );
        let wall = match table.wall {
            Wall::None => None,
            Wall::Sender => Some("sender"),
            Wall::Tenant => Some("tenant"),
        };
        assert_eq!(walls[table.name], wall.is_some(), "{}: what the server hides is read by its owner", table.name);
        assert!(wall.is_none_or(|column| table.key[0] == column), "{}", table.name);
    }
}
