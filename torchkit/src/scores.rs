//! Losses of scores, which are computed in blocks of rows, forward and again backward. They are kept only on a CPU, if
//! they are one block.

#![expect(unsafe_code, reason = "foreign calls")]

use tch::{Kind, Tensor};

use crate::{
    failure::Failure,
    ffi::{amdim_clipped_scores, amdim_log_sum_exp, check, made, raw},
};

/// The largest clip of [`clipped_scores`]: exponentials of scores and their sums stay in the range of f32.
pub const MOST_CLIP: f64 = 40.0;

/// What AMDIM's contrastive loss consists of, for contexts (m, d) and targets (n, d, l).
#[derive(Debug)]
pub struct ClippedScores {
    /// For each context, the sum (m) of the exponentials of its scores with the locations of all images but its own.
    pub sums: Tensor,
    /// The scores (n, l) of the contexts of the images with the locations of their own image.
    pub positives: Tensor,
    /// The sum of the squares of all products, a scalar.
    pub squares: Tensor,
}

/// Computes the sums of the loss of AMDIM (Bachman et al. 2019, section 3), of f32, or of f64 for such inputs.
///
/// The contexts are those of m images, and the targets the l locations of n of them: image i of the targets is image
/// `first` + i of the contexts. The score of a context and a location is `clip`·tanh(x / `clip`), where x is their
/// inner product / √d.
///
/// # Panics
///
/// If the shapes differ from these, if `clip` is not positive or exceeds [`MOST_CLIP`], or if libtorch fails.
pub fn clipped_scores(contexts: &Tensor, targets: &Tensor, clip: f64, first: i64) -> ClippedScores {
    assert!(clip > 0.0 && clip <= MOST_CLIP, "a clip of {clip} is out of range");
    let images = targets.size()[0];
    assert!(first >= 0 && first + images <= contexts.size()[0], "{images} images from image {first} on");
    let mut out = [std::ptr::null_mut(); 3];
    // SAFETY: both tensors are borrowed until the call returns; `out` has room for three results, which are written
    // only on success.
    check(unsafe { amdim_clipped_scores(raw(contexts), raw(targets), clip, first, out.as_mut_ptr()) })
        .unwrap_or_else(|failure: Failure| std::panic::panic_any(failure));
    // SAFETY: the call succeeded, so the pointers are those of tensors that nobody else owns.
    let [sums, positives, squares] = out.map(|tensor| unsafe { Tensor::from_ptr(tensor) });
    ClippedScores { sums, positives, squares }
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
