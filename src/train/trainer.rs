//! A network in training: one update after the other.

use std::panic::panic_any;

use anyhow::Result;
use dataset::Random;
use tch::{Device, Tensor};

use super::{learner::Learner, step::StepGraph};
use crate::{
    checkpoint::{Loaded, Named},
    config::Config,
    device,
    metrics::{ScoreMetrics, StepMetrics, StepNumbers},
    network::Network,
    optim::{OptimizerName, Schedule},
    usage,
    views::Views,
    world::World,
};
use torchkit::{Accelerator, Choice, Failure, Readback};

/// A network, its optimizer and the learning-rate schedule of a run.
pub struct Trainer {
    pub(super) learner: Learner,
    schedule: Schedule,
    seed: u64,
    pub(crate) graph: StepGraph,
    unchecked: Vec<UncheckedStep>,
}

/// A step whose numbers the host has not yet checked to be finite.
#[derive(Debug)]
struct UncheckedStep {
    step: u64,
    metrics: StepMetrics,
    indices: Tensor,
}

impl std::fmt::Debug for Trainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer").field("step", &self.step_count()).finish_non_exhaustive()
    }
}

/// The result of a step.
#[derive(Debug)]
pub struct StepOutcome {
    /// The loss, its parts, and the probe's numbers, on the device.
    pub metrics: StepMetrics,
    /// The loss at chance level.
    pub chance: f64,
    /// The learning rate.
    pub lr: f64,
    /// The distribution of the scores, if it was [asked for](Trainer::with_scores). Steps that are replayed as a graph have
    /// none.
    pub scores: Option<ScoreMetrics>,
}

/// Steps whose flags, which say whether their numbers were not finite, are on their way to the host.
#[derive(Debug)]
pub struct PendingCheck {
    steps: Vec<UncheckedStep>,
    /// None if there are no steps.
    flags: Option<Readback>,
}

impl PendingCheck {
    /// Returns the last of the steps, or 0 if there are none.
    pub fn last(&self) -> u64 {
        self.steps.last().map_or(0, |unchecked| unchecked.step)
    }

    /// Waits for these steps, but not for later ones, and returns the first one whose numbers were not
    /// finite.
    ///
    /// # Errors
    ///
    /// If the device's numbers cannot be read.
    ///
    /// # Panics
    ///
    /// If the indices of a broken step's samples cannot be read.
    pub fn finish(self) -> Result<Option<BrokenStep>, Failure> {
        let Some(flags) = self.flags else { return Ok(None) };
        let broken = self.steps.iter().zip(flags.read()?).find(|(_, flag)| *flag != 0.0);
        Ok(broken.map(|(UncheckedStep { step, metrics, indices }, _)| {
            let indices = Vec::<i64>::try_from(indices).expect("an index for each sample");
            BrokenStep { step: *step, numbers: metrics.read(), indices }
        }))
    }
}

/// A step whose loss or gradients were not finite. It updated nothing, and neither did the steps after it.
#[derive(Debug)]
pub struct BrokenStep {
    /// The number that the step would have had.
    pub step: u64,
    /// Its loss, parts of the loss, and probe numbers.
    pub numbers: StepNumbers,
    /// The indices of its samples.
    pub indices: Vec<i64>,
}

impl Trainer {
    /// Initializes a network and its optimizer, which the processes of `world` train together on a set of
    /// `samples` samples, `classes` if they are labelled. The same seed gives the same network on every
    /// device.
    ///
    /// # Errors
    ///
    /// If the device does not have the memory for them.
    pub fn new(
        config: &Config,
        (samples, classes): (u64, Option<u32>),
        device: Device,
        schedule: Schedule,
        world: World,
    ) -> Result<Self> {
        let network = Network::new(config, samples, classes, device)?;
        let size_flags = config.encoder.chosen().size_flags();
        let cures = || vec![format!("choose a smaller model with {size_flags}")];
        let learner = || Ok(Learner::new(network, config, world));
        Ok(Self {
            learner: device::within_memory(device, || "the optimizer".to_owned(), cures, learner)?,
            schedule,
            seed: config.seed,
            // Collectives are not recorded.
            graph: StepGraph::new(if world.size() > 1 { Choice::Off } else { config.run.cuda_graph }, device),
            unchecked: Vec::new(),
        })
    }

    /// Returns the network.
    pub fn network(&self) -> &Network {
        &self.learner.network
    }

    /// Returns the processes that train the network.
    pub fn world(&self) -> World {
        self.learner.world()
    }

    /// Updates made so far.
    pub fn step_count(&self) -> u64 {
        self.learner.optimizer.updates()
    }

    /// Returns the learning rate of each step.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Returns the loss at chance level, where each process has batches of `n` samples.
    pub fn chance(&self, n: i64) -> f64 {
        self.network().method().chance(self.world().samples(n))
    }

    /// Returns whether steps are queued as one recorded graph.
    pub fn is_recorded(&self) -> bool {
        self.graph.is_recorded()
    }

    /// Says whether the next steps compute the distribution of their scores.
    pub fn with_scores(&mut self, with_scores: bool) {
        self.learner.with_scores = with_scores;
    }

    /// Queues one update on one batch, without waiting for the device.
    ///
    /// Random numbers derive from the seed and the step, so there is no generator state to save. If the
    /// numbers of the step are not finite, only batch-norm statistics are updated, and [`check`](Self::check)
    /// returns an error.
    pub fn step(&mut self, views: &Views) -> Result<StepOutcome> {
        let step = self.step_count();
        let lr = self.schedule.at(step);
        if self.learner.is_cold() {
            tch::manual_seed(0); // alike on all processes
            self.learner.warm_up(views)?;
        }
        tch::manual_seed(Random::after(self.seed, step).next_u64().cast_signed());
        self.learner.optimizer.set_lr(lr);
        let metrics = self.graph.update(&mut self.learner, views)?;
        self.learner.optimizer.count();
        let chance = self.chance(views.labels.size()[0]);
        let (shared, indices) = (metrics.shared(), views.indices.copy());
        self.unchecked.push(UncheckedStep { step: step + 1, metrics: shared, indices });
        Ok(StepOutcome { metrics, chance, lr, scores: self.learner.scores.take() })
    }

    /// Waits for the steps since the last check.
    ///
    /// # Errors
    ///
    /// The first step whose numbers were not finite.
    ///
    /// # Panics
    ///
    /// If the device's numbers cannot be read.
    pub fn check(&mut self) -> Result<(), Box<BrokenStep>> {
        match self.begin_check().and_then(PendingCheck::finish) {
            Ok(None) => Ok(()),
            Ok(Some(broken)) => Err(Box::new(broken)),
            Err(failure) => panic_any(failure),
        }
    }

    /// Queues a read of the flags of the steps since the last check, without waiting for it.
    ///
    /// # Errors
    ///
    /// If the device refuses the copy.
    pub fn begin_check(&mut self) -> Result<PendingCheck, Failure> {
        let steps = std::mem::take(&mut self.unchecked);
        if steps.is_empty() {
            return Ok(PendingCheck { steps, flags: None });
        }
        let flags: Vec<_> = steps.iter().map(|step| &step.metrics.is_broken).collect();
        let flags =
            Readback::queue(&Tensor::stack(&flags, 0), Accelerator::of(self.network().vars().device()))?;
        Ok(PendingCheck { steps, flags: Some(flags) })
    }

    /// Queues a read of whether every parameter, statistic and moment is a finite number: 1 if so, else 0.
    ///
    /// # Errors
    ///
    /// If the device lacks memory or refuses the copy.
    pub(crate) fn begin_finite_check(&self) -> Result<Readback, Failure> {
        let tensors = self.network().tensors().into_values().chain(self.moments().into_values());
        let floats: Vec<_> = tensors.filter(Tensor::is_floating_point).collect();
        let is_finite = torchkit::all_finite(&floats.iter().collect::<Vec<_>>())?;
        Readback::queue(&is_finite.view(1), Accelerator::of(self.network().vars().device()))
    }

    /// Returns the names of the parameters whose gradients in the last step are not finite numbers.
    pub fn broken_gradients(&self) -> Vec<String> {
        let is_broken = |tensor: &Tensor| {
            let gradient = tensor.grad();
            gradient.defined() && gradient.isfinite().all().int64_value(&[]) == 0
        };
        let named = self.network().tensors();
        named.into_iter().filter(|(_, tensor)| is_broken(tensor)).map(|(name, _)| name).collect()
    }

    /// Returns the optimizer's moments by name. They share its memory.
    pub fn moments(&self) -> Named {
        self.learner.optimizer.moments()
    }

    /// Replaces the encoder by that of a checkpoint of another run.
    ///
    /// # Errors
    ///
    /// If the checkpoint has another encoder.
    pub fn warm_start(&mut self, loaded: &Loaded) -> Result<()> {
        loaded.restore_encoder(&self.network().tensors())?;
        self.learner.network.method_mut().after_warm_start();
        Ok(())
    }

    /// Restores the tensors and the step of a checkpoint.
    ///
    /// # Errors
    ///
    /// If the checkpoint is of another optimizer, or has other tensors than this network and its optimizer.
    pub fn restore(&mut self, loaded: &Loaded) -> Result<()> {
        let [saved, own] =
            [loaded.state.config.optim.name, self.learner.optimizer.name()].map(OptimizerName::name);
        if saved != own {
            return Err(usage!(
                "the checkpoint `{}` has the state of the optimizer {saved}, from which {own} cannot continue", loaded.path.display();
                "resume with --optimizer {saved}, or begin a new run with its encoder: --warm-start"
            ));
        }
        self.network().restore(loaded)?;
        loaded.restore_optimizer(&self.moments())?;
        self.resume(loaded.state.step);
        Ok(())
    }

    /// Continues after a step whose tensors were restored.
    pub(crate) fn resume(&mut self, step: u64) {
        self.learner.optimizer.resume(step);
    }
}
