//! What an encoder is worth: probes on its features.

pub mod linear;
pub mod probe;

use std::path::PathBuf;

use anyhow::{Context, Result};
use pipeline::LoaderConfig;
use serde_json::json;
use shards::{Order, Position, ShardSet, Share, Shuffle};
use tch::Device;

use self::linear::{features, fit};
use crate::{
    checkpoint,
    config::Config,
    data::Data,
    feed::Feed,
    stdout,
    sys::{self, DeviceChoice, Precision},
    train::{self, Trainer},
};

/// Every sample of a set once, in order, by the evaluation recipe of the configuration's preset.
pub fn images(set: &ShardSet, config: &Config, device: Device) -> Result<Feed> {
    const BATCH: usize = 100;
    let order = Order { shuffle: Shuffle::None, epochs: Some(1), ..Order::default() };
    let samples = set.samples(order, Share::default(), Position::default());
    let loader = LoaderConfig {
        workers: train::workers(config),
        batch_size: BATCH,
        drop_last: false,
        decode: config.data.decode,
        faults: config.run.max_bad,
        ..LoaderConfig::default()
    };
    Feed::spawn(samples, config.preset.evaluation(), config.preset.normalization(), &loader, device)
}

/// What a linear evaluation needs to know.
#[derive(Debug)]
pub struct LinearOptions {
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
}

/// Fits a linear probe on a checkpoint's frozen features and prints one JSON object for each encoder evaluated.
pub fn run_linear(options: &LinearOptions) -> Result<()> {
    let loaded = checkpoint::find(&options.checkpoint)?;
    let mut config = loaded.state.config.clone();
    override_if_given(&mut config.data.shards, &options.shards);
    override_if_given(&mut config.data.val_shards, &options.val_shards);
    config.run.workers = options.workers;
    let device = sys::device(options.device)?;
    let data = Data::open(&config.data).with_context(|| match options.shards.as_slice() {
        [] => "the shards that the run was trained on\n  hint: --shards and --val-shards name others",
        _ => "the shards to evaluate with",
    })?;
    let validation =
        data.validation.as_ref().context("no validation shards\n  hint: name them with --val-shards")?;
    let classes =
        data.classes.context("no training sample is labelled\n  hint: a linear probe needs `cls` members")?;
    Precision::F32.apply()?;
    let trainer = Trainer::new(&config, loaded.state.classes, device, 1)?;
    let evaluate = |encoder: &str, step: u64, trainer: &Trainer| -> Result<()> {
        let cures = || if device.is_cuda() { vec!["--device cpu".to_owned()] } else { Vec::new() };
        let of = |set| {
            let compute = || features(trainer.encoder(), set, &config, device);
            sys::within_memory(device, || "the encoder's features".to_owned(), cures, compute)
        };
        let report = fit(&of(&data.train)?, &of(validation)?, classes, config.seed)?;
        tracing::info!(
            "linear probe, {encoder} encoder (step {step}): {:.1} % of {} validation samples",
            100.0 * report.top1,
            report.samples
        );
        stdout::print(&json!({"probe": "linear", "encoder": encoder, "step": step, "report": report}))
    };
    if options.baseline {
        evaluate("initial", 0, &trainer)?;
    }
    trainer.restore_model(&loaded)?;
    evaluate("trained", loaded.state.step, &trainer)
}

fn override_if_given(setting: &mut Vec<String>, given: &[String]) {
    if !given.is_empty() {
        setting.clear();
        setting.extend_from_slice(given);
    }
}
