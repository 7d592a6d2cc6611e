//! A model from a file.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use pipeline::{Normalization, Preset};
use tch::Tensor;

use crate::{checkpoint::Named, encoder::EncoderConfig, method::MethodConfig};

/// A model from a file, its tensors under the names of this program.
#[derive(Debug)]
pub struct Foreign {
    pub(super) tensors: BTreeMap<String, Tensor>,
    pub(super) encoder: EncoderConfig,
    pub(super) method: MethodConfig,
    /// The preset of its training, if it is known.
    pub(super) preset: Option<Preset>,
    /// The width and height of its images in pixels, if they are known.
    pub(super) side: Option<i64>,
    /// The normalization of its images, if it is known.
    pub(super) normalization: Option<Normalization>,
    pub(super) step: u64,
    pub(super) class_names: Vec<String>,
}

/// Adds a tensor under its name without the prefixes of the wrappers `DataParallel` (`module`) and
/// `torch.compile` (`_orig_mod`), wherever they are in the name.
///
/// # Errors
///
/// If a tensor of that name was added before.
pub(super) fn insert(tensors: &mut BTreeMap<String, Tensor>, name: &str, tensor: Tensor) -> Result<()> {
    let own = unwrapped(name);
    ensure!(tensors.insert(own.clone(), tensor).is_none(), "the file has `{own}` twice, once as `{name}`");
    Ok(())
}

/// Returns the name without the prefixes of wrappers.
pub(super) fn unwrapped(name: &str) -> String {
    let parts = name.split('.').filter(|part| !["module", "_orig_mod"].contains(part));
    parts.collect::<Vec<_>>().join(".")
}

/// The weight (classes, width) of the linear online probe.
pub(super) const PROBE: &str = "evaluator.block_glb_lin.block_forward.2.weight";

/// Returns the number of classes of the online probe; `None` without one.
pub(super) fn classes(foreign: &Foreign) -> Option<i64> {
    foreign.tensors.get(PROBE)?.size().first().copied()
}

/// Checks the sizes that a file declares against its tensors. A model of these sizes is built only after
/// that.
///
/// # Errors
///
/// If the tensors do not have the declared sizes.
pub fn check_sizes(foreign: &Foreign) -> Result<()> {
    let encoder = foreign.encoder.chosen();
    encoder.check_tensors(&foreign.tensors)?;
    if let Some(probe) = foreign.tensors.get(PROBE) {
        let width = encoder.width();
        ensure!(
            matches!(*probe.size(), [classes, input] if classes > 0 && input == width),
            "`{PROBE}` has shape {:?} instead of [classes, {width}]",
            probe.size()
        );
    }
    let (declared, found) = (foreign.method.chosen().head_numbers(encoder.width()), head_numbers(foreign));
    ensure!(
        declared <= found || !has_heads(&foreign.tensors),
        "its settings declare heads of {declared} numbers, but it has {found}"
    );
    Ok(())
}

/// Returns whether a file has more than the encoder and the online probes.
pub(super) fn has_heads(tensors: &BTreeMap<String, Tensor>) -> bool {
    tensors.keys().any(|name| is_of_head(name))
}

fn is_of_head(name: &str) -> bool {
    !name.starts_with("encoder.") && !name.starts_with("evaluator.")
}

/// Returns the numbers in all tensors that belong neither to the encoder nor to the online probes.
fn head_numbers(foreign: &Foreign) -> i64 {
    let of_heads = foreign.tensors.iter().filter(|(name, _)| is_of_head(name));
    of_heads.map(|(_, tensor)| tensor.numel() as i64).sum()
}

/// Copies the tensors of a file into a model. Heads and constants of the method, and the counters that batch
/// norms have had since PyTorch 0.4.1, may be missing. Banks and classes of the samples of another dataset are
/// left out.
///
/// # Errors
///
/// The first tensor that is missing, has another shape or kind, or is not one of the model.
pub(super) fn take_over(tensors: &BTreeMap<String, Tensor>, model: &Named) -> Result<()> {
    let is_needed = |name: &str| name.starts_with("encoder.") || name.starts_with("evaluator.");
    let may_be_missing = |name: &str| !is_needed(name) || name.ends_with(".num_batches_tracked");
    for (name, target) in model {
        let Some(tensor) = tensors.get(name) else {
            ensure!(may_be_missing(name), "`{name}` is missing");
            continue;
        };
        if !is_needed(name) && tensor.size() != target.size() {
            tracing::info!(
                "`{name}` is left out: it has another size, as it belongs to other samples or settings"
            );
            continue;
        }
        ensure!(
            tensor.size() == target.size(),
            "`{name}` has shape {:?} instead of {:?}",
            tensor.size(),
            target.size()
        );
        ensure!(
            tensor.is_floating_point() == target.is_floating_point(),
            "`{name}` is {:?} instead of {:?}",
            tensor.kind(),
            target.kind()
        );
        tch::no_grad(|| target.shallow_clone().copy_(&tensor.to_kind(target.kind())));
    }
    let foreign = tensors.keys().find(|name| !model.contains_key(*name));
    match foreign {
        Some(name) => bail!("`{name}` is not a tensor of this encoder"),
        None => Ok(()),
    }
}
