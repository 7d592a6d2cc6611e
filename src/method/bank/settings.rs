//! The settings of memory banks, which several methods have.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::{encoder::Encoder, method::interface::TrainingSet, usage};

/// The loss of features that are compared with rows of a memory bank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum BankLoss {
    /// Noise-contrastive estimation: each drawn row is classified as the sample's own or as noise.
    #[default]
    Nce,
    /// The cross-entropy of a softmax over the drawn rows, or over all rows.
    Softmax,
}

/// The settings of the comparison with a memory bank.
#[derive(Debug, Clone, Copy)]
pub struct BankSettings {
    /// The loss.
    pub loss: BankLoss,
    /// The number of rows that are drawn as negatives of a sample; with 0, it is compared with all rows.
    pub negatives: i64,
    /// Whether a sample's own row is never among its negatives.
    pub excludes_own: bool,
    /// The number that inner products are divided by.
    pub temperature: f64,
    /// The number of columns of the bank.
    pub dim: i64,
    /// The share of a row that an update leaves as it is.
    pub momentum: f64,
    /// The share of Z that an update leaves as it is.
    pub z_momentum: f64,
}

impl BankSettings {
    /// Checks that the settings do not contradict each other.
    ///
    /// # Errors
    ///
    /// If NCE has no negatives: it compares the own row with drawn ones.
    pub(in crate::method) fn check(&self) -> Result<()> {
        if self.loss == BankLoss::Nce && self.negatives == 0 {
            bail!(
                usage!("the loss nce has no negatives"; "set --negatives to 1 or more, or --loss to softmax")
            );
        }
        Ok(())
    }

    /// Returns the number of scores of a sample, for a bank of `samples` rows.
    pub(in crate::method) fn scores(&self, samples: i64) -> i64 {
        if self.negatives == 0 { samples } else { 1 + self.negatives }
    }

    /// Returns the loss to expect from features without information, for a bank of `samples` rows.
    pub(in crate::method) fn chance(&self, samples: i64) -> f64 {
        let (k, softmax) = (self.negatives as f64, (self.scores(samples) as f64).ln());
        match self.loss {
            BankLoss::Softmax => softmax,
            // Each row has the probability 1 / samples, so it is k times as likely to be noise.
            BankLoss::Nce => softmax + k * (1.0 / k).ln_1p(),
        }
    }

    /// Returns the multiply-accumulates of the scores of a sample and of their gradient, for a bank of
    /// `samples` rows.
    pub(in crate::method) fn macs(&self, samples: i64) -> f64 {
        2.0 * self.scores(samples) as f64 * self.dim as f64
    }

    /// Returns the largest batch of a process whose tensors all have at most 2³¹ − 1 elements, for one view
    /// of a sample that is encoded in `parts` parts.
    pub(in crate::method) fn largest_batch(
        &self,
        encoder: &dyn Encoder,
        set: &TrainingSet,
        parts: i64,
        processes: i64,
    ) -> i64 {
        const MOST: i64 = i32::MAX as i64;
        let pixels = 3 * i64::from(set.side) * i64::from(set.side);
        let own = (parts * (MOST / encoder.elements())).min(MOST / pixels);
        // Samples are also compared with each other, to find those that occur more than once.
        let of_all = (MOST / self.scores(set.samples.cast_signed())).min(MOST.isqrt());
        own.min(of_all / processes)
    }

    /// Returns numbers of rows (n, 1 + k) of a bank of `samples` rows for the samples `numbers` (n): the own
    /// row first, then k rows drawn uniformly with replacement. Returns `None` if samples are compared with
    /// all rows.
    pub(in crate::method) fn draw(&self, numbers: &Tensor, samples: i64) -> Option<Tensor> {
        if self.negatives == 0 {
            return None;
        }
        let (own, size) = (numbers.unsqueeze(1), [numbers.size()[0], self.negatives]);
        let others = samples - i64::from(self.excludes_own);
        let drawn = Tensor::randint(others, size, (Kind::Int64, numbers.device()));
        // Numbers from the own one on are raised by one, which leaves it out.
        let drawn =
            if self.excludes_own { &drawn + drawn.ge_tensor(&own).to_kind(Kind::Int64) } else { drawn };
        Some(Tensor::cat(&[own, drawn], 1))
    }
}
