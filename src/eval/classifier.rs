//! Classifiers on frozen features.

use anyhow::{Result, ensure};
use pipeline::{LoaderConfig, Preset};
use serde::Serialize;
use shards::{Order, Position, ShardSet, Share};
use tch::{Device, Kind, Tensor, nn::VarStore};

use super::{features::Features, tally::Tally};
use crate::{
    config::Config,
    data,
    feed::Feed,
    loss,
    model::{
        Encoder,
        heads::{LinearHead, MlpHead},
    },
    terminal::Progress,
    train::{
        optim::{self, Adam},
        schedule::{Drops, Schedule},
    },
};

/// Which classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadKind {
    /// One affine map.
    Linear,
    /// One hidden layer of 1024, batch norm, dropout.
    Mlp,
}

/// How a classifier is fitted; the defaults are the reference's for the kind of data.
#[derive(Debug, Clone, Serialize)]
pub struct Fit {
    /// Passes over the training samples.
    pub epochs: f64,
    /// Learning rate after the warm-up.
    pub lr: f64,
    /// Samples in a step.
    pub batch_size: usize,
    /// Steps over which the learning rate rises; none: 500, a tenth of all at most.
    pub warmup_steps: Option<u64>,
    /// When the learning rate drops.
    pub schedule: Drops,
    /// What shuffling, augmentation and initialization derive from.
    pub seed: u64,
}

impl Fit {
    /// The published length of fitting for this kind of data.
    pub fn epochs(preset: Preset) -> f64 {
        if preset == Preset::In128 { 30.0 } else { 120.0 }
    }

    /// Adam with the settings of training, and the published shares of the steps after which the rate drops.
    fn optimizer(&self, preset: Preset) -> optim::Config {
        let drop_at = match preset {
            Preset::In128 => vec![15.0 / 30.0, 25.0 / 30.0],
            _ => vec![80.0 / 120.0, 110.0 / 120.0],
        };
        let &Self { lr, warmup_steps, schedule, .. } = self;
        optim::Config { lr, drop_at, warmup_steps, schedule, ..optim::Config::default() }
    }
}

enum Head {
    Linear(LinearHead),
    Mlp(Box<MlpHead>),
}

impl Head {
    /// The reference's share of dropped inputs and hidden units.
    const DROPOUT: f64 = 0.2;

    fn new(kind: HeadKind, vars: &VarStore, width: i64, classes: i64) -> Self {
        match kind {
            HeadKind::Linear => Self::Linear(LinearHead::new(&vars.root(), width, classes)),
            HeadKind::Mlp => Self::Mlp(Box::new(MlpHead::new(&vars.root(), width, classes, Self::DROPOUT))),
        }
    }

    fn logits(&self, features: &Tensor, train: bool) -> Tensor {
        match self {
            Self::Linear(head) => head.forward(features),
            Self::Mlp(head) => head.forward(features, train),
        }
    }
}

/// A classifier that was fitted.
pub(super) struct Classifier {
    head: Head,
    classes: u32,
    device: Device,
    /// The learning rate that it was fitted with.
    pub(super) schedule: Schedule,
    /// Share of the last epoch's training samples that it recognized, as it was then.
    pub(super) train_top1: f64,
}

/// What the features of a classifier's batches are made of.
pub(super) enum Training<'a> {
    /// A new augmented view of each sample in every epoch, as in the reference.
    Views(&'a dyn Encoder, &'a ShardSet),
    /// The un-augmented features.
    Features(&'a Features),
}

impl Classifier {
    /// Fits a new classifier; everything derives from the seed.
    pub(super) fn fit(
        kind: HeadKind,
        training: &Training,
        classes: u32,
        fit: &Fit,
        config: &Config,
        device: Device,
    ) -> Result<Self> {
        tch::manual_seed(fit.seed.cast_signed());
        let (width, samples) = match training {
            Training::Views(encoder, set) => (encoder.width(), set.len()),
            Training::Features(features) => (features.width(), features.len().cast_unsigned()),
        };
        let vars = VarStore::new(device);
        let head = Head::new(kind, &vars, width, i64::from(classes));
        let batch = fit.batch_size.min(samples as usize);
        let steps = ((fit.epochs * samples as f64 / batch as f64) as u64).max(1);
        let optimizer = fit.optimizer(config.preset);
        let schedule = Schedule::new(&optimizer, steps, samples as f64 / batch as f64);
        schedule.announce();
        let mut adam = Adam::new(&vars, &optimizer);
        let last_epoch = steps.saturating_sub(samples / batch as u64);
        let mut skipped = Tensor::zeros([], (Kind::Float, device));
        let mut tally = Tally::default();
        let mut batches = Batches::new(training, fit, batch, config, device)?;
        let progress = Progress::new("classifier step", 0, steps);
        for step in 0..steps {
            progress.reach(step, Vec::new, false);
            let (features, labels) = batches.next()?;
            let logits = head.logits(&features, true);
            if step >= last_epoch {
                tally.add(&logits.detach(), &labels);
            }
            adam.forget_gradients()?;
            let loss = loss::classification(&logits, &labels);
            loss.backward();
            skipped += adam.step(schedule.at(step), &loss)?;
        }
        ensure!(
            skipped.double_value(&[]) < 0.5,
            "the classifier's loss was not finite in some steps\n  hint: a lower --lr"
        );
        Ok(Self { head, classes, device, schedule, train_top1: tally.report(classes).top1 })
    }

    /// Takes the features of all samples for their likeliest classes.
    pub(super) fn judge(&self, features: &Features) -> Result<super::tally::Report> {
        const BLOCK: i64 = 1024;
        let mut tally = Tally::default();
        for start in (0..features.len()).step_by(BLOCK as usize) {
            let count = BLOCK.min(features.len() - start);
            let rows = features.rows(start, count)?.to_device(self.device);
            let labels = features.labels.narrow(0, start, count).to_device(self.device);
            tally.add(&tch::no_grad(|| self.head.logits(&rows, false)), &labels);
        }
        Ok(tally.report(self.classes))
    }
}

/// Endless batches of features and classes.
enum Batches<'a> {
    Views { encoder: &'a dyn Encoder, feed: Box<Feed> },
    Features { features: &'a Features, order: Vec<i64>, at: usize, batch: usize, device: Device },
}

impl<'a> Batches<'a> {
    fn new(
        training: &Training<'a>,
        fit: &Fit,
        batch: usize,
        config: &Config,
        device: Device,
    ) -> Result<Self> {
        Ok(match *training {
            Training::Features(features) => {
                Self::Features { features, order: Vec::new(), at: 0, batch, device }
            }
            Training::Views(encoder, set) => {
                let feed = augmented(set, fit.seed, batch, config, device)?;
                Self::Views { encoder, feed: Box::new(feed) }
            }
        })
    }

    fn next(&mut self) -> Result<(Tensor, Tensor)> {
        match self {
            Self::Views { encoder, feed } => {
                let staged = feed.next().expect("the stream has no end")?;
                let features = tch::no_grad(|| encoder.features(&staged.views.images.get(0), false));
                Ok((features, staged.views.labels.copy()))
            }
            Self::Features { features, order, at, batch, device } => {
                if *at + *batch > order.len() {
                    let shuffled = Tensor::randperm(features.len(), (Kind::Int64, Device::Cpu));
                    (*order, *at) = (Vec::try_from(&shuffled)?, 0);
                }
                let numbers = &order[*at..*at + *batch];
                *at += *batch;
                let labels = features.labels.index_select(0, &Tensor::from_slice(numbers));
                Ok((features.gather(numbers)?.to_device(*device), labels.to_device(*device)))
            }
        }
    }
}

/// Endless batches of one augmented view of each sample, a new one in every epoch.
pub(super) fn augmented(
    set: &ShardSet,
    seed: u64,
    batch_size: usize,
    config: &Config,
    device: Device,
) -> Result<Feed> {
    let order = Order { seed, shuffle: config.data.shuffle, epochs: None };
    let samples = set.samples(order, Share::default(), Position::default());
    let mut recipe = config.preset.recipe();
    recipe.views.truncate(1);
    let loader = LoaderConfig { seed, drop_last: true, ..data::loader(config, batch_size) };
    Feed::spawn(samples, recipe, config.preset.normalization(), &loader, device)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three classes around points of their own, and as many samples to judge by.
    #[test]
    fn classes_that_lie_apart_are_told_apart() {
        let _alone = crate::generator();
        tch::manual_seed(6);
        let samples = || {
            let labels = Tensor::randint(3, [300], (Kind::Int64, Device::Cpu));
            let centres = Tensor::eye(8, (Kind::Float, Device::Cpu)).index_select(0, &labels) * 4.0;
            Features::of(&(centres + Tensor::randn([300, 8], (Kind::Float, Device::Cpu))), &labels).unwrap()
        };
        let (training, validation) = (samples(), samples());
        let (warmup_steps, schedule) = (None, Drops::Published);
        let fit = Fit { epochs: 40.0, lr: 1e-2, batch_size: 50, warmup_steps, schedule, seed: 1 };
        let config = Config::preset(Preset::C10);
        for kind in [HeadKind::Linear, HeadKind::Mlp] {
            let training = Training::Features(&training);
            let classifier = Classifier::fit(kind, &training, 3, &fit, &config, Device::Cpu).unwrap();
            let report = classifier.judge(&validation).unwrap();
            assert!(report.top1 > 0.95 && classifier.train_top1 > 0.7, "{kind:?}: {}", report.top1);
        }
        let wild = Fit { lr: 1e38, ..fit };
        let wild =
            Classifier::fit(HeadKind::Linear, &Training::Features(&training), 3, &wild, &config, Device::Cpu);
        assert!(wild.err().unwrap().to_string().contains("a lower --lr"));
    }
}
