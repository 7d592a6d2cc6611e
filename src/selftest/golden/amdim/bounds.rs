//! The tolerances of the cases of AMDIM.

use anyhow::Result;

use crate::selftest::golden::{
    case::Case,
    precision::{Precision, TENSOR, loss_bound},
};

/// Returns the tolerance of a group of tensors (`out`, `grad`, `bn5` …), relative to the largest value of
/// each tensor.
pub(super) fn of_tensors(precision: Precision, case: &Case, group: &str) -> Result<f64> {
    match precision {
        Precision::Double => Ok(TENSOR),
        Precision::Single => {
            let own = case.number(&["deviation_f32_vs_f64", group, "max_rel_to_tensor_max"])?;
            Ok((4.0 * own).max(5e-5))
        }
    }
}

/// Returns the absolute tolerance of a loss term, given its value and the total. Rounding adds up over the
/// updates, and where gradients are tiny Adam carries the rounding of one term over to the others.
pub(super) fn of_loss(
    precision: Precision,
    case: &Case,
    update: u64,
    (golden, total): (f64, f64),
) -> Result<f64> {
    let (group, relative) = if update == 0 { ("loss_abs", 1e-5) } else { ("loss5_abs_full", 1e-4) };
    Ok(match precision {
        Precision::Double if update == 0 => loss_bound(case.device) * golden.abs(),
        Precision::Double => loss_bound(case.device) * total.abs(),
        Precision::Single => {
            let by_term = case.numbers(&["deviation_f32_vs_f64", group])?;
            10.0 * by_term.into_values().fold(0.0, f64::max) + relative * golden.abs()
        }
    })
}
