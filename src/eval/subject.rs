//! The checkpoint and the data of an evaluation, and the file of its results.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use shards::ShardSet;
use tch::Device;

use super::{
    opened::share_threads,
    options::{Evaluation, Options},
    samples::labelled,
};
use crate::{
    checkpoint::Loaded,
    config::Config,
    data::{self, Data},
    device, files,
    hint::WithHint,
    world::World,
};
use torchkit::{Choice, Precision};

/// The checkpoint and the data of an evaluation.
pub(super) struct Subject<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) config: Config,
    pub(super) data: Data,
    /// The labelled training samples.
    pub(super) labelled: ShardSet,
    pub(super) validation: ShardSet,
    pub(super) classes: u32,
    /// The classes' names by label; empty if they are not known.
    pub(super) class_names: Vec<String>,
    pub(super) device: Device,
    pub(super) seed: u64,
    pub(super) world: World,
}

impl<'a> Subject<'a> {
    /// Opens the shards that the options name, or those of the run, on all processes.
    pub(super) fn open(loaded: &'a Loaded, options: &Options, world: World) -> Result<Self> {
        let device = world.all(device::choose_for(options.device, world))?;
        share_threads(device, world);
        let subject = world.all(Self::on(device, loaded, options))?;
        let told = |set: &ShardSet| format!("{} samples ({:016x})", set.len(), set.digest());
        let train = ("the training shards", told(&subject.data.train));
        let validation = ("the validation shards", told(&subject.validation));
        world.agree(&[train, validation], "give all machines the same shards, in the same order of names")?;
        Ok(Self { world, ..subject })
    }

    fn on(device: Device, loaded: &'a Loaded, options: &Options) -> Result<Self> {
        let mut config = loaded.state.config.clone();
        override_if_given(&mut config.data.shards, &options.shards);
        override_if_given(&mut config.data.val_shards, &options.val_shards);
        config.run.workers = options.workers;
        config.data.override_servers(&options.servers);
        let data = Data::open(&config.data);
        let data = if options.shards.is_empty() {
            let hint = || "name other shards with --shards and --val-shards";
            data.context("the shards that the run was trained on").with_hint(hint)
        } else {
            data.context("the shards to evaluate with")
        }?;
        let validation = data
            .validation
            .clone()
            .context("there are no validation shards")
            .with_hint(|| "name them with --val-shards")?;
        let classes = data
            .classes
            .context("no training sample is labelled")
            .with_hint(|| "add `cls` members to the samples; evaluations need labels")?;
        let labelled = labelled(&data.train);
        Precision::apply_to_evaluation(device)?;
        device::settle_fused(Choice::Auto, device);
        let class_names = class_names(&data, loaded, classes);
        let seed = options.seed;
        let world = World::ALONE;
        Ok(Self { loaded, config, data, labelled, validation, classes, class_names, device, seed, world })
    }

    /// Writes the results, with everything that is needed to repeat the evaluation. Results in the file with
    /// other settings or of other samples are kept.
    pub(super) fn write(&self, path: &Path, evaluation: &Evaluation, results: &[Value]) -> Result<()> {
        let ours = json!({
            "settings": evaluation.settings(self.config.preset, self.seed),
            "program": env!("CARGO_PKG_VERSION"),
            "device": torchkit::name(self.device),
            "model": self.loaded.checksum,
            "shards": self.config.data.shards,
            "val_shards": self.config.data.val_shards,
            "digests": {"train": format!("{:016x}", self.data.train.digest()),
                "validation": format!("{:016x}", self.validation.digest())},
            "labelled": self.labelled.len(),
            "config": self.config,
            "results": results,
        });
        let before: Vec<Value> =
            fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let is_other = |other: &Value| ["settings", "digests"].iter().any(|key| other[*key] != ours[*key]);
        let mut all: Vec<_> = before.into_iter().filter(is_other).collect();
        all.push(ours);
        let written = files::replace(path, serde_json::to_string_pretty(&all)?.as_bytes());
        written.or_cannot_write(path)?;
        tracing::info!("written: `{}`", path.display());
        Ok(())
    }
}

/// Returns the names of the classes: those in the folder of the shards or, if the checkpoint was trained on
/// the same shards, those in the checkpoint. In other shards a label may mean another class.
fn class_names(data: &Data, loaded: &Loaded, classes: u32) -> Vec<String> {
    let saved = &loaded.state.class_names;
    if loaded.state.data.digest != data.train.digest() {
        return data.class_names.clone();
    }
    if data.class_names.is_empty() {
        return saved.get(..classes as usize).unwrap_or_default().to_vec();
    }
    data::warn_of_renamed(saved, &data.class_names);
    data.class_names.clone()
}

fn override_if_given(setting: &mut Vec<String>, given: &[String]) {
    if !given.is_empty() {
        setting.clear();
        setting.extend_from_slice(given);
    }
}
