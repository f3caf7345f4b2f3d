//! The second wall: what the server itself shows a transaction.

use super::fresh;
use crate::contract::given::*;
use crate::postgres::PostgresStore;
use crate::postgres::pool::{EVERY_LOG, Scope};
use crate::{Note, Store, StoreError};

/// Every table with a tenant's rows.
const TABLES: [&str; 15] = [
    "audit_leaves",
    "audit_lengths",
    "audit_subtrees",
    "checkpoints",
    "deliveries",
    "directives",
    "exchange_rows",
    "identifiers",
    "links",
    "record_versions",
    "records",
    "subjects",
    "tenant_keys",
    "waiting_identifiers",
    "waiting_rows",
];

/// Something of both tenants in every table.
async fn fill(store: &Shared) {
    for (n, tenant) in [(1, aoi()), (2, kita())] {
        let waits = crate::NewRecord { new_subject: None, identifiers: vec![recipient(9)], ..vaccination(9) };
        let rows = vec![row(1, delivered(1, 1, "to-app")), refused(2, "x"), row(3, waits)];
        durable(store.accept(&tenant, whole(head(n), rows)).await);
        store.record_directive(&tenant, directive(1, 1), event(1)).await.unwrap();
        let link =
            crate::Link { relationship: crate::Relationship::Proxy, from: jiff::civil::date(2026, 4, 1), until: None };
        store.link_subject(&tenant, &recipient(1), "issuer", "sub", link, event(1)).await.unwrap();
        seal(store, &tenant, 9).await;
        let subtree = crate::KeptSubtree { level: 1, index: 0, root: [1; 32] };
        store.keep_subtrees(&tenant, vec![subtree]).await.unwrap();
    }
}

#[tokio::test]
async fn a_transaction_sees_one_tenant_whatever_it_asks_for() {
    let (store, place) = fresh!();
    assert!(!store.sees_through_the_wall().await.unwrap(), "these tests work as a role that the wall binds");
    let store = std::sync::Arc::new(store);
    let shared: Shared = std::sync::Arc::clone(&store) as Shared;
    fill(&shared).await;
    let tx = store.common().connections.look(Scope { tenant: "aoi", senders: "" }).await.unwrap();
    for table in TABLES {
        let count = async |whose: &str| -> i64 {
            let sql = format!("SELECT count(*) FROM {table} WHERE tenant = $1");
            tx.query(&sql, &[&whose]).await.unwrap()[0].get(0)
        };
        assert!(count("aoi").await > 0, "{table}: there is something to see");
        assert_eq!(count("kita").await, 0, "{table}: of the other tenant nothing");
        // A part of the table, asked for by its own name, is no way round.
        for part in 0..8 {
            let sql = format!("SELECT count(*) FROM {table}_{part}");
            assert_eq!(tx.query(&sql, &[]).await.unwrap()[0].get::<_, i64>(0), 0, "{table}_{part}");
        }
    }
    drop(tx);
    // Nor can it write where it cannot read.
    let tx = store.common().connections.begin(Scope { tenant: "aoi", senders: "" }).await.unwrap();
    let planted = tx
        .execute("INSERT INTO subjects (tenant, subject, wrapped, version, flags) VALUES ('kita', 's', '', 1, '')", &[])
        .await;
    assert!(matches!(planted, Err(StoreError::Corrupt(_))), "{planted:?}");
    drop(tx);
    // A transaction that does not say whose it is sees nothing at all.
    let client = place.connect().await;
    for table in TABLES {
        let seen: i64 = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0);
        assert_eq!(seen, 0, "{table}");
    }
}

/// A sender's scope is for reading its receipts: it takes nothing away and changes nothing in another tenant.
#[tokio::test]
async fn a_senders_scope_only_reads() {
    let (store, _place) = fresh!();
    let store = std::sync::Arc::new(store);
    let shared: Shared = std::sync::Arc::clone(&store) as Shared;
    fill(&shared).await;
    let sender = clinic();
    let tx = store.common().connections.begin(Scope { tenant: "aoi", senders: sender.as_str() }).await.unwrap();
    let seen = tx.query("SELECT 1 FROM exchange_rows WHERE tenant = 'kita'", &[]).await.unwrap();
    assert!(!seen.is_empty(), "there is something to take away");
    for sql in [
        "DELETE FROM exchange_rows WHERE tenant = 'kita'",
        "UPDATE exchange_rows SET number = number WHERE tenant = 'kita'",
    ] {
        assert_eq!(tx.execute(sql, &[]).await.unwrap(), 0, "{sql}");
    }
    // The server waits for who has not ended before it lets the tables go.
    tx.end(Ok(())).await.unwrap();
}

/// No table with a tenant in it was forgotten.
#[tokio::test]
async fn every_table_of_tenants_has_its_wall() {
    let (store, _place) = fresh!();
    let mut walled = walled(&store).await;
    walled.retain(|table| !table.ends_with(|end: char| end.is_ascii_digit()));
    let mut all = TABLES.map(str::to_owned).to_vec();
    all.push("audit_trails".to_owned());
    all.sort();
    assert_eq!(walled, all);
}

/// Every table with a tenant in it, in order, by what the server says of it. Fails if one of them, or a part of it, shows
/// more than the rows of a transaction's own tenant.
pub(super) async fn walled(store: &PostgresStore) -> Vec<String> {
    let tx = store.common().connections.look(Scope { tenant: "aoi", senders: "" }).await.unwrap();
    let names = async |sql: &str| -> Vec<String> {
        let rows = tx.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    let tables = "SELECT c.relname::text FROM pg_class c
                  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'
                  WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace";
    let open = names(&format!("{tables} AND NOT (c.relrowsecurity AND c.relforcerowsecurity)")).await;
    assert!(open.is_empty(), "no wall around {open:?}");
    let own = "'(tenant = current_setting(''tsunagi.tenant''::text, true))'";
    let open = names(&format!(
        "{tables} AND NOT c.relispartition AND NOT EXISTS (
             SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polcmd = '*'
                 AND pg_get_expr(p.polqual, c.oid) = {own} AND pg_get_expr(p.polwithcheck, c.oid) = {own})"
    ))
    .await;
    assert!(open.is_empty(), "no policy on {open:?}");
    let more = names(
        "SELECT c.relname || ': ' || p.polname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
         WHERE c.relnamespace = current_schema()::regnamespace AND p.polname <> 'of_tenant'
             AND (p.polcmd <> 'r' OR c.relispartition OR p.polname NOT IN ('of_logs', 'of_sender'))",
    )
    .await;
    assert!(more.is_empty(), "policies that let through more: {more:?}");
    let all = names(&format!("{tables} ORDER BY 1")).await;
    tx.end(Ok(all)).await.unwrap()
}

/// The one question across tenants shows logs and no people.
#[tokio::test]
async fn who_asks_for_logs_sees_nothing_else() {
    let (store, _place) = fresh!();
    let store = std::sync::Arc::new(store);
    let shared: Shared = std::sync::Arc::clone(&store) as Shared;
    fill(&shared).await;
    let tx = store.common().connections.begin(Scope { tenant: EVERY_LOG, senders: "" }).await.unwrap();
    for table in TABLES {
        let seen: i64 = tx.query(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap()[0].get(0);
        let is_of_logs = matches!(table, "audit_leaves" | "audit_lengths" | "checkpoints" | "tenant_keys");
        assert_eq!(seen > 0, is_of_logs, "{table}");
    }
    let changed = tx.execute("UPDATE audit_lengths SET size = 0", &[]).await.unwrap();
    assert_eq!(changed, 0, "and changes nothing");
    tx.end(Ok(())).await.unwrap();
}

/// What is noted for an unknown tenant that is said to hold something makes no tenant.
#[tokio::test]
async fn a_stale_note_makes_no_tenant() {
    let (store, _place) = fresh!();
    let note = Note { events: vec![event(1)], rests_on: vec![(subject(1), 1)], directive: None };
    assert!(matches!(store.note(&kita(), note).await, Err(StoreError::Stale)));
    assert_eq!(crate::StoreAdmin::logs(&store).await.unwrap(), [tsunagi_core::id::TenantId::hub()]);
}
