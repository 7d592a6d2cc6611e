//! Validation between epochs: online probes, neighbours, the health of the representation, the best
//! checkpoint.

use std::array;

use anyhow::{Context, Result, anyhow};
use shards::ShardSet;
use tch::{Device, Kind, Tensor};
use torchkit::Moment;

use super::{
    Run,
    neighbours::{Gallery, Known, samples},
    output::Output,
};
use crate::run::{
    folder::RunFolder,
    promote::FEWEST_FOR_HEALTH,
    stop::{Activity, Next, Stop},
};
use crate::{
    checkpoint::Best,
    device,
    encoder::Mode,
    eval::{self, health::Health},
    feed::{DeviceBatch, Feed},
    hint::WithHint,
    metrics::ValidationRecord,
    network::{self, Both, Judged},
    views::Views,
};

/// Training samples among which neighbours are sought, evenly spread over the set: the same ones every time.
const GALLERY: u64 = 5_000;

/// Sums over the validation samples, and the features of some of them, evenly spread.
struct ValidationSums {
    hits: Both<f64>,
    labelled: f64,
    /// Features are kept of the samples whose index is a multiple of this.
    every: i64,
    /// The number of this process's first sample among all.
    first: i64,
    features: Vec<Tensor>,
    /// Labels and numbers of these samples.
    samples: Vec<Tensor>,
}

impl ValidationSums {
    /// Returns sums of nothing, for features of `width` numbers and a set of `samples` samples of which this process
    /// begins with number `first`.
    fn new(samples: u64, first: u64, width: i64) -> Self {
        Self {
            first: first.cast_signed(),
            hits: Both { mlp: 0.0, linear: 0.0 },
            labelled: 0.0,
            every: samples.div_ceil(Health::SAMPLES.cast_unsigned()).max(1).cast_signed(),
            features: vec![Tensor::zeros([0, width], (Kind::Float, Device::Cpu))],
            samples: vec![Tensor::zeros([0, 2], (Kind::Int64, Device::Cpu))],
        }
    }

    fn add(&mut self, judged: &Judged, views: &Views) {
        if let Some(accuracy) = &judged.accuracy {
            self.hits.mlp += accuracy.mlp * judged.labelled;
            self.hits.linear += accuracy.linear * judged.labelled;
            self.labelled += judged.labelled;
        }
        let kept = (&views.indices + self.first).remainder(self.every).eq(0).nonzero().view(-1);
        let features = judged.features.index_select(0, &kept);
        self.features.push(features.to_device(Device::Cpu).to_kind(Kind::Float));
        self.samples.push(samples(views, self.first).index_select(0, &kept).to_device(Device::Cpu));
    }
}

impl Run {
    /// Returns whether the run, or an epoch whose number is a multiple of `every`, has just ended.
    fn epoch_ended(&self, every: u64) -> bool {
        let ended = |step: u64| step * self.batch_size as u64 / self.samples_an_epoch() / every;
        let step = self.trainer.step_count();
        ended(step) > ended(step - 1) || step == self.steps
    }

    /// Returns whether this step is followed by a validation.
    pub(crate) fn validation_due(&self) -> bool {
        self.epoch_ended(self.config.run.validate_every) || self.neighbours_due()
    }

    /// Returns whether the validation after this step looks for neighbours.
    pub(crate) fn neighbours_due(&self) -> bool {
        let every = self.config.run.knn_every;
        every > 0 && self.epoch_ended(every)
    }

    /// Judges the encoder by the validation samples, and writes a record. Returns false, without a record, if
    /// the run is to stop meanwhile.
    ///
    /// The numbers of the last steps, which are pending, are read once the device has worked on the first
    /// validation batch, so that it never waits for the host. `training` is the feed of these steps.
    pub(crate) fn validate(
        &mut self,
        stop: &Stop,
        mut training: Option<&mut Feed>,
        output: &mut Output,
    ) -> Result<bool> {
        let begin = output.log.moment()?;
        if self.world.has_others() {
            // All processes read them at the same place, as joint operations need it.
            self.finish_training(training.as_deref_mut(), output)?;
        }
        stop.note(Activity::Validating(self.trainer.step_count()));
        let Some(validation) = self.data.validation.clone() else {
            return self.validate_by_training_samples(begin, stop, training, output);
        };
        let Some(sums) = self.judge_samples(&validation, stop, training, output)? else { return Ok(false) };
        let [mlp, linear, labelled] = self.sum([sums.hits.mlp, sums.hits.linear, sums.labelled])?;
        let record = ValidationRecord {
            linear: Some(linear / labelled),
            mlp: Some(mlp / labelled),
            ..self.empty_record()
        };
        let Some(record) = self.add_neighbours_and_health(record, &sums, stop, output.folder)? else {
            return Ok(false);
        };
        // The record comes last: a run that is resumed does not repeat a validation that has one.
        self.keep_best(output.folder, &record)?;
        output.bad.exchange(self.world)?;
        output.log.exclude(begin)?;
        output.log.write_validation(record)?;
        Ok(true)
    }

    /// Returns the sums over all processes of each number.
    fn sum<const N: usize>(&self, own: [f64; N]) -> Result<[f64; N]> {
        let all = self.world.numbers(own)?;
        Ok(array::from_fn(|number| all.iter().map(|of_rank| of_rank[number]).sum()))
    }

    /// Judges the encoder by this process's share of the samples of a set. Returns `None` if the run is to stop
    /// meanwhile.
    fn judge_samples(
        &mut self,
        samples: &ShardSet,
        stop: &Stop,
        mut training: Option<&mut Feed>,
        output: &mut Output,
    ) -> Result<Option<ValidationSums>> {
        let (own, first) = eval::share(samples, self.world);
        let mut feed = eval::images(&own, &self.config, self.device)?;
        let mut sums = ValidationSums::new(samples.len(), first, self.trainer.network().encoder().width());
        self.for_each_batch(&mut feed, stop, |run, batch| {
            output.bad.write(&batch.bad_samples)?;
            let judged = run.within_memory(|| run.trainer.network().judge(&batch.views))?;
            sums.add(&judged, &batch.views);
            run.finish_training(training.as_deref_mut(), output)
        })?;
        output.bad.write(&feed.finish())?;
        Ok((!self.is_to_stop(stop)?).then_some(sums))
    }

    /// Calls `work` with the batches of a feed until all processes are done, or the run is to stop.
    fn for_each_batch(
        &mut self,
        feed: &mut Feed,
        stop: &Stop,
        mut work: impl FnMut(&mut Self, DeviceBatch) -> Result<()>,
    ) -> Result<()> {
        loop {
            let batch = feed.next_unless(&stop.channel(self.world)).transpose().context("validation")?;
            self.world.check()?;
            if stop.next(self.world, || self.closing_time(), batch.is_some())? != Next::GoOn {
                return Ok(());
            }
            batch.map_or(Ok(()), |batch| work(self, batch))?;
        }
    }

    /// Reads the pending numbers of training, if there are any.
    fn finish_training(&mut self, training: Option<&mut Feed>, output: &mut Output) -> Result<()> {
        training.map_or(Ok(()), |feed| self.finish_pending(feed, output))
    }

    /// Returns a record of this step without numbers.
    fn empty_record(&self) -> ValidationRecord {
        let (step, epoch) = (self.trainer.step_count(), Some(self.epoch()));
        ValidationRecord { step, epoch, ..ValidationRecord::default() }
    }

    /// Adds the accuracy of neighbours, where it is due, and the health of the features. Returns `None` if
    /// the run is to stop meanwhile.
    fn add_neighbours_and_health(
        &mut self,
        mut record: ValidationRecord,
        sums: &ValidationSums,
        stop: &Stop,
        folder: &RunFolder,
    ) -> Result<Option<ValidationRecord>> {
        let queries = self.of_all(&sums.features, &sums.samples)?;
        if queries.features.size()[0] == 0 {
            return Ok(Some(record));
        }
        if self.neighbours_due() {
            let (gallery, indices) = eval::gallery(&self.data.train, GALLERY);
            let Some(known) = self.features(&gallery, stop)? else { return Ok(None) };
            let gallery = Gallery { known: &known, indices: &indices };
            record.knn = Some(self.world.from_lead(|| self.neighbours(&gallery, &queries, folder))?);
        }
        Ok(Some(self.world.from_lead(|| with_health(record, &queries.features))?))
    }

    /// Returns the blocks of features and samples of all processes, each as one tensor on the CPU.
    fn of_all(&self, features: &[Tensor], samples: &[Tensor]) -> Result<Known> {
        let [features, samples] = [features, samples].map(|blocks| self.world.rows(&Tensor::cat(blocks, 0)));
        Ok(Known { features: features?, samples: samples? })
    }

    /// Writes a record of the health of the features of some training samples, if there are enough of them:
    /// for runs without validation samples. Returns false if the run is to stop meanwhile.
    fn validate_by_training_samples(
        &mut self,
        begin: Moment,
        stop: &Stop,
        training: Option<&mut Feed>,
        output: &mut Output,
    ) -> Result<bool> {
        if self.data.train.len() < FEWEST_FOR_HEALTH {
            return Ok(true);
        }
        let some = eval::evenly(&self.data.train, Health::SAMPLES.cast_unsigned());
        let Some(Known { features, .. }) = self.features(&some, stop)? else { return Ok(false) };
        self.finish_training(training, output)?;
        output.log.exclude(begin)?;
        if features.size()[0] > 0 {
            let record = self.world.from_lead(|| with_health(self.empty_record(), &features))?;
            output.log.write_validation(record)?;
        }
        Ok(true)
    }

    /// Returns the features of training samples, of which each process computes a share, or `None` if the run is to stop
    /// meanwhile.
    fn features(&mut self, set: &ShardSet, stop: &Stop) -> Result<Option<Known>> {
        let (own, first) = eval::share(set, self.world);
        let mut feed = eval::images(&own, &self.config, self.device)?;
        let width = self.trainer.network().encoder().width();
        let ValidationSums { mut features, samples: mut known, .. } = ValidationSums::new(0, 0, width);
        self.for_each_batch(&mut feed, stop, |run, batch| {
            let (images, network) = (batch.views.images().get(0), run.trainer.network());
            let of_batch =
                || network::features(network.encoder(), &images, Mode::Evaluation, network.precision());
            features.push(run.within_memory(of_batch)?.to_device(Device::Cpu).to_kind(Kind::Float));
            // A copy: a later batch overwrites the memory of these labels.
            known.push(samples(&batch.views, first.cast_signed()).to_device(Device::Cpu));
            Ok(())
        })?;
        if self.is_to_stop(stop)? {
            return Ok(None);
        }
        self.of_all(&features, &known).map(Some)
    }

    /// Saves a checkpoint and marks it as the best if the chosen metric is better than ever.
    fn keep_best(&mut self, folder: &RunFolder, record: &ValidationRecord) -> Result<()> {
        let Some(metric) = self.config.run.best else { return Ok(()) };
        let Some(value) = record.number(metric.name()) else { return Ok(()) };
        let before = || folder.checkpoints.best().filter(|best| best.metric == metric.name());
        if !self.world.from_lead(|| Ok(before().is_none_or(|best| best.value < value)))? {
            return Ok(());
        }
        self.save(folder)?;
        let step = self.trainer.step_count();
        let best = Best { step, metric: metric.name().to_owned(), value };
        self.world.on_lead(|| folder.checkpoints.mark_best(&best)).map(drop)
    }

    pub(super) fn within_memory<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let cures = || vec!["add --cuda-graph off".to_owned(), "run without --val-shards".to_owned()];
        device::within_memory(self.device, || "validation".to_owned(), cures, work)
    }
}

/// Adds the effective rank and the mean cosine of the features, and warns if they show a collapse. Less than
/// two samples give none.
///
/// # Errors
///
/// If a feature is not finite.
fn with_health(record: ValidationRecord, features: &Tensor) -> Result<ValidationRecord> {
    if features.isfinite().all().int64_value(&[]) == 0 {
        let error = anyhow!("the features of the encoder are not finite: training has diverged");
        return Err(error).with_hint(|| "start another run with a lower --lr");
    }
    if features.size()[0] < 2 {
        return Ok(record);
    }
    let health = Health::of(features);
    if let Some(complaint) = health.complaint() {
        tracing::warn!("{complaint}");
    }
    Ok(ValidationRecord { rankme: Some(health.rankme), cosine: Some(health.cosine), ..record })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{eval::features::Features, train::tiny};

    #[test]
    fn features_that_are_not_finite_end_a_validation_with_an_error() {
        let record = || ValidationRecord { step: 2, ..ValidationRecord::default() };
        let mut features = Tensor::eye(4, (tch::Kind::Float, Device::Cpu));
        assert!(with_health(record(), &features).unwrap().rankme.is_some());
        let _ = features.get(1).fill_(f64::NAN);
        let error = crate::hint::render(&with_health(record(), &features).unwrap_err());
        assert!(error.contains("training has diverged") && error.contains("lower --lr"), "{error}");
        features = features.narrow(0, 0, 1);
        assert!(with_health(record(), &features).unwrap().rankme.is_none());
    }

    #[test]
    fn features_of_training_samples_are_complete_unless_the_run_is_to_stop() {
        let _alone = crate::testing::lock_generator();
        let place = tempfile::tempdir().unwrap();
        let (mut run, _folder) = tiny::run(place.path());
        let (labelled, _) = eval::gallery(&run.data.train, 100);
        assert!(run.features(&labelled, &Stop::at(Some(Instant::now()))).unwrap().is_none());
        let Known { features, samples } = run.features(&labelled, &Stop::at(None)).unwrap().unwrap();
        let whole =
            Features::compute(run.trainer.network().encoder(), "", &labelled, &run.config, run.device, None)
                .unwrap();
        assert_eq!(whole.len(), 4);
        assert!(features.equal(&whole.rows(0, 4).unwrap()));
        assert!(samples.select(1, 0).equal(&whole.labels));
        assert!(samples.select(1, 1).equal(&Tensor::arange(4, (Kind::Int64, Device::Cpu))));
    }
}
