//! The average of gradients over ranks.

#![expect(unsafe_code, reason = "foreign calls")]

use std::{cell::Cell, ffi::c_int, marker::PhantomData};

use tch::Tensor;

use super::{
    ffi::{self, RawReducer},
    group::Group,
    handle::Handle,
};
use crate::{
    failure::Failure,
    ffi::{check, raws},
};

/// Averages the gradients of parameters over ranks while they are computed: the engine of DDP.
///
/// The order of a step: [`zero`](Self::zero), [`prepare_forward`](Self::prepare_forward), forward passes; then
/// [`prepare_backward`](Self::prepare_backward) and backward passes, in which every parameter gets a gradient once; then
/// [`finish`](Self::finish). Gradients are the means over ranks then. Backward passes before `prepare_backward` add to
/// the gradients of this rank only, so that the parts of a batch are averaged with the last one. A pass may be cut into
/// several calls of `backward`, block by block, of which the last one waits for the averages.
///
/// Gradients are views of the reducer's buffers: they must be zeroed in place, not dropped.
#[derive(Debug)]
pub struct Reducer {
    handle: Handle<RawReducer>,
    /// libtorch's engine is for one thread at a time.
    _not_sync: PhantomData<Cell<()>>,
}

impl Reducer {
    /// Makes a reducer of parameters, each of which must get a gradient in every step. It is the same list on all ranks.
    ///
    /// # Errors
    /// A parameter is a constant; this rank's list has other shapes than that of rank 0, which does not notice it; or a
    /// failure of [`Group`].
    pub fn new(group: &Group, parameters: &[&Tensor]) -> Result<Self, Failure> {
        let list = raws(parameters);
        // SAFETY: group and tensors are borrowed until the call returns; libtorch keeps references to them.
        let make = |out| unsafe { ffi::amdim_reducer_new(group.raw(), list.as_ptr(), list.len(), out) };
        Ok(Self { handle: Handle::made(ffi::amdim_reducer_free, make)?, _not_sync: PhantomData })
    }

    /// Sets all gradients to zero.
    ///
    /// # Errors
    /// libtorch's failure.
    pub fn zero(&self) -> Result<(), Failure> {
        self.call(ffi::amdim_reducer_zero)
    }

    /// Must be called before the first forward pass of a step, also if it has several parts.
    ///
    /// # Errors
    /// See [`Group`], as ranks agree on the order of buffers in the second step; or a parameter got no gradient in the
    /// step before, see [`Self::finish`].
    pub fn prepare_forward(&self) -> Result<(), Failure> {
        self.call(ffi::amdim_reducer_prepare_forward)
    }

    /// Averages gradients in the backward passes that follow, until each parameter got one.
    ///
    /// # Errors
    /// libtorch's failure.
    pub fn prepare_backward(&self) -> Result<(), Failure> {
        self.call(ffi::amdim_reducer_prepare_backward)
    }

    /// Checks that every parameter got a gradient since [`Self::prepare_backward`], without which gradients are not
    /// averaged.
    ///
    /// # Errors
    /// Numbers of the parameters that got none. The reducer cannot be used any more.
    pub fn finish(&self) -> Result<(), Failure> {
        self.call(ffi::amdim_reducer_check)
    }

    fn call(&self, function: unsafe extern "C" fn(*mut RawReducer) -> c_int) -> Result<(), Failure> {
        // SAFETY: the reducer is borrowed until the call returns.
        check(unsafe { function(self.handle.raw()) })
    }
}
