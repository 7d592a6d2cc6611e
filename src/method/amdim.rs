//! AMDIM: maximizing mutual information across views (Bachman, Hjelm, Buchwalter 2019).

use anyhow::Result;
use pipeline::Preset;
use tch::{Kind, Tensor, nn::Path};

use super::interface::{Defaults, Exchanged, Method, MethodSettings, Objective, TrainingSet};
use crate::{
    encoder::{
        self, Embedder, Encoder, EncoderConfig, Norming,
        amdim::{AmdimEncoder, Embeddings, cell_masks},
    },
    loss::{self, Nce, Scores},
    numbers, optim,
    settings::{Heading, Setting, real, settings},
    usage,
    views::Views,
    world::World,
};

settings! {
    /// Settings of the objective. The defaults are those of the paper.
    pub struct Config {
        /// Bound of the scores, which are clipped softly to ± this.
        tclip: f64 = 20.0, real(numbers::LIMIT).flag(Heading::Amdim, "X");
        /// Weight of the mean squared raw score in the loss.
        score_penalty: f64 = 0.05, real(numbers::PENALTY);
    }
}

impl Config {
    fn encoder<'a>(&self, encoder: &'a EncoderConfig) -> Result<&'a encoder::amdim::Config> {
        encoder.amdim().ok_or_else(|| {
            usage!(
                "the method {} can only train its own encoder, not {}", self.name(), encoder.chosen().name();
                "leave out --encoder, or choose another method with --method"
            )
        })
    }
}

impl MethodSettings for Config {
    fn name(&self) -> &'static str {
        "amdim"
    }

    fn settings(&self) -> Vec<Setting> {
        Self::settings()
    }

    fn preset(&self) -> Preset {
        Preset::In128
    }

    fn defaults(&self, preset: Preset) -> Defaults {
        Defaults {
            encoder: EncoderConfig::default(),
            optim: optim::Config { drop_at: preset.drop_at().to_vec(), ..optim::Config::default() },
            batch_size: 200,
            epochs: match preset {
                Preset::C10 | Preset::Stl10 => 300.0,
                Preset::In128 | Preset::In224 => 50.0,
            },
        }
    }

    fn check(&self, encoder: &EncoderConfig) -> Result<()> {
        self.encoder(encoder).map(drop)
    }

    fn build(&self, path: &Path, set: TrainingSet, encoder: &EncoderConfig) -> Result<Box<dyn Method>> {
        Ok(Box::new(Amdim::new(path, set.side, self.encoder(encoder)?, self)))
    }
}

/// The AMDIM objective over its encoder: tasks 1t5, 1t7 and 5t5, each in both directions.
#[derive(Debug)]
pub struct Amdim {
    encoder: AmdimEncoder,
    /// Masks (25, 1, 5, 5), u8: mask i·5 + j selects cell (i, j) of `r5`.
    masks_r5: Tensor,
    config: Config,
}

/// The scalar parts of the objective.
#[derive(Debug)]
pub struct Parts {
    /// The loss of predicting `r5` from the `r1` of the other view.
    pub task_1t5: Tensor,
    /// The loss of predicting `r7` from the `r1` of the other view.
    pub task_1t7: Tensor,
    /// The loss of predicting `r5` from one cell of the `r5` of the other view.
    pub task_5t5: Tensor,
    /// The score penalty of the three tasks, with its weight.
    pub penalty: Tensor,
}

impl Parts {
    /// Returns the sum, which is minimized.
    pub fn total(&self) -> Tensor {
        &self.task_1t5 + &self.task_1t7 + &self.task_5t5 + &self.penalty
    }
}

impl Amdim {
    /// Returns the method with a freshly initialized encoder for square images of `side` pixels. Its tensors
    /// are named under `path`.
    pub fn new(path: &Path, side: u32, encoder: &encoder::amdim::Config, config: &Config) -> Self {
        Self {
            encoder: AmdimEncoder::new(&(path / "encoder"), side, encoder),
            masks_r5: cell_masks(&(path / "g2l_loss"), "masks_r5", 5),
            config: config.clone(),
        }
    }

    /// Returns embeddings of one view (n, 3, h, w), in training mode if `train` is true.
    pub fn embed(&self, images: &Tensor, train: bool) -> Embeddings {
        self.encoder.embed(images, train)
    }

    /// Returns embeddings in training mode of both views (2, n, 3, h, w), computed as one batch.
    pub fn embed_views(&self, images: &Tensor, norming: Norming) -> [Embeddings; 2] {
        by_view(&self.encoder.embed_views(images, norming))
    }

    /// Returns the objective of the embeddings of two views of this process's images, of which the mean over the
    /// processes of `world` is that of the batch. `cells` (2, n) says for each view which cell of `r5` predicts the
    /// other view.
    pub fn parts(&self, one: &Embeddings, two: &Embeddings, cells: &Tensor, world: World) -> Parts {
        let [global_1, global_2, local_1, local_2] = world.gather_together([
            &one.r1.flatten(1, 3),
            &two.r1.flatten(1, 3),
            &self.pick(&one.r5, &cells.get(0)),
            &self.pick(&two.r5, &cells.get(1)),
        ]);
        let both_ways = |context_1: &Tensor, target_2: &Tensor, context_2: &Tensor, target_1: &Tensor| {
            let there = loss::nce(context_1, &target_2.flatten(2, 3), self.config.tclip, world);
            let back = loss::nce(context_2, &target_1.flatten(2, 3), self.config.tclip, world);
            Nce { loss: (there.loss + back.loss) * 0.5, penalty: (there.penalty + back.penalty) * 0.5 }
        };
        let tasks = [
            both_ways(&global_1, &two.r5, &global_2, &one.r5),
            both_ways(&global_1, &two.r7, &global_2, &one.r7),
            both_ways(&local_1, &two.r5, &local_2, &one.r5),
        ];
        let penalty = tasks.iter().map(|task| &task.penalty).sum::<Tensor>() * self.config.score_penalty;
        let [task_1t5, task_1t7, task_5t5] = tasks.map(|task| task.loss);
        Parts { task_1t5, task_1t7, task_5t5, penalty }
    }

    /// Returns one cell of the `r5` of each image, (n, d).
    fn pick(&self, r5: &Tensor, cells: &Tensor) -> Tensor {
        let masks = self.masks_r5.index_select(0, cells).to_kind(r5.kind());
        (r5 * masks).sum_dim_intlist([2i64, 3].as_slice(), false, None::<Kind>)
    }
}

/// Splits embeddings (2, n, …) by view.
fn by_view(embeddings: &Embeddings) -> [Embeddings; 2] {
    [0, 1].map(|view| embeddings.map(|embedding| embedding.get(view)))
}

impl Amdim {
    /// Returns the objective of embeddings (2, n, …) of both views, in f32 or f64.
    fn parts_of(&self, embeddings: &Embeddings, world: World) -> Parts {
        let [one, two] = by_view(embeddings);
        let (n, device) = (one.r1.size()[0], one.r1.device());
        let cells = Tensor::randint(25, [2, world.samples(n)], (Kind::Int64, device));
        self.parts(&one, &two, &world.own(&cells, 1), world)
    }
}

impl Method for Amdim {
    fn embedder(&self) -> &dyn Embedder {
        &self.encoder
    }

    fn objective(&self, embeddings: &[Tensor], _: &Views, world: World) -> Objective {
        let parts = self.parts_of(&Embeddings::from_list(embeddings), world);
        let total = parts.total();
        Objective {
            loss: total.shallow_clone(),
            total,
            parts: vec![
                ("1t5", parts.task_1t5),
                ("1t7", parts.task_1t7),
                ("5t5", parts.task_5t5),
                ("penalty", parts.penalty),
            ],
        }
    }

    /// The scores of the first view's contexts for the second view's locations, (N, n·l) for each task. The cell of `r5`
    /// that predicts is not drawn: the sample with index i has cell i mod 25.
    fn scores(&self, embeddings: &[Tensor], views: &Views, world: World) -> Vec<Scores> {
        let [one, two] = by_view(&Embeddings::from_list(embeddings));
        let d = self.encoder.width();
        let contexts = [one.r1.flatten(1, 3), self.pick(&one.r5, &views.indices.remainder(25))];
        let [global, local] = contexts.map(|own| world.gather(&own.detach(), 0));
        let scores = |name, queries: &Tensor, targets: &Tensor| Scores {
            name,
            queries: queries.shallow_clone(),
            keys: targets.flatten(2, 3).transpose(1, 2).reshape([-1, d]),
            scale: 1.0 / (d as f64).sqrt(),
            clip: Some(self.config.tclip),
            bound: self.config.tclip,
        };
        vec![scores("1t5", &global, &two.r5), scores("1t7", &global, &two.r7), scores("5t5", &local, &two.r5)]
    }

    fn features(&self, embeddings: &[Tensor]) -> Tensor {
        Embeddings::from_list(embeddings).r1.flatten(2, 4)
    }

    fn chance(&self, n: i64) -> f64 {
        2.0 * loss::chance(n, 25) + loss::chance(n, 49)
    }

    fn largest_batch(&self, parts: i64, processes: i64) -> i64 {
        const MOST: i64 = i32::MAX as i64;
        const LOCATIONS: i64 = 49;
        let encoded = parts * (MOST / (2 * self.encoder.elements()));
        let embedded = MOST / (2 * LOCATIONS * self.encoder.width());
        let images = MOST / (2 * self.encoder.pixels());
        // A process scores the contexts of all processes against its own targets.
        let scored = (MOST / LOCATIONS / processes).isqrt();
        encoded.min(images).min(embedded).min(scored)
    }

    /// Two global and two local contexts travel, and the sums of exponentials of six predictions, forward and back.
    fn exchanged(&self, _norm_groups: i64) -> Exchanged {
        Exchanged { bytes: 4 * 2 * (4 * self.encoder.width() + 6), features: 2, norm_batches: 2 }
    }

    fn macs(&self, n: i64) -> f64 {
        let (n, passes, views) = (n as f64, 3.0, 2.0);
        let locations = 25.0 + 49.0 + 25.0;
        passes * views * n * (self.encoder.macs() as f64 + locations * self.encoder.width() as f64 * n)
    }

    fn encoder(&self) -> &dyn Encoder {
        &self.encoder
    }

    fn idle(&self) -> Vec<&Tensor> {
        self.encoder.idle_in_embeddings()
    }
}

#[cfg(test)]
mod tests {
    use shards::Position;
    use tch::{Device, nn::VarStore};

    use super::*;
    use crate::method::{ComputeOptions, backward};
    use torchkit::Precision;

    /// Returns the loss of a batch, all gradients concatenated, and all running statistics concatenated.
    fn pass(images: &Tensor, use_bn: bool, compute: ComputeOptions) -> (f64, Tensor, Tensor) {
        tch::manual_seed(3);
        let mut vars = VarStore::new(Device::Cpu);
        let encoder = encoder::amdim::Config { ndf: 16, n_rkhs: 128, n_depth: 2, use_bn };
        let method = Amdim::new(&vars.root(), 32, &encoder, &Config::default());
        if images.kind() == Kind::Double {
            vars.double();
        }
        let named: std::collections::BTreeMap<_, _> = vars.variables().into_iter().collect();
        // Residual branches start at zero, which would make the gradients of their first layers vanish.
        tch::no_grad(|| {
            for (_, tensor) in named.iter().filter(|(name, _)| name.contains("conv2")) {
                let _ = tensor.shallow_clone().uniform_(-0.05, 0.05);
            }
        });
        let numbers = || Tensor::zeros([images.size()[1]], (Kind::Int64, Device::Cpu));
        let (labels, indices) = (numbers(), numbers());
        let views =
            Views { groups: vec![images.shallow_clone()], labels, indices, next: Position::default() };
        let loss = backward(&method, &views, compute).unwrap();
        let flat = |tensors: Vec<Tensor>| {
            let flat: Vec<_> =
                tensors.iter().map(|tensor| tensor.flatten(0, -1).to_kind(Kind::Double)).collect();
            Tensor::cat(&flat, 0)
        };
        let gradients = flat(named.values().map(Tensor::grad).filter(Tensor::defined).collect());
        let running = named.iter().filter(|(name, _)| name.contains("running") || name.contains("tracked"));
        (loss.total.double_value(&[]), gradients, flat(running.map(|(_, tensor)| tensor.copy()).collect()))
    }

    fn images(samples: i64, kind: Kind) -> Tensor {
        tch::manual_seed(4);
        Tensor::randn([2, samples, 3, 32, 32], (kind, Device::Cpu))
    }

    fn cosine(a: &Tensor, b: &Tensor) -> f64 {
        (a.dot(b) / (a.norm() * b.norm())).double_value(&[])
    }

    fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
        ((a - b).abs().max() / a.abs().max()).double_value(&[])
    }

    #[test]
    fn bf16_stays_near_f32() {
        let _alone = crate::testing::lock_generator();
        let images = images(24, Kind::Float);
        let (exact, exact_gradients, _) = pass(&images, true, ComputeOptions::PLAIN);
        let (rough, rough_gradients, _) =
            pass(&images, true, ComputeOptions { precision: Precision::Bf16, ..ComputeOptions::PLAIN });
        let (off, cosine) = ((rough - exact).abs() / exact, cosine(&exact_gradients, &rough_gradients));
        assert!(off > 0.0, "bf16 is not used");
        assert!(off < 1e-2 && cosine > 0.98, "loss off by {off:.1e}, cosine of the gradients {cosine:.4}");
    }

    #[test]
    fn computing_block_by_block_changes_nothing() {
        let _alone = crate::testing::lock_generator();
        let images = images(12, Kind::Double);
        for use_bn in [false, true] {
            let (loss, gradients, running) = pass(&images, use_bn, ComputeOptions::PLAIN);
            let (again, by_block, running_by_block) =
                pass(&images, use_bn, ComputeOptions { by_block: true, ..ComputeOptions::PLAIN });
            assert!((loss - again).abs() < 1e-9);
            let off = largest_difference(&gradients, &by_block);
            assert!(off < 1e-9, "gradients off by {off:.1e}, batch norms in the trunk: {use_bn}");
            assert!(largest_difference(&running, &running_by_block) < 1e-9);
        }
    }

    /// The parts are equal, so their batch statistics are those of the whole.
    #[test]
    fn a_batch_computed_in_parts_has_the_negatives_of_the_whole_batch() {
        let _alone = crate::testing::lock_generator();
        let part = images(6, Kind::Double);
        let images = Tensor::cat(&[&part, &part, &part], 1);
        let (loss, gradients, running) = pass(&images, false, ComputeOptions::PLAIN);
        for by_block in [false, true] {
            let (again, in_parts, moved) = pass(
                &images,
                false,
                ComputeOptions { parts: 3, norm_groups: 3, by_block, ..ComputeOptions::PLAIN },
            );
            assert!((loss - again).abs() < 1e-9, "{loss} and {again}");
            let off = largest_difference(&gradients, &in_parts);
            assert!(off < 1e-8, "gradients off by {off:.1e}");
            // Running statistics are updated once for each view, as without parts.
            let moves = |running: &Tensor| running.max().double_value(&[]);
            assert!((moves(&running) - 2.0).abs() < 1e-9 && (moves(&moved) - 2.0).abs() < 1e-9);
        }
        let (alone, ..) = pass(&part, false, ComputeOptions::PLAIN);
        assert!((loss - alone).abs() > 0.1, "a third of the batch has fewer negatives");
    }

    /// Parts are not exact with batch norms: each part is normalized by its own statistics.
    #[test]
    fn unequal_parts_have_gradients_of_nearly_the_same_direction() {
        let _alone = crate::testing::lock_generator();
        let images = images(33, Kind::Double); // parts differ by one sample at most
        let (loss, gradients, _) = pass(&images, false, ComputeOptions::PLAIN);
        let (again, in_parts, _) =
            pass(&images, false, ComputeOptions { parts: 2, norm_groups: 2, ..ComputeOptions::PLAIN });
        let (off, cosine) = ((loss - again).abs() / loss, cosine(&gradients, &in_parts));
        assert!(off < 0.1 && cosine > 0.8, "loss off by {off:.1e}, cosine of the gradients {cosine:.4}");
    }
}
