//! Chance that can be had again: the same numbers from the same seed.

/// A xorshift generator.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// From a seed, of which zero would give nothing but zeros.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// From the seed that `TSUNAGI_TEST_SEED` names, or from a new one, which is printed so that it can be had again.
    pub fn thrown(test: &str) -> Self {
        let named = std::env::var("TSUNAGI_TEST_SEED").ok();
        let seed = named.map_or_else(new_seed, |seed| seed.parse().expect("TSUNAGI_TEST_SEED is a number"));
        println!("{test}: TSUNAGI_TEST_SEED={seed}");
        Self::new(seed)
    }

    /// A number below another.
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }

    /// Puts items into another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}

fn new_seed() -> u64 {
    let mut bytes = [0; 4];
    aws_lc_rs::rand::fill(&mut bytes).expect("randomness");
    u32::from_le_bytes(bytes).into()
}
