//! How the process handles a signal.

use std::{ffi::c_int, mem::MaybeUninit, ptr};

/// Returns whether the process ignores a signal, as `nohup` makes it ignore SIGHUP.
#[expect(unsafe_code, reason = "the standard library has no call for this")]
pub fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only fills in the present one, for which zeros are a valid value.
    let action = unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}
