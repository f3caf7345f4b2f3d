//! Connections that read.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
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
    idle: Mutex<Vec<Reader>>,
    slots: Semaphore,
    /// How often all views were closed.
    closed: AtomicU64,
}

struct Reader {
    conn: Connection,
    view: Option<View>,
}

/// A state of the database that a connection has open.
struct View {
    batch: Batch,
    /// The newest commit of this process that it shows for certain.
    commit: u64,
    /// How often all views had been closed before.
    closed: u64,
}

impl Readers {
    /// A pool on a file that exists.
    pub(super) fn new(path: PathBuf, common: Arc<Common>) -> Self {
        let (idle, slots, closed) = (Mutex::default(), Semaphore::new(CONNECTIONS), AtomicU64::new(0));
        Self { path, common, idle, slots, closed }
    }

    /// Runs a query that finds its few rows by their keys, on the caller's own thread: it takes less time than another
    /// thread takes to wake up. It sees what this process has committed of all it says it relies on. What another process
    /// commits it may see a little later; whoever discloses by it checks the subject's version once more.
    pub(super) fn look<T>(&self, query: impl Fn(&Session<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut reader = self.take()?;
        let answer = loop {
            let view = match reader.view.take() {
                Some(view) => view,
                None => self.open(&reader.conn)?,
            };
            let answer = query(&Session::new(&reader.conn, &self.common, &view.batch));
            if view.batch.relied_on() <= view.commit {
                reader.view = Some(view);
                break answer;
            }
            end(&reader.conn)?;
        };
        self.give_back(reader);
        answer
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

    /// Closes the views that are open: at once where nobody uses them, else when their queries end. While one is open the
    /// write-ahead log cannot begin anew.
    pub(super) fn close_views(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        self.closed.fetch_add(1, Ordering::AcqRel);
        idle.retain_mut(Reader::close_view);
    }

    fn run<T>(&self, query: impl FnOnce(&Session<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut reader = self.take()?;
        if !reader.close_view() {
            return Err(StoreError::Unavailable("a reader could not end its transaction".to_owned()));
        }
        let view = self.open(&reader.conn)?;
        let answer = query(&Session::new(&reader.conn, &self.common, &view.batch));
        reader.view = Some(view);
        // Nothing was written, so there is nothing to lose; a connection that cannot end its transaction is closed.
        if reader.close_view() {
            self.give_back(reader);
        }
        answer
    }

    fn take(&self) -> Result<Reader, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| Ok(Reader { conn: self.connect()?, view: None }), Ok)
    }

    fn give_back(&self, mut reader: Reader) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = self.closed.load(Ordering::Acquire);
        let is_to_close = reader.view.as_ref().is_some_and(|view| view.closed != closed);
        if !is_to_close || reader.close_view() {
            idle.push(reader);
        }
    }

    fn open(&self, conn: &Connection) -> Result<View, StoreError> {
        let (closed, commit) = (self.closed.load(Ordering::Acquire), self.common.changes.newest());
        conn.prepare_cached("BEGIN")?.execute([])?;
        Ok(View { batch: Batch::of_view(commit), commit, closed })
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.path, flags)?;
        conn.busy_timeout(BUSY)?;
        // In KiB. Large enough that the upper pages of every index stay in memory while a view is open.
        conn.execute_batch("PRAGMA cache_size = -8192;")?;
        prepare_once(&conn)?;
        Ok(conn)
    }
}

impl Reader {
    /// False if the connection cannot be used any further.
    fn close_view(&mut self) -> bool {
        self.view.take().is_none() || end(&self.conn).is_ok()
    }
}

fn end(conn: &Connection) -> Result<(), StoreError> {
    conn.prepare_cached("ROLLBACK")?.execute([])?;
    Ok(())
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
