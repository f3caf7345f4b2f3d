//! What a statement has to read grows with what it asks for, never with what else is in the tables.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::{Connection, StatementStatus};

use super::keyring;
use crate::contract::given::*;
use crate::sqlite::SqliteStore;
use crate::{Checkpoint, DeliveryFilter, Link, NewRecord, Note, Relationship, SettledState, SubjectRef};

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
    (Arc::new(SqliteStore::start(conn, Arc::new(keyring()), None).unwrap()), statements)
}

#[tokio::test]
async fn dump() {
    let (store, statements) = watched();
    let shared: Shared = Arc::clone(&store) as Shared;
    everything(&shared).await;
    let all: Vec<String> = statements.lock().unwrap().keys().cloned().collect();
    for sql in all {
        let plan = plan(&store, &sql).await;
        println!("{}\n   -> {plan:?}", sql.split_whitespace().collect::<Vec<_>>().join(" "));
    }
}
async fn plan(store: &SqliteStore, sql: &str) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    store
        .write(move |session| {
            let mut statement = session.conn.prepare(&explain)?;
            // Without values for its parameters: they must not be what makes an index fit.
            let mut rows = statement.raw_query();
            let mut details = Vec::new();
            while let Some(row) = rows.next()? {
                details.push(row.get(3)?);
            }
            Ok(details)
        })
        .await
        .unwrap()
}

/// Every call there is, so that every statement of the sources is run.
async fn everything(store: &Shared) {
    keep(store, 1, delivered(1, 1, "to-app")).await;
    let _x = (
        Checkpoint::clone,
        DeliveryFilter::default(),
        Relationship::Proxy,
        |l: Link| l,
        |n: NewRecord| n,
        |n: Note| n,
        |s: SettledState| s,
        |s: SubjectRef| s,
    );
}
