//! One node by itself: notices that stay in the process, and rates that it counts alone.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{Admission, Coordinator, Limit, Notice, Rate, Reach, Taking};

/// The coordinator of a hub that is one process.
#[derive(Debug)]
pub struct InProcess {
    board: Board,
    reach: watch::Sender<Reach>,
}

impl InProcess {
    /// A new one, in which nothing has been told.
    pub fn new() -> Self {
        Self { board: Board::default(), reach: watch::Sender::new(Reach::Alone) }
    }
}

impl Default for InProcess {
    fn default() -> Self {
        Self::new()
    }
}

impl Coordinator for InProcess {
    fn tell(&self, notice: Notice) {
        self.board.post(notice);
    }

    fn listen(&self, notice: Notice) -> watch::Receiver<u64> {
        self.board.listen(notice)
    }

    fn limit(&self, _name: &str, rate: Rate) -> Box<dyn Limit> {
        Box::new(LocalLimit::new(rate))
    }

    fn reach(&self) -> watch::Receiver<Reach> {
        self.reach.subscribe()
    }
}

/// Where the notices of one process are posted.
#[derive(Debug, Default)]
pub(super) struct Board {
    leaves_wait: watch::Sender<u64>,
    outbox_grew: watch::Sender<u64>,
    registry_changed: watch::Sender<u64>,
}

impl Board {
    pub(super) fn post(&self, notice: Notice) {
        self.of(notice).send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(super) fn listen(&self, notice: Notice) -> watch::Receiver<u64> {
        self.of(notice).subscribe()
    }

    fn of(&self, notice: Notice) -> &watch::Sender<u64> {
        match notice {
            Notice::LeavesWait => &self.leaves_wait,
            Notice::OutboxGrew => &self.outbox_grew,
            Notice::RegistryChanged => &self.registry_changed,
        }
    }
}

/// A rate that this process counts alone.
#[derive(Debug)]
pub(super) struct LocalLimit {
    began: Instant,
    rate: Rate,
    /// When all that each caller has taken will have come back, in nanoseconds since `began`.
    back: Mutex<HashMap<String, u64>>,
}

impl LocalLimit {
    pub(super) fn new(rate: Rate) -> Self {
        Self { began: Instant::now(), rate, back: Mutex::default() }
    }

    pub(super) fn admit(&self, who: &str) -> Admission {
        let now = self.now();
        let mut all = self.back.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(who) {
            Some(back) => {
                let admission;
                (*back, admission) = take_one(*back, now, self.rate);
                admission
            }
            None => {
                let (back, admission) = take_one(0, now, self.rate);
                all.insert(who.to_owned(), back);
                admission
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Limit for LocalLimit {
    fn take<'a>(&'a self, who: &'a str) -> Taking<'a> {
        Taking::Known(self.admit(who))
    }

    fn forget_the_quiet(&self) {
        let now = self.now();
        self.back.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, back| *back > now);
    }
}

/// The generic cell rate algorithm: one number for each caller, the moment `back` at which its whole burst is there
/// again. Each permit puts it off by the interval at which permits come back; further than a burst ahead it may not lie.
pub(super) fn take_one(back: u64, now: u64, rate: Rate) -> (u64, Admission) {
    let interval = (1_000_000_000 / u64::from(rate.per_second.get())).max(1);
    let room = interval.saturating_mul(rate.burst.get().into());
    let after = back.max(now).saturating_add(interval);
    let full = now.saturating_add(room);
    match full.checked_sub(after) {
        Some(rest) => (after, Admission::Granted { left: u32::try_from(rest / interval).unwrap_or(u32::MAX) }),
        None => (back, Admission::Refused { wait: Duration::from_nanos(after - full) }),
    }
}
