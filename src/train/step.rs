//! One update of a network, queued on the device kernel by kernel or as one recorded graph.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::optim::Optimizer;
use crate::{
    config::{Config, TrainConfig},
    loss,
    method::{self, ComputeOptions, Loss},
    metrics::{ProbeMetrics, StepMetrics},
    network::{Network, OnlineProbe},
    run::batch::norm_groups,
    views::Views,
    world::World,
};
use torchkit::{Accelerator, Choice, Event, Graph, Stream};

/// Everything that a step changes.
pub(crate) struct Learner {
    pub(crate) network: Network,
    pub(crate) optimizer: Optimizer,
    train: TrainConfig,
    world: World,
}

impl Learner {
    pub(crate) fn new(network: Network, config: &Config, world: World) -> Self {
        let optimizer = Optimizer::with_probe(network.vars(), OnlineProbe::PATH, &config.optim);
        let world = world.in_parts(config.train.accumulate);
        Self { network, optimizer, train: config.train.clone(), world }
    }

    /// Returns the processes that train the network.
    pub(crate) fn world(&self) -> World {
        self.world
    }

    /// Returns how a step on batches of `n` samples of this process is computed.
    fn compute(&self, n: i64) -> ComputeOptions {
        let all = self.world.samples(n);
        ComputeOptions {
            precision: self.network.precision(),
            parts: self.train.accumulate as i64,
            by_block: self.train.checkpoint_blocks,
            world: self.world,
            norm_groups: norm_groups(&self.train, self.network.method(), all),
        }
    }

    /// Computes the gradients of the method's objective on one batch, and its loss.
    pub(crate) fn backward(&mut self, views: &Views) -> Result<Loss> {
        let compute = self.compute(views.labels.size()[0]);
        self.optimizer.forget_gradients()?;
        self.network.method_mut().before_step(views, compute)?;
        method::backward(self.network.method(), views, compute)
    }

    /// Makes one update on one batch. The host does not wait for the device, since all inputs of the update
    /// are there.
    ///
    /// If another process is lost, nothing has changed: the state is that before the step.
    fn update(&mut self, views: &Views) -> Result<StepMetrics> {
        let before = self.world.has_others().then(|| self.statistics().map(|tensor| tensor.copy()).collect());
        let gradients = match before {
            None => self.gradients(views),
            Some(before) => {
                let computed =
                    torchkit::caught(|| self.gradients(views)).map_err(anyhow::Error::from).flatten();
                computed.inspect_err(|_| self.undo(before))
            }
        };
        let Gradients { loss, probe, total } = gradients?;
        let is_broken = self.optimizer.update(&total)?;
        self.network.method_mut().after_step(&is_broken);
        Ok(StepMetrics::of(&loss, probe, is_broken))
    }

    /// Returns the running statistics, which forward passes change.
    fn statistics(&self) -> impl Iterator<Item = Tensor> {
        let is_statistic = |name: &str| {
            ["running_mean", "running_var", "num_batches_tracked"].iter().any(|end| name.ends_with(end))
        };
        let named = self.network.tensors().into_iter();
        named.filter(move |(name, _)| is_statistic(name)).map(|(_, tensor)| tensor)
    }

    /// Returns the state to that before a step whose gradients could not be computed, where the running statistics were
    /// `before`.
    fn undo(&mut self, before: Vec<Tensor>) {
        let undone = torchkit::caught(|| {
            tch::no_grad(|| self.statistics().zip(&before).for_each(|(mut now, before)| now.copy_(before)));
            let is_broken = Tensor::ones([], (Kind::Float, self.network.vars().device()));
            self.network.method_mut().after_step(&is_broken);
        });
        if let Err(failure) = undone {
            tracing::warn!("the state before the step cannot be restored: {failure}");
        }
    }

    /// Computes the gradients of all processes' batch.
    fn gradients(&mut self, views: &Views) -> Result<Gradients> {
        let loss = self.backward(views)?;
        let (probe, total) = match self.network.probe() {
            Some(probe) => {
                // Every process trains it on the features of all, so that its gradients are alike.
                let (features, labels) =
                    (self.world.gather(&loss.features, 1), self.world.gather(&views.labels, 0));
                let (metrics, probe_loss) = probe_backward(probe, &features.flatten(0, 1), &labels);
                (Some(metrics), probe_loss + &loss.total)
            }
            None => (None, loss.total.shallow_clone()),
        };
        // The mean is not finite if any process has a number that is not, so either all processes skip the
        // update or none does.
        self.world.average(|| {
            let gradients = self.optimizer.gradients().into_iter();
            gradients.chain([total.shallow_clone()]).chain(self.own_statistics(views)).collect()
        })?;
        self.wait_for_average()?;
        Ok(Gradients { loss, probe, total })
    }

    /// Returns the running statistics that are those of this process's samples: they follow the mean over all processes.
    fn own_statistics(&self, views: &Views) -> Vec<Tensor> {
        let compute = self.compute(views.labels.size()[0]);
        if compute.norm_groups == compute.parts {
            return Vec::new(); // all processes normalize together
        }
        self.statistics().filter(Tensor::is_floating_point).collect()
    }

    /// Waits until the gradients of all processes have arrived on a GPU: if a process is lost on the way, its GPU's share
    /// is missing in them, and they must not be used.
    fn wait_for_average(&self) -> Result<()> {
        let device = Accelerator::of(self.network.vars().device());
        if self.world.has_others() && device.is_some() {
            let arrived = Event::new(device)?;
            arrived.record(Stream::current(device)?)?;
            arrived.wait()?;
            self.world.check()?;
        }
        Ok(())
    }
}

/// A step whose gradients are those of all processes' batch.
struct Gradients {
    loss: Loss,
    probe: Option<ProbeMetrics>,
    /// The loss that is minimized, that of the probe included.
    total: Tensor,
}

/// Adds the gradients of the online probe's loss on a batch to those of its parameters. Returns its numbers
/// and the loss, without a graph.
fn probe_backward(probe: &OnlineProbe, features: &Tensor, labels: &Tensor) -> (ProbeMetrics, Tensor) {
    let labels = labels.repeat([features.size()[0] / labels.size()[0]]);
    let logits = probe.logits(features, true);
    let losses = OnlineProbe::losses(&logits, &labels);
    let loss = &losses.mlp + &losses.linear;
    loss.backward();
    let accuracy = logits.map(|logits| loss::accuracy(logits, &labels));
    let metrics = ProbeMetrics {
        mlp_loss: losses.mlp.detach(),
        linear_loss: losses.linear.detach(),
        mlp: accuracy.mlp,
        linear: accuracy.linear,
    };
    (metrics, loss.detach())
}

/// The way updates are queued: kernel by kernel, or as one graph that is recorded after the first few
/// updates.
pub(crate) struct StepGraph {
    choice: Choice,
    device: Device,
    /// Updates still to be made kernel by kernel: in the first ones, libraries choose their algorithms and
    /// take their memory.
    warm_up: u32,
    recorded: Option<RecordedStep>,
}

/// A recorded update, on a batch in memory of its own.
struct RecordedStep {
    replay: Replay,
    batch: Views,
    metrics: StepMetrics,
}

enum Replay {
    Graph(Graph),
    /// A stand-in for tests: the host repeats the update instead of replaying a graph.
    #[cfg(test)]
    Again,
}

impl StepGraph {
    const WARM_UP: u32 = 3;

    /// With `auto`, a GPU records its steps; with `on`, the CPU tries to, and says that it cannot.
    pub(crate) fn new(choice: Choice, device: Device) -> Self {
        Self { choice, device, warm_up: Self::WARM_UP, recorded: None }
    }

    /// Queues one update on one batch.
    pub(crate) fn update(&mut self, learner: &mut Learner, views: &Views) -> Result<StepMetrics> {
        if self.is_due() {
            self.record(learner, views)?;
        }
        match &self.recorded {
            Some(recorded) if recorded.fits(views) => recorded.update(learner, views),
            _ => learner.update(views),
        }
    }

    /// Returns whether updates are queued as one graph.
    pub(crate) fn is_recorded(&self) -> bool {
        self.recorded.is_some()
    }

    /// Counts an update, and returns whether it is the one to be recorded.
    fn is_due(&mut self) -> bool {
        let wanted = match self.choice {
            Choice::Off => false,
            Choice::Auto => self.device.is_cuda(),
            Choice::On => true,
        };
        if !wanted || self.recorded.is_some() {
            return false;
        }
        let is_warm = self.warm_up == 0;
        self.warm_up = self.warm_up.saturating_sub(1);
        is_warm
    }

    /// Records an update without making it. Where recording fails, the run goes on kernel by kernel.
    fn record(&mut self, learner: &mut Learner, views: &Views) -> Result<()> {
        self.choice = Choice::Off; // not tried again
        // The graph allocates the gradients itself.
        learner.optimizer.forget_gradients()?;
        let batch = copied(views);
        match Graph::record(self.device, || learner.update(&batch)) {
            Ok((graph, metrics)) => {
                tracing::debug!("steps are queued as one CUDA graph from here on");
                self.recorded = Some(RecordedStep { replay: Replay::Graph(graph), batch, metrics });
            }
            Err(error) => {
                tracing::warn!(
                    "steps are queued kernel by kernel, as no CUDA graph can be recorded: {error:#}"
                );
            }
        }
        Ok(())
    }
}

impl RecordedStep {
    /// Returns whether the recorded batch has the size of this one.
    fn fits(&self, views: &Views) -> bool {
        let sizes = |views: &Views| views.groups.iter().map(Tensor::size).collect::<Vec<_>>();
        sizes(&self.batch) == sizes(views)
    }

    #[cfg_attr(not(test), expect(unused_variables, reason = "the device knows the learner"))]
    fn update(&self, learner: &mut Learner, views: &Views) -> Result<StepMetrics> {
        let numbers = [(&self.batch.labels, &views.labels), (&self.batch.indices, &views.indices)];
        for (batch, views) in self.batch.groups.iter().zip(&views.groups).chain(numbers) {
            batch.shallow_clone().copy_(views);
        }
        match &self.replay {
            Replay::Graph(graph) => graph.replay()?,
            #[cfg(test)]
            Replay::Again => {
                let metrics = learner.update(&self.batch)?;
                self.metrics.values.shallow_clone().copy_(&metrics.values);
                self.metrics.is_broken.shallow_clone().copy_(&metrics.is_broken);
            }
        }
        Ok(self.metrics.copied()) // the next update overwrites them
    }
}

/// Returns the same batch in other memory of the same layout.
fn copied(views: &Views) -> Views {
    let Views { groups, labels, indices, next } = views;
    let groups = groups.iter().map(Tensor::copy).collect();
    Views { groups, labels: labels.copy(), indices: indices.copy(), next: *next }
}

#[cfg(test)]
mod tests {
    use shards::Position;

    use super::*;
    use crate::{optim::Schedule, train::Trainer};

    const FLOATS: (Kind, Device) = (Kind::Float, Device::Cpu);

    fn trainer(choice: Choice) -> Trainer {
        let mut config = Config::preset(pipeline::Preset::C10);
        config.encoder =
            crate::encoder::amdim::Config { ndf: 4, n_rkhs: 16, n_depth: 1, use_bn: false }.into();
        config.run.cuda_graph = choice;
        let schedule = Schedule::new(&config.optim, 100, 10.0);
        Trainer::new(&config, (8, Some(3)), Device::Cpu, schedule, World::ALONE).unwrap()
    }

    fn batch(number: i64) -> Views {
        tch::manual_seed(100 + number);
        let images = Tensor::randn([2, 8, 32, 32, 3], FLOATS).permute([0, 1, 4, 2, 3]);
        let labels = Tensor::randint(3, [8], (Kind::Int64, Device::Cpu));
        let indices = Tensor::arange(8, (Kind::Int64, Device::Cpu)) + 8 * number;
        Views { groups: vec![images], labels, indices, next: Position::default() }
    }

    fn bits(trainer: &Trainer) -> Vec<Tensor> {
        trainer
            .network()
            .tensors()
            .into_values()
            .chain(trainer.moments().into_values())
            .map(|t| t.copy())
            .collect()
    }

    /// A recorded update uses each batch, learning rate and seed, and the metrics of a step are not
    /// overwritten by the next one. The host plays the device here: it makes the recorded update again.
    #[test]
    fn recorded_updates_equal_updates_that_are_queued_kernel_by_kernel() {
        let _alone = crate::testing::lock_generator();
        let (mut plain, mut recorded) = (trainer(Choice::Off), trainer(Choice::Off));
        let (mut plainly, mut again) = (Vec::new(), Vec::new());
        for number in 0..6 {
            if number == 2 {
                let batch = copied(&batch(50));
                let first: &StepMetrics = plainly.first().unwrap();
                let (values, is_broken) = (first.values.zeros_like(), first.is_broken.zeros_like());
                let metrics = StepMetrics { parts: first.parts.clone(), values, is_broken };
                recorded.graph.recorded = Some(RecordedStep { replay: Replay::Again, batch, metrics });
            }
            plainly.push(plain.step(&batch(number)).unwrap().metrics);
            again.push(recorded.step(&batch(number)).unwrap().metrics);
        }
        let differ = |a: &Tensor, b: &Tensor| a.ne_tensor(b).any().int64_value(&[]) != 0;
        assert!(plainly.iter().zip(&again).all(|(a, b)| a.parts == b.parts && !differ(&a.values, &b.values)));
        assert!(plainly.iter().zip(&again).all(|(a, b)| !differ(&a.is_broken, &b.is_broken)));
        assert!(differ(&again[4].values, &again[5].values), "a step's values are those of the next one");
        assert!(bits(&plain).iter().zip(bits(&recorded)).all(|(a, b)| !differ(a, &b)));
        assert_eq!(recorded.step_count(), 6);
        recorded.check().unwrap();
    }

    #[test]
    fn a_step_that_cannot_be_recorded_is_made_kernel_by_kernel() {
        let _alone = crate::testing::lock_generator();
        let (mut plain, mut asked) = (trainer(Choice::Off), trainer(Choice::On));
        for number in 0..5 {
            plain.step(&batch(number)).unwrap();
            asked.step(&batch(number)).unwrap();
        }
        assert!(!asked.is_recorded() && asked.step_count() == 5);
        assert!(bits(&plain).iter().zip(bits(&asked)).all(|(a, b)| a.equal(&b)));
    }
}
