//! The second wall: what the server itself shows a transaction.

use super::fresh;
use crate::contract::given::*;
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

/// The one question across tenants shows logs and no people.
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
}

/// No table with a tenant in it was forgotten.
#[tokio::test]
async fn every_table_of_tenants_has_its_wall() {
    let (store, _place) = fresh!();
    let tx = store.common().connections.look(Scope { tenant: "aoi", senders: "" }).await.unwrap();
    let sql =
        "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'
               WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
                 AND NOT (c.relrowsecurity AND c.relforcerowsecurity)";
    let open: Vec<String> = tx.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(open.is_empty(), "{open:?}");
}

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
