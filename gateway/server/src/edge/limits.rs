//! What one peer may take of what all share: requests, connections, and bytes of bodies that are being read.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tsunagi_core::refusal::Refusal;

/// One bucket for each participant; a certificate that is no participant's has one of its own.
pub struct RateLimits {
    limiter: DefaultKeyedRateLimiter<String>,
}

impl RateLimits {
    /// `per_second` in the long run, `burst` at once.
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        Self { limiter: RateLimiter::keyed(Quota::per_second(per_second).allow_burst(burst)) }
    }

    /// Takes one request into account, or says when to come again. `who` is a participant's id or a fingerprint.
    pub fn check(&self, who: &str) -> Result<(), Refusal> {
        self.limiter.check_key(&who.to_owned()).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            let secs = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
            Refusal::RateLimited { retry_after_secs: secs }
        })
    }
}

/// Bodies are held in memory, and files on disk, while they are read and taken in; this is how much room there is, in
/// all and for one participant.
pub struct BodyBudget {
    all: Arc<Semaphore>,
    each_kib: u32,
    of_participant: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// The part of the budget that one body holds.
#[derive(Debug)]
pub struct BodyShare {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

impl BodyBudget {
    /// `bytes` in all; one participant may hold a quarter of it, and always one body of the largest size.
    pub fn new(bytes: u64, largest: u64) -> Self {
        let kib = |bytes: u64| u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        Self {
            all: Arc::new(Semaphore::new(kib(bytes.max(largest)) as usize)),
            each_kib: kib((bytes / 4).max(largest)),
            of_participant: Mutex::new(HashMap::new()),
        }
    }

    /// Takes room for a body of up to `bytes`, or asks the caller to come again.
    pub fn take(&self, participant: &str, bytes: u64) -> Result<BodyShare, Refusal> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let own = {
            let mut map = self.of_participant.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = || Arc::new(Semaphore::new(self.each_kib as usize));
            map.entry(participant.to_owned()).or_insert_with(fresh).clone()
        };
        let own = own.try_acquire_many_owned(kib).map_err(|_| Refusal::Unavailable)?;
        let all = self.all.clone().try_acquire_many_owned(kib).map_err(|_| Refusal::Unavailable)?;
        Ok(BodyShare { _all: all, _own: own })
    }
}

/// How many connections each certificate has open.
#[derive(Default)]
pub struct Connections {
    of_peer: Mutex<HashMap<String, usize>>,
}

impl Connections {
    /// Counts one more, unless the peer has `most` already. Dropping the place gives it back.
    pub fn enter(self: &Arc<Self>, fingerprint: &str, most: usize) -> Option<ConnectionPlace> {
        let mut map = self.of_peer.lock().unwrap_or_else(PoisonError::into_inner);
        let count = map.entry(fingerprint.to_owned()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(ConnectionPlace { connections: self.clone(), fingerprint: fingerprint.to_owned() })
    }
}

/// One open connection.
pub struct ConnectionPlace {
    connections: Arc<Connections>,
    fingerprint: String,
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let mut map = self.connections.of_peer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = map.get_mut(&self.fingerprint) {
            *count -= 1;
            if *count == 0 {
                map.remove(&self.fingerprint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_cannot_take_all_connections() {
        let connections = Arc::new(Connections::default());
        let first = connections.enter("a", 1).expect("there is a place");
        assert!(connections.enter("a", 1).is_none());
        assert!(connections.enter("b", 1).is_some());
        drop(first);
        assert!(connections.enter("a", 1).is_some());
    }

    #[test]
    fn one_participant_cannot_take_all_memory() {
        let budget = BodyBudget::new(4096, 1024);
        let held = budget.take("a", 1024).expect("there is room");
        assert_eq!(budget.take("a", 1024).err(), Some(Refusal::Unavailable));
        let others: Vec<_> = ["b", "c", "d"].map(|who| budget.take(who, 1024).expect("there is room")).into();
        assert_eq!(budget.take("e", 1024).err(), Some(Refusal::Unavailable));
        drop((held, others));
        assert!(budget.take("a", 1024).is_ok());
    }
}
