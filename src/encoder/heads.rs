//! Classifiers on features, under the names of the reference's evaluator.

use tch::{Tensor, nn::Path};

use super::{
    init::uniform_fan_in,
    norm::{Mode, Norm},
};

/// A linear classifier.
#[derive(Debug)]
pub struct LinearHead {
    weight: Tensor,
    bias: Tensor,
}

impl LinearHead {
    /// From `width` features to `classes` logits.
    pub fn new(path: &Path, width: i64, classes: i64) -> Self {
        Self {
            weight: uniform_fan_in(path, "weight", &[classes, width], width),
            bias: uniform_fan_in(path, "bias", &[classes], width),
        }
    }

    /// Logits (n, classes) of features (n, width).
    pub fn forward(&self, features: &Tensor) -> Tensor {
        features.linear(&self.weight, Some(&self.bias))
    }
}

/// A classifier with one hidden layer: dropout, linear, batch norm, ReLU, dropout, linear.
#[derive(Debug)]
pub struct MlpHead {
    hidden: Tensor,
    norm: Norm,
    output: LinearHead,
    dropout: f64,
}

impl MlpHead {
    const HIDDEN: i64 = 1024;

    /// From `width` features to `classes` logits, dropping that share of the inputs and hidden units while training.
    pub fn new(path: &Path, width: i64, classes: i64, dropout: f64) -> Self {
        Self {
            hidden: uniform_fan_in(&(path / "2"), "weight", &[Self::HIDDEN, width], width),
            norm: Norm::new(&(path / "3"), Self::HIDDEN),
            output: LinearHead::new(&(path / "6"), Self::HIDDEN, classes),
            dropout,
        }
    }

    /// Draws the weights of its norm uniformly from 0 to 1, as PyTorch did until version 1.2.
    pub fn draw_norm_weights(&self) {
        self.norm.draw_weights();
    }

    /// Logits (n, classes) of features (n, width).
    pub fn forward(&self, features: &Tensor, train: bool) -> Tensor {
        let hidden = features.dropout(self.dropout, train).linear(&self.hidden, None::<Tensor>);
        let hidden = self.norm.forward(&hidden, Mode::of(train)).relu();
        self.output.forward(&hidden.dropout(self.dropout, train))
    }
}
