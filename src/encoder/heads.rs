//! Classifiers on features. Their tensors have the names of the reference implementation's evaluator.

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
    /// Returns a classifier of `width` features into `classes` classes. Its tensors are named under `path`.
    pub fn new(path: &Path, width: i64, classes: i64) -> Self {
        Self {
            weight: uniform_fan_in(path, "weight", &[classes, width], width),
            bias: uniform_fan_in(path, "bias", &[classes], width),
        }
    }

    /// Returns logits (n, classes) of features (n, width).
    pub fn forward(&self, features: &Tensor) -> Tensor {
        features.linear(&self.weight, Some(&self.bias))
    }
}

/// Returns a linear map (width, width, 1, 1) of locations, called `weight` under `path`.
pub(crate) fn matrix(path: &Path, width: i64) -> Tensor {
    uniform_fan_in(path, "weight", &[width, width, 1, 1], width)
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

    /// Returns a classifier of `width` features into `classes` classes. In training, each input and hidden
    /// unit is dropped with probability `dropout`. Its tensors are named under `path`.
    pub fn new(path: &Path, width: i64, classes: i64, dropout: f64) -> Self {
        Self {
            hidden: uniform_fan_in(&(path / "2"), "weight", &[Self::HIDDEN, width], width),
            norm: Norm::new(&(path / "3"), Self::HIDDEN),
            output: LinearHead::new(&(path / "6"), Self::HIDDEN, classes),
            dropout,
        }
    }

    /// Draws the weights of the batch norm uniformly from 0 to 1, the default of PyTorch up to version 1.2.
    pub fn draw_norm_weights(&self) {
        self.norm.draw_weights();
    }

    /// Returns logits (n, classes) of features (n, width), with dropout and the statistics of the batch if
    /// `train` is true.
    pub fn forward(&self, features: &Tensor, train: bool) -> Tensor {
        let hidden = features.dropout(self.dropout, train).linear(&self.hidden, None::<Tensor>);
        let hidden = self.norm.forward(&hidden, Mode::training_if(train)).relu();
        self.output.forward(&hidden.dropout(self.dropout, train))
    }
}
