//! Pseudorandom numbers that are the same on every machine.

/// A generator (`SplitMix64`) seeded by words that identify its use, e.g. (seed, sample).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

    /// Makes a generator for these words; equal words give equal numbers.
    pub fn new(words: &[u64]) -> Self {
        let mut random = Self(0);
        for word in words {
            random.0 ^= word;
            random.0 = random.next_u64();
        }
        random
    }

    /// Makes the generator with state `seed` after `numbers` draws.
    pub fn after(seed: u64, numbers: u64) -> Self {
        Self(seed.wrapping_add(numbers.wrapping_mul(Self::STEP)))
    }

    /// Draws the next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::STEP);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Draws a number from [low, high).
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        let unit = (self.next_u64() >> 40) as f32 / (1u32 << 24) as f32;
        low + (high - low) * unit
    }

    /// Draws a number below `n`; the bias of at most n / 2⁶⁴ is negligible.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// Draws one of some items, of which there must be at least one.
    pub fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }

    /// Shuffles items.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}
