//! A model with everything that a step changes.

use std::panic::panic_any;

use anyhow::Result;
use dataset::Random;
use tch::{Device, Kind, Tensor, nn::VarStore};

use super::step::{Found, Model, StepGraph};
use crate::optim::Schedule;
use crate::{
    checkpoint::{Loaded, Named},
    config::Config,
    device,
    encoder::Encoder,
    eval::{self, probe::Both},
    loss,
    views::Views,
};
use torchkit::{Accelerator, Failure, Readback};

/// Model, probe and optimizer of a run.
pub struct Trainer {
    model: Model,
    schedule: Schedule,
    seed: u64,
    pub(super) graph: StepGraph,
    unchecked: Vec<Unchecked>,
}

/// A step of which the host does not know yet whether its numbers are finite.
#[derive(Debug)]
struct Unchecked {
    step: u64,
    found: Found,
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
    pub found: Found,
    /// The value of the loss at chance level.
    pub chance: f64,
    /// The learning rate.
    pub lr: f64,
}

/// What the encoder makes of a validation batch.
#[derive(Debug)]
pub struct Judged {
    /// (n, width).
    pub features: Tensor,
    /// Accuracies of the online probe on the labelled samples, where there are any.
    pub accuracy: Option<Both<f64>>,
    /// Their number.
    pub labelled: f64,
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
    /// What the step found, by name.
    pub found: Vec<(&'static str, f64)>,
    /// The samples' numbers in the whole set.
    pub indices: Vec<i64>,
}

impl Trainer {
    /// A freshly initialized model, the same for the same seed on every device.
    ///
    /// # Errors
    ///
    /// If the device has no room for it.
    pub fn new(config: &Config, classes: Option<u32>, device: Device, schedule: Schedule) -> Result<Self> {
        tch::manual_seed(mixed(config.seed, u64::MAX));
        let cures = || vec!["choose a smaller model with --ndf, --n-rkhs or --n-depth".to_owned()];
        let build = || Ok(Model::new(config, classes, device));
        Ok(Self {
            model: device::within_memory(device, || "the model".to_owned(), cures, build)?,
            schedule,
            seed: config.seed,
            graph: StepGraph::new(config.run.cuda_graph, device),
            unchecked: Vec::new(),
        })
    }

    /// Updates made so far.
    pub fn step_count(&self) -> u64 {
        self.model.adam.updates()
    }

    /// The learning rate, step by step.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// A model as [`new`](Self::new) makes it, that is not trained any further.
    pub fn untrained(config: &Config, classes: Option<u32>, device: Device) -> Result<Self> {
        Self::new(config, classes, device, Schedule::new(&config.optim, 1, 1.0))
    }

    /// Numbers that are trained, those of the probe included.
    pub fn parameters(&self) -> usize {
        self.model.vars.trainable_variables().iter().map(Tensor::numel).sum()
    }

    /// Whether steps are queued as one recorded graph by now.
    pub fn is_recorded(&self) -> bool {
        self.graph.is_recorded()
    }

    /// The largest batch that CUDA can index, if it is encoded in so many parts.
    pub fn largest_batch(&self, parts: usize) -> usize {
        self.model.method.largest_batch(parts as i64) as usize
    }

    /// The loss to expect of features that say nothing.
    pub fn chance(&self, batch_size: usize) -> f64 {
        self.model.method.chance(batch_size as i64)
    }

    /// Multiply-accumulates of a step.
    pub fn macs(&self, batch_size: usize) -> f64 {
        self.model.method.macs(batch_size as i64)
    }

    /// One update on one batch, queued on the device: nothing is waited for.
    ///
    /// All that is drawn during the step derives from the seed and the step: there is no generator state to save. Where the
    /// numbers are not finite, nothing is updated but batch-norm statistics; [`check`](Self::check) tells.
    pub fn step(&mut self, views: &Views) -> Result<Outcome> {
        let step = self.step_count();
        let lr = self.schedule.at(step);
        tch::manual_seed(mixed(self.seed, step));
        self.model.adam.set_lr(lr);
        let found = self.graph.update(&mut self.model, views)?;
        self.model.adam.count();
        let chance = self.model.method.chance(views.labels.size()[0]);
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
    pub fn check(&mut self) -> Result<(), Broken> {
        let broken = self.begin_check().and_then(Checking::finish);
        broken.unwrap_or_else(|failure| panic_any(failure)).map_or(Ok(()), Err)
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
        let flags = Readback::queue(&Tensor::stack(&flags, 0), Accelerator::of(self.vars().device()))?;
        Ok(Checking { steps, flags: Some(flags) })
    }

    /// One batch of single views in evaluation mode.
    pub fn judge(&self, views: &Views) -> Result<Judged> {
        let features = eval::frozen(self.encoder(), &views.images.get(0), self.model.precision())?;
        Ok(tch::no_grad(|| {
            let labelled = views.labels.ge(0).sum(Kind::Float).double_value(&[]);
            let probe = self.model.probe.as_ref().filter(|_| labelled > 0.0);
            let accuracy = probe.map(|probe| {
                let accuracy = |logits: &Tensor| loss::accuracy(logits, &views.labels).double_value(&[]);
                probe.logits(&features, false).map(accuracy)
            });
            Judged { features, accuracy, labelled }
        }))
    }

    /// Whether every parameter, statistic and moment is a finite number.
    pub fn is_finite(&self) -> bool {
        let all = self.model().into_values().chain(self.moments().into_values());
        let finite = |tensor: &Tensor| tensor.isfinite().all().int64_value(&[]) == 1;
        all.filter(Tensor::is_floating_point).all(|tensor| finite(&tensor))
    }

    /// The parameters whose gradients of the last step are not finite numbers.
    pub fn broken_gradients(&self) -> Vec<String> {
        let is_broken = |tensor: &Tensor| {
            let gradient = tensor.grad();
            gradient.defined() && gradient.isfinite().all().int64_value(&[]) == 0
        };
        let named: Named = self.model();
        named.into_iter().filter(|(_, tensor)| is_broken(tensor)).map(|(name, _)| name).collect()
    }

    /// What is trained.
    pub fn encoder(&self) -> &dyn Encoder {
        self.model.method.encoder()
    }

    /// Where all of the model's tensors are.
    pub fn vars(&self) -> &VarStore {
        &self.model.vars
    }

    /// Parameters and statistics by name, sharing the model's memory.
    pub fn model(&self) -> Named {
        self.model.vars.variables().into_iter().collect()
    }

    /// The optimizer's moments by name, sharing its memory.
    pub fn moments(&self) -> Named {
        self.model.adam.moments()
    }

    /// Takes over the model of a checkpoint.
    pub fn restore_model(&self, loaded: &Loaded) -> Result<()> {
        loaded.restore_model(&self.model())
    }

    /// Takes over the tensors and the step of a checkpoint.
    pub fn restore(&mut self, loaded: &Loaded) -> Result<()> {
        self.restore_model(loaded)?;
        loaded.restore_optimizer(&self.moments())?;
        self.model.adam.resume(loaded.state.step);
        Ok(())
    }
}

/// A generator seed from the run's seed and a number.
fn mixed(seed: u64, number: u64) -> i64 {
    Random::after(seed, number).next_u64().cast_signed()
}
