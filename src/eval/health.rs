//! Whether a representation says anything, without labels.

use serde::Serialize;
use tch::{Kind, Tensor};

/// How features are spread.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Health {
    /// Effective rank: the exponential of the entropy of the singular values' shares (`RankMe`, Garrido et al. 2023).
    pub rankme: f64,
    /// Mean cosine of two different samples' features.
    pub cosine: f64,
    /// Samples that it was measured on.
    pub samples: i64,
}

impl Health {
    /// Samples that are enough, as for `RankMe` on features of some thousand channels; a subset is the first so many.
    pub const SAMPLES: i64 = 2048;

    /// Of features (n, width), n ≥ 2.
    pub fn of(features: &Tensor) -> Self {
        let features = features.to_kind(Kind::Double);
        let n = features.size()[0];
        let singular = features.svd(true, false).1;
        let shares = &singular / singular.sum(Kind::Double).clamp_min(f64::MIN_POSITIVE) + 1e-7;
        let entropy = -(&shares * shares.log()).sum(Kind::Double).double_value(&[]);
        let lengths = features.norm_scalaropt_dim(2, [1i64].as_slice(), true).clamp_min(1e-12);
        let sum = (features / lengths).sum_dim_intlist([0i64].as_slice(), false, Kind::Double);
        let square = sum.square().sum(Kind::Double).double_value(&[]);
        let pairs = (n * (n - 1)) as f64;
        Self { rankme: entropy.exp(), cosine: (square - n as f64) / pairs, samples: n }
    }

    /// What is wrong, if something is: all images are nearly the same to the encoder.
    pub fn complaint(&self) -> Option<String> {
        let Self { rankme, cosine, .. } = self;
        (*cosine > 0.99 || *rankme < 1.5).then(|| {
            format!(
                "the representation has collapsed: effective rank {rankme:.1}, mean cosine of two images {cosine:.3}\n  hint: lower \
                 --lr, or use a larger batch"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn rank_and_cosine_are_those_of_known_features() {
        let _alone = crate::generator();
        tch::manual_seed(1);
        // As many directions of the same length as there are samples: full rank, and no two alike.
        let own = Health::of(&(Tensor::eye(6, (Kind::Float, Device::Cpu)) * 3.0));
        assert!((own.rankme - 6.0).abs() < 1e-3 && own.cosine.abs() < 1e-12, "{own:?}");
        assert_eq!(own.complaint(), None);
        // One direction for all.
        let one = Health::of(&(Tensor::ones([5, 4], (Kind::Float, Device::Cpu))));
        assert!((one.rankme - 1.0).abs() < 1e-3 && (one.cosine - 1.0).abs() < 1e-9, "{one:?}");
        assert!(one.complaint().unwrap().contains("collapsed"));
        // The definition, pair by pair.
        let features = Tensor::randn([7, 5], (Kind::Double, Device::Cpu)) + 0.5;
        let rows = features.shallow_clone() / features.norm_scalaropt_dim(2, [1i64].as_slice(), true);
        let cosines = rows.matmul(&rows.tr());
        let mean = (cosines.sum(Kind::Double).double_value(&[]) - 7.0) / 42.0;
        assert!((Health::of(&features).cosine - mean).abs() < 1e-12);
    }
}
