//! Losses of scores, which are computed in blocks of rows, forward and again backward. They are kept only on a CPU, if
//! they are one block.

#![expect(unsafe_code, reason = "foreign calls")]

use tch::{Kind, Tensor};

use crate::{
    failure::Failure,
    ffi::{amdim_log_sum_exp, amdim_nce, made, raw},
};

/// The largest clip of [`clipped_nce`]: exponentials of scores and their sums stay in the range of f32.
pub const MOST_CLIP: f64 = 40.0;

/// Computes loss and penalty of contexts (n, d) that predict targets (n, d, l) of their own image, as AMDIM does
/// (Bachman et al. 2019, section 3): two scalars of f32, or of f64 for such inputs.
///
/// The score of a context and a location of an image is `clip`·tanh(x / `clip`), where x is their inner
/// product / √d. The loss is the mean over the contexts and the l locations of their own images of −ln(e /
/// (e + N)), where e is the exponential of the location's score and N the sum of the exponentials of those of all
/// other images. The penalty is the mean of x² over all pairs.
///
/// # Panics
///
/// If the shapes differ from these, if `clip` is not positive or exceeds [`MOST_CLIP`], or if libtorch fails.
pub fn clipped_nce(contexts: &Tensor, targets: &Tensor, clip: f64) -> [Tensor; 2] {
    assert!(clip > 0.0 && clip <= MOST_CLIP, "a clip of {clip} is out of range");
    let mut penalty = std::ptr::null_mut();
    // SAFETY: both tensors are borrowed until the call returns; both results are written only on success.
    let loss = made(|loss| unsafe { amdim_nce(raw(contexts), raw(targets), clip, loss, &raw mut penalty) });
    let loss = loss.unwrap_or_else(|failure: Failure| std::panic::panic_any(failure));
    // SAFETY: the call succeeded, so the pointer is that of a tensor that nobody else owns.
    [loss, unsafe { Tensor::from_ptr(penalty) }]
}

/// Computes ln Σ exp(`scale` · q·k) over the keys k (m, d) for each query q of `queries` (n, d): n numbers of f32, or
/// of f64 for such inputs. Row i leaves out the keys whose numbers are in row i of `excluded` (n, x), i64; x may be
/// 0, and must be less than m.
///
/// # Panics
///
/// If the shapes differ from these, or libtorch fails.
pub fn log_sum_exp_of_scores(queries: &Tensor, keys: &Tensor, scale: f64, excluded: &Tensor) -> Tensor {
    let largest = std::ptr::null_mut();
    // SAFETY: all tensors are borrowed until the call returns; the result is written only on success.
    made(|sums| unsafe { amdim_log_sum_exp(raw(queries), raw(keys), scale, raw(excluded), sums, largest) })
        .unwrap_or_else(|failure: Failure| std::panic::panic_any(failure))
}

/// Computes what [`log_sum_exp_of_scores`] does without excluded keys, and the largest score of each query, which
/// has no gradient.
///
/// # Panics
///
/// If the shapes differ from those, or libtorch fails.
pub fn log_sum_exp_and_largest_score(queries: &Tensor, keys: &Tensor, scale: f64) -> [Tensor; 2] {
    let none = Tensor::zeros([queries.size()[0], 0], (Kind::Int64, queries.device()));
    let mut largest = std::ptr::null_mut();
    // SAFETY: all tensors are borrowed until the call returns; both results are written only on success.
    let sums = made(|sums| unsafe {
        amdim_log_sum_exp(raw(queries), raw(keys), scale, raw(&none), sums, &raw mut largest)
    });
    let sums = sums.unwrap_or_else(|failure: Failure| std::panic::panic_any(failure));
    // SAFETY: the call succeeded, so the pointer is that of a tensor that nobody else owns.
    [sums, unsafe { Tensor::from_ptr(largest) }]
}
