//! A network in training: one update after the other.

use std::panic::panic_any;

use anyhow::Result;
use dataset::Random;
use tch::{Device, Tensor};

use super::step::{Learner, StepGraph, StepMetrics, StepNumbers};
use crate::{
    checkpoint::{Loaded, Named},
    config::Config,
    device,
    network::{self, Network},
    optim::Schedule,
    views::Views,
    world::World,
};
use torchkit::{Accelerator, Failure, Readback};

/// Model, probe and optimizer of a run.
pub struct Trainer {
    learner: Learner,
    schedule: Schedule,
    seed: u64,
    pub(crate) graph: StepGraph,
    unchecked: Vec<Unchecked>,
}

/// A step of which the host does not know yet whether its numbers are finite.
#[derive(Debug)]
struct Unchecked {
    step: u64,
    found: StepMetrics,
    indices: Tensor,
}

impl std::fmt::Debug for Trainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer").field("step", &self.step_count()).finish_non_exhaustive()
    }
}

/// What a step came to.
#[derive(Debug)]
pub struct Outcome {
    /// The loss, its parts, and what the probe reached.
    pub found: StepMetrics,
    /// The value of the loss at chance level.
    pub chance: f64,
    /// The learning rate.
    pub lr: f64,
}

/// Steps whose flags, of numbers that are not finite, are on their way to the host.
#[derive(Debug)]
pub struct Checking {
    steps: Vec<Unchecked>,
    /// None of no step.
    flags: Option<Readback>,
}

impl Checking {
    /// The last of the steps; 0 of none.
    pub fn last(&self) -> u64 {
        self.steps.last().map_or(0, |unchecked| unchecked.step)
    }

    /// Waits for these steps, but not for later ones; gives the first whose numbers were not finite.
    ///
    /// # Errors
    ///
    /// If the device's numbers cannot be read.
    ///
    /// # Panics
    ///
    /// If the numbers of a broken step's samples cannot be read.
    pub fn finish(self) -> Result<Option<Broken>, Failure> {
        let flags = self.flags.map_or(Ok(Vec::new()), |flags| flags.read())?;
        let found = self.steps.iter().zip(flags).find(|(_, flag)| *flag != 0.0);
        Ok(found.map(|(Unchecked { step, found, indices }, _)| {
            let indices = Vec::<i64>::try_from(indices).expect("an index for each sample");
            Broken { step: *step, found: found.read(), indices }
        }))
    }
}

/// The loss of a batch, or its gradients, were not finite numbers; that step and those after it updated nothing that is
/// kept.
#[derive(Debug)]
pub struct Broken {
    /// The step that it would have been.
    pub step: u64,
    /// What the step found.
    pub found: StepNumbers,
    /// The samples' numbers in the whole set.
    pub indices: Vec<i64>,
}

impl Trainer {
    /// A freshly initialized network and its optimizer, the same for the same seed on every device.
    ///
    /// # Errors
    ///
    /// If the device does not have the memory for them.
    pub fn new(config: &Config, classes: Option<u32>, device: Device, schedule: Schedule) -> Result<Self> {
        Self::of(Network::new(config, classes, device)?, config, schedule)
    }

    /// An optimizer for a network.
    ///
    /// # Errors
    ///
    /// If the device does not have the memory for its moments.
    pub fn of(network: Network, config: &Config, schedule: Schedule) -> Result<Self> {
        let device = network.vars().device();
        let cures = || vec!["choose a smaller model with --ndf, --n-rkhs or --n-depth".to_owned()];
        let learner = || Ok(Learner::new(network, config));
        Ok(Self {
            learner: device::within_memory(device, || "the optimizer".to_owned(), cures, learner)?,
            schedule,
            seed: config.seed,
            graph: StepGraph::new(config.run.cuda_graph, device),
            unchecked: Vec::new(),
        })
    }

    /// What is trained.
    pub fn network(&self) -> &Network {
        &self.learner.network
    }

    /// The processes that it is trained by.
    pub fn world(&self) -> World {
        self.learner.world()
    }

    /// Updates made so far.
    pub fn step_count(&self) -> u64 {
        self.learner.adam.updates()
    }

    /// The learning rate, step by step.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Whether steps are queued as one recorded graph by now.
    pub fn is_recorded(&self) -> bool {
        self.graph.is_recorded()
    }

    /// One update on one batch, queued on the device: nothing is waited for.
    ///
    /// All that is drawn during the step derives from the seed and the step: there is no generator state to save. Where the
    /// numbers are not finite, nothing is updated but batch-norm statistics; [`check`](Self::check) tells.
    pub fn step(&mut self, views: &Views) -> Result<Outcome> {
        let step = self.step_count();
        let lr = self.schedule.at(step);
        tch::manual_seed(Random::after(self.seed, step).next_u64().cast_signed());
        self.learner.adam.set_lr(lr);
        let found = self.graph.update(&mut self.learner, views)?;
        self.learner.adam.count();
        let chance = self.network().method().chance(views.labels.size()[0]);
        let (shared, indices) = (found.shared(), views.indices.copy());
        self.unchecked.push(Unchecked { step: step + 1, found: shared, indices });
        Ok(Outcome { found, chance, lr })
    }

    /// Waits for the steps since the last check.
    ///
    /// # Errors
    ///
    /// The first of them whose numbers were not finite.
    ///
    /// # Panics
    ///
    /// If the device's numbers cannot be read.
    pub fn check(&mut self) -> Result<(), Box<Broken>> {
        let broken = self.begin_check().and_then(Checking::finish);
        broken.unwrap_or_else(|failure| panic_any(failure)).map_or(Ok(()), |broken| Err(Box::new(broken)))
    }

    /// Asks for the flags of the steps since the last check; nothing is waited for.
    ///
    /// # Errors
    ///
    /// If the device cannot be asked.
    pub fn begin_check(&mut self) -> Result<Checking, Failure> {
        let steps = std::mem::take(&mut self.unchecked);
        if steps.is_empty() {
            return Ok(Checking { steps, flags: None });
        }
        let flags: Vec<_> = steps.iter().map(|step| step.found.is_broken()).collect();
        let flags =
            Readback::queue(&Tensor::stack(&flags, 0), Accelerator::of(self.network().vars().device()))?;
        Ok(Checking { steps, flags: Some(flags) })
    }

    /// Whether every parameter, statistic and moment is a finite number.
    pub fn is_finite(&self) -> bool {
        self.network().is_finite() && self.moments().values().all(network::is_finite)
    }

    /// The parameters whose gradients of the last step are not finite numbers.
    pub fn broken_gradients(&self) -> Vec<String> {
        let is_broken = |tensor: &Tensor| {
            let gradient = tensor.grad();
            gradient.defined() && gradient.isfinite().all().int64_value(&[]) == 0
        };
        let named = self.network().tensors();
        named.into_iter().filter(|(_, tensor)| is_broken(tensor)).map(|(name, _)| name).collect()
    }

    /// The optimizer's moments by name, sharing its memory.
    pub fn moments(&self) -> Named {
        self.learner.adam.moments()
    }

    /// Takes over the tensors and the step of a checkpoint.
    pub fn restore(&mut self, loaded: &Loaded) -> Result<()> {
        self.network().restore(loaded)?;
        loaded.restore_optimizer(&self.moments())?;
        self.learner.adam.resume(loaded.state.step);
        Ok(())
    }
}
