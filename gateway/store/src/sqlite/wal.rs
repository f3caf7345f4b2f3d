//! The write-ahead log: when it goes back into the database, so that it begins anew instead of growing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// How many commits ago the readers' views were closed.
    views_since: u64,
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
        Ok(Self { pages, due_at: MOST_PAGES, views_since: 0 })
    }

    /// Writes it back if it is long enough, and lets readers see the newest state now and then.
    pub(super) fn look_after(&mut self, conn: &Connection, readers: Option<&Readers>) {
        self.views_since += 1;
        let pages = self.pages.load(Ordering::Relaxed);
        if pages >= self.due_at {
            let begins_anew = write_back(conn, readers).unwrap_or_else(|error| {
                // What is in the log stays durable there.
                tracing::error!(%error, "the write-ahead log cannot be written back");
                false
            });
            // Where somebody still reads from it, it goes on growing for a while.
            self.due_at = if begins_anew { MOST_PAGES } else { pages + MOST_PAGES / 4 };
            self.views_since = 0;
        } else if self.views_since >= VIEWS_LAST {
            readers.map(Readers::close_views);
            self.views_since = 0;
        }
    }
}

/// True if the next transaction can begin the log anew. That takes two steps: while there is something in the log that is
/// not in the database, every new view needs the log; once all is written back, none does, and the old ones are closed.
fn write_back(conn: &Connection, readers: Option<&Readers>) -> Result<bool, StoreError> {
    let close_views = || readers.map(Readers::close_views);
    let is_busy = |mode: &str| conn.prepare_cached(mode)?.query_row([], |row| row.get::<_, bool>(0));
    close_views();
    is_busy("PRAGMA wal_checkpoint(PASSIVE)")?;
    close_views();
    conn.busy_timeout(READERS_TAKE)?;
    let busy = is_busy("PRAGMA wal_checkpoint(RESTART)");
    conn.busy_timeout(BUSY)?;
    Ok(!busy?)
}

/// A page that every transaction changes goes from the log into the database once for all of these. Whoever writes waits
/// meanwhile: four times as many would be four times the wait, and not worth it.
const MOST_PAGES: u64 = 1000;
/// For how many commits readers may go on with a view at most. A view that is opened anew has to read its pages again.
const VIEWS_LAST: u64 = 256;
/// How long a lookup under way is waited for. Whoever reads for longer is not.
const READERS_TAKE: Duration = Duration::from_millis(3);
