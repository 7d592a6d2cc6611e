//! Comparison of tensors of which a case may have only every so many values, with sums over all.

use anyhow::{Context, Result, ensure};
use tch::{Kind, Tensor};

use super::case::{Case, absmax};

/// Returns the part of a parameter-shaped tensor that the case contains.
pub(super) fn sampled(case: &Case, what: &str, whole: &Tensor) -> Tensor {
    let rule = &case.facts["subsampled"][what];
    match (rule["offset"].as_i64(), rule["stride"].as_i64()) {
        (Some(offset), Some(stride)) => whole.flatten(0, -1).slice(0, offset, None, stride),
        _ => whole.shallow_clone(),
    }
}

/// Returns the shape of a tensor of which the case has a sample.
pub(super) fn full_shape(case: &Case, what: &str) -> Result<Vec<i64>> {
    let shape = case.fact(&["subsampled", what, "full_shape"]).clone();
    serde_json::from_value(shape).with_context(|| format!("{}: no shape of {what}", case.name))
}

/// Compares a parameter-shaped tensor with its golden, which may be a sample of its values with sums over all
/// of them. `golden` has the scale that `bound` is relative to.
pub(super) fn check_sampled(
    case: &Case,
    what: &str,
    found: &Tensor,
    golden: (&Tensor, f64),
    bound: f64,
) -> Result<()> {
    let (golden, scale) = golden;
    let found = found.to_kind(Kind::Double);
    case.close(what, &sampled(case, what, &found), golden, scale, bound)?;
    if case.fact(&["subsampled", what]).is_null() {
        return Ok(());
    }
    ensure!(found.size() == full_shape(case, what)?, "{}: shape of {what}", case.name);
    // The error of a sum is at most the sum of the errors of its terms.
    let room = bound * scale * found.numel() as f64;
    let square_room = room * 2.0 * absmax(&found).max(scale);
    let sums = [
        ("full_sum", found.sum(Kind::Double), room),
        ("full_abs_sum", found.abs().sum(Kind::Double), room),
        ("full_sq_sum", found.square().sum(Kind::Double), square_room),
    ];
    for (key, sum, room) in sums {
        let off = (sum.double_value(&[]) - case.number(&["subsampled", what, key])?).abs();
        ensure!(off <= room, "{}: {key} of {what} is off by {off:.2e}", case.name);
    }
    Ok(())
}
