//! Fine-tuning of encoder and classifier on few labels.

use anyhow::Result;
use dataset::Random;
use serde::Serialize;
use shards::ShardSet;
use tch::{Device, Kind, Tensor, nn::VarStore};

use super::{
    classifier::augmented,
    samples::images,
    tally::{Report, Tally},
};
use crate::{
    config::Config,
    encoder::{Mode, heads::LinearHead},
    failure,
    feed::Feed,
    loss,
    network::{self, Network},
    optim::{self, Optimizer, Schedule},
    terminal::Progress,
    views::Views,
};

/// The settings of fine-tuning.
#[derive(Debug, Clone, Serialize)]
pub struct Finetune {
    /// The share of the labelled training samples whose labels are used, the same number of each class.
    pub label_fraction: f64,
    /// The share of those samples that is held out and decides when to stop.
    pub held_out: f64,
    /// The learning rate of the encoder after the warm-up.
    pub lr_encoder: f64,
    /// The learning rate of the classifier after the warm-up.
    pub lr_head: f64,
    /// The steps over which both rates rise. None means 500, or a tenth of all steps if that is less.
    pub warmup_steps: Option<u64>,
    /// The most steps. None means thirty epochs, or 500 if that is more.
    pub steps: Option<u64>,
    /// The evaluations of the held-out samples without a gain after which fine-tuning stops.
    pub patience: u32,
    /// The samples in a step.
    pub batch_size: usize,
    /// The seed of the choice of samples, shuffling, augmentation and initialization.
    pub seed: u64,
}

/// The result of fine-tuning.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) report: Report,
    /// The accuracy on the held-out samples at the best step.
    pub(super) held_out_top1: f64,
    /// The best step.
    pub(super) step: u64,
    /// The numbers of samples that were fitted and held out.
    pub(super) samples: [u64; 2],
    /// The schedules of the learning rates of the encoder and of the classifier.
    pub(super) schedules: [Schedule; 2],
}

/// The best state of encoder and classifier so far, by the held-out samples.
struct Best {
    top1: f64,
    /// The number of steps made; 0 if nothing was evaluated.
    step: u64,
    tensors: Vec<Tensor>,
    /// The number of evaluations since then.
    without_gain: u32,
}

/// The length of fine-tuning.
struct Length {
    batch: usize,
    steps_an_epoch: f64,
    steps: u64,
    /// The steps between evaluations of the held-out samples.
    every: u64,
}

impl Length {
    fn of(settings: &Finetune, samples: u64) -> Self {
        let batch = settings.batch_size.min(samples as usize);
        let steps_an_epoch = samples as f64 / batch as f64;
        let epoch = (steps_an_epoch as u64).max(1);
        let steps = settings.steps.unwrap_or((30 * epoch).max(500));
        Self { batch, steps_an_epoch, steps, every: epoch.max(25) }
    }

    /// Returns whether the held-out samples are evaluated after this number of steps.
    fn is_evaluated_after(&self, steps: u64) -> bool {
        steps.is_multiple_of(self.every) || steps == self.steps
    }
}

/// An encoder and a classifier on it that are fitted together.
pub(super) struct Tuning<'a> {
    network: &'a Network,
    head_vars: VarStore,
    head: LinearHead,
    classes: u32,
    config: &'a Config,
    device: Device,
}

impl<'a> Tuning<'a> {
    /// Adds a new classifier to the network's encoder.
    pub(super) fn new(
        network: &'a Network,
        classes: u32,
        config: &'a Config,
        device: Device,
        seed: u64,
    ) -> Self {
        tch::manual_seed(seed.cast_signed());
        let head_vars = VarStore::new(device);
        let head = LinearHead::new(&head_vars.root(), network.encoder().width(), i64::from(classes));
        Self { network, head_vars, head, classes, config, device }
    }

    /// Fits both, restores the state that was best on held-out training samples, and evaluates it on the
    /// validation samples, which have no influence on the choice.
    ///
    /// # Errors
    ///
    /// If there are too few samples, they cannot be read, or the loss is not finite.
    pub(super) fn run(
        &self,
        settings: &Finetune,
        labelled: &ShardSet,
        validation: &ShardSet,
    ) -> Result<Outcome> {
        let [fitted, held_out] = choose(labelled, self.classes, settings);
        if fitted.len() < 2 || held_out.is_empty() {
            let chosen = fitted.len() + held_out.len();
            return Err(failure!(
                "{chosen} of {} labelled samples are too few to fit some and hold out others", labelled.len();
                "set a larger --label-fraction"
            ));
        }
        let length = Length::of(settings, fitted.len());
        let mut optimizers = self.optimizers(settings, &length);
        optimizers[0].1.announce();
        let mut feed = augmented(&fitted, settings.seed, length.batch, self.config, self.device)?;
        let best = self.fit(settings, &length, &mut optimizers, &mut feed, &held_out)?;
        tch::no_grad(|| self.state().zip(&best.tensors).for_each(|(mut tensor, best)| tensor.copy_(best)));
        let samples = [fitted.len(), held_out.len()];
        let schedules = optimizers.map(|(_, schedule)| schedule);
        let report = self.judge(validation)?;
        Ok(Outcome { report, held_out_top1: best.top1, step: best.step, samples, schedules })
    }

    /// Makes steps until the patience or the length is used up. Returns the best state.
    fn fit(
        &self,
        settings: &Finetune,
        length: &Length,
        optimizers: &mut [(Optimizer, Schedule); 2],
        feed: &mut Feed,
        held_out: &ShardSet,
    ) -> Result<Best> {
        let mut best = Best { top1: -1.0, step: 0, tensors: Vec::new(), without_gain: 0 };
        let mut skipped = Tensor::zeros([], (Kind::Float, self.device));
        let progress = Progress::new("fine-tuning step", 0, length.steps);
        for step in 0..length.steps {
            progress.reach(step, Vec::new, false);
            let batch = feed.next().expect("the samples have no end")?;
            skipped += self.step(&batch.views, optimizers, step)?;
            if !length.is_evaluated_after(step + 1) {
                continue;
            }
            self.compare(&mut best, held_out, step + 1)?;
            if best.without_gain >= settings.patience {
                break;
            }
        }
        if skipped.double_value(&[]) > 0.5 || best.step == 0 {
            return Err(failure!(
                "the loss of fine-tuning was not finite in some steps, or no held-out sample could be read";
                "lower --lr-encoder and --lr-head"
            ));
        }
        Ok(best)
    }

    /// Evaluates the held-out samples, and keeps the current state if it is the best one.
    fn compare(&self, best: &mut Best, held_out: &ShardSet, step: u64) -> Result<()> {
        let top1 = self.judge(held_out)?.top1;
        best.without_gain += 1;
        if top1 > best.top1 {
            let tensors = self.state().map(|tensor| tensor.copy()).collect();
            *best = Best { top1, step, tensors, without_gain: 0 };
        }
        Ok(())
    }

    /// Returns the optimizers and schedules of the encoder and of the classifier.
    fn optimizers(&self, settings: &Finetune, length: &Length) -> [(Optimizer, Schedule); 2] {
        let both = [(self.network.vars(), settings.lr_encoder), (&self.head_vars, settings.lr_head)];
        both.map(|(vars, lr)| {
            let rate = optim::Config { lr, warmup_steps: settings.warmup_steps, ..optim::Config::default() };
            (Optimizer::new(vars, &rate), Schedule::new(&rate, length.steps, length.steps_an_epoch))
        })
    }

    /// Updates both. Returns how many of the two updates were skipped because their numbers were not finite.
    fn step(&self, views: &Views, optimizers: &mut [(Optimizer, Schedule); 2], step: u64) -> Result<Tensor> {
        let features = {
            let _scope = self.config.train.precision.of_evaluation(self.device).autocast(self.device)?;
            self.network.encoder().features(&views.images().get(0), Mode::TRAINING)
        };
        let logits = self.head.forward(&loss::widened(&features));
        let loss = loss::classification(&logits, &views.labels);
        optimizers.iter().try_for_each(|(optimizer, _)| optimizer.forget_gradients())?;
        loss.backward();
        let mut skipped = Tensor::zeros([], (Kind::Float, self.device));
        for (optimizer, schedule) in optimizers {
            skipped += optimizer.step(schedule.at(step), &loss)?;
        }
        Ok(skipped)
    }

    /// Iterates over all tensors that fitting changes, in an order that does not change between calls.
    fn state(&self) -> impl Iterator<Item = Tensor> {
        let head: std::collections::BTreeMap<_, _> = self.head_vars.variables().into_iter().collect();
        self.network.tensors().into_values().chain(head.into_values())
    }

    /// Classifies the samples of a set and reports the accuracy.
    fn judge(&self, set: &ShardSet) -> Result<Report> {
        let mut tally = Tally::default();
        for batch in images(set, self.config, self.device)?.by_ref() {
            let batch = batch?; // it keeps the memory of its images
            let views = &batch.views;
            let images = views.images().get(0);
            let features = network::features(
                self.network.encoder(),
                &images,
                Mode::Evaluation,
                self.config.train.precision,
            )?;
            let logits = tch::no_grad(|| self.head.forward(&features));
            tally.add(&logits, &views.labels);
        }
        Ok(tally.report(self.classes))
    }
}

/// Chooses the samples to fit and the samples to hold out. The fraction determines a number of samples that
/// is the same for each class; a class with fewer samples gives all of them.
fn choose(labelled: &ShardSet, classes: u32, settings: &Finetune) -> [ShardSet; 2] {
    let mut of_class = vec![Vec::new(); classes as usize];
    for index in 0..labelled.len() {
        if let Some(members) = labelled.label(index).and_then(|label| of_class.get_mut(label as usize)) {
            members.push(index);
        }
    }
    let present = of_class.iter().filter(|members| !members.is_empty()).count().max(1);
    let each = ((settings.label_fraction * labelled.len() as f64 / present as f64).round() as usize).max(2);
    let (mut fitted, mut held_out) = (Vec::new(), Vec::new());
    let mut random = Random::after(settings.seed, 0);
    for mut members in of_class {
        let count = if settings.label_fraction >= 1.0 { members.len() } else { each.min(members.len()) };
        // The first `count` of a shuffled class (Fisher, Yates).
        for place in 0..count {
            let other = place + random.below(members.len() - place);
            members.swap(place, other);
        }
        let held = ((settings.held_out * count as f64).round() as usize).clamp(usize::from(count > 1), count);
        held_out.extend(&members[..held]);
        fitted.extend(&members[held..count]);
    }
    [labelled.subset(fitted), labelled.subset(held_out)]
}

#[cfg(test)]
mod tests {
    use shards::{IndexConfig, LocalSource, ShardWriter};

    use super::*;

    /// Returns ten samples of class 0, ten of class 1 and four of class 2.
    fn set() -> (tempfile::TempDir, ShardSet) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        let mut writer = ShardWriter::create(&path).unwrap();
        for number in 0..24 {
            let label = (number / 10).to_string();
            writer.append(&number.to_string(), &[("jpg", b"x"), ("cls", label.as_bytes())]).unwrap();
        }
        writer.finish().unwrap();
        let source = LocalSource::new(&[path.display().to_string()]).unwrap();
        (folder, ShardSet::open(source, &IndexConfig::default()).unwrap())
    }

    fn counts(set: &ShardSet) -> [usize; 3] {
        let of = |class| (0..set.len()).filter(|&index| set.label(index) == Some(class)).count();
        [0, 1, 2].map(of)
    }

    #[test]
    fn classes_are_balanced_and_held_out_samples_are_not_fitted() {
        let (_folder, set) = set();
        let settings = |label_fraction, seed| Finetune {
            label_fraction,
            held_out: 0.2,
            lr_encoder: 1e-4,
            lr_head: 1e-3,
            warmup_steps: None,
            steps: None,
            patience: 5,
            batch_size: 8,
            seed,
        };
        let [fitted, held_out] = choose(&set, 3, &settings(0.625, 1));
        assert_eq!(
            (counts(&fitted), counts(&held_out)),
            ([4, 4, 3], [1, 1, 1]),
            "five of each class, all four of the last one"
        );
        let [all, held] = choose(&set, 3, &settings(1.0, 1));
        assert_eq!((counts(&all), counts(&held)), ([8, 8, 3], [2, 2, 1]));
        let [few, held] = choose(&set, 3, &settings(0.01, 1));
        assert_eq!((counts(&few), counts(&held)), ([1; 3], [1; 3]));
        let digest = |fraction, seed| choose(&set, 3, &settings(fraction, seed)).map(|part| part.digest());
        assert_eq!(digest(0.5, 1), digest(0.5, 1));
        assert_ne!(digest(0.5, 1), digest(0.5, 2));
    }
}
