//! Collectives through which gradients flow.

#![expect(unsafe_code, reason = "foreign calls")]

use std::ffi::c_int;

use tch::Tensor;
use torch_sys::C_tensor;

use super::{
    ffi::{self, RawGroup},
    group::Group,
};
use crate::ffi::{made, raw};

/// A collective of `cxx/c10d/gradients.cpp`.
type Collective = unsafe extern "C" fn(*mut RawGroup, *mut C_tensor, *mut *mut C_tensor) -> c_int;

/// Collectives through which gradients flow. All ranks must call `backward` too if any does, and the results must be
/// used in the loss on each of them: the way back communicates in its place.
///
/// They panic with the failures of [`Group`], which [`caught`](crate::caught()) returns; so does `backward`.
impl Group {
    /// Returns the tensors (n, …) of all ranks, one after the other: (size·n, …). On the way back a rank gets the sum
    /// over ranks of the gradients of its own rows, by a reduce-scatter.
    ///
    /// # Panics
    /// If the collective fails.
    pub fn gather_with_gradient(&self, own: &Tensor) -> Tensor {
        self.apply(own, ffi::amdim_gather_with_gradient)
    }

    /// Returns what [`Self::gather_with_gradient`] does. On the way back a rank gets the gradient of its own rows on
    /// this rank alone, times the number of ranks, without communication: for a loss that every rank computes from all
    /// rows, so that the mean over ranks of parameters' gradients is right.
    ///
    /// # Panics
    /// If the collective fails.
    pub fn gather_own_gradient(&self, own: &Tensor) -> Tensor {
        self.apply(own, ffi::amdim_gather_own_gradient)
    }

    /// Returns this rank's rows (n, …) of the sum over ranks of tensors (size·n, …), by a reduce-scatter. On the way
    /// back a rank gets the gradients of all ranks' rows, by an all-gather.
    ///
    /// # Panics
    /// If the collective fails, or the rows cannot be divided among ranks.
    pub fn sum_scattered_with_gradient(&self, all: &Tensor) -> Tensor {
        self.apply(all, ffi::amdim_sum_scattered_with_gradient)
    }

    /// Returns the sum of all ranks' tensors. On the way back a rank gets the sum of all ranks' gradients.
    ///
    /// # Panics
    /// If the collective fails.
    pub fn sum_with_gradient(&self, values: &Tensor) -> Tensor {
        self.apply(values, ffi::amdim_sum_with_gradient)
    }

    fn apply(&self, input: &Tensor, collective: Collective) -> Tensor {
        // SAFETY: group and tensor are borrowed until the call returns; the graph keeps a reference to the group.
        made(|out| unsafe { collective(self.raw(), raw(input), out) })
            .unwrap_or_else(|failure| std::panic::panic_any(failure))
    }
}
