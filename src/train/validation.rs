//! What is looked at between epochs: online probes, neighbours, the health of the representation, the best checkpoint.

use std::time::Instant;

use anyhow::{Context, Result};
use shards::ShardSet;
use tch::{Device, Tensor};

use super::{
    Run,
    log::Log,
    stop::{Doing, Stop},
};
use crate::run::{bad_samples::BadSamples, folder::RunFolder};
use crate::{
    checkpoint::Best,
    device,
    eval::{self, features::Features, health::Health, knn::Vote},
    metrics::ValidationRecord,
    network::{Both, Judged},
    views::Views,
};

/// Training samples whose neighbourhood is asked, evenly spread over the set: the same ones every time.
const GALLERY: u64 = 5_000;

/// Training samples without which there is no telling how healthy features are, where there are no validation samples.
pub(crate) const LEAST: u64 = 256;

/// Sums over the validation samples, and the features of some, evenly spread.
struct Seen {
    hits: Both<f64>,
    labelled: f64,
    /// Every so many samples' features are kept.
    every: i64,
    features: Vec<Tensor>,
    labels: Vec<Tensor>,
}

impl Seen {
    fn new(samples: u64) -> Self {
        Self {
            hits: Both { mlp: 0.0, linear: 0.0 },
            labelled: 0.0,
            every: samples.div_ceil(Health::SAMPLES.cast_unsigned()).max(1).cast_signed(),
            features: Vec::new(),
            labels: Vec::new(),
        }
    }

    fn add(&mut self, judged: &Judged, views: &Views) {
        if let Some(accuracy) = &judged.accuracy {
            self.hits.mlp += accuracy.mlp * judged.labelled;
            self.hits.linear += accuracy.linear * judged.labelled;
            self.labelled += judged.labelled;
        }
        let kept = views.indices.remainder(self.every).eq(0).nonzero().view(-1);
        self.features.push(judged.features.index_select(0, &kept).to_device(Device::Cpu));
        self.labels.push(views.labels.index_select(0, &kept).to_device(Device::Cpu));
    }
}

impl Run {
    /// Whether an epoch that asks for it has just ended, so many epochs after the one before, or the run.
    fn epoch_ended(&self, every: u64) -> bool {
        let ended = |step: u64| step * self.batch_size as u64 / self.data.train.len() / every;
        let step = self.trainer.step_count();
        ended(step) > ended(step - 1) || step == self.steps
    }

    pub(crate) fn validation_due(&self) -> bool {
        self.epoch_ended(self.config.run.validate_every) || self.neighbours_due()
    }

    pub(crate) fn neighbours_due(&self) -> bool {
        let every = self.config.run.knn_every;
        every > 0 && self.epoch_ended(every)
    }

    /// Judges the encoder by the validation samples. Gives false where it was asked to stop meanwhile: then there is no record.
    pub(crate) fn validate(
        &mut self,
        folder: &RunFolder,
        stop: &Stop,
        log: &mut Log,
        bad: &mut BadSamples,
    ) -> Result<bool> {
        let started = Instant::now();
        stop.note(Doing::Validating(self.trainer.step_count()));
        let Some(validation) = &self.data.validation else {
            return self.look_at_training(started, stop, log);
        };
        let mut feed = eval::images(validation, &self.config, self.device)?;
        let mut seen = Seen::new(validation.len());
        while !stop.requested(self.closing_time())
            && let Some(staged) = feed.next_unless(stop.channel())
        {
            let staged = staged.context("validation")?;
            bad.write(&staged.bad_samples)?;
            let judged = self.within_memory(|| self.trainer.network().judge(&staged.views))?;
            seen.add(&judged, &staged.views);
        }
        bad.write(&feed.finish())?;
        if stop.requested(self.closing_time()) {
            return Ok(false);
        }
        let accuracy = seen.hits.map(|hits| hits / seen.labelled);
        let found = ValidationRecord {
            linear: Some(accuracy.linear),
            mlp: Some(accuracy.mlp),
            ..self.nothing_found()
        };
        let Some(found) = self.look_closer(found, &seen, stop)? else { return Ok(false) };
        // What has a record is not made up for when a run goes on: the record comes last.
        self.keep_best(folder, &found)?;
        log.exclude(started.elapsed());
        log.validation(found)?;
        Ok(true)
    }

    /// A record of this step without a number.
    fn nothing_found(&self) -> ValidationRecord {
        let (step, epoch) = (self.trainer.step_count(), Some(self.epoch()));
        ValidationRecord { step, epoch, ..ValidationRecord::default() }
    }

    /// Adds neighbours, where they are due, and the health of the features; none where it was asked to stop meanwhile.
    fn look_closer(
        &self,
        mut found: ValidationRecord,
        seen: &Seen,
        stop: &Stop,
    ) -> Result<Option<ValidationRecord>> {
        if seen.features.is_empty() {
            return Ok(Some(found));
        }
        let (features, labels) = (Tensor::cat(&seen.features, 0), Tensor::cat(&seen.labels, 0));
        if self.neighbours_due() && features.size()[0] > 0 {
            let gallery = eval::evenly(&eval::labelled(&self.data.train), GALLERY);
            let Some(gallery) = self.features(&gallery, stop)? else { return Ok(None) };
            found.knn = Some(self.neighbours(gallery, &Features::of(&features, &labels)?)?);
        }
        Ok(Some(with_health(found, &features)))
    }

    /// Where there is nothing to judge by: the health of the features of some training samples, if there are enough to say.
    /// Gives false where it was asked to stop meanwhile.
    fn look_at_training(&self, started: Instant, stop: &Stop, log: &mut Log) -> Result<bool> {
        if self.data.train.len() < LEAST {
            return Ok(true);
        }
        let some = eval::evenly(&self.data.train, Health::SAMPLES.cast_unsigned());
        let Some(blocks) = self.features(&some, stop)? else { return Ok(false) };
        log.exclude(started.elapsed());
        if !blocks.is_empty() {
            let features: Vec<_> = blocks.into_iter().map(|(features, _)| features).collect();
            log.validation(with_health(self.nothing_found(), &Tensor::cat(&features, 0)))?;
        }
        Ok(true)
    }

    /// Features and labels of training samples, block by block, on the CPU; none where it was asked to stop meanwhile.
    fn features(&self, samples: &ShardSet, stop: &Stop) -> Result<Option<Vec<(Tensor, Tensor)>>> {
        let mut feed = eval::images(samples, &self.config, self.device)?;
        let mut blocks = Vec::new();
        while !stop.requested(self.closing_time()) {
            let Some(staged) = feed.next_unless(stop.channel()) else { break };
            let staged = staged?;
            let judged = self.within_memory(|| self.trainer.network().judge(&staged.views))?;
            // The next batch will lie where this one's labels do.
            let labels = staged.views.labels.copy().to_device(Device::Cpu);
            blocks.push((judged.features.to_device(Device::Cpu), labels));
        }
        Ok((!stop.requested(self.closing_time())).then_some(blocks))
    }

    /// Top-1 of the vote of 20 neighbours in the gallery.
    fn neighbours(&self, gallery: Vec<(Tensor, Tensor)>, queries: &Features) -> Result<f64> {
        let vote = Vote { k: vec![20], ..Vote::default() };
        let classes = self.data.classes.context("neighbours need labels")?;
        let gallery = Features::of_blocks(gallery)?;
        self.within_memory(|| Ok(eval::neighbours(&vote, &gallery, queries, classes, self.device)?[0].top1))
    }

    /// Saves where the chosen metric is better than ever.
    fn keep_best(&mut self, folder: &RunFolder, found: &ValidationRecord) -> Result<()> {
        let Some(metric) = self.config.run.best else { return Ok(()) };
        let Some(value) = found.number(metric.name()) else { return Ok(()) };
        let before = folder.checkpoints.best().filter(|best| best.metric == metric.name());
        if before.is_some_and(|best| best.value >= value) {
            return Ok(());
        }
        self.save(folder)?;
        let step = self.trainer.step_count();
        folder.checkpoints.mark_best(&Best { step, metric: metric.name().to_owned(), value })
    }

    /// Says so, once, when the loss has been at the level of features that say nothing for a while after the warm-up.
    pub(crate) fn warn_of_chance(&mut self, loss: Option<f64>) {
        const RECORDS: u32 = 20;
        let chance = self.trainer.network().method().chance(self.batch_size as i64);
        let is_at_chance = loss.is_some_and(|loss| loss > 0.995 * chance);
        let is_warm = self.trainer.step_count() > 2 * self.trainer.schedule().warmup_steps();
        self.at_chance = if is_at_chance && is_warm { self.at_chance.saturating_add(1) } else { 0 };
        if self.at_chance == RECORDS {
            tracing::warn!(
                "the loss stays at its chance level, {chance:.2}: nothing is learned\n  hint: try another --lr or a larger batch, and \
                 look at the views of an image with `amdim-stream show`"
            );
        }
    }

    fn within_memory<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let cures = || vec!["add --cuda-graph off".to_owned(), "run without --val-shards".to_owned()];
        device::within_memory(self.device, || "validation".to_owned(), cures, work)
    }
}

/// Adds effective rank and mean cosine, with a warning where they are those of a collapse; of less than two samples nothing.
fn with_health(found: ValidationRecord, features: &Tensor) -> ValidationRecord {
    if features.size()[0] < 2 {
        return found;
    }
    let health = Health::of(features);
    if let Some(complaint) = health.complaint() {
        tracing::warn!("{complaint}");
    }
    ValidationRecord { rankme: Some(health.rankme), cosine: Some(health.cosine), ..found }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::tiny;

    #[test]
    fn features_of_training_samples_are_whole_or_left_when_time_is_over() {
        let _alone = crate::generator();
        let place = tempfile::tempdir().unwrap();
        let (run, _folder) = tiny::run(place.path());
        let labelled = eval::labelled(&run.data.train);
        assert!(run.features(&labelled, &Stop::at(Some(Instant::now()))).unwrap().is_none());
        let blocks = run.features(&labelled, &Stop::at(None)).unwrap().unwrap();
        let (features, labels): (Vec<_>, Vec<_>) = blocks.into_iter().unzip();
        let whole =
            Features::compute(run.trainer.network().encoder(), "", &labelled, &run.config, run.device, None)
                .unwrap();
        assert_eq!(whole.len(), 4);
        assert!(Tensor::cat(&features, 0).equal(&whole.rows(0, 4).unwrap()));
        assert!(Tensor::cat(&labels, 0).equal(&whole.labels));
    }
}
