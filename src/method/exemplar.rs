//! Exemplar-CNN: each of the chosen samples is a class of its own, to which all of its transformed views
//! belong (Dosovitskiy et al. 2014).

use std::collections::BTreeSet;

use anyhow::Result;
use dataset::Random;
use pipeline::{Components, Op, Preset, Recipe};
use tch::{Reduction, Tensor, nn::Path};

use super::interface::{Defaults, Exchanged, Method, MethodSettings, Objective, TrainingSet};
use crate::{
    encoder::{Embedder, Encoder, EncoderConfig, Features, exemplar, heads::LinearHead},
    hint::Notice,
    loss, notice, numbers,
    optim::{self, OptimizerName},
    settings::{Heading, Setting, real, settings, whole},
    usage,
    views::Views,
    world::World,
};

/// The largest number of surrogate classes: the classifier has a row for each, and with more of them many are
/// too similar to be distinguished.
const MOST: u64 = 32_000;

settings! {
    /// Settings of the surrogate classes and of the classifier. The defaults are those of the paper.
    pub struct Config {
        /// Number of surrogate classes, each of which is one sample that is drawn from the set.
        surrogate_classes: u64 = 8000, whole(numbers::COUNT).flag(Heading::Exemplar, "N");
        /// Dropout probability of the features before the classifier. Unset means 0.5 with the encoder
        /// exemplar, 0 with any other.
        #[serde(skip_serializing_if = "Option::is_none")]
        dropout: Option<f64> = None, real(numbers::DECAY);
    }
}

impl Config {
    /// Returns the probability that a feature is dropped.
    fn dropout(&self, encoder: &EncoderConfig) -> f64 {
        const OF_PAPER: f64 = 0.5;
        let is_own = matches!(encoder, EncoderConfig::Exemplar(_));
        self.dropout.unwrap_or(if is_own { OF_PAPER } else { 0.0 })
    }
}

impl MethodSettings for Config {
    fn name(&self) -> &'static str {
        "exemplar"
    }

    fn settings(&self) -> Vec<Setting> {
        Self::settings()
    }

    fn preset(&self) -> Preset {
        Preset::Stl10
    }

    fn defaults(&self, _preset: Preset) -> Defaults {
        let optim = optim::Config {
            name: OptimizerName::Sgd,
            lr: 0.01,
            weight_decay: 0.004,
            warmup_epochs: Some(0.0),
            drop_at: vec![0.6, 0.8, 0.9],
            drop_factor: 1.0 / 3.0,
            ..optim::Config::default()
        };
        // 1.2 million updates, in the paper's script with 16 000 classes.
        let encoder = EncoderConfig::Exemplar(exemplar::Config::default());
        Defaults { encoder, optim, batch_size: 128, epochs: 19200.0 }
    }

    fn recipe(&self, _preset: Preset, side: u32) -> Recipe {
        let view = vec![
            Op::SeedPatch { zoom: (1.0, 2.0), translate: 0.2, scale: (0.7, 1.4), rotate: 20.0 },
            Op::PcaContrast { p: 1.0, factors: (0.5, 2.0), colours: Components::default() },
            Op::HsvContrast { p: 1.0, powers: (0.25, 4.0), factors: (0.7, 1.4), shift: 0.1, hue: 0.1 },
        ];
        Recipe::new(vec![], vec![view], side)
    }

    fn check(&self, _encoder: &EncoderConfig) -> Result<()> {
        if self.surrogate_classes == 1 {
            return Err(usage!(
                "a classifier of one surrogate class learns nothing";
                "set --surrogate-classes to 2 or more"
            ));
        }
        if self.surrogate_classes <= MOST {
            return Ok(());
        }
        Err(usage!(
            "`method.surrogate_classes` is {}, but the classifier can have at most {MOST} classes",
            self.surrogate_classes;
            "set --surrogate-classes to {MOST} or less, or choose --method instdisc, which has no classifier"
        ))
    }

    fn warning(&self, set: TrainingSet) -> Option<Notice> {
        (set.samples < self.surrogate_classes).then(|| {
            notice!(
                "the set has only {} samples, so that is the number of surrogate classes, not {}",
                set.samples, self.surrogate_classes;
                "set --surrogate-classes to {} or less", set.samples
            )
        })
    }

    fn subset(&self, total: u64, seed: u64) -> Option<Vec<u64>> {
        (self.surrogate_classes < total).then(|| drawn(self.surrogate_classes, total, seed))
    }

    fn build(&self, path: &Path, set: TrainingSet, encoder: &EncoderConfig) -> Result<Box<dyn Method>> {
        let network = encoder.chosen().build(&(path / "encoder"), set.side);
        let samples = self.subset(set.samples, set.seed).unwrap_or_else(|| (0..set.samples).collect());
        Ok(Box::new(Exemplar::new(path, network, (set.side, &samples), self.dropout(encoder))))
    }
}

/// Draws `count` different samples out of `total`. Returns their indices in ascending order.
fn drawn(count: u64, total: u64, seed: u64) -> Vec<u64> {
    const OF_CLASSES: u64 = 0x6578_656d_706c_6172;
    let mut random = Random::after(seed, OF_CLASSES);
    let mut drawn = BTreeSet::new();
    while (drawn.len() as u64) < count {
        drawn.insert(random.next_u64() % total);
    }
    drawn.into_iter().collect()
}

/// The objective of Exemplar-CNN over an encoder and its classifier.
#[derive(Debug)]
pub struct Exemplar {
    encoder: Features,
    classifier: LinearHead,
    /// The sample (classes), i64, that each surrogate class is made of: its index in the whole set.
    samples: Tensor,
    dropout: f64,
    side: i64,
}

impl Exemplar {
    /// Returns the method for an encoder of images of `side` pixels, with a class for each of `samples`. The
    /// tensors of the classifier are named under `path`.
    pub fn new(path: &Path, encoder: Box<dyn Encoder>, (side, samples): (u32, &[u64]), dropout: f64) -> Self {
        let indices: Vec<_> = samples.iter().map(|sample| sample.cast_signed()).collect();
        let samples = Tensor::from_slice(&indices).to_device(path.device());
        Self {
            classifier: LinearHead::new(&(path / "classifier"), encoder.width(), indices.len() as i64),
            encoder: Features(encoder),
            samples: path.add("surrogate_classes", samples, false),
            dropout,
            side: side.into(),
        }
    }

    /// Returns the logits (n, classes) of features (n, width), with dropout if `train` is true.
    pub fn logits(&self, features: &Tensor, train: bool) -> Tensor {
        self.classifier.forward(&loss::widened(features).dropout(self.dropout, train))
    }

    fn classes(&self) -> i64 {
        self.samples.size()[0]
    }
}

impl Method for Exemplar {
    fn embedder(&self) -> &dyn Embedder {
        &self.encoder
    }

    /// The class of a sample is its index among the samples that are trained on.
    fn objective(&self, embeddings: &[Tensor], views: &Views, world: World) -> Objective {
        let classes = world.gather(&views.indices, 0).repeat([embeddings[0].size()[0]]);
        let logits = self.logits(&world.gather(&embeddings[0], 1).flatten(0, 1), true);
        let total = logits.cross_entropy_loss(&classes, None::<Tensor>, Reduction::Mean, -1, 0.0);
        let top1 = loss::accuracy(&logits.detach(), &classes);
        Objective { loss: total.shallow_clone(), total, parts: vec![("top1", top1)] }
    }

    fn features(&self, embeddings: &[Tensor]) -> Tensor {
        embeddings[0].shallow_clone()
    }

    fn chance(&self, _n: i64) -> f64 {
        (self.classes() as f64).ln()
    }

    fn largest_batch(&self, parts: i64, processes: i64) -> i64 {
        const MOST: i64 = i32::MAX as i64;
        let encoded = parts * (MOST / self.encoder.0.elements());
        let images = MOST / (3 * self.side * self.side);
        encoded.min(images).min(MOST / self.classes() / processes)
    }

    fn exchanged(&self, _norm_groups: i64) -> Exchanged {
        Exchanged { bytes: 4 * self.encoder.0.width() + 8, features: 1, norm_batches: 1 } // and the sample's index
    }

    fn macs(&self, n: i64) -> f64 {
        let (passes, classified) = (3.0, self.classes() * self.encoder.0.width());
        passes * n as f64 * (self.encoder.0.macs() as f64 + classified as f64)
    }

    fn encoder(&self) -> &dyn Encoder {
        self.encoder.0.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrogate_classes_are_different_samples_that_the_seed_decides() {
        let config = Config { surrogate_classes: 90, ..Config::default() };
        let chosen = config.subset(100, 7).unwrap();
        assert!(chosen.len() == 90 && chosen.is_sorted_by(|a, b| a < b) && chosen[89] < 100, "{chosen:?}");
        assert!(config.subset(100, 7).as_ref() == Some(&chosen) && config.subset(100, 8).unwrap() != chosen);
        assert_eq!(config.subset(90, 7), None, "every sample is a class");
    }
}
