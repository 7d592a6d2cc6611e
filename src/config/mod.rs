//! Everything that a run can be told: the sum of the parts' own settings, loaded, layered and checked.

mod bounds;
mod data;
mod keys;
mod layers;
mod warm_start;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use pipeline::{BadSampleBudget, Preset};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use self::data::DataConfig;
pub use self::layers::{Layers, overlay};
use self::layers::{contradictions, with_precision, without_auto};
pub use self::warm_start::WarmStart;
use crate::{
    encoder,
    exit::Code,
    files,
    hint::WithHint,
    method::MethodConfig,
    optim::{self, Lengthened},
    usage,
};
use torchkit::{DeviceChoice, GraphChoice, Precision};

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
    /// The encoder's size.
    #[serde(default)]
    pub encoder: encoder::amdim::Config,
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

/// Batch and length of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Samples in a step. Unset: by device, preset and number of samples.
    pub batch_size: Option<usize>,
    /// Passes over the samples. Either these or `steps`; unset: the preset's.
    pub epochs: Option<f64>,
    /// Updates.
    pub steps: Option<u64>,
    /// In what precision the encoder is computed.
    #[serde(with = "as_text")]
    pub precision: Precision,
    /// Parts of a batch that are encoded one after the other, with the negatives of the whole batch.
    pub accumulate: usize,
    /// Whether to compute what happens inside of a block again on the way back, instead of keeping it.
    pub checkpoint_blocks: bool,
    /// The run, or checkpoint, whose encoder training begins with. Unset: a freshly initialized one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warm_start: Option<WarmStart>,
    /// When the run was given more steps than it had, by `--steps` or `--epochs`: what was made by then keeps its schedule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lengthened: Vec<Lengthened>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            batch_size: None,
            epochs: None,
            steps: None,
            precision: Precision::Auto,
            accumulate: 1,
            checkpoint_blocks: false,
            warm_start: None,
            lengthened: Vec::new(),
        }
    }
}

/// How a run is carried out; nothing here changes what it computes, but for rounding with another device or number of threads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Where the model is trained.
    #[serde(with = "as_text")]
    pub device: DeviceChoice,
    /// Whether a step is queued as one CUDA graph.
    #[serde(with = "as_text")]
    pub cuda_graph: GraphChoice,
    /// Decoding threads. Unset: one a core.
    pub workers: Option<usize>,
    /// Threads that libtorch computes with on the CPU. Unset: its share of the cores, by what a sample costs.
    pub threads: Option<usize>,
    /// Steps from one log record to the next.
    pub log_every: u64,
    /// Steps from one checkpoint to the next.
    pub checkpoint_every: u64,
    /// Checkpoints that are kept: the latest so many …
    pub keep: usize,
    /// … and those whose step is a multiple of this; 0 for none.
    pub keep_every: u64,
    /// Epochs from one validation to the next.
    pub validate_every: u64,
    /// Epochs from one vote of neighbours to the next; 0 for none.
    pub knn_every: u64,
    /// By what the best checkpoint is chosen, which is kept; none for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<Metric>,
    /// How many samples may be unreadable: `1%` or a number.
    #[serde(with = "as_text")]
    pub max_bad: BadSampleBudget,
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            device: DeviceChoice::Auto,
            cuda_graph: GraphChoice::Auto,
            workers: None,
            threads: None,
            log_every: 10,
            checkpoint_every: 500,
            keep: 3,
            keep_every: 0,
            validate_every: 1,
            knn_every: 0,
            best: None,
            max_bad: BadSampleBudget::default(),
        }
    }
}

/// What a validation measures, by its name in the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Accuracy of the linear online probe.
    Linear,
    /// Accuracy of the MLP.
    Mlp,
    /// Accuracy of the vote of neighbours.
    Knn,
}

impl Metric {
    /// As records call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Mlp => "mlp",
            Self::Knn => "knn",
        }
    }
}

/// Settings that read as they are typed on the command line.
mod as_text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
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
            encoder: encoder::amdim::Config::default(),
            method: MethodConfig::default(),
            train: TrainConfig::default(),
            optim: optim::Config { drop_at, ..optim::Config::default() },
            run: RunConfig::default(),
        }
    }

    /// The run folder that is asked for, or the default one of the preset.
    pub fn out(asked: &Table) -> Result<PathBuf> {
        match asked.get("out") {
            Some(Value::String(out)) if !out.is_empty() => Ok(PathBuf::from(out)),
            Some(other) => Err(usage!("`out` = {other} is not a folder"; "write a path, such as runs/mine")),
            None => Ok(Self::preset(preset(asked)?).out),
        }
    }

    /// What was asked for (`asked`: the flags over the file), over the defaults of its preset.
    pub fn resolve(asked: &Table) -> Result<Self> {
        words::check(asked)?;
        let mut table =
            Table::try_from(Self::preset(preset(asked)?)).context("cannot write the defaults as TOML")?;
        overlay(&mut table, asked);
        let config: Self = table.try_into().map_err(|error| words::refused(&error))?;
        config.check()?;
        Ok(config)
    }

    /// What was asked for over what an earlier run in this folder was; a contradiction is refused.
    pub fn resume(saved: &Table, asked: &Table) -> Result<Self> {
        words::check(asked)?;
        let (saved, asked) = (&with_precision(saved), &without_auto(asked));
        let differing = contradictions(saved, asked);
        if !differing.is_empty() {
            let out = saved.get("out").and_then(Value::as_str).unwrap_or("this folder");
            return Err(usage!(
                "the run in `{out}` was started with other settings: {}", differing.join(", ");
                "name another folder with --out, or leave these settings as they were to resume the run"
            ));
        }
        let mut table = saved.clone();
        overlay(&mut table, asked);
        let config: Self = table.try_into().map_err(|error| words::refused(&error))?;
        config.check()?;
        Ok(config)
    }

    /// Checks that no part can make alone.
    pub(crate) fn check(&self) -> Result<()> {
        if self.train.steps.is_some() && self.train.epochs.is_some() {
            return Err(usage!("both `train.steps` and `train.epochs` are given"; "leave out one of them"));
        }
        bounds::check(self)?;
        self.check_validation()?;
        self.check_width()
    }

    /// What is measured in validations needs them.
    fn check_validation(&self) -> Result<()> {
        let Self { data, run, .. } = self;
        let is_asked = run.knn_every > 0 || run.best.is_some();
        if is_asked && data.val_shards.is_empty() {
            return Err(usage!(
                "`run.knn_every` and `run.best` need validations";
                "name validation shards with --val-shards"
            ));
        }
        if run.best == Some(Metric::Knn) && run.knn_every == 0 {
            return Err(
                usage!("`run.best` is knn, but `run.knn_every` is 0, so knn is never measured"; "add --knn-every 1"),
            );
        }
        Ok(())
    }

    /// The last block widens to the embeddings and cannot narrow.
    fn check_width(&self) -> Result<()> {
        let widest = self.encoder.ndf.saturating_mul(if self.preset == Preset::C10 { 4 } else { 8 });
        if self.encoder.n_rkhs >= widest {
            return Ok(());
        }
        Err(usage!(
            "`encoder.n_rkhs` is {}, but the last block of ndf {} is {widest} wide and can only widen", self.encoder.n_rkhs,
            self.encoder.ndf;
            "set --n-rkhs to {widest} or more, or lower --ndf"
        ))
    }

    /// Writes the configuration so that it can be given back with `--config`.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(self).context("cannot write the configuration as TOML")?;
        files::replace(path, text.as_bytes()).or_cannot_write(path)
    }
}

/// A configuration file, as what was typed.
pub fn read(path: &Path) -> Result<Table> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read `{shown}`"))
        .with_hint(|| "name a file of settings with --config, such as the `config.toml` of a run")
        .with_code(Code::Usage)?;
    let table = text
        .parse()
        .with_context(|| format!("`{shown}` is not valid TOML"))
        .with_hint(|| "correct that line; the `config.toml` of a run is an example")
        .with_code(Code::Usage)?;
    keys::check(&shown.to_string(), &text, &table)?;
    Ok(table)
}

/// The preset that is asked for, or the default one.
fn preset(asked: &Table) -> Result<Preset> {
    match asked.get("preset") {
        Some(preset) => preset.clone().try_into().map_err(|error: toml::de::Error| {
            usage!("`preset` = {preset}: {}", error.message(); "write c10, stl10 or in128")
        }),
        None => Ok(Preset::default()),
    }
}

#[cfg(test)]
mod tests;
