//! The loss and the accuracy of classifiers.

use tch::{Kind, Reduction, Tensor};

use super::widened::widened;

/// Returns the loss of a classifier on features: cross-entropy of softly clipped logits, plus a penalty on
/// the raw logits.
///
/// `logits` is (n, classes), `labels` (n), with −1 for samples without a label: they do not count in the
/// cross-entropy, which is 0 if no sample has a label. The penalty counts all samples, as in the reference
/// implementation.
pub fn classification(logits: &Tensor, labels: &Tensor) -> Tensor {
    const CLIP: f64 = 10.0;
    const PENALTY: f64 = 1e-3;
    let logits = widened(logits);
    let labelled = labels.ge(0).sum(logits.kind()).clamp_min(1.0);
    let clipped = (&logits / CLIP).tanh() * CLIP;
    let entropy = clipped.cross_entropy_loss(labels, None::<Tensor>, Reduction::Sum, -1, 0.0);
    entropy / labelled + logits.square().mean(None::<Kind>) * PENALTY
}

/// Returns the share of labelled samples whose largest logit is that of their label; NaN if no sample is
/// labelled.
pub fn accuracy(logits: &Tensor, labels: &Tensor) -> Tensor {
    let hits = logits.argmax(1, false).eq_tensor(labels).to_kind(Kind::Double);
    hits.sum(None::<Kind>) / labels.ge(0).to_kind(Kind::Double).sum(None::<Kind>)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn unlabelled_samples_do_not_count_in_cross_entropy_and_accuracy() {
        let _alone = crate::testing::lock_generator();
        tch::manual_seed(2);
        // All rows have the same mean square, so the penalty is the same for any subset.
        let logits = Tensor::randn([5, 3], (Kind::Double, Device::Cpu)).sign() * 2.0;
        let labels = Tensor::from_slice(&[2i64, -1, 0, -1, 1]);
        let chosen = Tensor::from_slice(&[0i64, 2, 4]);
        let (few, few_labels) = (logits.index_select(0, &chosen), labels.index_select(0, &chosen));
        let difference = classification(&logits, &labels) - classification(&few, &few_labels);
        assert!(difference.double_value(&[]).abs() < 1e-12);
        let same =
            accuracy(&logits, &labels).double_value(&[]) - accuracy(&few, &few_labels).double_value(&[]);
        assert!(same.abs() < 1e-7);
        let none = classification(&logits, &Tensor::full([5], -1, (Kind::Int64, Device::Cpu)));
        assert!((none.double_value(&[]) - 4e-3).abs() < 1e-12);
    }
}
