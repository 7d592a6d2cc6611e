//! TF32 and bf16 beside f32.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use pipeline::Preset;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor, nn::VarStore};
use torchkit::Precision;

use super::check::{Found, Options};
use crate::{
    encoder,
    method::{self, ComputeOptions, MethodConfig, TrainingSet},
    views::{Views, made_up},
};

/// Computes the loss and the gradients of one batch. Model and batch are the same for every precision.
fn pass(options: &Options, precision: Precision) -> Result<(f64, Tensor)> {
    let device = options.device;
    precision.apply()?;
    let vars = VarStore::new(device);
    tch::manual_seed(3);
    let [ndf, n_rkhs, n_depth] = if options.is_full { [64, 512, 3] } else { [16, 128, 2] };
    let encoder = encoder::amdim::Config { ndf, n_rkhs, n_depth, use_bn: true };
    let method = MethodConfig::default().chosen().build(
        &vars.root(),
        TrainingSet { side: 128, views: vec![128; 2], samples: 0, seed: 0 },
        &encoder.into(),
    )?;
    let named: BTreeMap<_, _> = vars.variables().into_iter().collect();
    draw_zero_weights(&named);
    let views = batch(device);
    tch::manual_seed(4);
    let options = ComputeOptions { precision, ..ComputeOptions::PLAIN };
    let loss = method::backward(method.as_ref(), &views, options)?;
    let gradients = named.values().map(Tensor::grad).filter(Tensor::defined);
    let flat: Vec<_> = gradients.map(|gradient| gradient.flatten(0, -1).to_kind(Kind::Double)).collect();
    Ok((loss.total.double_value(&[]), Tensor::cat(&flat, 0)))
}

/// Draws the second convolutions, which are initialized to zero and would hide the first ones.
fn draw_zero_weights(named: &BTreeMap<String, Tensor>) {
    tch::no_grad(|| {
        for (_, tensor) in named.iter().filter(|(name, _)| name.contains("conv2")) {
            let drawn = Tensor::empty(tensor.size(), (Kind::Float, Device::Cpu)).uniform_(-0.05, 0.05);
            tensor.shallow_clone().copy_(&drawn);
        }
    });
}

/// Returns a batch that is drawn on the CPU, so that all devices get the same.
fn batch(device: Device) -> Views {
    let views = made_up(&Preset::In128.recipe(), 24, Device::Cpu);
    Views {
        groups: vec![views.images().to_device(device)],
        labels: views.labels.to_device(device),
        indices: views.indices.to_device(device),
        next: views.next,
    }
}

/// The bounds on bf16: of the relative difference of the loss, and of the angle in rad by which the gradients
/// turn. bf16 keeps 8 bits of a factor. On the CPU, the loss of these models is off by 2.5e-4, and the
/// gradients turn by 0.16, those of the larger model by 0.25; other kernels add up in another order.
fn bounds(options: &Options) -> [f64; 2] {
    [1e-2, if options.is_full { 0.32 } else { 0.2 }]
}

/// Compares loss and gradients in bf16 with those in f32.
pub(super) fn bf16(options: &Options) -> Result<Found> {
    let (off, figures) = beside_f32(options, Precision::Bf16, 1.0)?;
    ensure!(off > 0.0, "bf16 is not used");
    Ok(Found::Figures(figures))
}

/// Compares loss and gradients in TF32 with those in f32. TF32 keeps 11 bits of a factor, 3 more than bf16, but
/// GPUs may cut the others off instead of rounding: a quarter of the bounds. GPUs before compute capability
/// 8.0 have no TF32 and compute in f32.
pub(super) fn tf32(options: &Options) -> Result<Found> {
    if !options.device.is_cuda() {
        return Ok(Found::Skipped("not applicable: only GPUs have TF32"));
    }
    let (_, figures) = beside_f32(options, Precision::Tf32, 0.25)?;
    Ok(Found::Figures(figures))
}

/// Compares loss and gradients with those in f32. Returns the relative difference of the loss, and all figures.
///
/// # Errors
///
/// If they are beyond this share of the bounds.
fn beside_f32(options: &Options, precision: Precision, share: f64) -> Result<(f64, Value)> {
    let (exact, exact_gradients) = pass(options, Precision::F32)?;
    let (rough, rough_gradients) = pass(options, precision)?;
    let norms = exact_gradients.norm() * rough_gradients.norm();
    let cosine = (exact_gradients.dot(&rough_gradients) / norms).double_value(&[]);
    let (off, turn) = ((rough - exact).abs() / exact.abs(), cosine.clamp(-1.0, 1.0).acos());
    let [most_off, most_turn] = bounds(options).map(|bound| share * bound);
    ensure!(
        off < most_off && turn < most_turn,
        "the loss is off by {off:.1e}, the gradients turn by {turn:.2} rad"
    );
    Ok((off, json!({"loss_off": off, "gradients_turn": turn})))
}
