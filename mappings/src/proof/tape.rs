//! Where a generated record's choices come from: a tape of numbers. A tape that is at its end chooses the simplest thing,
//! so that cutting a tape makes its record simpler.

/// A source of choices.
#[derive(Debug, Clone)]
pub struct Tape<'a> {
    source: Source<'a>,
}

#[derive(Debug, Clone)]
enum Source<'a> {
    Numbers(std::slice::Iter<'a, u64>),
    /// SplitMix64, by Steele, Lea and Flood: the same numbers for the same seed, everywhere.
    Seeded(u64),
}

impl<'a> Tape<'a> {
    /// The numbers given, and then zeros.
    pub fn of(numbers: &'a [u64]) -> Self {
        Self { source: Source::Numbers(numbers.iter()) }
    }

    /// Numbers without end, the same for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self { source: Source::Seeded(seed.wrapping_mul(0xA076_1D64_78BD_642F)) }
    }

    /// A number below `end`, which must not be 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// True once in so many times, and never when the tape is at its end.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == times.saturating_sub(1)
    }

    /// One of them; the first is the simplest.
    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let length = u64::try_from(from.len()).unwrap_or(u64::MAX);
        from.get(usize::try_from(self.below(length)).unwrap_or(0)).copied()
    }

    fn next(&mut self) -> u64 {
        match &mut self.source {
            Source::Numbers(numbers) => numbers.next().copied().unwrap_or(0),
            Source::Seeded(state) => {
                *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                mixed ^ (mixed >> 31)
            }
        }
    }
}
