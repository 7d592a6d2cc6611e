//! The fused pieces of a step beside their plain forms, on one batch.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};
use torchkit::{Piece, Precision};

use crate::{checkpoint::Named, device, train::Trainer, views::Views};

/// The seed of the passes that are compared.
const SEED: i64 = 17;

/// The pieces that a step consists of. [`Piece::Input`] is a piece of the feed.
pub const PIECES: [Piece; 4] = [Piece::Products, Piece::Convolutions, Piece::Norms, Piece::Scores];

/// Switches pieces on or off.
pub fn fuse_all(pieces: &[Piece], on: bool) {
    for piece in pieces {
        piece.fuse(on);
    }
}

/// Differences up to this share of the norm of all gradients count as none: the gradients of some parameters,
/// such as of a bias before a batch norm, are nothing but rounding.
const NOISE: f64 = 0.02;

/// How far the results of a step with one fused piece are from those of the plain step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The name of the piece.
    pub piece: String,
    /// The difference of the losses, as a share of the loss.
    pub loss: f64,
    /// The largest difference of a parameter's gradient: the norm of the difference, as a share of the
    /// gradient's norm.
    pub gradients: f64,
    /// The name of that parameter.
    pub parameter: String,
    /// The same difference between two plain passes, one on images that are rounded twice.
    pub noise: f64,
    /// The largest difference of an output or a gradient of a block by itself, as a share of its norm.
    pub block: f64,
    /// The name of that output or parameter.
    pub block_tensor: String,
    /// The same difference between plain passes of a block, one on an input that is rounded twice.
    pub block_noise: f64,
}

impl Difference {
    /// Returns whether rounding explains the difference. NaN is no difference of rounding.
    ///
    /// What rounding does to gradients depends on the depth of the encoder, as ReLUs near zero flip; so they may differ
    /// by 1.5 times what a change of the images by two roundings does. In a block by itself that is little. A wrong epilogue changes
    /// gradients by their own size.
    pub fn is_rounding(&self, precision: Precision) -> bool {
        const MOST: f64 = 0.9;
        let (loss, least) = match precision {
            Precision::Bf16 => (1e-2, 0.05),
            Precision::Tf32 => (2e-3, 0.01),
            Precision::F32 | Precision::Auto => (1e-4, 1e-3),
        };
        let within = |off: f64, noise: f64| off <= (1.5 * noise + least).min(MOST);
        self.loss <= loss && within(self.gradients, self.noise) && within(self.block, self.block_noise)
    }
}

/// The largest of some differences, and what differs. NaN counts as the largest number.
#[derive(Debug, Clone, Default)]
pub(super) struct Worst {
    pub(super) off: f64,
    pub(super) of: String,
}

impl Worst {
    /// The difference of what the device cannot compute.
    pub(super) fn failed(of: String) -> Self {
        Self { off: f64::MAX, of }
    }

    /// Takes another difference if it is larger.
    pub(super) fn note(&mut self, other: &Self) {
        if number(other.off) > self.off {
            *self = Self { off: number(other.off), of: other.of.clone() };
        }
    }
}

/// The loss of a pass and the gradients of the parameters by name.
struct Pass {
    loss: f64,
    gradients: BTreeMap<String, Tensor>,
}

impl Trainer {
    /// Returns how far each of the fused `pieces` is from its plain form on a batch. The trainer stays as it was, and
    /// all pieces of the step are switched off.
    ///
    /// # Errors
    ///
    /// If the device fails, such as for lack of memory.
    pub fn fused_differences(&mut self, pieces: &[Piece], views: &Views) -> Result<Vec<Difference>> {
        let kept = Kept::of(self);
        let differences = self.differences(pieces, views, &kept);
        drop(kept);
        self.learner.optimizer.forget_gradients()?;
        differences
    }

    fn differences(&mut self, pieces: &[Piece], views: &Views, kept: &Kept) -> Result<Vec<Difference>> {
        fuse_all(&PIECES, false);
        let precision = self.network().precision();
        let unit = unit_of(precision);
        kept.restore_state();
        let images = views.images().flatten(0, 1);
        let block_noise = self.blocks_off_by_rounding(&images, unit)?;
        let plain = self.pass(views, kept)?;
        let rounded = self.pass(&rounded_views(views, unit), kept)?;
        let noise = gradients_off(&rounded, &plain).off;
        drop(rounded);
        let mut differences: Vec<Difference> = Vec::new();
        // Pieces that agree stay on, since they work together: the layers of one hold convolutions of another.
        for piece in pieces {
            let Worst { off: block, of: block_tensor } = self.blocks_off(*piece, &images)?;
            spoil_free_memory(self, views);
            let fused = fused_pass(*piece, || self.pass(views, kept))?;
            let (loss, Worst { off: gradients, of: parameter }) = match fused {
                Some(fused) => (
                    number(share((fused.loss - plain.loss).abs(), plain.loss.abs())),
                    gradients_off(&fused, &plain),
                ),
                None => (f64::MAX, Worst::failed("every parameter".to_owned())),
            };
            let name = piece.name().to_owned();
            let difference = Difference {
                piece: name,
                loss,
                gradients,
                parameter,
                noise,
                block,
                block_tensor,
                block_noise,
            };
            piece.fuse(difference.is_rounding(precision));
            differences.push(difference);
        }
        Ok(differences)
    }

    fn pass(&mut self, views: &Views, kept: &Kept) -> Result<Pass> {
        kept.restore_state();
        tch::manual_seed(SEED);
        let loss = self.learner.backward(views)?.total.double_value(&[]);
        let named = self.network().tensors().into_iter();
        let gradients = named.map(|(name, tensor)| (name, tensor.grad()));
        Ok(Pass { loss, gradients: gradients.filter(|(_, gradient)| gradient.defined()).collect() })
    }
}

/// Fills memory that the next tensors on a GPU will get with NaN: a kernel that reads what it should only write
/// shows it.
fn spoil_free_memory(trainer: &Trainer, views: &Views) {
    const TENSORS: usize = 3;
    let images = views.images();
    if images.device().is_cuda() {
        let elements = trainer.network().encoder().elements() * images.size()[0] * images.size()[1];
        let spoilt = || Tensor::full([elements], f64::NAN, (Kind::BFloat16, images.device()));
        drop((0..TENSORS).map(|_| spoilt()).collect::<Vec<_>>());
    }
}

/// Makes a pass with one piece. Returns `None` if the device cannot compute the piece.
///
/// # Errors
///
/// If there is too little memory.
pub(super) fn fused_pass<T>(piece: Piece, pass: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
    piece.fuse(true);
    let passed = torchkit::caught(pass).map_err(anyhow::Error::from).flatten();
    piece.fuse(false);
    match passed {
        Ok(pass) => Ok(Some(pass)),
        Err(error) if device::is_out_of_memory(&error) && !has_no_engine(&error) => Err(error),
        Err(error) => {
            tracing::debug!("the device cannot compute the fused {}: {error:#}", piece.name());
            Ok(None)
        }
    }
}

/// Returns whether cuDNN has no engine for an operation. It says the same where memory is short, but the plain form,
/// which needs more, has just been computed.
fn has_no_engine(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("unable to find an engine")
}

/// Returns the rounding of numbers of this precision, as a share of them.
fn unit_of(precision: Precision) -> f64 {
    match precision {
        Precision::Bf16 => 2f64.powi(-8),
        Precision::Tf32 => 2f64.powi(-10),
        Precision::F32 | Precision::Auto => 2f64.powi(-23),
    }
}

/// Returns a batch whose images are [`rounded`].
fn rounded_views(views: &Views, unit: f64) -> Views {
    tch::manual_seed(SEED);
    Views {
        groups: views.groups.iter().map(|images| rounded(images, unit)).collect(),
        labels: views.labels.shallow_clone(),
        indices: views.indices.shallow_clone(),
        next: views.next,
    }
}

/// Returns a tensor whose numbers are changed by up to two roundings, that is twice `unit` of their size. One would be
/// rounded away where the numbers are themselves of that precision.
pub(super) fn rounded(x: &Tensor, unit: f64) -> Tensor {
    let wide = x.to_kind(Kind::Float);
    (&wide * (wide.rand_like() * (4.0 * unit) + (1.0 - 2.0 * unit))).to_kind(x.kind())
}

/// Returns a number, and the largest one for NaN, which JSON does not have.
fn number(off: f64) -> f64 {
    if off.is_nan() { f64::MAX } else { off }
}

/// Returns the largest difference of a parameter's gradient as a share of its norm.
fn gradients_off(found: &Pass, expected: &Pass) -> Worst {
    let all = expected.gradients.values().map(|gradient| norm(gradient).powi(2)).sum::<f64>().sqrt();
    let mut worst = Worst::default();
    for (name, expected) in &expected.gradients {
        let scale = norm(expected) + NOISE * all;
        let found = found.gradients.get(name);
        let off = found.map_or(f64::NAN, |found| share(norm(&(found - expected)), scale));
        worst.note(&Worst { off, of: name.clone() });
    }
    worst
}

/// Returns the 2-norm of a tensor, summed in f32.
pub(super) fn norm(tensor: &Tensor) -> f64 {
    tensor.norm_scalaropt_dtype(2.0, Kind::Float).double_value(&[])
}

/// Returns `part` / `whole`, and 0 where there is no part.
pub(super) fn share(part: f64, whole: f64) -> f64 {
    if part == 0.0 { 0.0 } else { part / whole }
}

/// What the passes change: state that is not trained, and parameters of zeros, which hide the layers before them and are
/// drawn for the comparison. Dropping it restores both.
struct Kept {
    state: Vec<(Tensor, Tensor)>,
    zeros: Vec<Tensor>,
}

impl Kept {
    fn of(trainer: &Trainer) -> Self {
        let named: Named = trainer.network().tensors();
        let (trained, state): (Vec<_>, Vec<_>) = named.into_values().partition(Tensor::requires_grad);
        let is_zero = |tensor: &Tensor| tensor.count_nonzero(None::<i64>).int64_value(&[]) == 0;
        let zeros = trained.into_iter().filter(is_zero).collect();
        // The copies first: a lack of memory must leave the zeros as they are.
        let kept = Self { state: state.into_iter().map(|tensor| (tensor.copy(), tensor)).collect(), zeros };
        tch::manual_seed(SEED);
        tch::no_grad(|| {
            for tensor in &kept.zeros {
                let _ = tensor.shallow_clone().uniform_(-0.05, 0.05);
            }
        });
        kept
    }

    fn restore_state(&self) {
        tch::no_grad(|| {
            for (before, tensor) in &self.state {
                tensor.shallow_clone().copy_(before);
            }
        });
    }
}

impl Drop for Kept {
    /// Restores everything, also after a lack of memory.
    fn drop(&mut self) {
        fuse_all(&PIECES, false);
        self.restore_state();
        tch::no_grad(|| {
            for tensor in &self.zeros {
                let _ = tensor.shallow_clone().zero_();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::{config::Config, optim::Schedule, views::made_up, world::World};

    fn pass(loss: f64, change: impl Fn(usize, Tensor) -> Tensor) -> Pass {
        tch::manual_seed(3);
        let drawn = (0..4).map(|number| {
            let gradient = Tensor::randn([30, 20], (Kind::Float, Device::Cpu));
            (format!("weight {number}"), change(number, gradient))
        });
        Pass { loss, gradients: drawn.collect() }
    }

    #[test]
    fn a_rounding_changes_numbers_of_bf16_too() {
        let _alone = crate::testing::lock_generator();
        let x = Tensor::randn([1000], (Kind::BFloat16, Device::Cpu));
        let changed = rounded(&x, unit_of(Precision::Bf16)).ne_tensor(&x).sum(Kind::Int64).int64_value(&[]);
        assert!(changed > 500, "{changed} of 1000");
    }

    /// The comparison of a momentum encoder, a queue and layers of zeros.
    #[test]
    fn a_comparison_leaves_the_trainer_as_it_was() {
        let _alone = crate::testing::lock_generator();
        let settings =
            "side = 32\nmethod = { name = 'moco', queue = 32 }\nencoder = { name = 'resnet18', width = 2 }";
        let mut config = Config::resolve(&settings.parse().unwrap()).unwrap();
        config.train.precision = Precision::F32;
        let schedule = Schedule::new(&config.optim, 100, 10.0);
        let mut trainer = Trainer::new(&config, (64, None), Device::Cpu, schedule, World::ALONE).unwrap();
        let views = made_up(&config.recipe(), 8, Device::Cpu);
        let tensors = |trainer: &Trainer| -> Vec<Tensor> {
            trainer.network().tensors().into_values().map(|tensor| tensor.copy()).collect()
        };
        let before = tensors(&trainer);
        let differences = trainer.fused_differences(&PIECES, &views).unwrap();
        fuse_all(&PIECES, true);
        assert!(before.iter().zip(tensors(&trainer)).all(|(before, after)| before.equal(&after)));
        assert!(
            differences.iter().all(|difference| difference.is_rounding(Precision::F32)),
            "{differences:?}"
        );
    }

    #[test]
    fn rounding_is_told_from_a_gradient_that_is_wrong() {
        let _alone = crate::testing::lock_generator();
        let plain = pass(4.0, |_, gradient| gradient);
        let of = |loss: f64, change: &dyn Fn(usize, Tensor) -> Tensor| {
            let fused = pass(loss, change);
            let Worst { off: gradients, of: parameter } = gradients_off(&fused, &plain);
            let loss = share((fused.loss - plain.loss).abs(), plain.loss);
            let [piece, block_tensor] = [String::new(), String::new()];
            Difference {
                piece,
                loss,
                gradients,
                parameter,
                noise: 0.1,
                block: 0.0,
                block_tensor,
                block_noise: 0.0,
            }
        };
        let rounded = of(4.0, &|_, gradient| gradient.to_kind(Kind::BFloat16).to_kind(Kind::Float));
        assert!(rounded.is_rounding(Precision::Bf16) && rounded.gradients > 1e-4, "{rounded:?}");
        let unmasked = of(4.0, &|number, gradient| if number == 2 { gradient.relu() } else { gradient });
        assert!(!unmasked.is_rounding(Precision::Bf16));
        assert_eq!(unmasked.parameter, "weight 2");
        assert!(!of(4.1, &|_, gradient| gradient).is_rounding(Precision::Bf16));
        let broken = of(4.0, &|number, gradient| if number == 1 { gradient * f64::NAN } else { gradient });
        assert!(!broken.is_rounding(Precision::Bf16), "{broken:?}");
        let again: Difference = serde_json::from_str(&serde_json::to_string(&broken).unwrap()).unwrap();
        assert_eq!(again, broken, "the outcome can be kept");
    }
}
