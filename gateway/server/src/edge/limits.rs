//! What one peer may take of what all share: requests, connections, and bytes of bodies that are being read.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tsunagi_core::refusal::Refusal;
use tsunagi_store::coordinator::{Admission, Coordinator, Limit, Rate};

use crate::config::EdgeConfig;

/// What a certificate that is no participant's may ask for, for each refusal is a leaf on disk: once a second, and so
/// many at once.
const STRANGERS: Rate = Rate { per_second: NonZeroU32::MIN, burst: NonZeroU32::MIN.saturating_add(9) };

/// How many refusals of one participant a log keeps, each for good: a participant that goes on asking for what is refused
/// is told to come again later.
const REFUSALS: Rate =
    Rate { per_second: NonZeroU32::MIN.saturating_add(19), burst: NonZeroU32::MIN.saturating_add(399) };

/// One bucket for each participant and class of endpoints that has a rate of its own, and one for all other classes; a
/// certificate that is no participant's has a small one of its own. The nodes of a hub share them as far as they reach
/// each other.
pub struct RateLimits {
    strangers: Bucket,
    refusals: Bucket,
    all: Bucket,
    of_class: BTreeMap<String, Bucket>,
}

struct Bucket {
    name: String,
    rate: Rate,
    policy: HeaderValue,
    limit: Box<dyn Limit>,
}

/// Where a caller stands, as `RateLimit` and `RateLimit-Policy` say it (draft-ietf-httpapi-ratelimit-headers-10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    policy: HeaderValue,
    left: HeaderValue,
}

impl Standing {
    /// Puts both headers on an answer.
    pub fn tell(self, headers: &mut HeaderMap) {
        headers.insert(HeaderName::from_static("ratelimit-policy"), self.policy);
        headers.insert(HeaderName::from_static("ratelimit"), self.left);
    }
}

impl Bucket {
    fn new(coordinator: &dyn Coordinator, name: &str, rate: Rate) -> Self {
        let (burst, window) = (rate.burst.get(), rate.burst.get().div_ceil(rate.per_second.get()));
        let policy = header(format!("\"{name}\";q={burst};w={window}"));
        Self { name: name.to_owned(), rate, policy, limit: coordinator.limit(name, rate) }
    }

    async fn check(&self, who: &str) -> (Standing, Result<(), Refusal>) {
        match self.limit.take(who).admission().await {
            Admission::Granted { left } => (self.standing(left), Ok(())),
            Admission::Refused { wait } => {
                let secs = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
                (self.standing(0), Err(Refusal::RateLimited { retry_after_secs: secs }))
            }
        }
    }

    /// `q` requests in `w` seconds; `r` of them left now, all of them again in `t` seconds.
    fn standing(&self, left: u32) -> Standing {
        let (name, burst, per_second) = (&self.name, self.rate.burst.get(), self.rate.per_second.get());
        let until_full = burst.saturating_sub(left).div_ceil(per_second);
        Standing { policy: self.policy.clone(), left: header(format!("\"{name}\";r={left};t={until_full}")) }
    }
}

/// A header of ASCII: the names of classes are.
fn header(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

impl RateLimits {
    /// The rates of the configuration.
    pub fn new(config: &EdgeConfig, coordinator: &dyn Coordinator) -> Self {
        let bucket = |name: &str, rate| Bucket::new(coordinator, name, rate);
        let of_class = config.rates.iter().map(|(class, rate)| (class.clone(), bucket(class, *rate)));
        let (strangers, all) = (bucket("unknown", STRANGERS), bucket("default", config.rate));
        let refusals = bucket("refused", REFUSALS);
        Self { strangers, refusals, all, of_class: of_class.collect() }
    }

    /// Takes one request of a participant into account, or says when to come again; and where the caller stands then.
    pub async fn check(&self, participant: &str, class: &str) -> (Standing, Result<(), Refusal>) {
        self.of_class.get(class).unwrap_or(&self.all).check(participant).await
    }

    /// The same for a certificate that is no participant's, by its fingerprint.
    pub async fn check_stranger(&self, fingerprint: &str) -> (Standing, Result<(), Refusal>) {
        self.strangers.check(fingerprint).await
    }

    /// Takes one refusal into account that a log is to keep, or says when the participant may come again.
    pub async fn check_refusal(&self, participant: &str) -> Result<(), Refusal> {
        self.refusals.check(participant).await.1
    }

    /// Forgets those who have not called for so long that their bucket is full again.
    pub fn forget_the_quiet(&self) {
        for bucket in self.of_class.values().chain([&self.all, &self.strangers, &self.refusals]) {
            bucket.limit.forget_the_quiet();
        }
    }
}

/// Handshakes under way. One more than there are places for takes the place of the one that has gone on longest: a
/// flood of half-open ones passes through, and whoever shakes hands at once gets in.
#[derive(Debug)]
pub struct Handshakes {
    most: usize,
    under_way: Mutex<(u64, BTreeMap<u64, Arc<Notify>>)>,
}

impl Handshakes {
    /// So many at once.
    pub fn new(most: usize) -> Self {
        Self { most, under_way: Mutex::default() }
    }

    /// Begins one.
    pub fn enter(self: &Arc<Self>) -> HandshakePlace {
        let displaced = Arc::new(Notify::new());
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, places) = &mut *under_way;
        *next += 1;
        places.insert(*next, displaced.clone());
        if places.len() > self.most
            && let Some((_, oldest)) = places.pop_first()
        {
            oldest.notify_one();
        }
        HandshakePlace { handshakes: self.clone(), id: *next, displaced }
    }
}

/// One handshake under way.
#[derive(Debug)]
pub struct HandshakePlace {
    handshakes: Arc<Handshakes>,
    id: u64,
    displaced: Arc<Notify>,
}

impl HandshakePlace {
    /// Ends when another took this place.
    pub async fn displaced(&self) {
        self.displaced.notified().await;
    }
}

impl Drop for HandshakePlace {
    fn drop(&mut self) {
        self.handshakes.under_way.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&self.id);
    }
}

/// Bodies are held in memory, and files on disk, while they are read and taken in; this is how much room there is, in
/// all and for one participant.
pub struct BodyBudget {
    all: Arc<Semaphore>,
    each_kib: u32,
    of_participant: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// The part of the budget that one body holds. It grows as the body comes: what a caller only announces, or does not
/// announce, takes nothing from others.
#[derive(Debug)]
pub struct BodyShare {
    from: (Arc<Semaphore>, Arc<Semaphore>),
    held: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
    kib: u32,
}

impl BodyShare {
    /// Takes room for so many bytes in all, or asks the caller to come again.
    pub fn grow_to(&mut self, bytes: u64) -> Result<(), Refusal> {
        // In steps, so that small pieces do not each ask.
        let wanted = bytes.div_ceil(STEP_BYTES).saturating_mul(STEP_BYTES / 1024);
        let more = u32::try_from(wanted).unwrap_or(u32::MAX).saturating_sub(self.kib);
        if more == 0 {
            return Ok(());
        }
        let take = |from: &Arc<Semaphore>| from.clone().try_acquire_many_owned(more).map_err(|_| Refusal::Unavailable);
        let (own, all) = (take(&self.from.0)?, take(&self.from.1)?);
        match &mut self.held {
            Some((held_own, held_all)) => {
                held_own.merge(own);
                held_all.merge(all);
            }
            held => *held = Some((own, all)),
        }
        self.kib += more;
        Ok(())
    }
}

/// By how much a share grows at least.
const STEP_BYTES: u64 = 64 * 1024;

impl BodyBudget {
    /// `bytes` in all; one participant may hold a quarter of it, and always one body of the largest size.
    pub fn new(bytes: u64, largest: u64) -> Self {
        let kib = |bytes: u64| u32::try_from(bytes.div_ceil(STEP_BYTES) * (STEP_BYTES / 1024)).unwrap_or(u32::MAX);
        Self {
            all: Arc::new(Semaphore::new(kib(bytes.max(largest)) as usize)),
            each_kib: kib((bytes / 4).max(largest)),
            of_participant: Mutex::new(HashMap::new()),
        }
    }

    /// A share for one body of a participant, with no room in it yet.
    pub fn share(&self, participant: &str) -> BodyShare {
        let mut map = self.of_participant.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(Semaphore::new(self.each_kib as usize));
        let own = map.entry(participant.to_owned()).or_insert_with(fresh).clone();
        BodyShare { from: (own, self.all.clone()), held: None, kib: 0 }
    }
}

/// How many connections, or requests under way, each participant has; a certificate that is no participant's counts by
/// itself.
#[derive(Default)]
pub struct Places {
    of_peer: Mutex<HashMap<String, usize>>,
}

impl Places {
    /// Counts one more, unless the peer has `most` already. Dropping the place gives it back.
    pub fn enter(self: &Arc<Self>, who: &str, most: usize) -> Option<Place> {
        let mut map = self.of_peer.lock().unwrap_or_else(PoisonError::into_inner);
        let count = map.entry(who.to_owned()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place { places: self.clone(), who: who.to_owned() })
    }
}

/// One of them.
pub struct Place {
    places: Arc<Places>,
    who: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut map = self.places.of_peer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = map.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                map.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_cannot_take_all_connections() {
        let connections = Arc::new(Places::default());
        let first = connections.enter("a", 1).expect("there is a place");
        assert!(connections.enter("a", 1).is_none());
        assert!(connections.enter("b", 1).is_some());
        drop(first);
        assert!(connections.enter("a", 1).is_some());
    }

    #[tokio::test]
    async fn a_handshake_too_many_takes_the_place_of_the_oldest() {
        let handshakes = Arc::new(Handshakes::new(2));
        let (first, second) = (handshakes.enter(), handshakes.enter());
        let third = handshakes.enter();
        first.displaced().await;
        drop(second);
        let fourth = handshakes.enter();
        let others = async { tokio::join!(third.displaced(), fourth.displaced()) };
        assert!(tokio::time::timeout(std::time::Duration::ZERO, others).await.is_err(), "there was a place");
    }

    #[test]
    fn one_participant_cannot_take_all_memory() {
        let budget = BodyBudget::new(4 * STEP_BYTES, STEP_BYTES);
        let take = |who: &str| {
            let mut share = budget.share(who);
            share.grow_to(STEP_BYTES).map(|()| share)
        };
        // Who has announced a body holds nothing yet; who sends it holds what has come, and what has come counts once.
        let announced: Vec<_> = (0..100).map(|_| budget.share("a")).collect();
        let mut held = take("a").expect("there is room");
        held.grow_to(STEP_BYTES).expect("it is held already");
        assert_eq!(held.grow_to(STEP_BYTES + 1).err(), Some(Refusal::Unavailable));
        assert_eq!(take("a").err(), Some(Refusal::Unavailable));
        let others: Vec<_> = ["b", "c", "d"].map(|who| take(who).expect("there is room")).into();
        assert_eq!(take("e").err(), Some(Refusal::Unavailable));
        drop((held, others, announced));
        assert!(take("a").is_ok());
    }
}
