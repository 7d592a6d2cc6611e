//! A method of a few lines, for tests: the smallest example of one. It has a setting, extra state and a loss of two parts.

use anyhow::Result;
use tch::{Kind, Tensor, nn::Path};

use super::{Method, MethodSettings, Objective};
use crate::{
    encoder::{Embedder, Encoder, EncoderConfig, Mode},
    numbers,
    settings::{Heading, Setting, real, settings},
    views::Views,
};

settings! {
    /// Settings of the toy.
    pub struct Config {
        /// Momentum of the mean of all features.
        pull: f64 = 0.1, real(numbers::PART).flag(Heading::Model, "X");
    }
}

impl MethodSettings for Config {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn settings(&self) -> Vec<Setting> {
        Self::settings()
    }

    fn build(&self, path: &Path, side: u32, encoder: &EncoderConfig) -> Result<Box<dyn Method>> {
        let encoder = Features(encoder.chosen().build(&(path / "encoder"), side));
        let [mean, last] = ["mean", "last"].map(|name| path.zeros_no_train(name, &[encoder.0.width()]));
        Ok(Box::new(Toy { encoder, mean, last, pull: self.pull }))
    }
}

/// Pulls the features of two views of an image together, and all features away from their running mean.
#[derive(Debug)]
struct Toy {
    encoder: Features,
    mean: Tensor,
    last: Tensor,
    pull: f64,
}

/// An encoder whose features are its only embedding.
#[derive(Debug)]
struct Features(Box<dyn Encoder>);

impl Embedder for Features {
    fn embed(&self, views: &Tensor, moves: bool) -> Vec<Tensor> {
        let (v, n) = (views.size()[0], views.size()[1]);
        let features = self.0.features(&views.flatten(0, 1), Mode::Training { views: v, moves });
        vec![features.unflatten(0, [v, n])]
    }
}

impl Method for Toy {
    fn embedder(&self) -> &dyn Embedder {
        &self.encoder
    }

    fn objective(&self, embeddings: &[Tensor], _: &Views) -> Objective {
        let [one, two] = [0, 1].map(|view| embeddings[0].get(view));
        let near = (&one - &two).square().mean(Kind::Float);
        let mean = embeddings[0].mean_dim([0_i64, 1].as_slice(), false, Kind::Float);
        let far = (&mean - &self.mean).cos().mean(Kind::Float);
        tch::no_grad(|| self.last.shallow_clone().copy_(&mean));
        Objective { total: &near + &far, parts: vec![("near", near), ("far", far)] }
    }

    fn features(&self, embeddings: &[Tensor]) -> Tensor {
        embeddings[0].shallow_clone()
    }

    fn chance(&self, _n: i64) -> f64 {
        1.0
    }

    fn largest_batch(&self, _parts: i64) -> i64 {
        i64::MAX
    }

    fn macs(&self, n: i64) -> f64 {
        6.0 * n as f64 * self.encoder.0.macs() as f64
    }

    fn encoder(&self) -> &dyn Encoder {
        self.encoder.0.as_ref()
    }

    fn after_step(&mut self) {
        let _ = tch::no_grad(|| self.mean.lerp_(&self.last, self.pull));
    }
}
