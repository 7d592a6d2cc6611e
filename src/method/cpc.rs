//! CPC on images: each location of a grid of patches predicts the patches below it (van den Oord et al. 2018;
//! the baseline of Löwe et al. 2019).

use anyhow::Result;
use pipeline::{Normalization, Op, Preset, Recipe};
use tch::{Kind, Tensor, nn::Path};
use torchkit::Autocast;

use super::interface::{Defaults, Exchanged, Method, MethodSettings, Objective, TrainingSet};
use crate::{
    encoder::{
        self, Chain, Embedder, Encoder, EncoderConfig, EncoderSettings, Norming,
        cpc::{Context, CpcEncoder},
        product,
    },
    loss, numbers,
    optim::{self, Decay},
    settings::{Heading, Setting, settings, whole},
    usage,
    views::Views,
    world::World,
};

/// The names of the losses of all steps.
const STEPS: [&str; 8] = ["step_1", "step_2", "step_3", "step_4", "step_5", "step_6", "step_7", "step_8"];

settings! {
    /// Settings of the objective. The defaults are those of the reference implementation.
    pub struct Config {
        /// Number of rows of patches that are predicted. The next row below a location is skipped, because it
        /// overlaps it.
        prediction_steps: i64 = 5, whole(numbers::STEPS_BELOW).flag(Heading::Cpc, "N");
        /// Negatives that are drawn for each prediction.
        negatives: i64 = 16, whole(numbers::NEGATIVES).flag(Heading::Cpc, "N");
        /// Layers of the context network.
        context_layers: i64 = 4, whole(numbers::DEPTH).flag(Heading::Cpc, "N");
    }
}

impl Config {
    fn encoder<'a>(&self, encoder: &'a EncoderConfig) -> Result<&'a encoder::cpc::Config> {
        encoder.cpc().ok_or_else(|| {
            usage!(
                "the method {} can only train its own encoder, not {}", self.name(), encoder.chosen().name();
                "leave out --encoder, or choose another method with --method"
            )
        })
    }
}

impl MethodSettings for Config {
    fn name(&self) -> &'static str {
        "cpc"
    }

    fn settings(&self) -> Vec<Setting> {
        Self::settings()
    }

    fn preset(&self) -> Preset {
        Preset::Stl10
    }

    fn defaults(&self, preset: Preset) -> Defaults {
        let encoder = encoder::cpc::Config { bottleneck: preset == Preset::In224, ..Default::default() };
        let optim = optim::Config {
            betas: [0.9, 0.999],
            weight_decay: 0.0,
            warmup_epochs: Some(0.0),
            schedule: Decay::Constant,
            ..optim::Config::default()
        };
        Defaults { encoder: EncoderConfig::Cpc(encoder), optim, batch_size: 32, epochs: 300.0 }
    }

    fn recipe(&self, preset: Preset, side: u32) -> Recipe {
        let mut view = vec![Op::RandomCrop, Op::Flip { p: 0.5 }];
        if matches!(preset, Preset::In128 | Preset::In224) {
            // Images of 300 pixels are cut to 256.
            view.insert(0, Op::ResizeShort { edge: side * 300 / 256 });
        }
        Recipe::new(vec![], vec![view], side)
    }

    fn normalization(&self, preset: Preset) -> Option<Normalization> {
        let of_stl10 = Normalization {
            mean: [0.4313, 0.4156, 0.3663].map(|mean| 255.0 * mean),
            std: [0.2683, 0.2610, 0.2687].map(|std| 255.0 * std),
        };
        (preset == Preset::Stl10).then_some(of_stl10)
    }

    fn check(&self, encoder: &EncoderConfig) -> Result<()> {
        self.encoder(encoder).map(drop)
    }

    fn head_numbers(&self, width: i64) -> i64 {
        width.saturating_mul(width).saturating_mul(self.context_layers.saturating_add(self.prediction_steps))
    }

    fn build(&self, path: &Path, set: TrainingSet, encoder: &EncoderConfig) -> Result<Box<dyn Method>> {
        let encoder = self.encoder(encoder)?;
        encoder.check(set.side)?;
        let (rows, needed) = (encoder.rows(set.side), self.prediction_steps + 2);
        if rows < needed {
            return Err(usage!(
                "images of {} pixels have {rows} rows of patches, but {} prediction steps need {needed}",
                set.side, self.prediction_steps;
                "lower --prediction-steps or --patch"
            ));
        }
        Ok(Box::new(Cpc::new(path, set.side, encoder, self)))
    }
}

/// The encoder with the context network on its embeddings.
#[derive(Debug)]
pub struct Predictor {
    encoder: CpcEncoder,
    context: Context,
}

impl Predictor {
    fn chain(&self) -> Chain<impl Fn(usize, &Tensor) -> Tensor> {
        Chain { len: self.encoder.blocks(), block: |number, x: &Tensor| self.encoder.part(number, x) }
    }
}

/// Returns grids (v·n, …) as embeddings (v, n, …), where `views` has the sizes v and n.
fn by_view(grids: [Tensor; 2], views: &Tensor) -> Vec<Tensor> {
    let sizes = [views.size()[0], views.size()[1]];
    grids.map(|grid| grid.unflatten(0, sizes)).into()
}

impl Embedder for Predictor {
    /// Returns the embeddings z and the contexts c, (v, n, width, r, r) each.
    fn embed(&self, views: &Tensor, _norming: Norming) -> Vec<Tensor> {
        let z = self.encoder.embed(&views.flatten(0, 1));
        let context = self.context.forward(&z);
        by_view([z, context], views)
    }

    fn embed_by_block(&self, views: &Tensor, _norming: Norming) -> (Vec<Tensor>, Vec<Tensor>) {
        let (z, mut inputs) = self.chain().forward(&views.flatten(0, 1));
        inputs.push(z.shallow_clone());
        let context = self.context.forward(&z);
        (by_view([z, context], views), inputs)
    }

    fn backward_by_block(
        &self,
        mut inputs: Vec<Tensor>,
        _views: i64,
        gradients: &[Tensor],
        _norming: Norming,
        scope: &dyn Fn() -> Result<Option<Autocast>>,
    ) -> Result<()> {
        let [of_z, of_context] = [0, 1].map(|number: usize| gradients[number].flatten(0, 1));
        let z = inputs.pop().expect("the input of the context network").detach().set_requires_grad(true);
        let context = {
            let _scope = scope()?;
            self.context.forward(&z)
        };
        product(&context, &of_context).backward();
        self.chain().backward(inputs, z.grad() + of_z, scope)
    }
}

/// The objective of CPC over its encoder and its context network.
#[derive(Debug)]
pub struct Cpc {
    predictor: Predictor,
    /// The matrix (width, width, 1, 1) that maps the embeddings of each step's targets.
    targets: Vec<Tensor>,
    config: Config,
}

impl Cpc {
    /// Returns the method with freshly initialized networks for images of `side` pixels. Its tensors are
    /// named under `path`.
    pub fn new(path: &Path, side: u32, encoder: &encoder::cpc::Config, config: &Config) -> Self {
        let encoder = CpcEncoder::new(&(path / "encoder"), side, encoder);
        let (path, width) = (path / "autoregressor", encoder.width());
        let context = Context::new(&path, width, config.context_layers);
        let target = |step| encoder::heads::matrix(&(&path / "loss" / "W_k" / step), width);
        Self {
            targets: (0..config.prediction_steps).map(target).collect(),
            predictor: Predictor { encoder, context },
            config: config.clone(),
        }
    }

    /// Returns the loss of each step, for grids (n, width, r, r) of embeddings `z` and contexts `c`. `draw`
    /// returns the numbers (m·k) of the rows of negatives for the `m` locations that predict `step`, from 0.
    pub fn losses(&self, z: &Tensor, c: &Tensor, mut draw: impl FnMut(usize, i64) -> Tensor) -> Vec<Tensor> {
        let rows = z.size()[2];
        let steps = self.targets.iter().enumerate();
        steps
            .map(|(step, matrix)| {
                let below = step as i64 + 2;
                let [z, c] =
                    [z.narrow(2, below, rows - below), c.narrow(2, 0, rows - below)].map(|x| locations(&x));
                let targets = z.matmul(&matrix.flatten(1, 3).transpose(0, 1));
                loss::drawn(&c, &targets, &draw(step, c.size()[0]))
            })
            .collect()
    }

    /// Returns the number of locations of an image that predict each step.
    fn locations(&self) -> impl Iterator<Item = i64> {
        let rows = self.predictor.encoder.rows();
        (0..self.config.prediction_steps).map(move |step| rows * (rows - step - 2))
    }
}

/// Returns the locations (r·c·n, d) of grids (n, d, r, c): the row varies slowest, the sample fastest.
fn locations(grid: &Tensor) -> Tensor {
    loss::widened(grid).permute([2, 3, 0, 1]).flatten(0, 2)
}

impl Method for Cpc {
    fn embedder(&self) -> &dyn Embedder {
        &self.predictor
    }

    fn objective(&self, embeddings: &[Tensor], _: &Views, world: World) -> Objective {
        let [z, c] = [&embeddings[0], &embeddings[1]].map(|own| world.gather(own, 1).flatten(0, 1));
        let draw = |_, locations| {
            Tensor::randint(locations, [locations * self.config.negatives], (Kind::Int64, z.device()))
        };
        let losses = self.losses(&z, &c, draw);
        let total = losses.iter().sum::<Tensor>() / losses.len() as f64;
        Objective { loss: total.shallow_clone(), total, parts: STEPS.into_iter().zip(losses).collect() }
    }

    fn features(&self, embeddings: &[Tensor]) -> Tensor {
        embeddings[0].mean_dim([3i64, 4].as_slice(), false, None::<Kind>)
    }

    fn chance(&self, _n: i64) -> f64 {
        (1.0 + self.config.negatives as f64).ln()
    }

    fn largest_batch(&self, parts: i64, processes: i64) -> i64 {
        const MOST: i64 = i32::MAX as i64;
        let Predictor { encoder, .. } = &self.predictor;
        let negatives = self.locations().next().unwrap_or(0) * self.config.negatives * encoder.width();
        (parts * (MOST / encoder.elements())).min(MOST / negatives.max(1) / processes)
    }

    fn exchanged(&self, _norm_groups: i64) -> Exchanged {
        let Predictor { encoder, .. } = &self.predictor;
        Exchanged { bytes: 4 * 2 * encoder.width() * encoder.rows().pow(2), features: 1, norm_batches: 1 }
    }

    fn macs(&self, n: i64) -> f64 {
        let Predictor { encoder, context } = &self.predictor;
        let (passes, width) = (3.0, encoder.width() as f64);
        let per_location = width * (width + 1.0 + self.config.negatives as f64);
        let predicted = self.locations().sum::<i64>() as f64 * per_location;
        passes * n as f64 * ((encoder.macs() + context.macs(encoder.rows())) as f64 + predicted)
    }

    fn encoder(&self) -> &dyn Encoder {
        &self.predictor.encoder
    }

    fn idle(&self) -> Vec<&Tensor> {
        self.predictor.context.idle()
    }
}
