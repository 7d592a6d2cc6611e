//! Objects of C++ that this crate owns.

#![expect(unsafe_code, reason = "foreign calls")]

use std::{ffi::c_int, ptr::NonNull};

use crate::{failure::Failure, ffi::check};

/// An object of C++, which is freed with this handle.
#[derive(Debug)]
pub(super) struct Handle<T> {
    object: NonNull<T>,
    free: unsafe extern "C" fn(*mut T),
}

// SAFETY: the objects of `cxx/c10d` may be used and freed on any thread.
unsafe impl<T> Send for Handle<T> {}
// SAFETY: the functions of `cxx/c10d` lock what they change, save those of reducers, which Rust shares with no other
// thread.
unsafe impl<T> Sync for Handle<T> {}

impl<T> Handle<T> {
    /// Takes over the object that `make` writes to its argument. `free` is the function that frees such objects.
    pub(super) fn made(
        free: unsafe extern "C" fn(*mut T),
        make: impl FnOnce(*mut *mut T) -> c_int,
    ) -> Result<Self, Failure> {
        let mut object = std::ptr::null_mut();
        check(make(&raw mut object))?;
        let object = NonNull::new(object).ok_or_else(|| Failure::new("libtorch made nothing"))?;
        Ok(Self { object, free })
    }

    /// Returns the pointer to the object, valid while the handle is borrowed.
    pub(super) fn raw(&self) -> *mut T {
        self.object.as_ptr()
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        // SAFETY: the object was made for `free`, and nobody else frees it.
        unsafe { (self.free)(self.object.as_ptr()) }
    }
}
