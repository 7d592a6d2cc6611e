//! The contrastive loss of AMDIM, whose scores are clipped softly.

use tch::{Kind, Tensor};
use torchkit::{ClippedScores, Piece};

use super::widened::widened;
use crate::world::World;

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
/// `contexts` is (m, d): those of the m ≥ 2 images of all processes of `world`, in the order of ranks. `targets` is
/// (n, d, l): `l` locations of each of the n images of this process. Every location of the own image is a positive
/// with a softmax of its own against the shared negatives, the locations of all other images. Scores are scaled by
/// 1/√d and clipped softly to ±`clip`. They are f32 if the inputs have a lower precision.
///
/// Contexts travel between processes, and targets stay: each process scores all contexts against its own targets, and
/// the sums of exponentials are added up. The results are this process's share, whose mean over the processes is the
/// loss of the batch.
///
/// # Panics
///
/// If the shapes differ from these.
pub fn nce(contexts: &Tensor, targets: &Tensor, clip: f64, world: World) -> Nce {
    let (all, own, locations) = (contexts.size()[0], targets.size()[0], targets.size()[2]);
    assert_eq!(all, world.samples(own), "contexts of all images and targets of this process's");
    let first = world.rank() as i64 * own;
    let is_fused = Piece::Scores.is_fused() && clip <= torchkit::MOST_CLIP;
    let (ClippedScores { sums, positives, squares }, shift) = if is_fused {
        (torchkit::clipped_scores(contexts, targets, clip, first), None)
    } else {
        let (scores, shift) = plain_scores(contexts, targets, clip, world);
        (scores, Some(shift.narrow(0, first, own)))
    };
    let sums = world.sum_scattered(&sums).log();
    let sums = shift.map_or_else(|| sums.shallow_clone(), |shift| &sums + shift).unsqueeze(1);
    Nce {
        loss: (positives.logaddexp(&sums) - positives).mean(None::<Kind>),
        penalty: squares * (1.0 / (all as f64 * own as f64 * locations as f64)),
    }
}

/// Computes [`torchkit::clipped_scores`] by operations that each keep what they need for the way back. Returns with
/// them what each row's scores were reduced by, (m), before their exponentials were summed.
fn plain_scores(contexts: &Tensor, targets: &Tensor, clip: f64, world: World) -> (ClippedScores, Tensor) {
    let (m, d) = contexts.size2().expect("contexts are (m, d)");
    let n = targets.size()[0];
    let first = world.rank() as i64 * n;
    let targets = widened(targets).permute([1, 0, 2]).reshape([d, -1]);
    // The m·n·l raw scores are in units of `clip`: dividing the m·d contexts is cheaper than dividing the scores.
    let raw = (widened(contexts) / (clip * (d as f64).sqrt())).matmul(&targets).view([m, n, -1]);
    let scores = raw.tanh() * clip;
    let own = Tensor::eye(n, (Kind::Bool, raw.device())).constant_pad_nd([0, 0, first, m - n - first]);
    let negatives = scores.masked_fill(&own.unsqueeze(-1), f64::NEG_INFINITY).flatten(1, 2);
    let shift = world.largest(&negatives.detach().amax([1i64].as_slice(), false));
    let scores = ClippedScores {
        sums: (negatives - shift.unsqueeze(1)).exp().sum_dim_intlist([1i64].as_slice(), false, None::<Kind>),
        positives: scores.narrow(0, first, n).diagonal(0, 0, 1).transpose(0, 1),
        squares: raw.norm().square() * (clip * clip), // without writing all squares
    };
    (scores, shift)
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
            for is_fused in [true, false] {
                Piece::Scores.fuse(is_fused);
                let fast = nce(&contexts, &targets, 4.0, World::ALONE);
                Piece::Scores.fuse(true);
                assert!((fast.loss.double_value(&[]) - loss).abs() < 1e-12);
                assert!((fast.penalty.double_value(&[]) - penalty).abs() < 1e-12);
            }
        }
    }

    /// Returns loss and penalty, weighted, and their gradients with respect to contexts and targets.
    fn pass(is_fused: bool, (n, d, l): (i64, i64, i64), kind: Kind, weights: [f64; 2]) -> [Tensor; 3] {
        tch::manual_seed(6);
        let leaf = |shape: &[i64]| Tensor::randn(shape, (Kind::Double, Device::Cpu)) * 3.0;
        // Locations (n, d, l) of channels-last memory, as those of an encoder.
        let [contexts, targets] = [leaf(&[n, d]), leaf(&[n, l, d]).permute([0, 2, 1])]
            .map(|leaf| leaf.to_kind(kind).set_requires_grad(true));
        Piece::Scores.fuse(is_fused);
        let Nce { loss, penalty } = nce(&contexts, &targets, 20.0, World::ALONE);
        Piece::Scores.fuse(true);
        let total = loss * weights[0] + penalty * weights[1];
        total.backward();
        [total.detach(), contexts.grad(), targets.grad()]
    }

    /// More than one block of rows, and a last one that is shorter: no scores are kept.
    #[test]
    fn blocks_of_scores_have_the_gradients_of_all_scores() {
        let _alone = crate::testing::lock_generator();
        let [found, expected] =
            [true, false].map(|is_fused| pass(is_fused, (420, 2, 49), Kind::Double, [0.5, 0.05]));
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
                let [found, expected] = [true, false].map(|is_fused| pass(is_fused, shape, kind, weights));
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
        let loss = nce(&contexts, &targets, 20.0, World::ALONE).loss.double_value(&[]);
        assert!((loss - chance(6, 25)).abs() < 1e-12);
    }
}
