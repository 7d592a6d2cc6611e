//! Permutations of any size that are computed, not stored.

/// The rounds of the network: four make it look random, the others help tiny sizes.
const ROUNDS: usize = 8;

/// A permutation of the numbers below `size`, chosen by a key.
///
/// A Feistel network permutes the smallest domain with an even number of bits that covers `size`. Results
/// outside of `size` go through the network again until they are inside (cycle walking), at most four times
/// on average.
#[derive(Debug, Clone)]
pub(crate) struct Permutation {
    size: u64,
    half_bits: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    pub(crate) fn new(size: u64, key: u64) -> Self {
        let bits = u64::BITS - size.saturating_sub(1).leading_zeros();
        let keys = std::array::from_fn(|round| mix(key, round as u64));
        Self { size, half_bits: bits.div_ceil(2).max(1), keys }
    }

    /// Maps `number`, which must be below `size`.
    pub(crate) fn apply(&self, number: u64) -> u64 {
        self.walk(number, |number| self.keys.iter().fold(number, |number, &key| self.round(number, key)))
    }

    /// Finds the number that [`apply`](Self::apply) maps to `number`.
    pub(crate) fn invert(&self, number: u64) -> u64 {
        self.walk(number, |number| {
            let swapped =
                self.keys.iter().rev().fold(self.swap(number), |number, &key| self.round(number, key));
            self.swap(swapped)
        })
    }

    fn walk(&self, number: u64, step: impl Fn(u64) -> u64) -> u64 {
        debug_assert!(number < self.size, "the number is one of those permuted");
        let mut number = step(number);
        while number >= self.size {
            number = step(number);
        }
        number
    }

    /// (left, right) → (right, left ^ f(right)); its own inverse between two swaps.
    fn round(&self, number: u64, key: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (left, right) = (number >> self.half_bits, number & mask);
        right << self.half_bits | (left ^ (mix(key, right) & mask))
    }

    fn swap(&self, number: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        (number & mask) << self.half_bits | number >> self.half_bits
    }
}

/// Mixes two numbers to one that looks random and depends on every bit of both (the finalizer of splitmix64,
/// twice).
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    finalize(
        finalize(a.wrapping_add(0x9e37_79b9_7f4a_7c15)).wrapping_add(b).wrapping_add(0x9e37_79b9_7f4a_7c15),
    )
}

fn finalize(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_hit_once_and_the_inverse_leads_back() {
        for size in (1..70).chain([255, 256, 257, 4095, 10_000]) {
            let permutation = Permutation::new(size, size * 7);
            let mut seen = vec![false; size as usize];
            for number in 0..size {
                let image = permutation.apply(number);
                assert!(!std::mem::replace(&mut seen[image as usize], true), "{size}: {image} twice");
                assert_eq!(permutation.invert(image), number);
            }
        }
    }

    #[test]
    fn over_many_keys_every_number_goes_everywhere_about_equally_often() {
        for size in [2, 3, 5, 10, 32] {
            let keys = 2_000 * size;
            let mut counts = vec![vec![0_u64; size as usize]; size as usize];
            for key in 0..keys {
                let permutation = Permutation::new(size, mix(3, key));
                (0..size).for_each(|number| counts[number as usize][permutation.apply(number) as usize] += 1);
            }
            for count in counts.into_iter().flatten() {
                assert!(count.abs_diff(2_000) < 300, "size {size}: {count} of 2000 expected");
            }
        }
    }
}
