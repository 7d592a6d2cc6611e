//! The online probe: classifiers that are fitted on detached features while the encoder trains.

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
    /// The value of the MLP.
    pub mlp: T,
    /// The value of the linear classifier.
    pub linear: T,
}

impl<T> Both<T> {
    /// Applies `f` to each of the two.
    pub fn map<U>(&self, f: impl Fn(&T) -> U) -> Both<U> {
        Both { mlp: f(&self.mlp), linear: f(&self.linear) }
    }
}

impl OnlineProbe {
    /// The path of its tensors.
    pub const PATH: &'static str = "evaluator";

    /// The probability that an input or hidden unit of the MLP is dropped, as in the reference
    /// implementation.
    pub const DROPOUT: f64 = 0.2;

    /// Returns classifiers of `width` features into `classes` classes. Their tensors are named under `path`.
    pub fn new(path: &Path, width: i64, classes: i64, dropout: f64) -> Self {
        let path = path / Self::PATH;
        let mlp = &path / "block_glb_mlp" / "block_forward";
        let linear = path / "block_glb_lin" / "block_forward" / "2";
        Self {
            mlp: MlpHead::new(&mlp, width, classes, dropout),
            linear: LinearHead::new(&linear, width, classes),
        }
    }

    /// Returns logits (n, classes) of features (n, width). The features are detached, so that no gradient
    /// reaches the encoder.
    pub fn logits(&self, features: &Tensor, train: bool) -> Both<Tensor> {
        let features = features.detach();
        Both { mlp: self.mlp.forward(&features, train), linear: self.linear.forward(&features) }
    }

    /// Returns the loss of each classifier, a scalar with a graph. `labels` (n) has −1 for a sample without a
    /// label.
    pub fn losses(logits: &Both<Tensor>, labels: &Tensor) -> Both<Tensor> {
        logits.map(|logits| loss::classification(logits, labels))
    }
}
