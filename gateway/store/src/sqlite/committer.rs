//! The one thread that writes: group commit.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::readers::Readers;
use super::session::{Batch, Common, Session};
use super::wal::WriteAheadLog;
use crate::error::StoreError;

/// Hands commands to the writing thread. Dropping it lets the thread finish what is waiting, and waits for that.
pub(super) struct Committer {
    queue: Option<mpsc::Sender<Work>>,
    thread: Option<JoinHandle<()>>,
    commits: Arc<AtomicU64>,
}

enum Work {
    /// Runs outside of a transaction of others: it must not see what is not committed yet.
    Read(Box<dyn Command>),
    /// What it has written is taken back if it fails.
    Write(Box<dyn Command>),
    /// It has written nothing if it fails, unless the database itself does: then all commands of its transaction fail.
    /// Being able to take it back alone would cost a copy of every page that it writes to.
    Append(Box<dyn Command>),
}

impl Work {
    fn into_command(self) -> Box<dyn Command> {
        match self {
            Self::Read(command) | Self::Write(command) | Self::Append(command) => command,
        }
    }
}

impl Committer {
    /// Starts the thread.
    pub(super) fn start(
        mut conn: Connection,
        common: Arc<Common>,
        readers: Option<Weak<Readers>>,
    ) -> Result<Self, StoreError> {
        let wal = WriteAheadLog::of(&mut conn)?;
        let (queue, inbox) = mpsc::channel(QUEUE);
        let commits = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&commits);
        let writer = Writer {
            conn,
            common,
            readers,
            wal,
            commits: counter,
            seen_version: Cell::new(0),
            others_wrote: Cell::new(false),
        };
        let thread = std::thread::Builder::new()
            .name("tsunagi-store".to_owned())
            .spawn(move || writer.run(inbox))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), commits })
    }

    /// Runs a command in a transaction; `Ok` means committed. A caller that goes away does not stop its command.
    pub(super) async fn write<T, F>(&self, command: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.enqueue(Work::Write, command).await
    }

    /// As [`Committer::write`], for a command that writes only when nothing but the database can fail any more.
    pub(super) async fn append<T, F>(&self, command: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.enqueue(Work::Append, command).await
    }

    /// Runs a query on the writing connection, between transactions.
    pub(super) async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.enqueue(Work::Read, query).await
    }

    /// How many transactions were committed.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    async fn enqueue<T, F>(&self, work: fn(Box<dyn Command>) -> Work, command: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Session<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let pending = Pending { command: Some(command), outcome: None, reply };
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(work(Box::new(pending))).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writing thread ended in a panic");
        }
    }
}

/// A command of any result type.
trait Command: Send {
    /// Runs it and keeps the outcome; true if its writes are to stay.
    fn run(&mut self, session: &Session<'_>) -> bool;
    /// Tells the caller its outcome, or why there is none.
    fn answer(self: Box<Self>, lost: Option<&str>);
}

struct Pending<T, F> {
    command: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Command for Pending<T, F>
where
    T: Send,
    F: FnOnce(&Session<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, session: &Session<'_>) -> bool {
        let Some(command) = self.command.take() else { return false };
        // A bug in one command must not end the thread on which all others depend.
        let outcome = catch_unwind(AssertUnwindSafe(|| command(session)))
            .unwrap_or_else(|_| Err(StoreError::Unavailable("a store command panicked".to_owned())));
        let keep = outcome.is_ok();
        self.outcome = Some(outcome);
        keep
    }

    fn answer(mut self: Box<Self>, lost: Option<&str>) {
        let outcome = match (lost, self.outcome.take()) {
            (None, Some(outcome)) => outcome,
            (Some(why), _) => Err(StoreError::Unavailable(why.to_owned())),
            (None, None) => Err(stopped()),
        };
        // The caller may have gone away; what it asked for is done all the same.
        drop(self.reply.send(outcome));
    }
}

struct Writer {
    // Its connection is closed before the one that writes, which is the last and leaves no log behind.
    wal: WriteAheadLog,
    conn: Connection,
    common: Arc<Common>,
    readers: Option<Weak<Readers>>,
    commits: Arc<AtomicU64>,
    /// What the database's version was with the last transaction.
    seen_version: Cell<i64>,
    /// True once another process has committed, until what is remembered is forgotten.
    others_wrote: Cell<bool>,
}

impl Writer {
    fn run(mut self, mut inbox: mpsc::Receiver<Work>) {
        let mut next = inbox.blocking_recv();
        while let Some(work) = next.take() {
            match work {
                Work::Read(mut query) => {
                    query.run(&Session::new(&self.conn, &self.common, &Batch::default()));
                    query.answer(None);
                }
                first => {
                    let mut batch = vec![first];
                    while batch.len() < BATCH && next.is_none() {
                        match inbox.try_recv() {
                            Ok(read @ Work::Read(_)) => next = Some(read),
                            Ok(write) => batch.push(write),
                            Err(_) => break,
                        }
                    }
                    self.commit(batch);
                }
            }
            if next.is_none() {
                next = inbox.blocking_recv();
            }
        }
    }

    /// One transaction for all, then the answers. From the COMMIT on, everything that was run with success is durable.
    fn commit(&mut self, mut batch: Vec<Work>) {
        let has_company = batch.len() > 1;
        let transacted = self.transact(&mut batch);
        let is_kept = *transacted.as_ref().unwrap_or(&false);
        let lost = transacted.err().map(|error| error.to_string());
        if lost.is_some() && !self.conn.is_autocommit() && self.conn.execute_batch("ROLLBACK").is_err() {
            tracing::error!("the store could not roll back");
        }
        if is_kept {
            self.commits.fetch_add(1, Ordering::Relaxed);
        }
        for work in batch {
            work.into_command().answer(lost.as_deref());
        }
        let readers = self.readers.as_ref().and_then(Weak::upgrade);
        if self.others_wrote.take() {
            // It may have shredded somebody: neither a key in memory nor an open view may outlast that.
            self.common.forget_people();
            readers.as_deref().map(Readers::close_views);
        }
        self.wal.look_after(&self.conn, readers.as_deref());
        if has_company {
            // Nobody wakes this thread: what comes meanwhile is in the queue.
            std::thread::park_timeout(PAUSE);
        }
    }

    /// False if there was one command and it has failed by itself: then there is nothing to keep.
    fn transact(&self, batch: &mut [Work]) -> Result<bool, StoreError> {
        let is_alone = batch.len() == 1;
        self.step("BEGIN IMMEDIATE")?;
        // Differs from what it was if another connection than this one has committed since.
        let version = self.conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if version != self.seen_version.replace(version) {
            self.common.changes.others_committed();
            self.others_wrote.set(true);
        }
        let shared = Batch::default();
        let session = Session::new(&self.conn, &self.common, &shared);
        for work in batch {
            shared.begin();
            match work {
                Work::Append(command) => {
                    let before = self.conn.total_changes();
                    if !command.run(&session) && self.conn.total_changes() != before {
                        return Err(StoreError::Unavailable("a leaf could not be written".to_owned()));
                    }
                    self.is_open()?;
                }
                // With nobody else in the transaction it is taken back as a whole, and no page has to be copied before.
                Work::Write(command) if is_alone => {
                    if !command.run(&session) {
                        if self.is_open().is_ok() {
                            self.step("ROLLBACK")?;
                        }
                        return Ok(false);
                    }
                }
                Work::Write(command) | Work::Read(command) => {
                    self.step("SAVEPOINT command")?;
                    if !command.run(&session) {
                        shared.take_back();
                        self.is_open()?;
                        self.step("ROLLBACK TO command")?;
                    }
                    self.step("RELEASE command")?;
                }
            }
        }
        self.is_open()?;
        shared.close(&self.conn)?;
        self.step("COMMIT")?;
        self.common.changes.committed(&shared.changed());
        Ok(true)
    }

    /// After some errors (disk full, no memory, a page that cannot be read) SQLite has rolled the whole transaction back by
    /// itself. Whatever is written then stands alone, and what was written before is gone: nobody may go on.
    fn is_open(&self) -> Result<(), StoreError> {
        if self.conn.is_autocommit() {
            return Err(StoreError::Unavailable("the transaction was rolled back".to_owned()));
        }
        Ok(())
    }

    fn step(&self, statement: &str) -> Result<(), StoreError> {
        let mut prepared = self.conn.prepare_cached(statement)?;
        prepared.execute([]).map(drop).map_err(StoreError::from)
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable("the store has stopped".to_owned())
}

/// How many commands may wait before callers are held back.
const QUEUE: usize = 4096;
/// How many commands share a transaction at most: beyond this the gain is small and the first one waits longer.
const BATCH: usize = 256;
/// A commit in which several commands were is followed by a pause: more will come, and while they are waited for, the
/// processor and the disk do other things than committing a few at a time.
const PAUSE: Duration = Duration::from_micros(300);
