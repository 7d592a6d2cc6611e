//! The groups of samples that batch norms normalize separately.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::encoder::{Mode, Moves, Norming};

/// Which samples of a batch are in a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum GroupRule {
    /// Consecutive samples.
    #[default]
    Consecutive,
    /// Samples whose places in the batch have the same remainder modulo the number of groups, as in the
    /// reference implementation's demo on CIFAR.
    Interleaved,
}

/// How a view's samples are put into the groups that batch norms normalize separately. Keys are assigned to groups
/// in another order than queries. If the groups were the same, their statistics would reveal which key belongs to
/// which query.
#[derive(Debug, Clone, Copy)]
pub struct Groups {
    /// The largest number of groups in each part of a batch, if the number of groups is not set; `None` for as many as
    /// leave at least 32 samples in each, at most 8.
    pub most: Option<i64>,
    /// Which samples are in a group.
    pub rule: GroupRule,
    /// How the running statistics follow those of the groups.
    pub moves: Moves,
}

impl Groups {
    /// The smallest number of samples in a group if the number of groups is not set.
    const SAMPLES: i64 = 32;
    /// The largest number of groups if it is not set.
    const MOST: i64 = 8;

    /// Returns the number of groups of `n` samples if none is set: the largest divisor of `n` within the bound
    /// that leaves at least two samples in each.
    pub(super) fn count(self, n: i64) -> i64 {
        let most = self.most.unwrap_or_else(|| (n / Self::SAMPLES).clamp(1, Self::MOST));
        (1..=most.min(n / 2)).rev().find(|count| n % count == 0).unwrap_or(1)
    }

    /// Returns the mode of batch norms for the samples of a view.
    pub(super) fn mode(self, norming: Norming) -> Mode {
        let moves = if norming.moves == Moves::Kept { Moves::Kept } else { self.moves };
        Mode::Training { views: 1, norming: Norming { moves, ..norming } }
    }

    /// Returns the order (n) of samples in which those of a group are consecutive; `None` if they are
    /// already.
    pub(super) fn order(self, n: i64, groups: i64, device: Device) -> Option<Tensor> {
        (self.rule == GroupRule::Interleaved && groups > 1).then(|| {
            Tensor::arange(n, (Kind::Int64, device)).view([-1, groups]).transpose(0, 1).flatten(0, 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_of_equal_size_and_have_32_samples_unless_more_are_asked_for() {
        let count = |most, n| Groups { most, rule: GroupRule::Consecutive, moves: Moves::ByMean }.count(n);
        assert_eq!([31, 64, 96, 256, 512, 1000].map(|n| count(None, n)), [1, 2, 3, 8, 8, 8]);
        assert_eq!(
            [(Some(1), 256), (Some(4), 16), (Some(8), 12), (Some(8), 3)].map(|(most, n)| count(most, n)),
            [1, 4, 6, 1]
        );
    }

    #[test]
    fn interleaved_groups_have_the_samples_of_one_remainder() {
        let order = |rule| Groups { most: None, rule, moves: Moves::ByMean }.order(6, 3, Device::Cpu);
        let interleaved = order(GroupRule::Interleaved).unwrap();
        assert_eq!(Vec::<i64>::try_from(interleaved).unwrap(), [0, 3, 1, 4, 2, 5]);
        assert!(order(GroupRule::Consecutive).is_none());
    }
}
