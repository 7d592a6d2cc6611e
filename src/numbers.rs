//! Numbers that are typed, as a flag or as a setting in a file, and their bounds.

use std::fmt;

/// Whole numbers between two, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    least: u64,
    most: u64,
}

const MANY: u64 = u32::MAX as u64;

/// Threads of one kind. More are a slip of the hand: no machine has as many cores.
pub const THREADS: Whole = Whole::new(1, 1024);
/// Steps, epochs, samples.
pub const COUNT: Whole = Whole::new(1, MANY);
/// The same, where 0 stands for none.
pub const COUNT_OR_NONE: Whole = Whole::new(0, MANY);
/// What the randomness of a run or of an evaluation derives from.
pub const SEED: Whole = Whole::new(0, MANY);
/// Any that 64 bits hold.
pub const ANY: Whole = Whole::new(0, u64::MAX);
/// Samples in a step: one alone has no others to be compared with.
pub const BATCH: Whole = Whole::new(2, 1 << 20);
/// Parts of a batch.
pub const PARTS: Whole = Whole::new(1, 1 << 20);
/// Channels of the encoder's first layer.
pub const CHANNELS: Whole = Whole::new(1, 1 << 16);
/// Channels of the embeddings.
pub const EMBEDDING: Whole = Whole::new(1, 1 << 20);
/// Residual layers in a block.
pub const DEPTH: Whole = Whole::new(1, 999);
/// Neighbours that vote.
pub const NEIGHBOURS: Whole = Whole::new(1, 100_000);
/// Memory, or images in a shard, in MiB.
pub const MEBIBYTES: Whole = Whole::new(1, 1 << 30);
/// Quality of a JPEG.
pub const QUALITY: Whole = Whole::new(1, 100);

impl Whole {
    /// Those from `least` to `most`.
    pub const fn new(least: u64, most: u64) -> Self {
        Self { least, most }
    }

    /// Whether a number is one of them.
    pub fn holds(self, number: impl TryInto<u64>) -> bool {
        number.try_into().is_ok_and(|number| (self.least..=self.most).contains(&number))
    }

    /// What reads one of them as it is typed.
    pub fn parser<T: TryFrom<u64>>(self) -> impl Fn(&str) -> Result<T, String> + Clone {
        move |text| {
            let number = text.parse().ok().filter(|number: &u64| self.holds(*number));
            number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| format!("not {self}"))
        }
    }
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {} to {}", self.least, self.most)
    }
}

/// Numbers between two, both included. What is to be above 0 is above it in f32, too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Real {
    least: f64,
    most: f64,
}

/// Passes over the samples.
pub const EPOCHS: Real = Real::new(1e-6, 1e6);
/// A learning rate. One beyond the numbers in f32 ends the first step with a message of its own.
pub const RATE: Real = Real::new(1e-12, 1e50);
/// What gradients are scaled down to, and what scores are clipped to.
pub const LIMIT: Real = Real::new(1e-6, 1e6);
/// What keeps the optimizer from dividing by 0.
pub const EPS: Real = Real::new(1e-15, 1e6);
/// Weight of a penalty; 0 for none.
pub const PENALTY: Real = Real::new(0.0, 1e6);
/// What the learning rate is multiplied by.
pub const FACTOR: Real = Real::new(1e-12, 1e6);
/// Decay of a running mean.
pub const DECAY: Real = Real::new(0.0, 0.999_999);
/// A share of a run, which may be made longer.
pub const SHARE_OF_RUN: Real = Real::new(0.0, 1e6);
/// A share of samples that may be all of them.
pub const SHARE: Real = Real::new(1e-6, 1.0);
/// A share of samples that leaves some.
pub const PART: Real = Real::new(1e-6, 0.999_999);
/// A share of samples that leaves as many.
pub const HALF: Real = Real::new(1e-6, 0.5);
/// What cosines are divided by.
pub const TEMPERATURE: Real = Real::new(1e-6, 1e6);
/// Hours, up to a century.
pub const HOURS: Real = Real::new(1e-9, 876_600.0);

impl Real {
    const fn new(least: f64, most: f64) -> Self {
        Self { least, most }
    }

    /// Whether a number is one of them.
    pub fn holds(self, number: f64) -> bool {
        (self.least..=self.most).contains(&number)
    }

    /// One of them, as it is typed.
    pub fn parse(self, text: &str) -> Result<f64, String> {
        let number = text.parse().ok().filter(|&number| self.holds(number));
        number.ok_or_else(|| format!("not {self}"))
    }

    /// What reads one of them as it is typed.
    pub fn parser(self) -> impl Fn(&str) -> Result<f64, String> + Clone {
        move |text| self.parse(text)
    }
}

impl fmt::Display for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number from {} to {}", Shown(self.least), Shown(self.most))
    }
}

/// A number with an exponent where it would have many zeros.
#[derive(Debug, Clone, Copy)]
pub struct Shown(pub f64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = !self.0.is_finite() || self.0 == 0.0 || (1e-6..1e9).contains(&self.0.abs());
        if is_plain { write!(f, "{}", self.0) } else { write!(f, "{:e}", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is typed by mistake, or to see what happens.
    const ABSURD: [&str; 12] = [
        "",
        " 1",
        "nan",
        "inf",
        "-inf",
        "1e400",
        "-1",
        "-0.5",
        "1e-320",
        "9223372036854775808e300",
        "0x10",
        "1,5",
    ];

    #[test]
    fn what_is_no_number_within_the_bounds_is_refused_with_the_bounds() {
        for whole in [THREADS, COUNT, COUNT_OR_NONE, SEED, BATCH, DEPTH] {
            for text in ABSURD.into_iter().chain(["0.5", "1e3", "18446744073709551616"]) {
                let said = whole.parser::<u32>()(text).unwrap_err();
                assert!(said == format!("not {whole}") && said.contains(" to "), "{text}: {said}");
            }
        }
        for real in [EPOCHS, RATE, LIMIT, EPS, FACTOR, SHARE, PART, HALF, TEMPERATURE, HOURS] {
            for text in ABSURD.into_iter().chain(["0"]) {
                assert_eq!(real.parse(text), Err(format!("not {real}")), "{text}");
            }
            assert!(real.least as f32 > 0.0 && real.holds(real.least) && real.holds(real.most));
        }
        assert_eq!(PENALTY.parse("0"), Ok(0.0));
        assert_eq!(RATE.to_string(), "a number from 1e-12 to 1e50");
        assert_eq!(HALF.to_string(), "a number from 0.000001 to 0.5");
        assert_eq!(THREADS.parser::<usize>()("1024"), Ok(1024));
        assert_eq!(COUNT.parser::<u8>()("256"), Err(format!("not {COUNT}")));
    }
}
