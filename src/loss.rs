//! Losses and accuracy: pure functions of tensors.

use tch::{Kind, Reduction, Tensor};

/// One direction of a contrastive prediction.
#[derive(Debug)]
pub struct Nce {
    /// Mean negative log-likelihood of the positives, a scalar.
    pub loss: Tensor,
    /// Mean squared raw score, a scalar. As a penalty, it keeps scores away from the clip.
    pub penalty: Tensor,
}

/// Returns the contrastive loss of contexts that predict targets of their own image against those of the
/// others in the batch (InfoNCE; Bachman et al. 2019, section 3).
///
/// `contexts` is (n, d), `targets` (n, d, l): `l` locations of each of the same `n` ≥ 2 images. Every
/// location of the own image is a positive with a softmax of its own against the shared negatives, the
/// locations of all other images. Scores are scaled by 1/√d and clipped softly to ±`clip`. They are f32 if
/// the inputs have a lower precision.
///
/// # Panics
///
/// If the shapes differ from these.
pub fn nce(contexts: &Tensor, targets: &Tensor, clip: f64) -> Nce {
    let (n, d) = contexts.size2().expect("contexts are (n, d)");
    let targets = widened(targets).permute([1, 0, 2]).reshape([d, -1]);
    // The n²·l raw scores are in units of `clip`: dividing the n·d contexts is cheaper than dividing the
    // scores.
    let raw = (widened(contexts) / (clip * (d as f64).sqrt())).matmul(&targets).view([n, n, -1]);
    let scores = raw.tanh() * clip;
    let own = Tensor::eye(n, (Kind::Bool, raw.device())).unsqueeze(-1);
    let positives = scores.diagonal(0, 0, 1).transpose(0, 1);
    let negatives = scores.masked_fill(&own, f64::NEG_INFINITY).view([n, -1]).logsumexp(1i64, true);
    Nce {
        loss: (positives.logaddexp(&negatives) - &positives).mean(None::<Kind>),
        penalty: mean_square(&raw) * (clip * clip),
    }
}

/// Returns the mean square in one pass over memory, without writing all squares.
fn mean_square(x: &Tensor) -> Tensor {
    x.norm().square() / x.numel() as f64
}

/// Returns the loss of [`nce`] at chance level, that is for features that carry no information: ln(1 + (n −
/// 1)·l) for `n` images of `l` locations.
pub fn chance(n: i64, l: i64) -> f64 {
    (1.0 + (n - 1) as f64 * l as f64).ln()
}

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

/// Returns a tensor of at least f32: half precision is too coarse for sums of exponentials.
pub(crate) fn widened(x: &Tensor) -> Tensor {
    if matches!(x.kind(), Kind::Half | Kind::BFloat16) { x.to_kind(Kind::Float) } else { x.shallow_clone() }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// Computes the definition term by term in f64.
    fn slow_nce(contexts: &[Vec<f64>], targets: &[Vec<Vec<f64>>], clip: f64) -> (f64, f64) {
        let (n, l) = (contexts.len(), targets[0].len());
        let raw = |i: usize, j: usize, k: usize| {
            let dot: f64 = contexts[i].iter().zip(&targets[j][k]).map(|(a, b)| a * b).sum();
            dot / (contexts[i].len() as f64).sqrt()
        };
        let score = |i, j, k| clip * (raw(i, j, k) / clip).tanh();
        let (mut loss, mut penalty) = (0.0, 0.0);
        for i in 0..n {
            let others = (0..n).filter(|&j| j != i).flat_map(|j| (0..l).map(move |k| (j, k)));
            let negatives: f64 = others.map(|(j, k)| score(i, j, k).exp()).sum();
            for k in 0..l {
                let positive: f64 = score(i, i, k);
                loss -= positive - (positive.exp() + negatives).ln();
            }
            penalty += (0..n)
                .flat_map(|j| (0..l).map(move |k| (j, k)))
                .map(|(j, k)| raw(i, j, k).powi(2))
                .sum::<f64>();
        }
        (loss / (n * l) as f64, penalty / (n * n * l) as f64)
    }

    fn rows(t: &Tensor) -> Vec<Vec<f64>> {
        Vec::try_from(t).unwrap()
    }

    #[test]
    fn nce_equals_its_definition_term_by_term() {
        let _alone = crate::testing::lock_generator();
        tch::manual_seed(1);
        for (n, d, l) in [(2, 3, 1), (3, 5, 4), (5, 8, 9)] {
            let contexts = Tensor::randn([n, d], (Kind::Double, Device::Cpu)) * 3.0;
            let targets = Tensor::randn([n, d, l], (Kind::Double, Device::Cpu)) * 3.0;
            let slow_targets: Vec<_> = (0..n).map(|j| rows(&targets.get(j).transpose(0, 1))).collect();
            let (loss, penalty) = slow_nce(&rows(&contexts), &slow_targets, 4.0);
            let fast = nce(&contexts, &targets, 4.0);
            assert!((fast.loss.double_value(&[]) - loss).abs() < 1e-12);
            assert!((fast.penalty.double_value(&[]) - penalty).abs() < 1e-12);
        }
    }

    #[test]
    fn constant_features_have_the_loss_at_chance_level() {
        let _alone = crate::testing::lock_generator();
        let (contexts, targets) = (Tensor::zeros([6, 4], (Kind::Double, Device::Cpu)), [6, 4, 25]);
        let targets = Tensor::zeros(targets, (Kind::Double, Device::Cpu));
        let loss = nce(&contexts, &targets, 20.0).loss.double_value(&[]);
        assert!((loss - chance(6, 25)).abs() < 1e-12);
    }

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
