//! Permits taken ahead: so that a busy caller's requests are answered here, and one in many makes a round trip.
//!
//! Of the error this has, one side is bounded by time: a permit is used within [`HELD`] of being asked for, so in any
//! stretch of time all nodes together let through no more than the shared limit gave in that stretch and the [`HELD`]
//! before it. On the other side a caller may be refused while other nodes hold permits that it could have had: at most
//! [`most`] on each, and for no longer than [`HELD`].

use std::time::{Duration, Instant};

use crate::coordinator::Rate;

/// How long a permit may be held before it is used.
pub(super) const HELD: Duration = Duration::from_millis(100);

/// The most permits held of one caller: as many as the rate gives in [`HELD`], and no more than a sixteenth of a burst.
/// Of a limit of a few requests a second none is taken ahead, and it is exact.
pub(super) fn most(rate: Rate) -> u32 {
    (rate.per_second.get() / 10).min(rate.burst.get() / 16).max(1)
}

/// What is held of one caller.
#[derive(Debug)]
pub(super) struct Lease {
    /// The caller's key.
    pub(super) key: String,
    /// How many the last asking ahead gave, how many of them are left, and until when they count.
    given: u32,
    held: u32,
    until: Instant,
    /// How many the shared limit had beside those.
    elsewhere: u32,
    /// Until when somebody asks ahead: others ask for their own permit alone meanwhile.
    asking_until: Instant,
    /// When the limit, which refused, is asked again; and when it would grant.
    refused: Option<(Instant, Instant)>,
}

/// What a request is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask for itself and so many more.
    Ask {
        /// Those that come after it.
        ahead: Option<u32>,
    },
    /// It has a permit; so many more are known of.
    Granted(u32),
    /// The limit has refused this caller of late; so long is left.
    Refused(Duration),
}

impl Lease {
    pub(super) fn new(key: String, now: Instant) -> Self {
        Self { key, given: 0, held: 0, until: now, elsewhere: 0, asking_until: now, refused: None }
    }

    /// One request.
    pub(super) fn step(&mut self, now: Instant, most: u32, patience: Duration) -> Step {
        if let Some((_, granting_at)) = self.refused.filter(|(again_at, _)| now < *again_at) {
            return Step::Refused(granting_at.saturating_duration_since(now));
        }
        let is_over = now >= self.until;
        if self.held > 0 && !is_over {
            self.held -= 1;
            return Step::Granted(self.held.saturating_add(self.elsewhere));
        }
        if now < self.asking_until {
            return Step::Ask { ahead: None };
        }
        // All used up in time: twice as many. Too many for this caller: as many as it used.
        let used = self.given.saturating_sub(self.held);
        let wanted = if is_over { used } else { used.saturating_mul(2) };
        self.held = 0;
        self.asking_until = now + patience;
        Step::Ask { ahead: Some(wanted.clamp(1, most) - 1) }
    }

    /// The limit gave `taken` permits, of which the asking request has one, and has `left` more. Gives how many more are
    /// known of.
    pub(super) fn granted(&mut self, asked: Instant, ahead: Option<u32>, taken: u32, left: u32) -> u32 {
        self.elsewhere = left;
        self.refused = None;
        if ahead.is_some() {
            self.asking_until = asked;
            self.until = asked + HELD;
            self.given = taken;
            self.held = taken.saturating_sub(1);
        }
        self.held.saturating_add(left)
    }

    /// The limit refused. It is taken at its word for [`HELD`] at most, for it may be flushed.
    pub(super) fn refused(&mut self, now: Instant, wait: Duration) {
        (self.given, self.held, self.asking_until) = (0, 0, now);
        self.refused = Some((now + wait.min(HELD), now + wait));
    }

    /// Nothing is held, nobody is asking, and no refusal is remembered.
    pub(super) fn is_quiet(&self, now: Instant) -> bool {
        now >= self.until.max(self.asking_until) && self.refused.is_none_or(|(_, granting_at)| now >= granting_at)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(20);

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate { per_second: NonZeroU32::new(per_second).unwrap(), burst: NonZeroU32::new(burst).unwrap() }
    }

    #[test]
    fn what_is_held_of_a_caller_is_a_small_part_of_its_rate() {
        let table = [((500, 1000), 50), ((2, 10), 1), ((20, 400), 2), ((1, 1), 1), ((100_000, 1600), 100)];
        for ((per_second, burst), held) in table {
            assert_eq!(most(rate(per_second, burst)), held, "{per_second} {burst}");
        }
    }

    #[test]
    fn a_busy_caller_asks_less_and_less_often_and_a_quiet_one_gets_one_at_a_time() {
        let start = Instant::now();
        let mut lease = Lease::new("a".to_owned(), start);
        let mut asked = Vec::new();
        for n in 0..200_u32 {
            let now = start + Duration::from_micros(u64::from(n) * 100);
            if let Step::Ask { ahead } = lease.step(now, 50, PATIENCE) {
                let taken = ahead.unwrap() + 1;
                asked.push(taken);
                lease.granted(now, ahead, taken, 1_000);
            }
        }
        assert_eq!(asked, [1, 2, 4, 8, 16, 32, 50, 50, 50]);
        // Five used of fifty, then a pause: five the next time; and one after one that was all there was need for.
        let pause = start + Duration::from_secs(1);
        lease.granted(pause, Some(49), 50, 0);
        for _ in 0..4 {
            assert!(matches!(lease.step(pause, 50, PATIENCE), Step::Granted(_)));
        }
        let next = pause + HELD;
        assert_eq!(lease.step(next, 50, PATIENCE), Step::Ask { ahead: Some(4) });
        lease.granted(next, Some(4), 5, 0);
        assert_eq!(lease.step(next + HELD, 50, PATIENCE), Step::Ask { ahead: Some(0) });
    }

    #[test]
    fn a_permit_is_used_within_its_time_or_not_at_all() {
        let start = Instant::now();
        let mut lease = Lease::new("a".to_owned(), start);
        lease.granted(start, Some(9), 10, 0);
        let before = start + HELD - Duration::from_nanos(1);
        assert_eq!(lease.step(before, 50, PATIENCE), Step::Granted(8));
        assert!(matches!(lease.step(start + HELD, 50, PATIENCE), Step::Ask { .. }));
    }

    #[test]
    fn one_asks_ahead_and_the_others_for_themselves_until_it_has_taken_too_long() {
        let start = Instant::now();
        let mut lease = Lease::new("a".to_owned(), start);
        assert_eq!(lease.step(start, 50, PATIENCE), Step::Ask { ahead: Some(0) });
        assert_eq!(lease.step(start, 50, PATIENCE), Step::Ask { ahead: None });
        assert_eq!(lease.step(start + PATIENCE, 50, PATIENCE), Step::Ask { ahead: Some(0) });
    }

    #[test]
    fn a_refusal_is_believed_for_a_while_and_tells_the_whole_wait() {
        let (start, wait) = (Instant::now(), Duration::from_secs(3));
        let mut lease = Lease::new("a".to_owned(), start);
        lease.granted(start, Some(9), 10, 0);
        lease.refused(start, wait);
        assert_eq!(lease.step(start, 50, PATIENCE), Step::Refused(wait));
        assert!(!lease.is_quiet(start + HELD));
        assert_eq!(lease.step(start + HELD, 50, PATIENCE), Step::Ask { ahead: Some(0) });
        assert!(lease.is_quiet(start + wait));
    }
}
