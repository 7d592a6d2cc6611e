//! Random numbers as a function of seed, epoch, sample and view.

/// The seed of all randomness of a sample's views.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleSeed {
    /// The seed of the run.
    pub seed: u64,
    /// The epoch that the sample belongs to.
    pub epoch: u64,
    /// The index of the sample in the set.
    pub index: u64,
}

/// A stream of random numbers by `SplitMix64` (Steele, Lea, Flood 2014). It is the same on every machine and
/// must never change.
#[derive(Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    /// Begins the stream of one view of a sample, or with `None` the stream that its views share.
    pub(crate) fn new(seed: SampleSeed, view: Option<usize>) -> Self {
        let stream = view.map_or(0, |view| view as u64 + 1);
        let SampleSeed { seed, epoch, index } = seed;
        Self([seed, epoch, index, stream].iter().fold(0, |state, word| mix(state.wrapping_add(STEP) ^ word)))
    }

    /// Begins the stream of what stays the same for a sample in all epochs and views.
    pub(crate) fn lasting(seed: SampleSeed) -> Self {
        Self::new(SampleSeed { epoch: u64::MAX, ..seed }, None)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// Draws a number uniformly from [low, high).
    pub(crate) fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * ((self.next() >> 11) as f64 / (1u64 << 53) as f64)
    }

    /// Draws an integer uniformly from 0 to `end` − 1.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u32
    }

    /// Draws true with probability `p`.
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.uniform(0.0, 1.0) < p
    }

    /// Shuffles the items; all orders are equally likely.
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
