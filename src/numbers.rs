//! Bounds of numbers in flags and in files of settings.

use std::fmt;

/// Bounds of a whole number, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    least: u64,
    most: u64,
}

const MANY: u64 = u32::MAX as u64;

/// The number of threads of one kind. A higher number is a typing error: no machine has as many cores.
pub const THREADS: Whole = Whole::new(1, 1024);
/// A number of steps, epochs or samples.
pub const COUNT: Whole = Whole::new(1, MANY);
/// A number of steps, epochs or samples, or 0 for none.
pub const COUNT_OR_NONE: Whole = Whole::new(0, MANY);
/// The seed of a run or an evaluation.
pub const SEED: Whole = Whole::new(0, MANY);
/// Any number of 64 bits.
pub const ANY: Whole = Whole::new(0, u64::MAX);
/// The number of samples in a step. A single sample has no negatives.
pub const BATCH: Whole = Whole::new(2, 1 << 20);
/// The width and height of views in pixels.
pub const SIDE: Whole = Whole::new(8, 1024);
/// The number of parts of a batch.
pub const PARTS: Whole = Whole::new(1, 1 << 20);
/// The number of partitions of an epoch.
pub const PARTITIONS: Whole = Whole::new(1, 1 << 16);
/// The number of channels of the encoder's first layer.
pub const CHANNELS: Whole = Whole::new(1, 1 << 16);
/// The number of channels of the embeddings.
pub const EMBEDDING: Whole = Whole::new(1, 1 << 20);
/// The number of residual layers in a block.
pub const DEPTH: Whole = Whole::new(1, 999);
/// The side of a patch of an image, in pixels.
pub const PATCH: Whole = Whole::new(4, 1024);
/// The number of rows of patches that are predicted.
pub const STEPS_BELOW: Whole = Whole::new(1, 8);
/// The number of negatives that are drawn.
pub const NEGATIVES: Whole = Whole::new(1, 1 << 20);
/// The number of keys in a queue.
pub const QUEUE: Whole = Whole::new(1, 1 << 24);
/// The number of groups of a batch norm.
pub const GROUPS: Whole = Whole::new(1, 1 << 16);
/// The number of neighbours that vote.
pub const NEIGHBOURS: Whole = Whole::new(1, 100_000);
/// An amount of memory, or of images in a shard, in MiB.
pub const MEBIBYTES: Whole = Whole::new(1, 1 << 30);
/// The quality of a JPEG.
pub const QUALITY: Whole = Whole::new(1, 100);

impl Whole {
    /// Bounds from `least` to `most`.
    pub const fn new(least: u64, most: u64) -> Self {
        Self { least, most }
    }

    /// Returns whether `number` is within the bounds.
    pub fn holds(self, number: impl TryInto<u64>) -> bool {
        number.try_into().is_ok_and(|number| (self.least..=self.most).contains(&number))
    }

    /// Returns a parser of numbers within the bounds.
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

/// Bounds of a number, both included. A lower bound above 0 is above 0 in f32, too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Real {
    least: f64,
    most: f64,
}

/// The number of passes over the samples.
pub const EPOCHS: Real = Real::new(1e-6, 1e6);
/// A number of passes over the samples, or 0 for none.
pub const EPOCHS_OR_NONE: Real = Real::new(0.0, 1e6);
/// A learning rate. A rate that f32 cannot represent ends the first step with a message of its own.
pub const RATE: Real = Real::new(1e-12, 1e50);
/// The limit of a gradient's norm or of a score.
pub const LIMIT: Real = Real::new(1e-6, 1e6);
/// The optimizer's epsilon, which keeps it from dividing by 0.
pub const EPS: Real = Real::new(1e-15, 1e6);
/// The weight of a penalty, or 0 for none.
pub const PENALTY: Real = Real::new(0.0, 1e6);
/// A factor of the learning rate.
pub const FACTOR: Real = Real::new(1e-12, 1e6);
/// The decay of a running mean.
pub const DECAY: Real = Real::new(0.0, 0.999_999);
/// A share of a run. It may lie beyond the end, since a run can be lengthened.
pub const SHARE_OF_RUN: Real = Real::new(0.0, 1e6);
/// A share of samples, up to all of them.
pub const SHARE: Real = Real::new(1e-6, 1.0);
/// The strength of a colour jitter, whose hue turns by a fifth of it and at most by half of the circle.
pub const JITTER: Real = Real::new(0.0, 2.5);
/// A probability.
pub const PROBABILITY: Real = Real::new(0.0, 1.0);
/// A share of samples, less than all of them.
pub const PART: Real = Real::new(1e-6, 0.999_999);
/// A share of samples, up to half of them.
pub const HALF: Real = Real::new(1e-6, 0.5);
/// The temperature that cosines are divided by.
pub const TEMPERATURE: Real = Real::new(1e-6, 1e6);
/// A number of hours, up to a century.
pub const HOURS: Real = Real::new(1e-9, 876_600.0);

impl Real {
    const fn new(least: f64, most: f64) -> Self {
        Self { least, most }
    }

    /// Returns whether `number` is within the bounds. NaN is not.
    pub fn holds(self, number: f64) -> bool {
        (self.least..=self.most).contains(&number)
    }

    /// Parses a number within the bounds.
    ///
    /// # Errors
    ///
    /// If the text is not a number within the bounds. The message names them.
    pub fn parse(self, text: &str) -> Result<f64, String> {
        let number = text.parse().ok().filter(|&number| self.holds(number));
        number.ok_or_else(|| format!("not {self}"))
    }

    /// Returns a parser of numbers within the bounds.
    pub fn parser(self) -> impl Fn(&str) -> Result<f64, String> + Clone {
        move |text| self.parse(text)
    }
}

impl fmt::Display for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number from {} to {}", Shown(self.least), Shown(self.most))
    }
}

/// A number that is displayed with an exponent if it would have many zeros otherwise.
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

    /// Texts that no bounds accept.
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
    fn a_text_that_is_not_a_number_within_the_bounds_is_refused_with_the_bounds() {
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
