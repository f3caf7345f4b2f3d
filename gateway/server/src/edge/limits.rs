//! The rate for each participant.

use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tsunagi_core::id::ParticipantId;
use tsunagi_core::refusal::Refusal;

/// One bucket for each participant.
pub struct RateLimits {
    limiter: DefaultKeyedRateLimiter<ParticipantId>,
}

impl RateLimits {
    /// `per_second` in the long run, `burst` at once.
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        Self { limiter: RateLimiter::keyed(Quota::per_second(per_second).allow_burst(burst)) }
    }

    /// Takes one request into account, or says when to come again.
    pub fn check(&self, participant: &ParticipantId) -> Result<(), Refusal> {
        self.limiter.check_key(participant).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            let secs = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
            Refusal::RateLimited { retry_after_secs: secs }
        })
    }
}
