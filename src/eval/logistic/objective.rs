//! The objective of multinomial logistic regression.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::eval::features::Features;

/// The number of rows that are read at a time.
const BLOCK: i64 = 4096;

/// The mean and standard deviation of each channel over all samples. The deviation of a constant channel is
/// 1.
#[derive(Debug)]
pub(super) struct Standard {
    mean: Tensor,
    deviation: Tensor,
}

impl Standard {
    /// Computes mean and deviation in two passes over the features.
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
        // A channel that only varies by rounding errors counts as constant, or they would be amplified.
        let is_constant = deviation.le_tensor(&((mean.abs() + f64::MIN_POSITIVE) * 1e-6));
        Ok(Self { mean, deviation: deviation.masked_fill(&is_constant, 1.0) })
    }
}

/// The mean cross-entropy of the samples that take part, plus half the strength times the squared norm of the
/// weights of standardized features. Biases have no penalty. All numbers are f64.
pub(super) struct Objective<'a> {
    pub(super) features: &'a Features,
    pub(super) standard: &'a Standard,
    /// The class of each sample (n) as its place among the classes that occur.
    pub(super) targets: &'a Tensor,
    /// The number of classes that occur.
    pub(super) classes: i64,
    /// 1 for each sample (n) that takes part and 0 for the others.
    pub(super) part: &'a Tensor,
    pub(super) strength: f64,
    pub(super) device: Device,
}

impl Objective<'_> {
    /// Returns weights and biases of 0, as one vector.
    pub(super) fn zeros(&self) -> Tensor {
        Tensor::zeros([self.classes * (self.features.width() + 1)], (Kind::Double, self.device))
    }

    /// Returns value and gradient at `point`, a vector of weights (classes · width) and biases (classes).
    pub(super) fn at(&self, point: &Tensor) -> Result<(f64, Tensor)> {
        let samples = self.part.sum(Kind::Double);
        let (weights, _) = split(point, self.classes);
        let raw = self.standard.undo(point, self.classes);
        let mut entropy = Tensor::zeros([], (Kind::Double, self.device));
        let mut gradients = [raw.0.zeros_like(), raw.1.zeros_like()];
        for_blocks(self.features, self.device, |start, rows| {
            let count = rows.size()[0];
            let (targets, part) = (self.targets.narrow(0, start, count), self.part.narrow(0, start, count));
            let log = (rows.matmul(&raw.0.tr()) + &raw.1).log_softmax(1, Kind::Double);
            let right = targets.unsqueeze(1);
            entropy -= log.gather(1, &right, false).squeeze_dim(1).dot(&part);
            let off = log.exp().scatter_add(1, &right, &right.ones_like().neg().to_kind(Kind::Double));
            let off = off * part.unsqueeze(1);
            gradients[0] += off.tr().matmul(rows);
            gradients[1] += off.sum_dim_intlist([0i64].as_slice(), false, Kind::Double);
        })?;
        let [of_weights, of_biases] = gradients;
        let of_weights = self.standard.gradient(&of_weights, &of_biases);
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
    /// Converts the gradient of the weights of raw features to that of the weights of standardized features.
    fn gradient(&self, of_weights: &Tensor, of_biases: &Tensor) -> Tensor {
        (of_weights - of_biases.unsqueeze(1) * &self.mean) / &self.deviation
    }

    /// Converts a point for standardized features to equivalent weights (classes, width) and biases (classes)
    /// for raw features.
    pub(super) fn undo(&self, point: &Tensor, classes: i64) -> (Tensor, Tensor) {
        let (weights, biases) = split(point, classes);
        let weights = weights / &self.deviation;
        let biases = biases - weights.matmul(&self.mean);
        (weights, biases)
    }
}

/// Splits a point into weights (classes, width) and biases (classes).
fn split(point: &Tensor, classes: i64) -> (Tensor, Tensor) {
    let weights = point.numel() as i64 - classes;
    (point.narrow(0, 0, weights).view([classes, -1]), point.narrow(0, weights, classes))
}

/// Calls `visit` for each block of samples with the number of the first one and the features in f64.
pub(super) fn for_blocks(
    features: &Features,
    device: Device,
    mut visit: impl FnMut(i64, &Tensor),
) -> Result<()> {
    for start in (0..features.len()).step_by(BLOCK as usize) {
        let rows = features.rows(start, BLOCK.min(features.len() - start))?;
        visit(start, &rows.to_device(device).to_kind(Kind::Double));
    }
    Ok(())
}
