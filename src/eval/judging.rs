//! Every way to judge one encoder.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use shards::ShardSet;

use super::{
    classifier::{Classifier, Protocol, Training},
    features::Features,
    finetune::{self, Finetune, Tuning},
    health::Health,
    knn::Vote,
    knn::neighbours,
    logistic::Logistic,
    norms,
    options::{Evaluation, Probe},
    subject::Subject,
    tally::Report,
};
use crate::network::Network;

/// One line of an evaluation's results.
pub(super) struct Line {
    /// Which variant of the evaluation.
    pub(super) variant: String,
    pub(super) report: Report,
    /// Of the training samples, where there was something to fit.
    pub(super) train_top1: Option<f64>,
    /// What else there is to say of how it came about.
    pub(super) details: Value,
}

/// What an evaluation came to.
pub(super) struct Lines {
    pub(super) lines: Vec<Line>,
    /// Of the validation samples' features, where there are any.
    pub(super) health: Option<Health>,
}

/// An encoder under evaluation: as it is in the checkpoint (`trained`), or as it was before training (`initial`).
pub(super) struct Judging<'a> {
    subject: &'a Subject<'a>,
    network: Network,
    /// What tells this encoder from others.
    identity: String,
    /// Steps that it was trained for.
    pub(super) step: u64,
    /// Training images that the running statistics of its norms were averaged over; none where they are those of its training.
    pub(super) settled_on: Option<u64>,
}

impl<'a> Judging<'a> {
    pub(super) fn new(subject: &'a Subject<'a>, encoder: &str) -> Result<Self> {
        let Subject { config, loaded, device, data, .. } = subject;
        let network = Network::new(config, loaded.state.classes, *device)?;
        if encoder == "trained" {
            network.restore(loaded)?;
            let (identity, step) = (loaded.checksum.clone(), loaded.state.step);
            warn_of_unsettled_norms(step, config.train.accumulate);
            return Ok(Self { subject, network, identity, step, settled_on: None });
        }
        let settled_on = norms::settle(network.encoder(), &data.train, config, *device)?;
        tracing::info!(
            "{encoder} encoder: the running statistics of its batch norms, which nothing has moved yet, are averaged over {settled_on} \
             training images"
        );
        let digest = data.train.digest();
        let size = config.encoder.chosen();
        let identity = format!("{encoder} {} {size:?} settled on {digest:x}", config.seed);
        Ok(Self { subject, network, identity, step: 0, settled_on: Some(settled_on) })
    }

    pub(super) fn lines(&self, evaluation: &Evaluation) -> Result<Lines> {
        match evaluation {
            Evaluation::Classifier(probe) => self.classifier(probe),
            Evaluation::Logistic { cache } => self.logistic(cache.as_deref()),
            Evaluation::Knn { vote, cache } => self.neighbours(vote, cache.as_deref()),
            Evaluation::Finetune(settings) => self.finetune(settings),
        }
    }

    /// Un-augmented, in evaluation mode.
    fn features(&self, set: &ShardSet, cache: Option<&Path>) -> Result<Features> {
        let Subject { config, device, .. } = self.subject;
        Features::compute(self.network.encoder(), &self.identity, set, config, *device, cache)
    }

    fn classifier(&self, probe: &Probe) -> Result<Lines> {
        let Subject { config, device, labelled, validation, classes, seed, .. } = self.subject;
        let fit = probe.fit(config.preset, *seed);
        let cache = probe.cache.as_deref();
        let kept = cache.map(|cache| self.features(labelled, Some(cache))).transpose()?;
        let encoder = self.network.encoder();
        let views = Training::Views(encoder, labelled, fit.protocol);
        let training = kept.as_ref().map_or(views, Training::Features);
        let classifier = Classifier::fit(probe.head, &training, *classes, &fit, config, *device)?;
        let settled = match fit.protocol {
            Protocol::Frozen => None,
            Protocol::Reference => Some(classifier.settle(encoder, validation, &fit, config)?),
        };
        let features = self.features(validation, cache)?;
        let details = json!({
            "solver": "adam",
            "protocol": fit.protocol,
            "encoder_mode": if settled.is_some() { "training" } else { "evaluation" },
            "images": if kept.is_some() { "un-augmented" } else { "augmented" },
            "norms_settled_on_validation_batches": settled,
            "schedule": classifier.schedule,
        });
        let (report, train_top1) = (classifier.judge(&features)?, Some(classifier.train_top1));
        let variant = fit.protocol.name().to_owned();
        let lines = vec![Line { variant, report, train_top1, details }];
        Ok(Lines { lines, health: health_of(&features)? })
    }

    fn logistic(&self, cache: Option<&Path>) -> Result<Lines> {
        let Subject { labelled, validation, classes, seed, device, .. } = self.subject;
        let training = self.features(labelled, cache)?;
        let features = self.features(validation, cache)?;
        let fitted = Logistic::fit(&training, *classes, *seed, *device)?;
        let line = Line {
            variant: "lbfgs".to_owned(),
            report: fitted.judge(&features)?,
            train_top1: Some(fitted.found.train_top1),
            details: json!(fitted.found),
        };
        Ok(Lines { lines: vec![line], health: health_of(&features)? })
    }

    fn neighbours(&self, vote: &Vote, cache: Option<&Path>) -> Result<Lines> {
        let Subject { labelled, validation, classes, device, .. } = self.subject;
        let gallery = self.features(labelled, cache)?;
        let queries = self.features(validation, cache)?;
        let reports = neighbours(vote, &gallery, &queries, *classes, *device)?;
        let line = |(k, report)| Line {
            variant: format!("k = {k}"),
            report,
            train_top1: None,
            details: Value::Null,
        };
        Ok(Lines { lines: vote.k.iter().zip(reports).map(line).collect(), health: health_of(&queries)? })
    }

    fn finetune(&self, settings: &Finetune) -> Result<Lines> {
        let Subject { config, device, labelled, validation, classes, seed, .. } = self.subject;
        let tuning = Tuning::new(&self.network, *classes, config, *device, *seed);
        let finetune::Outcome { report, held_out_top1, step, samples, schedules } =
            tuning.run(settings, labelled, validation)?;
        let [fitted, held_out] = samples;
        tracing::info!(
            "{fitted} samples fitted, {held_out} held out; best at step {step}: {:.1} % of the held-out",
            100.0 * held_out_top1
        );
        // Two of each class at least are taken, whatever the fraction.
        let share = (fitted + held_out) as f64 / labelled.len() as f64;
        let variant = format!("{:.1} % of the labels", 100.0 * share);
        let details = json!({
            "fitted": fitted, "held_out": held_out, "held_out_top1": held_out_top1, "step": step,
            "schedules": {"encoder": schedules[0], "head": schedules[1]},
        });
        Ok(Lines { lines: vec![Line { variant, report, train_top1: None, details }], health: None })
    }
}

/// After a few steps the running statistics of norms are still much of what they began with.
fn warn_of_unsettled_norms(step: u64, accumulate: usize) {
    // Two views a step, in so many parts each, of which each moves them by a tenth.
    let left = 0.9f64.powf(2.0 * accumulate as f64 * step as f64);
    if step > 0 && left > 0.01 {
        tracing::warn!(
            "after {step} steps the running statistics of the encoder's batch norms are still {:.0} % of what they began with (0 and 1), \
             which understates it",
            100.0 * left
        );
    }
}

/// Of some of the features, evenly spread; of one alone there is nothing to say.
fn health_of(features: &Features) -> Result<Option<Health>> {
    let every = (features.len() as u64).div_ceil(Health::SAMPLES as u64).max(1) as usize;
    let some: Vec<i64> = (0..features.len()).step_by(every).collect();
    Ok(if some.len() < 2 { None } else { Some(Health::of(&features.gather(&some)?)) })
}
