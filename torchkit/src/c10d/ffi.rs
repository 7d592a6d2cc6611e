//! The functions of `cxx/c10d`.

use std::ffi::{c_char, c_int, c_void};

use torch_sys::C_tensor;

/// A `c10d::Store`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct RawStore(c_void);

/// A `c10d::Backend`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct RawBackend(c_void);

/// An `amdim_group`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct RawGroup(c_void);

/// A collective that was begun, and its result.
#[derive(Debug)]
#[repr(C)]
pub(super) struct RawReduction(c_void);

/// A `c10d::Reducer`, its group and its parameters.
#[derive(Debug)]
#[repr(C)]
pub(super) struct RawReducer(c_void);

#[expect(unsafe_code, reason = "declarations of foreign functions")]
unsafe extern "C" {
    pub(super) fn amdim_quiet_c10d();
    pub(super) fn amdim_store_in_memory(out: *mut *mut RawStore) -> c_int;
    pub(super) fn amdim_store_connect(
        host: *const c_char,
        port: u16,
        listener: c_int,
        timeout: i64,
        out: *mut *mut RawStore,
    ) -> c_int;
    pub(super) fn amdim_store_under(
        store: *mut RawStore,
        prefix: *const c_char,
        out: *mut *mut RawStore,
    ) -> c_int;
    pub(super) fn amdim_store_set(
        store: *mut RawStore,
        key: *const c_char,
        value: *const u8,
        length: usize,
    ) -> c_int;
    pub(super) fn amdim_store_get(
        store: *mut RawStore,
        key: *const c_char,
        timeout: i64,
        to: *mut c_void,
        take: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    ) -> c_int;
    pub(super) fn amdim_store_add(
        store: *mut RawStore,
        key: *const c_char,
        amount: i64,
        out: *mut i64,
    ) -> c_int;
    pub(super) fn amdim_store_has(store: *mut RawStore, key: *const c_char, out: *mut c_int) -> c_int;
    pub(super) fn amdim_store_free(store: *mut RawStore);

    pub(super) fn amdim_group_new(
        store: *mut RawStore,
        rank: c_int,
        size: c_int,
        timeout: i64,
        address: *const c_char,
        nccl: *mut RawBackend,
        out: *mut *mut RawGroup,
    ) -> c_int;
    pub(super) fn amdim_group_free(group: *mut RawGroup);
    pub(super) fn amdim_group_abort(group: *mut RawGroup) -> c_int;
    pub(super) fn amdim_group_sent(group: *mut RawGroup) -> u64;
    pub(super) fn amdim_group_all_reduce(
        group: *mut RawGroup,
        tensors: *const *mut C_tensor,
        count: usize,
        op: c_int,
        divide: c_int,
    ) -> c_int;
    pub(super) fn amdim_group_broadcast(
        group: *mut RawGroup,
        tensors: *const *mut C_tensor,
        count: usize,
        root: i64,
    ) -> c_int;
    pub(super) fn amdim_group_all_gather(
        group: *mut RawGroup,
        own: *mut C_tensor,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub(super) fn amdim_group_barrier(group: *mut RawGroup, timeout: i64) -> c_int;

    pub(super) fn amdim_reduction_begin(
        group: *mut RawGroup,
        values: *mut C_tensor,
        op: c_int,
        out: *mut *mut RawReduction,
    ) -> c_int;
    pub(super) fn amdim_reduction_is_done(reduction: *mut RawReduction, out: *mut c_int) -> c_int;
    pub(super) fn amdim_reduction_wait(
        reduction: *mut RawReduction,
        timeout: i64,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub(super) fn amdim_reduction_free(reduction: *mut RawReduction);

    pub(super) fn amdim_gather_with_gradient(
        group: *mut RawGroup,
        own: *mut C_tensor,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub(super) fn amdim_gather_own_gradient(
        group: *mut RawGroup,
        own: *mut C_tensor,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub(super) fn amdim_sum_scattered_with_gradient(
        group: *mut RawGroup,
        all: *mut C_tensor,
        out: *mut *mut C_tensor,
    ) -> c_int;
    pub(super) fn amdim_sum_with_gradient(
        group: *mut RawGroup,
        values: *mut C_tensor,
        out: *mut *mut C_tensor,
    ) -> c_int;

    pub(super) fn amdim_reducer_new(
        group: *mut RawGroup,
        parameters: *const *mut C_tensor,
        count: usize,
        out: *mut *mut RawReducer,
    ) -> c_int;
    pub(super) fn amdim_reducer_free(reducer: *mut RawReducer);
    pub(super) fn amdim_reducer_zero(reducer: *mut RawReducer) -> c_int;
    pub(super) fn amdim_reducer_prepare_forward(reducer: *mut RawReducer) -> c_int;
    pub(super) fn amdim_reducer_prepare_backward(reducer: *mut RawReducer) -> c_int;
    pub(super) fn amdim_reducer_check(reducer: *mut RawReducer) -> c_int;
}
