//! Layers that compute several operations in one pass over memory, forward and backward.
//!
//! Each has a plain form of `tch` operations, named in its documentation, with the same results up to rounding.
//! Callers choose the plain form where [`Piece::is_fused`] is false.

#![expect(unsafe_code, reason = "foreign calls")]

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::{
    cuda_library,
    failure::Failure,
    ffi::{
        amdim_chain, amdim_convolution_relu, amdim_fuse_convolutions, amdim_head, amdim_multiply_by,
        amdim_pointwise, amdim_refused_products, amdim_reshaping, made, raw, raws,
    },
};

/// A group of operations that is computed as one, and can be switched off by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Piece {
    /// 1×1 convolutions with the ReLU and the sum that follow them, forward and backward; on CUDA in the
    /// epilogues of cuBLASLt's products.
    Products,
    /// Convolutions with bias and ReLU, on CUDA in one call of cuDNN.
    Convolutions,
    /// Batch norms with the sum and the ReLU that follow them, on CUDA in one kernel of libtorch.
    Norms,
    /// Contrastive losses that compute their scores again on the way back instead of keeping them.
    Scores,
    /// Normalization of pixels straight to bf16.
    Input,
}

/// The pieces that are switched off, one bit each.
static OFF: AtomicU32 = AtomicU32::new(0);

impl Piece {
    /// All pieces.
    pub const ALL: [Self; 5] = [Self::Products, Self::Convolutions, Self::Norms, Self::Scores, Self::Input];

    /// Returns the name of the piece in settings and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Products => "products",
            Self::Convolutions => "convolutions",
            Self::Norms => "norms",
            Self::Scores => "scores",
            Self::Input => "input",
        }
    }

    /// Returns whether the fused form is in use, which is so unless [`fuse`](Self::fuse) has switched it off.
    pub fn is_fused(self) -> bool {
        OFF.load(Relaxed) & self.bit() == 0
    }

    /// Switches the fused form on or off, for the whole process.
    pub fn fuse(self, on: bool) {
        if on {
            OFF.fetch_and(!self.bit(), Relaxed);
        } else {
            OFF.fetch_or(self.bit(), Relaxed);
        }
        if self == Self::Convolutions {
            // SAFETY: the call sets a flag.
            unsafe { amdim_fuse_convolutions(on.into()) }
        }
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Has the products of [`Piece::Products`] computed by cuBLASLt on CUDA. libtorch's CUDA half must be loaded.
pub(crate) fn multiply_by_cublas() {
    const CUDA: i32 = 1; // c10's device type
    match cuda_library::function(c"amdim_cublas_multiply") {
        // SAFETY: `cublas_lt.cpp` defines the function with the type that `matmul.h` declares.
        Ok(function) => unsafe { amdim_multiply_by(CUDA, function.as_ptr()) },
        Err(why) => tracing::debug!("products without cuBLASLt: {why}"),
    }
}

/// Returns how many products so far cuBLASLt could not compute in one call; libtorch computed them.
pub fn refused_products() -> u64 {
    // SAFETY: the call reads a counter.
    unsafe { amdim_refused_products() }.cast_unsigned()
}

/// Returns the tensor that a foreign function makes, as operations of `tch` do.
pub(crate) fn operation(make: impl FnOnce(*mut *mut C_tensor) -> i32) -> Tensor {
    made(make).unwrap_or_else(|failure: Failure| std::panic::panic_any(failure))
}

/// Computes x ← x + relu(x · w₁ᵀ) · w₂ᵀ for each pair of weights in turn, of pixels `x` (m, c) and weights (c,
/// c, 1, 1) of 1×1 convolutions, in the precision of the current scope. Gradients of the weights are summed
/// and returned in the weights' type.
///
/// Its plain form is `x.addmm(&x.matmul(&w1).relu(), &w2)`, where `w1` and `w2` are the transposed matrices.
///
/// # Panics
///
/// If the shapes do not fit or libtorch fails, as operations of `tch` do.
pub fn residual_chain(x: &Tensor, weights: &[[&Tensor; 2]]) -> Tensor {
    let weights = raws(weights.as_flattened());
    // SAFETY: all tensors are borrowed until the call returns; `out` is written only on success.
    operation(|out| unsafe { amdim_chain(raw(x), weights.as_ptr(), weights.len(), out) })
}

/// Computes pool(`x`) + relu(conv(`x`, `w1`)) · `w2`ᵀ of images `x` (n, c, h, w), in the precision of the
/// current scope. `w1` (d, c, k, k) is the weight of a convolution with a stride and without padding, `w2` (d,
/// d, 1, 1) that of a 1×1 convolution. The pool averages over k×k windows with the same stride; it is zero in
/// channels that `x` does not have, and without those that the result does not have.
///
/// Its plain form is made of `conv2d`, `relu`, `avg_pool2d`, `constant_pad_nd` and `addmm`.
///
/// # Panics
///
/// If the shapes do not fit or libtorch fails, as operations of `tch` do.
pub fn reshaping_residual(x: &Tensor, w1: &Tensor, w2: &Tensor, stride: i64) -> Tensor {
    // SAFETY: all tensors are borrowed until the call returns; `out` is written only on success.
    operation(|out| unsafe { amdim_reshaping(raw(x), raw(w1), raw(w2), stride, out) })
}

/// Computes relu(conv(`x`, `weight`) + `bias`) of images `x` (n, c, h, w) without padding, in the precision of
/// the current scope, for a weight (d, c, k, k) and a bias (d).
///
/// Its plain form is made of `conv2d` and `relu`.
///
/// # Panics
///
/// If the shapes do not fit or libtorch fails, as operations of `tch` do.
pub fn convolution_relu(x: &Tensor, weight: &Tensor, bias: &Tensor, stride: i64) -> Tensor {
    // SAFETY: all tensors are borrowed until the call returns; `out` is written only on success.
    operation(|out| unsafe { amdim_convolution_relu(raw(x), raw(weight), raw(bias), stride, out) })
}

/// Computes relu(`x` · `w1`ᵀ) · `w2`ᵀ + `x` · `shortcut`ᵀ + `bias` of pixels `x` (m, c), in the precision of the
/// current scope, for weights `w1` and `shortcut` (d, c, 1, 1), `w2` (d, d, 1, 1) and a bias (d).
///
/// Its plain form is made of `matmul`, `relu` and `addmm`.
///
/// # Panics
///
/// If the shapes do not fit or libtorch fails, as operations of `tch` do.
pub fn residual_head(x: &Tensor, [w1, w2]: [&Tensor; 2], shortcut: &Tensor, bias: &Tensor) -> Tensor {
    // SAFETY: all tensors are borrowed until the call returns; `out` is written only on success.
    operation(|out| unsafe { amdim_head(raw(x), raw(w1), raw(w2), raw(shortcut), raw(bias), out) })
}

/// Computes a 1×1 convolution of images `x` (n, c, h, w) with a weight (d, c, 1, 1), in the precision of the
/// current scope. Returns the result (n, d, h, w), and `x` for other layers: if they take this one, the product
/// that computes the gradient of `x` adds theirs.
///
/// Its plain form is `conv2d`, and `x` itself.
///
/// # Panics
///
/// If the shapes do not fit or libtorch fails, as operations of `tch` do.
pub fn pointwise_convolution(x: &Tensor, weight: &Tensor) -> [Tensor; 2] {
    let mut others = std::ptr::null_mut();
    // SAFETY: both tensors are borrowed until the call returns; both results are written only on success.
    let result = operation(|out| unsafe { amdim_pointwise(raw(x), raw(weight), out, &raw mut others) });
    // SAFETY: the call succeeded, so the pointer is that of a tensor that nobody else owns.
    [result, unsafe { Tensor::from_ptr(others) }]
}

#[cfg(test)]
pub(crate) mod tests;
