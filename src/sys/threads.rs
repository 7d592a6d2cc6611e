//! The threads that libtorch computes with on the CPU.

use std::{env, os::unix::process::CommandExt, process};

/// Lets libtorch's idle threads sleep instead of spin: spinning, they take the cores that decode, and a step on two
/// cores becomes four times slower. The OpenMP library reads this when it is loaded, before `main`: the
/// program starts once more.
pub fn settle_threads() {
    if env::var_os("OMP_WAIT_POLICY").is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let error =
        process::Command::new(program).args(env::args_os().skip(1)).env("OMP_WAIT_POLICY", "passive").exec();
    tracing::debug!("cannot start again with OMP_WAIT_POLICY=passive: {error}");
}
