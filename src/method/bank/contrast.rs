//! The loss of features that select the row of their sample in a memory bank.

use tch::{Kind, Tensor, nn::Path};

use super::{
    partition::Partition,
    rows::{Moved, Rows},
    settings::{BankLoss, BankSettings},
};
use crate::loss::{self, Scores};

/// The result of a comparison with a memory bank.
#[derive(Debug)]
pub struct Compared {
    /// The loss, a scalar with a graph.
    pub loss: Tensor,
    /// The Z of the loss NCE, a scalar; `None` for another loss.
    pub z: Option<Tensor>,
}

/// A memory bank that features are compared with.
#[derive(Debug)]
pub struct Contrast {
    rows: Rows,
    /// The Z of the NCE loss.
    partition: Option<Partition>,
    temperature: f64,
}

impl Contrast {
    /// Returns a bank of random rows for `samples` samples, named `bank` under `path`. With the loss NCE, it
    /// has a constant Z, named `z`.
    pub fn new(path: &Path, [bank, z]: [&str; 2], samples: i64, settings: &BankSettings) -> Self {
        let &BankSettings { loss, temperature, dim, momentum, z_momentum, .. } = settings;
        let partition = (loss == BankLoss::Nce).then(|| Partition::new(path, z, z_momentum));
        Self { rows: Rows::new(path, bank, [samples, dim], momentum), partition, temperature }
    }

    /// Returns the bytes of the bank.
    pub(in crate::method) fn bytes(&self) -> u64 {
        self.rows.bytes()
    }

    /// Returns the scores of features (n, d) of unit length, without a graph: for the rows `drawn` (n, 1 +
    /// k), or for all rows.
    pub fn scores(&self, features: &Tensor, drawn: Option<&Tensor>) -> Tensor {
        let features = features.detach() / self.temperature;
        match drawn {
            Some(drawn) => self.rows.products_of_drawn(&features, drawn),
            None => self.rows.products(&features),
        }
    }

    /// Returns the scores of features (n, d) of unit length for the rows of the samples `numbers` (m), as those of the
    /// part `name` of the loss.
    pub(in crate::method) fn scores_of(
        &self,
        name: &'static str,
        features: Tensor,
        numbers: &Tensor,
    ) -> Scores {
        Scores::of_units(name, features, self.rows.all().index_select(0, numbers), self.temperature)
    }

    /// Returns the loss of features (n, d) of unit length of the samples `numbers` (n). They are compared
    /// with the rows `drawn` (n, 1 + k), of which the first is their own, or with all rows. No state changes.
    pub fn loss(&self, features: &Tensor, numbers: &Tensor, drawn: Option<&Tensor>) -> Compared {
        if let Some(drawn) = drawn {
            return self.with_drawn(features, drawn);
        }
        Compared { loss: loss::full_softmax(features, self.rows.all(), numbers, self.temperature), z: None }
    }

    fn with_drawn(&self, features: &Tensor, drawn: &Tensor) -> Compared {
        let (scores, samples) =
            (self.scores(features, Some(drawn)).set_requires_grad(true), self.rows.samples());
        let z = self.partition.as_ref().map(|partition| partition.of(&scores, samples));
        let loss = match &z {
            Some(z) => loss::noise_contrastive(&scores, z, samples),
            None => loss::softmax_of_drawn(&scores),
        };
        let [gradient] = Tensor::run_backward(&[&loss], &[&scores], false, false)
            .try_into()
            .expect("one tensor has one gradient");
        let pull = self.rows.sums_of_drawn(drawn, &(gradient / self.temperature));
        Compared { loss: with_gradient(&loss, features, &pull), z }
    }

    /// Keeps the Z of this step and moves rows to features of this step, unless `is_broken` is 1.
    pub(in crate::method) fn update(&self, moved: &Moved, is_broken: &Tensor) {
        self.rows.update(moved, is_broken);
        if let Some(partition) = &self.partition {
            partition.update(is_broken);
        }
    }
}

/// Returns a scalar with the value of `value`, whose gradient with respect to `x` is `gradient`.
fn with_gradient(value: &Tensor, x: &Tensor, gradient: &Tensor) -> Tensor {
    let linear = (x * gradient).sum(None::<Kind>);
    let zero = &linear - linear.detach();
    value.detach() + zero
}
