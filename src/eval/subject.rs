//! An encoder that is judged, and what of it is told.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use shards::ShardSet;
use tch::Device;

use super::{
    Evaluation, Options,
    classifier::{Classifier, Training},
    features::Features,
    finetune::{self, Tuning},
    health::Health,
    labelled, neighbours,
    tally::Report,
};
use crate::{
    checkpoint::Loaded,
    config::Config,
    data::Data,
    stdout,
    sys::{self, Precision},
    train::Trainer,
};

/// An encoder to be judged, with the samples to do it by.
pub(super) struct Subject<'a> {
    loaded: &'a Loaded,
    config: Config,
    data: Data,
    /// The labelled training samples.
    labelled: ShardSet,
    validation: ShardSet,
    classes: u32,
    /// By label; empty where they are not known.
    class_names: Vec<String>,
    device: Device,
    seed: u64,
}

/// One line of an evaluation's results.
struct Line {
    /// Which variant of the evaluation, where it has several.
    variant: Option<String>,
    report: Report,
    /// Of the training samples, where there was something to fit.
    train_top1: Option<f64>,
    /// What else there is to say of how it came about.
    details: Value,
}

impl<'a> Subject<'a> {
    pub(super) fn open(loaded: &'a Loaded, options: &Options) -> Result<Self> {
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
            data.validation.clone().context("no validation shards\n  hint: name them with --val-shards")?;
        let classes = data
            .classes
            .context("no training sample is labelled\n  hint: an evaluation needs `cls` members")?;
        let labelled = labelled(&data.train);
        Precision::F32.apply()?;
        let class_names = class_names(&data, loaded, classes);
        let seed = options.seed;
        Ok(Self { loaded, config, data, labelled, validation, classes, class_names, device, seed })
    }

    /// The encoder as it is in the checkpoint, or as it was before training.
    fn trainer(&self, encoder: &str) -> Result<Trainer> {
        let trainer = Trainer::untrained(&self.config, self.loaded.state.classes, self.device)?;
        if encoder == "trained" {
            trainer.restore_model(self.loaded)?;
        }
        Ok(trainer)
    }

    /// What tells this encoder from others.
    fn identity(&self, encoder: &str) -> String {
        match encoder {
            "trained" => self.loaded.checksum.clone(),
            other => format!("{other} {} {:?}", self.config.seed, self.config.encoder),
        }
    }

    fn step(&self, encoder: &str) -> u64 {
        if encoder == "trained" { self.loaded.state.step } else { 0 }
    }

    pub(super) fn judge(&self, encoder: &str, evaluation: &Evaluation) -> Result<Vec<Value>> {
        let cures = || if self.device.is_cuda() { vec!["--device cpu".to_owned()] } else { Vec::new() };
        let what = || "this evaluation".to_owned();
        let (lines, health) =
            sys::within_memory(self.device, what, cures, || self.lines(encoder, evaluation))?;
        let name = evaluation.name();
        let mut results = Vec::new();
        for Line { variant, report, train_top1, details } in lines {
            let mut result = json!({
                "probe": name, "variant": variant, "encoder": encoder, "step": self.step(encoder),
                "report": {"top1": report.top1, "top5": report.top5, "samples": report.samples, "classes": report.classes,
                    "train_top1": train_top1},
                "details": details, "health": health,
            });
            stdout::print(&result)?;
            result["report"]["per_class"] = json!(report.per_class);
            result["report"]["confusion"] = json!(report.confusion);
            if !self.class_names.is_empty() {
                result["report"]["class_names"] = json!(self.class_names);
            }
            results.push(result);
        }
        if let Some(complaint) = health.and_then(|health| health.complaint()) {
            tracing::warn!("{encoder} encoder: {complaint}");
        }
        Ok(results)
    }

    fn lines(&self, encoder: &str, evaluation: &Evaluation) -> Result<(Vec<Line>, Option<Health>)> {
        let trainer = self.trainer(encoder)?;
        let features = |set: &ShardSet, cache: Option<&Path>| {
            let identity = self.identity(encoder);
            Features::compute(trainer.encoder(), &identity, set, &self.config, self.device, cache)
        };
        match evaluation {
            Evaluation::Classifier { head, cache, .. } => {
                let fit = evaluation.fit(self.config.preset, self.seed).expect("it is a classifier");
                let kept = cache.as_deref().map(|cache| features(&self.labelled, Some(cache))).transpose()?;
                let training = kept
                    .as_ref()
                    .map_or(Training::Views(trainer.encoder(), &self.labelled), Training::Features);
                let classifier =
                    Classifier::fit(*head, &training, self.classes, &fit, &self.config, self.device)?;
                let validation = features(&self.validation, cache.as_deref())?;
                let (report, train_top1) = (classifier.judge(&validation)?, Some(classifier.train_top1));
                Ok((
                    vec![Line {
                        variant: None,
                        report,
                        train_top1,
                        details: json!({"schedule": classifier.schedule}),
                    }],
                    health_of(&validation)?,
                ))
            }
            Evaluation::Knn { vote, cache } => {
                let gallery = features(&self.labelled, cache.as_deref())?;
                let queries = features(&self.validation, cache.as_deref())?;
                let reports = neighbours(vote, &gallery, &queries, self.classes, self.device)?;
                let line = |(k, report)| Line {
                    variant: Some(format!("k = {k}")),
                    report,
                    train_top1: None,
                    details: Value::Null,
                };
                Ok((vote.k.iter().zip(reports).map(line).collect(), health_of(&queries)?))
            }
            Evaluation::Finetune(settings) => {
                let tuning = Tuning::new(&trainer, self.classes, &self.config, self.device, self.seed);
                let finetune::Outcome { report, held_out_top1, step, samples, schedules } =
                    tuning.run(settings, &self.labelled, &self.validation)?;
                let [fitted, held_out] = samples;
                tracing::info!(
                    "{encoder} encoder: {fitted} samples fitted, {held_out} held out; best at step {step}: {:.1} % of the held-out",
                    100.0 * held_out_top1
                );
                // Two of each class at least are taken, whatever the fraction.
                let share = (fitted + held_out) as f64 / self.labelled.len() as f64;
                let variant = Some(format!("{:.1} % of the labels", 100.0 * share));
                let details = json!({
                    "fitted": fitted, "held_out": held_out, "held_out_top1": held_out_top1, "step": step,
                    "schedules": {"encoder": schedules[0], "head": schedules[1]},
                });
                Ok((vec![Line { variant, report, train_top1: None, details }], None))
            }
        }
    }

    /// Everything that is needed to repeat the evaluation, and what it gave.
    pub(super) fn write(&self, path: &Path, evaluation: &Evaluation, results: &[Value]) -> Result<()> {
        let ours = json!({
            "settings": evaluation.settings(self.config.preset, self.seed),
            "program": env!("CARGO_PKG_VERSION"),
            "device": sys::name(self.device),
            "model": self.loaded.checksum,
            "shards": self.config.data.shards,
            "val_shards": self.config.data.val_shards,
            "digests": {"train": format!("{:016x}", self.data.train.digest()),
                "validation": format!("{:016x}", self.validation.digest())},
            "labelled": self.labelled.len(),
            "config": self.config,
            "results": results,
        });
        // Those by other settings, or of other samples, stay.
        let before: Vec<Value> =
            fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let is_other = |other: &Value| ["settings", "digests"].iter().any(|key| other[*key] != ours[*key]);
        let mut all: Vec<_> = before.into_iter().filter(is_other).collect();
        all.push(ours);
        let partial = path.with_extension("json.partial");
        let written = fs::write(&partial, serde_json::to_string_pretty(&all)?)
            .and_then(|()| fs::rename(&partial, path));
        written.with_context(|| format!("cannot write `{}`", path.display()))?;
        tracing::info!("written: `{}`", path.display());
        Ok(())
    }
}

/// The names of the classes: those beside the shards, else those that the checkpoint has.
fn class_names(data: &Data, loaded: &Loaded, classes: u32) -> Vec<String> {
    let saved = &loaded.state.class_names;
    if !data.class_names.is_empty() || saved.len() < classes as usize {
        return data.class_names.clone();
    }
    if loaded.state.data.digest != data.train.digest() {
        tracing::info!(
            "the shards have no classes.txt: the names of classes are those that the checkpoint was trained on"
        );
    }
    saved[..classes as usize].to_vec()
}

/// Of some of the features, evenly spread; of one alone there is nothing to say.
fn health_of(features: &Features) -> Result<Option<Health>> {
    let every = (features.len() as u64).div_ceil(Health::SAMPLES as u64).max(1) as usize;
    let some: Vec<i64> = (0..features.len()).step_by(every).collect();
    Ok(if some.len() < 2 { None } else { Some(Health::of(&features.gather(&some)?)) })
}

fn override_if_given(setting: &mut Vec<String>, given: &[String]) {
    if !given.is_empty() {
        setting.clear();
        setting.extend_from_slice(given);
    }
}
