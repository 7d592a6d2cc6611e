//! Groups of ranks and their collectives.

#![expect(unsafe_code, reason = "foreign calls")]

use std::{ffi::c_int, ptr::NonNull, sync::Arc, time::Duration};

use tch::Tensor;

use super::{
    ffi::{self, RawBackend, RawGroup, RawReduction},
    handle::Handle,
    store::{Store, text},
    within::{milliseconds, within},
};
use crate::{
    failure::{Failure, NetworkFault},
    ffi::{check, made, raw, raws},
};

/// How an all-reduce combines the values of ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReduceOp {
    /// Their sum.
    Sum,
    /// The smallest one.
    Min,
    /// The largest one.
    Max,
}

impl ReduceOp {
    /// Returns c10d's number of it.
    fn raw(self) -> c_int {
        match self {
            Self::Sum => 0,
            Self::Min => 3,
            Self::Max => 4,
        }
    }
}

/// A backend on its way to the thread that makes a group of it.
struct Backend(NonNull<RawBackend>);

// SAFETY: backends may be used on any thread.
unsafe impl Send for Backend {}

impl Backend {
    fn raw(self) -> *mut RawBackend {
        self.0.as_ptr()
    }
}

/// A rank's end of a group of ranks.
///
/// All ranks must call the same collectives in the same order, with tensors of the same shapes and kinds. Calls from
/// several threads are safe, but then something else must give them that order. The way back of gradients is a caller as
/// well, on threads of libtorch if it uses CUDA. A collective waits for its result on a
/// CPU; on CUDA the current stream does, and a failure shows where the device is waited for.
///
/// The errors of all collectives: no peer answered within the timeout, a peer closed its connection (see
/// [`Failure::network`]), or the tensors do not fit. After an error of the network the group stays failed. Dropping a
/// group does not wait for peers; a process whose group failed should end by `_exit`, as threads of gloo may be left.
#[derive(Debug)]
pub struct Group {
    handle: Handle<RawGroup>,
    rank: usize,
    size: usize,
}

impl Group {
    /// Connects `size` ranks that exchange tensors of CPUs by gloo. The groups of one store need a prefix each.
    ///
    /// gloo listens at the address from which this machine reaches the store, or on the network interfaces that
    /// `GLOO_SOCKET_IFNAME` names.
    ///
    /// # Errors
    /// Not all ranks came within `timeout`, which is also that of each step of a collective; or an address cannot be
    /// reached.
    pub fn gloo(store: &Store, rank: usize, size: usize, timeout: Duration) -> Result<Self, Failure> {
        Self::with_backends(store, rank, size, timeout, None)
    }

    /// Makes a group with a backend for CPUs and perhaps one for CUDA, which it takes over.
    pub(super) fn with_backends(
        store: &Store,
        rank: usize,
        size: usize,
        timeout: Duration,
        nccl: Option<NonNull<RawBackend>>,
    ) -> Result<Self, Failure> {
        let address = text(&store.address().map_or_else(String::new, |address| address.to_string()))?;
        let store = Arc::clone(store.handle());
        let nccl = nccl.map(Backend);
        let new = move || {
            // SAFETY: the store lives until the call returns, the address is NUL-terminated, and the backend is passed
            // on.
            let make = |out| unsafe {
                let (rank, size) = (rank as c_int, size as c_int);
                let nccl = nccl.map_or(std::ptr::null_mut(), Backend::raw);
                let timeout = milliseconds(timeout);
                ffi::amdim_group_new(store.raw(), rank, size, timeout, address.as_ptr(), nccl, out)
            };
            Handle::made(ffi::amdim_group_free, make)
        };
        let what = format!("connecting {size} ranks");
        let handle = within(timeout, &what, new).map_err(|failure| match failure.network {
            Some(fault @ NetworkFault::TimedOut) => {
                Failure::of_network(fault, format!("not all of {size} ranks came within {timeout:?}"))
            }
            _ => failure,
        })?;
        Ok(Self { handle, rank, size })
    }

    /// Returns the number of this rank, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Returns the number of ranks.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns the number of bytes that the collectives of this rank have sent, those of reducers and of the way back
    /// included. They are counted by formula when the collective begins. With W ranks and a tensor of B bytes:
    ///
    /// - all-reduce: 2·B·(W − 1)/W, as a ring sends;
    /// - all-gather of B bytes of each rank: B·(W − 1);
    /// - reduce-scatter of B bytes of each rank: B·(W − 1)/W;
    /// - broadcast: B for each rank to which this one passes it on in a binomial tree, B·(W − 1) over all ranks;
    /// - barrier: 0.
    ///
    /// Fractions of a byte are dropped.
    pub fn sent_bytes(&self) -> u64 {
        // SAFETY: the group is borrowed.
        unsafe { ffi::amdim_group_sent(self.handle.raw()) }
    }

    /// Replaces tensors by what all ranks' values combine to. Every rank gets the same bits, and the same ones again
    /// for the same values. Small tensors of one kind travel together.
    ///
    /// # Errors
    /// See [`Group`].
    pub fn all_reduce(&self, tensors: &[&Tensor], op: ReduceOp) -> Result<(), Failure> {
        self.reduce(tensors, op, false)
    }

    /// Replaces tensors by the mean of all ranks' values: their sum, divided by the number of ranks. Small tensors of
    /// one kind travel together.
    ///
    /// # Errors
    /// See [`Group`]; or the tensors hold integers.
    pub fn mean(&self, tensors: &[&Tensor]) -> Result<(), Failure> {
        self.reduce(tensors, ReduceOp::Sum, true)
    }

    fn reduce(&self, tensors: &[&Tensor], op: ReduceOp, divide: bool) -> Result<(), Failure> {
        let list = raws(tensors);
        // SAFETY: the group and all tensors are borrowed until the call returns.
        check(unsafe {
            let divide = c_int::from(divide);
            ffi::amdim_group_all_reduce(self.handle.raw(), list.as_ptr(), list.len(), op.raw(), divide)
        })
    }

    /// Begins an all-reduce of a tensor, which must not be used before it is done, and may hold the result then.
    ///
    /// # Errors
    /// See [`Group`].
    pub fn begin_all_reduce(&self, values: &Tensor, op: ReduceOp) -> Result<Reduction, Failure> {
        // SAFETY: group and tensor are borrowed until the call returns; libtorch keeps a reference to the tensor.
        let make = |out| unsafe { ffi::amdim_reduction_begin(self.handle.raw(), raw(values), op.raw(), out) };
        Ok(Reduction(Handle::made(ffi::amdim_reduction_free, make)?))
    }

    /// Returns the tensors (n, …) of all ranks, one after the other: (size·n, …). n is the same on all ranks.
    ///
    /// # Errors
    /// See [`Group`].
    pub fn all_gather(&self, own: &Tensor) -> Result<Tensor, Failure> {
        // SAFETY: group and tensor are borrowed until the call returns.
        made(|out| unsafe { ffi::amdim_group_all_gather(self.handle.raw(), raw(own), out) })
    }

    /// Replaces tensors by those of the rank `root`. Small tensors of one kind travel together.
    ///
    /// # Errors
    /// See [`Group`].
    pub fn broadcast(&self, tensors: &[&Tensor], root: usize) -> Result<(), Failure> {
        let list = raws(tensors);
        // SAFETY: the group and all tensors are borrowed until the call returns.
        check(unsafe {
            ffi::amdim_group_broadcast(self.handle.raw(), list.as_ptr(), list.len(), root as i64)
        })
    }

    /// Waits until all ranks have come here.
    ///
    /// # Errors
    /// See [`Group`]; the timeout is this one.
    pub fn barrier(&self, timeout: Duration) -> Result<(), Failure> {
        // SAFETY: the group is borrowed until the call returns.
        check(unsafe { ffi::amdim_group_barrier(self.handle.raw(), milliseconds(timeout)) })
    }

    /// Gives up the group: closes gloo's connections, so that peers see it, and ends what NCCL has queued on the device.
    /// Any thread may call it while others wait. All later collectives fail.
    ///
    /// # Errors
    /// NCCL's failure.
    pub fn abort(&self) -> Result<(), Failure> {
        // SAFETY: the group is borrowed until the call returns.
        check(unsafe { ffi::amdim_group_abort(self.handle.raw()) })
    }

    pub(super) fn raw(&self) -> *mut RawGroup {
        self.handle.raw()
    }
}

/// An all-reduce that was begun. Dropping it does not stop it.
#[derive(Debug)]
pub struct Reduction(Handle<RawReduction>);

impl Reduction {
    /// Returns whether [`Self::wait`] would return at once, be it with an error.
    pub fn is_done(&self) -> bool {
        let mut is_done = 0;
        // SAFETY: the reduction is borrowed until the call returns; the answer is written.
        let code = unsafe { ffi::amdim_reduction_is_done(self.0.raw(), &raw mut is_done) };
        code != 0 || is_done != 0
    }

    /// Waits for the result and returns it. After a timeout it may be called again.
    ///
    /// # Errors
    /// See [`Group`]; or `timeout` is over.
    pub fn wait(&self, timeout: Duration) -> Result<Tensor, Failure> {
        // SAFETY: the reduction is borrowed until the call returns.
        made(|out| unsafe { ffi::amdim_reduction_wait(self.0.raw(), milliseconds(timeout), out) })
    }
}
