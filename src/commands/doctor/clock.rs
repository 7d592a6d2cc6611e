//! The check of the clock, which runs that stop at a given hour and scheduled runs depend on.

use std::{
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::time::{ClockId, clock_gettime};

use crate::commands::doctor::check::Check;
use torchkit::{ClockState, clock_state};

/// The first second of 2025. The program is newer.
const TOO_EARLY: u64 = 1_735_689_600;
/// The first second of 2100.
const TOO_LATE: u64 = 4_102_444_800;
/// The seconds by which the clock of the run folder's file server may differ from the machine's.
const APART: f64 = 10.0;

/// Checks the machine's clock. `folder_ahead` is the number of seconds by which the clock that dates the run
/// folder's files is ahead of it.
pub(super) fn check(folder_ahead: Option<f64>) -> Check {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    judge(seconds, is_running(), clock_state(), folder_ahead)
}

/// Returns whether the monotonic clock advances.
fn is_running() -> bool {
    let now = || {
        let time = clock_gettime(ClockId::Monotonic);
        (time.tv_sec, time.tv_nsec)
    };
    let before = now();
    thread::sleep(Duration::from_millis(2));
    before < now()
}

fn judge(seconds: u64, runs: bool, kept: Option<ClockState>, folder_ahead: Option<f64>) -> Check {
    const NAME: &str = "clock";
    const CURE: &str =
        "synchronize the clock with NTP: `timedatectl set-ntp true`, or chrony; in a container, on its host";
    let year = 1970 + seconds / 31_556_952;
    if !(TOO_EARLY..TOO_LATE).contains(&seconds) {
        return Check::bad(NAME, format!("the clock shows the year {year}"), CURE);
    }
    if !runs {
        return Check::bad(NAME, "the monotonic clock stands still", "restart the machine");
    }
    if let Some(ahead) = folder_ahead.filter(|ahead| ahead.abs() > APART) {
        let found =
            format!("the clock of the run folder's file system differs by {ahead:+.0} s from this machine's");
        return Check::warn(
            NAME,
            found,
            "synchronize both clocks with NTP, the machine's and the file server's",
        );
    }
    match kept {
        Some(ClockState::Synchronized(error)) => {
            Check::ok(NAME, format!("synchronized, within {:.3} s", error.as_secs_f64()))
        }
        Some(ClockState::Free) => {
            Check::warn(NAME, "the kernel says that the clock is not synchronized", CURE)
        }
        None => Check::ok(NAME, "runs; the kernel does not say whether it is synchronized (unknown)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::State;

    #[test]
    fn a_clock_that_is_not_set_is_bad_and_one_that_is_not_synchronized_is_a_warning() {
        let (now, kept) = (1_800_000_000, Some(ClockState::Synchronized(Duration::from_millis(3))));
        let state = |seconds, runs, kept, ahead| judge(seconds, runs, kept, ahead).state;
        assert_eq!(state(now, true, kept, Some(-0.5)), State::Ok);
        assert_eq!(state(now, true, None, None), State::Ok);
        assert_eq!(state(now, true, Some(ClockState::Free), None), State::Warn);
        assert_eq!(state(now, true, kept, Some(-30.0)), State::Warn);
        assert_eq!(state(0, true, kept, None), State::Bad);
        assert_eq!(state(now, false, kept, None), State::Bad);
        assert!(judge(0, true, None, None).found.contains("1970"));
    }

    #[test]
    fn this_machines_clock_runs() {
        assert!(is_running());
    }
}
