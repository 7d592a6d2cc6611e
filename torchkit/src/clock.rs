//! The state of the kernel's clock.

use std::time::Duration;

/// Whether the kernel's clock is kept in step with the world's, by NTP or PTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockState {
    /// The clock is synchronized; the duration is its greatest possible error.
    Synchronized(Duration),
    /// Nothing synchronizes the clock.
    Free,
}

/// Asks the kernel for the state of its clock. Returns `None` if it does not tell, as in some containers.
#[expect(unsafe_code, reason = "no safe wrapper asks for this")]
pub fn clock_state() -> Option<ClockState> {
    // SAFETY: the struct consists of integers, for which zeros are valid.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: with `modes` zero the call sets nothing; it writes to the struct, which outlives it.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    if state < 0 {
        return None;
    }
    if state == libc::TIME_ERROR || timex.status & libc::STA_UNSYNC != 0 {
        return Some(ClockState::Free);
    }
    Some(ClockState::Synchronized(Duration::from_micros(timex.maxerror.unsigned_abs())))
}
