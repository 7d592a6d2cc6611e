//! The objective of AMDIM and its gradients for given features of large magnitude.

use anyhow::{Context, Result, ensure};
use tch::{Device, Kind, Tensor, nn::VarStore};

use super::{
    case::{Case, absmax},
    cases::Cases,
    precision::{TENSOR, loss_bound},
};
use crate::{
    encoder::{self, amdim::Embeddings},
    method::amdim::{Amdim, Config, Parts},
    world::World,
};

const FEATURES: [&str; 6] = ["r1_x1", "r5_x1", "r7_x1", "r1_x2", "r5_x2", "r7_x2"];
const TERMS: [&str; 4] = ["g2l_1t5", "g2l_1t7", "g2l_5t5", "lgt_reg"];

/// Returns the objective for the features of two views: of each view (n, c, 1, 1), (n, c, 5, 5) and
/// (n, c, 7, 7).
pub(crate) fn objective(features: &[Tensor], cells: &Tensor, tclip: f64) -> Parts {
    let vars = VarStore::new(features[0].device());
    let encoder = encoder::amdim::Config { ndf: 1, n_rkhs: 8, n_depth: 1, use_bn: false };
    let amdim = Amdim::new(&vars.root(), 32, &encoder, &Config { tclip, ..Config::default() });
    let view = |k: usize| {
        let [r1, r5, r7] = [0, 1, 2].map(|level| features[3 * k + level].shallow_clone());
        Embeddings { r1, r5, r7 }
    };
    amdim.parts(&view(0), &view(1), cells, World::ALONE)
}

/// Returns the values of `tclip` for which a case has losses, with their names.
fn clips(case: &Case) -> Result<Vec<(String, f64)>> {
    let losses = case.fact(&["losses"]).as_object().context("no losses by clip")?;
    let named = losses.keys().map(|name| {
        let number = name.strip_prefix("tclip").context("losses without a clip")?;
        Ok((name.clone(), number.parse()?))
    });
    named.collect()
}

fn features(case: &mut Case) -> Result<Vec<Tensor>> {
    FEATURES.iter().map(|name| case.take(&format!("in/{name}"))).collect()
}

/// Compares losses and gradients of every case in f64.
///
/// # Errors
///
/// If a case cannot be read, or a number is beyond its tolerance.
pub fn agree(cases: &Cases, device: Device) -> Result<usize> {
    cases.each("amdim_loss_only", device, check)
}

fn check(mut case: Case) -> Result<()> {
    let inputs = features(&mut case)?;
    let cells = case.take("in/src5")?;
    for (clip, tclip) in clips(&case)? {
        let stored = case.take(&format!("{clip}/loss"))?;
        for with_penalty in [true, false] {
            let leaves: Vec<_> = inputs.iter().map(|x| x.copy().set_requires_grad(true)).collect();
            let parts = objective(&leaves, &cells, tclip);
            check_terms(&case, &clip, &parts, &stored)?;
            let total = if with_penalty { parts.total() } else { parts.total() - &parts.penalty };
            total.backward();
            let prefix = if with_penalty { "grad_total" } else { "grad_g2l" };
            for (name, leaf) in FEATURES.iter().zip(&leaves) {
                let what = format!("{clip}/{prefix}/{name}");
                let golden = case.take(&what)?;
                case.close(&what, &leaf.grad(), &golden, absmax(&golden), TENSOR)?;
            }
        }
    }
    case.finish()
}

/// Compares the terms of a loss with those in the description, and these with those among the tensors.
fn check_terms(case: &Case, clip: &str, parts: &Parts, stored: &Tensor) -> Result<()> {
    let found = [&parts.task_1t5, &parts.task_1t7, &parts.task_5t5, &parts.penalty];
    for (k, (name, found)) in TERMS.into_iter().zip(found).enumerate() {
        let golden = case.number(&["losses", clip, name])?;
        let off = (found.double_value(&[]) - golden).abs() / golden.abs();
        ensure!(off < loss_bound(case.device), "{}: {clip} {name} is off by {off:.2e}", case.name);
        let off = (stored.double_value(&[k as i64]) - golden).abs() / golden.abs();
        ensure!(off < TENSOR, "{}: stored {clip} {name} is off by {off:.2e}", case.name);
    }
    Ok(())
}

/// Compares losses of every case in f32.
///
/// # Errors
///
/// If a case cannot be read, or a loss is off by more than 1e-5 of its value.
pub fn agree_in_single_precision(cases: &Cases, device: Device) -> Result<usize> {
    cases.each("amdim_loss_only", device, check_in_single_precision)
}

fn check_in_single_precision(mut case: Case) -> Result<()> {
    let inputs: Vec<_> = features(&mut case)?.iter().map(|x| x.to_kind(Kind::Float)).collect();
    let cells = case.take("in/src5")?;
    for (clip, tclip) in clips(&case)? {
        let parts = objective(&inputs, &cells, tclip);
        let terms: Result<Vec<f64>> =
            TERMS.iter().map(|name| case.number(&["losses", &clip, name])).collect();
        let golden: f64 = terms?.into_iter().sum();
        let off = (parts.total().double_value(&[]) - golden).abs() / golden;
        ensure!(off < 1e-5, "{}: {clip} is off by {off:.2e}", case.name);
    }
    Ok(())
}
