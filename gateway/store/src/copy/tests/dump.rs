//! Every row of every table as it stands, read without the list of tables that a copy goes by.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

use crate::contract::server::Place;

/// Rows by table. An ordinal is told by the row's place among its tenant's.
pub(super) type Dump = BTreeMap<String, Vec<String>>;

/// What a file holds.
pub(super) fn of_file(path: &Path) -> Dump {
    let conn = Connection::open(path).unwrap();
    let mut names =
        conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    names.into_iter().filter(|name| name != "readiness").map(|name| (name.clone(), rows_of(&conn, &name))).collect()
}

fn rows_of(conn: &Connection, table: &str) -> Vec<String> {
    let mut select = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let names: Vec<String> = select.column_names().map(str::to_owned).collect();
    let mut rows = select.query([]).unwrap();
    let mut found = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let (mut ordinal, mut tenant, mut rest) = (0, String::new(), String::new());
        for (place, name) in names.iter().enumerate() {
            match name.as_str() {
                "ordinal" => ordinal = row.get::<_, i64>(place).unwrap(),
                _ => rest.push_str(&format!("{name}={:?} ", row.get_ref(place).unwrap())),
            }
            if name == "tenant" {
                tenant = row.get(place).unwrap();
            }
        }
        found.push((tenant, ordinal, rest));
    }
    found.sort();
    found.into_iter().map(|(.., rest)| rest).collect()
}

/// What a database holds of these tenants, and of nobody.
pub(super) async fn of_server(place: &Place, tenants: &[&str]) -> Dump {
    let client = place.connect().await;
    let names = client
        .query(
            "SELECT relname::text, EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant'),
                    EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'ordinal')
             FROM pg_class c WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
             AND relname <> 'readiness'",
            &[],
        )
        .await
        .unwrap();
    let mut dump = Dump::new();
    for name in names {
        let (table, is_of_tenants, has_ordinal): (String, bool, bool) = (name.get(0), name.get(1), name.get(2));
        let order = if has_ordinal { "ordinal, 1" } else { "1" };
        let sql = format!("SELECT (to_jsonb(t) - 'ordinal')::text FROM {table} t ORDER BY {order}");
        let whose = if is_of_tenants { tenants } else { &[""] };
        for tenant in whose {
            client.execute("SELECT set_config('tsunagi.tenant', $1, false)", &[tenant]).await.unwrap();
            let rows = client.query(&sql, &[]).await.unwrap();
            dump.entry(table.clone()).or_default().extend(rows.iter().map(|row| row.get::<_, String>(0)));
        }
    }
    dump
}
