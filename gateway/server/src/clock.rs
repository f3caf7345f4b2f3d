//! The one place that reads the clock and draws randomness; everything else is handed what it needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil::Date};
use tsunagi_core::id::Entropy;

/// Japan has no summer time: dates of law and registration are dates at UTC+9.
const JST_OFFSET_HOURS: i8 = 9;

/// Where "now" comes from.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Seconds added to the system's clock; the rehearsals and tests move it.
    shift_secs: Arc<AtomicI64>,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// Moves this clock and all its copies by so many seconds.
    pub fn shift(&self, secs: i64) {
        self.shift_secs.fetch_add(secs, Ordering::Relaxed);
    }

    /// The present moment, to the millisecond: what finer digits say is noise to everyone who reads them.
    #[expect(clippy::disallowed_methods, reason = "this is the clock file")]
    pub fn now(&self) -> Timestamp {
        let shift = jiff::SignedDuration::from_secs(self.shift_secs.load(Ordering::Relaxed));
        let now = Timestamp::now();
        let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        now.checked_add(shift).unwrap_or(now)
    }

    /// The present date in Japan.
    pub fn today(&self) -> Date {
        date_in_japan(self.now())
    }

    /// Randomness for one mark. A system without randomness must not go on.
    #[expect(clippy::expect_used, reason = "the operating system's randomness does not fail after start-up")]
    pub fn entropy(&self) -> Entropy {
        let mut bytes = Entropy::default();
        SystemRandom::new().fill(&mut bytes).expect("the operating system gives randomness");
        bytes
    }

    /// 32 random bytes, for keys.
    #[expect(clippy::expect_used, reason = "the operating system's randomness does not fail after start-up")]
    pub fn key_bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).expect("the operating system gives randomness");
        bytes
    }
}

/// The date in Japan at a moment.
pub fn date_in_japan(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::fixed(jiff::tz::offset(JST_OFFSET_HOURS))).date()
}

/// The moment at which a date begins in Japan.
pub fn start_in_japan(date: Date) -> Option<Timestamp> {
    date.to_zoned(TimeZone::fixed(jiff::tz::offset(JST_OFFSET_HOURS))).ok().map(|zoned| zoned.timestamp())
}
