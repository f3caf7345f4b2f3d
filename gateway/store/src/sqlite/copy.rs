//! A file to copy from, or to. It is locked for this alone: neither a hub nor a command can open it meanwhile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params_from_iter};
use tsunagi_core::id::TenantId;

use super::migrate;
use super::readers::prepare_once;
use super::session::{Batch, Common, Session};
use super::store::SqliteStore;
use crate::command::Verdict;
use crate::copy::tables::{Column, InSqlite, Kind, Table};
use crate::copy::{Cell, CopyFault, Destination, HEADS, Head, PAGE_BYTES, Row, Side, Told, Which, verify_all};
use crate::error::StoreError;
use crate::keys::Keyring;

/// The file.
pub(crate) struct CopyFile {
    path: PathBuf,
    conn: Connection,
    common: Arc<Common>,
}

impl CopyFile {
    /// A store that is there. An older one gets the tables of this release first.
    pub(crate) fn source(path: &Path, keyring: Keyring) -> Result<Self, CopyFault> {
        if !path.exists() {
            return Err(CopyFault::NoSource);
        }
        let file = Self::alone(path, keyring, OpenFlags::empty(), Which::Source)?;
        migrate::refuse_unfinished(&file.conn)?;
        if migrate::version(&file.conn)? == 0 {
            return Err(CopyFault::NoSource);
        }
        let tx = file.conn.unchecked_transaction().map_err(StoreError::from)?;
        migrate::migrate(&Session::new(&file.conn, &file.common, &Batch::default()))?;
        tx.commit().map_err(StoreError::from)?;
        Ok(file)
    }

    /// A file that may be there, or is made.
    pub(crate) fn destination(path: &Path, keyring: Keyring) -> Result<Self, CopyFault> {
        let file = Self::alone(path, keyring, OpenFlags::SQLITE_OPEN_CREATE, Which::Destination)?;
        migrate::refuse_newer(&file.conn)?;
        Ok(file)
    }

    /// A connection beside which there is no other. In WAL mode every connection holds a lock on the file for as long as
    /// it is open, so that one that wants all of the file finds out.
    fn alone(path: &Path, keyring: Keyring, flags: OpenFlags, which: Which) -> Result<Self, CopyFault> {
        let flags = flags | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || {
            let conn = Connection::open_with_flags(path, flags)?;
            conn.execute_batch(
                "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                 PRAGMA cache_size = -65536; PRAGMA foreign_keys = ON; BEGIN IMMEDIATE; COMMIT;",
            )?;
            Ok(conn)
        };
        let conn = open().map_err(|error: rusqlite::Error| match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => CopyFault::InUse(which),
            _ => CopyFault::Store(error.into()),
        })?;
        prepare_once(&conn).map_err(CopyFault::Store)?;
        Ok(Self { path: path.to_owned(), conn, common: Arc::new(Common::new(keyring)) })
    }
}

#[async_trait(?Send)]
impl Side for CopyFile {
    fn key(&self, table: &Table) -> &'static [&'static str] {
        table.key_in_sqlite
    }

    async fn hub_key(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let hub = TenantId::hub();
        let mut select = self.conn.prepare_cached("SELECT wrapped FROM tenant_keys WHERE tenant = ?1")?;
        Ok(select.query_row([hub.as_str()], |row| row.get(0)).optional()?)
    }

    async fn owners(&self, _table: &Table) -> Result<Vec<Option<String>>, StoreError> {
        Ok(vec![None])
    }

    async fn count(&self, table: &Table, _owner: Option<&str>) -> Result<u64, StoreError> {
        let count: i64 = self
            .conn
            .prepare_cached(&format!("SELECT count(*) FROM {}", table.name))?
            .query_row([], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn page(
        &self,
        table: &Table,
        _owner: Option<&str>,
        after: &[Cell],
        limit: i64,
    ) -> Result<Vec<Row>, StoreError> {
        let columns = list(table.columns.iter().map(|column| match column.in_sqlite {
            InSqlite::Named(name) => name.to_owned(),
            InSqlite::WorkedOut(from) => from.to_owned(),
        }));
        let key = list(table.places(table.key_in_sqlite).into_iter().filter_map(|place| {
            match table.columns.get(place)?.in_sqlite {
                InSqlite::Named(name) => Some(name.to_owned()),
                InSqlite::WorkedOut(_) => None,
            }
        }));
        let behind = match after {
            [] => String::new(),
            after => format!("WHERE ({key}) > ({})", places(after.len())),
        };
        let sql = format!("SELECT {columns} FROM {} {behind} ORDER BY {key} LIMIT {limit}", table.name);
        let mut select = self.conn.prepare_cached(&sql)?;
        let mut rows = select.query(params_from_iter(after))?;
        let (mut page, mut bytes) = (Vec::new(), 0);
        while bytes < PAGE_BYTES
            && let Some(row) = rows.next()?
        {
            let row: Row = table
                .columns
                .iter()
                .enumerate()
                .map(|(place, column)| cell(row, place, column))
                .collect::<Result<_, _>>()?;
            bytes += row.iter().map(Cell::bytes).sum::<usize>();
            page.push(row);
        }
        Ok(page)
    }

    async fn heads(&self) -> Result<Vec<Head>, StoreError> {
        let mut select = self.conn.prepare_cached(HEADS)?;
        let heads = select.query_map([], |row| {
            Ok(Head {
                tenant: row.get(0)?,
                size: row.get(1)?,
                sealed: row.get(2)?,
                seal: hex::encode(row.get::<_, Vec<u8>>(3)?),
                root: row.get::<_, Option<Vec<u8>>>(4)?.map(hex::encode),
            })
        })?;
        Ok(heads.collect::<Result<_, _>>()?)
    }

    async fn next_ordinals(&self) -> Result<Option<BTreeMap<String, i64>>, StoreError> {
        Ok(None)
    }
}

#[async_trait(?Send)]
impl Destination for CopyFile {
    async fn has_tables(&self) -> Result<bool, StoreError> {
        Ok(migrate::version(&self.conn)? > 0)
    }

    async fn mark(&self) -> Result<Option<String>, StoreError> {
        if !migrate::is_unfinished(&self.conn)? {
            return Ok(None);
        }
        Ok(Some(self.conn.query_row("SELECT mark FROM unfinished_copy WHERE only = 1", [], |row| row.get(0))?))
    }

    async fn begin(&self, mark: &str) -> Result<(), StoreError> {
        let tx = self.conn.unchecked_transaction()?;
        let batch = Batch::default();
        migrate::migrate(&Session::new(&self.conn, &self.common, &batch))?;
        batch.close(&self.conn)?;
        self.conn.execute_batch(
            "DELETE FROM audit_lengths; DELETE FROM tenant_keys; DELETE FROM registry_version;
             CREATE TABLE unfinished_copy (only INTEGER PRIMARY KEY CHECK (only = 1), mark TEXT NOT NULL) STRICT;",
        )?;
        self.conn.execute("INSERT INTO unfinished_copy (only, mark) VALUES (1, ?1)", [mark])?;
        Ok(tx.commit()?)
    }

    async fn put(&self, table: &Table, rows: &[Row], (before, after): (&str, &str)) -> Result<(), StoreError> {
        let tx = self.conn.unchecked_transaction()?;
        let kept: Vec<(usize, &str)> = table
            .columns
            .iter()
            .enumerate()
            .filter_map(|(place, column)| match column.in_sqlite {
                InSqlite::Named(name) => Some((place, name)),
                InSqlite::WorkedOut(_) => None,
            })
            .collect();
        let names = list(kept.iter().map(|(_, name)| (*name).to_owned()));
        let sql = format!("INSERT INTO {} ({names}) VALUES ({})", table.name, places(kept.len()));
        let mut insert = self.conn.prepare_cached(&sql)?;
        for row in rows {
            insert.execute(params_from_iter(kept.iter().filter_map(|(place, _)| row.get(*place))))?;
        }
        let moved = self
            .conn
            .prepare_cached("UPDATE unfinished_copy SET mark = ?2 WHERE only = 1 AND mark = ?1")?
            .execute((before, after))?;
        if moved != 1 {
            return Err(StoreError::Stale);
        }
        Ok(tx.commit()?)
    }

    async fn finish(self: Box<Self>, public_key: &[u8; 32], told: &Told<'_>) -> Result<Vec<Verdict>, StoreError> {
        let Self { path, conn, common } = *self;
        // A store has several connections. The mark still keeps everybody else out.
        drop(conn);
        let store = SqliteStore::open_unfinished(&path, common)?;
        let verdicts = verify_all(&store, public_key, told).await?;
        if verdicts.iter().all(|verdict| verdict.fault.is_none()) {
            store.write(|session| Ok(session.conn.execute_batch("DROP TABLE unfinished_copy")?)).await?;
        }
        Ok(verdicts)
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Bool(value) => ValueRef::Integer(i64::from(*value)),
            Self::Bytes(value) => ValueRef::Blob(value),
            Self::Empty => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
        }))
    }
}

fn cell(row: &rusqlite::Row<'_>, place: usize, column: &Column) -> Result<Cell, StoreError> {
    let cell = match column.kind {
        Kind::Bool => row.get::<_, Option<bool>>(place)?.map(Cell::Bool),
        Kind::Bytes => row.get::<_, Option<Vec<u8>>>(place)?.map(Cell::Bytes),
        Kind::Int => row.get::<_, Option<i64>>(place)?.map(Cell::Int),
        Kind::Text => row.get::<_, Option<String>>(place)?.map(Cell::Text),
    };
    Cell::of(column, cell)
}

fn list(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

fn places(count: usize) -> String {
    list((1..=count).map(|place| format!("?{place}")))
}
