//! What multinomial logistic regression minimizes.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::eval::features::Features;

/// Rows that are taken from the file at a time.
const BLOCK: i64 = 4096;

/// Each channel's mean and standard deviation over all samples; 1 where a channel is constant.
#[derive(Debug)]
pub(super) struct Standard {
    mean: Tensor,
    deviation: Tensor,
}

impl Standard {
    /// Of features, in two passes over them.
    pub(super) fn of(features: &Features, device: Device) -> Result<Self> {
        let n = features.len() as f64;
        let average = |of: &dyn Fn(&Tensor) -> Tensor| -> Result<Tensor> {
            let mut sum = Tensor::zeros([features.width()], (Kind::Double, device));
            for_blocks(features, device, |_, rows| {
                sum += of(rows).sum_dim_intlist([0i64].as_slice(), false, Kind::Double);
            })?;
            Ok(sum / n)
        };
        let mean = average(&Tensor::shallow_clone)?;
        let deviation = average(&|rows| (rows - &mean).square())?.sqrt();
        // What is constant but for rounding says nothing, and is not to be blown up.
        let is_constant = deviation.le_tensor(&((mean.abs() + f64::MIN_POSITIVE) * 1e-6));
        Ok(Self { mean, deviation: deviation.masked_fill(&is_constant, 1.0) })
    }
}

/// Mean cross-entropy of the samples that take part, plus half the strength times the squared norm of the weights, those of
/// standardized features; biases are free. In f64.
pub(super) struct Objective<'a> {
    pub(super) features: &'a Features,
    pub(super) standard: &'a Standard,
    /// The class of each sample (n), among those that occur.
    pub(super) targets: &'a Tensor,
    /// Classes that occur.
    pub(super) classes: i64,
    /// 1 for each sample (n) that takes part, else 0, in f64.
    pub(super) part: &'a Tensor,
    pub(super) strength: f64,
    pub(super) device: Device,
}

impl Objective<'_> {
    /// Weights and biases that are all 0.
    pub(super) fn zeros(&self) -> Tensor {
        Tensor::zeros([self.classes * (self.features.width() + 1)], (Kind::Double, self.device))
    }

    /// Value and gradient at these weights (classes · width) and biases (classes), one vector.
    pub(super) fn at(&self, point: &Tensor) -> Result<(f64, Tensor)> {
        let samples = self.part.sum(Kind::Double);
        let (weights, _) = split(point, self.classes);
        let raw = self.standard.undo(point, self.classes);
        let mut entropy = Tensor::zeros([], (Kind::Double, self.device));
        let mut of_raw = [raw.0.zeros_like(), raw.1.zeros_like()];
        for_blocks(self.features, self.device, |start, rows| {
            let count = rows.size()[0];
            let (targets, part) = (self.targets.narrow(0, start, count), self.part.narrow(0, start, count));
            let log = (rows.matmul(&raw.0.tr()) + &raw.1).log_softmax(1, Kind::Double);
            let right = targets.unsqueeze(1);
            entropy -= log.gather(1, &right, false).squeeze_dim(1).dot(&part);
            let off = log.exp().scatter_add(1, &right, &right.ones_like().neg().to_kind(Kind::Double));
            let off = off * part.unsqueeze(1);
            of_raw[0] += off.tr().matmul(rows);
            of_raw[1] += off.sum_dim_intlist([0i64].as_slice(), false, Kind::Double);
        })?;
        // From weights of the features as they are to those of standardized ones.
        let [of_weights, of_biases] = of_raw;
        let of_weights =
            (of_weights - of_biases.unsqueeze(1) * &self.standard.mean) / &self.standard.deviation;
        let gradient = Tensor::cat(
            &[
                of_weights.flatten(0, 1) / &samples + weights.flatten(0, 1) * self.strength,
                of_biases / &samples,
            ],
            0,
        );
        let penalty = weights.square().sum(Kind::Double) * (0.5 * self.strength);
        Ok(((entropy / samples + penalty).double_value(&[]), gradient))
    }
}

impl Standard {
    /// Weights (classes, width) and biases (classes) of the features as they are that do what those of standardized ones do.
    pub(super) fn undo(&self, point: &Tensor, classes: i64) -> (Tensor, Tensor) {
        let (weights, biases) = split(point, classes);
        let weights = weights / &self.deviation;
        let biases = biases - weights.matmul(&self.mean);
        (weights, biases)
    }
}

/// Weights (classes, width) and biases (classes).
fn split(point: &Tensor, classes: i64) -> (Tensor, Tensor) {
    let weights = point.numel() as i64 - classes;
    (point.narrow(0, 0, weights).view([classes, -1]), point.narrow(0, weights, classes))
}

/// Calls `see` with the number of the first of each block of samples, and their features in f64.
pub(super) fn for_blocks(
    features: &Features,
    device: Device,
    mut see: impl FnMut(i64, &Tensor),
) -> Result<()> {
    for start in (0..features.len()).step_by(BLOCK as usize) {
        let rows = features.rows(start, BLOCK.min(features.len() - start))?;
        see(start, &rows.to_device(device).to_kind(Kind::Double));
    }
    Ok(())
}
