//! All settings of a run together.

use std::path::PathBuf;

use pipeline::Preset;
use serde::{Deserialize, Serialize};

use super::{data::DataConfig, run::RunConfig, train::TrainConfig};
use crate::{
    encoder::EncoderConfig,
    method::MethodConfig,
    numbers, optim,
    settings::{Heading, Setting, path, text, whole},
};

/// The settings of a training run. What a run resolved them to lies in its folder as `config.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The run folder.
    pub out: PathBuf,
    /// Augmentation, image size, schedule and length of a data set's kind.
    pub preset: Preset,
    /// What all randomness derives from.
    pub seed: u64,
    /// Which samples.
    #[serde(default)]
    pub data: DataConfig,
    /// The encoder.
    #[serde(default)]
    pub encoder: EncoderConfig,
    /// The objective.
    #[serde(default)]
    pub method: MethodConfig,
    /// Batch and length.
    #[serde(default)]
    pub train: TrainConfig,
    /// The optimizer.
    #[serde(default)]
    pub optim: optim::Config,
    /// What does not change the result.
    #[serde(default)]
    pub run: RunConfig,
}

impl Config {
    /// The defaults of a preset.
    pub fn preset(preset: Preset) -> Self {
        let drop_at = preset.drop_at().to_vec();
        Self {
            out: PathBuf::from(format!("runs/amdim-{preset}")),
            preset,
            seed: 0,
            data: DataConfig::default(),
            encoder: EncoderConfig::default(),
            method: MethodConfig::default(),
            train: TrainConfig::default(),
            optim: optim::Config { drop_at, ..optim::Config::default() },
            run: RunConfig::default(),
        }
    }

    /// What is known of each setting, section by section.
    pub fn settings() -> Vec<Setting> {
        let section = |name: &'static str, settings: Vec<Setting>| {
            settings.into_iter().map(move |setting| setting.within(name))
        };
        section("data", DataConfig::settings())
            .chain(section("encoder", EncoderConfig::settings()))
            .chain(section("method", MethodConfig::settings()))
            .chain(section("train", TrainConfig::settings()))
            .chain(section("optim", optim::Config::settings()))
            .chain(outside_of_sections())
            .chain(section("run", RunConfig::settings()).map(Setting::free))
            .collect()
    }
}

/// Settings whose defaults are for [`Config::preset`] to say.
fn outside_of_sections() -> [Setting; 3] {
    let out = path().flag(Heading::Run, "DIR").default("runs/amdim-PRESET").free();
    let preset = text::<Preset>().flag(Heading::Data, "PRESET").default("in128").after("val_shards");
    let seed = whole(numbers::SEED).unbounded_in_files().flag(Heading::Training, "N");
    [
        Setting::new("out", "Run folder: configuration, metrics, checkpoints.", "", out),
        Setting::new(
            "preset",
            "Augmentation, image size and schedule: c10 (32 px), stl10 (64 px) or in128 (128 px).",
            "",
            preset,
        ),
        Setting::new("seed", "What all randomness derives from.", "0", seed),
    ]
}
