//! The objective of queries, their keys and the queue.

use anyhow::Result;
use tch::{Kind, Tensor, nn::Path};

use super::{config::Config, groups::Groups, key_encoder::KeyEncoder, queries::Queries, queue::Queue};
use crate::{
    encoder::{Embedder, Encoder, Projected},
    hint::Notice,
    loss::{self, Queued, Scores},
    method::{
        compute::ComputeOptions,
        interface::{Exchanged, Method, Objective, Recorded},
    },
    notice,
    views::Views,
    world::World,
};

/// The objective of `MoCo` over an encoder and its head.
#[derive(Debug)]
pub struct Moco {
    queries: Queries,
    key_encoder: KeyEncoder,
    queue: Queue,
    /// The keys (v, n, d) of all processes in the current step: those of view 2 and, if the loss is
    /// symmetric, those of view 1.
    keys: Tensor,
    temperature: f64,
    side: i64,
}

impl Moco {
    /// Returns the method for images of `side` pixels, where `build` builds a network, with the encoder under
    /// `path/encoder`.
    pub fn new(
        path: &Path,
        side: u32,
        build: impl Fn(&Path) -> Projected,
        config: &Config,
        groups: Groups,
    ) -> Self {
        let network = build(path);
        let (dim, views) = (network.head.width(), if config.symmetric { 2 } else { 1 });
        Self {
            key_encoder: KeyEncoder::new(path, &build, config.key_momentum, groups),
            queries: Queries { network, groups, views },
            queue: Queue::new(path, dim, config.queue),
            keys: Tensor::zeros([views, 0, dim], (path.kind(), path.device())),
            temperature: config.temperature(),
            side: side.into(),
        }
    }

    /// Moves the key encoder and encodes the keys of a batch of all processes. `shuffle` returns the order in which
    /// the `n` keys of view 2, and then those of view 1, are put into groups; `None` keeps that of the batch.
    ///
    /// A shuffled batch takes images to other processes, as in the reference implementation.
    ///
    /// # Errors
    ///
    /// If the device cannot compute in the requested precision.
    pub fn encode_keys(
        &mut self,
        views: &Views,
        compute: ComputeOptions,
        mut shuffle: impl FnMut(i64) -> Option<Tensor>,
    ) -> Result<()> {
        self.key_encoder.follow();
        let keys = (0..self.queries.views).map(|number| {
            let images = views.images().get(1 - number);
            let order = shuffle(compute.world.samples(images.size()[0]));
            tch::no_grad(|| self.key_encoder.encode(&images, order.as_ref(), compute))
        });
        self.keys = Tensor::stack(&keys.collect::<Result<Vec<_>>>()?, 0);
        Ok(())
    }

    /// Returns the scores (n, 1 + k) of queries (n, d): the own key, and the queue.
    pub fn scores(&self, view: i64, queries: &Tensor) -> Tensor {
        loss::queue_scores(&loss::unit(queries), &self.keys.get(view), self.queue.keys(), self.temperature)
    }

    fn queued(&self, view: i64, queries: &Tensor) -> Queued {
        loss::queued(&loss::unit(queries), &self.keys.get(view), self.queue.keys(), self.temperature)
    }
}

impl Method for Moco {
    fn embedder(&self) -> &dyn Embedder {
        &self.queries
    }

    fn before_step(&mut self, views: &Views, compute: ComputeOptions) -> Result<()> {
        let device = views.images().device();
        // Without groups and parts all samples share the same statistics, in any order.
        let shuffle = |n| Tensor::rand([n], (Kind::Float, device)).argsort(0, false);
        self.encode_keys(views, compute, |n| (compute.norm_groups > 1).then(|| shuffle(n)))
    }

    /// If the loss is symmetric, the sum of the losses of both views is minimized, as in the reference
    /// implementation, and their mean is logged.
    fn objective(&self, embeddings: &[Tensor], _: &Views, world: World) -> Objective {
        let (views, queries) = (self.queries.views, world.gather(&embeddings[1], 1));
        let queued = (0..views).map(|view| self.queued(view, &queries.get(view)));
        let (losses, found): (Vec<_>, Vec<_>) = queued.map(|Queued { loss, found }| (loss, found)).unzip();
        let total: Tensor = losses.iter().sum();
        let right = found.iter().sum::<Tensor>() / views as f64;
        let mut parts = vec![("top1", right)];
        if views == 2 {
            parts.extend(["view1", "view2"].into_iter().zip(losses));
        }
        Objective { loss: &total / views as f64, total, parts }
    }

    /// The scores (n, k) of the queries of the first view for the keys of the queue.
    fn scores(&self, embeddings: &[Tensor], _: &Views, _: World) -> Vec<Scores> {
        let queries = loss::unit(&embeddings[1].get(0).detach());
        vec![Scores::of_units("queue", queries, self.queue.keys().transpose(0, 1), self.temperature)]
    }

    fn features(&self, embeddings: &[Tensor]) -> Tensor {
        embeddings[0].shallow_clone()
    }

    fn chance(&self, _n: i64) -> f64 {
        (1.0 + self.queue.length() as f64).ln()
    }

    fn largest_batch(&self, parts: i64, processes: i64) -> i64 {
        const MOST: i64 = i32::MAX as i64;
        let encoded = parts * (MOST / self.queries.network.encoder.elements());
        let images = MOST / (2 * 3 * self.side * self.side);
        let scored = MOST / (1 + self.queue.length()) / processes;
        encoded.min(images).min(scored)
    }

    /// Queries and keys travel, and in a shuffled batch the images of the keys.
    fn exchanged(&self, norm_groups: i64) -> Exchanged {
        let Queries { network, views, .. } = &self.queries;
        let images = if norm_groups > 1 { 3 * self.side * self.side } else { 0 };
        Exchanged {
            bytes: 4 * views * (2 * network.head.width() + images),
            features: *views,
            norm_batches: *views,
        }
    }

    /// Queries pass forward and backward, keys forward only.
    fn macs(&self, n: i64) -> f64 {
        let Queries { network, views, .. } = &self.queries;
        let encoded = network.macs() as f64 * (3.0 + 1.0);
        let scored = 3.0 * network.head.width() as f64 * (1 + self.queue.length()) as f64;
        (views * n) as f64 * (encoded + scored)
    }

    fn encoder(&self) -> &dyn Encoder {
        self.queries.network.encoder.as_ref()
    }

    fn idle(&self) -> Vec<&Tensor> {
        self.encoder().idle().into_iter().chain(self.key_encoder.idle()).collect()
    }

    fn norm_groups(&self, samples: i64) -> i64 {
        self.queries.groups.count(samples)
    }

    fn after_step(&mut self, is_broken: &Tensor) {
        self.key_encoder.undo(is_broken);
        // The keys of view 1 first.
        self.queue.push(&self.keys.flip([0]).flatten(0, 1), is_broken);
    }

    fn state_bytes(&self) -> Vec<(&'static str, u64)> {
        vec![("queue", self.queue.bytes()), ("key encoder", self.key_encoder.bytes())]
    }

    /// Warns of batch norms that reveal which key belongs to which query. The loss is judged from the step on
    /// at which keys have replaced the random initial queue, until shortly after they have done so twice.
    fn alarm(&self, recorded: Recorded) -> Option<Notice> {
        const LATE: i64 = 50;
        let Recorded { step, samples, norm_groups, loss } = recorded;
        let filled = self.queue.length() / (samples * self.queries.views).max(1) + 1;
        let is_early = (filled..=2 * filled + LATE).contains(&step.cast_signed());
        let is_low = loss < 0.5 * self.chance(samples);
        (is_early && is_low && norm_groups == 1).then(|| {
            notice!(
                "the loss is {loss:.2} after {step} steps, far below its chance level of {:.2}: the batch norms may reveal which key belongs to which query", self.chance(samples);
                "set --bn-groups to 2 or more"
            )
        })
    }

    fn after_warm_start(&mut self) {
        self.key_encoder.copy();
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, nn::VarStore};

    use super::*;
    use crate::{
        encoder::{EncoderConfig, resnet},
        method::interface::{MethodSettings, TrainingSet},
    };

    fn moco() -> Box<dyn Method> {
        let config = Config { queue: 80, dim: 4, ..Config::default() };
        let encoder =
            EncoderConfig::Resnet18(resnet::Layers(resnet::Config { width: 1, ..Default::default() }));
        let set = TrainingSet { side: 32, views: vec![32; 2], samples: 1000, seed: 0 };
        config.build(&VarStore::new(Device::Cpu).root(), set, &encoder).unwrap()
    }

    #[test]
    fn a_loss_far_below_chance_soon_after_the_queue_is_full_is_an_alarm_without_groups() {
        let _alone = crate::testing::lock_generator();
        let moco = moco();
        let low = 0.4 * moco.chance(16);
        let alarm = |step, norm_groups, loss| moco.alarm(Recorded { step, samples: 16, norm_groups, loss });
        let first = alarm(6, 1, low).unwrap();
        assert!(first.hints[0].contains("--bn-groups"), "{first}");
        assert!(alarm(3, 1, low).is_none(), "the queue still has random keys");
        assert!(alarm(500, 1, low).is_none(), "the encoder has had time to learn");
        assert!(alarm(6, 1, 0.9 * moco.chance(16)).is_none() && alarm(6, 4, low).is_none());
    }

    #[test]
    fn a_queue_of_half_of_the_set_is_warned_of() {
        let config = Config { queue: 500, ..Config::default() };
        let warning =
            |samples| config.warning(TrainingSet { side: 32, views: vec![32; 2], samples, seed: 0 });
        assert!(warning(1000).unwrap().message.contains("500 keys") && warning(1001).is_none());
    }
}
