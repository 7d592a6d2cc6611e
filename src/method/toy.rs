//! A method of a few lines, for tests: the smallest example of one. It has two settings, three views, extra
//! state and a loss of two parts.

use anyhow::Result;
use pipeline::{Preset, Recipe};
use tch::{Kind, Tensor, nn::Path};

use super::{Defaults, Exchanged, Method, MethodSettings, Objective, TrainingSet};
use crate::{
    encoder::{Embedder, Encoder, EncoderConfig, Features, Mode},
    numbers, optim,
    settings::{Heading, Setting, real, settings},
    views::Views,
    world::World,
};

settings! {
    /// Settings of the toy.
    pub struct Config {
        /// Momentum of the mean of all features.
        pull: f64 = 0.01, real(numbers::PART).flag(Heading::Model, "X");
        /// Features are clipped softly to ± this. AMDIM's setting of this name has other bounds.
        tclip: f64 = 0.9, real(numbers::SHARE).flag(Heading::Model, "X");
    }
}

impl MethodSettings for Config {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn settings(&self) -> Vec<Setting> {
        Self::settings()
    }

    fn defaults(&self, _preset: Preset) -> Defaults {
        Defaults {
            encoder: EncoderConfig::default(),
            optim: optim::Config::default(),
            batch_size: 200,
            epochs: 300.0,
        }
    }

    fn recipe(&self, preset: Preset, side: u32) -> Recipe {
        let mut recipe = preset.recipe_of(side);
        let views = &mut recipe.groups[0].views;
        views.push(views[0].clone());
        recipe
    }

    fn build(&self, path: &Path, set: TrainingSet, encoder: &EncoderConfig) -> Result<Box<dyn Method>> {
        let side = set.side;
        let encoder = Features(encoder.chosen().build(&(path / "encoder"), side));
        let mean = path.zeros_no_train("mean", &[encoder.0.width()]);
        let mut toy =
            Toy { encoder, side: i64::from(side), last: mean.zeros_like(), mean, config: self.clone() };
        toy.begin_mean();
        Ok(Box::new(toy))
    }
}

/// Pulls the features of three views of an image together, and all features away from their running mean.
#[derive(Debug)]
struct Toy {
    encoder: Features,
    side: i64,
    /// The running mean, which begins with the features of a white image.
    mean: Tensor,
    /// The mean of the last batch, on its way from the objective to `after_step`.
    last: Tensor,
    config: Config,
}

impl Toy {
    fn begin_mean(&mut self) {
        let white = Tensor::ones([1, 3, self.side, self.side], (self.mean.kind(), self.mean.device()));
        let features = tch::no_grad(|| self.encoder.0.features(&white, Mode::Evaluation));
        self.mean.copy_(&features.get(0));
    }
}

impl Method for Toy {
    fn embedder(&self) -> &dyn Embedder {
        &self.encoder
    }

    fn objective(&self, embeddings: &[Tensor], _: &Views, world: World) -> Objective {
        let features = (world.gather(&embeddings[0], 1) / self.config.tclip).tanh() * self.config.tclip;
        let center = features.mean_dim([0_i64].as_slice(), true, Kind::Float);
        let near = (&features - center).square().mean(Kind::Float);
        let mean = features.mean_dim([0_i64, 1].as_slice(), false, Kind::Float);
        let far = (&mean - &self.mean).cos().mean(Kind::Float);
        tch::no_grad(|| self.last.shallow_clone().copy_(&mean));
        let total = &near + &far;
        Objective { loss: total.shallow_clone(), total, parts: vec![("near", near), ("far", far)] }
    }

    fn features(&self, embeddings: &[Tensor]) -> Tensor {
        embeddings[0].shallow_clone()
    }

    fn chance(&self, _n: i64) -> f64 {
        1.0
    }

    fn largest_batch(&self, _parts: i64, _processes: i64) -> i64 {
        i64::MAX
    }

    fn exchanged(&self, _norm_groups: i64) -> Exchanged {
        Exchanged { bytes: 4 * 3 * self.encoder.0.width(), features: 3, norm_batches: 1 }
    }

    fn macs(&self, n: i64) -> f64 {
        let (passes, views) = (3.0, 3.0);
        passes * views * n as f64 * self.encoder.0.macs() as f64
    }

    fn encoder(&self) -> &dyn Encoder {
        self.encoder.0.as_ref()
    }

    fn after_step(&mut self, is_broken: &Tensor) {
        let moved = self.mean.lerp(&self.last, self.config.pull);
        let kept = self.mean.where_self(&is_broken.to_kind(Kind::Bool), &moved);
        self.mean.copy_(&kept);
    }

    fn after_warm_start(&mut self) {
        self.begin_mean();
    }
}
