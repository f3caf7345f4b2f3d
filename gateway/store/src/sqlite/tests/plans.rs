//! What a statement has to read grows with what it asks for, never with what else is in the tables.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::{Connection, StatementStatus};

use tsunagi_core::registry::RegistryEntries;

use super::keyring;
use crate::contract::given::*;
use crate::sqlite::SqliteStore;
use crate::sqlite::session::Common;
use crate::{DeliveryFilter, Link, NewRecord, Note, Relationship, RowPage, SettledState, SubjectRef};

/// Every statement that was run, with the steps of SQLite's machine that it took so far.
type Statements = Arc<Mutex<BTreeMap<String, i64>>>;

fn watched() -> (Arc<SqliteStore>, Statements) {
    let statements = Statements::default();
    let seen = Arc::clone(&statements);
    let mut conn = Connection::open_in_memory().unwrap();
    let watch = move |event: TraceEvent<'_>| {
        if let TraceEvent::Profile(statement, _) = event {
            let steps = statement.get_status(StatementStatus::VmStep);
            seen.lock().unwrap().insert(statement.sql().into_owned(), i64::from(steps));
        }
    };
    conn.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(watch)).unwrap();
    let store = SqliteStore::start(conn, Arc::new(Common::new(keyring())), None).unwrap();
    // The tables are there now; how they were made does not count.
    statements.lock().unwrap().clear();
    (Arc::new(store), statements)
}

/// Lines of plans that read more than they are asked for, on purpose.
const ALLOWED: [&str; 4] = [
    // The newest exchanges of all senders, for the operator: it ends with its limit.
    "SCAN exchanges USING INDEX exchanges_by_time",
    // A table of tables, for readiness.
    "SCAN sqlite_schema",
    // Whether anybody is waited for: it ends with the first row.
    "SEARCH waiting_identifiers USING PRIMARY KEY (tenant=?)",
    // All deliveries of a tenant by age, for the operator.
    "SEARCH deliveries USING INDEX sqlite_autoindex_deliveries_1 (tenant=?)",
];

/// Tables that have few rows for each tenant, or are read in order from a place.
const OF_A_TENANT: [&str; 4] = ["audit_leaves", "audit_lengths", "checkpoints", "tenant_keys"];

#[tokio::test]
async fn no_statement_reads_what_it_is_not_asked_for() {
    let (store, statements) = watched();
    let shared: Shared = Arc::clone(&store) as Shared;
    everything(&shared).await;
    let all: Vec<String> = statements.lock().unwrap().keys().cloned().collect();
    let mut lines = 0;
    for sql in all {
        for line in plan(&store, &sql).await {
            lines += 1;
            let is_of_a_tenant = OF_A_TENANT.iter().any(|table| line.starts_with(&format!("SEARCH {table} ")));
            let is_wide = line.starts_with("SCAN") || line.contains("AUTOMATIC") || line.ends_with("(tenant=?)");
            assert!(!is_wide || is_of_a_tenant || ALLOWED.contains(&line.as_str()), "{line}\nin {sql}");
        }
    }
    assert!(lines > 40, "{lines} lines are not the plans of all calls");
}

/// The statements that every lookup, claim and row runs, by a part of their text, and how they have to be run.
const HOT: [(&str, &[&str]); 9] = [
    (
        "r.kind = ?3 AND v.deleted = 0",
        &[
            "SEARCH r USING INDEX records_of_subject (tenant=? AND subject=? AND kind=?)",
            "SEARCH v USING INDEX sqlite_autoindex_record_versions_1 (tenant=? AND record=? AND version=?)",
        ],
    ),
    (
        "r.kind = ?3 AND r.business = ?4",
        &[
            "SEARCH r USING INDEX records_of_subject (tenant=? AND subject=? AND kind=? AND business=?)",
            "SEARCH v USING INDEX sqlite_autoindex_record_versions_1 (tenant=? AND record=? AND version=?)",
        ],
    ),
    ("SET lease_until = ?3", &["SEARCH deliveries USING INDEX deliveries_by_batch (tenant=? AND batch=?)"]),
    (
        "batch = ?2 AND batch IS NOT NULL AND state = 'pending' ORDER BY",
        &["SEARCH deliveries USING INDEX deliveries_by_batch (tenant=? AND batch=?)"],
    ),
    (
        "SELECT d.ordinal",
        &[
            "SEARCH d USING INDEX deliveries_due (tenant=? AND channel=?)",
            "CORRELATED SCALAR SUBQUERY 1",
            "SEARCH e USING INDEX deliveries_unsettled (tenant=? AND subject=? AND channel=? AND place<?)",
        ],
    ),
    (
        "v.sealed, d.subject FROM deliveries d",
        &[
            "SEARCH d USING INDEX sqlite_autoindex_deliveries_1 (tenant=? AND delivery=?)",
            "SEARCH v USING INDEX sqlite_autoindex_record_versions_1 (tenant=? AND record=? AND version=?)",
        ],
    ),
    ("ORDER BY ends_at DESC", &["SEARCH directives USING INDEX directives_by_end (tenant=? AND subject=?)"]),
    (
        "FROM identifiers i",
        &["SEARCH i USING PRIMARY KEY (tenant=? AND blind=?)", "SEARCH s USING PRIMARY KEY (tenant=? AND subject=?)"],
    ),
    (
        "FROM waiting_identifiers i",
        &["SEARCH i USING PRIMARY KEY (tenant=? AND blind=?)", "SEARCH w USING INTEGER PRIMARY KEY (rowid=?)"],
    ),
];

#[tokio::test]
async fn a_hot_statement_uses_its_index() {
    let (store, statements) = watched();
    let shared: Shared = Arc::clone(&store) as Shared;
    everything(&shared).await;
    let all: Vec<String> = statements.lock().unwrap().keys().cloned().collect();
    for (part, expected) in HOT {
        let of = all.iter().filter(|sql| sql.contains(part)).collect::<Vec<_>>();
        assert_eq!(of.len(), 1, "{part}");
        assert_eq!(plan(&store, of[0]).await, expected, "{part}");
    }
}

/// Twenty thousand people with a record and a delivery each.
const OTHERS: &str = "
    CREATE TEMP TABLE n AS
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        SELECT i, printf('su-%032x', i) AS subject, printf('rc-%032x', i) AS record FROM n;
    INSERT INTO subjects SELECT s.tenant, n.subject, s.wrapped, s.version, s.flags FROM subjects s, n;
    INSERT INTO records SELECT r.tenant, n.record, n.subject, r.kind, r.business, r.newest FROM records r, n;
    INSERT INTO record_versions
        SELECT v.tenant, n.record, v.version, v.sealed, v.digest, v.deleted, v.exchange, v.sender, v.recorded_at
        FROM record_versions v, n;
    INSERT INTO deliveries (tenant, delivery, subject, channel, place, record, version, exchange, row, state, attempts,
                            next_at, batch, lease_until)
        SELECT d.tenant, printf('dl-%032x', n.i), n.subject, 'to-others', 0, n.record, d.version, d.exchange, d.row,
               d.state, 1, d.next_at, 'bt-of-another', d.lease_until
        FROM deliveries d, n";

#[tokio::test]
async fn a_lookup_or_claim_costs_the_same_among_many() {
    let (store, statements) = watched();
    let shared: Shared = Arc::clone(&store) as Shared;
    keep(&shared, 1, delivered(1, 1, "to-app")).await;
    assert_eq!(claimed(&shared, claim(1, "to-app", 1)).await.len(), 1);
    let cost = async || {
        let steps = || statements.lock().unwrap().values().sum::<i64>();
        let before = steps();
        assert_eq!(held(&shared, 1).await.unwrap().records.len(), 1);
        let lookup = steps();
        assert_eq!(claimed(&shared, claim(1, "to-app", 1)).await.len(), 1, "the same claim again");
        assert!(claimed(&shared, claim(2, "to-app", 1)).await.is_empty());
        (lookup - before, steps() - lookup)
    };
    cost().await;
    let few = cost().await;
    assert!(few.0 > 10 && few.1 > 10, "{few:?} is what statements cost");
    store.write(|session| Ok(session.conn.execute_batch(OTHERS)?)).await.unwrap();
    // The tables have changed, so the statements are prepared anew: once, before it is measured.
    cost().await;
    let many = cost().await;
    // A search that ends at another row instead of at the end of the index takes a step more.
    assert!(many.0 <= few.0 + 10 && many.1 <= few.1 + 10, "{few:?} among few, {many:?} among many");
}

/// How SQLite goes about a statement, line by line.
async fn plan(store: &SqliteStore, sql: &str) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    store
        .write(move |session| {
            let mut statement = session.conn.prepare(&explain)?;
            let mut rows = statement.raw_query();
            let mut lines = Vec::new();
            while let Some(row) = rows.next()? {
                lines.push(row.get(3)?);
            }
            Ok(lines)
        })
        .await
        .unwrap()
}

/// Every call there is, so that every statement of the sources is run.
async fn everything(store: &Shared) {
    let event = || event(1);
    // Rows of every state: one that waits and is taken up, one that goes on waiting, one refused, one repeated.
    let foreign = |n, identifiers| NewRecord { identifiers, new_subject: None, ..delivered(n, n, "to-app") };
    let single = NewRecord { single_valued: [recipient(1).system].into(), ..delivered(1, 1, "to-app") };
    let rows = vec![
        row(1, foreign(7, vec![recipient(1)])),
        row(2, foreign(8, vec![recipient(1), recipient(2)])),
        row(3, NewRecord { single_valued: [recipient(2).system].into(), ..foreign(9, vec![recipient(2)]) }),
        row(4, single.clone()),
        row(5, NewRecord { record: record("vaccination", "B"), deliveries: vec![], ..single }),
        row(6, delivered(2, 2, "to-app")),
        refused(7, "x"),
    ];
    durable(store.accept(&aoi(), whole(keyed(1, "k"), rows)).await);
    durable(store.accept(&aoi(), whole(keyed(1, "k"), vec![refused(7, "x")])).await);
    store.exchange(&clinic(), &exchange(1), RowPage::FIRST).await.unwrap().unwrap();
    store.rejections(&clinic(), &exchange(1), RowPage::FIRST).await.unwrap();
    store.exchanges(9).await.unwrap();

    let link = Link { relationship: Relationship::Proxy, from: jiff::civil::date(2026, 4, 1), until: None };
    store.link_subject(&aoi(), &recipient(1), "issuer", "sub", link, event()).await.unwrap();
    store.linked(&aoi(), "issuer", "sub").await.unwrap();
    store.record_directive(&aoi(), directive(1, 1), event()).await.unwrap();
    store.withdraw_directive(&aoi(), &subject(1), &directive_id(1), at(5), event()).await.unwrap();
    let sign_in = SubjectRef::SignIn { issuer: "issuer".to_owned(), sub: "sub".to_owned(), subject: None };
    for who in [sign_in, SubjectRef::Record(record_id(1)), SubjectRef::Identifier(recipient(1))] {
        let held = store.held(&aoi(), &who, &[kind("vaccination")]).await.unwrap().unwrap();
        let rests_on = vec![(held.subject, held.version)];
        store.note(&aoi(), Note { events: vec![event()], rests_on, directive: None }).await.unwrap();
    }

    assert!(claimed(store, claim(1, "to-app", 1)).await.len() > 2);
    let dead = SettledState::Ended(tsunagi_core::exchange::DeliveryState::Dead);
    store.settle(&aoi(), &batch(1), vec![settlement(1, dead)]).await.unwrap();
    store.redrive(&aoi(), &delivery(1), at(2), event()).await.unwrap();
    store.batch(&aoi(), &batch(1)).await.unwrap();
    store.delivery(&aoi(), &delivery(1)).await.unwrap();
    for state in [None, Some(tsunagi_core::exchange::DeliveryState::Pending)] {
        store.deliveries(&aoi(), &DeliveryFilter { state, limit: 9 }).await.unwrap();
    }

    seal(store, &aoi(), 3).await;
    store.checkpoints(&aoi()).await.unwrap();
    store.newest_checkpoint(&aoi()).await.unwrap();
    store.keep_subtrees(&aoi(), vec![crate::KeptSubtree { level: 1, index: 0, root: [1; 32] }]).await.unwrap();
    for level in [0, 1] {
        store.tile(&aoi(), tsunagi_core::merkle::Tile { level, index: 0 }).await.unwrap();
    }
    store.index_leaves(&aoi()).await.unwrap();
    for of in [crate::LeavesOf::Everybody, crate::LeavesOf::Subject(subject(1))] {
        store.leaves_of(&aoi(), &of, u64::MAX, 9).await.unwrap();
    }
    let head = crate::WitnessedHead { size: 1, root: [1; 32] };
    store.witness("log", None, head, event()).await.unwrap();
    store.audit_page(&aoi(), 0, 9).await.unwrap();
    store.verify(&aoi(), &signer().public_key(), &|_| ()).await.unwrap();
    store.import_registry(RegistryEntries::default(), event()).await.unwrap();
    store.registry().await.unwrap();
    store.ready().await.unwrap();
}
