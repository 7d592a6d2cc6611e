//! Fits a classifier, and classifies samples by it.

use std::ops::Range;

use anyhow::Result;
use shards::{Order, ShardSet, Shuffle};
use tch::{Device, Kind, Tensor, nn::VarStore};

use super::{
    batches::{Batches, Training},
    settings::{Fit, HeadKind, Protocol},
};
use crate::{
    config::Config,
    encoder::{
        Encoder, Mode,
        heads::{LinearHead, MlpHead},
    },
    eval::{
        features::Features,
        norms::whole_batches,
        tally::{Report, Tally},
    },
    failure, loss, network,
    optim::{Optimizer, Schedule},
    terminal::Progress,
};

enum Head {
    Linear(LinearHead),
    Mlp(Box<MlpHead>),
}

impl Head {
    /// The share of dropped inputs and hidden units in the reference implementation.
    const DROPOUT: f64 = 0.2;

    fn new(kind: HeadKind, vars: &VarStore, width: i64, classes: i64, protocol: Protocol) -> Self {
        if kind == HeadKind::Linear {
            return Self::Linear(LinearHead::new(&vars.root(), width, classes));
        }
        let head = MlpHead::new(&vars.root(), width, classes, Self::DROPOUT);
        if protocol == Protocol::Reference {
            head.draw_norm_weights();
        }
        Self::Mlp(Box::new(head))
    }

    fn logits(&self, features: &Tensor, train: bool) -> Tensor {
        match self {
            Self::Linear(head) => head.forward(features),
            Self::Mlp(head) => head.forward(features, train),
        }
    }

    /// Makes steps 0 to the end of `last_epoch`. Returns the tally of the training samples in the last epoch.
    fn fit(
        &self,
        optimizer: &mut Optimizer,
        schedule: &Schedule,
        batches: &mut Batches,
        last_epoch: Range<u64>,
        device: Device,
    ) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut skipped = Tensor::zeros([], (Kind::Float, device));
        let progress = Progress::new("classifier step", 0, last_epoch.end);
        for step in 0..last_epoch.end {
            progress.reach(step, Vec::new, false);
            let (features, labels) = batches.next()?;
            let logits = self.logits(&features, true);
            if last_epoch.contains(&step) {
                tally.add(&logits.detach(), &labels);
            }
            optimizer.forget_gradients()?;
            let loss = loss::classification(&logits, &labels);
            loss.backward();
            skipped += optimizer.step(schedule.at(step), &loss)?;
        }
        if skipped.double_value(&[]) > 0.5 {
            return Err(failure!("the classifier's loss was not finite in some steps"; "lower --lr"));
        }
        Ok(tally)
    }
}

/// A fitted classifier.
pub(in crate::eval) struct Classifier {
    head: Head,
    classes: u32,
    device: Device,
    /// The schedule of the learning rate.
    pub(in crate::eval) schedule: Schedule,
    /// The accuracy on the training samples of the last epoch, measured during that epoch.
    pub(in crate::eval) train_top1: f64,
}

impl Classifier {
    /// Fits a new classifier. The result is determined by the seed.
    ///
    /// # Errors
    ///
    /// If there are fewer than two samples, they cannot be read, or the loss is not finite.
    pub(in crate::eval) fn fit(
        kind: HeadKind,
        training: &Training,
        classes: u32,
        fit: &Fit,
        config: &Config,
        device: Device,
    ) -> Result<Self> {
        tch::manual_seed(fit.seed.cast_signed());
        let samples = training.len();
        if samples < 2 {
            return Err(
                failure!("one labelled training sample is too few"; "name more shards with --shards"),
            );
        }
        let vars = VarStore::new(device);
        let head = Head::new(kind, &vars, training.width(), i64::from(classes), fit.protocol);
        let batch = fit.batch_size.min(samples as usize);
        let steps = ((fit.epochs * samples as f64 / batch as f64) as u64).max(1);
        let settings = fit.optimizer(config.preset);
        let schedule = Schedule::new(&settings, steps, samples as f64 / batch as f64);
        schedule.announce();
        let mut optimizer = Optimizer::new(&vars, &settings);
        let last_epoch = steps.saturating_sub(samples / batch as u64);
        let mut batches = Batches::new(training, fit, batch, config, device)?;
        let tally = head.fit(&mut optimizer, &schedule, &mut batches, last_epoch..steps, device)?;
        Ok(Self { head, classes, device, schedule, train_top1: tally.report(classes).top1 })
    }

    /// Updates the norms of encoder and classifier with up to 50 batches of validation images in training
    /// mode, as the reference implementation does before its evaluation. Returns the number of batches.
    pub(in crate::eval) fn settle(
        &self,
        encoder: &dyn Encoder,
        validation: &ShardSet,
        fit: &Fit,
        config: &Config,
    ) -> Result<u64> {
        const BATCHES: usize = 50;
        if validation.len() < 2 {
            return Err(failure!("the norms cannot adapt to one validation image"; "add --protocol frozen"));
        }
        let order = Order { seed: fit.seed, shuffle: Shuffle::Global, epochs: Some(1), ..Order::default() };
        let batch_size = fit.batch_size.min(validation.len() as usize);
        let mut batches = 0;
        for batch in whole_batches(validation, order, batch_size, config, self.device)?.by_ref().take(BATCHES)
        {
            let batch = batch?; // it keeps the memory of its images
            let images = batch.views.images().get(0);
            let features = network::features(encoder, &images, Mode::TRAINING, config.train.precision)?;
            let _ = tch::no_grad(|| self.head.logits(&features, true));
            batches += 1;
        }
        Ok(batches)
    }

    /// Classifies all samples and reports the accuracy.
    pub(in crate::eval) fn judge(&self, features: &Features) -> Result<Report> {
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

#[cfg(test)]
mod tests {
    use pipeline::Preset;

    use super::*;
    use crate::{eval::tiny, network::Network, optim::Decay};

    #[test]
    fn well_separated_classes_are_recognized() {
        let _alone = crate::testing::lock_generator();
        tch::manual_seed(6);
        let samples = || {
            let labels = Tensor::randint(3, [300], (Kind::Int64, Device::Cpu));
            let centres = Tensor::eye(8, (Kind::Float, Device::Cpu)).index_select(0, &labels) * 4.0;
            Features::of(&(centres + Tensor::randn([300, 8], (Kind::Float, Device::Cpu))), &labels).unwrap()
        };
        let (training, validation) = (samples(), samples());
        let fit = Fit {
            protocol: Protocol::Frozen,
            epochs: 40.0,
            lr: 1e-2,
            batch_size: 50,
            warmup_steps: None,
            schedule: Decay::Published,
            seed: 1,
        };
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
        let error = wild.err().unwrap();
        assert!(crate::hint::render(&error).contains("lower --lr"), "{error}");
    }

    fn bits(network: &Network) -> Vec<Tensor> {
        network.tensors().into_values().map(|tensor| tensor.copy()).collect()
    }

    #[test]
    fn only_the_reference_protocol_changes_the_encoder_and_only_its_running_statistics() {
        let _alone = crate::testing::lock_generator();
        let (_folder, set) = tiny::set(20);
        for (protocol, moves) in [(Protocol::Frozen, false), (Protocol::Reference, true)] {
            let (config, network) = tiny::encoder();
            let fit = Fit {
                protocol,
                epochs: 2.0,
                lr: 1e-3,
                batch_size: 6,
                warmup_steps: None,
                schedule: Decay::Published,
                seed: 1,
            };
            let before = bits(&network);
            let encoder = network.encoder();
            let training = Training::Views(encoder, &set, protocol);
            let classifier =
                Classifier::fit(HeadKind::Mlp, &training, 3, &fit, &config, Device::Cpu).unwrap();
            let fitted = bits(&network);
            let names = network.tensors().into_keys();
            for ((name, before), fitted) in names.zip(&before).zip(&fitted) {
                // The features depend on one norm only.
                let is_statistic = name.contains("layer_list.8.bn.")
                    && !name.contains("bn.weight")
                    && !name.contains("bn.bias");
                assert_eq!(!before.equal(fitted), moves && is_statistic, "{protocol:?}: {name}");
            }
            if moves {
                assert_eq!(
                    classifier.settle(encoder, &set, &fit, &config).unwrap(),
                    3,
                    "20 images are 3 batches of 6"
                );
                assert!(bits(&network).iter().zip(&fitted).any(|(now, then)| !now.equal(then)));
            }
        }
    }

    #[test]
    fn the_reference_draws_the_weights_of_the_classifiers_norm() {
        let _alone = crate::testing::lock_generator();
        let weights = |protocol| {
            tch::manual_seed(3);
            let vars = VarStore::new(Device::Cpu);
            let _head = Head::new(HeadKind::Mlp, &vars, 4, 3, protocol);
            vars.variables().into_iter().find(|(name, _)| name == "3.weight").unwrap().1.copy()
        };
        let drawn = weights(Protocol::Reference);
        let [low, high, mean] =
            [drawn.min(), drawn.max(), drawn.mean(Kind::Float)].map(|value| value.double_value(&[]));
        assert!((0.0..0.02).contains(&low) && (0.98..1.0).contains(&high) && (mean - 0.5).abs() < 0.05);
        assert!(weights(Protocol::Frozen).eq(1.0).all().int64_value(&[]) == 1);
    }
}
