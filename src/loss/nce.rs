//! The contrastive loss of AMDIM, whose scores are clipped softly.

use tch::{Kind, Tensor};
use torchkit::Piece;

use super::widened::widened;

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
    if Piece::Scores.is_fused() && clip <= torchkit::MOST_CLIP {
        let [loss, penalty] = torchkit::clipped_nce(contexts, targets, clip);
        return Nce { loss, penalty };
    }
    plain_nce(contexts, targets, clip)
}

/// [`nce`] by operations that each keep what they need for the way back.
fn plain_nce(contexts: &Tensor, targets: &Tensor, clip: f64) -> Nce {
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
            for fast in [nce(&contexts, &targets, 4.0), plain_nce(&contexts, &targets, 4.0)] {
                assert!((fast.loss.double_value(&[]) - loss).abs() < 1e-12);
                assert!((fast.penalty.double_value(&[]) - penalty).abs() < 1e-12);
            }
        }
    }

    /// Returns loss and penalty, weighted, and their gradients with respect to contexts and targets.
    fn pass(
        of: fn(&Tensor, &Tensor, f64) -> Nce,
        (n, d, l): (i64, i64, i64),
        kind: Kind,
        weights: [f64; 2],
    ) -> [Tensor; 3] {
        tch::manual_seed(6);
        let leaf = |shape: &[i64]| Tensor::randn(shape, (Kind::Double, Device::Cpu)) * 3.0;
        // Locations (n, d, l) of channels-last memory, as those of an encoder.
        let [contexts, targets] = [leaf(&[n, d]), leaf(&[n, l, d]).permute([0, 2, 1])]
            .map(|leaf| leaf.to_kind(kind).set_requires_grad(true));
        let Nce { loss, penalty } = of(&contexts, &targets, 20.0);
        let total = loss * weights[0] + penalty * weights[1];
        total.backward();
        [total.detach(), contexts.grad(), targets.grad()]
    }

    /// More than one block of rows, and a last one that is shorter: no scores are kept.
    #[test]
    fn blocks_of_scores_have_the_gradients_of_all_scores() {
        let _alone = crate::testing::lock_generator();
        let [found, expected] = [nce, plain_nce].map(|of| pass(of, (420, 2, 49), Kind::Double, [0.5, 0.05]));
        for (found, expected) in found.iter().zip(&expected) {
            let off = ((found - expected).norm() / expected.norm()).double_value(&[]);
            assert!(off < 1e-10, "off by {off:.1e}");
        }
    }

    #[test]
    fn scores_that_are_computed_again_have_the_gradients_of_those_that_are_kept() {
        let _alone = crate::testing::lock_generator();
        let cases = [(Kind::Double, 1e-10), (Kind::Float, 5e-5), (Kind::BFloat16, 1e-2)];
        for ((kind, bound), weights) in cases
            .into_iter()
            .flat_map(|case| [[0.5, 0.05], [1.0, 0.0], [0.0, 2.0]].map(|weights| (case, weights)))
        {
            for shape in [(2, 3, 1), (40, 8, 25)] {
                let [found, expected] = [nce, plain_nce].map(|of| pass(of, shape, kind, weights));
                for (found, expected) in found.iter().zip(&expected) {
                    assert_eq!((found.kind(), found.size()), (expected.kind(), expected.size()));
                    let off = (found - expected).norm() / expected.norm();
                    let off = off.double_value(&[]);
                    assert!(off < bound, "{kind:?}, weights {weights:?}: off by {off:.1e}");
                }
            }
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
}
