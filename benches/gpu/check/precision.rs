//! Golden tensors, and bf16 beside f32.

use std::collections::BTreeMap;

use amdim_stream::{
    commands::plan::made_up,
    encoder,
    method::{self, ComputeOptions, MethodConfig, TrainingSet},
    views::Views,
    world::World,
};
use anyhow::{Result, ensure};
use pipeline::Preset;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor, nn::VarStore};
use torchkit::Precision;

use crate::golden;

/// Compares the model with the golden tensors, in f32.
pub(super) fn fixtures_in_f32(device: Device) -> Result<Value> {
    Precision::F32.apply()?;
    golden::case::agree(device, golden::case::Precision::Single);
    golden::methods::agree(device, golden::case::Precision::Single);
    Ok(Value::Null)
}

/// Compares the model with the golden tensors, in f64.
pub(super) fn fixtures_in_f64(device: Device) -> Result<Value> {
    Precision::F32.apply()?;
    golden::case::agree(device, golden::case::Precision::Double);
    golden::methods::agree(device, golden::case::Precision::Double);
    Ok(Value::Null)
}

/// Compares the losses with golden tensors.
pub(super) fn losses(device: Device) -> Result<Value> {
    Precision::F32.apply()?;
    golden::loss_only::agree(device);
    golden::methods_loss::agree(device);
    golden::loss_only::agree_in_single_precision(device);
    Ok(Value::Null)
}

/// Computes the loss and the gradients of one batch. Model and batch are the same for every precision.
fn pass(device: Device, precision: Precision) -> Result<(f64, Tensor)> {
    precision.apply()?;
    let vars = VarStore::new(device);
    tch::manual_seed(3);
    let encoder = encoder::amdim::Config { ndf: 16, n_rkhs: 128, n_depth: 2, use_bn: true };
    let method = MethodConfig::default().chosen().build(
        &vars.root(),
        TrainingSet { side: 128, views: vec![128; 2], samples: 0, seed: 0 },
        &encoder.into(),
    )?;
    let named: BTreeMap<_, _> = vars.variables().into_iter().collect();
    draw_zero_weights(&named);
    let views = batch(device);
    tch::manual_seed(4);
    let options = ComputeOptions { precision, parts: 1, by_block: false, world: World::ALONE };
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

/// Compares loss and gradients in bf16 with those in f32.
pub(super) fn bf16(device: Device) -> Result<Value> {
    let (exact, exact_gradients) = pass(device, Precision::F32)?;
    let (rough, rough_gradients) = pass(device, Precision::Bf16)?;
    let off = (rough - exact).abs() / exact;
    let norms = exact_gradients.norm() * rough_gradients.norm();
    let cosine = (exact_gradients.dot(&rough_gradients) / norms).double_value(&[]);
    ensure!(off > 0.0, "bf16 is not used");
    ensure!(off < 1e-2 && cosine > 0.98, "the loss is off by {off:.1e}, cosine of the gradients {cosine:.4}");
    Ok(json!({"loss_off": off, "cosine_of_gradients": cosine}))
}
