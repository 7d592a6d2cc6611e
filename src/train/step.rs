//! One update of a network, queued on the device kernel by kernel or as one recorded graph.

use anyhow::Result;
use pipeline::trace;
use tch::{Device, Tensor};

use super::learner::Learner;
use crate::{metrics::StepMetrics, views::Views};
use torchkit::{Choice, Graph};

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
        learner.with_scores = false; // every replay would compute them
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
            Replay::Graph(graph) => trace::span("replay of the graph", || graph.replay())?,
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
    use tch::Kind;

    use super::*;
    use crate::{config::Config, optim::Schedule, train::Trainer, world::World};

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
