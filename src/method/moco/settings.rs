//! `MoCo` as a choice of a method: its views and its published defaults.

use anyhow::Result;
use pipeline::{Normalization, Preset, Recipe};
use tch::nn::Path;

use super::{config::Config, objective::Moco};
use crate::{
    encoder::{EncoderConfig, resnet},
    hint::Notice,
    method::interface::{Defaults, Method, MethodSettings, TrainingSet},
    notice,
    optim::{self, Decay, LrScaling, OptimizerName},
    settings::Setting,
};

impl MethodSettings for Config {
    fn name(&self) -> &'static str {
        "moco"
    }

    fn settings(&self) -> Vec<Setting> {
        Self::settings()
    }

    fn defaults(&self, preset: Preset) -> Defaults {
        let sgd = optim::Config {
            name: OptimizerName::Sgd,
            lr: 0.03,
            lr_scaling: LrScaling::Linear,
            warmup_epochs: Some(0.0),
            schedule: Decay::Cosine,
            // Those of version 1, for `--schedule published`.
            drop_at: vec![0.6, 0.8],
            drop_factor: 0.1,
            ..optim::Config::default()
        };
        let is_small = preset == Preset::C10;
        Defaults {
            encoder: if is_small {
                EncoderConfig::Resnet18(resnet::Layers::default())
            } else {
                EncoderConfig::Resnet50(resnet::Layers::default())
            },
            optim: optim::Config { weight_decay: if is_small { 5e-4 } else { 1e-4 }, ..sgd },
            batch_size: if is_small { 512 } else { 256 },
            epochs: 200.0,
        }
    }

    fn normalization(&self, preset: Preset) -> Option<Normalization> {
        let of_demo = Normalization {
            mean: [0.4914, 0.4822, 0.4465].map(|mean| 255.0 * mean),
            std: [0.2023, 0.1994, 0.2010].map(|std| 255.0 * std),
        };
        (preset == Preset::C10).then_some(of_demo)
    }

    fn recipe(&self, preset: Preset, side: u32) -> Recipe {
        Recipe::new(vec![], vec![self.view(preset); 2], side)
    }

    fn warning(&self, set: TrainingSet) -> Option<Notice> {
        let TrainingSet { samples, .. } = set;
        (2 * self.queue.cast_unsigned() >= samples).then(|| {
            notice!(
                "the queue has {} keys, but the set has only {samples} samples: many negatives are older keys of the query's own sample", self.queue;
                "set --queue to much less than half of the samples, such as {}", (samples / 8).max(1)
            )
        })
    }

    fn head_numbers(&self, width: i64) -> i64 {
        width.saturating_add(self.queue).saturating_mul(self.dim)
    }

    fn build(&self, path: &Path, set: TrainingSet, encoder: &EncoderConfig) -> Result<Box<dyn Method>> {
        let build = |path: &Path| self.network(path, encoder.chosen().build(&(path / "encoder"), set.side));
        Ok(Box::new(Moco::new(path, set.side, build, self, self.groups())))
    }
}
