//! The complete configuration of a run.

use std::path::PathBuf;

use pipeline::{Normalization, Preset, Recipe};
use serde::{Deserialize, Serialize};
use tch::Device;
use torchkit::Precision;

use super::{data::DataConfig, recipe::RecipeConfig, run::RunConfig, train::TrainConfig};
use crate::{
    encoder::EncoderConfig,
    method::{Defaults, MethodConfig, TrainingSet},
    numbers, optim,
    settings::{Heading, Setting, path, text, whole},
};

/// The settings of a training run. `config.toml` in its folder has their resolved values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The run folder.
    pub out: PathBuf,
    /// Augmentation, image size, schedule and length for a kind of dataset.
    pub preset: Preset,
    /// The width and height of views in pixels, where they are not those of the preset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side: Option<u32>,
    /// The seed that all randomness derives from.
    pub seed: u64,
    /// The dataset.
    #[serde(default)]
    pub data: DataConfig,
    /// Settings of the encoder.
    #[serde(default)]
    pub encoder: EncoderConfig,
    /// Settings of the method.
    #[serde(default)]
    pub method: MethodConfig,
    /// Settings of the batch and the length.
    #[serde(default)]
    pub train: TrainConfig,
    /// Settings of the optimizer.
    #[serde(default)]
    pub optim: optim::Config,
    /// Settings that do not change the results.
    #[serde(default)]
    pub run: RunConfig,
    /// The recipe of the views, if it is not that of the method.
    #[serde(default, skip_serializing_if = "RecipeConfig::is_empty")]
    pub recipe: RecipeConfig,
}

impl Config {
    /// Returns the defaults of AMDIM for a preset.
    pub fn preset(preset: Preset) -> Self {
        Self::of(MethodConfig::default(), preset)
    }

    /// Returns the defaults of a method for a preset.
    pub fn of(method: MethodConfig, preset: Preset) -> Self {
        let Defaults { encoder, optim, .. } = method.chosen().defaults(preset);
        Self {
            out: default_out(&method, preset),
            preset,
            side: None,
            seed: 0,
            data: DataConfig::default(),
            encoder,
            method,
            train: TrainConfig::default(),
            optim,
            run: RunConfig::default(),
            recipe: RecipeConfig::default(),
        }
    }

    /// Returns the width and height of views in pixels.
    pub fn side(&self) -> u32 {
        self.side.unwrap_or_else(|| self.preset.side())
    }

    /// The operations that make the views of an image.
    pub fn recipe(&self) -> Recipe {
        if !self.recipe.has_views() {
            return self.method.chosen().recipe(self.preset, self.side());
        }
        self.recipe.recipe(self.side())
    }

    /// Returns the views and the seed that a method trains with on a set of `samples` samples.
    pub(crate) fn training_set(&self, samples: u64) -> TrainingSet {
        let views = self.recipe().views().map(|(side, _)| side).collect();
        TrainingSet { side: self.side(), views, samples, seed: self.seed }
    }

    /// Returns the precision of training on a device.
    pub(crate) fn precision_on(&self, device: Device) -> Precision {
        match self.train.precision {
            Precision::Auto => self.fastest_precision(device),
            precision => precision,
        }
    }

    /// Returns the precision in which a device trains the encoder fastest: bf16 or f32.
    pub(crate) fn fastest_precision(&self, device: Device) -> Precision {
        let is_slow = device == Device::Cpu && !self.encoder.chosen().is_faster_in_bf16_on_cpus();
        if is_slow { Precision::F32 } else { Precision::Auto.on(device) }
    }

    /// Returns the normalization of the encoder's inputs.
    pub fn normalization(&self) -> Normalization {
        let published = || {
            let of_method = self.method.chosen().normalization(self.preset);
            of_method.unwrap_or_else(|| self.preset.normalization())
        };
        let usual = || self.recipe.normalization(published());
        self.encoder.chosen().normalization().unwrap_or_else(usual)
    }

    /// Sets the normalization of the encoder's inputs.
    pub(crate) fn normalize_by(&mut self, normalization: Normalization) {
        let shares = |values: [f64; 3]| values.map(|value| value / 255.0);
        if self.normalization() != normalization {
            self.recipe.mean = Some(shares(normalization.mean));
            self.recipe.std = Some(shares(normalization.std));
        }
    }

    /// Returns the operations that make the view of an image for evaluation.
    pub fn evaluation(&self) -> Recipe {
        self.preset.evaluation_of(self.side())
    }

    /// Returns the declarations of all settings, section by section, with those of all encoders and methods.
    pub fn settings() -> Vec<Setting> {
        declared(EncoderConfig::settings(), MethodConfig::settings())
    }

    /// Returns the declarations of all settings, of encoders and methods those of the chosen ones.
    pub(crate) fn own_settings(&self) -> Vec<Setting> {
        declared(self.encoder.chosen().settings(), self.method.chosen().settings())
    }
}

/// Returns the run folder of a run without `out`.
fn default_out(method: &MethodConfig, preset: Preset) -> PathBuf {
    PathBuf::from(format!("runs/{}-{preset}", method.chosen().name()))
}

/// Returns the declarations of all settings, section by section, with these of encoder and method.
fn declared(encoder: Vec<Setting>, method: Vec<Setting>) -> Vec<Setting> {
    let section = |name: &'static str, settings: Vec<Setting>| {
        settings.into_iter().map(move |setting| setting.within(name))
    };
    section("data", DataConfig::settings())
        .chain(section("encoder", encoder))
        .chain(section("method", method))
        .chain(section("train", TrainConfig::settings()))
        .chain(section("optim", optim::Config::settings()))
        .chain(outside_of_sections())
        .chain(section("run", RunConfig::settings()).map(Setting::free))
        .chain(section("recipe", RecipeConfig::settings()))
        .collect()
}

/// Returns the declarations of settings outside of all sections. [`Config::preset`] sets their defaults.
fn outside_of_sections() -> [Setting; 4] {
    let out = path().flag(Heading::Run, "DIR").default("runs/METHOD-PRESET").free();
    let preset = text::<Preset>()
        .flag(Heading::Data, "PRESET")
        .default("in128 with amdim, stl10 with cpc and exemplar, else in224")
        .after("val_shards");
    let side =
        whole(numbers::SIDE).flag(Heading::Data, "PIXELS").default("that of the preset").after("preset");
    let seed = whole(numbers::SEED).unbounded_in_files().flag(Heading::Training, "N");
    [
        Setting::new("out", "Run folder: configuration, metrics, checkpoints.", "", out),
        Setting::new(
            "preset",
            "Image size, augmentation and schedule: c10 (32 px), stl10 (64 px), in128 (128 px) or in224 (224 px).",
            "",
            preset,
        ),
        Setting::new("side", "Width and height of views.", "", side),
        Setting::new("seed", "Seed that all randomness derives from.", "0", seed),
    ]
}
