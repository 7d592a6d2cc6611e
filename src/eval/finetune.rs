//! Fine-tuning: encoder and classifier from few labels.

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
    failure, loss,
    network::{self, Network},
    optim::{self, Adam, Schedule},
    terminal::Progress,
    views::Views,
};

/// How an encoder is fine-tuned.
#[derive(Debug, Clone, Serialize)]
pub struct Finetune {
    /// Share of the labelled training samples whose labels are used, the same number of each class.
    pub label_fraction: f64,
    /// Of those, the share that is held out, to stop by.
    pub held_out: f64,
    /// Learning rate of the encoder after the warm-up.
    pub lr_encoder: f64,
    /// Learning rate of the classifier after the warm-up.
    pub lr_head: f64,
    /// Steps over which both rise; none: 500, a tenth of all at most.
    pub warmup_steps: Option<u64>,
    /// Steps at most; none: thirty epochs, and five hundred at least.
    pub steps: Option<u64>,
    /// Looks at the held-out samples without a gain after which it ends.
    pub patience: u32,
    /// Samples in a step.
    pub batch_size: usize,
    /// What the choice of samples, shuffling, augmentation and initialization derive from.
    pub seed: u64,
}

/// What fine-tuning came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) report: Report,
    /// On the held-out samples, at the step that was kept.
    pub(super) held_out_top1: f64,
    /// That step.
    pub(super) step: u64,
    /// Samples that were fitted and held out.
    pub(super) samples: [u64; 2],
    /// The learning rates of the encoder and of the classifier.
    pub(super) schedules: [Schedule; 2],
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
    /// Of the network's encoder; the classifier is new.
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

    /// Fits both, keeps what was best on held-out training samples, and judges that by the validation samples, which have no
    /// part in the choice.
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
        let batch = settings.batch_size.min(fitted.len() as usize);
        let steps_an_epoch = fitted.len() as f64 / batch as f64;
        let epoch = (steps_an_epoch as u64).max(1);
        let (steps, every) = (settings.steps.unwrap_or((30 * epoch).max(500)), epoch.max(25));
        let mut optimizers = self.optimizers(settings, steps, steps_an_epoch);
        optimizers[0].1.announce();
        let (mut best, mut best_step, mut kept, mut without_gain) = (-1.0, 0, Vec::new(), 0);
        let mut skipped = Tensor::zeros([], (Kind::Float, self.device));
        let mut feed = augmented(&fitted, settings.seed, batch, self.config, self.device)?;
        let progress = Progress::new("fine-tuning step", 0, steps);
        for step in 0..steps {
            progress.reach(step, Vec::new, false);
            let staged = feed.next().expect("the stream has no end")?;
            skipped += self.step(&staged.views, &mut optimizers, step)?;
            if (step + 1) % every != 0 && step + 1 != steps {
                continue;
            }
            let top1 = self.judge(&held_out)?.top1;
            without_gain += 1;
            if top1 > best {
                (best, best_step, without_gain) = (top1, step + 1, 0);
                kept = self.state().map(|tensor| tensor.copy()).collect();
            }
            if without_gain >= settings.patience {
                break;
            }
        }
        drop(progress);
        tch::no_grad(|| self.state().zip(&kept).for_each(|(mut tensor, kept)| tensor.copy_(kept)));
        if skipped.double_value(&[]) > 0.5 || best_step == 0 {
            return Err(failure!(
                "the loss of fine-tuning was not finite in some steps, or no held-out sample could be read";
                "lower --lr-encoder and --lr-head"
            ));
        }
        let samples = [fitted.len(), held_out.len()];
        let schedules = optimizers.map(|(_, schedule)| schedule);
        Ok(Outcome {
            report: self.judge(validation)?,
            held_out_top1: best,
            step: best_step,
            samples,
            schedules,
        })
    }

    /// Of the encoder and of the classifier.
    fn optimizers(&self, settings: &Finetune, steps: u64, steps_an_epoch: f64) -> [(Adam, Schedule); 2] {
        let both = [(self.network.vars(), settings.lr_encoder), (&self.head_vars, settings.lr_head)];
        both.map(|(vars, lr)| {
            let rate = optim::Config { lr, warmup_steps: settings.warmup_steps, ..optim::Config::default() };
            (Adam::new(vars, &rate), Schedule::new(&rate, steps, steps_an_epoch))
        })
    }

    /// One update of each; gives how many of them changed nothing, as their numbers were not finite.
    fn step(&self, views: &Views, optimizers: &mut [(Adam, Schedule); 2], step: u64) -> Result<Tensor> {
        let features = {
            let _scope = self.config.train.precision.of_evaluation(self.device).autocast(self.device)?;
            self.network.encoder().features(&views.images.get(0), Mode::TRAINING)
        };
        let logits = self.head.forward(&loss::widened(&features));
        let loss = loss::classification(&logits, &views.labels);
        optimizers.iter().try_for_each(|(adam, _)| adam.forget_gradients())?;
        loss.backward();
        let mut skipped = Tensor::zeros([], (Kind::Float, self.device));
        for (adam, schedule) in optimizers {
            skipped += adam.step(schedule.at(step), &loss)?;
        }
        Ok(skipped)
    }

    /// All that fitting changes.
    fn state(&self) -> impl Iterator<Item = Tensor> {
        // In the order of their names, which does not change from call to call.
        let head: std::collections::BTreeMap<_, _> = self.head_vars.variables().into_iter().collect();
        self.network.tensors().into_values().chain(head.into_values())
    }

    fn judge(&self, set: &ShardSet) -> Result<Report> {
        let mut tally = Tally::default();
        for staged in images(set, self.config, self.device)?.by_ref() {
            let views = &staged?.views;
            let images = views.images.get(0);
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

/// The samples to fit and those to hold out: as many of each class as the fraction comes to, or all there are.
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
    let mut draw = Random::after(settings.seed, 0);
    for mut members in of_class {
        let count = if settings.label_fraction >= 1.0 { members.len() } else { each.min(members.len()) };
        // The first `count` of a shuffled class (Fisher, Yates).
        for place in 0..count {
            let other = place + draw.below(members.len() - place);
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

    /// Ten of class 0, ten of class 1, four of class 2.
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
    fn classes_are_balanced_and_what_is_held_out_is_not_fitted() {
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
            "five each, of the last class all four"
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
