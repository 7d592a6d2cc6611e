//! The device's part of a step, queued kernel by kernel or as one recorded graph.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::optim::Adam;
use crate::{
    config::Config,
    loss,
    method::{self, ComputeOptions, Loss},
    metrics::ProbeNumbers,
    network::{Network, OnlineProbe},
    views::Views,
    world::World,
};
use torchkit::{Accelerator, Failure, Graph, GraphChoice, Readback};

/// What a step found, on the device.
#[derive(Debug)]
pub struct StepMetrics {
    /// The names of the parts of the method's loss.
    parts: Vec<&'static str>,
    /// The loss, its parts, and of labelled data the probe's numbers, f32, as [`StepNumbers`] takes them.
    values: Tensor,
    /// Whether the step updated nothing, because its numbers were not finite: 1 or 0.
    is_broken: Tensor,
}

impl StepMetrics {
    fn of(loss: &Loss, probe: Option<[Tensor; 4]>, is_broken: Tensor) -> Self {
        let (parts, values): (Vec<_>, Vec<_>) =
            loss.parts.iter().map(|(name, value)| (*name, value.shallow_clone())).unzip();
        let all = [loss.total.shallow_clone()].into_iter().chain(values).chain(probe.into_iter().flatten());
        let all: Vec<_> = all.map(|value| value.to_kind(Kind::Float)).collect();
        Self { parts, values: Tensor::stack(&all, 0), is_broken }
    }

    /// The same scalars, on the same memory.
    pub(crate) fn shared(&self) -> Self {
        Self {
            parts: self.parts.clone(),
            values: self.values.shallow_clone(),
            is_broken: self.is_broken.shallow_clone(),
        }
    }

    /// The same scalars, in memory of their own.
    fn copied(&self) -> Self {
        Self { parts: self.parts.clone(), values: self.values.copy(), is_broken: self.is_broken.copy() }
    }

    /// Whether the step updated nothing: 1 or 0.
    pub(crate) fn is_broken(&self) -> &Tensor {
        &self.is_broken
    }

    /// The method's loss, waited for.
    pub fn loss(&self) -> f64 {
        self.values.double_value(&[0])
    }

    /// Adds the numbers of another step.
    pub(crate) fn add(&mut self, other: &Self) {
        self.values = &self.values + &other.values;
    }

    /// The numbers, waited for.
    pub(crate) fn read(&self) -> StepNumbers {
        let values = Vec::<f64>::try_from(&self.values).expect("a row of numbers");
        StepNumbers::of(&self.parts, &values)
    }

    /// Asks for the numbers; nothing is waited for.
    pub(crate) fn ask(self, of: Option<Accelerator>) -> Result<PendingMetrics, Failure> {
        Ok(PendingMetrics { values: Readback::queue(&self.values, of)?, parts: self.parts })
    }
}

/// What steps found, on its way to the host.
#[derive(Debug)]
pub(crate) struct PendingMetrics {
    parts: Vec<&'static str>,
    values: Readback,
}

impl PendingMetrics {
    /// Means over `steps`, of which these are the sums; what was queued later is not waited for.
    pub(crate) fn means(&self, steps: f64) -> Result<StepNumbers, Failure> {
        let means: Vec<_> = self.values.read()?.into_iter().map(|sum| sum / steps).collect();
        Ok(StepNumbers::of(&self.parts, &means))
    }
}

/// What steps found, on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct StepNumbers {
    /// The method's loss.
    pub loss: f64,
    /// Its parts.
    pub parts: Vec<(&'static str, f64)>,
    /// What the probe reached, of labelled data.
    pub probe: ProbeNumbers,
}

impl StepNumbers {
    fn of(parts: &[&'static str], values: &[f64]) -> Self {
        let (loss, values) = values.split_first().expect("every step has a loss");
        let (values, probe) = values.split_at(parts.len());
        let probe = match *probe {
            [mlp_loss, linear_loss, mlp, linear] => ProbeNumbers {
                linear: Some(linear),
                mlp: Some(mlp),
                linear_loss: Some(linear_loss),
                mlp_loss: Some(mlp_loss),
            },
            _ => ProbeNumbers::default(),
        };
        Self { loss: *loss, parts: parts.iter().copied().zip(values.iter().copied()).collect(), probe }
    }

    /// All of them, by the names that they have in records.
    pub fn named(&self) -> Vec<(&'static str, f64)> {
        let ProbeNumbers { linear, mlp, linear_loss, mlp_loss } = self.probe;
        let probe = [("linear", linear), ("mlp", mlp), ("linear_loss", linear_loss), ("mlp_loss", mlp_loss)];
        let probe = probe.into_iter().filter_map(|(name, value)| Some((name, value?)));
        [("loss", self.loss)].into_iter().chain(self.parts.iter().copied()).chain(probe).collect()
    }
}

/// Everything that a step changes.
pub(crate) struct Learner {
    pub(crate) network: Network,
    pub(crate) adam: Adam,
    compute: ComputeOptions,
}

impl Learner {
    pub(crate) fn new(network: Network, config: &Config) -> Self {
        let adam = Adam::new(network.vars(), &config.optim);
        let compute = ComputeOptions {
            precision: network.precision(),
            parts: config.train.accumulate as i64,
            by_block: config.train.checkpoint_blocks,
            world: World::ALONE,
        };
        Self { network, adam, compute }
    }

    /// The processes that it is trained by.
    pub(crate) fn world(&self) -> World {
        self.compute.world
    }

    /// One update on one batch. All that it depends on lies on the device, and nothing is waited for.
    fn update(&mut self, views: &Views) -> Result<StepMetrics> {
        self.adam.forget_gradients()?;
        let loss = method::backward(self.network.method(), views, self.compute)?;
        let mut total = loss.total.shallow_clone();
        let mut probe_found = None;
        if let Some(probe) = self.network.probe() {
            let labels = views.labels.repeat([views.images.size()[0]]);
            let logits = probe.logits(&loss.features, true);
            let losses = OnlineProbe::losses(&logits, &labels);
            let probe_loss = &losses.mlp + &losses.linear;
            probe_loss.backward();
            total = &probe_loss.detach() + &total;
            let accuracy = logits.map(|logits| loss::accuracy(logits, &labels));
            probe_found = Some([losses.mlp.detach(), losses.linear.detach(), accuracy.mlp, accuracy.linear]);
        }
        self.compute.world.average(|| self.adam.gradients());
        let is_broken = self.adam.update(&total)?;
        self.network.method_mut().after_step();
        Ok(StepMetrics::of(&loss, probe_found, is_broken))
    }
}

/// How updates are queued: kernel by kernel, or, once the first few have shown what there is to do, as one graph.
pub(crate) struct StepGraph {
    choice: GraphChoice,
    device: Device,
    /// Updates still to be made kernel by kernel: libraries choose their algorithms, and take their memory, in the first ones.
    warm_up: u32,
    recorded: Option<Recorded>,
}

/// An update on a batch that lies in memory of its own.
struct Recorded {
    replay: Replay,
    batch: Views,
    found: StepMetrics,
}

enum Replay {
    Graph(Graph),
    /// What the device does, done by the host.
    #[cfg(test)]
    Again,
}

impl StepGraph {
    const WARM_UP: u32 = 3;

    pub(crate) fn new(choice: GraphChoice, device: Device) -> Self {
        Self { choice, device, warm_up: Self::WARM_UP, recorded: None }
    }

    /// One update on one batch, queued.
    pub(crate) fn update(&mut self, learner: &mut Learner, views: &Views) -> Result<StepMetrics> {
        if self.is_due() {
            self.record(learner, views)?;
        }
        match &self.recorded {
            Some(recorded) if recorded.fits(views) => recorded.update(learner, views),
            _ => learner.update(views),
        }
    }

    pub(crate) fn is_recorded(&self) -> bool {
        self.recorded.is_some()
    }

    /// Counts an update; whether it is the one to be recorded.
    fn is_due(&mut self) -> bool {
        let wanted = match self.choice {
            GraphChoice::Off => false,
            GraphChoice::Auto => self.device.is_cuda(),
            GraphChoice::On => true,
        };
        if !wanted || self.recorded.is_some() {
            return false;
        }
        let is_warm = self.warm_up == 0;
        self.warm_up = self.warm_up.saturating_sub(1);
        is_warm
    }

    /// Records an update, which is not made yet; where that cannot be, the run goes on without.
    fn record(&mut self, learner: &mut Learner, views: &Views) -> Result<()> {
        self.choice = GraphChoice::Off; // whatever comes of it
        // Their memory is the graph's to take.
        learner.adam.forget_gradients()?;
        let batch = copied(views);
        match Graph::record(self.device, || learner.update(&batch)) {
            Ok((graph, found)) => {
                tracing::debug!("steps are queued as one CUDA graph from here on");
                self.recorded = Some(Recorded { replay: Replay::Graph(graph), batch, found });
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

impl Recorded {
    /// Whether it is of batches of this size.
    fn fits(&self, views: &Views) -> bool {
        self.batch.images.size() == views.images.size()
    }

    #[cfg_attr(not(test), expect(unused_variables, reason = "the device knows the learner"))]
    fn update(&self, learner: &mut Learner, views: &Views) -> Result<StepMetrics> {
        let pairs = [
            (&self.batch.images, &views.images),
            (&self.batch.labels, &views.labels),
            (&self.batch.indices, &views.indices),
        ];
        for (batch, views) in pairs {
            batch.shallow_clone().copy_(views);
        }
        match &self.replay {
            Replay::Graph(graph) => graph.replay()?,
            #[cfg(test)]
            Replay::Again => {
                let found = learner.update(&self.batch)?;
                self.found.values.shallow_clone().copy_(&found.values);
                self.found.is_broken.shallow_clone().copy_(&found.is_broken);
            }
        }
        Ok(self.found.copied()) // the next update overwrites them
    }
}

/// The same batch in other memory, laid out alike.
fn copied(views: &Views) -> Views {
    let Views { images, labels, indices, next } = views;
    Views { images: images.copy(), labels: labels.copy(), indices: indices.copy(), next: *next }
}

#[cfg(test)]
mod tests {
    use shards::Position;

    use super::*;
    use crate::{optim::Schedule, train::Trainer};

    const FLOATS: (Kind, Device) = (Kind::Float, Device::Cpu);

    fn trainer(choice: GraphChoice) -> Trainer {
        let mut config = Config::preset(pipeline::Preset::C10);
        config.encoder =
            crate::encoder::amdim::Config { ndf: 4, n_rkhs: 16, n_depth: 1, use_bn: false }.into();
        config.run.cuda_graph = choice;
        Trainer::new(&config, Some(3), Device::Cpu, Schedule::new(&config.optim, 100, 10.0)).unwrap()
    }

    fn batch(number: i64) -> Views {
        tch::manual_seed(100 + number);
        let images = Tensor::randn([2, 8, 32, 32, 3], FLOATS).permute([0, 1, 4, 2, 3]);
        let labels = Tensor::randint(3, [8], (Kind::Int64, Device::Cpu));
        let indices = Tensor::arange(8, (Kind::Int64, Device::Cpu)) + 8 * number;
        Views { images, labels, indices, next: Position::default() }
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

    /// What is recorded sees each batch, rate and seed, and what a step found stays as it was. The device is played by the
    /// host here, which does again what was recorded.
    #[test]
    fn recorded_updates_are_those_that_are_queued_one_by_one() {
        let _alone = crate::generator();
        let (mut plain, mut recorded) = (trainer(GraphChoice::Off), trainer(GraphChoice::Off));
        let (mut plainly, mut again) = (Vec::new(), Vec::new());
        for number in 0..6 {
            if number == 2 {
                let batch = copied(&batch(50));
                let first: &StepMetrics = plainly.first().unwrap();
                let (values, is_broken) = (first.values.zeros_like(), first.is_broken.zeros_like());
                let found = StepMetrics { parts: first.parts.clone(), values, is_broken };
                recorded.graph.recorded = Some(Recorded { replay: Replay::Again, batch, found });
            }
            plainly.push(plain.step(&batch(number)).unwrap().found);
            again.push(recorded.step(&batch(number)).unwrap().found);
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
    fn a_step_that_cannot_be_recorded_is_made_all_the_same() {
        let _alone = crate::generator();
        let (mut plain, mut asked) = (trainer(GraphChoice::Off), trainer(GraphChoice::On));
        for number in 0..5 {
            plain.step(&batch(number)).unwrap();
            asked.step(&batch(number)).unwrap();
        }
        assert!(!asked.is_recorded() && asked.step_count() == 5);
        assert!(bits(&plain).iter().zip(bits(&asked)).all(|(a, b)| a.equal(&b)));
    }
}
