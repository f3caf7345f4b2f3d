//! The tables, step by step. A step only ever adds, so that older nodes go on while newer ones start.

use tsunagi_core::id::TenantId;

use super::columns::Columns;
use super::pool::{Scope, Tx};
use super::tenancy::{Common, Tenancy};
use crate::copy::unfinished;
use crate::error::StoreError;

/// From one version of the tables to the next.
pub(super) struct Step {
    /// What they are then.
    pub(super) version: i64,
    /// The oldest version whose releases can still work on them.
    pub(super) oldest: i64,
    /// What it adds.
    pub(super) statements: &'static str,
    /// The parts of the tables that it makes, and whose rows a transaction sees of them.
    pub(super) walls: fn() -> String,
}

/// Each step once, in order and in a transaction of its own; a step that was released is never changed. Of the tables that
/// are there a step changes one: a second lock could wait for a transaction of an older node that waits for the first.
pub(super) const STEPS: [Step; 1] =
    [Step { version: 1, oldest: 1, statements: include_str!("migrations/0001_tables.sql"), walls: first_walls }];

/// Tables of a tenant's rows, of the first step.
const OF_TENANTS: [&str; 15] = [
    "audit_leaves",
    "audit_lengths",
    "audit_subtrees",
    "audit_trails",
    "checkpoints",
    "deliveries",
    "directives",
    "identifiers",
    "links",
    "record_versions",
    "records",
    "subjects",
    "tenant_keys",
    "waiting_identifiers",
    "waiting_rows",
];

/// Tables of which it may be asked whose rows there are.
const OF_LOGS: [&str; 4] = ["audit_leaves", "audit_lengths", "checkpoints", "tenant_keys"];

/// How many parts a table has. Many more would make each statement plan longer.
const PARTS: u32 = 8;

/// Steps are run by one node at a time: a number for the server's lock, of no other meaning.
const LOCK: i64 = 0x7473_756e_6167_6901;

/// The version these sources write.
pub(super) fn newest() -> i64 {
    STEPS.last().map_or(0, |step| step.version)
}

/// The version of the tables, 0 where there are none. Refuses tables that this release would misread.
pub(super) async fn version(tx: &Tx) -> Result<i64, StoreError> {
    let table = tx.one("SELECT to_regclass('schema_version')::text", &[]).await?;
    let table: Option<String> = table.map(|row| row.of(0)).transpose()?.flatten();
    if table.is_none() {
        return Ok(0);
    }
    let said = tx.one("SELECT version, oldest FROM schema_version WHERE sole = 1", &[]).await?;
    let said = said.ok_or_else(|| StoreError::Corrupt("the database does not say its schema version".to_owned()))?;
    let (found, oldest): (i64, i64) = (said.of(0)?, said.of(1)?);
    if oldest > newest() {
        return Err(StoreError::Corrupt(format!(
            "the database has schema version {found}, for which {oldest} is the oldest that works; this release knows {}",
            newest()
        )));
    }
    Ok(found)
}

/// True if this is another store's copy, and not whole.
pub(super) async fn is_unfinished(tx: &Tx) -> Result<bool, StoreError> {
    let found = tx.one("SELECT to_regclass('unfinished_copy') IS NOT NULL", &[]).await?;
    found.map_or(Ok(false), |row| row.of(0))
}

/// Refuses such a store: part of what it should know is not there yet.
pub(super) async fn refuse_unfinished(tx: &Tx) -> Result<(), StoreError> {
    if is_unfinished(tx).await? { Err(unfinished()) } else { Ok(()) }
}

/// Runs the steps that are missing. New tables get the hub's key at once, by which this store knows its master key from
/// then on.
pub(super) async fn migrate(common: &Common) -> Result<(), StoreError> {
    migrate_by(common, &STEPS).await
}

pub(super) async fn migrate_by(common: &Common, all: &[Step]) -> Result<(), StoreError> {
    let hub = TenantId::hub();
    loop {
        let tx = common.connections.begin(Scope { tenant: hub.as_str(), senders: "" }).await?;
        let outcome = next(&tx, common, &hub, all).await;
        if !tx.end(outcome).await? {
            return check_master_key(common).await;
        }
    }
}

/// Runs the first step that is missing; false if none is.
async fn next(tx: &Tx, common: &Common, hub: &TenantId, all: &[Step]) -> Result<bool, StoreError> {
    tx.query("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let found = version(tx).await?;
    let Some(Step { version, oldest, statements, walls }) = all.iter().find(|step| step.version > found) else {
        return Ok(false);
    };
    if found == 0 {
        tx.run(
            "CREATE TABLE schema_version (sole INTEGER PRIMARY KEY CHECK (sole = 1), version BIGINT NOT NULL,
                                          oldest BIGINT NOT NULL);
             INSERT INTO schema_version (sole, version, oldest) VALUES (1, 0, 0);",
        )
        .await?;
    }
    tx.run(statements).await?;
    tx.run(&walls()).await?;
    tx.execute("UPDATE schema_version SET version = $1, oldest = $2 WHERE sole = 1", &[version, oldest]).await?;
    if found == 0 {
        Tenancy::enter(tx, common, hub).await?.close().await?;
    }
    Ok(true)
}

/// The walls of the first step's tables. A part that is asked for by its own name shows nothing.
fn first_walls() -> String {
    let mut sql = String::new();
    for table in OF_TENANTS {
        of_tenant(&mut sql, table);
    }
    for table in OF_LOGS {
        sql.push_str(&format!(
            "CREATE POLICY of_logs ON {table} FOR SELECT USING (current_setting('tsunagi.tenant', true) = '*');"
        ));
    }
    of_tenant(&mut sql, "exchange_rows");
    let senders = "sender = ANY (string_to_array(current_setting('tsunagi.senders', true), ','))";
    // A sender's receipt is read in whatever tenant its rows are; written is in one's own alone.
    sql.push_str(&format!("CREATE POLICY of_sender ON exchange_rows FOR SELECT USING ({senders});"));
    // An exchange says who sent something when, and nothing of anybody: it is nobody's but the sender's.
    parts(&mut sql, "exchanges", "");
    sql
}

/// A table of a tenant's rows: a transaction reads and writes those of its own tenant.
pub(super) fn of_tenant(sql: &mut String, table: &str) {
    let rows = "ENABLE ROW LEVEL SECURITY";
    sql.push_str(&format!("ALTER TABLE {table} {rows}; ALTER TABLE {table} FORCE ROW LEVEL SECURITY;"));
    parts(sql, table, rows);
    let own = "tenant = current_setting('tsunagi.tenant', true)";
    sql.push_str(&format!("CREATE POLICY of_tenant ON {table} USING ({own}) WITH CHECK ({own});"));
}

fn parts(sql: &mut String, table: &str, rows: &str) {
    for part in 0..PARTS {
        let name = format!("{table}_{part}");
        sql.push_str(&format!(
            "CREATE TABLE {name} PARTITION OF {table} FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {part});"
        ));
        if !rows.is_empty() {
            sql.push_str(&format!("ALTER TABLE {name} {rows}; ALTER TABLE {name} FORCE ROW LEVEL SECURITY;"));
        }
    }
}

/// Refuses a master key that this store was not made with, before anything is written under it.
pub(super) async fn check_master_key(common: &Common) -> Result<(), StoreError> {
    let hub = TenantId::hub();
    let tx = common.connections.look(Scope { tenant: hub.as_str(), senders: "" }).await?;
    let keys = common.read_keys(&tx, &hub).await;
    match tx.end(keys).await {
        Ok(Some(keys)) => {
            common.set_hub(keys);
            Ok(())
        }
        Ok(None) => Err(StoreError::Corrupt("the hub's key is gone".to_owned())),
        Err(StoreError::Corrupt(_)) => {
            Err(StoreError::Corrupt("the master key is not the one this store was made with".to_owned()))
        }
        Err(other) => Err(other),
    }
}
