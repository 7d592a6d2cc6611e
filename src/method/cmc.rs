//! CMC: contrastive multiview coding (Tian et al. 2019) of the lightness and the colour of an image. The
//! features of each have to find those of the other in a memory bank.

use std::cell::RefCell;

use anyhow::Result;
use pipeline::{Filter, Op, Preset, Recipe};
use tch::{Tensor, nn::Path};

use super::{
    bank::{BankLoss, BankSettings, Contrast, Moved},
    interface::{Defaults, Exchanged, Method, MethodSettings, Objective, TrainingSet},
};
use crate::{
    encoder::{
        Embedder, Encoder, EncoderConfig, NormBatch, Projected, Projection,
        resnet::{self, Split, SplitNetwork},
    },
    loss::{self, Scores},
    numbers,
    optim::{self, OptimizerName},
    settings::{Heading, Setting, choice, real, settings, whole, yes_or_no},
    usage,
    views::Views,
    world::World,
};

settings! {
    /// Settings of the memory banks and the loss. The defaults are those of the reference implementation,
    /// with its softmax instead of NCE.
    pub struct Config {
        /// Loss: nce (noise-contrastive estimation on drawn rows) or softmax (cross-entropy over drawn or all
        /// rows).
        loss: BankLoss = BankLoss::Softmax, choice::<BankLoss>().flag(Heading::Cmc, "LOSS").hide_choices()
            .default("softmax");
        /// Rows of a bank that are drawn as negatives of a sample; 0 compares with all rows (softmax only).
        negatives: i64 = 16384, whole(numbers::COUNT_OR_NONE).flag(Heading::Cmc, "K");
        /// Whether a sample's own row is excluded from its negatives.
        redraw: bool = false, yes_or_no().flag(Heading::Cmc, "BOOL");
        /// Channels of the embeddings of each network, which are the rows of a bank.
        dim: i64 = 128, whole(numbers::EMBEDDING).flag(Heading::Cmc, "N");
        /// Temperature that the scores are divided by.
        temperature: f64 = 0.07, real(numbers::TEMPERATURE).flag(Heading::Cmc, "X")
            .default("0.07; with c10 and stl10 0.1");
        /// Momentum of a row of the bank: its share that stays when its sample is seen again.
        bank_momentum: f64 = 0.5, real(numbers::DECAY).flag(Heading::Cmc, "X");
        /// Momentum of the normalizing constant Z of nce; with 1, the first batch alone estimates it, as in
        /// the paper.
        z_momentum: f64 = 1.0, real(numbers::PROBABILITY).flag(Heading::Cmc, "X");
    }
}

impl Config {
    /// Returns the published settings for a preset.
    pub fn of(preset: Preset) -> Self {
        match preset {
            Preset::C10 | Preset::Stl10 => Self { temperature: 0.1, ..Self::default() },
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
        "cmc"
    }

    fn settings(&self) -> Vec<Setting> {
        Self::settings()
    }

    fn defaults(&self, preset: Preset) -> Defaults {
        let network = resnet::Config { split: Split::Lab, ..resnet::Config::default() };
        let (encoder, batch_size) = match preset {
            Preset::C10 | Preset::Stl10 => (EncoderConfig::Resnet18(resnet::Layers(network)), 128),
            Preset::In128 | Preset::In224 => (EncoderConfig::Resnet50(resnet::Layers(network)), 256),
        };
        let optim = optim::Config {
            name: OptimizerName::Sgd,
            lr: 0.03,
            weight_decay: 1e-4,
            warmup_epochs: Some(0.0),
            drop_at: vec![120.0 / 240.0, 160.0 / 240.0, 200.0 / 240.0],
            drop_factor: 0.1,
            ..optim::Config::default()
        };
        Defaults { encoder, optim, batch_size, epochs: 240.0 }
    }

    fn recipe(&self, preset: Preset, side: u32) -> Recipe {
        // The reference replaces 0.2 by 0.08 for ResNets on ImageNet.
        let least = match preset {
            Preset::C10 | Preset::Stl10 => 0.2,
            Preset::In128 | Preset::In224 => 0.08,
        };
        let view = vec![
            Op::ResizedCrop { scale: (least, 1.0), ratio: (3.0 / 4.0, 4.0 / 3.0), filter: Filter::Bilinear },
            Op::Flip { p: 0.5 },
        ];
        Recipe::new(vec![], vec![view], side)
    }

    fn adapt(&self, encoder: EncoderConfig) -> EncoderConfig {
        encoder.split(Split::Lab)
    }

    fn check(&self, encoder: &EncoderConfig) -> Result<()> {
        if !encoder.is_split() {
            return Err(usage!(
                "the method cmc needs one network for lightness and one for colour, but the encoder is {}{}",
                encoder.chosen().name(), if encoder.any_resnet().is_some() { " without --split" } else { "" };
                "choose a ResNet with --split lab or --split ycbcr"
            ));
        }
        self.bank().check()
    }

    fn head_numbers(&self, width: i64) -> i64 {
        width.saturating_mul(self.dim)
    }

    fn build(&self, path: &Path, set: TrainingSet, encoder: &EncoderConfig) -> Result<Box<dyn Method>> {
        self.check(encoder)?;
        let encoder = encoder.chosen().build(&(path / "encoder"), set.side);
        Ok(Box::new(Cmc::new(path, encoder, set, self)))
    }
}

/// CMC over a split encoder, a head for each of its halves, and two memory banks.
#[derive(Debug)]
pub struct Cmc {
    network: Projected,
    /// The bank of colour, which lightness is compared with, and that of lightness.
    contrasts: [Contrast; 2],
    settings: BankSettings,
    set: TrainingSet,
    /// The features of lightness and colour of this step, on their way from the objective to the banks.
    moved: RefCell<Option<[Moved; 2]>>,
}

impl Cmc {
    /// Returns the method for an encoder whose features are those of lightness and those of colour. The
    /// tensors of the heads are named `l_to_ab.fc` and `ab_to_l.fc` under `path`, the banks `memory_l` and
    /// `memory_ab`, the constants of the loss NCE `z_l` and `z_ab`.
    pub fn new(path: &Path, encoder: Box<dyn Encoder>, set: TrainingSet, config: &Config) -> Self {
        let head = Projection::of_halves(path, SplitNetwork::NAMES, encoder.width() / 2, config.dim);
        let settings = config.bank();
        let contrast = |names| Contrast::new(path, names, set.samples.cast_signed(), &settings);
        Self {
            network: Projected { encoder, head, norm_batch: NormBatch::AllViews },
            contrasts: [contrast(["memory_ab", "z_l"]), contrast(["memory_l", "z_ab"])],
            settings,
            set,
            moved: RefCell::new(None),
        }
    }

    fn samples(&self) -> i64 {
        self.set.samples.cast_signed()
    }

    /// Returns the encoder with its heads.
    pub fn network(&self) -> &Projected {
        &self.network
    }

    /// Returns the memory banks: that of colour, which lightness is compared with, and that of lightness.
    pub fn contrasts(&self) -> &[Contrast; 2] {
        &self.contrasts
    }

    /// Returns the features (n, d) of lightness and colour, of unit length, of projections (n, 2·d).
    pub fn halves(projections: &Tensor) -> [Tensor; 2] {
        let d = projections.size()[1] / 2;
        [0, d].map(|start| loss::unit(&projections.narrow(1, start, d)))
    }

    /// Returns the objective of projections (n, 2·d) of the samples `numbers` (n), compared with the rows
    /// `drawn` (n, 1 + k) of both banks, of which the first is their own, or with all rows.
    pub fn objective_of(&self, projections: &Tensor, numbers: &Tensor, drawn: Option<&Tensor>) -> Objective {
        let features = Self::halves(projections);
        let [l, ab] = [0, 1].map(|half: usize| self.contrasts[half].loss(&features[half], numbers, drawn));
        let moved =
            |features: &Tensor| Moved { numbers: numbers.shallow_clone(), features: features.detach() };
        self.moved.replace(Some(features.each_ref().map(moved)));
        let total = &l.loss + &ab.loss;
        let mut parts = vec![("l", l.loss), ("ab", ab.loss)];
        parts.extend(["z_l", "z_ab"].into_iter().zip([l.z, ab.z]).filter_map(|(name, z)| Some((name, z?))));
        Objective { loss: total.shallow_clone(), total, parts }
    }
}

impl Method for Cmc {
    fn embedder(&self) -> &dyn Embedder {
        &self.network
    }

    fn objective(&self, embeddings: &[Tensor], views: &Views, world: World) -> Objective {
        let [projections, numbers] = [&embeddings[1].get(0), &views.indices].map(|own| world.gather(own, 0));
        let drawn = self.settings.draw(&numbers, self.samples());
        self.objective_of(&projections, &numbers, drawn.as_ref())
    }

    /// The scores (n, N) of lightness and colour of the samples for the rows of all samples of the batch.
    fn scores(&self, embeddings: &[Tensor], views: &Views, world: World) -> Vec<Scores> {
        let numbers = world.gather(&views.indices, 0);
        let halves = Self::halves(&embeddings[1].get(0).detach());
        let named = ["l", "ab"].into_iter().zip(&self.contrasts).zip(halves);
        named.map(|((name, contrast), features)| contrast.scores_of(name, features, &numbers)).collect()
    }

    fn features(&self, embeddings: &[Tensor]) -> Tensor {
        embeddings[0].shallow_clone()
    }

    fn chance(&self, _n: i64) -> f64 {
        2.0 * self.settings.chance(self.samples())
    }

    fn largest_batch(&self, parts: i64, processes: i64) -> i64 {
        self.settings.largest_batch(self.encoder(), &self.set, parts, processes)
    }

    fn exchanged(&self, _norm_groups: i64) -> Exchanged {
        Exchanged { bytes: 4 * self.network.head.width() + 8, features: 1, norm_batches: 1 } // and the sample's index
    }

    fn macs(&self, n: i64) -> f64 {
        let (passes, banks) = (3.0, 2.0);
        n as f64 * (passes * self.network.macs() as f64 + banks * self.settings.macs(self.samples()))
    }

    fn encoder(&self) -> &dyn Encoder {
        self.network.encoder.as_ref()
    }

    fn state_bytes(&self) -> Vec<(&'static str, u64)> {
        vec![("memory banks", self.contrasts.iter().map(Contrast::bytes).sum())]
    }

    fn after_step(&mut self, is_broken: &Tensor) {
        if let Some([l, ab]) = self.moved.take() {
            let [color, lightness] = &self.contrasts;
            color.update(&ab, is_broken);
            lightness.update(&l, is_broken);
        }
    }
}
