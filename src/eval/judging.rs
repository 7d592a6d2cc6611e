//! The evaluations of one encoder.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use shards::ShardSet;

use super::{
    classifier::{Classifier, Protocol, Training},
    computed::Source,
    features::Features,
    finetune::{self, Finetune, Tuning},
    health::Health,
    knn::Vote,
    knn::neighbours,
    logistic::Logistic,
    norms, opened,
    options::{Evaluation, Probe},
    subject::Subject,
    tally::Report,
};
use crate::network::Network;

/// Why the lead has what others have not.
const ON_LEAD: &str = "the lead has fitted, and has the features";

/// One result of an evaluation.
pub(super) struct Line {
    /// The variant of the evaluation.
    pub(super) variant: String,
    pub(super) report: Report,
    /// The accuracy on the training samples, if a classifier was fitted.
    pub(super) train_top1: Option<f64>,
    /// The details of the fit.
    pub(super) details: Value,
}

/// The results of an evaluation.
pub(super) struct Lines {
    pub(super) lines: Vec<Line>,
    /// The spread of the validation samples' features, if they were kept.
    pub(super) health: Option<Health>,
}

/// An encoder under evaluation: that of the checkpoint (`trained`), or a freshly initialized one (`initial`).
pub(super) struct Judging<'a> {
    subject: &'a Subject<'a>,
    network: Network,
    /// A text that identifies the encoder in a cache of features.
    identity: String,
    /// The number of steps that it was trained for.
    pub(super) step: u64,
    /// The training images that the running statistics of its norms were averaged over; none for a trained
    /// encoder and for one without norms.
    pub(super) settled_on: Option<u64>,
}

impl<'a> Judging<'a> {
    /// Builds the encoder, and loads it or averages the running statistics of its norms.
    pub(super) fn new(subject: &'a Subject<'a>, encoder: &str) -> Result<Self> {
        let Subject { config, loaded, device, data, world, .. } = subject;
        let network = Network::new(config, loaded.state.data.samples, loaded.state.classes, *device)?;
        if encoder == "trained" {
            network.restore(loaded)?;
            let (identity, step) = (loaded.checksum.clone(), loaded.state.step);
            if let Some(updates) = network.norm_updates().filter(|_| step > 0) {
                warn_of_unsettled_norms(step, updates);
            }
            opened::follow_lead(&network, *world)?;
            return Ok(Self { subject, network, identity, step, settled_on: None });
        }
        let settle = || norms::settle(network.encoder(), &data.train, config, *device);
        let settled_on = world.from_lead(|| network.norm_updates().map(|_| settle()).transpose())?;
        opened::follow_lead(&network, *world)?;
        if let Some(images) = settled_on {
            tracing::info!(
                "{encoder} encoder: the running statistics of its untrained batch norms are averaged over {images} training images"
            );
        }
        let digest = data.train.digest();
        let size = config.encoder.chosen();
        let identity = format!("{encoder} {} {size:?} settled on {digest:x}", config.seed);
        Ok(Self { subject, network, identity, step: 0, settled_on })
    }

    /// Runs an evaluation. Returns its results on the lead; `None` on other processes.
    pub(super) fn lines(&self, evaluation: &Evaluation) -> Result<Option<Lines>> {
        match evaluation {
            Evaluation::Classifier(probe) => self.classifier(probe),
            Evaluation::Logistic { cache } => self.logistic(cache.as_deref()),
            Evaluation::Knn { vote, cache } => self.neighbours(vote, cache.as_deref()),
            Evaluation::Finetune(settings) => self.subject.world.on_lead(|| self.finetune(settings)),
        }
    }

    /// Computes the features of un-augmented images in evaluation mode. Returns them on the lead.
    fn features(&self, set: &ShardSet, cache: Option<&Path>) -> Result<Option<Features>> {
        let &Subject { ref config, device, world, .. } = self.subject;
        let encoder = self.network.encoder();
        Source { encoder, set, config, device, world }.compute(&self.identity, cache)
    }

    fn classifier(&self, probe: &Probe) -> Result<Option<Lines>> {
        let Subject { config, device, labelled, validation, classes, seed, world, .. } = self.subject;
        let fit = probe.fit(config.preset, *seed);
        let cache = probe.cache.as_deref();
        let kept = cache.map(|cache| self.features(labelled, Some(cache))).transpose()?.flatten();
        let encoder = self.network.encoder();
        let fitted = world.on_lead(|| {
            let views = Training::Views(encoder, labelled, fit.protocol);
            let training = kept.as_ref().map_or(views, Training::Features);
            let classifier = Classifier::fit(probe.head, &training, *classes, &fit, config, *device)?;
            let settle = || classifier.settle(encoder, validation, &fit, config);
            let settled = (fit.protocol == Protocol::Reference).then(settle).transpose()?;
            Ok((classifier, settled))
        })?;
        if fit.protocol == Protocol::Reference {
            opened::follow_lead(&self.network, *world)?; // its norms have changed
        }
        let features = self.features(validation, cache)?;
        world.on_lead(|| {
            let ((classifier, settled), features) = fitted.zip(features).context(ON_LEAD)?;
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
        })
    }

    /// Computes the features of the labelled training samples and of the validation samples, and judges by them on the lead.
    fn by_features(
        &self,
        cache: Option<&Path>,
        judge: impl FnOnce(&Features, &Features) -> Result<Vec<Line>>,
    ) -> Result<Option<Lines>> {
        let Subject { labelled, validation, world, .. } = self.subject;
        let training = self.features(labelled, cache)?;
        let validation = self.features(validation, cache)?;
        world.on_lead(|| {
            let (training, validation) = training.zip(validation).context(ON_LEAD)?;
            Ok(Lines { lines: judge(&training, &validation)?, health: health_of(&validation)? })
        })
    }

    fn logistic(&self, cache: Option<&Path>) -> Result<Option<Lines>> {
        let Subject { classes, seed, device, .. } = self.subject;
        self.by_features(cache, |training, validation| {
            let fitted = Logistic::fit(training, *classes, *seed, *device)?;
            let line = Line {
                variant: "lbfgs".to_owned(),
                report: fitted.judge(validation)?,
                train_top1: Some(fitted.details.train_top1),
                details: json!(fitted.details),
            };
            Ok(vec![line])
        })
    }

    fn neighbours(&self, vote: &Vote, cache: Option<&Path>) -> Result<Option<Lines>> {
        let Subject { classes, device, .. } = self.subject;
        self.by_features(cache, |gallery, queries| {
            let reports = neighbours(vote, gallery, queries, *classes, *device)?;
            let line = |(k, report)| Line {
                variant: format!("k = {k}"),
                report,
                train_top1: None,
                details: Value::Null,
            };
            Ok(vote.k.iter().zip(reports).map(line).collect())
        })
    }

    fn finetune(&self, settings: &Finetune) -> Result<Lines> {
        let Subject { config, device, labelled, validation, classes, seed, .. } = self.subject;
        let tuning = Tuning::new(&self.network, *classes, config, *device, *seed);
        let finetune::Outcome { report, held_out_top1, step, samples, schedules } =
            tuning.run(settings, labelled, validation)?;
        let [fitted, held_out] = samples;
        tracing::info!(
            "{fitted} samples fitted, {held_out} held out; best at step {step}: {:.1} % of the held-out samples correct",
            100.0 * held_out_top1
        );
        // At least two samples of each class are taken, so the share may exceed the fraction that was asked for.
        let share = (fitted + held_out) as f64 / labelled.len() as f64;
        let variant = format!("{:.1} % of the labels", 100.0 * share);
        let details = json!({
            "fitted": fitted, "held_out": held_out, "held_out_top1": held_out_top1, "step": step,
            "schedules": {"encoder": schedules[0], "head": schedules[1]},
        });
        Ok(Lines { lines: vec![Line { variant, report, train_top1: None, details }], health: None })
    }
}

/// Warns if the running statistics of norms are still close to their initial values after `updates` updates in
/// `step` steps.
fn warn_of_unsettled_norms(step: u64, updates: i64) {
    // An update moves the statistics by a tenth.
    let left = 0.9f64.powf(updates as f64);
    if left > 0.01 {
        tracing::warn!(
            "after {step} steps the running statistics of the encoder's batch norms still contain {:.0} % of their initial values (0 and \
             1), so the results understate the encoder",
            100.0 * left
        );
    }
}

/// Measures the spread of evenly chosen features. Returns none if there are fewer than two.
fn health_of(features: &Features) -> Result<Option<Health>> {
    let every = (features.len() as u64).div_ceil(Health::SAMPLES as u64).max(1) as usize;
    let some: Vec<i64> = (0..features.len()).step_by(every).collect();
    Ok(if some.len() < 2 { None } else { Some(Health::of(&features.gather(&some)?)) })
}
