//! Splits a source into training and validation samples.

use std::collections::BTreeMap;

use super::source::{Image, Source};
use crate::{
    error::{ImageError, OutputError, Result},
    random::Random,
};

/// The choice of samples that are held out for validation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Validation {
    /// The share of each class, above 0 and below 1.
    pub fraction: f64,
    /// The seed of the choice.
    pub seed: u64,
}

/// Some samples of a source, in its order.
pub(super) struct Subset<'a> {
    source: &'a dyn Source,
    numbers: Vec<u32>,
}

impl<'a> Subset<'a> {
    /// Selects all samples.
    pub(super) fn all(source: &'a dyn Source) -> Self {
        Self { source, numbers: (0..count(source)).collect() }
    }

    /// Splits a source into training and validation samples. The share of each class is rounded, but at least
    /// one sample if the class has two, and never all.
    ///
    /// # Errors
    /// No class has two samples.
    pub(super) fn split(source: &'a dyn Source, validation: Validation) -> Result<[Self; 2]> {
        let mut classes: BTreeMap<Option<usize>, Vec<u32>> = BTreeMap::new();
        for number in 0..count(source) {
            // A sample with a bad label is reported when it is read.
            let label = source.label(number as usize).unwrap_or(None);
            classes.entry(label).or_default().push(number);
        }
        let (mut train, mut held_out) = (Vec::new(), Vec::new());
        for (label, mut numbers) in classes {
            let class = label.map_or(0, |label| label as u64 + 1);
            Random::new(&[validation.seed, class]).shuffle(&mut numbers);
            let rest = numbers.split_off(share(numbers.len(), validation.fraction));
            held_out.extend(numbers);
            train.extend(rest);
        }
        if held_out.is_empty() {
            return Err(OutputError::NothingHeldOut.into());
        }
        Ok([train, held_out].map(|mut numbers| {
            numbers.sort_unstable();
            Self { source, numbers }
        }))
    }
}

fn count(source: &dyn Source) -> u32 {
    u32::try_from(source.count()).expect("a set has less than 2^32 samples")
}

/// Returns the number of validation samples of a class of `count` samples.
fn share(count: usize, fraction: f64) -> usize {
    match count {
        0 | 1 => 0,
        _ => ((count as f64 * fraction).round() as usize).clamp(1, count - 1),
    }
}

impl Source for Subset<'_> {
    fn classes(&self) -> &[String] {
        self.source.classes()
    }

    fn count(&self) -> usize {
        self.numbers.len()
    }

    fn bytes(&self, number: usize) -> u64 {
        self.source.bytes(self.numbers[number] as usize)
    }

    fn key(&self, number: usize) -> String {
        self.source.key(self.numbers[number] as usize)
    }

    fn label(&self, number: usize) -> Result<Option<usize>, ImageError> {
        self.source.label(self.numbers[number] as usize)
    }

    fn read(&self, number: usize) -> Result<Image, ImageError> {
        self.source.read(self.numbers[number] as usize)
    }

    fn ignored(&self) -> u64 {
        self.source.ignored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_gives_its_share_but_never_its_last_training_image() {
        for (count, fraction, expected) in [
            (0, 0.5, 0),
            (1, 0.9, 0),
            (2, 0.01, 1),
            (2, 0.99, 1),
            (10, 0.2, 2),
            (10, 0.25, 3),
            (1000, 0.1, 100),
        ] {
            assert_eq!(share(count, fraction), expected, "{fraction} of {count}");
        }
    }
}
