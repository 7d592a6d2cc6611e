//! The constant Z, by which exponentials of scores become probabilities.

use std::cell::RefCell;

use tch::{Kind, Tensor, nn::Path};

/// The value of a Z that is not yet estimated.
const UNSET: f64 = -1.0;

/// The sum of the exponentials of a sample's scores over a bank, which is estimated once and then the same for
/// all samples; a scalar.
#[derive(Debug)]
pub(super) struct Partition {
    z: Tensor,
    /// The share of Z that each batch leaves as it is; 1 if only the first batch estimates it.
    momentum: f64,
    /// The value after this step.
    next: RefCell<Option<Tensor>>,
}

impl Partition {
    /// Returns a Z without an estimate.
    pub(super) fn new(path: &Path, name: &str, momentum: f64) -> Self {
        let z = Tensor::full([0i64; 0], UNSET, (path.kind(), path.device()));
        Self { z: path.add(name, z, false), momentum, next: RefCell::new(None) }
    }

    /// Returns Z for a batch with these scores (n, 1 + k) of rows of a bank of `samples` rows, without a
    /// graph. The first batch estimates it by the mean over all scores, those of the positives included.
    pub(super) fn of(&self, scores: &Tensor, samples: i64) -> Tensor {
        let scores = scores.detach();
        let total = scores.logsumexp([0i64, 1].as_slice(), false);
        let estimate = (total + (samples as f64 / scores.numel() as f64).ln()).exp().to_kind(self.z.kind());
        let kept = if self.momentum < 1.0 { estimate.lerp(&self.z, self.momentum) } else { self.z.copy() };
        let z = estimate.where_self(&self.z.lt(0.0), &kept);
        self.next.replace(Some(z.shallow_clone()));
        z
    }

    /// Keeps the value of this step, unless `is_broken` is 1.
    pub(super) fn update(&self, is_broken: &Tensor) {
        if let Some(next) = self.next.take() {
            let kept = self.z.where_self(&is_broken.to_kind(Kind::Bool), &next);
            self.z.shallow_clone().copy_(&kept);
        }
    }
}
