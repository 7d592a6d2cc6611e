//! The threads that libtorch computes with on the CPU, and the time that they wait for a core.

use std::{env, fs, os::unix::process::CommandExt, process, time::Duration};

/// Makes libtorch's idle threads sleep instead of spin: spinning threads take the cores that decode, and a
/// step on two cores becomes four times slower. The OpenMP library reads the setting when it is loaded,
/// before `main`, so the program executes itself again with it, once.
pub fn settle_threads() {
    if env::var_os("OMP_WAIT_POLICY").is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let error =
        process::Command::new(program).args(env::args_os().skip(1)).env("OMP_WAIT_POLICY", "passive").exec();
    tracing::debug!("cannot restart with OMP_WAIT_POLICY=passive: {error}");
}

/// Returns how long the present threads of this process were ready to run but had no core, in sum. `None` if
/// the system does not tell.
pub fn waited_for_cores() -> Option<Duration> {
    let waited = |thread: fs::DirEntry| waiting(&fs::read_to_string(thread.path().join("schedstat")).ok()?);
    let threads = fs::read_dir("/proc/self/task").ok()?.flatten();
    threads.filter_map(waited).reduce(|sum, thread| sum + thread)
}

/// Reads the second number of Linux's `schedstat`: nanoseconds on a run queue.
fn waiting(schedstat: &str) -> Option<Duration> {
    schedstat.split(' ').nth(1)?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_a_thread_waited_is_read_and_not_the_time_it_ran() {
        assert_eq!(waiting("78 227393 5\n"), Some(Duration::from_nanos(227_393)));
        assert_eq!(waiting("78"), None);
    }
}
