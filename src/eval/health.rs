//! Measures of a representation's quality that need no labels.

use serde::Serialize;
use tch::{Kind, Tensor};

use crate::{hint::Notice, notice};

/// The spread of features.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Health {
    /// The effective rank: the exponential of the entropy of the singular values' shares (`RankMe`, Garrido
    /// et al. 2023).
    pub rankme: f64,
    /// The mean cosine of two different samples' features.
    pub cosine: f64,
    /// The number of samples.
    pub samples: i64,
}

impl Health {
    /// The number of samples that is enough for `RankMe` on features of a few thousand channels.
    pub const SAMPLES: i64 = 2048;

    /// Measures features (n, width), n ≥ 2.
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

    /// Returns a warning if the representation has collapsed, so that nearly all images have the same
    /// features.
    pub fn complaint(&self) -> Option<Notice> {
        let Self { rankme, cosine, .. } = self;
        (*cosine > 0.99 || *rankme < 1.5).then(|| {
            notice!(
                "the representation has collapsed: effective rank {rankme:.1}, mean cosine of two images {cosine:.3}";
                "lower --lr, or use a larger batch"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn rank_and_cosine_of_known_features_are_exact() {
        let _alone = crate::testing::lock_generator();
        tch::manual_seed(1);
        // Orthogonal features of the same length: full rank, and no two alike.
        let own = Health::of(&(Tensor::eye(6, (Kind::Float, Device::Cpu)) * 3.0));
        assert!((own.rankme - 6.0).abs() < 1e-3 && own.cosine.abs() < 1e-12, "{own:?}");
        assert_eq!(own.complaint(), None);
        // The same features for all samples.
        let one = Health::of(&(Tensor::ones([5, 4], (Kind::Float, Device::Cpu))));
        assert!((one.rankme - 1.0).abs() < 1e-3 && (one.cosine - 1.0).abs() < 1e-9, "{one:?}");
        assert!(one.complaint().unwrap().message.contains("collapsed"));
        // The mean of all pairs, as defined.
        let features = Tensor::randn([7, 5], (Kind::Double, Device::Cpu)) + 0.5;
        let rows = features.shallow_clone() / features.norm_scalaropt_dim(2, [1i64].as_slice(), true);
        let cosines = rows.matmul(&rows.tr());
        let mean = (cosines.sum(Kind::Double).double_value(&[]) - 7.0) / 42.0;
        assert!((Health::of(&features).cosine - mean).abs() < 1e-12);
    }
}
