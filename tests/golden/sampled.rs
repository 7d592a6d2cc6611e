//! Comparison of tensors of which a case may have only every so many values, with sums over all.

use tch::{Kind, Tensor};

use super::{Fixture, absmax};

/// The part of a parameter-shaped tensor that the case contains.
pub(super) fn sampled(case: &Fixture, what: &str, whole: &Tensor) -> Tensor {
    let rule = &case.facts["subsampled"][what];
    match (rule["offset"].as_i64(), rule["stride"].as_i64()) {
        (Some(offset), Some(stride)) => whole.flatten(0, -1).slice(0, offset, None, stride),
        _ => whole.shallow_clone(),
    }
}

/// Compares a parameter-shaped tensor with its golden, which may be a sample of its values with sums over all
/// of them. `golden` has the scale that `bound` is relative to.
pub(super) fn check_sampled(case: &Fixture, what: &str, found: &Tensor, golden: (&Tensor, f64), bound: f64) {
    let (golden, scale) = golden;
    let found = found.to_kind(Kind::Double);
    case.close(what, &sampled(case, what, &found), golden, scale, bound);
    let rule = &case.facts["subsampled"][what];
    if rule.is_null() {
        return;
    }
    let shape: Vec<i64> = serde_json::from_value(rule["full_shape"].clone()).unwrap();
    assert_eq!(found.size(), shape, "{}: shape of {what}", case.name);
    // The error of a sum is at most the sum of the errors of its terms.
    let room = bound * scale * found.numel() as f64;
    let square_room = room * 2.0 * absmax(&found).max(scale);
    let sums = [
        ("full_sum", found.sum(Kind::Double), room),
        ("full_abs_sum", found.abs().sum(Kind::Double), room),
        ("full_sq_sum", found.square().sum(Kind::Double), square_room),
    ];
    for (key, sum, room) in sums {
        let off = (sum.double_value(&[]) - rule[key].as_f64().unwrap()).abs();
        assert!(off <= room, "{}: {key} of {what} is off by {off:.2e}", case.name);
    }
}
