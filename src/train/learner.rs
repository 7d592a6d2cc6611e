//! A network in training, its optimizer, and one update of both.

use anyhow::Result;
use pipeline::trace;
use tch::{Kind, Tensor};

use super::averaging::{Averaging, Trained};
use crate::optim::Optimizer;
use crate::{
    config::{Config, TrainConfig},
    loss,
    method::{self, ComputeOptions, Loss, Stage},
    metrics::{ProbeMetrics, ScoreMetrics, StepMetrics},
    network::{Network, OnlineProbe},
    run::batch::norm_groups,
    views::Views,
    world::World,
};
use torchkit::{Accelerator, Event, Stream};

/// Everything that a step changes.
pub(crate) struct Learner {
    pub(crate) network: Network,
    pub(crate) optimizer: Optimizer,
    train: TrainConfig,
    world: World,
    /// None for a process without others, and before the first step.
    averaging: Option<Averaging>,
    /// The running statistics, which forward passes change.
    statistics: Vec<Tensor>,
    /// Whether the next updates compute the distribution of their scores.
    pub(super) with_scores: bool,
    /// The distribution of the scores of the last update.
    pub(super) scores: Option<ScoreMetrics>,
}

impl Learner {
    pub(crate) fn new(network: Network, config: &Config, world: World) -> Self {
        let optimizer = Optimizer::with_probe(network.vars(), OnlineProbe::PATH, &config.optim);
        let world = world.in_parts(config.train.accumulate);
        let is_statistic = |name: &str| {
            ["running_mean", "running_var", "num_batches_tracked"].iter().any(|end| name.ends_with(end))
        };
        let named = network.tensors().into_iter();
        let statistics = named.filter(|(name, _)| is_statistic(name)).map(|(_, tensor)| tensor).collect();
        let train = config.train.clone();
        let (with_scores, scores) = (false, None);
        Self { network, optimizer, train, world, averaging: None, statistics, with_scores, scores }
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
            with_scores: self.with_scores,
        }
    }

    /// Computes the gradients of the method's objective on one batch, and its loss.
    pub(crate) fn backward(&mut self, views: &Views) -> Result<Loss> {
        self.backward_in_stages(views, &|_| Ok(()))
    }

    fn backward_in_stages(&mut self, views: &Views, reach: &dyn Fn(Stage) -> Result<()>) -> Result<Loss> {
        let compute = self.compute(views.labels.size()[0]);
        match &self.averaging {
            Some(averaging) => averaging.begin()?,
            None => self.optimizer.forget_gradients()?,
        }
        self.network.method_mut().before_step(views, compute)?;
        let reach = |stage| {
            reach(stage)?;
            self.averaging.as_ref().map_or(Ok(()), |averaging| averaging.reach(stage))
        };
        method::backward_in_stages(self.network.method(), views, compute, &reach)
    }

    /// Returns whether [`warm_up`](Self::warm_up) is to precede the first update.
    pub(super) fn is_cold(&self) -> bool {
        self.world.has_others() && self.averaging.is_none()
    }

    /// Prepares the averaging of gradients by two steps on a batch that update nothing.
    ///
    /// # Errors
    ///
    /// If another process is lost.
    pub(super) fn warm_up(&mut self, views: &Views) -> Result<()> {
        let trained = Trained::default();
        self.taking_back(
            |_| true,
            |learner| {
                // The parameters are shared with the optimizer, which cannot be borrowed meanwhile.
                let parameters: Vec<_> = learner.optimizer.parameters().collect();
                learner.backward_in_stages(views, &|stage| {
                    trained.note(stage, &parameters);
                    Ok(())
                })
            },
        )?;
        self.averaging = Averaging::new(self.world, &self.optimizer, trained)?;
        self.taking_back(|_| true, |learner| learner.gradients(views)).map(drop)
    }

    /// Does work that changes the running statistics and the state of the method, and takes these changes back if
    /// `is_taken_back` says so of its result.
    fn taking_back<T>(
        &mut self,
        is_taken_back: impl FnOnce(&Result<T>) -> bool,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let before: Vec<_> = self.statistics.iter().map(Tensor::copy).collect();
        let done = torchkit::caught(|| work(self)).map_err(anyhow::Error::from).flatten();
        if is_taken_back(&done) {
            self.undo(&before);
        }
        done
    }

    /// Makes one update on one batch. The host does not wait for the device, since all inputs of the update
    /// are there.
    ///
    /// If another process is lost, nothing has changed: the state is that before the step.
    pub(super) fn update(&mut self, views: &Views) -> Result<StepMetrics> {
        let gradients = if self.world.has_others() {
            self.taking_back(Result::is_err, |learner| learner.gradients(views))
        } else {
            self.gradients(views)
        };
        let Gradients { loss, probe, total } = gradients?;
        self.scores = ScoreMetrics::of(&loss.scores);
        let is_broken = trace::span("optimizer", || self.optimizer.update(&total))?;
        self.network.method_mut().after_step(&is_broken);
        Ok(StepMetrics::of(&loss, probe, is_broken))
    }

    /// Returns the state to that before a step whose gradients could not be computed, where the running statistics were
    /// `before`.
    fn undo(&mut self, before: &[Tensor]) {
        let undone = torchkit::caught(|| {
            tch::no_grad(|| {
                self.statistics.iter_mut().zip(before).for_each(|(now, before)| now.copy_(before));
            });
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
                let (metrics, probe_loss) =
                    trace::span("probe", || probe_backward(probe, &features.flatten(0, 1), &labels));
                (Some(metrics), probe_loss + &loss.total)
            }
            None => (None, loss.total.shallow_clone()),
        };
        // The mean is not finite if any process has a number that is not, so either all processes skip the
        // update or none does.
        if let Some(averaging) = &self.averaging {
            let gradients = averaging.finish()?.into_iter();
            let rest = gradients.chain([total.shallow_clone()]).chain(self.own_statistics(views));
            trace::span("average gradients", || self.world.average(|| rest.collect()))?;
        }
        self.wait_for_average()?;
        Ok(Gradients { loss, probe, total })
    }

    /// Returns the running statistics that are those of this process's samples: they follow the mean over all processes.
    fn own_statistics(&self, views: &Views) -> Vec<Tensor> {
        let compute = self.compute(views.labels.size()[0]);
        if compute.norm_groups == compute.parts {
            return Vec::new(); // all processes normalize together
        }
        let statistics = self.statistics.iter().filter(|tensor| tensor.is_floating_point());
        statistics.map(Tensor::shallow_clone).collect()
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
