//! Instance discrimination, also called NPID (Wu et al. 2018): each image has to find its own features of
//! earlier epochs in a memory bank.

use std::cell::RefCell;

use anyhow::Result;
use pipeline::{Filter, Op, Preset, Recipe};
use tch::{Tensor, nn::Path};

use super::{
    bank::{BankLoss, BankSettings, Compared, Contrast, Moved},
    interface::{Defaults, Exchanged, Method, MethodSettings, Objective, TrainingSet},
};
use crate::{
    encoder::{Embedder, Encoder, EncoderConfig, NormBatch, Projected, Projection, resnet},
    loss::{self, Scores},
    numbers,
    optim::{self, OptimizerName},
    settings::{Heading, Setting, choice, real, settings, whole, yes_or_no},
    views::Views,
    world::World,
};

settings! {
    /// Settings of the memory bank and the loss. The defaults are those of the paper for ImageNet.
    pub struct Config {
        /// Loss: nce (noise-contrastive estimation on drawn rows) or softmax (cross-entropy over drawn or all
        /// rows).
        loss: BankLoss = BankLoss::Nce, choice::<BankLoss>().flag(Heading::Instdisc, "LOSS").hide_choices()
            .default("nce; with c10 and stl10 softmax");
        /// Negatives that are drawn for each prediction: rows of the bank, with cpc patches; 0 compares with
        /// all rows of the bank (softmax only).
        negatives: i64 = 4096, whole(numbers::COUNT_OR_NONE).flag(Heading::Instdisc, "K")
            .default("4096; with c10 and stl10 0");
        /// Whether a sample's own row is excluded from its negatives.
        redraw: bool = false, yes_or_no().flag(Heading::Instdisc, "BOOL");
        /// Channels of the embeddings, which are the rows of the bank.
        dim: i64 = 128, whole(numbers::EMBEDDING).flag(Heading::Instdisc, "N");
        /// Temperature that the scores are divided by.
        temperature: f64 = 0.07, real(numbers::TEMPERATURE).flag(Heading::Instdisc, "X")
            .default("0.07; with c10 and stl10 0.1");
        /// Momentum of a row of the bank: its share that stays when its sample is seen again.
        bank_momentum: f64 = 0.5, real(numbers::DECAY).flag(Heading::Instdisc, "X");
        /// Momentum of the normalizing constant Z of nce; with 1, the first batch alone estimates it, as in
        /// the paper.
        z_momentum: f64 = 1.0, real(numbers::PROBABILITY).flag(Heading::Instdisc, "X");
    }
}

impl Config {
    /// Returns the published settings for a preset.
    pub fn of(preset: Preset) -> Self {
        match preset {
            Preset::C10 | Preset::Stl10 => {
                Self { loss: BankLoss::Softmax, negatives: 0, temperature: 0.1, ..Self::default() }
            }
            Preset::In128 | Preset::In224 => Self::default(),
        }
    }

    fn bank(&self) -> BankSettings {
        BankSettings {
            loss: self.loss,
            negatives: self.negatives,
            excludes_own: self.redraw,
            temperature: self.temperature,
            dim: self.dim,
            momentum: self.bank_momentum,
            z_momentum: self.z_momentum,
        }
    }
}

impl MethodSettings for Config {
    fn name(&self) -> &'static str {
        "instdisc"
    }

    fn settings(&self) -> Vec<Setting> {
        Self::settings()
    }

    fn defaults(&self, preset: Preset) -> Defaults {
        let optim = optim::Config {
            name: OptimizerName::Sgd,
            lr: 0.03,
            weight_decay: 1e-4,
            warmup_epochs: Some(0.0),
            drop_at: vec![120.0 / 200.0, 160.0 / 200.0],
            drop_factor: 0.1,
            ..optim::Config::default()
        };
        let epochs = 200.0;
        match preset {
            Preset::C10 | Preset::Stl10 => Defaults {
                encoder: EncoderConfig::Resnet18(resnet::Layers::default()),
                optim: optim::Config { weight_decay: 5e-4, ..optim },
                batch_size: 128,
                epochs,
            },
            Preset::In128 | Preset::In224 => Defaults {
                encoder: EncoderConfig::Resnet50(resnet::Layers::default()),
                optim,
                batch_size: 256,
                epochs,
            },
        }
    }

    fn recipe(&self, preset: Preset, side: u32) -> Recipe {
        let crop =
            Op::ResizedCrop { scale: (0.2, 1.0), ratio: (3.0 / 4.0, 4.0 / 3.0), filter: Filter::Bilinear };
        let jitter = Op::ColorJitter { p: 1.0, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.4 };
        let gray = Op::Grayscale { p: 0.2 };
        let view = match preset {
            Preset::C10 => vec![crop, jitter, gray],
            _ => vec![crop, gray, jitter, Op::Flip { p: 0.5 }],
        };
        Recipe::new(vec![], vec![view], side)
    }

    fn check(&self, _encoder: &EncoderConfig) -> Result<()> {
        self.bank().check()
    }

    fn head_numbers(&self, width: i64) -> i64 {
        width.saturating_mul(self.dim)
    }

    fn build(&self, path: &Path, set: TrainingSet, encoder: &EncoderConfig) -> Result<Box<dyn Method>> {
        let encoder = encoder.chosen().build(&(path / "encoder"), set.side);
        Ok(Box::new(Instdisc::new(path, encoder, set, self)))
    }
}

/// Instance discrimination over an encoder, its head and a memory bank.
#[derive(Debug)]
pub struct Instdisc {
    network: Projected,
    contrast: Contrast,
    settings: BankSettings,
    set: TrainingSet,
    /// The features of this step, on their way from the objective to the bank.
    moved: RefCell<Option<Moved>>,
}

impl Instdisc {
    /// Returns the method for an encoder. The tensors of the head are named `fc` under `path`, the bank
    /// `memory` and the constant of the loss NCE `z`.
    pub fn new(path: &Path, encoder: Box<dyn Encoder>, set: TrainingSet, config: &Config) -> Self {
        let head = Projection::linear(path, encoder.width(), config.dim);
        let settings = config.bank();
        Self {
            network: Projected { encoder, head, norm_batch: NormBatch::AllViews },
            contrast: Contrast::new(path, ["memory", "z"], set.samples.cast_signed(), &settings),
            settings,
            set,
            moved: RefCell::new(None),
        }
    }

    fn samples(&self) -> i64 {
        self.set.samples.cast_signed()
    }

    /// Returns the encoder with its head.
    pub fn network(&self) -> &Projected {
        &self.network
    }

    /// Returns the memory bank.
    pub fn contrast(&self) -> &Contrast {
        &self.contrast
    }

    /// Returns the objective of projections (n, d) of the samples `numbers` (n), compared with the rows
    /// `drawn` (n, 1 + k), of which the first is their own, or with all rows.
    pub fn objective_of(&self, projections: &Tensor, numbers: &Tensor, drawn: Option<&Tensor>) -> Objective {
        let features = loss::unit(projections);
        let Compared { loss, z } = self.contrast.loss(&features, numbers, drawn);
        let (numbers, features) = (numbers.shallow_clone(), features.detach());
        self.moved.replace(Some(Moved { numbers, features }));
        Objective {
            loss: loss.shallow_clone(),
            total: loss,
            parts: z.map(|z| ("z", z)).into_iter().collect(),
        }
    }
}

impl Method for Instdisc {
    fn embedder(&self) -> &dyn Embedder {
        &self.network
    }

    fn objective(&self, embeddings: &[Tensor], views: &Views, world: World) -> Objective {
        let [projections, numbers] = [&embeddings[1].get(0), &views.indices].map(|own| world.gather(own, 0));
        let drawn = self.settings.draw(&numbers, self.samples());
        self.objective_of(&projections, &numbers, drawn.as_ref())
    }

    /// The scores (n, N) of the samples for the rows of all samples of the batch.
    fn scores(&self, embeddings: &[Tensor], views: &Views, world: World) -> Vec<Scores> {
        let features = loss::unit(&embeddings[1].get(0).detach());
        vec![self.contrast.scores_of("bank", features, &world.gather(&views.indices, 0))]
    }

    fn features(&self, embeddings: &[Tensor]) -> Tensor {
        embeddings[0].shallow_clone()
    }

    fn chance(&self, _n: i64) -> f64 {
        self.settings.chance(self.samples())
    }

    fn largest_batch(&self, parts: i64, processes: i64) -> i64 {
        self.settings.largest_batch(self.encoder(), &self.set, parts, processes)
    }

    fn exchanged(&self, _norm_groups: i64) -> Exchanged {
        Exchanged { bytes: 4 * self.network.head.width() + 8, features: 1, norm_batches: 1 } // and the sample's index
    }

    fn macs(&self, n: i64) -> f64 {
        let passes = 3.0;
        n as f64 * (passes * self.network.macs() as f64 + self.settings.macs(self.samples()))
    }

    fn encoder(&self) -> &dyn Encoder {
        self.network.encoder.as_ref()
    }

    fn state_bytes(&self) -> Vec<(&'static str, u64)> {
        vec![("memory bank", self.contrast.bytes())]
    }

    fn after_step(&mut self, is_broken: &Tensor) {
        if let Some(moved) = self.moved.take() {
            self.contrast.update(&moved, is_broken);
        }
    }
}
