//! The distribution of the scores of a step: on the device, on its way to the host, and there.

use anyhow::Result;
use tch::Tensor;
use torchkit::{Accelerator, Failure, Readback};

use super::histogram::Histogram;
use crate::{loss::Scores, world::World};

/// The distribution of the scores of a step, on the device.
#[derive(Debug)]
pub struct ScoreMetrics {
    /// The name of each part of the loss, and the bound of its buckets.
    parts: Vec<(&'static str, f64)>,
    /// A [`summary`](Scores::summary) of each part.
    pub(crate) values: Tensor,
}

impl ScoreMetrics {
    /// Computes the distribution of the scores of each part. Returns none if there are none.
    pub(crate) fn of(scores: &[Scores]) -> Option<Self> {
        let summaries: Vec<_> = scores.iter().map(Scores::summary).collect();
        let parts = scores.iter().map(|scores| (scores.name, scores.bound)).collect();
        (!summaries.is_empty()).then(|| Self { parts, values: Tensor::stack(&summaries, 0) })
    }

    /// Adds those of all processes.
    ///
    /// # Errors
    ///
    /// If another process is lost.
    pub(crate) fn joined(self, world: World) -> Result<Self> {
        if !world.has_others() {
            return Ok(self);
        }
        let largest = world.largest(&self.values.narrow(1, 0, 2).contiguous());
        let sums = self.values.narrow(1, 2, self.values.size()[1] - 2).contiguous();
        world.average(|| vec![sums.shallow_clone()])?;
        Ok(Self { values: Tensor::cat(&[largest, sums * world.size() as f64], 1), ..self })
    }

    /// Queues a copy to the host, without waiting for it.
    pub(crate) fn queue_read(self, accelerator: Option<Accelerator>) -> Result<PendingScores, Failure> {
        Ok(PendingScores {
            parts: self.parts,
            values: Readback::queue(&self.values.view([-1]), accelerator)?,
        })
    }
}

/// The distribution of scores on its way to the host.
#[derive(Debug)]
pub(crate) struct PendingScores {
    parts: Vec<(&'static str, f64)>,
    values: Readback,
}

impl PendingScores {
    /// Waits for the numbers, but not for later work of the device, and returns a histogram of each part whose scores
    /// are finite.
    pub(crate) fn read(&self) -> Result<Vec<(&'static str, Histogram)>, Failure> {
        let values = self.values.read()?;
        let of_parts = self.parts.iter().zip(values.chunks(values.len() / self.parts.len()));
        let histograms = of_parts.map(|(&(name, bound), numbers)| Some((name, histogram(bound, numbers)?)));
        Ok(histograms.flatten().collect())
    }
}

/// Returns a histogram of the numbers of a summary, if they are finite.
fn histogram(bound: f64, numbers: &[f64]) -> Option<Histogram> {
    let (&[least, max, sum, squares], counts) = numbers.split_first_chunk()?;
    let width = 2.0 * bound / counts.len() as f64;
    let ends = (1..=counts.len()).map(|number| number as f64 * width - bound).collect();
    let is_finite = numbers.iter().all(|number| number.is_finite());
    let counts = counts.iter().map(|count| count.round()).collect(); // the mean over processes, times their number
    is_finite.then(|| Histogram { min: -least, max, sum, squares, ends, counts })
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn the_buckets_reach_from_bound_to_bound_and_scores_that_are_not_finite_have_no_histogram() {
        let of = |values: &[f32]| {
            let queries = Tensor::from_slice(values).view([-1, 1]);
            let keys = Tensor::ones([2, 1], (Kind::Float, Device::Cpu));
            let scores = Scores { name: "1t5", queries, keys, scale: 1.0, clip: None, bound: 32.0 };
            ScoreMetrics::of(&[scores]).unwrap().queue_read(None).unwrap().read().unwrap()
        };
        let found = of(&[-31.5, 2.0]);
        let [("1t5", histogram)] = &found[..] else { panic!("{found:?}") };
        let Histogram { min, max, sum, squares, ends, counts } = histogram;
        assert_eq!(vec![*min, *max, *sum, *squares], [-31.5, 2.0, -59.0, 2.0 * (31.5 * 31.5 + 4.0)]);
        assert_eq!((ends[0], ends[63], ends.len()), (-31.0, 32.0, 64));
        assert_eq!((counts[0], counts[34], counts.iter().sum::<f64>()), (2.0, 2.0, 4.0));
        assert!(of(&[f32::NAN, 1.0]).is_empty());
        assert!(ScoreMetrics::of(&[]).is_none());
    }
}
