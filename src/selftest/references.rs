//! Golden tensors, and losses of large scores.

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};
use torchkit::{Precision, caught};

use super::{
    check::{Found, Options},
    golden::{self, amdim, loss_only, methods, methods_loss},
};

/// Compares the methods with their golden tensors in f32. The tolerances are those that the reference
/// implementations measured of themselves in f32, with room for another order of sums.
pub(super) fn golden_in_f32(options: &Options) -> Result<Found> {
    cases(options, golden::Precision::Single)
}

/// Compares the methods with their golden tensors in f64. The tolerance is the rounding of the golden tensors
/// to f32.
pub(super) fn golden_in_f64(options: &Options) -> Result<Found> {
    cases(options, golden::Precision::Double)
}

/// Compares all methods, also after one that differs.
fn cases(options: &Options, precision: golden::Precision) -> Result<Found> {
    Precision::F32.apply()?;
    let Options { device, cases, .. } = options;
    let (mut counts, mut wrong) = (Map::new(), Vec::new());
    let amdim: (&str, methods::Agree) = ("amdim", amdim::agree);
    for (of, agree) in [amdim].into_iter().chain(methods::ALL) {
        match caught(|| agree(cases, *device, precision)).map_err(anyhow::Error::from).flatten() {
            Ok(0) => {}
            Ok(count) => drop(counts.insert(of.to_owned(), count.into())),
            Err(error) => wrong.push(format!("{of}: {error:#}")),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    ensure!(!counts.is_empty(), "there are no golden tensors");
    Ok(Found::Figures(json!({"cases": Value::Object(counts)})))
}

/// Compares losses of large scores and their gradients with golden tensors, and the objective of AMDIM in f32
/// on the device with the one in f64 on the CPU.
pub(super) fn losses(options: &Options) -> Result<Found> {
    Precision::F32.apply()?;
    let Options { device, cases, .. } = options;
    let of_methods = methods_loss::agree(cases, *device)?;
    let of_amdim = loss_only::agree(cases, *device)?;
    loss_only::agree_in_single_precision(cases, *device)?;
    let [loss, gradients] = objective_off(*device)?;
    Ok(Found::Figures(json!({
        "cases": of_methods + of_amdim, "objective_off": loss, "gradients_off": gradients,
    })))
}

/// The bounds on the objective in f32, as a share of the loss and of the largest gradient. The reference
/// implementation is off by 7e-7 on features of this size; another order of sums may cost ten times as much.
const OBJECTIVE_OFF: [f64; 2] = [1e-5, 1e-5];

/// Returns how far the objective of AMDIM and its gradients in f32 on the device are from those in f64 on the
/// CPU.
fn objective_off(device: Device) -> Result<[f64; 2]> {
    tch::manual_seed(6);
    // As large as those of the reference. Scores go far beyond the clip of 20.
    let features = [1, 5, 7, 1, 5, 7].map(|side| {
        let shape = [8, 32, side, side];
        Tensor::randn(shape, (Kind::Float, Device::Cpu)) * 3.5
    });
    let cells = Tensor::randint(25, [2, 8], (Kind::Int64, Device::Cpu));
    let [found, exact] = [(device, Kind::Float), (Device::Cpu, Kind::Double)].map(|(device, kind)| {
        let leaves =
            features.each_ref().map(|x| x.to_device(device).to_kind(kind).copy().set_requires_grad(true));
        let total = loss_only::objective(&leaves, &cells.to_device(device), 20.0).total();
        total.backward();
        let gradients =
            leaves.map(|leaf| leaf.grad().flatten(0, -1).to_device(Device::Cpu).to_kind(Kind::Double));
        (total.double_value(&[]), Tensor::cat(&gradients, 0))
    });
    let loss = (found.0 - exact.0).abs() / exact.0;
    let gradients = (found.1 - &exact.1).abs().max().double_value(&[]) / golden::absmax(&exact.1);
    ensure!(
        loss < OBJECTIVE_OFF[0] && gradients < OBJECTIVE_OFF[1],
        "the objective is off by {loss:.1e}, its gradients by {gradients:.1e}"
    );
    Ok([loss, gradients])
}
