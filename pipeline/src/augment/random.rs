//! Randomness as a function of seed, epoch, sample and view.

/// What all randomness about the views of a sample follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleSeed {
    /// Seed of the run.
    pub seed: u64,
    /// The epoch that the sample is drawn for.
    pub epoch: u64,
    /// The sample's number in the set.
    pub index: u64,
}

/// A stream of random numbers, by `SplitMix64` (Steele, Lea, Flood 2014): the same on every machine, for good.
#[derive(Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    /// The numbers for one view of a sample; `None` is what its views share.
    pub(crate) fn new(seed: SampleSeed, view: Option<usize>) -> Self {
        let stream = view.map_or(0, |view| view as u64 + 1);
        let SampleSeed { seed, epoch, index } = seed;
        Self([seed, epoch, index, stream].iter().fold(0, |state, word| mix(state.wrapping_add(STEP) ^ word)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// Uniform in [low, high).
    pub(crate) fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * ((self.next() >> 11) as f64 / (1u64 << 53) as f64)
    }

    /// Uniform among 0 … `end` − 1.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u32
    }

    /// True with probability `p`.
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.uniform(0.0, 1.0) < p
    }

    /// Any order of the items with equal probability.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (2..=items.len()).rev() {
            items.swap(end - 1, self.below(end as u32) as usize);
        }
    }
}

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(mut state: u64) -> u64 {
    state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_the_published_numbers() {
        let mut draws = Draws(1_234_567);
        assert_eq!(draws.next(), 6_457_827_717_110_365_317);
        assert_eq!(draws.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn seed_epoch_index_and_view_all_change_the_draws() {
        let seed = SampleSeed { seed: 1, epoch: 2, index: 3 };
        let mut firsts: Vec<u64> = [
            Draws::new(seed, None),
            Draws::new(seed, Some(0)),
            Draws::new(seed, Some(1)),
            Draws::new(SampleSeed { seed: 2, ..seed }, None),
            Draws::new(SampleSeed { epoch: 3, ..seed }, None),
            Draws::new(SampleSeed { index: 2, ..seed }, None),
            Draws::new(SampleSeed { seed: 2, epoch: 1, index: 3 }, None),
        ]
        .map(|mut draws| draws.next())
        .to_vec();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts.len(), 7);
    }
}
