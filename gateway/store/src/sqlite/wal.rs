//! The write-ahead log: when it goes back into the database, so that it begins anew instead of growing.
//!
//! Nearly all of it is copied by a thread of its own while commits go on; what was committed meanwhile is copied in the same
//! way. The little that was committed meanwhile then, and the beginning anew, are left to the thread that writes: nobody else
//! can be certain that nothing is added, and everybody waits until it is done.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::readers::{BUSY, Readers};
use crate::error::StoreError;

/// Looked after by the one thread that writes, between two transactions.
pub(super) struct WriteAheadLog {
    /// Its length after the last commit, in pages.
    pages: Arc<AtomicU64>,
    /// The length at which it goes back into the database next.
    due_at: u64,
    /// How often the thread that copies has gone over it already.
    copies: u32,
    /// How many commits ago the readers' views were closed.
    views_since: u64,
    /// `None` for a database in memory, which has no such log.
    copier: Option<Copier>,
}

impl WriteAheadLog {
    /// Of the connection that writes; from here on SQLite does nothing about it by itself.
    pub(super) fn of(conn: &mut Connection) -> Result<Self, StoreError> {
        let pages = Arc::new(AtomicU64::new(0));
        let now = Arc::clone(&pages);
        conn.wal_hook(Some(move |_: &mut Wal, pages: i32| {
            now.store(u64::from(pages.unsigned_abs()), Ordering::Relaxed);
            Ok(())
        }))?;
        let file = conn.path().filter(|path| !path.is_empty());
        let copier = file.map(|path| Copier::start(Path::new(path))).transpose()?;
        Ok(Self { pages, due_at: MOST_PAGES, copies: 0, views_since: 0, copier })
    }

    /// Lets it be written back if it is long enough, and readers see the newest state now and then.
    pub(super) fn look_after(&mut self, conn: &Connection, readers: Option<&Readers>) {
        self.views_since += 1;
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < MOST_PAGES {
            // It has begun anew, by whomever.
            (self.due_at, self.copies) = (MOST_PAGES, 0);
        }
        if let Some(copier) = self.copier.as_mut().filter(|_| pages >= self.due_at) {
            if copier.is_at_work() {
                // Its time comes with a later commit.
            } else if self.copies < COPIES {
                // Nothing is copied beyond what the oldest view shows.
                readers.map(Readers::close_views);
                self.views_since = 0;
                self.copies += 1;
                copier.begin();
            } else {
                let begins_anew = begin_anew(conn, readers).unwrap_or_else(|error| {
                    // What is in the log stays durable there.
                    tracing::error!(%error, "the write-ahead log cannot be written back");
                    false
                });
                // Until a commit tells how long it is then. Where somebody still reads from it, it goes on growing for a
                // while.
                match begins_anew {
                    true => self.pages.store(0, Ordering::Relaxed),
                    false => self.due_at = pages + MOST_PAGES / 4,
                }
                self.copies = 0;
                self.views_since = 0;
            }
        }
        if self.views_since >= VIEWS_LAST {
            readers.map(Readers::close_views);
            self.views_since = 0;
        }
    }
}

/// The thread that copies the log into the database.
struct Copier {
    is_at_work: bool,
    /// Dropped before the thread is waited for: that ends it.
    begin: Option<Sender<()>>,
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Copier {
    fn start(path: &Path) -> Result<Self, StoreError> {
        let conn = Connection::open(path)?;
        // What was copied is on disk before the log may begin anew.
        conn.execute_batch("PRAGMA synchronous = FULL;")?;
        let (begin, begun) = channel::<()>();
        let (finish, done) = channel();
        let copy = move || {
            while begun.recv().is_ok() {
                if let Err(error) = checkpoint(&conn, "PRAGMA wal_checkpoint(PASSIVE)") {
                    tracing::error!(%error, "the write-ahead log cannot be copied");
                }
                if finish.send(()).is_err() {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("tsunagi-wal".to_owned()).spawn(copy);
        let thread = thread.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { is_at_work: false, begin: Some(begin), done, thread: Some(thread) })
    }

    fn begin(&mut self) {
        // If the thread is gone the copy ends at once, and the writer does all of it.
        self.is_at_work = true;
        if self.begin.as_ref().is_none_or(|begin| begin.send(()).is_err()) {
            tracing::error!("the thread that copies the write-ahead log has ended");
        }
    }

    /// False once what was begun is done.
    fn is_at_work(&mut self) -> bool {
        self.is_at_work = self.is_at_work && self.done.try_recv() == Err(TryRecvError::Empty);
        self.is_at_work
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.begin = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that copies the write-ahead log ended in a panic");
        }
    }
}

/// True if the next transaction can begin the log anew. That takes two steps: while there is something in the log that is
/// not in the database, every new view needs the log; once all is written back, none does, and the old ones are closed.
fn begin_anew(conn: &Connection, readers: Option<&Readers>) -> Result<bool, StoreError> {
    let close_views = || readers.map(Readers::close_views);
    close_views();
    checkpoint(conn, "PRAGMA wal_checkpoint(PASSIVE)")?;
    close_views();
    conn.busy_timeout(READERS_TAKE)?;
    let busy = checkpoint(conn, "PRAGMA wal_checkpoint(RESTART)");
    conn.busy_timeout(BUSY)?;
    Ok(!busy?)
}

/// True if somebody was in the way.
fn checkpoint(conn: &Connection, statement: &str) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached(statement)?.query_row([], |row| row.get(0))?)
}

/// Writes everything back and cuts the log off. False if somebody else goes on reading from it.
pub(super) fn empty(conn: &Connection) -> Result<bool, StoreError> {
    conn.busy_timeout(READERS_TAKE)?;
    let is_empty = try_to_empty(conn);
    // The connection goes on writing, whatever came of it.
    conn.busy_timeout(BUSY)?;
    is_empty
}

fn try_to_empty(conn: &Connection) -> Result<bool, StoreError> {
    for _ in 0..TRIES {
        if !checkpoint(conn, "PRAGMA wal_checkpoint(TRUNCATE)")? {
            return Ok(true);
        }
        // Readers are waited for by SQLite, the thread that copies is not.
        std::thread::park_timeout(READERS_TAKE);
    }
    Ok(false)
}

/// A page that every transaction changes goes from the log into the database once for all of these. What is committed while
/// the log is copied for the last time is left to the writer: the longer the log, the less often it has to wait for pages written all over.
const MOST_PAGES: u64 = 4000;
/// How often it is copied before the writer does the rest: the second time it is what was committed during the first.
const COPIES: u32 = 2;
/// For how many commits readers may go on with a view at most. A view that is opened anew has to read its pages again.
const VIEWS_LAST: u64 = 256;
/// How long a lookup under way is waited for. Whoever reads for longer is not.
const READERS_TAKE: Duration = Duration::from_millis(3);
/// How often it is tried to empty the log, for two seconds at most: longer than a copy of all of it takes.
const TRIES: usize = 300;
