//! SimCLR: a simple framework for contrastive learning of visual representations (Chen et al. 2020).

use anyhow::Result;
use pipeline::{Filter, Op, Preset, Recipe};
use serde::{Deserialize, Serialize};
use tch::{Tensor, nn::Path};

use super::interface::{Defaults, Exchanged, Method, MethodSettings, Objective, TrainingSet};
use crate::{
    encoder::{Embedder, Encoder, EncoderConfig, NormBatch, Projected, Projection, resnet},
    loss::{self, Scores},
    numbers,
    optim::{self, Decay, LrScaling, OptimizerName},
    settings::{Heading, Setting, choice, real, settings, whole},
    views::Views,
    world::World,
};

settings! {
    /// Settings of the head, the loss and the views. The defaults are those of the paper for ImageNet.
    pub struct Config {
        /// Head: bn2 or bn3 (two or three linear layers with batch norms, as in the code of SimCLR) or plain
        /// (two linear layers with biases, as in its paper).
        head: Head = Head::Bn2, choice::<Head>().flag(Heading::Simclr, "HEAD").hide_choices().default("bn2");
        /// Channels of the hidden layers of the head.
        #[serde(skip_serializing_if = "Option::is_none")]
        hidden: Option<i64> = None, whole(numbers::EMBEDDING).flag(Heading::Simclr, "N").default("those of the features");
        /// Channels of the embeddings that the loss compares.
        dim: i64 = 128, whole(numbers::EMBEDDING).flag(Heading::Simclr, "N");
        /// Temperature that the scores are divided by.
        temperature: f64 = 0.1, real(numbers::TEMPERATURE).flag(Heading::Simclr, "X").default("0.1; with c10 0.5");
        /// Strength of the colour jitter.
        jitter: f64 = 1.0, real(numbers::JITTER).flag(Heading::Simclr, "X").default("1; with c10 0.5");
        /// Probability that a view is blurred.
        blur: f64 = 0.5, real(numbers::PROBABILITY).flag(Heading::Simclr, "P").default("0.5; with c10 0");
    }
}

/// The head between the features and the loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// Two linear layers, each followed by a batch norm.
    #[default]
    Bn2,
    /// Three linear layers, each followed by a batch norm.
    Bn3,
    /// Two linear layers with biases, without batch norms.
    Plain,
}

impl Config {
    /// Builds the head for features of `width` channels.
    fn head(&self, path: &Path, width: i64) -> Projection {
        let sizes = [width, self.hidden.unwrap_or(width), self.dim];
        match self.head {
            Head::Bn2 => Projection::with_norms(path, 2, sizes),
            Head::Bn3 => Projection::with_norms(path, 3, sizes),
            Head::Plain => Projection::plain(path, sizes),
        }
    }

    /// Returns the published settings for a preset.
    pub fn of(preset: Preset) -> Self {
        match preset {
            Preset::C10 => Self { temperature: 0.5, jitter: 0.5, blur: 0.0, ..Self::default() },
            _ => Self::default(),
        }
    }
}

impl MethodSettings for Config {
    fn name(&self) -> &'static str {
        "simclr"
    }

    fn settings(&self) -> Vec<Setting> {
        Self::settings()
    }

    fn defaults(&self, preset: Preset) -> Defaults {
        let lars = optim::Config {
            name: OptimizerName::Lars,
            schedule: Decay::Cosine,
            warmup_epochs: Some(10.0),
            ..optim::Config::default()
        };
        match preset {
            Preset::C10 => Defaults {
                encoder: EncoderConfig::Resnet18(resnet::Layers::default()),
                optim: optim::Config { lr: 1.0, lr_scaling: LrScaling::Linear, weight_decay: 1e-4, ..lars },
                batch_size: 512,
                epochs: 1000.0,
            },
            // The rule of the square root is the paper's for batches below its 4096; both rules agree there.
            _ => Defaults {
                encoder: EncoderConfig::Resnet50(resnet::Layers::default()),
                optim: optim::Config { lr: 0.075, lr_scaling: LrScaling::Sqrt, weight_decay: 1e-6, ..lars },
                batch_size: 512,
                epochs: 100.0,
            },
        }
    }

    fn recipe(&self, _preset: Preset, side: u32) -> Recipe {
        let (strong, weak) = (0.8 * self.jitter, 0.2 * self.jitter);
        let view = vec![
            Op::ResizedCrop { scale: (0.08, 1.0), ratio: (3.0 / 4.0, 4.0 / 3.0), filter: Filter::Bicubic },
            Op::Flip { p: 0.5 },
            Op::ColorJitter { p: 0.8, brightness: strong, contrast: strong, saturation: strong, hue: weak },
            Op::Grayscale { p: 0.2 },
            Op::GaussianBlur { p: self.blur, sigma: (0.1, 2.0) },
        ];
        Recipe::new(vec![], vec![view; 2], side)
    }

    fn least_views(&self) -> Option<usize> {
        Some(2)
    }

    fn head_numbers(&self, width: i64) -> i64 {
        let hidden = self.hidden.unwrap_or(width);
        let between = if self.head == Head::Bn3 { hidden } else { 0 };
        hidden.saturating_mul(width.saturating_add(between).saturating_add(self.dim))
    }

    fn build(&self, path: &Path, set: TrainingSet, encoder: &EncoderConfig) -> Result<Box<dyn Method>> {
        let encoder = encoder.chosen().build(&(path / "encoder"), set.side);
        Ok(Box::new(Simclr::new(path, encoder, &set.views, self)))
    }
}

/// The objective of SimCLR over an encoder and its head.
#[derive(Debug)]
pub struct Simclr {
    network: Projected,
    /// The side of each view.
    views: Vec<i64>,
    temperature: f64,
}

impl Simclr {
    /// Returns the method for views of these sides, in pixels. The tensors of the head are named under `path`.
    pub fn new(path: &Path, encoder: Box<dyn Encoder>, views: &[u32], config: &Config) -> Self {
        let head = config.head(path, encoder.width());
        let network = Projected { encoder, head, norm_batch: NormBatch::AllViews };
        let views = views.iter().copied().map(i64::from).collect();
        Self { network, views, temperature: config.temperature }
    }

    /// Returns the encoder with its head.
    pub fn network(&self) -> &Projected {
        &self.network
    }
}

impl Method for Simclr {
    fn embedder(&self) -> &dyn Embedder {
        &self.network
    }

    /// The sum of the losses of both views is minimized, as in the code of SimCLR; their mean, the loss of
    /// the paper, is logged. Further views are compared with both, and the mean is over all pairs of views.
    fn objective(&self, embeddings: &[Tensor], _: &Views, world: World) -> Objective {
        let projections = loss::unit(&world.gather(&embeddings[1], 1));
        let [first, second] = [0, 1].map(|view| projections.get(view));
        let [one, two] = loss::nt_xent(&first, &second, self.temperature);
        let mut total = &one + &two;
        let mut parts = vec![("view1", one), ("view2", two)];
        let others = projections.size()[0] - 2;
        if others > 0 {
            let others = projections.narrow(0, 2, others);
            let [one, two] = loss::nt_xent_of_others(&others, [&first, &second], self.temperature);
            let further = (one + two) / 2.0;
            let share = 1.0 / (1.0 + others.size()[0] as f64);
            total = total * share + &further * (2.0 * (1.0 - share));
            parts.push(("further", further));
        }
        Objective { loss: &total / 2.0, total, parts }
    }

    /// The scores (n, N) of the first view for the second one.
    fn scores(&self, embeddings: &[Tensor], _: &Views, world: World) -> Vec<Scores> {
        let [queries, keys] = [0, 1].map(|view| loss::unit(&embeddings[1].get(view).detach()));
        vec![Scores::of_units("view1", queries, world.gather(&keys, 0), self.temperature)]
    }

    /// Returns the features of the first two views, whose side is that of evaluation.
    fn features(&self, embeddings: &[Tensor]) -> Tensor {
        embeddings[0].narrow(0, 0, 2)
    }

    fn chance(&self, n: i64) -> f64 {
        (2.0 * n as f64 - 1.0).ln()
    }

    fn largest_batch(&self, parts: i64, processes: i64) -> i64 {
        const MOST: i64 = i32::MAX as i64;
        let of_group = |views: &[i64]| views.len() as i64 * self.network.encoder.cost_at(views[0]).0;
        let elements = self.views.chunk_by(i64::eq).map(of_group).max().unwrap_or(1);
        let pixels: i64 = self.views.iter().map(|side| 3 * side * side).sum();
        let scored = 2 * (self.views.len() as i64 - 2).max(2);
        let samples = (MOST / scored).isqrt() / processes;
        (parts * (MOST / elements)).min(MOST / pixels).min(samples)
    }

    fn exchanged(&self, _norm_groups: i64) -> Exchanged {
        let norm_batches = self.views.chunk_by(i64::eq).count() as i64;
        Exchanged {
            bytes: 4 * self.views.len() as i64 * self.network.head.width(),
            features: 2,
            norm_batches,
        }
    }

    fn macs(&self, n: i64) -> f64 {
        let (passes, samples) = (3.0, n as f64);
        let of_view = |side: &i64| self.network.encoder.cost_at(*side).1 + self.network.head.macs();
        let encoded: u64 = self.views.iter().map(of_view).sum();
        let scores = self.views.len() as f64 * 2.0 * samples * self.network.head.width() as f64;
        passes * samples * (encoded as f64 + scores)
    }

    fn encoder(&self) -> &dyn Encoder {
        self.network.encoder.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use shards::Position;
    use tch::{Device, Kind, nn::VarStore};

    use super::*;

    const VIEWS: [u32; 5] = [64, 64, 32, 32, 32];

    fn simclr(views: &[u32]) -> Simclr {
        let vars = VarStore::new(Device::Cpu);
        let config = resnet::Config { width: 2, ..resnet::Config::default() };
        let encoder = EncoderConfig::Resnet18(resnet::Layers(config));
        let encoder = encoder.chosen().build(&(vars.root() / "encoder"), views[0]);
        Simclr::new(&vars.root(), encoder, views, &Config { dim: 4, ..Config::default() })
    }

    #[test]
    fn the_loss_of_more_views_is_the_mean_over_pairs_and_its_double_is_minimized() {
        let _alone = crate::testing::lock_generator();
        tch::manual_seed(7);
        let simclr = simclr(&VIEWS);
        let [features, projections] =
            [16, 4].map(|width| Tensor::randn([5, 6, width], (Kind::Double, Device::Cpu)));
        let numbers = || Tensor::arange(6, (Kind::Int64, Device::Cpu));
        let (labels, indices) = (numbers(), numbers());
        let views = Views { groups: vec![], labels, indices, next: Position::default() };
        let embeddings = [features, projections];
        let objective = simclr.objective(&embeddings, &views, World::ALONE);
        let unit = loss::unit(&embeddings[1]);
        let [one, two] = [unit.get(0), unit.get(1)];
        let mut pairs = Vec::from(loss::nt_xent(&one, &two, simclr.temperature));
        for view in 2..5 {
            let further = unit.narrow(0, view, 1);
            pairs.extend(loss::nt_xent_of_others(&further, [&one, &two], simclr.temperature));
        }
        let mean = pairs.iter().sum::<Tensor>() / pairs.len() as f64;
        let [found, total, mean] = [&objective.loss, &objective.total, &mean].map(|x| x.double_value(&[]));
        assert!((found - mean).abs() < 1e-12 && (total - 2.0 * mean).abs() < 1e-12, "{found} {total} {mean}");
        assert_eq!((pairs.len(), objective.parts[2].0), (8, "further"));
        assert!(simclr.features(&embeddings).equal(&embeddings[0].narrow(0, 0, 2)));
    }

    #[test]
    fn further_views_cost_what_images_of_their_side_cost() {
        let _alone = crate::testing::lock_generator();
        let (both, large) = (simclr(&VIEWS), simclr(&[64; 2]));
        let of_view = |side| (both.network.encoder.cost_at(side).1 + both.network.head.macs()) as f64;
        let scores = |views: f64| views * 2.0 * 8.0 * 4.0;
        assert!(of_view(64) > 3.0 * of_view(32));
        let expected = [
            3.0 * 8.0 * (2.0 * of_view(64) + 3.0 * of_view(32) + scores(5.0)),
            3.0 * 8.0 * (2.0 * of_view(64) + scores(2.0)),
        ];
        for (found, expected) in [both.macs(8), large.macs(8)].into_iter().zip(expected) {
            assert!((found - expected).abs() < 0.5, "{found} {expected}");
        }
        let largest = |views: &[u32]| simclr(views).largest_batch(1, 1);
        let most = i64::from(i32::MAX);
        // The scores are limited by those of the first two views, or of three further ones.
        assert_eq!([largest(&[64; 2]), largest(&VIEWS)], [(most / 4).isqrt(), (most / 6).isqrt()]);
        // The pixels of all views are one tensor.
        assert_eq!(largest(&[512, 512, 256]), most / (3 * (2 * 512 * 512 + 256 * 256)));
    }
}
