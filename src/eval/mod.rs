//! What an encoder is worth: classifiers on its frozen features, nearest neighbours, fine-tuning.

pub mod classifier;
pub mod features;
pub mod finetune;
pub mod health;
mod judging;
pub mod knn;
mod logistic;
mod norms;
pub mod probe;
mod subject;
pub mod tally;
#[cfg(test)]
mod tiny;

use std::path::PathBuf;

use anyhow::Result;
use pipeline::{LoaderConfig, Preset};
use serde_json::{Value, json};
use shards::{Order, Position, ShardSet, Share, Shuffle};
use tch::{Device, Tensor};

use self::{
    classifier::{Fit, HeadKind, Protocol},
    features::Features,
    finetune::Finetune,
    knn::Vote,
    subject::Subject,
    tally::{Report, Tally},
};
use crate::{checkpoint, config::Config, data, encoder::Encoder, feed::Feed, loss, optim::Drops, stdout};
use torchkit::{DeviceChoice, Precision};

/// Every sample of a set once, in order, by the evaluation recipe of the configuration's preset.
pub(crate) fn images(set: &ShardSet, config: &Config, device: Device) -> Result<Feed> {
    const BATCH: usize = 100;
    let order = Order { shuffle: Shuffle::None, epochs: Some(1), ..Order::default() };
    let samples = set.samples(order, Share::default(), Position::default());
    let loader = LoaderConfig { drop_last: false, ..data::loader(config, BATCH) };
    Feed::spawn(samples, config.preset.evaluation(), config.preset.normalization(), &loader, device)
}

/// Features (n, width) of images (n, 3, h, w) by an encoder that does not change meanwhile, in f32 at least; `precision` is
/// that of its training.
pub(crate) fn frozen(encoder: &dyn Encoder, images: &Tensor, precision: Precision) -> Result<Tensor> {
    without_gradient(encoder, images, false, precision)
}

/// The same; with `train` its norms go by the batch, and their running statistics move.
pub(crate) fn without_gradient(
    encoder: &dyn Encoder,
    images: &Tensor,
    train: bool,
    precision: Precision,
) -> Result<Tensor> {
    let device = images.device();
    let _scope = precision.of_evaluation(device).autocast(device)?;
    Ok(loss::widened(&tch::no_grad(|| encoder.features(images, train))))
}

/// What every evaluation needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// A run folder or one of its checkpoints.
    pub checkpoint: PathBuf,
    /// Shards to fit on; none: those of the run.
    pub shards: Vec<String>,
    /// Shards to judge by; none: those of the run.
    pub val_shards: Vec<String>,
    /// Evaluate the encoder at its initialization too.
    pub baseline: bool,
    /// Where features are computed.
    pub device: DeviceChoice,
    /// Decoding threads; none: one a core.
    pub workers: Option<usize>,
    /// What all that is drawn derives from.
    pub seed: u64,
}

/// How an encoder is judged.
#[derive(Debug, Clone)]
pub enum Evaluation {
    /// A classifier on frozen features.
    Classifier(Probe),
    /// A linear classifier on frozen features of un-augmented images that is fitted until it has converged.
    Logistic {
        /// Where features are kept; none: in temporary files.
        cache: Option<PathBuf>,
    },
    /// Weighted nearest neighbours.
    Knn {
        /// How they vote.
        vote: Vote,
        /// Where features are kept; none: in temporary files.
        cache: Option<PathBuf>,
    },
    /// Encoder and classifier from few labels.
    Finetune(Finetune),
}

/// A classifier on features that is fitted step by step.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Which one.
    pub head: HeadKind,
    /// Whose way of fitting it is.
    pub protocol: Protocol,
    /// Passes over the samples; none: the published number.
    pub epochs: Option<f64>,
    /// Learning rate after the warm-up.
    pub lr: f64,
    /// Samples in a step.
    pub batch_size: usize,
    /// Steps over which the learning rate rises; none: by the protocol.
    pub warmup_steps: Option<u64>,
    /// When the learning rate drops; none: by the protocol.
    pub schedule: Option<Drops>,
    /// Where un-augmented features are kept; none: a new augmented view of each sample in every epoch.
    pub cache: Option<PathBuf>,
}

impl Probe {
    fn fit(&self, preset: Preset, seed: u64) -> Fit {
        let &Self { protocol, lr, batch_size, .. } = self;
        let (warmup_steps, schedule) = match protocol {
            Protocol::Frozen => (self.warmup_steps, Drops::Published),
            Protocol::Reference => (self.warmup_steps.or(Some(0)), Drops::Reference),
        };
        let schedule = self.schedule.unwrap_or(schedule);
        let epochs = self.epochs.unwrap_or_else(|| Fit::epochs(preset));
        Fit { protocol, epochs, lr, batch_size, warmup_steps, schedule, seed }
    }
}

impl Evaluation {
    /// As it is called on the command line.
    fn name(&self) -> &'static str {
        match self {
            Self::Classifier(Probe { head: HeadKind::Linear, .. }) | Self::Logistic { .. } => "linear",
            Self::Classifier(Probe { head: HeadKind::Mlp, .. }) => "mlp",
            Self::Knn { .. } => "knn",
            Self::Finetune(_) => "finetune",
        }
    }

    fn settings(&self, preset: Preset, seed: u64) -> Value {
        match self {
            Self::Classifier(probe) => {
                json!({"fit": probe.fit(preset, seed), "augmented": probe.cache.is_none()})
            }
            Self::Logistic { .. } => json!({"solver": "lbfgs", "seed": seed}),
            Self::Knn { vote, .. } => json!({"k": vote.k, "temperature": vote.temperature}),
            Self::Finetune(settings) => json!(settings),
        }
    }
}

/// Judges a checkpoint's encoder: one JSON object for each result, or a table, on stdout, and all of it in
/// `eval-NAME.json` in the checkpoint's folder.
pub fn run(options: &Options, evaluation: &Evaluation) -> Result<()> {
    let loaded = checkpoint::find(&options.checkpoint)?;
    let subject = Subject::open(&loaded, options)?;
    let encoders: &[&str] = if options.baseline { &["initial", "trained"] } else { &["trained"] };
    let mut results = Vec::new();
    for &encoder in encoders {
        results.extend(subject.judge(encoder, evaluation)?);
    }
    show(&results)?;
    let path = loaded.path.join(format!("eval-{}.json", evaluation.name()));
    subject.write(&path, evaluation, &results)
}

/// The results as a table.
fn show(results: &[Value]) -> Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let percent = |value: &Value| format!("{:.1} %", 100.0 * value.as_f64().unwrap_or(f64::NAN));
    let row = |cells: [String; 7]| {
        let [probe, variant, encoder, step, top1, top5, samples] = cells;
        let row =
            format!("{probe:<10} {variant:<22} {encoder:<8} {step:>8} {top1:>8} {top5:>8} {samples:>8}");
        stdout::say(row.trim_end())
    };
    row(["", "", "encoder", "step", "top-1", "top-5", "samples"].map(str::to_owned))?;
    results.iter().try_for_each(|result| {
        let report = &result["report"];
        row([
            text(&result["probe"]),
            text(&result["variant"]),
            text(&result["encoder"]),
            result["step"].to_string(),
            percent(&report["top1"]),
            percent(&report["top5"]),
            report["samples"].to_string(),
        ])
    })
}

/// What neighbours make of the queries, for each k.
pub fn neighbours(
    vote: &Vote,
    gallery: &Features,
    queries: &Features,
    classes: u32,
    device: Device,
) -> Result<Vec<Report>> {
    let mut tallies = vec![Tally::default(); vote.k.len()];
    vote.rank(gallery, queries, classes, device, |place, ranked, labels| {
        tallies[place].add_ranked(ranked, labels);
    })?;
    Ok(tallies.iter().map(|tally| tally.report(classes)).collect())
}

/// The samples that have a label.
pub(crate) fn labelled(set: &ShardSet) -> ShardSet {
    if set.labelled() == set.len() {
        return set.clone();
    }
    set.subset((0..set.len()).filter(|&index| set.label(index).is_some()).collect())
}

/// So many samples of a set, evenly spread; all, where there are no more.
pub(crate) fn evenly(set: &ShardSet, count: u64) -> ShardSet {
    if set.len() <= count {
        return set.clone();
    }
    let number = |k: u64| (u128::from(k) * u128::from(set.len()) / u128::from(count)) as u64;
    set.subset((0..count).map(number).collect())
}
