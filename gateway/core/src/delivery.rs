//! Outcomes and the retry schedule of deliveries (配信).

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What became of one attempt. An adapter reads it off the destination's reply; none invents one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// The destination has it.
    Delivered,
    /// The destination refuses it for good.
    Rejected {
        /// Its code, without anything from the record.
        code: String,
    },
    /// Not now.
    Retry {
        /// Not before this many seconds, if the destination said so.
        after_secs: Option<u32>,
    },
}

/// When a failed attempt is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The first wait.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// After so many attempts the delivery is a dead letter.
    pub attempts: u32,
}

impl Schedule {
    /// The wait after failed attempt `attempt` (from 1), or `None` when the schedule is used up. The wait doubles
    /// up to the longest; `jitter` (0 to 255) takes away up to half of it, so that a destination that comes back
    /// is not met by all at once. A destination that names a longer wait is heeded.
    pub fn wait_after(&self, attempt: u32, jitter: u8, asked: Option<Duration>) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let doubled = self.first.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1)));
        let full = doubled.min(self.longest);
        let wait = full - full.mul_f64(f64::from(jitter) / 255.0 / 2.0);
        Some(asked.map_or(wait, |asked| asked.max(wait)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_end() {
        let schedule = Schedule { first: Duration::from_secs(10), longest: Duration::from_secs(60), attempts: 5 };
        let waits: Vec<_> = (1..=5).map(|n| schedule.wait_after(n, 0, None).map(|w| w.as_secs())).collect();
        assert_eq!(waits, [Some(10), Some(20), Some(40), Some(60), None]);
        assert_eq!(schedule.wait_after(1, 255, None), Some(Duration::from_secs(5)));
        assert_eq!(schedule.wait_after(1, 0, Some(Duration::from_secs(90))), Some(Duration::from_secs(90)));
    }
}
