//! What the kernel says of its clock.

use std::time::Duration;

/// Whether the kernel's clock is kept in step with the world's, by NTP or PTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockState {
    /// It is, within this much at most.
    Synchronized(Duration),
    /// Nobody keeps it.
    Free,
}

/// Asks the kernel. None where it does not tell, as in some containers.
#[expect(unsafe_code, reason = "no safe wrapper asks for this")]
pub fn clock_state() -> Option<ClockState> {
    // SAFETY: numbers alone, of which zero is a value.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: with `modes` of zero nothing is set; what is written is written to the struct, which outlives the call.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    if state < 0 {
        return None;
    }
    if state == libc::TIME_ERROR || timex.status & libc::STA_UNSYNC != 0 {
        return Some(ClockState::Free);
    }
    Some(ClockState::Synchronized(Duration::from_micros(timex.maxerror.unsigned_abs())))
}
