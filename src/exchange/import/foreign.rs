//! A model from elsewhere.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use tch::Tensor;

use crate::{checkpoint::Named, encoder};

/// A model from elsewhere, under our names.
#[derive(Debug)]
pub struct Foreign {
    pub(super) tensors: BTreeMap<String, Tensor>,
    pub(super) encoder: encoder::amdim::Config,
    pub(super) side: i64,
    pub(super) tclip: Option<f64>,
    pub(super) step: u64,
    pub(super) class_names: Vec<String>,
}

/// Takes up a tensor under our name: without the wrappers of `DataParallel` and `torch.compile`, around its encoder (as the
/// reference has one), around the whole, or within each other.
pub(super) fn insert(tensors: &mut BTreeMap<String, Tensor>, name: &str, tensor: Tensor) -> Result<()> {
    let parts = name.split('.').filter(|part| !["module", "_orig_mod"].contains(part));
    let own = parts.collect::<Vec<_>>().join(".");
    ensure!(tensors.insert(own.clone(), tensor).is_none(), "`{own}` is there twice, once as `{name}`");
    Ok(())
}

/// The probe's last layer, which has a row for each class.
pub(super) const PROBE: &str = "evaluator.block_glb_lin.block_forward.2.weight";

/// The first side of a tensor.
pub(super) fn first(foreign: &Foreign, name: &str) -> Option<i64> {
    foreign.tensors.get(name)?.size().first().copied()
}

/// A model is made of the size that a file claims: not before a tensor of each size, and as many numbers, are seen.
///
/// # Errors
///
/// What does not hold what it claims.
pub fn check_sizes(foreign: &Foreign) -> Result<()> {
    let encoder::amdim::Config { ndf, n_rkhs, n_depth, .. } = foreign.encoder;
    for (name, size) in
        [("encoder.layer_list.0.conv.weight", ndf), ("encoder.rkhs_block_7.conv2.weight", n_rkhs)]
    {
        let found = first(foreign, name).with_context(|| format!("`{name}` is missing"))?;
        ensure!(found == size, "`{name}` is of size {found}, not {size} as the file says of its encoder");
    }
    let has_layer = |layer: i64| {
        let name = format!(".layer_list.{layer}.conv2.weight");
        foreign.tensors.keys().any(|tensor| tensor.ends_with(&name))
    };
    ensure!(
        (1..1000).contains(&n_depth) && has_layer(n_depth - 1),
        "it says that its blocks have {n_depth} layers, but has no such tensors"
    );
    // Less than any model of this size holds, but by a factor that is the same for all.
    let product = |factors: [i64; 3]| factors.into_iter().fold(1, i64::saturating_mul);
    let classes = first(foreign, PROBE).unwrap_or(0);
    let least = [[n_rkhs, n_rkhs, 1], [ndf, ndf, 16 * n_depth], [n_rkhs, classes, 1]];
    let least = least.map(product).into_iter().fold(0, i64::saturating_add);
    let numbers: usize = foreign.tensors.values().map(Tensor::numel).sum();
    ensure!(
        i64::try_from(numbers).is_ok_and(|numbers| numbers >= least),
        "its {numbers} numbers are too few for an encoder of ndf {ndf}, n_rkhs {n_rkhs} and n_depth {n_depth}"
    );
    Ok(())
}

/// Copies every tensor of the model from the file: all have to be there in the right shape, but for constants, and for what batch
/// norms of before PyTorch 0.4.1 did not count.
pub(super) fn take_over(tensors: &BTreeMap<String, Tensor>, model: &Named) -> Result<()> {
    let may_be_missing = |name: &str| name.starts_with("g2l_loss.") || name.ends_with(".num_batches_tracked");
    for (name, target) in model {
        let Some(tensor) = tensors.get(name) else {
            ensure!(may_be_missing(name), "`{name}` is missing");
            continue;
        };
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
        Some(name) => bail!("`{name}` is no tensor of this encoder"),
        None => Ok(()),
    }
}
