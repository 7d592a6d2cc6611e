//! The online probe: classifiers fitted on detached features while the encoder trains.

use tch::{Tensor, nn::Path};

use crate::{
    encoder::heads::{LinearHead, MlpHead},
    loss,
};

/// A linear and an MLP classifier on an encoder's features.
#[derive(Debug)]
pub struct OnlineProbe {
    mlp: MlpHead,
    linear: LinearHead,
}

/// A value for each classifier of the probe.
#[derive(Debug)]
pub struct Both<T> {
    /// Of the MLP.
    pub mlp: T,
    /// Of the linear classifier.
    pub linear: T,
}

impl<T> Both<T> {
    /// The same function of each.
    pub fn map<U>(&self, of: impl Fn(&T) -> U) -> Both<U> {
        Both { mlp: of(&self.mlp), linear: of(&self.linear) }
    }
}

impl OnlineProbe {
    /// The reference's share of dropped inputs and hidden units of the MLP.
    pub const DROPOUT: f64 = 0.2;

    /// Classifiers from `width` features to `classes`, their tensors named under `path`.
    pub fn new(path: &Path, width: i64, classes: i64, dropout: f64) -> Self {
        let path = path / "evaluator";
        let mlp = &path / "block_glb_mlp" / "block_forward";
        let linear = path / "block_glb_lin" / "block_forward" / "2";
        Self {
            mlp: MlpHead::new(&mlp, width, classes, dropout),
            linear: LinearHead::new(&linear, width, classes),
        }
    }

    /// Logits (n, classes) of features (n, width), through which no gradient reaches the encoder.
    pub fn logits(&self, features: &Tensor, train: bool) -> Both<Tensor> {
        let features = features.detach();
        Both { mlp: self.mlp.forward(&features, train), linear: self.linear.forward(&features) }
    }

    /// The loss of each classifier, a scalar with a graph. `labels` (n), −1 where a sample has none.
    pub fn losses(logits: &Both<Tensor>, labels: &Tensor) -> Both<Tensor> {
        logits.map(|logits| loss::classification(logits, labels))
    }
}
