//! Losses and accuracy: pure functions of tensors.

use tch::{Kind, Reduction, Tensor};

/// One direction of a contrastive prediction.
#[derive(Debug)]
pub struct Nce {
    /// Mean negative log-likelihood of the positives, a scalar.
    pub loss: Tensor,
    /// Mean squared raw score, a scalar: what keeps scores away from the clip.
    pub penalty: Tensor,
}

/// How badly each context tells its own image from the others in the batch (InfoNCE; Bachman et al. 2019, section 3).
///
/// `contexts` is (n, d), `targets` (n, d, l): `l` locations of each of the same `n` ≥ 2 images. Every location of the
/// own image is a positive with a softmax of its own against the shared negatives, the locations of all other images.
/// Scores are scaled by 1/√d and clipped softly to ±`clip`. They are f32 whatever the inputs' lower precision.
///
/// # Panics
///
/// On other shapes.
pub fn nce(contexts: &Tensor, targets: &Tensor, clip: f64) -> Nce {
    let (n, d) = contexts.size2().expect("contexts are (n, d)");
    let targets = widened(targets).permute([1, 0, 2]).reshape([d, -1]);
    // Raw scores, of which there are n²·l, in units of `clip`: what can be is done to the n·d contexts instead.
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

/// In one pass, where squaring first would write all squares.
fn mean_square(x: &Tensor) -> Tensor {
    x.norm().square() / x.numel() as f64
}

/// The value of [`nce`]'s loss when features say nothing: ln(1 + (n − 1)·l) for `n` images of `l` locations.
pub fn chance(n: i64, l: i64) -> f64 {
    (1.0 + (n - 1) as f64 * l as f64).ln()
}

/// Loss of a classifier on features: cross-entropy of softly clipped logits plus a penalty on the raw ones.
///
/// `logits` is (n, classes), `labels` (n) with −1 where a sample has none: those have no part in the cross-entropy,
/// which is 0 when none has one. The penalty is over all of them, as in the reference implementation.
pub fn classification(logits: &Tensor, labels: &Tensor) -> Tensor {
    const CLIP: f64 = 10.0;
    const PENALTY: f64 = 1e-3;
    let logits = widened(logits);
    let labelled = labels.ge(0).sum(logits.kind()).clamp_min(1.0);
    let clipped = (&logits / CLIP).tanh() * CLIP;
    let entropy = clipped.cross_entropy_loss(labels, None::<Tensor>, Reduction::Sum, -1, 0.0);
    entropy / labelled + logits.square().mean(None::<Kind>) * PENALTY
}

/// Share of the labelled samples whose largest logit is their label's; `NaN` when none is labelled.
pub fn accuracy(logits: &Tensor, labels: &Tensor) -> Tensor {
    let hits = logits.argmax(1, false).eq_tensor(labels).to_kind(Kind::Double);
    hits.sum(None::<Kind>) / labels.ge(0).to_kind(Kind::Double).sum(None::<Kind>)
}

/// In f32 at least: sums of exponentials do not survive half precision.
pub(crate) fn widened(x: &Tensor) -> Tensor {
    if matches!(x.kind(), Kind::Half | Kind::BFloat16) { x.to_kind(Kind::Float) } else { x.shallow_clone() }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// The definition, term by term, in plain f64.
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
        let _alone = crate::generator();
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
    fn features_that_say_nothing_lose_by_chance() {
        let _alone = crate::generator();
        let (contexts, targets) = (Tensor::zeros([6, 4], (Kind::Double, Device::Cpu)), [6, 4, 25]);
        let targets = Tensor::zeros(targets, (Kind::Double, Device::Cpu));
        let loss = nce(&contexts, &targets, 20.0).loss.double_value(&[]);
        assert!((loss - chance(6, 25)).abs() < 1e-12);
    }

    #[test]
    fn unlabelled_samples_take_no_part_in_cross_entropy_and_accuracy() {
        let _alone = crate::generator();
        tch::manual_seed(2);
        // All rows have the same mean square, so that the penalty is the same with and without some.
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
