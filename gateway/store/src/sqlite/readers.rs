//! Connections that read.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::session::{Batch, Common, Session};
use crate::error::StoreError;

/// A pool of read-only connections; a query takes one and sees one state of the database.
pub(super) struct Readers {
    path: PathBuf,
    common: Arc<Common>,
    idle: Mutex<Vec<Connection>>,
    slots: Semaphore,
}

impl Readers {
    /// A pool on a file that exists.
    pub(super) fn new(path: PathBuf, common: Arc<Common>) -> Self {
        Self { path, common, idle: Mutex::new(Vec::new()), slots: Semaphore::new(CONNECTIONS) }
    }

    /// Runs a query that finds its few rows by their keys, on the caller's own thread: it takes less time than another
    /// thread takes to wake up.
    pub(super) fn look<T>(&self, query: impl FnOnce(&Session<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.run(query)
    }

    /// Runs a query of any length on a blocking thread.
    pub(super) async fn read<T, F>(self: &Arc<Self>, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let slot = self.slots.acquire().await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let pool = Arc::clone(self);
        let answer = tokio::task::spawn_blocking(move || pool.run(query)).await;
        drop(slot);
        answer.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }

    fn run<T>(&self, query: impl FnOnce(&Session<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = match idle {
            Some(conn) => conn,
            None => self.connect()?,
        };
        conn.prepare_cached("BEGIN")?.execute([])?;
        let answer = query(&Session::new(&conn, &self.common, &Batch::default()));
        // Nothing was written, so there is nothing to lose; a connection that cannot end its transaction is closed.
        let ended = conn.prepare_cached("ROLLBACK").and_then(|mut end| end.execute([])).is_ok();
        if ended {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
        }
        answer
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.path, flags)?;
        conn.busy_timeout(BUSY)?;
        prepare_once(&conn)?;
        Ok(conn)
    }
}

/// Keeps statements, and keeps them as they are: else SQLite plans some again for each value that is bound to them.
pub(super) fn prepare_once(conn: &Connection) -> Result<(), StoreError> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// How many queries run at once on blocking threads.
const CONNECTIONS: usize = 8;
/// How long a connection waits for another process's lock.
pub(super) const BUSY: Duration = Duration::from_secs(5);
/// How many prepared statements a connection keeps: more than there are in these sources.
const STATEMENTS: usize = 128;
