//! A database to copy from, or to. Nobody is to have it open: every connection of a hub or a command says its name.

mod rows;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::types::ToSql;
use tsunagi_core::id::TenantId;

use self::rows::{by_tenant, cell, insert, parameter, sql_of_page, word};
use super::columns::Columns;
use super::migrate;
use super::pool::{Connections, EVERY_LOG, Scope, Server, Tx};
use super::store::PostgresStore;
use super::tenancy::Common;
use crate::command::Verdict;
use crate::copy::tables::{TABLES, Table, Wall};
use crate::copy::{Cell, CopyFault, Destination, HEADS, Head, Row, Side, Told, Which, verify_all};
use crate::error::StoreError;
use crate::keys::Keyring;

/// The database.
pub(crate) struct CopyServer {
    common: Common,
    /// Of a source: the transaction that keeps everybody from writing, and that everything is read in.
    held: Option<Tx>,
}

impl CopyServer {
    /// A store that is there. An older one gets the tables of this release first.
    pub(crate) async fn source(server: Server, keyring: Keyring) -> Result<Self, CopyFault> {
        let mut source = Self::open(server, keyring, Which::Source).await?;
        let tx = source.common.connections.look(Scope::default()).await?;
        let version = async {
            migrate::refuse_unfinished(&tx).await?;
            migrate::version(&tx).await
        };
        let version = version.await;
        if tx.end(version).await? == 0 {
            return Err(CopyFault::NoSource);
        }
        migrate::migrate(&source.common).await?;
        source.hold().await?;
        Ok(source)
    }

    /// A database in which there may be nothing yet.
    pub(crate) async fn destination(server: Server, keyring: Keyring) -> Result<Self, CopyFault> {
        let destination = Self::open(server, keyring, Which::Destination).await?;
        let tx = destination.common.connections.look(Scope::default()).await?;
        let version = migrate::version(&tx).await;
        tx.end(version).await?;
        Ok(destination)
    }

    async fn open(server: Server, keyring: Keyring, which: Which) -> Result<Self, CopyFault> {
        let patience = server.connect_timeout;
        // A page is more than a request is, and so is a count of all there is.
        let server = Server { connections: 1, timeout: server.timeout.max(LONGEST), ..server };
        let opened = Self { common: Common::new(Connections::new(&server)?, keyring), held: None };
        // Whoever was just ended is still there for a moment.
        let others_go = async {
            while opened.is_in_use().await? {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Ok::<_, StoreError>(())
        };
        match tokio::time::timeout(patience, others_go).await {
            Ok(gone) => gone?,
            Err(_) => return Err(CopyFault::InUse(which)),
        }
        Ok(opened)
    }

    async fn is_in_use(&self) -> Result<bool, StoreError> {
        let tx = self.common.connections.look(Scope::default()).await?;
        let others = tx
            .one(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'tsunagi' AND pid <> pg_backend_pid()",
                &[],
            )
            .await;
        let others: Option<i64> = tx.end(others).await?.map(|row| row.of(0)).transpose()?;
        Ok(others != Some(0))
    }

    async fn hold(&mut self) -> Result<(), StoreError> {
        let tx = self.common.connections.begin(Scope::default()).await?;
        let tables = TABLES.iter().map(|table| table.name).collect::<Vec<_>>().join(", ");
        tx.run(&format!(
            "SET LOCAL idle_in_transaction_session_timeout = 0; LOCK TABLE {tables} IN SHARE MODE; SET TRANSACTION READ ONLY"
        ))
        .await?;
        self.held = Some(tx);
        Ok(())
    }

    /// Reads what a tenant, or a sender, has.
    async fn ask(
        &self,
        scope: Scope<'_>,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<tokio_postgres::Row>, StoreError> {
        match &self.held {
            Some(tx) => {
                tx.show(scope).await?;
                tx.query(sql, parameters).await
            }
            None => {
                let tx = self.common.connections.look(scope).await?;
                let found = tx.query(sql, parameters).await;
                tx.end(found).await
            }
        }
    }

    async fn words(&self, sql: &str) -> Result<Vec<String>, StoreError> {
        let found = self.ask(Scope { tenant: EVERY_LOG, senders: "" }, sql, &[]).await?;
        found.iter().map(|row| row.of(0)).collect()
    }
}

#[async_trait(?Send)]
impl Side for CopyServer {
    fn key(&self, table: &Table) -> &'static [&'static str] {
        table.key
    }

    async fn hub_key(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let hub = TenantId::hub();
        let sql = "SELECT wrapped FROM tenant_keys WHERE tenant = $1";
        let found = self.ask(Scope { tenant: hub.as_str(), senders: "" }, sql, &[&hub.as_str()]).await?;
        found.first().map(|row| row.of(0)).transpose()
    }

    async fn owners(&self, table: &Table) -> Result<Vec<Option<String>>, StoreError> {
        let owners = match table.wall {
            Wall::None => return Ok(vec![None]),
            Wall::Sender => self.words("SELECT DISTINCT sender FROM exchanges ORDER BY sender").await?,
            Wall::Tenant => {
                self.words(
                    "SELECT tenant FROM tenant_keys UNION SELECT tenant FROM audit_lengths
                     UNION SELECT tenant FROM audit_leaves UNION SELECT tenant FROM checkpoints ORDER BY tenant",
                )
                .await?
            }
        };
        Ok(owners.into_iter().map(Some).collect())
    }

    async fn count(&self, table: &Table, owner: Option<&str>) -> Result<u64, StoreError> {
        let (scope, column) = owned(table, owner);
        let found = match (owner, column) {
            (Some(owner), Some(column)) => {
                let sql = format!("SELECT count(*) FROM {} WHERE {column} = $1", table.name);
                self.ask(scope, &sql, &[&owner]).await?
            }
            _ => self.ask(scope, &format!("SELECT count(*) FROM {}", table.name), &[]).await?,
        };
        found.first().map_or(Ok(0), |row| row.number(0))
    }

    async fn page(
        &self,
        table: &Table,
        owner: Option<&str>,
        after: &[Cell],
        limit: i64,
    ) -> Result<Vec<Row>, StoreError> {
        let (scope, column) = owned(table, owner);
        // Its owner's rows differ in what is left of the key; where that is nothing there is one row.
        let walls = usize::from(column.is_some());
        let (key, behind) = (table.key.get(walls..).unwrap_or_default(), after.get(walls..).unwrap_or_default());
        if key.is_empty() && !after.is_empty() {
            return Ok(Vec::new());
        }
        let mut parameters: Vec<&(dyn ToSql + Sync)> = Vec::new();
        let mut conditions = Vec::new();
        if let (Some(owner), Some(column)) = (&owner, column) {
            parameters.push(owner);
            conditions.push(format!("{column} = $1"));
        }
        if !behind.is_empty() {
            let columns = table.places(key).into_iter().filter_map(|place| table.columns.get(place));
            let places =
                columns.zip(parameters.len() + 1..).map(|(column, place)| format!("${place}::{}", word(column.kind)));
            conditions.push(format!("({}) > ({})", key.join(", "), places.collect::<Vec<_>>().join(", ")));
            parameters.extend(behind.iter().map(parameter));
        }
        let found = self.ask(scope, &sql_of_page(table, key, &conditions, limit), &parameters).await?;
        found
            .iter()
            .map(|row| table.columns.iter().enumerate().map(|(place, column)| cell(row, place, column)).collect())
            .collect()
    }

    async fn heads(&self) -> Result<Vec<Head>, StoreError> {
        let found = self.ask(Scope { tenant: EVERY_LOG, senders: "" }, HEADS, &[]).await?;
        found
            .iter()
            .map(|row| {
                Ok(Head {
                    tenant: row.of(0)?,
                    size: row.of(1)?,
                    sealed: row.of(2)?,
                    seal: hex::encode(row.of::<&[u8]>(3)?),
                    root: row.of::<Option<&[u8]>>(4)?.map(hex::encode),
                })
            })
            .collect()
    }

    async fn next_ordinals(&self) -> Result<Option<BTreeMap<String, i64>>, StoreError> {
        let sql = "SELECT tenant, ordinal FROM audit_lengths";
        let found = self.ask(Scope { tenant: EVERY_LOG, senders: "" }, sql, &[]).await?;
        found.iter().map(|row| Ok((row.of(0)?, row.of(1)?))).collect::<Result<_, _>>().map(Some)
    }
}

#[async_trait(?Send)]
impl Destination for CopyServer {
    async fn has_tables(&self) -> Result<bool, StoreError> {
        let found = self.ask(Scope::default(), "SELECT to_regclass('schema_version') IS NOT NULL", &[]).await?;
        found.first().map_or(Ok(false), |row| row.of(0))
    }

    async fn mark(&self) -> Result<Option<String>, StoreError> {
        let tx = self.common.connections.look(Scope::default()).await?;
        let mark = async {
            if !migrate::is_unfinished(&tx).await? {
                return Ok(None);
            }
            tx.one("SELECT mark FROM unfinished_copy WHERE sole = 1", &[]).await?.map(|row| row.of(0)).transpose()
        };
        let mark = mark.await;
        tx.end(mark).await
    }

    async fn begin(&self, mark: &str) -> Result<(), StoreError> {
        migrate::migrate(&self.common).await?;
        let hub = TenantId::hub();
        let tx = self.common.connections.begin(Scope { tenant: hub.as_str(), senders: "" }).await?;
        let begun = async {
            tx.run(
                "DELETE FROM audit_lengths; DELETE FROM tenant_keys; DELETE FROM registry_version;
                 CREATE TABLE unfinished_copy (sole INTEGER PRIMARY KEY CHECK (sole = 1), mark TEXT NOT NULL);",
            )
            .await?;
            tx.execute("INSERT INTO unfinished_copy (sole, mark) VALUES (1, $1)", &[&mark]).await
        };
        let begun = begun.await;
        tx.end(begun).await?;
        // A node that came before the mark has read a key that is gone; one that comes from here on is refused.
        if self.is_in_use().await? { Err(StoreError::Stale) } else { Ok(()) }
    }

    async fn put(&self, table: &Table, rows: &[Row], (before, after): (&str, &str)) -> Result<(), StoreError> {
        let tx = self.common.connections.begin(Scope::default()).await?;
        let done = async {
            // The mark first: of two copies one waits here, and then finds another mark.
            let sql = "UPDATE unfinished_copy SET mark = $2 WHERE sole = 1 AND mark = $1";
            if tx.execute(sql, &[&before, &after]).await? != 1 {
                return Err(StoreError::Stale);
            }
            for (tenant, rows) in by_tenant(table, rows) {
                tx.turn_to(tenant).await?;
                insert(&tx, table, &rows).await?;
            }
            Ok(())
        };
        let done = done.await;
        tx.end(done).await
    }

    async fn finish(self: Box<Self>, public_key: &[u8; 32], told: &Told<'_>) -> Result<Vec<Verdict>, StoreError> {
        // What was remembered is of a hub's key that is there no more.
        let Common { connections, keyring, .. } = self.common;
        let store = PostgresStore::on(Common::new(connections, keyring));
        migrate::check_master_key(store.common()).await?;
        let verdicts = verify_all(&store, public_key, told).await?;
        if verdicts.iter().all(|verdict| verdict.fault.is_none()) {
            let tx = store.common().connections.begin(Scope::default()).await?;
            let dropped = tx.run("DROP TABLE unfinished_copy").await;
            tx.end(dropped).await?;
        }
        Ok(verdicts)
    }
}

/// What a transaction has to see, and the column that says whose a row is.
fn owned<'o>(table: &Table, owner: Option<&'o str>) -> (Scope<'o>, Option<&'static str>) {
    let owner = owner.unwrap_or_default();
    match table.wall {
        Wall::None => (Scope::default(), None),
        Wall::Sender => (Scope { tenant: "", senders: owner }, Some("sender")),
        Wall::Tenant => (Scope { tenant: owner, senders: "" }, Some("tenant")),
    }
}

/// How long a statement of a copy may take.
const LONGEST: Duration = Duration::from_secs(600);
/// How often it is looked whether the others have gone.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
