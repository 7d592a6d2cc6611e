//! Batch norms with the sum and the ReLU that follow them.

#![expect(unsafe_code, reason = "foreign calls")]

use std::ptr;

use tch::Tensor;

use crate::{
    cuda_library,
    ffi::{RawBatchNorm, amdim_norm_relu, amdim_normalize_by, raw},
    fused::operation,
};

/// A batch norm over c channels that normalizes groups of consecutive samples, of equal size, by their own statistics.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm<'a> {
    /// The factors (c).
    pub weight: &'a Tensor,
    /// The offsets (c).
    pub bias: &'a Tensor,
    /// The running means and variances (c each) that each group in turn updates, if any.
    pub running: &'a [Option<[&'a Tensor; 2]>],
    /// The share of a group's statistics in the updated ones.
    pub momentum: f64,
    /// What is added to the variance.
    pub eps: f64,
}

impl BatchNorm<'_> {
    /// Computes relu(norm(`x`) + `skip`) of inputs and a skip (n, c) or (n, c, h, w). The statistics are f32, or f64
    /// for such inputs.
    ///
    /// Its plain form is made of `batch_norm`, `+` and `relu`.
    ///
    /// # Panics
    ///
    /// If the samples are not a multiple of the groups, if the shapes do not fit or libtorch fails, as operations of `tch` do.
    pub fn relu(&self, x: &Tensor, skip: Option<&Tensor>) -> Tensor {
        let groups = self.running.len();
        assert!(groups > 0 && x.size()[0] % groups as i64 == 0, "{groups} groups of {:?}", x.size());
        let [means, vars] = [0, 1].map(|number: usize| {
            let pointer =
                |both: &Option<[&Tensor; 2]>| both.map_or(ptr::null_mut(), |both| raw(both[number]));
            self.running.iter().map(pointer).collect::<Vec<_>>()
        });
        let norm = RawBatchNorm {
            weight: raw(self.weight),
            bias: raw(self.bias),
            running_means: means.as_ptr(),
            running_vars: vars.as_ptr(),
            groups,
            momentum: self.momentum,
            eps: self.eps,
        };
        let skip = skip.map_or(ptr::null_mut(), raw);
        // SAFETY: all tensors are borrowed until the call returns; `out` is written only on success.
        operation(|out| unsafe { amdim_norm_relu(raw(x), skip, &raw const norm, out) })
    }
}

/// Has batch norms with ReLU computed by libtorch's kernel on CUDA. libtorch's CUDA half must be loaded.
pub(crate) fn normalize_by_kernel() {
    const CUDA: i32 = 1; // c10's device type
    let functions = cuda_library::function(c"amdim_cuda_can_normalize")
        .and_then(|can| Ok((can, cuda_library::function(c"amdim_cuda_normalize")?)));
    match functions {
        Ok((can, normalize)) => {
            // SAFETY: `cuda_norms.cpp` defines the functions with these types.
            unsafe {
                let can = std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> i32>(can.as_ptr());
                if can() != 0 {
                    return amdim_normalize_by(CUDA, normalize.as_ptr());
                }
            }
            tracing::debug!("batch norms without fused kernels: libtorch has no such function");
        }
        Err(why) => tracing::debug!("batch norms without fused kernels: {why}"),
    }
}

#[cfg(test)]
mod tests;
