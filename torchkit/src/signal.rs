//! What the process was told to do with a signal when it began.

use std::{ffi::c_int, mem::MaybeUninit, ptr};

/// Whether a signal is ignored, as `nohup` has it for SIGHUP.
#[expect(unsafe_code, reason = "the system's question has no safe form")]
pub fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call does nothing but to fill in the one that there is; all zeros are one, too.
    let action = unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}
